//! A compute session as the engine sees it.
//!
//! The only work here is to borrow the engine's vectors as the slices of the wire.

use crate::MemoryLease;
use host_engine::{Batch, StepError, StepModel};
use host_loader::{PluginError, Session};
use plugin_api::{ErrorKind, StepBatch};

/// Computes the steps of one model.
#[derive(Debug)]
pub struct ModelSession {
    session: Session,
    /// Given back after the memory it stands for, so it stands last.
    _lease: Option<MemoryLease>,
}

impl ModelSession {
    /// Wraps a session of a compute plugin, with the memory it takes.
    #[must_use]
    pub fn new(session: Session, lease: Option<MemoryLease>) -> Self {
        Self { session, _lease: lease }
    }

    /// The session of the compute plugin, to profile it.
    pub fn compute(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl StepModel for ModelSession {
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        let wire = StepBatch {
            token_ids: &batch.token_ids,
            positions: &batch.positions,
            slots: &batch.slots,
            sequence_starts: &batch.sequence_starts,
            sequence_lengths: &batch.sequence_lengths,
            context_lengths: &batch.context_lengths,
            block_table_starts: &batch.block_table_starts,
            block_tables: &batch.block_tables,
            logit_rows: &batch.logit_rows,
        };
        if !batch.copied_from.is_empty() {
            let copied = self.session.copy_blocks(&batch.copied_from, &batch.copied_to);
            copied.map_err(failed)?;
        }
        self.session.step(&wire, logits).map_err(failed)
    }
}

fn failed(error: PluginError) -> StepError {
    StepError::Model {
        panicked: error.source.kind() == ErrorKind::Panic,
        message: error.source.message().to_owned(),
        plugin: error.plugin,
    }
}
