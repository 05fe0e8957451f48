//! What a session notes about its time, while somebody asks.
//!
//! A stage is timed as a whole on the thread that leads its region, barrier included. Where ops of
//! several kinds share a stage, the leader also takes the time of each, and the time of the stage
//! is divided in that ratio. Everything is allocated with the session; while nobody asks, an op
//! costs one branch.

use crate::frame::Frame;
use crate::kinds::{Kind, KindInfo, Kinds};
use crate::moe::Routes;
use crate::plan::Stage;
use plugin_api::{Profile, ProfileEntry};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// The notes of a session, by kind of op.
#[derive(Debug)]
pub(crate) struct Profiler {
    on: bool,
    laps: Box<[AtomicU64]>,
    totals: Box<[Total]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    calls: u64,
    nanoseconds: u64,
    bytes: u64,
    operations: u64,
}

/// Nanoseconds that the leader of the current region spent on each kind, if anybody asks. Only the
/// leader writes; atomics because all threads of the region see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Laps<'a>(Option<&'a [AtomicU64]>);

/// The leader's watch for one chunk of a region.
#[derive(Debug)]
pub(crate) struct Watch<'a>(Option<(&'a [AtomicU64], Instant)>);

/// Where one step notes its stages.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    laps: Laps<'a>,
    totals: &'a mut [Total],
}

impl Profiler {
    pub(crate) fn new(kinds: &Kinds) -> Self {
        let count = kinds.all().len();
        Self {
            on: false,
            laps: (0..count).map(|_| AtomicU64::new(0)).collect(),
            totals: vec![Total::default(); count].into(),
        }
    }

    pub(crate) fn start(&mut self) {
        self.totals.fill(Total::default());
        self.on = true;
    }

    /// Ends the notes; the kinds that ran, by their numbers.
    pub(crate) fn stop(&mut self, kinds: &Kinds) -> Profile {
        self.on = false;
        let ran = kinds.all().iter().zip(&self.totals).filter(|(_, total)| total.calls > 0);
        let entry = |(kind, total): (&KindInfo, &Total)| ProfileEntry {
            op: kind.name.clone(),
            calls: total.calls,
            nanoseconds: total.nanoseconds,
            bytes: total.bytes,
            operations: total.operations,
            int8: kind.int8,
        };
        Profile { entries: ran.map(entry).collect() }
    }

    /// What a step needs of it.
    pub(crate) fn step(&mut self) -> Notes<'_> {
        Notes { laps: Laps(self.on.then_some(&*self.laps)), totals: &mut self.totals }
    }
}

impl<'a> Notes<'a> {
    /// For the frame of the step.
    pub(crate) fn laps(&self) -> Laps<'a> {
        self.laps
    }

    /// When a stage begins.
    pub(crate) fn begin(&self) -> Option<Instant> {
        let laps = self.laps.0?;
        laps.iter().for_each(|lap| lap.store(0, Relaxed));
        Some(Instant::now())
    }

    /// Notes a stage that has run.
    pub(crate) fn end(
        &mut self,
        begin: Option<Instant>,
        stage: &Stage,
        frame: &Frame<'_>,
        routes: &Routes,
    ) {
        let (Some(begin), Some(laps)) = (begin, self.laps.0) else { return };
        let elapsed = nanoseconds(begin, Instant::now());
        let mut first = None;
        stage.for_each_op(frame, routes, |kind, work| {
            first.get_or_insert(kind);
            let total = &mut self.totals[kind.index()];
            total.calls += 1;
            total.bytes += work.bytes as u64;
            total.operations += work.operations as u64;
        });
        let sum: u64 = laps.iter().map(|lap| lap.load(Relaxed)).sum();
        for (lap, total) in laps.iter().zip(&mut *self.totals) {
            let share = u128::from(elapsed) * u128::from(lap.load(Relaxed));
            total.nanoseconds += share.checked_div(sum.into()).unwrap_or(0) as u64;
        }
        // A stage of one kind takes no laps, and a leader may have found no chunk left.
        if let (0, Some(first)) = (sum, first) {
            self.totals[first.index()].nanoseconds += elapsed;
        }
    }
}

impl<'a> Laps<'a> {
    /// A watch that runs if this worker leads its region and somebody asks.
    pub(crate) fn watch(self, worker: usize) -> Watch<'a> {
        Watch(self.0.filter(|_| worker == 0).map(|laps| (laps, Instant::now())))
    }
}

impl Watch<'_> {
    /// Books the time since the last lap on `kind`.
    pub(crate) fn lap(&mut self, kind: impl FnOnce() -> Kind) {
        let Some((laps, since)) = &mut self.0 else { return };
        let now = Instant::now();
        laps[kind().index()].fetch_add(nanoseconds(*since, now), Relaxed);
        *since = now;
    }
}

fn nanoseconds(begin: Instant, end: Instant) -> u64 {
    u64::try_from((end - begin).as_nanos()).unwrap_or(u64::MAX)
}
