//! Keys and values of every cache, in blocks of positions.
//!
//! One block holds its positions of all caches, so that copying a block is one copy and a session
//! that uses few blocks touches little memory. Inside a block each cache has its keys, then its
//! values, each `[kv head][place][head_dim]`. The store knows no sequence: the host says which
//! block belongs to whom.

use crate::memory::Region;
use graph::CacheSpec;
use kernels::attention::{KvDtype, store_kv};
use plugin_api::{Error, SessionLimits};
use std::ops::Range;

/// Sizes of the store, before anything is allocated.
#[derive(Debug, Clone)]
pub(crate) struct KvLayout {
    dtype: KvDtype,
    block_size: usize,
    block_count: usize,
    /// Bytes from one block to the next.
    block_bytes: usize,
    caches: Vec<CacheLayout>,
}

#[derive(Debug, Clone, Copy)]
struct CacheLayout {
    /// Where the cache begins inside a block.
    start: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Bytes of one head at one position.
    row_bytes: usize,
}

/// The keys and values.
#[derive(Debug)]
pub(crate) struct KvStore {
    layout: KvLayout,
    region: Region,
}

/// One kv head of a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KvHead {
    pub(crate) cache: usize,
    pub(crate) head: usize,
}

/// Keys and values of one position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KvRow<'a> {
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
}

impl KvLayout {
    pub(crate) fn new(
        caches: &[CacheSpec],
        limits: SessionLimits,
        dtype: &str,
    ) -> Result<Self, Error> {
        let dtype = match dtype {
            "f32" => KvDtype::F32,
            "f16" => KvDtype::F16,
            "bf16" => KvDtype::Bf16,
            "q8_0" => KvDtype::Q8_0,
            other => {
                return Err(Error::unsupported(format!(
                    "KV dtype {other} is unknown: use f32, f16, bf16 or q8_0"
                )));
            }
        };
        let SessionLimits { block_size, block_count, .. } = limits;
        let mut layout =
            Self { dtype, block_size, block_count, block_bytes: 0, caches: Vec::new() };
        layout.place(caches).ok_or_else(|| {
            Error::invalid(format!(
                "{block_count} KV blocks of {block_size} places are more than memory can address: \
                 ask for a smaller context"
            ))
        })?;
        Ok(layout)
    }

    /// Lays the caches out in a block; nothing if a size overflows.
    fn place(&mut self, caches: &[CacheSpec]) -> Option<()> {
        let mut end = 0_usize;
        let mut unit = 64;
        for &CacheSpec { kv_heads, head_dim } in caches {
            let row_bytes = self.dtype.row_bytes(head_dim)?;
            self.caches.push(CacheLayout { start: end, kv_heads, head_dim, row_bytes });
            let head_bytes = row_bytes.checked_mul(self.block_size)?;
            unit = unit.max(head_bytes.checked_next_multiple_of(64)?);
            let cache_bytes = head_bytes.checked_mul(kv_heads)?.checked_mul(2)?;
            end = end.checked_add(cache_bytes.checked_next_multiple_of(64)?)?;
        }
        // An odd number of units: the same head of many blocks then falls into all sets of a
        // processor cache, where a power of two would put them all into a few.
        self.block_bytes = unit.checked_mul(end.div_ceil(unit) | 1)?;
        self.block_bytes.checked_mul(self.block_count).map(|_| ())
    }

    /// Bytes of the whole store.
    pub(crate) fn bytes(&self) -> usize {
        self.block_bytes * self.block_count
    }
}

impl KvStore {
    pub(crate) fn new(layout: KvLayout) -> Result<Self, Error> {
        let region = Region::zeroed(layout.bytes(), "the KV cache")?;
        Ok(Self { layout, region })
    }

    pub(crate) fn dtype(&self) -> KvDtype {
        self.layout.dtype
    }

    pub(crate) fn block_size(&self) -> usize {
        self.layout.block_size
    }

    /// Heads of a cache and values in a head.
    pub(crate) fn shape(&self, cache: usize) -> (usize, usize) {
        let CacheLayout { kv_heads, head_dim, .. } = self.layout.caches[cache];
        (kv_heads, head_dim)
    }

    /// Bytes of one head of a cache at one position: its key, or its value.
    pub(crate) fn row_bytes(&self, cache: usize) -> usize {
        self.layout.caches[cache].row_bytes
    }

    /// Stores one position of every head of `cache` in `slot`.
    ///
    /// # Safety
    /// Nobody else reads or writes this slot of the cache meanwhile.
    pub(crate) unsafe fn store(&self, cache: usize, slot: usize, row: KvRow<'_>) {
        let (block, place) = (slot / self.layout.block_size, slot % self.layout.block_size);
        let CacheLayout { kv_heads, head_dim, row_bytes: bytes, .. } = self.layout.caches[cache];
        for head in 0..kv_heads {
            let [keys, values] = self.starts(KvHead { cache, head }, block);
            let part = head * head_dim..(head + 1) * head_dim;
            for (start, x) in [(keys, &row.keys[part.clone()]), (values, &row.values[part])] {
                let at = self.region.at(start + place * bytes);
                // SAFETY: a slot of a head lies inside the region, and the caller says that
                // nobody else touches it.
                let stored = unsafe { std::slice::from_raw_parts_mut(at, bytes) };
                store_kv(self.layout.dtype, x, stored);
            }
        }
    }

    /// Keys and values of some places of a block.
    ///
    /// # Safety
    /// Nobody writes the block while the slices live.
    pub(crate) unsafe fn read(
        &self,
        head: KvHead,
        block: usize,
        places: Range<usize>,
    ) -> [&[u8]; 2] {
        let row_bytes = self.layout.caches[head.cache].row_bytes;
        assert!(places.end <= self.layout.block_size, "places of one block");
        self.starts(head, block).map(|start| {
            let (at, bytes) = (start + places.start * row_bytes, places.len() * row_bytes);
            // SAFETY: the places of one head in one block lie inside the region, and the caller
            // says that nobody writes them.
            unsafe { std::slice::from_raw_parts(self.region.at(at), bytes) }
        })
    }

    /// Copies block `from` to block `to`, all caches.
    pub(crate) fn copy_block(&mut self, from: usize, to: usize) {
        let bytes = self.layout.block_bytes;
        let block = |block: usize| {
            assert!(block < self.layout.block_count, "a block of the store");
            self.region.at(block * bytes)
        };
        // SAFETY: both blocks lie inside the region, and nobody else uses it: `self` is exclusive.
        unsafe { std::ptr::copy(block(from), block(to), bytes) };
    }

    /// Where a head's keys and values begin in the region.
    fn starts(&self, at: KvHead, block: usize) -> [usize; 2] {
        let layout = &self.layout;
        let CacheLayout { start, kv_heads, row_bytes, .. } = layout.caches[at.cache];
        assert!(block < layout.block_count && at.head < kv_heads, "a block and head of the cache");
        let head_bytes = layout.block_size * row_bytes;
        let keys = block * layout.block_bytes + start + at.head * head_bytes;
        [keys, keys + kv_heads * head_bytes]
    }
}
