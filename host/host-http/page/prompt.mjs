// From a conversation to a request: messages for a model with a chat template, the plain text for
// one without.

import { requestFields } from "./settings.mjs";

/** A plain completion has few tokens unless somebody asks for more. */
const COMPLETION_TOKENS = 256;

/** Where to send a conversation, and what. */
export function requestFor(model, path, settings) {
  const fields = requestFields(settings);
  const common = { model: model.id, stream: true, stream_options: { include_usage: true } };
  if (model.host?.chat === false) {
    const { tools: _unused, ...rest } = fields;
    const prompt = plainText(path, settings.system);
    const body = { ...common, max_tokens: COMPLETION_TOKENS, ...rest, prompt };
    return { path: "/v1/completions", body };
  }
  return {
    path: "/v1/chat/completions",
    body: { ...common, ...fields, messages: messages(path, settings.system) },
  };
}

function messages(path, system) {
  const first = system.trim() ? [{ role: "system", content: system }] : [];
  return [...first, ...path.flatMap(message)];
}

function message(node) {
  if (node.role === "tool") {
    return [{ role: "tool", tool_call_id: node.callId, content: node.content }];
  }
  if (node.role === "user") return [{ role: "user", content: node.content }];
  const calls = (node.toolCalls ?? []).map(({ id, name, arguments: text }) => ({
    id,
    type: "function",
    function: { name, arguments: text },
  }));
  // An answer that failed before its first word says nothing to a model.
  if (!node.content && !calls.length) return [];
  const said = { role: "assistant", content: node.content };
  return [calls.length ? { ...said, tool_calls: calls } : said];
}

/** What was said so far as one text: an answer continues its prompt, a new prompt is a new line. */
export function plainText(path, system) {
  let text = system.trim() ? `${system}\n\n` : "";
  let before = null;
  for (const node of path) {
    if (before === "assistant" && node.role === "user") text += "\n";
    text += node.content;
    before = node.role;
  }
  return text;
}
