//! The agent loop: a model calls tools, reads what they gave, and goes on until it has an answer.
//!
//! It knows no model and no surface. Whoever has both is a [`Session`]: it runs one turn of the
//! model, is asked whether a call may run that needs a person's word, and hears of every call. The
//! loop decides which calls run, runs them side by side, and ends what would not end by itself: by
//! rounds, by time, by the size of results, and by calls that repeat. Dropping it stops everything.

mod outcome;
mod permission;
mod round;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

pub use self::permission::{Approval, Permission, PermissionError};
use self::round::{Ledger, Round};
pub use self::turn::{AgentCall, CallRecord, Choice, Phase, Progress, Session, Turn};
use crate::{Caller, Glob, Need, Tool, ToolRegistry};

/// Most rounds that may be asked for.
pub const ROUNDS_MAX: usize = 32;

/// Rounds where nobody asks for another number.
pub const ROUNDS_DEFAULT: usize = 8;

/// What ends a loop that would not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentLimits {
    /// Turns of the model after which tools are run.
    pub rounds_max: usize,
    /// Time for everything: turns and calls.
    pub time_max: Duration,
    /// Most bytes of one result that the model sees.
    pub result_bytes_max: usize,
    /// Most bytes of all results together.
    pub results_bytes_max: usize,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            rounds_max: ROUNDS_DEFAULT,
            time_max: Duration::from_secs(600),
            result_bytes_max: 64 << 10,
            results_bytes_max: 512 << 10,
        }
    }
}

impl AgentLimits {
    /// The same, with results that leave room in a context of so many tokens: a token is about four
    /// bytes, and results may fill half of it.
    #[must_use]
    pub fn within_context(self, tokens: usize) -> Self {
        let all = self.results_bytes_max.min(tokens.saturating_mul(2));
        Self {
            result_bytes_max: self.result_bytes_max.min(all / 2),
            results_bytes_max: all,
            ..self
        }
    }
}

/// Who calls what, and how far they may go.
#[derive(Debug, Clone)]
pub struct Agent {
    /// What there is to call.
    pub registry: ToolRegistry,
    /// For whom the model calls.
    pub caller: Caller,
    /// The tools that the model may call; no other is called for it.
    pub tools: Vec<Arc<Tool>>,
    /// Names of tools that its client runs: calls of these are handed out.
    pub others: Vec<String>,
    /// Whether a person is asked before a call.
    pub permission: Permission,
    /// What ends it.
    pub limits: AgentLimits,
}

/// Why a loop ended before the model was done calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// There were as many rounds as there may be.
    Rounds,
    /// The time was up; the last turn is missing or not complete.
    Time,
    /// The model made a call for the third time.
    Repeated,
    /// There was no room for further results.
    Results,
}

impl Stop {
    /// A word for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rounds => "rounds",
            Self::Time => "time",
            Self::Repeated => "repeated_call",
            Self::Results => "results_size",
        }
    }
}

/// What a loop came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// Every call that was run or refused, in the order of the calls.
    pub records: Vec<CallRecord>,
    /// Calls of the last turn that are not for the host to run: the client's own tools, and what a
    /// person must approve elsewhere.
    pub left: Vec<AgentCall>,
    /// Why it ended early, if it did.
    pub stop: Option<Stop>,
}

impl Agent {
    /// The tools among those that a caller may call whose names fit one of the patterns; never one
    /// that changes the host itself.
    pub fn offer(registry: &ToolRegistry, caller: &Caller, patterns: &[Glob]) -> Vec<Arc<Tool>> {
        let fits = |tool: &&Arc<Tool>| {
            tool.need != Need::Admin && patterns.iter().any(|glob| glob.matches(&tool.name))
        };
        registry.list(caller).tools.iter().filter(fits).cloned().collect()
    }

    /// Runs turns and calls until the model answers without a call, or something else ends it. What
    /// was said and called is added to the conversation, a list of messages in OpenAI's form.
    ///
    /// # Errors
    ///
    /// A turn failed.
    pub async fn run<S: Session>(
        &self,
        session: &mut S,
        conversation: &mut Vec<Value>,
    ) -> Result<Ending, S::Error> {
        let deadline = Instant::now() + self.limits.time_max;
        let mut ending = Ending::default();
        let mut ledger = Ledger::new(&self.limits);
        for round in 0.. {
            if ending.stop.is_none() && round == self.limits.rounds_max {
                ending.stop = Some(Stop::Rounds);
            }
            let choice = match (ending.stop, round) {
                (Some(_), _) => Choice::Nothing,
                (None, 0) => Choice::AsAsked,
                (None, _) => Choice::Free,
            };
            let Ok(turn) = timeout_at(deadline, session.turn(conversation, choice)).await else {
                ending.stop = Some(Stop::Time);
                break;
            };
            let turn = turn?;
            conversation.push(turn.message());
            if turn.is_cut || turn.calls.is_empty() || choice == Choice::Nothing {
                break;
            }
            let round = Round { agent: self, index: round, deadline };
            let done = round.run(session, turn.calls, &mut ledger).await;
            conversation.extend(done.records.iter().map(CallRecord::message));
            ending.records.extend(done.records);
            ending.left = done.left;
            ending.stop = done.stop;
            if !ending.left.is_empty() || ending.stop == Some(Stop::Time) {
                break;
            }
        }
        Ok(ending)
    }
}
