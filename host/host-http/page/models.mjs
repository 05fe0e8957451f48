// The view Models: what is served, what could not be, and loading and unloading.

import { postJson, stream } from "./api.mjs";
import { button, h, show } from "./dom.mjs";
import { bytes, count, duration, short } from "./format.mjs";
import { confirmed, guarded, notify } from "./notices.mjs";
import {
  chooseModel,
  failedModels,
  memoryOfModels,
  models,
  onModels,
  refreshModels,
  stateOf,
} from "./state.mjs";

/** How soon to look again while a model is on its way in or out. */
const PERIOD_MS = 1500;

/** Wires the view; it looks after models on their way from `open` to `close`. */
export function setUpModels() {
  const form = document.getElementById("load");
  const load = guarded(async (event) => {
    event.preventDefault();
    const { path, id } = Object.fromEntries(new FormData(form));
    if (!path.trim() && !id.trim())
      throw new Error("Give a path, or the id of a model that the host has found");
    await loadModel({ path: path.trim() || undefined, id: id.trim() || undefined });
    form.reset();
  });
  form.addEventListener("submit", load);
  let timer = null;
  const look = () => {
    const isPassing = models().some((model) => ["loading", "draining"].includes(stateOf(model)));
    if (isPassing) guarded(refreshModels)();
  };
  onModels(render);
  return {
    open: () => (timer = setInterval(look, PERIOD_MS)),
    close: () => clearInterval(timer),
  };
}

function render() {
  const cards = models().map(card);
  const failures = failedModels().map(failureCard);
  const empty = h("p", { class: "quiet" }, "No model is loaded.");
  const all = [...cards, ...failures];
  show(document.getElementById("models-list"), all.length ? all : empty);
  const memory = memoryOfModels();
  const budget = memory?.budget_bytes ? ` of the ${bytes(memory.budget_bytes)} they may take` : "";
  document.getElementById("memory").textContent = memory
    ? `Models take ${bytes(memory.used_bytes)}${budget}.`
    : "";
}

/** Loads a model and shows how far it is; the host may tell stages, or only the end. */
async function loadModel(request) {
  const progress = document.getElementById("load-progress");
  const [meter, words] = [progress.querySelector("progress"), progress.querySelector("span")];
  const name = request.id ?? request.path;
  progress.hidden = false;
  meter.removeAttribute("value");
  words.textContent = `Loading ${name}…`;
  const started = performance.now();
  try {
    for await (const event of stream("/v1/models/load", { ...request, stream: true })) {
      if (event.error) throw new Error(event.error.message);
      if (event.object === "model.load") showStage(meter, words, event);
      else notify(`${event.id} is loaded, in ${duration(performance.now() - started)}`);
    }
  } finally {
    progress.hidden = true;
    await refreshModels();
  }
}

/** How far a load is that somebody else asked for. */
function progressLine(progress) {
  const [meter, words] = [
    h("progress", { "aria-label": "Loading" }),
    h("span", { class: "figures" }),
  ];
  showStage(meter, words, progress);
  return h("div", { class: "load-progress" }, meter, words);
}

function showStage(meter, words, { stage, done_bytes: done, total_bytes: total }) {
  if (total > 0) {
    meter.max = total;
    meter.value = done;
  } else meter.removeAttribute("value");
  const amount = total > 0 ? `: ${bytes(done)} of ${bytes(total)}` : "";
  words.textContent = `${stage}${amount}`;
}

async function unload(id) {
  if (!(await confirmed(`Unload ${id}? Answers that are coming are finished first.`, "Unload")))
    return;
  await postJson("/v1/models/unload", { id });
  notify(`${id} is unloaded`);
  await refreshModels();
}

function card(model) {
  const state = stateOf(model);
  const { id, host = {} } = model;
  const chat = () => {
    chooseModel(id);
    location.hash = "#chat";
  };
  const load = guarded(() => loadModel({ id }));
  const actions = [
    state === "ready" && host.task !== "embed" ? button("Chat", chat) : null,
    state === "available" ? button("Load", load, { class: "button primary" }) : null,
    state === "ready" || state === "faulted"
      ? button(
          "Unload",
          guarded(() => unload(id)),
        )
      : null,
  ];
  return h(
    "article",
    { class: "card", "aria-label": id },
    h(
      "header",
      { class: "row between" },
      h("h2", {}, id),
      h("span", { class: `badge ${state}` }, state),
    ),
    host.fault ? h("p", { class: "failure" }, host.fault) : null,
    host.progress ? progressLine(host.progress) : null,
    facts(model, host),
    host.path ? h("p", { class: "path" }, host.path) : null,
    h("div", { class: "row end" }, actions),
  );
}

function facts({ max_model_len: context }, host) {
  const dtypes = Object.entries(host.dtypes ?? {})
    .sort(([, a], [, b]) => b - a)
    .map(([name]) => name);
  const { format, architecture, compute } = host.plugins ?? {};
  const rows = [
    ["Architecture", host.architecture],
    ["Format", host.format],
    ["On disk", host.file_bytes && bytes(host.file_bytes)],
    ["Also named", host.aliases?.join(", ")],
    [
      "Task",
      host.task &&
        (host.task === "embed"
          ? `embed, ${host.embedding_width} wide`
          : host.chat
            ? "chat and text"
            : "text only, no chat template"),
    ],
    ["Parameters", host.parameters && short(host.parameters)],
    ["Context", context && `${count(context)} tokens`],
    [
      "Weights",
      host.weights_bytes && `${bytes(host.weights_bytes)}, ${dtypes.slice(0, 3).join(", ")}`,
    ],
    ["KV cache", host.kv_bytes && `${bytes(host.kv_bytes)}, ${host.kv_dtype}`],
    ["Plugins", format && [format, architecture, compute].join(" · ")],
    ["Loaded in", host.load_ms && duration(host.load_ms)],
  ];
  const known = rows.filter(([, value]) => value);
  if (!known.length) return null;
  return h(
    "dl",
    { class: "facts" },
    known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

function failureCard({ id, error }) {
  return h(
    "article",
    { class: "card", "aria-label": id },
    h(
      "header",
      { class: "row between" },
      h("h2", {}, id),
      h("span", { class: "badge failed" }, "not loaded"),
    ),
    h("p", { class: "failure" }, error),
    h(
      "div",
      { class: "row end" },
      button(
        "Try again",
        guarded(() => loadModel({ id })),
      ),
    ),
  );
}
