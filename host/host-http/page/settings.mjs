// What a person set for answers: the fields with their ranges, presets, and the fields of a request
// that they become. An empty field is left to the host. Nothing here touches the document.

/** Numbers, with the ranges that the host allows and what it takes when nothing is sent. */
export const NUMBERS = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05, usual: 1 },
  { name: "top_p", label: "Top p", min: 0.01, max: 1, step: 0.01, usual: 1 },
  { name: "top_k", label: "Top k", min: 0, max: 1000, step: 1, usual: 0 },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: 0.01, usual: 0 },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    min: 0.01,
    max: 10,
    step: 0.01,
    usual: 1,
  },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.05, usual: 0 },
  { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: 0.05, usual: 0 },
  { name: "seed", label: "Seed", step: 1, usual: "random" },
  { name: "max_tokens", label: "Most tokens", min: 1, max: 2147483647, step: 1, usual: "no limit" },
];

/** Texts; `schema` and `tools` are JSON. */
const TEXTS = ["system", "stop", "schema", "tools"];

export const EMPTY = Object.freeze(
  Object.fromEntries([...NUMBERS.map((field) => field.name), ...TEXTS].map((name) => [name, ""])),
);

/** Presets that are always there; each is the sampling fields it sets. */
export const PRESETS = {
  "As the host has it": {},
  Exact: { temperature: "0" },
  Balanced: { temperature: "0.7", top_p: "0.95" },
  Inventive: { temperature: "1.1", min_p: "0.05" },
};

const PRESETS_MAX = 50;
const STOPS_MAX = 16;
const PLACE = "host.settings";
const PRESETS_PLACE = "host.presets";

export function load(storage) {
  return checked(read(storage, PLACE));
}

export const save = (storage, settings) => storage.setItem(PLACE, JSON.stringify(settings));

/** Presets that a person made, by name. */
export const ownPresets = (storage) =>
  Object.fromEntries(Object.entries(read(storage, PRESETS_PLACE)).slice(0, PRESETS_MAX));

export function savePreset(storage, name, settings) {
  const presets = ownPresets(storage);
  if (!(name in presets) && Object.keys(presets).length >= PRESETS_MAX) {
    throw new Error(`there are ${PRESETS_MAX} presets already; delete one first`);
  }
  storage.setItem(PRESETS_PLACE, JSON.stringify({ ...presets, [name]: checked(settings) }));
}

export function removePreset(storage, name) {
  const { [name]: _removed, ...rest } = ownPresets(storage);
  storage.setItem(PRESETS_PLACE, JSON.stringify(rest));
}

/** The settings after a preset: its numbers, and its texts if it has any. */
export function withPreset(settings, preset) {
  const numbers = Object.fromEntries(NUMBERS.map(({ name }) => [name, ""]));
  return checked({ ...settings, ...numbers, ...preset });
}

function read(storage, place) {
  try {
    const value = JSON.parse(storage.getItem(place));
    return value && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

function checked(value) {
  const known = Object.keys(EMPTY).filter((name) => typeof value[name] === "string");
  return { ...EMPTY, ...Object.fromEntries(known.map((name) => [name, value[name]])) };
}

/** The fields of a request; throws in words for the person who set them. */
export function requestFields(settings) {
  const fields = {};
  for (const { name, label } of NUMBERS) {
    const text = settings[name].trim();
    if (text === "") continue;
    if (!Number.isFinite(Number(text))) throw new Error(`${label} is “${text}”, expected a number`);
    fields[name] = Number(text);
  }
  const stop = settings.stop.split("\n").filter((line) => line !== "");
  if (stop.length > STOPS_MAX)
    throw new Error(`${stop.length} stop sequences, at most ${STOPS_MAX}`);
  if (stop.length) fields.stop = stop.map(unescaped);
  if (settings.schema.trim()) {
    const schema = json(settings.schema, "The JSON schema");
    const json_schema = { name: "answer", schema, strict: true };
    fields.response_format = { type: "json_schema", json_schema };
  }
  if (settings.tools.trim()) {
    fields.tools = json(settings.tools, "The list of tools");
    if (!Array.isArray(fields.tools)) throw new Error("The list of tools is no JSON array");
  }
  return fields;
}

/** A line break or tab in a stop sequence is written as `\n` or `\t`. */
const unescaped = (text) =>
  text.replace(/\\([nt\\])/g, (_, c) => ({ n: "\n", t: "\t", "\\": "\\" })[c]);

function json(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} is not JSON: ${error.message}`);
  }
}
