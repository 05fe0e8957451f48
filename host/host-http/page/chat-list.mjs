// The list of conversations: search, rename, delete, and files to take along.

import { download, h, iconButton, show } from "./dom.mjs";
import { day } from "./format.mjs";
import { confirmed, guarded, notify } from "./notices.mjs";

const TITLE_CHARS_MAX = 120;
const FILE_BYTES_MAX = 64_000_000;

/** Fills the list and keeps it as the session is. */
export function setUpChatList(session) {
  const { library } = session;
  const list = document.getElementById("conversations");
  const search = document.getElementById("search");
  const file = document.getElementById("import-file");
  const render = () => {
    const found = library.list(search.value);
    const empty = search.value ? "Nothing is found." : "Conversations are kept in this browser.";
    show(
      list,
      found.length ? grouped(found, session) : h("p", { class: "quiet small pad" }, empty),
    );
  };
  session.addEventListener("change", render);
  search.addEventListener("input", render);
  file.addEventListener(
    "change",
    guarded(() => importFrom(file, library, render)),
  );
  document.getElementById("import").addEventListener("click", () => file.click());
  document.getElementById("export").addEventListener("click", () => {
    download("conversations.json", library.exported());
  });
  render();
}

async function importFrom(input, library, render) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  if (file.size > FILE_BYTES_MAX) throw new Error("the file is too large to hold conversations");
  let count;
  try {
    count = library.imported(await file.text());
  } catch (error) {
    throw new Error(`The file cannot be imported: ${error.message}`);
  }
  render();
  notify(count === 1 ? "1 conversation imported" : `${count} conversations imported`);
}

/** Conversations below the days they were last spoken in. */
function grouped(conversations, session) {
  const now = Date.now();
  const out = [];
  let last = null;
  for (const conversation of conversations) {
    const word = day(conversation.updatedMs, now);
    if (word !== last) out.push(h("h3", {}, word));
    last = word;
    out.push(item(conversation, session));
  }
  return out;
}

function item(conversation, session) {
  const { id } = conversation;
  const title = conversation.title || "Without a title";
  const isOpen = id === session.conversation.id;
  const link = h("a", { href: `#chat/${id}`, title }, title);
  if (isOpen) link.setAttribute("aria-current", "true");
  const remove = async () => {
    if (await confirmed(`Delete “${title}”? This cannot be undone.`, "Delete")) session.remove(id);
  };
  const save = () => download(`${fileName(title)}.json`, session.library.exported([id]));
  const actions = h(
    "span",
    { class: "item-actions" },
    iconButton("edit", `Rename ${title}`, () => rename(row, link, conversation, session)),
    iconButton("save", `Export ${title}`, save),
    iconButton("trash", `Delete ${title}`, remove),
  );
  const row = h(
    "div",
    { class: `item${isOpen ? " open" : ""}${session.isRunning(id) ? " running" : ""}` },
    link,
    actions,
  );
  return row;
}

function rename(row, link, conversation, session) {
  const input = h("input", {
    value: conversation.title,
    maxLength: TITLE_CHARS_MAX,
    "aria-label": "Title",
  });
  let isDone = false;
  const end = (isKept) => {
    if (isDone) return;
    isDone = true;
    input.replaceWith(link);
    if (isKept && input.value.trim()) session.rename(conversation.id, input.value.trim());
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  input.addEventListener("blur", () => end(true));
  link.replaceWith(input);
  input.select();
}

const fileName = (title) => title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "conversation";
