//! Keys and values of every cache, a row for each slot.
//!
//! Blocks are known here only as runs of slots that are copied together; which sequence a slot
//! belongs to is the host's business.

use crate::batch::Sequence;
use candle_core::{DType, Device, Result, Tensor};
use graph::CacheSpec;
use plugin_api::{Error, SessionLimits};

/// The keys and the values of each cache, `[slots, kv_heads * head_dim]`.
#[derive(Debug)]
pub(crate) struct KvStore {
    caches: Vec<[Tensor; 2]>,
    block_size: usize,
}

/// The element type a user asked for.
pub(crate) fn element(name: &str) -> std::result::Result<DType, Error> {
    match name {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        other => Err(Error::unsupported(format!("KV dtype {other}: f32 or f16 expected"))),
    }
}

impl KvStore {
    pub(crate) fn new(
        caches: &[CacheSpec],
        limits: SessionLimits,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let slots = limits.block_size * limits.block_count;
        let zeros = |cache: &CacheSpec| {
            let shape = (slots, cache.kv_heads * cache.head_dim);
            Ok([Tensor::zeros(shape, dtype, device)?, Tensor::zeros(shape, dtype, device)?])
        };
        let caches = caches.iter().map(zeros).collect::<Result<_>>()?;
        Ok(Self { caches, block_size: limits.block_size })
    }

    /// Stores the rows of a sequence, each in the slot of its position.
    pub(crate) fn store(
        &self,
        cache: usize,
        sequence: &Sequence<'_>,
        kv: [&Tensor; 2],
    ) -> Result<()> {
        for (stored, new) in self.caches[cache].iter().zip(kv) {
            let new = new.narrow(0, sequence.rows.start, sequence.rows.len())?;
            let new = new.to_dtype(stored.dtype())?.contiguous()?;
            for (row, &position) in sequence.positions.iter().enumerate() {
                let slot = sequence.slots[position as usize] as usize;
                stored.slice_set(&new.narrow(0, row, 1)?, 0, slot)?;
            }
        }
        Ok(())
    }

    /// Keys and values of every position of a sequence, in order.
    pub(crate) fn load(&self, cache: usize, sequence: &Sequence<'_>) -> Result<[Tensor; 2]> {
        let [keys, values] = &self.caches[cache];
        let slots = Tensor::new(sequence.slots.as_slice(), keys.device())?;
        let rows = |stored: &Tensor| stored.index_select(&slots, 0)?.to_dtype(DType::F32);
        Ok([rows(keys)?, rows(values)?])
    }

    /// Copies a block, in every cache.
    pub(crate) fn copy_block(&self, from: usize, to: usize) -> Result<()> {
        for stored in self.caches.iter().flatten() {
            let block = stored.narrow(0, from * self.block_size, self.block_size)?.copy()?;
            stored.slice_set(&block, 0, to * self.block_size)?;
        }
        Ok(())
    }
}
