// The view Plugins: every file of the plugin folders, with what it offers or why it does not.

import { postJson, readJson } from "./api.mjs";
import { button, h, show } from "./dom.mjs";
import { guarded, notify } from "./notices.mjs";

/** Claims of a provider that are shown before the rest is folded. */
const CLAIMS_SHOWN = 8;

/** Wires the view; its `open` is called whenever it is shown. */
export function setUpPlugins() {
  const rescan = guarded(async () => {
    render(await postJson("/v1/plugins/rescan", {}));
    notify("The plugin folders were looked at again");
  });
  document.getElementById("rescan").addEventListener("click", rescan);
  return { open: guarded(async () => render(await readJson("/v1/plugins"))) };
}

function render({ data }) {
  const rows = data.map(card);
  show(
    document.getElementById("plugins-list"),
    rows.length ? rows : h("p", { class: "quiet" }, "There is no plugin."),
  );
}

function card(plugin) {
  const { name, version, abi, state, reason, providers, shadowed, file } = plugin;
  const figures = [version, abi && `ABI ${abi}`].filter(Boolean).join(" · ");
  return h(
    "article",
    { class: `card ${state}`, "aria-label": name },
    h(
      "header",
      { class: "row between" },
      h("h2", {}, name, h("span", { class: "figures" }, figures)),
      h("span", { class: `badge ${state}` }, state),
    ),
    reason ? h("p", { class: state === "disabled" ? "quiet" : "failure" }, reason) : null,
    providers.map(provider),
    shadowed.length
      ? h("p", { class: "quiet small" }, `Answered by another plugin: ${shadowed.join(", ")}`)
      : null,
    h("div", { class: "row between" }, h("p", { class: "path" }, file), switchButton(name, state)),
  );
}

function switchButton(name, state) {
  if (state !== "loaded" && state !== "disabled") return null;
  const [word, path] = state === "loaded" ? ["Disable", "disable"] : ["Enable", "enable"];
  const act = guarded(async () => render(await postJson(`/v1/plugins/${path}`, { name })));
  return button(word, act, { "aria-label": `${word} ${name}` });
}

function provider({ kind, name, claims }) {
  const chip = (claim) => h("li", { class: "chip" }, claim);
  const [first, rest] = [claims.slice(0, CLAIMS_SHOWN), claims.slice(CLAIMS_SHOWN)];
  return h(
    "div",
    { class: "provider" },
    h("h3", {}, kind, name === kind ? null : h("span", { class: "quiet" }, ` ${name}`)),
    h("ul", { class: "chips" }, first.map(chip)),
    rest.length
      ? h(
          "details",
          {},
          h("summary", {}, `${rest.length} more`),
          h("ul", { class: "chips" }, rest.map(chip)),
        )
      : null,
  );
}
