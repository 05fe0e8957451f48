//! The tools of a request, and what makes an answer call them well.
//!
//! Where a call is asked for, the answer is calls and nothing else, each with a name that was offered
//! and arguments that its schema allows. Where it is the model's choice, its words are looked
//! through for calls, and a call that it begins has such a name and such arguments too.

use std::sync::Arc;

use host_model::CallSyntax;
use serde_json::Value;

use crate::call_grammar;
use crate::chat_form::ChatForm;
use crate::grammar::Grammar;
use crate::guide::Awaited;

/// Most calls of one answer.
const CALLS_MAX: usize = 32;

/// An answer that begins so is hardly anything else than a call without a mark.
const JSON_CALL_HEAD: &str = "{\"name\": \"";

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
    pub offered: Arc<[Tool]>,
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
    pub(crate) fn forced(&self, form: &ChatForm) -> Option<Grammar> {
        let offered = match self.choice {
            ToolChoice::Auto => return None,
            ToolChoice::Required => &self.offered[..],
            ToolChoice::Named(index) => std::slice::from_ref(self.offered.get(index)?),
        };
        let rule = call_grammar::calls(form, offered, self.calls_max());
        Some(Grammar { param: "tools", rule })
    }

    /// What calls must match once the model has begun one, and by what that is seen; none if calls
    /// have no mark and no beginning of their own.
    pub(crate) fn begun(&self, form: &ChatForm) -> Option<(Awaited, Grammar)> {
        let calls = &form.tool_calls;
        let mark = calls.first_mark();
        let calls_max = self.calls_max();
        let (awaited, rule) = match &calls.call {
            _ if !mark.is_empty() => {
                let rule = call_grammar::calls_after_mark(form, &self.offered, calls_max);
                (form.awaited(mark), rule)
            }
            CallSyntax::Json { .. } => {
                let rule = call_grammar::calls(form, &self.offered, calls_max);
                (Awaited::Beginning(JSON_CALL_HEAD.len()), rule)
            }
            _ => return None,
        };
        Some((awaited, Grammar { param: "tools", rule }))
    }
}
