// Where the page begins: makes the views, and shows the one that the address names.

import { onKeyNeeded } from "./api.mjs";
import { setUpApi } from "./api-view.mjs";
import { setUpChat } from "./chat.mjs";
import { setUpChatList } from "./chat-list.mjs";
import { Library } from "./library.mjs";
import { setUpMetrics } from "./metrics.mjs";
import { setUpModels } from "./models.mjs";
import { askKey, guarded } from "./notices.mjs";
import { setUpPlugins } from "./plugins.mjs";
import { setUpSampling } from "./sampling.mjs";
import { Session } from "./session.mjs";
import { load } from "./settings.mjs";
import { refreshModels } from "./state.mjs";
import { setUpTheme } from "./theme.mjs";

const TITLES = {
  chat: "Chat",
  models: "Models",
  plugins: "Plugins",
  metrics: "Metrics",
  api: "API",
};
const byId = (id) => document.getElementById(id);

onKeyNeeded(askKey);
setUpTheme(byId("theme"));
const settings = load(localStorage);
const session = new Session(new Library(localStorage), settings);
setUpSampling(settings);
setUpChat(session);
setUpChatList(session);
const views = {
  models: setUpModels(),
  plugins: setUpPlugins(),
  metrics: setUpMetrics(),
  api: setUpApi(),
};

let shown = null;

/** Shows the view of the address: `#chat`, `#chat/ID`, `#models` and so on. */
function route() {
  const [name, id] = location.hash.slice(1).split("/");
  const view = name in TITLES ? name : "chat";
  if (view === "chat" && id && !session.open(id)) history.replaceState(null, "", "#chat");
  if (shown !== view) {
    views[shown]?.close?.();
    views[view]?.open();
    shown = view;
    guarded(refreshModels)();
  }
  for (const one of Object.keys(TITLES)) byId(one).hidden = one !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = view;
  document.title = `${TITLES[view]} · host`;
  setSidebar(false);
}

/** On narrow screens the sidebar lies over the view. */
function setSidebar(isOpen) {
  document.body.classList.toggle("sidebar-open", isOpen);
  byId("menu").setAttribute("aria-expanded", String(isOpen));
}

function setSettings(isOpen) {
  byId("settings").hidden = !isOpen;
  byId("settings-toggle").setAttribute("aria-expanded", String(isOpen));
}

function newChat() {
  session.start();
  location.hash = "#chat";
  route();
  byId("message").focus();
}

session.addEventListener("change", () => {
  // The address names the conversation once it is kept, so that a reload opens it again.
  const { id } = session.conversation;
  if (shown !== "chat") return;
  history.replaceState(null, "", session.library.get(id) ? `#chat/${id}` : "#chat");
});
byId("menu").addEventListener("click", () =>
  setSidebar(!document.body.classList.contains("sidebar-open")),
);
byId("backdrop").addEventListener("click", () => setSidebar(false));
byId("new-chat").addEventListener("click", newChat);
byId("settings-toggle").addEventListener("click", () => setSettings(byId("settings").hidden));
byId("settings-close").addEventListener("click", () => {
  setSettings(false);
  byId("settings-toggle").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") setSidebar(false);
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    setSidebar(true);
    byId("search").focus();
  }
});
addEventListener("hashchange", route);
route();
