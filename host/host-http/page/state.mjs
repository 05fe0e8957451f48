// What several views share: the host's models, and which of them is chosen for chats.

import { readJson } from "./api.mjs";

const PLACE = "host.model";
const changes = new EventTarget();
let known = { models: [], failed: [], memory: null, isRead: false };

/** Calls back whenever the models or the choice have changed. */
export const onModels = (listener) => changes.addEventListener("models", listener);
const tell = () => changes.dispatchEvent(new Event("models"));

export const models = () => known.models;
export const failedModels = () => known.failed;
/** What all models may take and take, of a host that tells. */
export const memoryOfModels = () => known.memory;
/** Whether the host has been asked at all. */
export const areModelsRead = () => known.isRead;

/** A model that says nothing of its state serves. */
export const stateOf = (model) => model.host?.state ?? "ready";
const canChat = (model) => stateOf(model) === "ready" && model.host?.task !== "embed";
export const chatModels = () => known.models.filter(canChat);

/** Asks the host what it serves. */
export async function refreshModels() {
  const { data, failed = [], memory = null } = await readJson("/v1/models");
  known = { models: data, failed, memory, isRead: true };
  tell();
}

/** The model that was chosen, or the first that can chat. */
export function chosenModel() {
  const id = localStorage.getItem(PLACE);
  const usable = chatModels();
  return usable.find((model) => model.id === id) ?? usable[0] ?? null;
}

export function chooseModel(id) {
  localStorage.setItem(PLACE, id);
  tell();
}
