// A conversation as a tree: an edited message and a second answer are siblings of the first, and
// one path through the tree is what is shown and sent. Plain data in, plain data out.

/** The parent of a first message. */
export const ROOT = "";

export const newConversation = (id, nowMs) => ({
  id,
  title: "",
  createdMs: nowMs,
  updatedMs: nowMs,
  nodes: [],
  chosen: {},
});

/** Adds a message below `parent` and chooses it. */
export function addNode(conversation, parent, node) {
  conversation.nodes.push({ ...node, parent });
  conversation.chosen[parent] = node.id;
  return conversation.nodes.at(-1);
}

/** The messages from the first to the last along the chosen branches. */
export function pathOf(conversation) {
  const children = new Map();
  for (const node of conversation.nodes) {
    if (!children.has(node.parent)) children.set(node.parent, []);
    children.get(node.parent).push(node);
  }
  const path = [];
  let parent = ROOT;
  // A tree has no cycles, but an imported one may.
  while (path.length < conversation.nodes.length) {
    const siblings = children.get(parent);
    if (!siblings) break;
    const chosen = conversation.chosen[parent];
    const node = siblings.find((sibling) => sibling.id === chosen) ?? siblings.at(-1);
    path.push(node);
    parent = node.id;
  }
  return path;
}

/** The messages from the first to the one with that id, whatever branches are chosen. */
export function pathTo(conversation, id) {
  const byId = new Map(conversation.nodes.map((node) => [node.id, node]));
  const path = [];
  let node = byId.get(id);
  while (node && path.length < conversation.nodes.length) {
    path.unshift(node);
    node = byId.get(node.parent);
  }
  return path;
}

/** Where a message stands among those with the same parent. */
export function placeOf(conversation, node) {
  const siblings = conversation.nodes.filter((other) => other.parent === node.parent);
  return { index: siblings.findIndex((other) => other.id === node.id), count: siblings.length };
}

/** Chooses the sibling that stands `step` places beside the message. */
export function chooseBeside(conversation, node, step) {
  const siblings = conversation.nodes.filter((other) => other.parent === node.parent);
  const index = siblings.findIndex((other) => other.id === node.id) + step;
  if (siblings[index]) conversation.chosen[node.parent] = siblings[index].id;
}
