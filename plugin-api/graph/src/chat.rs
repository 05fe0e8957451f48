//! How the models of a family write what is no plain text in a chat: tool calls and thoughts.
//!
//! Conventions belong to a family as its layers do, but which of them a checkpoint keeps is seen in
//! its chat template, so each says by what text it is known there. They are data: the host reads
//! answers and writes grammars by them and knows no family. A mark may be text or a control token.

use serde::{Deserialize, Serialize};

/// What a family's checkpoints may have been trained to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatConventions {
    /// Forms of tool calls; a checkpoint's is the first whose marker its chat template has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallForm>,
    /// Forms of thoughts, chosen likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasoning: Vec<ReasoningForm>,
}

impl ChatConventions {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.tool_calls.is_empty() && self.reasoning.is_empty()
    }
}

/// Thoughts at the beginning of an answer, between two marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasoningForm {
    /// Text that chat templates of such checkpoints have.
    pub marker: String,
    /// Begins the thoughts; a prompt that ends with it has begun them already.
    pub begin: String,
    /// Ends them.
    pub end: String,
}

impl ReasoningForm {
    /// Thoughts between two marks, known by the second.
    pub fn new(begin: &str, end: &str) -> Self {
        let [begin, end] = [begin, end].map(str::to_owned);
        Self { marker: end.clone(), begin, end }
    }

    /// `<think>` and `</think>`, as DeepSeek-R1, Qwen 3 and most others have them.
    pub fn think() -> Self {
        Self::new("<think>", "</think>")
    }
}

/// One or more calls: `open`, then calls with `between` between them, then `close`. Each call has
/// `begin` before it and `end` after it. White space around these marks may be missing or be more;
/// where the host writes them it writes them as they are here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallForm {
    /// Text that chat templates of such checkpoints have.
    pub marker: String,
    /// Before the first call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub open: String,
    /// Before each call. If neither this nor `open` is anything, an answer that begins with a call
    /// to an offered tool is calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub begin: String,
    /// After each call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub end: String,
    /// Between two calls.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub between: String,
    /// After the last call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub close: String,
    /// What a call is.
    pub call: CallSyntax,
}

impl ToolCallForm {
    /// Calls with nothing around them.
    pub fn new(marker: &str, call: CallSyntax) -> Self {
        let none = String::new;
        let (open, begin, end, between, close) = (none(), none(), none(), none(), none());
        Self { marker: marker.to_owned(), open, begin, end, between, close, call }
    }

    /// `<tool_call>` around a JSON object of `name` and `arguments`: Nous Research's Hermes models,
    /// Qwen 2.5 and 3, and many after them. The host has models that know no form write this one.
    pub fn hermes() -> Self {
        let call = CallSyntax::Json { arguments: "arguments".to_owned() };
        Self::new("<tool_call>", call).around_each("<tool_call>\n", "\n</tool_call>").between("\n")
    }

    /// What tells that calls begin; nothing if only they themselves do.
    pub fn first_mark(&self) -> &str {
        if self.open.is_empty() { &self.begin } else { &self.open }
    }

    /// Whether calls stand together, with nothing else between them: as the whole answer, or
    /// between marks of their own.
    pub fn stand_together(&self) -> bool {
        !self.open.is_empty() || self.begin.is_empty()
    }

    /// Sets what is before the first call and after the last.
    #[must_use]
    pub fn around_all(self, open: &str, close: &str) -> Self {
        Self { open: open.to_owned(), close: close.to_owned(), ..self }
    }

    /// Sets what is before each call and after it.
    #[must_use]
    pub fn around_each(self, begin: &str, end: &str) -> Self {
        Self { begin: begin.to_owned(), end: end.to_owned(), ..self }
    }

    /// Sets what is between two calls.
    #[must_use]
    pub fn between(self, between: &str) -> Self {
        Self { between: between.to_owned(), ..self }
    }
}

/// How a function's name and its arguments are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "syntax", rename_all = "snake_case")]
pub enum CallSyntax {
    /// A JSON object of `name` and the arguments, an object too.
    Json {
        /// The key of the arguments.
        arguments: String,
    },
    /// The name, a mark, the arguments as a JSON object.
    Named {
        /// Between name and arguments.
        mark: String,
    },
    /// Tags around the function and around each argument; text arguments stand as they are, others
    /// as JSON, and a line break is between a tag and what it holds.
    Tagged {
        /// What is before a function's name, after it, and after the last argument.
        function: [String; 3],
        /// What is before an argument's name, after it, and after its value.
        argument: [String; 3],
    },
    /// The name and an object whose keys have no quotation marks and whose texts have marks of
    /// their own.
    Keyed {
        /// Before the name.
        before: String,
        /// Around texts.
        quote: String,
    },
}
