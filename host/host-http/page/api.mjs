// Calls the host: the key, errors in the host's own words, whole answers and streams.
// The key lives as long as the tab; nothing here touches the document.

import { objects } from "./events.mjs";

const KEY_PLACE = "host.key";
let askForKey = async () => null;

/** What the host, or the way to it, said against a request. */
class CallError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export const hasKey = () => sessionStorage.getItem(KEY_PLACE) !== null;

function setKey(key) {
  if (key) sessionStorage.setItem(KEY_PLACE, key);
  else sessionStorage.removeItem(KEY_PLACE);
}

/** Says who asks a person for the key; it gives back null when there is none to be had. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** A good response; asks for the key as long as it is wrong. */
async function call(path, { body, signal } = {}) {
  for (;;) {
    const response = await send(path, body, signal);
    if (response.ok) return response;
    const error = await failure(response);
    if (response.status !== 401) throw error;
    const key = await askForKey(error.message);
    if (key === null) throw error;
    setKey(key);
  }
}

async function send(path, body, signal) {
  const headers = {};
  const key = sessionStorage.getItem(KEY_PLACE);
  if (key !== null) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const method = body === undefined ? "GET" : "POST";
  try {
    return await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("the host does not answer; is it running?");
  }
}

async function failure(response) {
  const text = await response.text();
  let message = `${response.status} ${response.statusText}`;
  try {
    message = JSON.parse(text).error.message ?? message;
  } catch {
    // Something between the page and the host answered; its status has to do.
  }
  return new CallError(message, response.status);
}

export const readJson = async (path, signal) => (await call(path, { signal })).json();
export const readText = async (path, signal) => (await call(path, { signal })).text();
export const postJson = async (path, body) => (await call(path, { body })).json();

/** The objects of an answer, whether it is streamed or comes as one. */
export async function* stream(path, body, signal) {
  const response = await call(path, { body, signal });
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
  if (isStream) yield* objects(response);
  else yield await response.json();
}
