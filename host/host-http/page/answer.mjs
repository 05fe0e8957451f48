// An answer while it comes: its text, thoughts, tool calls and figures, from the chunks of either
// endpoint. It reads no clock; whoever adds a chunk says when it came.

export const begin = (nowMs) => ({
  content: "",
  reasoning: "",
  toolCalls: [],
  finish: null,
  usage: null,
  pieces: 0,
  startedMs: nowMs,
  firstMs: null,
  lastMs: null,
  spokeMs: null,
});

/** Adds a chunk of a chat or of a text completion. */
export function add(answer, chunk, nowMs) {
  if (chunk.error) throw new Error(chunk.error.message ?? "the answer failed");
  if (chunk.usage) answer.usage = chunk.usage;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? { content: choice.text };
  const calls = delta.tool_calls ?? [];
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  if (delta.content || thought || calls.length) {
    answer.firstMs ??= nowMs;
    answer.lastMs = nowMs;
    answer.pieces += 1;
  }
  if (delta.content) answer.spokeMs ??= nowMs;
  answer.content += delta.content ?? "";
  answer.reasoning += thought;
  for (const call of calls) addCall(answer.toolCalls, call);
  answer.finish = choice.finish_reason ?? answer.finish;
}

function addCall(calls, delta) {
  const call = (calls[delta.index ?? calls.length] ??= { id: "", name: "", arguments: "" });
  call.id ||= delta.id ?? "";
  call.name += delta.function?.name ?? "";
  call.arguments += delta.function?.arguments ?? "";
}

/** What is worth keeping of an answer that has ended, or was stopped. */
export function figures(answer) {
  const { usage, firstMs, lastMs, startedMs, pieces, spokeMs } = answer;
  // Without a count of the host's, a piece stands for a token.
  const completion = usage?.completion_tokens ?? pieces;
  const seconds = (lastMs - firstMs) / 1000;
  return {
    counted: usage !== null,
    promptTokens: usage?.prompt_tokens ?? null,
    completionTokens: completion,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    firstTokenMs: firstMs === null ? null : firstMs - startedMs,
    // The first token belongs to the prompt's time.
    tokensPerSecond: completion > 1 && seconds > 0 ? (completion - 1) / seconds : null,
    thoughtMs: answer.reasoning ? (spokeMs ?? lastMs) - firstMs : null,
  };
}
