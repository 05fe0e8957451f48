// Markdown in blocks: a text to a list of plain objects. An answer is read again while it comes, so
// whatever has not ended yet (a fence, a table) is taken as it stands.

import { inline } from "./inline.mjs";

/** How deep quotes and lists may stand in each other; deeper ones stay text. */
const DEPTH_MAX = 12;

/** The blocks of a text. */
export function markdown(text) {
  return blocks(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

/** What may begin at a line, in the order of asking; a paragraph is what is left. */
const READERS = [fence, heading, rule, quote, list, table];

function blocks(lines, depth) {
  const out = [];
  for (let at = 0; at < lines.length;) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const found = depth < DEPTH_MAX ? firstOf(READERS, lines, at, depth) : null;
    const [block, next] = found ?? paragraph(lines, at, depth);
    out.push(block);
    at = next;
  }
  return out;
}

function firstOf(readers, lines, at, depth) {
  for (const reader of readers) {
    const found = reader(lines, at, depth);
    if (found) return found;
  }
  return null;
}

const indentOf = (line) => line.length - line.trimStart().length;

function fence(lines, at) {
  const line = lines[at];
  const open = /^ *(`{3,}|~{3,})([^`]*)$/.exec(line);
  if (!open) return null;
  const [, mark, info] = open;
  const indent = indentOf(line);
  const isEnd = (other) => {
    const word = other.trim();
    return word.length >= mark.length && word === mark[0].repeat(word.length);
  };
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const body = lines.slice(at + 1, end).map((one) => one.slice(Math.min(indent, indentOf(one))));
  const language = info.trim().split(/\s/)[0].toLowerCase();
  return [{ type: "code", language, text: body.join("\n") }, end + 1];
}

function heading(lines, at) {
  const line = lines[at].trim();
  const level = /^#{1,6}(?= |$)/.exec(line)?.[0].length;
  if (!level) return null;
  let text = line.slice(level).trim();
  const closing = text.lastIndexOf(" ");
  if (/^#+$/.test(text.slice(closing + 1))) text = text.slice(0, Math.max(0, closing)).trim();
  return [{ type: "heading", level, children: inline(text) }, at + 1];
}

function rule(lines, at) {
  const marks = lines[at].replaceAll(" ", "");
  const isRule = marks.length >= 3 && "-*_".includes(marks[0]);
  if (!isRule || marks !== marks[0].repeat(marks.length)) return null;
  return [{ type: "rule" }, at + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && lines[end].trimStart().startsWith(">")) end += 1;
  if (end === at) return null;
  const inner = lines.slice(at, end).map((line) => line.trimStart().slice(1).replace(/^ /, ""));
  return [{ type: "quote", children: blocks(inner, depth + 1) }, end];
}

/** The mark of a list item: where it stands, where its text begins, and its number if it has one. */
function itemMark(line) {
  const found = /^( *)([-*+]|\d{1,9}[.)])( +|$)/.exec(line);
  if (!found) return null;
  const [, space, mark, gap] = found;
  const number = /^\d/.test(mark) ? Number.parseInt(mark, 10) : null;
  // Four spaces and more after the mark begin with code.
  const width = gap.length > 4 ? 1 : Math.max(1, gap.length);
  const kind = mark.at(-1);
  return { indent: space.length, text: space.length + mark.length + width, number, kind };
}

function list(lines, at, depth) {
  const first = itemMark(lines[at]);
  if (!first) return null;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const mark = itemMark(lines[next]);
    if (!mark || mark.kind !== first.kind || mark.indent > first.indent + 1) break;
    const end = endOfItem(lines, next, mark.indent);
    const inner = lines
      .slice(next, end)
      .map((line, index) =>
        line.slice(index === 0 ? mark.text : Math.min(mark.text, indentOf(line))),
      );
    items.push(blocks(inner, depth + 1));
    next = end;
  }
  const { number } = first;
  return [{ type: "list", ordered: number !== null, start: number ?? 1, items }, next];
}

/** Lines below an item belong to it while they are indented, or go on with its paragraph. */
function endOfItem(lines, begin, indent) {
  let end = begin + 1;
  for (let at = end; at < lines.length; at += 1) {
    if (!lines[at].trim()) continue;
    const isInside = indentOf(lines[at]) >= indent + 2;
    const goesOn = at === end && !beginsBlock(lines, at);
    if (!isInside && !goesOn) break;
    end = at + 1;
  }
  // Empty lines between two items go with the first.
  while (end < lines.length && !lines[end].trim()) end += 1;
  return end;
}

function table(lines, at) {
  const align = at + 1 < lines.length && lines[at].includes("|") ? alignment(lines[at + 1]) : null;
  const head = align && cells(lines[at]);
  if (!head || head.length !== align.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const row = (line) => {
    const found = cells(line).slice(0, head.length).map(inline);
    return [...found, ...Array(head.length - found.length).fill([])];
  };
  return [
    { type: "table", align, head: head.map(inline), rows: lines.slice(at + 2, end).map(row) },
    end,
  ];
}

function alignment(line) {
  if (!line.includes("-")) return null;
  const found = cells(line);
  if (!found.every((cell) => /^:?-+:?$/.test(cell))) return null;
  return found.map((cell) => {
    if (!cell.endsWith(":")) return "left";
    return cell.startsWith(":") ? "center" : "right";
  });
}

/** The cells of a row; a bar behind a backslash or inside code is text. */
function cells(line) {
  const out = [""];
  let inCode = false;
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at];
    if (character === "`") inCode = !inCode;
    if (character === "\\" && line[at + 1] === "|") {
      out[out.length - 1] += "|";
      at += 1;
    } else if (character === "|" && !inCode) out.push("");
    else out[out.length - 1] += character;
  }
  const found = out.map((cell) => cell.trim());
  if (found.length > 1 && found[0] === "") found.shift();
  if (found.length > 1 && found.at(-1) === "") found.pop();
  return found;
}

/** Whether a line ends the paragraph before it. */
function beginsBlock(lines, at) {
  const mark = itemMark(lines[at]);
  const isItem = mark !== null && lines[at].length > mark.text - 1;
  const begins = [fence, heading, rule].some((reader) => reader(lines, at) !== null);
  return begins || isItem || lines[at].trimStart().startsWith(">");
}

function paragraph(lines, at, depth) {
  let end = at + 1;
  const goesOn = () => lines[end].trim() && (depth >= DEPTH_MAX || !beginsBlock(lines, end));
  while (end < lines.length && goesOn()) end += 1;
  const text = lines
    .slice(at, end)
    .map((line) => line.trim())
    .join("\n");
  return [{ type: "paragraph", children: inline(text) }, end];
}
