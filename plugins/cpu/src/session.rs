//! Compute sessions: a plan with its weights, KV storage and scratch memory.
//!
//! Everything a step needs is made in `create`, so that a step only checks its batch and runs the
//! stages in order. An error or panic in a stage ends that step and leaves the session usable:
//! nothing but scratch memory and the slots of the batch was written. Threads are not made here:
//! the pool of the process serves every session.

use crate::attention::{RowTile, cut_into_tiles};
use crate::batch::{BatchChecker, Bounds};
use crate::frame::{Frame, Workspaces};
use crate::inventory::Inventory;
use crate::kv::{KvLayout, KvStore};
use crate::memory::Region;
use crate::moe::Routes;
use crate::plan::Plan;
use crate::profile::Profiler;
use crate::weights::Weights;
use crate::{limits, pool};
use plugin_api::{
    Compute, ComputeSession, Error, MachineLimits, MemoryEstimate, Profile, ProfiledSession,
    SessionOptions, StepBatch,
};

/// The CPU as a compute device.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a marker type without fields")]
pub struct Cpu;

/// A graph on the CPU, ready to step.
#[derive(Debug)]
pub struct CpuSession {
    plan: Plan,
    weights: Weights,
    kv: KvStore,
    checker: BatchChecker,
    scratch: Region,
    tiles: Vec<RowTile>,
    workspaces: Workspaces,
    routes: Routes,
    profiler: Profiler,
    block_count: usize,
    threads: usize,
}

/// What `estimate` and `create` both work out.
struct Sizes {
    inventory: Inventory,
    plan: Plan,
    kv: KvLayout,
}

impl Sizes {
    fn new(options: &SessionOptions<'_>) -> Result<Self, Error> {
        let graph = &options.graph;
        graph.widths()?;
        if let Some(table) =
            graph.rope_tables.iter().position(|table| table.divisors().next().is_some())
        {
            return Err(Error::unsupported(format!(
                "rope table {table} has divisors: the host folds them into the frequencies"
            )));
        }
        let inventory = Inventory::new(graph, &options.weights, options.dtypes)?;
        let plan = Plan::new(graph, &inventory, options.limits)?;
        let kv = KvLayout::new(&graph.caches, options.limits, &options.kv_dtype)?;
        Ok(Self { inventory, plan, kv })
    }
}

impl Compute for Cpu {
    const NAME: &'static str = "cpu";
    type Session = CpuSession;

    fn estimate(options: &SessionOptions<'_>) -> Result<MemoryEstimate, Error> {
        let Sizes { inventory, plan, kv } = Sizes::new(options)?;
        let checker = BatchChecker::bytes(options.limits);
        Ok(MemoryEstimate {
            weights: inventory.packed_bytes.saturating_add(inventory.table_bytes) as u64,
            kv: kv.bytes() as u64,
            scratch: plan
                .scratch_bytes
                .saturating_add(checker)
                .saturating_add(Routes::bytes(plan.experts_max)) as u64,
        })
    }

    fn create(options: SessionOptions<'_>) -> Result<CpuSession, Error> {
        let Sizes { inventory, plan, kv } = Sizes::new(&options)?;
        let limits = options.limits;
        let checker = BatchChecker::new(Bounds::new(&options.graph, limits)?)?;
        let threads = thread_count(options.threads);
        let scratch = Region::zeroed(plan.scratch_bytes, "the buffers of a step")?;
        Ok(CpuSession {
            weights: Weights::load(
                &options.graph,
                inventory,
                options.rows,
                threads,
                options.progress,
            )?,
            routes: Routes::new(plan.experts_max),
            profiler: Profiler::new(&plan.kinds),
            plan,
            kv: KvStore::new(kv)?,
            checker,
            scratch,
            tiles: Vec::with_capacity(limits.batch_tokens_max),
            workspaces: Workspaces::new(threads),
            block_count: limits.block_count,
            threads,
        })
    }
}

/// As many threads as asked for, or as there are processors for this process.
fn thread_count(asked: usize) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { available() } else { asked }.min(pool::THREADS_MAX)
}

impl ComputeSession for CpuSession {
    fn step(&mut self, batch: &StepBatch<'_>, logits: &mut [f32]) -> Result<(), Error> {
        self.checker.check(batch, logits.len())?;
        cut_into_tiles(batch, &mut self.tiles);
        let mut notes = self.profiler.step();
        let frame = Frame {
            plan: &self.plan,
            weights: &self.weights,
            kv: &self.kv,
            batch,
            tiles: &self.tiles,
            workspaces: &self.workspaces,
            threads: self.threads,
            laps: notes.laps(),
            scratch: self.scratch.start(),
            logits: logits.as_mut_ptr(),
        };
        let stages = match batch.logit_rows {
            [] => &self.plan.stages[..self.plan.stages_without_logits],
            _ => &self.plan.stages,
        };
        stages.iter().try_for_each(|stage| {
            let begin = notes.begin();
            stage.run(&frame, &mut self.routes)?;
            notes.end(begin, stage, &frame, &self.routes);
            Ok(())
        })
    }

    fn copy_blocks(&mut self, from: &[u32], to: &[u32]) -> Result<(), Error> {
        if from.len() != to.len() {
            return Err(Error::invalid(format!(
                "{} blocks to copy from, {} to copy to",
                from.len(),
                to.len()
            )));
        }
        let count = self.block_count;
        if let Some(block) = from.iter().chain(to).find(|&&block| block as usize >= count) {
            return Err(Error::invalid(format!("block {block} to copy, there are {count}")));
        }
        for (&from, &to) in from.iter().zip(to) {
            self.kv.copy_block(from as usize, to as usize);
        }
        Ok(())
    }
}

impl ProfiledSession for CpuSession {
    fn start_profile(&mut self) {
        self.profiler.start();
    }

    fn stop_profile(&mut self) -> Profile {
        self.profiler.stop(&self.plan.kinds)
    }

    fn machine_limits(&mut self) -> Result<MachineLimits, Error> {
        limits::measure(self.threads)
    }
}
