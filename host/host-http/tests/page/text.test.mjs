// Markdown, highlighting and figures: text in, plain objects or text out.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../page/format.mjs";
import { highlight } from "../../page/highlight.mjs";
import { inline } from "../../page/inline.mjs";
import { markdown } from "../../page/markdown.mjs";

/** A tree in few characters: the type and what is inside. */
function short(node) {
  if (typeof node === "string") return node;
  const inner = node.children ? node.children.map(short).join("") : (node.text ?? "");
  return `<${node.type}${node.href ? ` ${node.href}` : ""}:${inner}>`;
}
const check = (text, expected) => assert.equal(inline(text).map(short).join(""), expected, text);

test("emphasis opens and closes at words", () => {
  check("a *b* **c** ***d*** ~~e~~", "a <em:b> <strong:c> <em:<strong:d>> <del:e>");
  check("**bold *and* more**", "<strong:bold <em:and> more>");
  check("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4");
  check("**open *too", "**open *too");
  check("*a **b* c**", "<em:a <em:<em:b> c>>");
  check("~one~", "~one~");
  check("a\\*b\\*", "a*b*");
  check("one\ntwo", "one<break:>two");
});

test("code spans keep what is inside", () => {
  check("`a*b*` ``x`y`` `open", "<code:a*b*> <code:x`y> `open");
  check("`` ` ``", "<code:`>");
});

test("links lead to http and https only", () => {
  check('[a *b*](https://e.org/x "t")', "<link https://e.org/x:a <em:b>>");
  check("[wiki](https://e.org/a_(b))", "<link https://e.org/a_(b):wiki>");
  check(
    "see https://e.org/x_y. Or <http://e.org>",
    "see <link https://e.org/x_y:https://e.org/x_y>. Or <link http://e.org:http://e.org>",
  );
  check("![alt](https://e.org/i.png)", "<link https://e.org/i.png:alt>");
  for (const href of [
    "javascript:alert(1)",
    "JaVaScRiPt:x",
    "data:text/html,x",
    "/local",
    "//e.org",
    "vbscript:x",
  ]) {
    check(`[x](${href})`, `[x](${href})`);
  }
  check("[x](https://e.org", "[x](<link https://e.org:https://e.org>");
});

test("markup is text", () => {
  check("<b onclick=x>&amp;", "<b onclick=x>&amp;");
  assert.deepEqual(markdown("<script>alert(1)</script>"), [
    { type: "paragraph", children: ["<script>alert(1)</script>"] },
  ]);
});

test("blocks are told apart", () => {
  const types = (text) =>
    markdown(text)
      .map((block) => block.type)
      .join(" ");
  assert.equal(
    types("# A\ntext\n- x\n\n1. y\n> q\n---\n```js\nz\n```"),
    "heading paragraph list list quote rule code",
  );
  assert.equal(types("| a | b |\n|---|:-:|\n| 1 | 2 |\nend"), "table paragraph");
  assert.equal(types("a | b\nno table"), "paragraph");
  assert.equal(types("#no heading\n####### none"), "paragraph");
  assert.equal(types(""), "");
});

test("a fence that has not ended holds the rest", () => {
  assert.deepEqual(markdown("```Python x\na\n\n  b"), [
    { type: "code", language: "python", text: "a\n\n  b" },
  ]);
  assert.deepEqual(markdown("~~~~\n```\n~~~~"), [{ type: "code", language: "", text: "```" }]);
});

test("lists nest and hold blocks", () => {
  const [list] = markdown("3. a\n   - b\n     - c\n4. d\n\n   e\n\n       f");
  assert.deepEqual([list.ordered, list.start, list.items.length], [true, 3, 2]);
  const [, inner] = list.items[0];
  assert.deepEqual([inner.type, inner.items[0][1].type], ["list", "list"]);
  assert.deepEqual(
    list.items[1].map((block) => block.type),
    ["paragraph", "paragraph", "paragraph"],
  );
  const [fenced] = markdown("- a\n  ```\n  x\n  ```\n- b");
  assert.deepEqual(
    fenced.items.map((item) => item.map((block) => block.type)),
    [["paragraph", "code"], ["paragraph"]],
  );
  assert.equal(fenced.items[0][1].text, "x");
});

test("a table's rows have its width", () => {
  const [table] = markdown("|a|b|\n|:-|-:|\n|1|2|3|\n|`x|y`|\n|p\\|q|r|");
  assert.deepEqual(table.align, ["left", "right"]);
  const cells = table.rows.map((row) => row.map((cell) => cell.map(short).join("")));
  assert.deepEqual(cells, [
    ["1", "2"],
    ["<code:x|y>", ""],
    ["p|q", "r"],
  ]);
});

test("hostile text is read in time that grows with it", () => {
  const texts = [
    "*a ",
    "[",
    "](",
    "`a``b",
    "> ",
    "- ",
    "_a*b~~",
    "![",
    "<http://",
    "https://a ",
    "| a ",
    "1. ",
    "\\",
    "#",
  ];
  for (const text of [...texts, ...texts.map((one) => `${one}\n`)]) {
    const start = process.cpuUsage();
    markdown(text.repeat(20_000));
    const took = process.cpuUsage(start).user / 1000;
    assert.ok(took < 3000, `${JSON.stringify(text)} took ${took} ms`);
  }
});

test("nothing is lost in colouring", () => {
  const code = 'fn main() { // "x"\n  let s = "a\\"b"; let n = 0x1f + 2.5e3; \'c\' }\n/* open';
  for (const language of ["rust", "python", "sql", "html", "json", "unknown"]) {
    assert.equal(
      highlight(code, language)
        .map((piece) => piece.text)
        .join(""),
      code,
      language,
    );
  }
  const kinds = highlight("let x = 1; // y", "rust").filter((piece) => piece.kind);
  assert.deepEqual(
    kinds.map(({ kind, text }) => `${kind} ${text}`),
    ["keyword let", "number 1", "comment // y"],
  );
});

test("figures are short", () => {
  assert.deepEqual([0, 1023, 1536, 5.5e9, Number.NaN].map(format.bytes), [
    "0 B",
    "1023 B",
    "1.5 KiB",
    "5.1 GiB",
    "–",
  ]);
  assert.deepEqual([999, 260_000, 1_234_567, 8.03e9].map(format.short), [
    "999",
    "260K",
    "1.2M",
    "8B",
  ]);
  assert.deepEqual([0.5, 5.25, 320, 4200, 75_000].map(format.duration), [
    "0.50 ms",
    "5.3 ms",
    "320 ms",
    "4.2 s",
    "1 min 15 s",
  ]);
  const noon = new Date(2024, 4, 5, 12).getTime();
  assert.deepEqual(
    [0, 13, 40].map((hours) => format.day(noon - hours * 3_600_000, noon)).slice(0, 2),
    ["Today", "Yesterday"],
  );
});
