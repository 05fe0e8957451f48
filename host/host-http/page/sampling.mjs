// The panel of settings for answers. What is set is stored at once and used by the next request.

import { button, h, show } from "./dom.mjs";
import { confirmed, guarded, notify } from "./notices.mjs";
import {
  EMPTY,
  NUMBERS,
  PRESETS,
  ownPresets,
  removePreset,
  requestFields,
  save,
  savePreset,
  withPreset,
} from "./settings.mjs";

const PRESET_CHARS_MAX = 40;

/** Fills the panel; `settings` is changed in place. */
export function setUpSampling(settings) {
  const panel = document.getElementById("settings-body");
  const problem = h("p", { class: "failure", role: "alert", hidden: true });
  const changed = () => {
    save(localStorage, settings);
    showProblem(problem, settings);
  };
  const render = () => {
    show(
      panel,
      presets(settings, () => {
        changed();
        render();
      }),
      area(settings, "system", "System prompt", changed, "Who the model is and how it speaks"),
      h(
        "div",
        { class: "fields" },
        NUMBERS.map((field) => number(settings, field, changed)),
      ),
      area(settings, "stop", "Stop sequences", changed, "One a line; \\n is a line break", 2),
      area(settings, "schema", "JSON schema", changed, '{"type": "object", …}'),
      area(settings, "tools", "Tools", changed, '[{"type": "function", "function": {…}}]'),
      problem,
    );
    showProblem(problem, settings);
  };
  document.getElementById("settings-reset").addEventListener("click", () => {
    Object.assign(settings, EMPTY);
    changed();
    render();
  });
  render();
}

function showProblem(problem, settings) {
  problem.hidden = true;
  try {
    requestFields(settings);
  } catch (error) {
    problem.hidden = false;
    problem.textContent = error.message;
  }
}

function presets(settings, changed) {
  const own = ownPresets(localStorage);
  const all = { ...PRESETS, ...own };
  const names = (group) => Object.keys(group).map((name) => h("option", { value: name }, name));
  const choose = (event) => {
    Object.assign(settings, withPreset(settings, all[event.target.value]));
    changed();
  };
  const select = h(
    "select",
    { id: "preset", onchange: choose },
    h("option", { value: "", disabled: true, selected: true }, "Choose…"),
    names(PRESETS),
    Object.keys(own).length ? h("optgroup", { label: "Yours" }, names(own)) : null,
  );
  const name = h("input", {
    "aria-label": "Name of a new preset",
    placeholder: "Save these as…",
    maxLength: PRESET_CHARS_MAX,
  });
  const keep = guarded(() => {
    if (!name.value.trim()) throw new Error("Give the preset a name first");
    savePreset(localStorage, name.value.trim(), settings);
    notify(`The preset “${name.value.trim()}” is saved`);
    changed();
  });
  const drop = async (one) => {
    if (!(await confirmed(`Delete the preset “${one}”?`, "Delete"))) return;
    removePreset(localStorage, one);
    changed();
  };
  return h(
    "div",
    { class: "field" },
    h("label", { for: "preset" }, "Preset"),
    select,
    h("div", { class: "row" }, name, button("Save", keep)),
    Object.keys(own).map((one) =>
      h(
        "div",
        { class: "row between small" },
        h("span", {}, one),
        button("Delete", () => drop(one), {
          class: "quiet-button",
          "aria-label": `Delete the preset ${one}`,
        }),
      ),
    ),
  );
}

function number(settings, field, changed) {
  const { name, label, min, max, step, usual } = field;
  const id = `setting-${name}`;
  const set = (value) => {
    settings[name] = value;
    changed();
  };
  const input = h("input", {
    id,
    type: "number",
    min,
    max,
    step: "any",
    value: settings[name],
    placeholder: usual,
  });
  input.addEventListener("input", () => {
    set(input.value);
    if (slider) slider.value = input.value || usual;
  });
  // Only what people turn up and down has a slider.
  const slides = max - min <= 10 && step < 1;
  const slider = slides
    ? h("input", {
        type: "range",
        min,
        max: Math.min(max, 2),
        step,
        "aria-label": `${label}, slider`,
      })
    : null;
  if (slider) {
    slider.value = settings[name] || usual;
    slider.addEventListener("input", () => {
      input.value = slider.value;
      set(slider.value);
    });
  }
  return h(
    "div",
    { class: `field number${slider ? " slides" : ""}` },
    h("label", { for: id }, label),
    slider,
    input,
  );
}

function area(settings, name, label, changed, placeholder, rows = 3) {
  const id = `setting-${name}`;
  const oninput = (event) => {
    settings[name] = event.target.value;
    changed();
  };
  const isCode = name === "schema" || name === "tools";
  const props = {
    id,
    rows,
    value: settings[name],
    placeholder,
    oninput,
    class: isCode ? "code" : "",
    spellcheck: !isCode,
  };
  return h("div", { class: "field" }, h("label", { for: id }, label), h("textarea", props));
}
