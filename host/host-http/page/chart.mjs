// Small line charts: the last minutes of a few figures, drawn anew with each reading.

import { drawn, h } from "./dom.mjs";

const [WIDTH, HEIGHT] = [320, 96];

/** A card with a chart. `lines` are names; `form` writes a value. */
export class Chart {
  #lines;
  #form;
  #values;
  #drawing = drawn("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
  });
  #top = h("span", { class: "figures chart-top" });

  /** `most` is a value that the scale always reaches; `points` how many readings are shown. */
  constructor(title, lines, form, { most = 1, points = 150 } = {}) {
    this.#lines = lines.map((name) => ({ name, values: [] }));
    this.#form = form;
    this.most = most;
    this.points = points;
    this.title = title;
    this.#values = h("p", { class: "chart-values" });
    this.element = h(
      "figure",
      { class: "card chart" },
      h("figcaption", {}, title),
      this.#values,
      h("div", { class: "chart-area" }, this.#drawing, this.#top),
    );
    this.#draw();
  }

  /** Adds a reading: a value for each line; null leaves a gap. */
  add(values) {
    this.#lines.forEach((line, index) => {
      line.values.push(values[index]);
      if (line.values.length > this.points) line.values.shift();
    });
    this.#draw();
  }

  clear() {
    for (const line of this.#lines) line.values = [];
    this.#draw();
  }

  #draw() {
    const all = this.#lines.flatMap((line) => line.values).filter(Number.isFinite);
    const top = Math.max(this.most, ...all);
    this.#drawing.replaceChildren(
      ...this.#lines.flatMap((line, index) => this.#line(line, index, top)),
    );
    const now = this.#lines.map(({ name, values }) => [name, values.findLast(Number.isFinite)]);
    const parts = now.map(([name, value], index) =>
      h(
        "span",
        { class: `line-${index}` },
        value === undefined ? "–" : this.#form(value),
        h("small", {}, name),
      ),
    );
    this.#values.replaceChildren(...parts);
    this.#top.textContent = this.#form(top);
    const words = now.map(
      ([name, value]) => `${name} ${value === undefined ? "none yet" : this.#form(value)}`,
    );
    this.#drawing.setAttribute("aria-label", `${this.title}: ${words.join(", ")}`);
  }

  /** A line in as many pieces as its gaps make of it; the first has an area below it. */
  #line({ values }, index, top) {
    const step = WIDTH / (this.points - 1);
    const first = this.points - values.length;
    const at = (value, place) =>
      `${((first + place) * step).toFixed(1)},${(HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1)}`;
    const pieces = [];
    values.forEach((value, place) => {
      if (!Number.isFinite(value)) return;
      const goesOn = pieces.length && Number.isFinite(values[place - 1]);
      if (!goesOn) pieces.push([]);
      pieces.at(-1).push([at(value, place), (first + place) * step]);
    });
    return pieces.flatMap((piece) => {
      const points = piece.map(([point]) => point).join(" ");
      const [from, to] = [piece[0][1], piece.at(-1)[1]];
      const area =
        index === 0
          ? [
              drawn("polygon", {
                class: "area",
                points: `${from},${HEIGHT} ${points} ${to},${HEIGHT}`,
              }),
            ]
          : [];
      // A single reading is a dot that a line of no length makes.
      const line = piece.length > 1 ? points : `${points} ${points}`;
      return [...area, drawn("polyline", { class: `line line-${index}`, points: line })];
    });
  }
}
