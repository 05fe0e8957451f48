// Figures in words: bytes, counts, durations, and when something was.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(count) {
  if (!Number.isFinite(count)) return "–";
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log2(count || 1) / 10)));
  const value = count / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** A count with a letter for thousands and more. */
export function short(count) {
  if (!Number.isFinite(count)) return "–";
  const scale = [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "K"],
  ].find(([least]) => count >= least);
  if (!scale) return String(count);
  const value = count / scale[0];
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(1))}${scale[1]}`;
}

export const count = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export const rate = (perSecond) =>
  Number.isFinite(perSecond) ? perSecond.toFixed(perSecond < 100 ? 1 : 0) : "–";

/** A word for the day of a time, seen from now. */
export function day(ms, nowMs) {
  const start = (time) => new Date(time).setHours(0, 0, 0, 0);
  const days = Math.round((start(nowMs) - start(ms)) / 86_400_000);
  if (days <= 0) return "Today";
  return days === 1 ? "Yesterday" : new Date(ms).toLocaleDateString();
}
