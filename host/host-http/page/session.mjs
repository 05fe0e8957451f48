// The conversation that is open and the answers that are coming: what a person can do in a chat,
// without showing any of it. It tells `change` when messages come or go and `progress` when one
// grows.

import { add, begin, figures } from "./answer.mjs";
import { stream } from "./api.mjs";
import { ROOT, addNode, chooseBeside, newConversation, pathOf, pathTo } from "./branches.mjs";
import { newId } from "./dom.mjs";
import { NODES_MAX } from "./library.mjs";
import { notify } from "./notices.mjs";
import { requestFor } from "./prompt.mjs";
import { chosenModel, refreshModels } from "./state.mjs";

const TITLE_CHARS = 60;

export class Session extends EventTarget {
  /** Answers that are coming, by conversation. */
  #runs = new Map();

  constructor(library, settings) {
    super();
    this.library = library;
    this.settings = settings;
    this.start();
  }

  /** Opens an empty conversation, which is kept once something is said in it. */
  start() {
    this.conversation = newConversation(newId(), Date.now());
    this.#tell("change");
  }

  /** Opens a kept conversation; false: there is none of that id. */
  open(id) {
    if (id === this.conversation.id) return true;
    const found = this.library.get(id);
    if (!found) return false;
    this.conversation = found;
    this.#tell("change");
    return true;
  }

  get path() {
    return pathOf(this.conversation);
  }

  /** The answer that is coming in the open conversation. */
  get run() {
    return this.#runs.get(this.conversation.id) ?? null;
  }

  isRunning(id) {
    return this.#runs.has(id);
  }

  stop() {
    this.run?.abort.abort();
  }

  send(text) {
    return this.#say(this.path.at(-1)?.id ?? ROOT, { role: "user", content: text });
  }

  /** Says something else in place of a message; what was said stays a branch. */
  edit(node, text) {
    return this.#say(node.parent, { role: "user", content: text });
  }

  /** Has a message answered once more. */
  regenerate(node) {
    return this.#answer(node.parent);
  }

  /** Answers the tool calls of a message, in their order. */
  sendResults(node, results) {
    this.#check();
    let parent = node.id;
    node.toolCalls.forEach((call, index) => {
      parent = this.#add(parent, { role: "tool", content: results[index], callId: call.id }).id;
    });
    return this.#answer(parent);
  }

  choose(node, step) {
    chooseBeside(this.conversation, node, step);
    this.#keep(this.conversation);
    this.#tell("change");
  }

  rename(id, title) {
    const conversation = this.library.get(id);
    conversation.title = title;
    this.#keep(conversation);
    this.#tell("change");
  }

  remove(id) {
    this.#runs.get(id)?.abort.abort();
    this.library.remove(id);
    if (id === this.conversation.id) this.start();
    else this.#tell("change");
  }

  #say(parent, node) {
    this.#check();
    const { conversation } = this;
    if (!conversation.title) conversation.title = titleOf(node.content);
    return this.#answer(this.#add(parent, node).id);
  }

  #add(parent, node) {
    return addNode(this.conversation, parent, { id: newId(), createdMs: Date.now(), ...node });
  }

  /** Fails before anything is changed if a request could not be made. */
  #check() {
    const model = chosenModel();
    if (!model) throw new Error("no model can chat now; load one in the view Models");
    if (this.run) throw new Error("an answer is coming; stop it first");
    if (this.conversation.nodes.length + 2 > NODES_MAX) {
      throw new Error(`a conversation has at most ${NODES_MAX} messages; begin a new one`);
    }
    requestFor(model, [], this.settings);
  }

  async #answer(parent) {
    this.#check();
    const { conversation } = this;
    const model = chosenModel();
    const { path, body } = requestFor(model, pathTo(conversation, parent), this.settings);
    const node = this.#add(parent, { role: "assistant", content: "", model: model.id });
    const run = { node, answer: begin(performance.now()), abort: new AbortController() };
    this.#runs.set(conversation.id, run);
    this.#keep(conversation);
    this.#tell("change");
    try {
      for await (const chunk of stream(path, body, run.abort.signal)) {
        add(run.answer, chunk, performance.now());
        this.#copy(run);
        this.#tell("progress");
      }
    } catch (error) {
      if (!run.abort.signal.aborted) node.error = error.message;
      // It may be the model that broke.
      refreshModels().catch(() => {});
    }
    if (run.abort.signal.aborted) node.finish = "stopped";
    node.figures = figures(run.answer);
    this.#runs.delete(conversation.id);
    // One that was removed while it was answered stays removed.
    if (this.library.get(conversation.id)) this.#keep(conversation);
    this.#tell("change");
  }

  #copy({ node, answer }) {
    node.content = answer.content;
    if (answer.reasoning) node.reasoning = answer.reasoning;
    if (answer.toolCalls.length) node.toolCalls = answer.toolCalls.filter(Boolean);
    if (answer.finish) node.finish = answer.finish;
  }

  #keep(conversation) {
    conversation.updatedMs = Date.now();
    try {
      const dropped = this.library.save(conversation);
      const names = dropped.map((one) => `“${one.title}”`).join(", ");
      if (dropped.length) notify(`There is no more room, so the oldest went: ${names}`);
    } catch (error) {
      notify(`This conversation is not kept: ${error.message}`, "error");
    }
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

function titleOf(text) {
  const line = text.trim().split("\n")[0];
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS).trimEnd()}…` : line;
}
