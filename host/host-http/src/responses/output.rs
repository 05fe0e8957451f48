//! The items of an answer, and the events that tell how they come about.
//!
//! One item is made after the other, and an item is closed before the next is opened. Whole answers
//! are made the same way and leave the events unread.

use std::mem;

use host_generation::{Delta, FinishReason};
use serde_json::{Value, json};

use crate::ids::random_id;

/// What happened to an item.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) body: Value,
}

/// The items so far; all but the last are closed.
#[derive(Debug, Default)]
pub(super) struct Output {
    items: Vec<Item>,
    events: Vec<Event>,
}

#[derive(Debug)]
struct Item {
    id: String,
    status: &'static str,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Reasoning(String),
    Text(String),
    Call { id: String, name: String, arguments: String },
}

const OPEN: &str = "in_progress";

impl Output {
    /// Takes text and calls.
    pub(super) fn add(&mut self, delta: Delta) {
        // What goes on with a call was said before the text, and a new call after it.
        let (begun, new): (Vec<_>, Vec<_>) =
            delta.tool_calls.into_iter().partition(|call| call.name.is_none());
        for call in begun {
            self.append(&call.arguments);
        }
        if !delta.reasoning.is_empty() {
            self.open_words(Content::Reasoning(String::new()));
            self.append(&delta.reasoning);
        }
        if !delta.text.is_empty() {
            self.open_text();
            self.append(&delta.text);
        }
        for call in new {
            let name = call.name.unwrap_or_default();
            let arguments = String::new();
            self.open(Item::new("fc_", Content::Call { id: random_id("call_"), name, arguments }));
            self.append(&call.arguments);
        }
    }

    /// Closes the last item. An answer without any has a text, which is empty.
    pub(super) fn finish(&mut self, reason: FinishReason) {
        if self.items.is_empty() {
            self.open_text();
        }
        self.close(match reason {
            FinishReason::Length => "incomplete",
            FinishReason::Stop | FinishReason::ToolCalls => "completed",
        });
    }

    /// Closes the last item, if it is open.
    pub(super) fn close(&mut self, status: &'static str) {
        let Some(item) = self.items.last_mut().filter(|item| item.status == OPEN) else { return };
        item.status = status;
        let (id, whole) = (item.id.clone(), item.to_json());
        match &item.content {
            Content::Reasoning(text) => {
                let text = json!({"item_id": id, "content_index": 0, "text": text});
                self.tell("response.reasoning_text.done", text);
            }
            Content::Text(text) => {
                let text = json!({"item_id": id, "content_index": 0, "text": text, "logprobs": []});
                let part = &whole["content"][0];
                let part = json!({"item_id": id, "content_index": 0, "part": part});
                self.tell("response.output_text.done", text);
                self.tell("response.content_part.done", part);
            }
            Content::Call { name, arguments, .. } => {
                let call = json!({"item_id": id, "name": name, "arguments": arguments});
                self.tell("response.function_call_arguments.done", call);
            }
        }
        self.tell("response.output_item.done", json!({"item": whole}));
    }

    /// The items as they are in a response.
    pub(super) fn to_json(&self) -> Value {
        self.items.iter().map(Item::to_json).collect()
    }

    /// What happened since this was asked last.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    fn open_text(&mut self) {
        self.open_words(Content::Text(String::new()));
    }

    /// Opens an item of words, unless one of its kind is open.
    fn open_words(&mut self, content: Content) {
        let kind = mem::discriminant(&content);
        if self.items.last().is_some_and(|item| mem::discriminant(&item.content) == kind) {
            return;
        }
        let is_text = matches!(content, Content::Text(_));
        let item = Item::new(if is_text { "msg_" } else { "rs_" }, content);
        let part = json!({"item_id": item.id, "content_index": 0, "part": text_part("")});
        self.open(item);
        if is_text {
            self.tell("response.content_part.added", part);
        }
    }

    fn open(&mut self, item: Item) {
        self.close("completed");
        let added = json!({"item": item.to_json()});
        self.items.push(item);
        self.tell("response.output_item.added", added);
    }

    /// Adds to the text or the arguments of the last item.
    fn append(&mut self, more: &str) {
        let Some(item) = self.items.last_mut().filter(|_| !more.is_empty()) else { return };
        let id = &item.id;
        let (kind, body) = match &mut item.content {
            Content::Reasoning(text) => {
                text.push_str(more);
                let body = json!({"item_id": id, "content_index": 0, "delta": more});
                ("response.reasoning_text.delta", body)
            }
            Content::Text(text) => {
                text.push_str(more);
                let body =
                    json!({"item_id": id, "content_index": 0, "delta": more, "logprobs": []});
                ("response.output_text.delta", body)
            }
            Content::Call { arguments, .. } => {
                arguments.push_str(more);
                let body = json!({"item_id": id, "delta": more});
                ("response.function_call_arguments.delta", body)
            }
        };
        self.tell(kind, body);
    }

    /// Notes an event of the last item.
    fn tell(&mut self, kind: &'static str, mut body: Value) {
        body["output_index"] = self.items.len().saturating_sub(1).into();
        self.events.push(Event { kind, body });
    }
}

impl Item {
    fn new(prefix: &str, content: Content) -> Self {
        Self { id: random_id(prefix), status: OPEN, content }
    }

    fn to_json(&self) -> Value {
        let Self { id, status, content } = self;
        match content {
            Content::Reasoning(text) => {
                let parts = json!([{"type": "reasoning_text", "text": text}]);
                let parts = if *status == OPEN { json!([]) } else { parts };
                json!({"type": "reasoning", "id": id, "summary": [], "content": parts,
                       "status": status})
            }
            Content::Text(text) => {
                // The part of an open item comes in events of its own.
                let parts = if *status == OPEN { json!([]) } else { json!([text_part(text)]) };
                let role = "assistant";
                json!({"type": "message", "id": id, "status": status, "role": role, "content": parts})
            }
            Content::Call { id: call_id, name, arguments } => json!({
                "type": "function_call",
                "id": id,
                "call_id": call_id,
                "name": name,
                "arguments": arguments,
                "status": status,
            }),
        }
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}
