// Light colouring of code: comments, strings, numbers and words that a family of languages keeps
// for itself. It parses nothing, so it is never wrong enough to hide a character.

/** Longer code stays plain. */
const CODE_CHARS_MAX = 60_000;

const C_LIKE = {
  comment: String.raw`\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)`,
  string: String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'|${"`"}(?:\\.|[^${"`"}\\])*${"`"}?`,
};
const HASHED = {
  comment: String.raw`#[^\n]*`,
  string: String.raw`"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`,
};
const DASHED = { comment: String.raw`--[^\n]*`, string: String.raw`'(?:''|[^'])*'?|"[^"\n]*"?` };
const TAGGED = { comment: String.raw`<!--[^]*?(?:-->|$)`, string: String.raw`"[^"\n]*"|'[^'\n]*'` };

const FAMILIES = [
  {
    names:
      "js javascript mjs jsx ts typescript tsx java c h cpp c++ cs go swift kotlin scala php dart zig",
    rules: C_LIKE,
    words:
      "abstract as async await auto bool boolean break case catch char class const continue default " +
      "defer delete do double else enum export extends false final finally float fn for from func " +
      "function go if implements import in int interface let long new nil null of package private " +
      "protected public return short static string struct super switch this throw true try type " +
      "typeof undefined unsigned use using var void while yield",
  },
  {
    names: "rust rs",
    // A lifetime is no string that has not ended.
    rules: { ...C_LIKE, string: String.raw`"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\\n])'` },
    words:
      "as async await break const continue crate dyn else enum extern false fn for if impl in let " +
      "loop match mod move mut pub ref return self Self static struct super trait true type unsafe " +
      "use where while",
  },
  {
    names: "python py ruby rb bash sh shell zsh console yaml yml toml dockerfile makefile r perl",
    rules: HASHED,
    words:
      "and as assert async await break case class continue def del do done elif else end esac " +
      "except export false False fi finally for from function global if import in is lambda None " +
      "nonlocal not or pass raise return self then true True try while with yield",
  },
  {
    names: "sql lua haskell hs",
    rules: DASHED,
    words:
      "and as by case create delete desc distinct drop else end exists from group having if in " +
      "index inner insert into is join left like limit local not null on or order outer primary " +
      "return select set table then union update values when where with",
  },
  { names: "json jsonc json5", rules: C_LIKE, words: "true false null" },
  { names: "html xml svg vue", rules: TAGGED, words: "" },
  { names: "css scss less", rules: C_LIKE, words: "" },
];

const byName = new Map();
for (const family of FAMILIES) {
  const { comment, string } = family.rules;
  const number = String.raw`\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w*`;
  const source = `(${comment})|(${string})|(${number})|([A-Za-z_$][\\w$]*)`;
  const ready = { source, words: new Set(family.words.split(" ")) };
  for (const name of family.names.split(" ")) byName.set(name, ready);
}

/** The code in pieces of `{kind, text}`; the kind of plain text is null. */
export function highlight(code, language) {
  const family = byName.get(language);
  if (!family || code.length > CODE_CHARS_MAX) return [{ kind: null, text: code }];
  const folded = language === "sql";
  const pieces = [];
  let end = 0;
  for (const found of code.matchAll(new RegExp(family.source, "g"))) {
    const [text, comment, string, number, word] = found;
    const isKept = word !== undefined && family.words.has(folded ? word.toLowerCase() : word);
    const kind = comment
      ? "comment"
      : string
        ? "string"
        : number
          ? "number"
          : isKept
            ? "keyword"
            : null;
    if (kind === null) continue;
    if (found.index > end) pieces.push({ kind: null, text: code.slice(end, found.index) });
    pieces.push({ kind, text });
    end = found.index + text.length;
  }
  if (end < code.length) pieces.push({ kind: null, text: code.slice(end) });
  return pieces;
}
