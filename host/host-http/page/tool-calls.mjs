// Tool calls of an answer: what the model wants done, and a form for what came of it.
// The page runs no tool; a person does, and writes down the result.

import { h } from "./dom.mjs";
import { codeBlock } from "./markup.mjs";

/** Arguments as they are read best; what is not JSON yet stays as it came. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * Cards of the calls, by status: they are still being written, wait for results, or are answered.
 * `onresults` gets the results in the order of the calls.
 */
export function toolCalls(calls, status, onresults) {
  const fields = calls.map((call, index) =>
    h("textarea", {
      rows: 2,
      required: true,
      placeholder: "What the tool answered",
      "aria-label": `Result of ${call.name}`,
      id: `result-${call.id}-${index}`,
    }),
  );
  const cards = calls.map((call, index) => card(call, status, fields[index]));
  if (status !== "waiting") return h("div", { class: "tool-calls" }, cards);
  const submit = (event) => {
    event.preventDefault();
    onresults(fields.map((field) => field.value));
  };
  const send = h(
    "button",
    { class: "button primary" },
    calls.length > 1 ? "Send the results" : "Send the result",
  );
  return h(
    "form",
    { class: "tool-calls", onsubmit: submit },
    cards,
    h("div", { class: "row end" }, send),
  );
}

const WORDS = { running: "being written", waiting: "waits for its result", done: "answered" };

function card(call, status, field) {
  return h(
    "section",
    { class: "tool-call", "aria-label": `Tool call ${call.name}` },
    h(
      "header",
      { class: "row" },
      h("strong", {}, call.name || "…"),
      h("span", { class: `badge ${status}` }, WORDS[status]),
    ),
    codeBlock(pretty(call.arguments), "json"),
    status === "waiting" ? field : null,
  );
}
