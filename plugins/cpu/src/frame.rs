//! What a stage sees of one step: the batch, the rows of every buffer, weights and KV storage.
//!
//! This is the only place where a buffer becomes a slice. Soundness rests on two promises: the
//! plan gives buffers that are in use in one stage different memory, and a stage gives each row
//! (or each tile of an output) to one thread. A frame decides nothing.

use crate::attention::{RowTile, Workspace};
use crate::kv::KvStore;
use crate::moe::Choice;
use crate::plan::{BufferId, Home, Plan, RowSet};
use crate::profile::Laps;
use crate::weights::Weights;
use plugin_api::StepBatch;
use std::cell::UnsafeCell;

/// One step of one session.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) weights: &'a Weights,
    pub(crate) kv: &'a KvStore,
    pub(crate) batch: &'a StepBatch<'a>,
    pub(crate) tiles: &'a [RowTile],
    pub(crate) workspaces: &'a Workspaces,
    pub(crate) threads: usize,
    pub(crate) laps: Laps<'a>,
    /// `plan.scratch_bytes` bytes, aligned.
    pub(crate) scratch: *mut u8,
    /// `[logit_rows, width of the answer]`.
    pub(crate) logits: *mut f32,
}

// SAFETY: the pointers are shared by the threads of one region, which keep to the promises above.
unsafe impl Sync for Frame<'_> {}

/// Working memory of each thread of a region.
#[derive(Debug)]
pub(crate) struct Workspaces(Vec<UnsafeCell<Workspace>>);

// SAFETY: `of` has its caller vouch that no two threads use one workspace.
unsafe impl Sync for Workspaces {}

impl Workspaces {
    pub(crate) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| UnsafeCell::default()).collect())
    }

    /// The workspace of one worker of a region.
    ///
    /// # Safety
    /// The pool gave `worker` to the calling thread, which lets go of the workspace before it
    /// takes it again.
    #[expect(clippy::mut_from_ref, reason = "the pool gives each thread an index of its own")]
    pub(crate) unsafe fn of(&self, worker: usize) -> &mut Workspace {
        // SAFETY: passed on to the caller.
        unsafe { &mut *self.0[worker].get() }
    }
}

impl Frame<'_> {
    /// Rows in a set.
    pub(crate) fn row_count(&self, rows: RowSet) -> usize {
        match rows {
            RowSet::All => self.batch.token_ids.len(),
            RowSet::Selected => self.batch.logit_rows.len(),
        }
    }

    /// Bytes from one row of a buffer to the next.
    pub(crate) fn stride(&self, buffer: BufferId) -> usize {
        self.plan.places[buffer].stride
    }

    /// The first byte of a row.
    pub(crate) fn row_start(&self, buffer: BufferId, row: usize) -> *mut u8 {
        let place = &self.plan.places[buffer];
        match place.home {
            Home::Scratch(start) => self.scratch.wrapping_add(start + row * place.stride),
            Home::Logits => self.logits.cast::<u8>().wrapping_add(row * place.stride),
        }
    }

    /// The first float of a row.
    pub(crate) fn floats(&self, buffer: BufferId, row: usize) -> *mut f32 {
        self.row_start(buffer, row).cast()
    }

    /// Row `index` of every buffer of a stage.
    ///
    /// # Safety
    /// The row is below the count of its set. Of its buffers, no other thread touches those that
    /// the caller writes, or writes those that it reads.
    pub(crate) unsafe fn row(&self, index: usize) -> Row<'_> {
        Row { frame: self, index }
    }
}

/// What rows of buffers are made of.
///
/// # Safety
/// Any bytes are a value of it, and it is aligned like a float at most.
pub(crate) unsafe trait Element {}

// SAFETY: any bytes are bytes.
unsafe impl Element for u8 {}
// SAFETY: any bytes are floats.
unsafe impl Element for f32 {}
// SAFETY: it is made of 32-bit numbers that may have any value.
unsafe impl Element for Choice {}

/// One row of all buffers, owned by one thread for the length of a stage.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) frame: &'a Frame<'a>,
    pub(crate) index: usize,
}

impl Row<'_> {
    /// The row of one buffer.
    pub(crate) fn read<T: Element>(&self, buffer: BufferId) -> &[T] {
        let (start, count) = self.extent(buffer);
        // SAFETY: `Frame::row` had its caller vouch for the row; scratch memory is never
        // uninitialised, and a writer would need this row exclusively. Places and strides keep
        // elements aligned.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// The row of one buffer, to change.
    pub(crate) fn write<T: Element>(&mut self, buffer: BufferId) -> &mut [T] {
        let (start, count) = self.extent(buffer);
        // SAFETY: `Frame::row` had its caller vouch that the row is this thread's alone, and it
        // is borrowed exclusively; aligned as for `read`.
        unsafe { std::slice::from_raw_parts_mut(start, count) }
    }

    /// The rows of two buffers, the second to change.
    pub(crate) fn read_write<A: Element, B: Element>(
        &mut self,
        from: BufferId,
        to: BufferId,
    ) -> (&[A], &mut [B]) {
        assert_ne!(from, to, "an op that is not in place has two buffers");
        let (start, count) = self.extent(to);
        // SAFETY: as for `write`; the plan gives buffers of one stage different memory, and these
        // are two.
        let to = unsafe { std::slice::from_raw_parts_mut(start, count) };
        (self.read(from), to)
    }

    fn extent<T: Element>(&self, buffer: BufferId) -> (*mut T, usize) {
        let start = self.frame.row_start(buffer, self.index);
        (start.cast(), self.frame.plan.places[buffer].row_bytes / size_of::<T>())
    }
}
