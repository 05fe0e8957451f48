// Makes elements. Text only ever becomes text: there is no way from a string to markup here, and
// the page's policy allows none elsewhere.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties and children. `class`, `data-*`, `aria-*`, `role` and `for` are
 * attributes, `onclick` and its like are listeners, the rest are properties.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (/^(class|role|for|list|form)$|-/.test(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element of a drawing. */
export function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** One of the document's icons; it says nothing to a screen reader. */
export const icon = (name) =>
  drawn("svg", { class: "icon", "aria-hidden": "true" }, drawn("use", { href: `#icon-${name}` }));

/** A button that is an icon; its label is what a screen reader and a pointer at rest tell. */
export const iconButton = (name, label, onclick, props = {}) =>
  h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props },
    icon(name),
  );

export const button = (label, onclick, props = {}) =>
  h("button", { type: "button", class: "button", onclick, ...props }, label);

/** A button that copies a text and says so. */
export function copyButton(text, label = "Copy") {
  const word = h("span", {}, label);
  const copy = async () => {
    const done = await copied(typeof text === "function" ? text() : text);
    word.textContent = done ? "Copied" : "Select and copy it by hand";
    setTimeout(() => (word.textContent = label), 1600);
  };
  return h("button", { type: "button", class: "quiet-button", onclick: copy }, icon("copy"), word);
}

async function copied(text) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  // Browsers give the clipboard to safe origins only; the older way works on any.
  const area = h("textarea", { value: text, class: "hidden", readOnly: true });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Shows these children of an element and no others. */
export function show(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(Boolean));
}

/** Random enough to name things; works on origins that browsers call unsafe. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Has the browser save a text as a file. */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
