//! The one thread pool of the process: a parallel region hands out chunks until none is left.
//!
//! A decode step has a hundred regions of some microseconds, so workers spin for a moment before
//! they sleep; the machine may be busy, so nobody spins for long and a region waits only for
//! workers that are in the middle of a chunk, never for one that has yet to wake. Sessions share
//! the pool: a region that finds it taken runs on its caller alone. Chunks go to whoever asks
//! first, so a result must not depend on who computes it. The pool knows nothing of tensors.

use plugin_api::{Error, ErrorKind};
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::from_ref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Most threads a session may ask for.
pub(crate) const THREADS_MAX: usize = 512;

/// How long to spin before sleeping: longer than the serial part between two regions of a step,
/// far shorter than a time slice.
const SPIN: Duration = Duration::from_micros(50);

/// Set in the state while workers may join the region.
const OPEN: u64 = 1 << 31;
/// The part of the state that counts the workers inside the region; the generation is above.
const INSIDE: u64 = OPEN - 1;

static POOL: Pool = Pool::new();

/// Workers that outlive every region, and the region they are in.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Generation of the newest region, [`OPEN`], and the count of workers inside.
    state: AtomicU64,
    /// The newest region; written only while it is closed and nobody is inside.
    task: UnsafeCell<Task>,
    /// Held by the owner of the region.
    workers: Mutex<Vec<Worker>>,
    /// Whether the owner sleeps until the last worker has left.
    owner_sleeps: AtomicBool,
    gate: Mutex<()>,
    left: Condvar,
}

// SAFETY: all but `task` is Sync by itself, and `task` is written only by the owner of `workers`
// while the state keeps everybody else out, and read only between joining and leaving.
unsafe impl Sync for Pool {}

#[derive(Debug)]
struct Worker {
    asleep: Arc<AtomicBool>,
    thread: Thread,
}

/// A region without its type.
#[derive(Debug, Clone, Copy)]
struct Task {
    region: *const (),
    work: unsafe fn(*const (), usize),
    /// Workers with an index up to this one take part.
    helper_count: usize,
}

/// Chunks of one call and how it went.
struct Region<'a, F> {
    body: &'a F,
    next: AtomicUsize,
    count: usize,
    failure: Mutex<Option<Error>>,
}

/// Runs `body(chunk, worker)` for every chunk below `count`, on at most `threads` threads, the
/// caller among them. `worker` is below `threads` and no two threads have the same at a time.
///
/// # Errors
/// The first error of a chunk, or its panic; chunks not begun by then are left out.
pub(crate) fn run<F>(threads: usize, count: usize, body: &F) -> Result<(), Error>
where
    F: Fn(usize, usize) -> Result<(), Error> + Sync,
{
    let region = Region { body, next: AtomicUsize::new(0), count, failure: Mutex::new(None) };
    let helper_count = threads.min(THREADS_MAX).min(count).saturating_sub(1);
    if helper_count > 0
        && let Ok(workers) = POOL.workers.try_lock()
    {
        POOL.share(workers, helper_count, &region);
    } else {
        region.work(0);
    }
    region.failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

impl<F> Region<'_, F>
where
    F: Fn(usize, usize) -> Result<(), Error> + Sync,
{
    /// Takes chunks until none is left. Never unwinds.
    fn work(&self, worker: usize) {
        loop {
            let chunk = self.next.fetch_add(1, Relaxed);
            if chunk >= self.count {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.body)(chunk, worker)));
            if let Err(failure) = outcome.unwrap_or_else(|panic| Err(panicked(&*panic))) {
                self.next.store(self.count, Relaxed);
                let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(failure);
            }
        }
    }

    /// # Safety
    /// `region` must point to a region of this very type, alive until the call returns.
    unsafe fn work_untyped(region: *const (), worker: usize) {
        // SAFETY: passed on to the caller.
        let region = unsafe { &*region.cast::<Self>() };
        region.work(worker);
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let why = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(ErrorKind::Panic, format!("plugin `cpu` panicked in a parallel region: {why}"))
}

impl Pool {
    const fn new() -> Self {
        const fn nothing(_: *const (), _: usize) {}
        Self {
            state: AtomicU64::new(0),
            task: UnsafeCell::new(Task {
                region: std::ptr::null(),
                work: nothing,
                helper_count: 0,
            }),
            workers: Mutex::new(Vec::new()),
            owner_sleeps: AtomicBool::new(false),
            gate: Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Opens a region to the workers, works in it and returns when the last of them has left.
    fn share<F>(
        &'static self,
        mut workers: MutexGuard<'_, Vec<Worker>>,
        helper_count: usize,
        region: &Region<'_, F>,
    ) where
        F: Fn(usize, usize) -> Result<(), Error> + Sync,
    {
        self.grow(&mut workers, helper_count);
        let task =
            Task { region: from_ref(region).cast(), work: Region::<F>::work_untyped, helper_count };
        // SAFETY: this thread holds `workers`, and the owner before it has waited until its
        // region was closed and empty, so nobody reads the task.
        unsafe { *self.task.get() = task };
        let generation = (self.state.load(Relaxed) >> 32).wrapping_add(1) << 32;
        self.state.store(generation | OPEN, SeqCst);
        for worker in workers.iter().take(helper_count) {
            if worker.asleep.load(SeqCst) {
                worker.thread.unpark();
            }
        }
        region.work(0);
        self.state.fetch_and(!OPEN, SeqCst);
        self.wait_until_left();
    }

    /// Starts workers that are missing; without them a region has fewer hands.
    fn grow(&'static self, workers: &mut Vec<Worker>, count: usize) {
        while workers.len() < count {
            let asleep = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&asleep);
            let index = workers.len() + 1;
            let seen = self.state.load(Relaxed) >> 32;
            let spawned = std::thread::Builder::new()
                .name(format!("cpu-{index}"))
                .spawn(move || self.serve(index, &flag, seen));
            let Ok(handle) = spawned else { return };
            workers.push(Worker { asleep, thread: handle.thread().clone() });
        }
    }

    /// A worker's life.
    fn serve(&self, index: usize, asleep: &AtomicBool, mut seen: u64) {
        let mut wanted = true;
        loop {
            seen = self.await_region(seen, asleep, wanted);
            wanted = self.join(index, seen);
        }
    }

    /// Waits for a region after generation `seen`: spinning first if `spin`, then asleep.
    fn await_region(&self, seen: u64, asleep: &AtomicBool, spin: bool) -> u64 {
        let newest = || self.state.load(SeqCst) >> 32;
        if spin && spin_until(|| newest() != seen) {
            return newest();
        }
        asleep.store(true, SeqCst);
        while newest() == seen {
            std::thread::park();
        }
        asleep.store(false, SeqCst);
        newest()
    }

    /// Takes part in the region of that generation if it is still open; false if the region did
    /// not want this worker.
    fn join(&self, index: usize, generation: u64) -> bool {
        let entered = self.state.fetch_update(AcqRel, Acquire, |state| {
            (state >> 32 == generation && state & OPEN != 0).then(|| state + 1)
        });
        if entered.is_err() {
            return true;
        }
        // SAFETY: this worker is counted inside, so the owner neither changes the task nor frees
        // the region until it has left.
        let task = unsafe { *self.task.get() };
        let wanted = index <= task.helper_count;
        if wanted {
            // SAFETY: `share` paired the pointer with the function of its type; alive as above.
            unsafe { (task.work)(task.region, index) };
        }
        let before = self.state.fetch_sub(1, SeqCst);
        if before & OPEN == 0 && before & INSIDE == 1 && self.owner_sleeps.load(SeqCst) {
            drop(self.gate.lock());
            self.left.notify_all();
        }
        wanted
    }

    fn wait_until_left(&self) {
        let empty = || self.state.load(SeqCst) & INSIDE == 0;
        if spin_until(empty) {
            return;
        }
        self.owner_sleeps.store(true, SeqCst);
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while !empty() {
            gate = self.left.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        drop(gate);
        self.owner_sleeps.store(false, SeqCst);
    }
}

/// Spins until `done`, at most [`SPIN`]; whether it was done.
fn spin_until(done: impl Fn() -> bool) -> bool {
    /// Looks between two looks at the clock.
    const LOOKS: usize = 32;
    let mut begin = None;
    loop {
        for _ in 0..LOOKS {
            if done() {
                return true;
            }
            spin_loop();
        }
        if begin.get_or_insert_with(Instant::now).elapsed() > SPIN {
            return done();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::scope;

    /// Runs a region and counts how often each chunk ran.
    fn chunk_runs(threads: usize, count: usize) -> Vec<usize> {
        let runs: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        let outcome = run(threads, count, &|chunk, worker| {
            assert!(worker < threads.max(1));
            runs[chunk].fetch_add(1, SeqCst);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
        runs.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_chunk_runs_once() {
        for threads in [0, 1, 2, 3, 8] {
            for count in [0, 1, 2, 7, 1000] {
                assert_eq!(chunk_runs(threads, count), vec![1; count]);
            }
        }
    }

    #[test]
    fn no_two_threads_have_one_worker_index() {
        for _ in 0..200 {
            let busy: Vec<_> = (0..4).map(|_| AtomicBool::new(false)).collect();
            let outcome = run(4, 64, &|_, worker| {
                assert!(!busy[worker].swap(true, SeqCst), "index {worker} is taken");
                spin_loop();
                busy[worker].store(false, SeqCst);
                Ok(())
            });
            assert_eq!(outcome, Ok(()));
        }
    }

    #[test]
    fn thousands_of_regions_from_many_callers_finish() {
        scope(|scope| {
            for threads in 1..=5 {
                scope.spawn(move || {
                    for round in 0..2000 {
                        let count = round % 9;
                        assert_eq!(chunk_runs(threads, count), vec![1; count]);
                    }
                });
            }
        });
    }

    #[test]
    fn regions_inside_regions_finish() {
        let outcome = run(3, 20, &|_, _| {
            assert_eq!(chunk_runs(3, 5), [1; 5]);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn a_failing_chunk_fails_its_region_only() {
        for threads in [1, 4] {
            let failed = run(threads, 100, &|chunk, _| {
                if chunk == 40 { Err(Error::invalid("no")) } else { Ok(()) }
            });
            assert_eq!(failed, Err(Error::invalid("no")));
            assert_eq!(chunk_runs(threads, 10), [1; 10]);
        }
    }

    #[test]
    fn a_panicking_chunk_fails_its_region_only() {
        for threads in [1, 4] {
            let failed = run(threads, 100, &|chunk, _| {
                assert_ne!(chunk, 40, "chunk of bad luck");
                Ok(())
            });
            let failed = failed.expect_err("a chunk panicked");
            assert_eq!(failed.kind(), ErrorKind::Panic);
            assert!(failed.message().contains("chunk of bad luck"), "{failed}");
            assert_eq!(chunk_runs(threads, 10), [1; 10]);
        }
    }

    #[test]
    fn regions_finish_while_every_processor_is_busy() {
        let stop = AtomicBool::new(false);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        scope(|scope| {
            for _ in 0..2 * cores {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        spin_loop();
                    }
                });
            }
            for _ in 0..200 {
                assert_eq!(chunk_runs(2 * cores, 16), [1; 16]);
            }
            stop.store(true, Relaxed);
        });
    }
}
