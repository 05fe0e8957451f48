//! The tools of a request, and the grammar that makes an answer call them.
//!
//! Where a call is asked for, the answer is calls and nothing else, each with a name that was offered
//! and arguments that its schema allows. Where it is the model's choice, its words are only looked
//! through for calls.

use serde_json::Value;

use crate::grammar::{Grammar, Rule};
use crate::tool_calls::{BEGIN, END};

/// Most calls of one answer.
const CALLS_MAX: usize = 32;

/// A function that the client can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// JSON schema of its arguments, an object; none if it takes any.
    pub parameters: Option<Value>,
}

/// Which tools are to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// Some.
    Required,
    /// The tool at this index.
    Named(usize),
}

/// The tools of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// Those offered.
    pub offered: Vec<Tool>,
    /// Which of them are to be called.
    pub choice: ToolChoice,
    /// Whether an answer may have several calls.
    pub parallel: bool,
}

impl Tools {
    pub(crate) fn calls_max(&self) -> usize {
        match self.choice {
            ToolChoice::Named(_) => 1,
            _ if !self.parallel => 1,
            _ => CALLS_MAX,
        }
    }

    /// What an answer must match, if a call is asked for.
    pub(crate) fn grammar(&self) -> Option<Grammar> {
        let offered = match self.choice {
            ToolChoice::Auto => return None,
            ToolChoice::Required => &self.offered[..],
            ToolChoice::Named(index) => std::slice::from_ref(self.offered.get(index)?),
        };
        let more = match self.calls_max() - 1 {
            0 => String::new(),
            more => format!(" (\"\\n\" one){{0,{more}}}"),
        };
        let names: Vec<String> = (0..offered.len()).map(|index| format!("call_{index}")).collect();
        let (names, begin, end) = (names.join(" | "), quote(BEGIN), quote(END));
        let mut lark = format!("start: one{more}\n");
        lark += &format!("one: {begin} \"\\n\" ({names}) \"\\n\" {end}\n");
        for (index, tool) in offered.iter().enumerate() {
            // As the templates of these models print a call.
            let head = format!("{{\"name\": {}, \"arguments\": ", Value::from(tool.name.as_str()));
            lark += &format!("call_{index}: {} arguments_{index} \"}}\"\n", quote(&head));
            lark +=
                &format!("arguments_{index}: %json {}\n", Rule::schema(tool.parameters.as_ref()));
        }
        Some(Grammar { param: "tools", rule: Rule::Lark(lark) })
    }
}

/// A Lark literal of this text.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
