//! Scaled dot-product attention, one sequence after the other.
//!
//! The keys and values of a sequence are gathered by its block table, every score is computed, and
//! what a row must not see gets the score of minus infinity.

use crate::batch::Sequence;
use crate::elementwise::softcap;
use crate::kv::KvStore;
use crate::matrix::softmax;
use candle_core::{Device, Result, Tensor};
use graph::CacheSpec;

/// The constants of one attention op.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) cache: usize,
    pub(crate) scale: f32,
    pub(crate) causal: bool,
    pub(crate) window: Option<usize>,
    pub(crate) softcap: Option<f32>,
}

impl Attention {
    /// Stores the keys and values of the step, then attends.
    pub(crate) fn run(
        &self,
        [q, k, v]: [&Tensor; 3],
        cache: &CacheSpec,
        kv: &KvStore,
        sequences: &[Sequence<'_>],
    ) -> Result<Tensor> {
        let mut out = Vec::new();
        for sequence in sequences.iter().filter(|sequence| !sequence.rows.is_empty()) {
            kv.store(self.cache, sequence, [k, v])?;
            let q = q.narrow(0, sequence.rows.start, sequence.rows.len())?;
            let [keys, values] = kv.load(self.cache, sequence)?;
            let keys = self.for_each_head(&keys, cache)?;
            let values = self.for_each_head(&values, cache)?;
            out.push(self.attend(&q, &keys, &values, sequence)?);
        }
        Tensor::cat(&out, 0)
    }

    /// `[context, kv heads * dim]` as `[heads, context, dim]`: neighbouring heads share a kv head.
    fn for_each_head(&self, x: &Tensor, cache: &CacheSpec) -> Result<Tensor> {
        let &CacheSpec { kv_heads, head_dim } = cache;
        let context = x.dim(0)?;
        let shape = (kv_heads, self.heads / kv_heads, context, head_dim);
        let x = x.reshape((context, kv_heads, head_dim))?.transpose(0, 1)?;
        x.unsqueeze(1)?.broadcast_as(shape)?.reshape((self.heads, context, head_dim))
    }

    fn attend(
        &self,
        q: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        sequence: &Sequence<'_>,
    ) -> Result<Tensor> {
        let (rows, width) = q.dims2()?;
        let q = q.reshape((rows, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()?;
        let mut scores = (q.matmul(&keys.t()?)? * f64::from(self.scale))?;
        if let Some(cap) = self.softcap {
            scores = softcap(&scores, cap)?;
        }
        let shares = softmax(&scores.broadcast_add(&self.mask(sequence, q.device())?)?)?;
        shares.matmul(values)?.transpose(0, 1)?.reshape((rows, width))
    }

    /// Zero where a row sees a position, minus infinity elsewhere: `[rows, context]`.
    fn mask(&self, sequence: &Sequence<'_>, device: &Device) -> Result<Tensor> {
        let context = sequence.slots.len();
        let window = self.window.unwrap_or(usize::MAX);
        let mut mask = Vec::with_capacity(sequence.rows.len() * context);
        for &position in sequence.positions {
            let position = position as usize;
            mask.extend((0..context).map(|other| {
                let is_near = other.abs_diff(position) < window;
                let is_seen = is_near && (other <= position || !self.causal);
                if is_seen { 0.0 } else { f32::NEG_INFINITY }
            }));
        }
        Tensor::from_vec(mask, (sequence.rows.len(), context), device)
    }
}
