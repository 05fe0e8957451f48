// The conversations that this browser keeps: bounded, one entry of the store for each, and as JSON
// to take along. What is read back, from the store or from a file, is checked field by field.

import { ROOT } from "./branches.mjs";

export const CONVERSATIONS_MAX = 200;
export const NODES_MAX = 2000;
const TEXT_CHARS_MAX = 1_000_000;
const TITLE_CHARS_MAX = 120;
const FILE_CHARS_MAX = 32_000_000;
const CALLS_MAX = 128;

const PREFIX = "host.conversation.";
const FORMAT = "host.conversations";
const ROLES = ["user", "assistant", "tool"];

/** Keeps conversations in anything that is like a browser's store. */
export class Library {
  #storage;
  #known = new Map();

  constructor(storage) {
    this.#storage = storage;
    for (let index = 0; index < storage.length; index += 1) {
      const place = storage.key(index);
      if (place.startsWith(PREFIX)) this.#read(place);
    }
  }

  #read(place) {
    try {
      const conversation = checked(JSON.parse(this.#storage.getItem(place)));
      this.#known.set(conversation.id, conversation);
    } catch {
      // Somebody else wrote there; it stays, and is not ours to show.
    }
  }

  /** Newest first; those whose title or words hold every word that is looked for. */
  list(search = "") {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const holds = ({ title, nodes }) => {
      const text = [title, ...nodes.map((node) => node.content)].join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const found = [...this.#known.values()].filter((one) => !words.length || holds(one));
    return found.sort((a, b) => b.updatedMs - a.updatedMs);
  }

  get(id) {
    return this.#known.get(id) ?? null;
  }

  /** Stores a conversation; the oldest others go when there are too many or there is no room. */
  save(conversation) {
    this.#known.set(conversation.id, conversation);
    const oldest = this.list().filter((one) => one.id !== conversation.id);
    const dropped = [];
    const drop = () => {
      const last = oldest.pop();
      dropped.push(last);
      this.remove(last.id);
    };
    while (oldest.length >= CONVERSATIONS_MAX) drop();
    const text = JSON.stringify(conversation);
    for (;;) {
      try {
        this.#storage.setItem(PREFIX + conversation.id, text);
        return dropped;
      } catch (error) {
        if (!oldest.length) throw new Error(`the browser's store is full (${error.name})`);
        drop();
      }
    }
  }

  remove(id) {
    this.#known.delete(id);
    this.#storage.removeItem(PREFIX + id);
  }

  /** These conversations, or all, as the text of a file. */
  exported(ids = [...this.#known.keys()]) {
    const conversations = ids.map((id) => this.#known.get(id));
    return JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 2);
  }

  /** Takes conversations out of a file; one that is here already is replaced. */
  imported(text) {
    if (text.length > FILE_CHARS_MAX) throw new Error("the file is too large to be ours");
    const file = JSON.parse(text);
    if (file?.format !== FORMAT || !Array.isArray(file.conversations)) {
      throw new Error(`the file has no list of conversations of the format ${FORMAT}`);
    }
    const found = file.conversations.slice(0, CONVERSATIONS_MAX).map(checked);
    for (const conversation of found) this.save(conversation);
    return found.length;
  }
}

function checked(value) {
  const nodes = list(value.nodes, NODES_MAX).map(checkedNode);
  const ids = new Set([ROOT, ...nodes.map((node) => node.id)]);
  if (nodes.some((node) => !ids.has(node.parent))) throw new Error("a message has no parent");
  const chosen = Object.entries(value.chosen ?? {}).filter(
    ([from, to]) => ids.has(from) && ids.has(to),
  );
  return {
    id: id(value.id),
    title: string(value.title).slice(0, TITLE_CHARS_MAX),
    createdMs: number(value.createdMs) ?? 0,
    updatedMs: number(value.updatedMs) ?? 0,
    nodes,
    chosen: Object.fromEntries(chosen),
  };
}

function checkedNode(value) {
  if (!ROLES.includes(value.role)) throw new Error(`a message of the role ${value.role}`);
  const { figures, createdMs } = value;
  const node = {
    id: id(value.id),
    parent: value.parent === ROOT ? ROOT : id(value.parent),
    role: value.role,
    content: string(value.content),
    createdMs: number(createdMs) ?? 0,
  };
  for (const name of ["reasoning", "model", "finish", "error", "callId"]) {
    if (typeof value[name] === "string") node[name] = string(value[name]);
  }
  if (Array.isArray(value.toolCalls)) {
    node.toolCalls = list(value.toolCalls, CALLS_MAX).map((call) => ({
      id: string(call.id),
      name: string(call.name),
      arguments: string(call.arguments),
    }));
  }
  if (figures && typeof figures === "object") {
    const numbers = Object.entries(figures).filter(
      ([, one]) => one === null || number(one) !== null,
    );
    node.figures = { ...Object.fromEntries(numbers), counted: figures.counted === true };
  }
  return node;
}

function list(value, most) {
  if (!Array.isArray(value) || value.length > most) throw new Error(`no list of at most ${most}`);
  return value;
}

function id(value) {
  if (typeof value !== "string" || !/^[\w-]{1,64}$/.test(value)) throw new Error("a bad id");
  return value;
}

const string = (value) => (typeof value === "string" ? value.slice(0, TEXT_CHARS_MAX) : "");
const number = (value) => (Number.isFinite(value) ? value : null);
