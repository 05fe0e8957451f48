// From the blocks of a text to elements, and from one state of a growing text to the next with what
// has not changed left in place, so that a selection and a scroll position survive.

import { copyButton, h } from "./dom.mjs";
import { highlight } from "./highlight.mjs";
import { markdown } from "./markdown.mjs";

/** Shows a text inside an element, whatever it showed before. */
export function showMarkdown(element, text) {
  const before = element.shownBlocks ?? [];
  const blocks = markdown(text).map((block) => JSON.stringify(block));
  let same = 0;
  while (same < blocks.length && blocks[same] === before[same]) same += 1;
  while (element.childNodes.length > same) element.lastChild.remove();
  element.append(...blocks.slice(same).map((block) => blockElement(JSON.parse(block))));
  element.shownBlocks = blocks;
}

const BLOCKS = {
  paragraph: ({ children }) => h("p", {}, inlineElements(children)),
  // A heading of an answer is below those of the page.
  heading: ({ level, children }) => h(`h${Math.min(6, level + 2)}`, {}, inlineElements(children)),
  rule: () => h("hr"),
  quote: ({ children }) => h("blockquote", {}, children.map(blockElement)),
  list: listElement,
  table: tableElement,
  code: ({ language, text }) => codeBlock(text, language),
};

const blockElement = (block) => BLOCKS[block.type](block);

function listElement({ ordered, start, items }) {
  const element = h(ordered ? "ol" : "ul", {}, items.map(itemElement));
  if (ordered && start !== 1) element.start = start;
  return element;
}

/** An item that is one paragraph needs no room around it. */
function itemElement(blocks) {
  const [first, ...rest] = blocks;
  if (first?.type !== "paragraph") return h("li", {}, blocks.map(blockElement));
  const tight = rest.every((block) => block.type === "list");
  const lead = tight ? inlineElements(first.children) : [blockElement(first)];
  return h("li", {}, lead, rest.map(blockElement));
}

function tableElement({ align, head, rows }) {
  const cell = (tag) => (children, index) =>
    h(tag, { class: `align-${align[index]}` }, inlineElements(children));
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, head.map(cell("th")))),
    h(
      "tbody",
      {},
      rows.map((row) => h("tr", {}, row.map(cell("td")))),
    ),
  );
  return h(
    "div",
    { class: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Table" },
    table,
  );
}

/** Code with its language and a button that copies it. */
export function codeBlock(text, language = "") {
  const pieces = highlight(text, language).map(({ kind, text: piece }) =>
    kind === null ? piece : h("span", { class: `code-${kind}` }, piece),
  );
  return h(
    "figure",
    { class: "code" },
    h("figcaption", {}, h("span", {}, language || "text"), copyButton(text)),
    h("pre", { tabIndex: 0 }, h("code", {}, pieces)),
  );
}

const INLINES = {
  strong: ({ children }) => h("strong", {}, inlineElements(children)),
  em: ({ children }) => h("em", {}, inlineElements(children)),
  del: ({ children }) => h("del", {}, inlineElements(children)),
  code: ({ text }) => h("code", {}, text),
  break: () => h("br"),
  link: ({ href, children }) =>
    h("a", { href, target: "_blank", rel: "noopener noreferrer" }, inlineElements(children)),
};

const inlineElements = (nodes) =>
  nodes.map((node) => (typeof node === "string" ? node : INLINES[node.type](node)));
