//! The calls of one turn: each is judged alone, then all that may run do so side by side.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Agent, AgentCall, AgentLimits, Approval, CallRecord, Permission, Phase, Progress, Session,
    Stop, outcome,
};
use crate::{Answer, Context, Map, ToolError, ToolOutcome};

/// Calls that run at the same time.
const PARALLEL_MAX: usize = 8;

/// How often the same call is made.
const REPEATS_MAX: usize = 2;

/// A result that has less room is not worth a call.
const ROOM_MIN: usize = 256;

const TIME_IS_UP: &str = "Error: stopped, as the time for the whole answer is up";

/// What all rounds of a loop have used so far.
pub(super) struct Ledger {
    /// Calls that were made, with how often.
    made: Vec<(String, Map, usize)>,
    result_bytes_max: usize,
    /// Bytes that are left for results.
    results_bytes: usize,
}

impl Ledger {
    pub(super) fn new(limits: &AgentLimits) -> Self {
        let AgentLimits { result_bytes_max, results_bytes_max, .. } = *limits;
        Self { made: Vec::new(), result_bytes_max, results_bytes: results_bytes_max }
    }

    /// Counts a call; false if it was made too often before.
    fn count(&mut self, name: &str, arguments: &Map) -> bool {
        let is_same = |made: &&mut (String, Map, usize)| made.0 == name && made.1 == *arguments;
        match self.made.iter_mut().find(is_same) {
            Some((.., count)) if *count >= REPEATS_MAX => false,
            Some((.., count)) => {
                *count += 1;
                true
            }
            None => {
                self.made.push((name.to_owned(), arguments.clone(), 1));
                true
            }
        }
    }

    /// Bytes of each of so many results. Shared out before the calls run, so that what a model sees
    /// does not depend on which of them is first.
    fn room(&self, results: usize) -> usize {
        self.result_bytes_max.min(self.results_bytes / results.max(1))
    }
}

/// One round.
pub(super) struct Round<'a> {
    pub(super) agent: &'a Agent,
    pub(super) index: usize,
    pub(super) deadline: Instant,
}

/// What a round came to.
pub(super) struct Done {
    pub(super) records: Vec<CallRecord>,
    pub(super) left: Vec<AgentCall>,
    pub(super) stop: Option<Stop>,
}

/// What becomes of a call.
enum Fate {
    Run(Map),
    Refuse(String),
    HandOut,
    /// The model repeats itself.
    Stop,
}

type Running<'a> = (usize, Answer<'a, ToolOutcome>);

/// A call on its way to a record; the result is missing until it has ended.
struct Slot {
    call: AgentCall,
    arguments: Option<Map>,
    result: Option<(String, bool)>,
}

impl Round<'_> {
    /// Runs the calls of a turn.
    pub(super) async fn run<S: Session>(
        &self,
        session: &mut S,
        calls: Vec<AgentCall>,
        ledger: &mut Ledger,
    ) -> Done {
        let (mut slots, mut left, mut stop) = (Vec::new(), Vec::new(), None);
        for call in calls {
            let (arguments, refusal) = match self.judge(session, &call, ledger).await {
                Fate::Run(arguments) => (Some(arguments), None),
                Fate::Refuse(reason) => (None, Some((format!("Error: {reason}"), true))),
                Fate::HandOut => {
                    left.push(call);
                    continue;
                }
                Fate::Stop => {
                    stop = Some(Stop::Repeated);
                    let reason = "Error: not run, as the same call was made twice before; use what \
                                  it gave";
                    (None, Some((reason.to_owned(), true)))
                }
            };
            slots.push(Slot { call, arguments, result: refusal });
        }
        let room = ledger.room(slots.len());
        if self.run_all(session, &mut slots, room).await.is_err() {
            stop = Some(Stop::Time);
        }
        let record = |slot: Slot| {
            let (result, is_error) = slot.result.unwrap_or((TIME_IS_UP.to_owned(), true));
            CallRecord { round: self.index, call: slot.call, result, is_error }
        };
        let records: Vec<_> = slots.into_iter().map(record).collect();
        let used: usize = records.iter().map(|record| record.result.len()).sum();
        ledger.results_bytes = ledger.results_bytes.saturating_sub(used);
        if ledger.results_bytes < ROOM_MIN {
            stop = stop.or(Some(Stop::Results));
        }
        Done { records, left, stop }
    }

    /// Decides about a call; a person who is asked has time until the deadline.
    async fn judge<S: Session>(
        &self,
        session: &mut S,
        call: &AgentCall,
        ledger: &mut Ledger,
    ) -> Fate {
        let Agent { tools, others, permission, .. } = self.agent;
        if others.contains(&call.name) {
            return Fate::HandOut;
        }
        let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
            return Fate::Refuse(ToolError::unknown("tool", &call.name).to_string());
        };
        if *permission == Permission::Deny {
            return Fate::Refuse("no tool may be run here".to_owned());
        }
        let arguments = match serde_json::from_str::<Map>(&call.arguments) {
            Ok(arguments) => arguments,
            Err(error) => {
                return Fate::Refuse(format!("the arguments are no JSON object: {error}"));
            }
        };
        if *permission == Permission::Ask || tool.needs_approval {
            match timeout_at(self.deadline, session.approve(call, tool)).await {
                Ok(Approval::Given) => {}
                Ok(Approval::Refused(reason)) => return Fate::Refuse(reason),
                Ok(Approval::Elsewhere) => return Fate::HandOut,
                Err(_) => return Fate::Refuse("nobody said in time that it may run".to_owned()),
            }
        }
        if ledger.count(&call.name, &arguments) { Fate::Run(arguments) } else { Fate::Stop }
    }

    /// Runs all that may run, and tells the session; an error when the time is up before they end.
    async fn run_all<S: Session>(
        &self,
        session: &mut S,
        slots: &mut [Slot],
        room: usize,
    ) -> Result<(), ()> {
        // Dropped with the loop: whoever works for it hears that nobody waits any more.
        let cancel = CancellationToken::new();
        let _cancelled = cancel.clone().drop_guard();
        let mut running: Vec<Running<'_>> = Vec::new();
        let mut next = 0;
        loop {
            while running.len() < PARALLEL_MAX && next < slots.len() {
                let slot = &mut slots[next];
                self.tell(session, &slot.call, Phase::Calling).await;
                match (slot.arguments.take(), &slot.result) {
                    (Some(arguments), _) => {
                        running.push((next, self.begin(&slot.call.name, arguments, &cancel)));
                    }
                    (None, Some((result, is_error))) => {
                        let phase = Phase::Complete { result, is_error: *is_error };
                        self.tell(session, &slot.call, phase).await;
                    }
                    (None, None) => {}
                }
                next += 1;
            }
            if running.is_empty() {
                return Ok(());
            }
            let ended = timeout_at(self.deadline, first_of(&mut running)).await;
            let (index, result) = ended.map_err(|_| ())?;
            let (text, is_error) = outcome::text(result);
            let slot = &mut slots[index];
            let (result, _) = slot.result.insert((outcome::fit(text, room), is_error));
            self.tell(session, &slot.call, Phase::Complete { result, is_error }).await;
        }
    }

    fn begin(
        &self,
        name: &str,
        arguments: Map,
        cancel: &CancellationToken,
    ) -> Answer<'_, ToolOutcome> {
        let cancel = cancel.clone();
        let context = Context { cancel, ..Context::new(self.agent.caller.clone()) };
        let name = name.to_owned();
        Box::pin(async move { self.agent.registry.call_tool(&name, arguments, context).await })
    }

    async fn tell<S: Session>(&self, session: &mut S, call: &AgentCall, phase: Phase<'_>) {
        session.hear(Progress { round: self.index, call, phase }).await;
    }
}

/// Waits for the first call that ends, and takes it out.
async fn first_of(running: &mut Vec<Running<'_>>) -> (usize, Result<ToolOutcome, ToolError>) {
    poll_fn(|cx| {
        for at in 0..running.len() {
            if let Poll::Ready(result) = running[at].1.as_mut().poll(cx) {
                let (index, _) = running.remove(at);
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await
}
