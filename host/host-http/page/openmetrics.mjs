// Reads OpenMetrics text, and makes rates and quantiles of two readings.
// It knows no metric's name.

const SERIES = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \S+)?$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Every series of a page: name, labels, value. Lines that are none are passed over. */
export function parse(text) {
  const series = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const found = SERIES.exec(line);
    if (!found || Number.isNaN(number(found[3]))) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) labels[name] = unescape(value);
    series.push({ name: found[1], labels, value: number(found[3]) });
  }
  return series;
}

const unescape = (text) => text.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));

function number(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

const matches = (series, name, model) =>
  series.name === name && (model === null || series.labels.model === model);

/** The sum of a name's series, of one model or of all. */
export function sum(page, name, model = null) {
  const found = page.filter((series) => matches(series, name, model));
  return found.reduce((total, series) => total + series.value, 0);
}

/** How much a counter grew; one that fell began anew. */
export function growth(before, after, name, model = null) {
  const [old, now] = [sum(before, name, model), sum(after, name, model)];
  return now >= old ? now - old : now;
}

/** Counts by upper bound, lowest first, each with those below it. */
function buckets(page, name, model) {
  const counts = new Map();
  for (const series of page) {
    if (!matches(series, `${name}_bucket`, model)) continue;
    const bound = number(series.labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + series.value);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/**
 * The quantile of what a histogram counted between two readings, as if values lay evenly in a
 * bucket; null when nothing was counted.
 */
export function quantile(before, after, name, q, model = null) {
  const old = new Map(buckets(before, name, model));
  const now = buckets(after, name, model).map(([bound, n]) => [bound, n - (old.get(bound) ?? 0)]);
  const total = now.at(-1)?.[1] ?? 0;
  if (!(total > 0)) return null;
  let [low, below] = [0, 0];
  for (const [bound, count] of now) {
    if (count >= q * total) {
      // Beyond the last bound nothing is known but that.
      if (bound === Infinity) return low;
      return low + ((bound - low) * (q * total - below)) / (count - below || 1);
    }
    [low, below] = [bound, count];
  }
  return low;
}
