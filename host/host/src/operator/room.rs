//! Makes room for a model before it is loaded: idle models go, the one used longest ago first.
//!
//! Models that answer are never touched. Where even all idle ones would not be enough, none goes.

use host_generation::Models;
use host_model::{LoadError, MemoryBudget, MemoryLease, Prepared};
use std::time::{Duration, Instant};

/// How long to wait for memory that is about to come back: a model that was told to go finishes what
/// it answers, and frees its memory after.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the memory that a model needs.
pub(super) fn make_room(
    models: &Models,
    budget: &MemoryBudget,
    prepared: &Prepared,
) -> Result<MemoryLease, LoadError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shortage = match prepared.take_memory(budget) {
            Ok(lease) => return Ok(lease),
            Err(shortage) => shortage,
        };
        if Instant::now() >= deadline || prepared.memory_need().bytes() > budget.limit() {
            return Err(shortage);
        }
        let used = budget.used();
        if is_worth_it(models, budget, prepared)
            && let Some(id) = models.evict()
        {
            tracing::info!(model = id, "unloaded to make room");
            budget.wait_below(used, PATIENCE);
        } else {
            budget.wait_below(used, PAUSE);
        }
    }
}

/// Whether the budget would be enough without the models that are idle. The system's own figure is
/// not looked at: what it would have is not known before they are gone.
fn is_worth_it(models: &Models, budget: &MemoryBudget, prepared: &Prepared) -> bool {
    let others = budget.used().saturating_sub(models.idle_bytes());
    others.saturating_add(prepared.memory_need().bytes()) <= budget.limit()
}
