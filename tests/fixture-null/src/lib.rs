//! Compute plugin `null`: accepts any graph and answers every row with the same token.
//!
//! With it, what remains of a step is the host and the boundary: tests show that a compute plugin
//! needs nothing but its facet, and host-model's example `boundary` measures what a token costs
//! beside the model. It reads no weight, keeps no KV and writes logits only because a step must.

use plugin_api::{Compute, ComputeSession, Error, MemoryEstimate, SessionOptions, StepBatch};

plugin_api::register!(compute: Null);
plugin_api::export_plugin!();

/// An ordinary token of every vocabulary: behind special tokens and bytes.
const TOKEN: usize = 300;

struct Null;

impl Compute for Null {
    const NAME: &'static str = "null";
    const SCORE: u32 = 0;
    type Session = NullSession;

    fn estimate(_: &SessionOptions<'_>) -> Result<MemoryEstimate, Error> {
        Ok(MemoryEstimate::default())
    }

    fn create(_: SessionOptions<'_>) -> Result<NullSession, Error> {
        Ok(NullSession)
    }
}

struct NullSession;

impl ComputeSession for NullSession {
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error> {
        let rows = batch.logit_rows.len();
        let width = logits.len().checked_div(rows).unwrap_or(0);
        logits.fill(0.0);
        for row in logits.chunks_exact_mut(width.max(1)) {
            row[TOKEN.min(width - 1)] = 1.0;
        }
        Ok(())
    }

    fn copy_blocks(&mut self, _: &[u32], _: &[u32]) -> Result<(), Error> {
        Ok(())
    }
}
