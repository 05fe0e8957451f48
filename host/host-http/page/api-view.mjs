// The view API: where the host is, and requests to copy.

import { hasKey } from "./api.mjs";
import { copyButton, h, show } from "./dom.mjs";
import { codeBlock } from "./markup.mjs";
import { LANGUAGES } from "./snippets.mjs";
import { chosenModel, models, onModels } from "./state.mjs";

const SYNTAX = { curl: "bash", Python: "python", JavaScript: "javascript" };

/** Wires the view. */
export function setUpApi() {
  const base = `${location.origin}/v1`;
  document.getElementById("base-url").append(h("code", {}, base), copyButton(base));
  const select = document.getElementById("api-model");
  const choice = document.getElementById("api-language");
  const render = () => {
    const model = models().find(({ id }) => id === select.value) ?? { id: "default" };
    const language = choice.querySelector("input:checked").value;
    show(
      document.getElementById("snippet"),
      codeBlock(LANGUAGES[language](base, model, hasKey()), SYNTAX[language]),
    );
  };
  onModels(() => {
    const before = select.value || chosenModel()?.id;
    show(
      select,
      models().map(({ id }) => h("option", { value: id }, id)),
    );
    if (models().some(({ id }) => id === before)) select.value = before;
    render();
  });
  select.addEventListener("change", render);
  choice.addEventListener("change", render);
  return { open: render };
}
