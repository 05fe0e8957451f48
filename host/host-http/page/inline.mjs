// Markdown inside a line: text to a tree of plain objects, in time that grows with the text.
// It makes no element; a node is a string or an object whose `type` says what it is.

const SCHEMES = /^https?:\/\//i;
const ADDRESS_CHARS_MAX = 2000;
/** Most marks that wait for their end at a time; more stay text. */
const OPEN_MAX = 64;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const MARKS = { "*": ["em", "strong"], _: ["em", "strong"], "~": [null, "del"] };

/** The nodes of a text. */
export function inline(text) {
  return new Reader(text).nodes();
}

class Reader {
  #text;
  #at = 0;
  /** Nodes so far; a mark that waits for its end is an object with `mark`. */
  #out = [];
  #open = [];
  /** Lengths of backtick runs that have no end further on. */
  #endless = new Set();

  constructor(text) {
    this.#text = text;
  }

  nodes() {
    while (this.#at < this.#text.length) {
      const rest = this.#special(this.#text[this.#at]);
      if (rest === null) this.#plain();
      else this.#at = rest;
    }
    return joined(this.#out);
  }

  /** Reads what begins here and gives back where it ends; null: nothing begins here. */
  #special(character) {
    switch (character) {
      case "\\":
        return this.#escape();
      case "`":
        return this.#code();
      case "*":
      case "_":
      case "~":
        return this.#mark(character);
      case "[":
        return this.#bracket(1);
      case "!":
        return this.#text[this.#at + 1] === "[" ? this.#bracket(2) : null;
      case "]":
        return this.#link();
      case "<":
        return this.#angle();
      case "\n":
        return this.#lineBreak();
      case "h":
      case "H":
        return this.#address();
      default:
        return null;
    }
  }

  #plain() {
    const next = /[\\`*_~[\]!<\nhH]/g;
    next.lastIndex = this.#at + 1;
    const end = next.exec(this.#text)?.index ?? this.#text.length;
    this.#out.push(this.#text.slice(this.#at, end));
    this.#at = end;
  }

  #escape() {
    const next = this.#text[this.#at + 1] ?? "";
    if (!PUNCTUATION.test(next)) return null;
    this.#out.push(next);
    return this.#at + 2;
  }

  #lineBreak() {
    this.#out.push({ type: "break" });
    return this.#at + 1;
  }

  #code() {
    const length = runLength(this.#text, this.#at);
    const begin = this.#at + length;
    const end = this.#endless.has(length) ? -1 : this.#endOfCode(begin, length);
    if (end < 0) {
      this.#endless.add(length);
      this.#out.push(this.#text.slice(this.#at, begin));
      return begin;
    }
    let code = this.#text.slice(begin, end).replaceAll("\n", " ");
    if (code.startsWith(" ") && code.endsWith(" ") && code.trim()) code = code.slice(1, -1);
    this.#out.push({ type: "code", text: code });
    return end + length;
  }

  #endOfCode(begin, length) {
    let at = this.#text.indexOf("`", begin);
    while (at >= 0) {
      const run = runLength(this.#text, at);
      if (run === length) return at;
      at = this.#text.indexOf("`", at + run);
    }
    return -1;
  }

  #mark(character) {
    const run = runLength(this.#text, this.#at);
    const [before, after] = [this.#text[this.#at - 1] ?? " ", this.#text[this.#at + run] ?? " "];
    const spaced = { before: /\s/.test(before), after: /\s/.test(after) };
    const wordy = character === "_";
    const opens = !spaced.after && !(wordy && /\w/.test(before));
    const closes = !spaced.before && !(wordy && /\w/.test(after));
    let left = closes ? this.#close(character, run) : run;
    if (opens && left > 0 && this.#open.length < OPEN_MAX) {
      this.#open.push(this.#out.length);
      this.#out.push({ mark: character, count: left });
      left = 0;
    }
    if (left > 0) this.#out.push(character.repeat(left));
    return this.#at + run;
  }

  /** Closes marks of this kind from the inside out; gives back how many characters are left. */
  #close(character, run) {
    let left = run;
    for (let index = this.#open.length - 1; index >= 0 && left > 0; index -= 1) {
      const place = this.#open[index];
      const opener = this.#out[place];
      if (opener.mark === "[") break;
      if (opener.mark !== character) continue;
      while (left > 0 && opener.count > 0) {
        const taken = Math.min(2, left, opener.count);
        const type = MARKS[character][taken - 1];
        if (type === null) break;
        const children = joined(this.#out.splice(place + 1));
        this.#out.push({ type, children });
        opener.count -= taken;
        left -= taken;
      }
      this.#open.length = opener.count > 0 ? index + 1 : index;
    }
    return left;
  }

  #bracket(length) {
    if (this.#open.length >= OPEN_MAX) return null;
    this.#open.push(this.#out.length);
    this.#out.push({ mark: "[", count: 1, text: this.#text.slice(this.#at, this.#at + length) });
    return this.#at + length;
  }

  #link() {
    const index = this.#open.findLastIndex((place) => this.#out[place].mark === "[");
    if (index < 0) return null;
    const place = this.#open[index];
    const [href, end] = this.#destination(this.#at + 1);
    this.#open.length = index;
    const children = joined(this.#out.splice(place + 1));
    const opener = this.#out.pop();
    if (href !== null && SCHEMES.test(href)) {
      this.#out.push({ type: "link", href, children });
      return end;
    }
    // What leads nowhere safe stays as it was written.
    this.#out.push(opener.text, ...children, "]");
    return this.#at + 1;
  }

  /** The address in parentheses at that place, a title passed over, and the end of it all. */
  #destination(at) {
    if (this.#text[at] !== "(") return [null, at];
    const near = this.#text.slice(at + 1, at + 1 + ADDRESS_CHARS_MAX);
    let depth = 0;
    for (let index = 0; index < near.length; index += 1) {
      if (near[index] === "\n") break;
      if (near[index] === "(") depth += 1;
      if (near[index] !== ")") continue;
      if (depth > 0) depth -= 1;
      else return [near.slice(0, index).trim().split(/\s/)[0], at + index + 2];
    }
    return [null, at];
  }

  #angle() {
    const near = this.#text.slice(this.#at + 1, this.#at + 1 + ADDRESS_CHARS_MAX);
    const end = near.indexOf(">");
    const href = near.slice(0, Math.max(0, end));
    if (!SCHEMES.test(href) || /[\s<]/.test(href)) return null;
    this.#out.push({ type: "link", href, children: [href] });
    return this.#at + end + 2;
  }

  #address() {
    const near = this.#text.slice(this.#at, this.#at + ADDRESS_CHARS_MAX);
    if (!SCHEMES.test(near) || /\w/.test(this.#text[this.#at - 1] ?? "")) return null;
    let href = /^[^\s<>`"\]]*/.exec(near)[0].replace(/[.,:;!?*_~'’)]+$/, "");
    // A parenthesis that was opened inside belongs to the address.
    if (near[href.length] === ")" && href.includes("(")) href += ")";
    if (href.length < "http://a".length) return null;
    this.#out.push({ type: "link", href, children: [href] });
    return this.#at + href.length;
  }
}

function runLength(text, at) {
  let end = at;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/** Marks that found no end become text again, and neighbouring texts become one. */
function joined(nodes) {
  const out = [];
  for (const node of nodes) {
    const text = node.mark ? (node.text ?? node.mark.repeat(node.count)) : node;
    if (typeof text === "string" && typeof out.at(-1) === "string") out[out.length - 1] += text;
    else if (text !== "") out.push(text);
  }
  return out;
}
