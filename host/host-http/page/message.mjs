// One message of a chat: its text, thoughts and tool calls, its figures, and what can be done to it.
// It is told to show a message and shows only what has changed.

import { button, copyButton, h, icon, iconButton, show } from "./dom.mjs";
import { count, duration, rate } from "./format.mjs";
import { showMarkdown } from "./markup.mjs";
import { toolCalls } from "./tool-calls.mjs";

const FINISHES = {
  length: "cut by the token limit",
  stopped: "stopped",
  tool_calls: "calls tools",
};

export class MessageView {
  #actions;
  #text = h("div", { class: "prose" });
  #thought = h("div", { class: "prose" });
  #thoughtTitle = h("summary");
  #thoughts = h("details", { class: "thoughts", hidden: true }, this.#thoughtTitle, this.#thought);
  #calls = h("div");
  #error = h("p", { class: "failure", role: "alert", hidden: true });
  #footer = h("footer", { class: "message-footer" });
  #shown = {};

  /** `actions`: edit, regenerate, choose, sendResults, each with the message first. */
  constructor(node, actions) {
    this.#actions = actions;
    const who = { user: "You", assistant: node.model ?? "Answer", tool: "Tool result" }[node.role];
    this.element = h(
      "article",
      { class: `message ${node.role}`, "aria-label": who, "data-node": node.id },
      node.role === "tool" ? h("p", { class: "quiet small" }, "Result of a tool") : null,
      this.#thoughts,
      this.#text,
      this.#calls,
      this.#error,
      this.#footer,
    );
  }

  /** `place` is where the message stands among its siblings; `isLast` whether nothing follows. */
  update(node, { place, isRunning, isLast }) {
    this.#showText(node, isRunning);
    this.#showThoughts(node, isRunning);
    const state = JSON.stringify([
      node.toolCalls,
      node.error,
      node.figures,
      node.finish,
      place,
      isRunning,
      isLast,
    ]);
    if (state === this.#shown.state) return;
    this.#shown.state = state;
    this.#showCalls(node, isRunning, isLast);
    this.#error.hidden = !node.error;
    this.#error.textContent = node.error ?? "";
    this.element.classList.toggle("running", isRunning);
    show(
      this.#footer,
      isRunning ? [] : [this.#branches(node, place), this.#buttons(node), figuresLine(node)],
    );
  }

  #showText(node, isRunning) {
    if (node.content === this.#shown.content && isRunning === this.#shown.isRunning) return;
    Object.assign(this.#shown, { content: node.content, isRunning });
    // What a person or a tool wrote is shown as it was written.
    if (node.role === "assistant") showMarkdown(this.#text, node.content);
    else this.#text.textContent = node.content;
    const waits = isRunning && !node.content && !node.reasoning && !node.toolCalls;
    this.element.classList.toggle("waiting", waits);
  }

  #showThoughts(node, isRunning) {
    if (!node.reasoning) return;
    this.#thoughts.hidden = false;
    const isThinking = isRunning && !node.content;
    const took = node.figures?.thoughtMs ? ` for ${duration(node.figures.thoughtMs)}` : "";
    this.#thoughtTitle.textContent = isThinking ? "Thinking…" : `Thought${took}`;
    if (this.#shown.reasoning === node.reasoning) return;
    this.#shown.reasoning = node.reasoning;
    showMarkdown(this.#thought, node.reasoning);
  }

  #showCalls(node, isRunning, isLast) {
    if (!node.toolCalls?.length) return;
    const status = isRunning ? "running" : isLast ? "waiting" : "done";
    const send = (results) => this.#actions.sendResults(node, results);
    show(this.#calls, toolCalls(node.toolCalls, status, send));
  }

  #branches(node, { index, count: siblings }) {
    if (siblings < 2) return null;
    const step = (name, label, by, off) =>
      iconButton(name, label, () => this.#actions.choose(node, by), { disabled: off });
    return h(
      "div",
      { class: "branches", role: "group", "aria-label": "Branches" },
      step("left", "Previous branch", -1, index === 0),
      h("span", { class: "figures" }, `${index + 1}/${siblings}`),
      step("right", "Next branch", 1, index === siblings - 1),
    );
  }

  #buttons(node) {
    const again = () => this.#actions.regenerate(node);
    const quiet = (name, label, onclick) =>
      h(
        "button",
        { type: "button", class: "quiet-button", onclick },
        icon(name),
        h("span", {}, label),
      );
    return h(
      "div",
      { class: "message-actions" },
      copyButton(node.content),
      node.role === "assistant" ? quiet("again", "Regenerate", again) : null,
      node.role === "user" ? quiet("edit", "Edit", () => this.#startEdit(node)) : null,
    );
  }

  #startEdit(node) {
    const area = h("textarea", { value: node.content, "aria-label": "Edit the message", rows: 3 });
    const end = () => {
      form.replaceWith(this.#text);
      this.#footer.hidden = false;
    };
    const submit = (event) => {
      event.preventDefault();
      end();
      if (area.value.trim()) this.#actions.edit(node, area.value);
    };
    const keys = (event) => {
      if (event.key === "Escape") end();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
      event.stopPropagation();
    };
    area.addEventListener("keydown", keys);
    const buttons = [
      button("Cancel", end),
      h("button", { class: "button primary" }, "Send as a branch"),
    ];
    const form = h(
      "form",
      { class: "edit", onsubmit: submit },
      area,
      h("div", { class: "row end" }, buttons),
    );
    this.#text.replaceWith(form);
    this.#footer.hidden = true;
    area.focus();
  }
}

/** The figures of an answer on one line. */
function figuresLine({ role, figures, finish }) {
  if (role !== "assistant" || !figures) return null;
  const about = figures.counted ? "" : "about ";
  const parts = [
    figures.tokensPerSecond && `${rate(figures.tokensPerSecond)} tokens/s`,
    figures.firstTokenMs !== null && `first token ${duration(figures.firstTokenMs)}`,
    figures.promptTokens !== null && `${count(figures.promptTokens)} prompt`,
    `${about}${count(figures.completionTokens)} completion tokens`,
    figures.cachedTokens > 0 && `${count(figures.cachedTokens)} cached`,
    FINISHES[finish],
  ];
  return h("p", { class: "figures" }, parts.filter(Boolean).join(" · "));
}
