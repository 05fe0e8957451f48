// The view Chat: the messages of the open conversation, and what a person says next.

import { h, icon, show } from "./dom.mjs";
import { count } from "./format.mjs";
import { placeOf } from "./branches.mjs";
import { MessageView } from "./message.mjs";
import { guarded } from "./notices.mjs";
import { areModelsRead, chatModels, chooseModel, chosenModel, onModels } from "./state.mjs";

/** How near to its end a thread is taken to be read at its end. */
const END_PX = 80;

/** Wires the view to a session. */
export function setUpChat(session) {
  const view = document.getElementById("chat");
  const thread = new Thread(session);
  const update = () => {
    thread.render();
    showComposer(session);
    showContext(session);
  };
  session.addEventListener("change", update);
  session.addEventListener("progress", () => thread.growSoon());
  onModels(() => {
    showModels();
    update();
  });
  setUpComposer(session, thread);
  view.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && session.run) session.stop();
  });
  showModels();
  update();
}

/** The messages on the chosen path. */
class Thread {
  #session;
  #views = new Map();
  #isDue = false;
  #list = document.getElementById("thread");
  #scroll = document.getElementById("thread-scroll");
  #status = document.getElementById("chat-status");
  #wasRunning = false;

  constructor(session) {
    this.#session = session;
  }

  /** Shows how an answer grew; chunks come faster than a screen shows them. */
  growSoon() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      const { run } = this.#session;
      if (run) this.#keepingEnd(() => this.#update(run.node, true));
    });
  }

  render() {
    const { run, path } = this.#session;
    this.#keepingEnd(() => {
      const elements = path.map((node) => this.#update(node, node === path.at(-1)));
      this.#place(elements.length ? elements : [welcome()]);
    });
    this.#list.setAttribute("aria-busy", String(run !== null));
    this.#announce(run !== null);
  }

  #update(node, isLast) {
    const { conversation, run } = this.#session;
    const view = this.#view(node);
    const isRunning = run?.node === node;
    view.update(node, { place: placeOf(conversation, node), isRunning, isLast });
    return view.element;
  }

  /** Who reads at the end goes on reading at the end. */
  #keepingEnd(change) {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    change();
    if (scrollHeight - scrollTop - clientHeight < END_PX) this.scrollToEnd();
  }

  scrollToEnd() {
    this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }

  /** Moves only what is not in its place, so that nothing loses its focus. */
  #place(elements) {
    elements.forEach((element, index) => {
      const there = this.#list.children[index];
      if (there !== element) this.#list.insertBefore(element, there ?? null);
    });
    while (this.#list.children.length > elements.length) this.#list.lastChild.remove();
    const shown = new Set(elements.map((element) => element.dataset.node));
    for (const id of this.#views.keys()) if (!shown.has(id)) this.#views.delete(id);
  }

  #view(node) {
    if (!this.#views.has(node.id)) {
      const session = this.#session;
      const actions = {
        edit: guarded((one, text) => session.edit(one, text)),
        regenerate: guarded((one) => session.regenerate(one)),
        choose: (one, step) => session.choose(one, step),
        sendResults: guarded((one, results) => session.sendResults(one, results)),
      };
      this.#views.set(node.id, new MessageView(node, actions));
    }
    return this.#views.get(node.id);
  }

  #announce(isRunning) {
    if (isRunning !== this.#wasRunning) {
      this.#status.textContent = isRunning ? "The answer begins." : "The answer has ended.";
    }
    this.#wasRunning = isRunning;
  }
}

function welcome() {
  const model = chosenModel();
  if (model || !areModelsRead()) {
    return h(
      "div",
      { class: "welcome" },
      h("h1", {}, "Start a conversation"),
      h("p", { class: "quiet" }, model ? `with ${model.id}` : ""),
    );
  }
  return h(
    "div",
    { class: "welcome" },
    h("h1", {}, "No model can chat yet"),
    h("p", { class: "quiet" }, "Load one from a path on the host’s machine."),
    h("a", { class: "button primary", href: "#models" }, "Go to the models"),
  );
}

function setUpComposer(session, thread) {
  const form = document.getElementById("composer");
  const text = document.getElementById("message");
  const fit = () => {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  };
  const submit = async (event) => {
    event.preventDefault();
    if (session.run) return session.stop();
    const said = text.value;
    if (!said.trim()) return;
    const before = session.path.length;
    const sent = guarded(() => session.send(said))();
    // A message that was refused stays to be mended.
    if (session.path.length > before) text.value = "";
    fit();
    thread.scrollToEnd();
    await sent;
  };
  form.addEventListener("submit", submit);
  text.addEventListener("input", fit);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!session.run) submit(event);
  });
  document
    .getElementById("chat-model")
    .addEventListener("change", (event) => chooseModel(event.target.value));
}

function showModels() {
  const select = document.getElementById("chat-model");
  const options = chatModels().map((model) => h("option", { value: model.id }, model.id));
  show(select, options.length ? options : h("option", { value: "" }, "no model"));
  select.value = chosenModel()?.id ?? "";
  select.disabled = options.length === 0;
}

function showComposer(session) {
  const isRunning = session.run !== null;
  const send = document.getElementById("send");
  send.setAttribute("aria-label", isRunning ? "Stop" : "Send");
  send.title = isRunning ? "Stop (Esc)" : "Send (Enter)";
  send.classList.toggle("stop", isRunning);
  show(send, icon(isRunning ? "stop" : "send"));
  const isPlain = chosenModel()?.host?.chat === false;
  document.getElementById("plain-note").hidden = !isPlain;
  document.getElementById("message").placeholder = isPlain ? "Begin a text" : "Say something";
}

/** How much of the model's context the conversation takes. */
function showContext(session) {
  const bar = document.getElementById("context");
  const figures = session.path.findLast((node) => node.figures?.promptTokens)?.figures;
  const most = chosenModel()?.max_model_len;
  bar.hidden = !figures || !most;
  if (bar.hidden) return;
  const used = figures.promptTokens + figures.completionTokens;
  const meter = bar.querySelector("meter");
  meter.max = most;
  meter.high = most * 0.85;
  meter.value = used;
  bar.querySelector("span").textContent = `${count(used)} of ${count(most)} tokens of context`;
}
