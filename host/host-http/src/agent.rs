//! `mcp_tools` of chats: the host runs tools itself, between turns of the model.
//!
//! The loop is [`host_tools::agent`]'s. Here stands what a request may ask of it, one turn of the
//! model, and the shape in which clients hear of calls. All turns together are one answer: their
//! texts follow each other, their tokens are added up.

mod answer;
mod request;
mod session;
mod stream;

use std::time::Duration;

use host_generation::{ChatPrompt, GenerationRequest, Generator};
use host_tools::agent::{Agent, Permission};
use host_tools::{Glob, ToolRegistry};

pub(crate) use self::answer::respond;
pub(crate) use self::request::{offered, shown, wanted};
use crate::answer::{Delivery, Head};
use crate::chat::ChatForm;

/// The tools that models may call for the clients of chats, as the operator has it.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// What there is to call.
    pub registry: ToolRegistry,
    /// Patterns of the tools that a model may call at all, and may call in every chat that does not
    /// choose among them; none: any, and none unless the chat chooses.
    pub profile: Vec<Glob>,
    /// What a request may make stricter.
    pub permission: Permission,
    /// Longest time for a whole answer.
    pub time_max: Duration,
}

/// A chat about to be answered with tools of the host.
#[derive(Debug)]
pub(crate) struct AgentJob {
    pub(crate) generator: Generator,
    /// The conversation so far, with all tools.
    pub(crate) prompt: ChatPrompt,
    /// Everything but the prompt.
    pub(crate) request: GenerationRequest,
    pub(crate) agent: Agent,
    pub(crate) head: Head,
    pub(crate) form: ChatForm,
    pub(crate) delivery: Delivery,
}
