// What the page says to a person beside its views: short notices, questions, and the key's dialog.

import { button, h } from "./dom.mjs";

const NOTICE_MS = 7000;
const NOTICES_MAX = 4;

/** Shows a notice for a while; a screen reader tells it too. */
export function notify(text, kind = "info") {
  const place = document.getElementById("notices");
  const notice = h("p", { class: `notice ${kind}` }, text);
  place.append(notice);
  while (place.children.length > NOTICES_MAX) place.firstChild.remove();
  setTimeout(() => notice.remove(), NOTICE_MS);
}

/** Runs what a button does, and shows why it failed. */
export const guarded =
  (action) =>
  async (...args) => {
    try {
      return await action(...args);
    } catch (error) {
      notify(error.message, "error");
    }
  };

/** Asks a question with one action; gives back whether it was chosen. */
export function confirmed(question, action) {
  return dialog((finish) => [
    h("p", {}, question),
    h(
      "div",
      { class: "row end" },
      button("Cancel", () => finish(false), { autofocus: true }),
      button(action, () => finish(true), { class: "button danger" }),
    ),
  ]);
}

let askedKey = null;

/** Asks for the API key, once however many requests miss it; null: the person gave none. */
export function askKey(message) {
  askedKey ??= dialog((finish) => {
    const input = h("input", { type: "password", id: "key", autocomplete: "off", required: true });
    const submit = (event) => {
      event.preventDefault();
      finish(input.value);
    };
    return [
      h("h2", {}, "API key"),
      h("p", { class: "quiet" }, message),
      h(
        "form",
        { onsubmit: submit },
        h("label", { for: "key" }, "Key"),
        input,
        h("p", { class: "quiet small" }, "It is kept until this tab is closed."),
        h(
          "div",
          { class: "row end" },
          button("Not now", () => finish(null)),
          h("button", { class: "button primary" }, "Use the key"),
        ),
      ),
    ];
  }).finally(() => (askedKey = null));
  return askedKey;
}

/** A dialog that gives back what it is finished with; null when it was left. */
function dialog(content) {
  return new Promise((resolve) => {
    const finish = (value) => {
      element.remove();
      resolve(value);
    };
    const element = h("dialog", { class: "dialog", oncancel: () => finish(null) }, content(finish));
    document.body.append(element);
    element.showModal();
  });
}
