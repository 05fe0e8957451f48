// Conversations: branches, what is kept of them, and the requests and answers between.

import assert from "node:assert/strict";
import { test } from "node:test";
import { add, begin, figures } from "../../page/answer.mjs";
import {
  ROOT,
  addNode,
  chooseBeside,
  newConversation,
  pathOf,
  pathTo,
  placeOf,
} from "../../page/branches.mjs";
import { EventReader } from "../../page/events.mjs";
import { CONVERSATIONS_MAX, Library } from "../../page/library.mjs";
import { plainText, requestFor } from "../../page/prompt.mjs";
import * as settings from "../../page/settings.mjs";
import { LANGUAGES } from "../../page/snippets.mjs";

/** A browser's store with room for so many characters. */
class Store {
  map = new Map();
  constructor(room = Infinity) {
    this.room = room;
  }
  get length() {
    return this.map.size;
  }
  key(index) {
    return [...this.map.keys()][index];
  }
  getItem(key) {
    return this.map.get(key) ?? null;
  }
  setItem(key, value) {
    const others = [...this.map].filter(([other]) => other !== key);
    const used = others.reduce((sum, [, text]) => sum + text.length, 0);
    if (used + value.length > this.room) throw new DOMException("full", "QuotaExceededError");
    this.map.set(key, value);
  }
  removeItem(key) {
    this.map.delete(key);
  }
}

const node = (id, role = "user", content = id) => ({ id, role, content, createdMs: 1 });

function talk() {
  const one = newConversation("c1", 5);
  addNode(one, ROOT, node("u1"));
  addNode(one, "u1", node("a1", "assistant"));
  addNode(one, "a1", node("u2"));
  return one;
}
const ids = (path) => path.map(({ id }) => id).join(" ");

test("an edit is a branch beside what was said, and both can be chosen", () => {
  const one = talk();
  addNode(one, ROOT, node("u1b"));
  addNode(one, "u1b", node("a1b", "assistant"));
  assert.equal(ids(pathOf(one)), "u1b a1b");
  const second = pathOf(one)[0];
  assert.deepEqual(placeOf(one, second), { index: 1, count: 2 });
  chooseBeside(one, second, -1);
  assert.equal(ids(pathOf(one)), "u1 a1 u2", "the rest of the branch is as it was left");
  chooseBeside(one, pathOf(one)[0], -1);
  assert.equal(ids(pathOf(one)), "u1 a1 u2", "there is none before the first");
  assert.equal(ids(pathTo(one, "a1b")), "u1b a1b", "whatever is chosen");
  assert.equal(ids(pathTo(one, "gone")), "");
});

test("a cycle that was imported does not hang", () => {
  const one = newConversation("c", 0);
  one.nodes.push({ id: "a", parent: "b" }, { id: "b", parent: "a" });
  assert.equal(pathOf(one).length, 0);
  assert.equal(pathTo(one, "a").length, 2);
});

test("conversations are found, exported and imported", () => {
  const library = new Library(new Store());
  library.save({ ...talk(), title: "Lily and the park" });
  library.save({ ...newConversation("c2", 9), title: "Other", updatedMs: 9 });
  assert.deepEqual(
    library.list().map(({ id }) => id),
    ["c2", "c1"],
  );
  assert.deepEqual(
    library.list("PARK lily").map(({ id }) => id),
    ["c1"],
  );
  assert.deepEqual(
    library.list("u2").map(({ id }) => id),
    ["c1"],
    "words of messages count",
  );
  const store = new Store();
  assert.equal(new Library(store).imported(library.exported()), 2);
  assert.deepEqual(new Library(store).get("c1"), library.get("c1"), "kept and read again");
  const other = new Library(new Store());
  assert.equal(other.imported(library.exported(["c2"])), 1);
});

test("a file that is not ours is refused", () => {
  const library = new Library(new Store());
  const file = (...conversations) =>
    JSON.stringify({ format: "host.conversations", conversations });
  const bad = [
    "{",
    "[]",
    "null",
    '{"format":"other","conversations":[]}',
    file(null),
    file({ id: "x" }),
    file({ id: "../x", nodes: [] }),
    file({ id: "x", nodes: [{ id: "a", parent: "", role: "root" }] }),
    file({ id: "x", nodes: [{ id: "a", parent: "gone", role: "user" }] }),
    file({ id: "x", nodes: Array(3000).fill(node("a")) }),
  ];
  for (const text of bad) assert.throws(() => library.imported(text), Error, text.slice(0, 80));
  assert.equal(library.list().length, 0);
  library.imported(
    file({
      id: "x",
      nodes: [{ ...node("a"), parent: "", content: 7, extra: 1, figures: { a: "b" } }],
    }),
  );
  assert.deepEqual(library.get("x").nodes, [
    { ...node("a"), parent: "", content: "", figures: { counted: false } },
  ]);
});

test("there are only so many, and the oldest go first", () => {
  const library = new Library(new Store());
  for (let n = 0; n < CONVERSATIONS_MAX + 3; n += 1) {
    library.save({ ...newConversation(`c${n}`, 0), updatedMs: n });
  }
  const kept = library.list();
  assert.deepEqual([kept.length, kept.at(-1).id], [CONVERSATIONS_MAX, "c3"]);
  const small = new Library(new Store(700));
  const save = (id, updatedMs) =>
    small.save({ ...newConversation(id, 0), title: "x".repeat(200), updatedMs });
  save("old", 1);
  save("new", 2);
  assert.deepEqual(
    save("newest", 3).map(({ id }) => id),
    ["old"],
  );
  const large = { ...newConversation("large", 0), title: "x".repeat(900) };
  assert.throws(() => small.save(large), /full/);
});

test("events arrive whole whatever the pieces", () => {
  const text = 'data: {"a":1}\r\n\r\n: note\n\ndata:b\ndata: c\n\ndata: [DONE]\n\n';
  for (let size = 1; size < text.length; size += 1) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < text.length; at += size)
      found.push(...reader.push(text.slice(at, at + size)));
    assert.deepEqual(found, ['{"a":1}', "b\nc", "[DONE]"], `pieces of ${size}`);
  }
});

test("an answer is gathered from chunks with its figures", () => {
  const answer = begin(100);
  const chunk = (delta, finish_reason = null) => ({ choices: [{ delta, finish_reason }] });
  add(answer, chunk({ role: "assistant", content: "" }), 150);
  add(answer, chunk({ reasoning_content: "hm" }), 200);
  add(answer, chunk({ content: "a" }), 300);
  add(
    answer,
    chunk({ tool_calls: [{ index: 1, id: "c", function: { name: "f", arguments: "{" } }] }),
    350,
  );
  add(answer, chunk({ tool_calls: [{ index: 1, function: { arguments: "}" } }] }), 400);
  add(answer, chunk({}, "tool_calls"), 410);
  add(
    answer,
    {
      choices: [],
      usage: {
        prompt_tokens: 7,
        completion_tokens: 5,
        prompt_tokens_details: { cached_tokens: 2 },
      },
    },
    411,
  );
  assert.deepEqual([answer.content, answer.reasoning, answer.finish], ["a", "hm", "tool_calls"]);
  assert.deepEqual(answer.toolCalls[1], { id: "c", name: "f", arguments: "{}" });
  assert.deepEqual(figures(answer), {
    counted: true,
    promptTokens: 7,
    completionTokens: 5,
    cachedTokens: 2,
    firstTokenMs: 100,
    tokensPerSecond: 20,
    thoughtMs: 100,
  });
  const text = begin(0);
  add(text, { choices: [{ text: "x", finish_reason: "stop" }] }, 1);
  assert.deepEqual([text.content, text.finish, figures(text).counted], ["x", "stop", false]);
  assert.throws(() => add(text, { error: { message: "the model is faulted" } }, 2), /faulted/);
});

test("a request has the fields that were set and no others", () => {
  const set = {
    ...settings.EMPTY,
    temperature: "0",
    top_k: "40",
    stop: "END\n\\n\\n",
    system: "Be brief.",
    schema: '{"type":"object"}',
  };
  const path = [
    node("u"),
    { ...node("a", "assistant"), toolCalls: [{ id: "c", name: "f", arguments: "{}" }] },
    { ...node("t", "tool"), callId: "c" },
    node("e", "assistant", ""),
  ];
  const chat = requestFor({ id: "m", host: { chat: true } }, path, set);
  assert.equal(chat.path, "/v1/chat/completions");
  assert.deepEqual(
    chat.body.messages.map(({ role }) => role),
    ["system", "user", "assistant", "tool"],
  );
  assert.deepEqual(chat.body.messages[2].tool_calls[0].function, { name: "f", arguments: "{}" });
  const { temperature, top_k, stop, top_p, seed, response_format } = chat.body;
  assert.deepEqual(
    [temperature, top_k, stop, top_p, seed],
    [0, 40, ["END", "\n\n"], undefined, undefined],
  );
  assert.equal(response_format.json_schema.schema.type, "object");
  const plain = requestFor({ id: "m", host: { chat: false } }, [node("Once")], settings.EMPTY);
  assert.deepEqual(
    [plain.path, plain.body.prompt, plain.body.max_tokens],
    ["/v1/completions", "Once", 256],
  );
  assert.equal(plainText([node("a"), node("b", "assistant"), node("c")], "S"), "S\n\nab\nc");
});

test("settings that cannot be sent are refused in words", () => {
  const bad = { temperature: "warm", schema: "{", tools: "{}", stop: "x\n".repeat(17) };
  for (const [name, value] of Object.entries(bad)) {
    assert.throws(() => settings.requestFields({ ...settings.EMPTY, [name]: value }), Error, name);
  }
});

test("presets set the numbers and leave the texts", () => {
  const store = new Store();
  const before = { ...settings.EMPTY, seed: "3", system: "S" };
  const after = settings.withPreset(before, settings.PRESETS.Balanced);
  assert.deepEqual([after.temperature, after.seed, after.system], ["0.7", "", "S"]);
  settings.savePreset(store, "mine", after);
  assert.deepEqual(Object.keys(settings.ownPresets(store)), ["mine"]);
  settings.removePreset(store, "mine");
  assert.deepEqual(settings.ownPresets(store), {});
  store.setItem("host.settings", '{"temperature": 3, "top_p": "0.5", "__proto__": {"x": 1}}');
  assert.deepEqual(
    settings.load(store),
    { ...settings.EMPTY, top_p: "0.5" },
    "what is no text is not taken",
  );
});

test("snippets are valid where they can be checked", () => {
  for (const host of [{ chat: true }, { chat: false }, { task: "embed" }]) {
    const model = { id: "a'b", host };
    const curl = LANGUAGES.curl("http://h/v1", model, true);
    const body = curl.slice(curl.indexOf("-d '") + 4, -1).replaceAll(`'\\''`, "'");
    assert.equal(JSON.parse(body).model, "a'b");
    const script = LANGUAGES.JavaScript("http://h/v1", model, true);
    const AsyncFunction = (async () => {}).constructor;
    assert.ok(new AsyncFunction(script), "it parses");
  }
});
