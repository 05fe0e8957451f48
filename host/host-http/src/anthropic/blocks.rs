//! Splits an answer into content blocks.
//!
//! Text and tool calls come as deltas of one choice; here each run of text and each call becomes a
//! block that begins, grows and ends. A whole answer is its blocks' events put together, so it
//! cannot differ from a streamed one.

use host_generation::{Delta, ToolCallDelta};
use serde_json::Map;

use super::wire::{Block, BlockDelta, BlockEvent};
use crate::ids::random_id;

/// The blocks of an answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Blocks that have ended.
    ended: usize,
    open: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Thinking,
    Text,
    ToolUse,
}

impl Blocks {
    /// What a delta adds.
    pub(super) fn add(&mut self, delta: Delta) -> Vec<BlockEvent> {
        let mut events = Vec::new();
        // A call that goes on was there before the text of this delta, a new one comes after it.
        let is_going_on = |call: &ToolCallDelta| call.name.is_none();
        let (going_on, new): (Vec<_>, Vec<_>) = delta.tool_calls.into_iter().partition(is_going_on);
        for call in going_on {
            self.grow_input(call.arguments, &mut events);
        }
        if !delta.reasoning.is_empty() {
            self.open(Kind::Thinking, &mut events);
            let delta = BlockDelta::Thinking { thinking: delta.reasoning };
            events.push(BlockEvent::Delta { index: self.ended, delta });
        }
        if !delta.text.is_empty() {
            self.open(Kind::Text, &mut events);
            let delta = BlockDelta::Text { text: delta.text };
            events.push(BlockEvent::Delta { index: self.ended, delta });
        }
        for ToolCallDelta { name, arguments, .. } in new {
            let (id, name) = (random_id("toolu_"), name.unwrap_or_default());
            self.close(&mut events);
            self.begin(Kind::ToolUse, Block::ToolUse { id, name, input: Map::new() }, &mut events);
            self.grow_input(arguments, &mut events);
        }
        events
    }

    /// What the end of the answer adds: an answer has at least one block.
    pub(super) fn end(&mut self) -> Vec<BlockEvent> {
        let mut events = Vec::new();
        if self.ended == 0 && self.open.is_none() {
            self.open(Kind::Text, &mut events);
        }
        self.close(&mut events);
        events
    }

    /// Opens a block of words, unless one of its kind is open.
    fn open(&mut self, kind: Kind, events: &mut Vec<BlockEvent>) {
        if self.open != Some(kind) {
            let (text, signature) = (String::new(), String::new());
            self.close(events);
            let block = match kind {
                Kind::Thinking => Block::Thinking { thinking: text, signature },
                _ => Block::Text { text },
            };
            self.begin(kind, block, events);
        }
    }

    fn begin(&mut self, kind: Kind, content_block: Block, events: &mut Vec<BlockEvent>) {
        self.open = Some(kind);
        events.push(BlockEvent::Start { index: self.ended, content_block });
    }

    fn grow_input(&mut self, partial_json: String, events: &mut Vec<BlockEvent>) {
        if !partial_json.is_empty() {
            let delta = BlockDelta::InputJson { partial_json };
            events.push(BlockEvent::Delta { index: self.ended, delta });
        }
    }

    fn close(&mut self, events: &mut Vec<BlockEvent>) {
        if self.open.take().is_some() {
            events.push(BlockEvent::Stop { index: self.ended });
            self.ended += 1;
        }
    }
}

/// Puts the events of an answer's blocks together.
pub(super) fn gather(events: Vec<BlockEvent>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut json = String::new();
    for event in events {
        match (event, blocks.last_mut()) {
            (BlockEvent::Start { content_block, .. }, _) => blocks.push(content_block),
            (BlockEvent::Delta { delta, .. }, last) => match (delta, last) {
                (BlockDelta::Text { text: more }, Some(Block::Text { text })) => {
                    text.push_str(&more);
                }
                (
                    BlockDelta::Thinking { thinking: more },
                    Some(Block::Thinking { thinking, .. }),
                ) => thinking.push_str(&more),
                (BlockDelta::InputJson { partial_json }, _) => json.push_str(&partial_json),
                (BlockDelta::Text { .. } | BlockDelta::Thinking { .. }, _) => {}
            },
            (BlockEvent::Stop { .. }, Some(Block::ToolUse { input, .. })) => {
                // Arguments that were cut off by the token limit are no object, and cannot be sent.
                *input = serde_json::from_str(&std::mem::take(&mut json)).unwrap_or_default();
            }
            (BlockEvent::Stop { .. }, _) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use host_generation::{Delta, ToolCallDelta};
    use serde_json::json;

    use super::{Blocks, gather};

    #[test]
    fn a_call_that_ends_in_a_delta_with_text_is_whole() {
        let call = |index, name: Option<&str>, arguments: &str| {
            let (name, arguments) = (name.map(str::to_owned), arguments.to_owned());
            ToolCallDelta { index, name, arguments }
        };
        let delta = |text: &str, tool_calls| Delta {
            text: text.to_owned(),
            tool_calls,
            ..Delta::default()
        };
        let mut blocks = Blocks::default();
        let mut events = blocks.add(delta("a", vec![call(0, Some("f"), "{\"x\"")]));
        events.extend(blocks.add(delta("b", vec![call(0, None, ":1}"), call(1, Some("g"), "{}")])));
        events.extend(blocks.end());
        let mut content = json!(gather(events));
        for block in [1, 3] {
            content[block]["id"] = "".into();
        }
        let expected = json!([
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "", "name": "f", "input": {"x": 1}},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "", "name": "g", "input": {}},
        ]);
        assert_eq!(content, expected);
    }
}
