//! Times a kernel and its reference in turns.
//!
//! What disturbs the machine for longer than a turn strikes both, so the median of the turns'
//! ratios stays where it is while speeds drift. A turn takes a millisecond or two at most, less
//! than a system lets others run for, so that most turns are undisturbed even beside other work.

use std::time::{Duration, Instant};

/// How long a case is measured, and how often at least.
const LIMIT: Duration = Duration::from_millis(600);
const TURNS_MIN: usize = 5;

/// A kernel and its reference, with the kernel's work in one call.
pub(crate) struct Pair<'a> {
    pub(crate) kernel: Box<dyn FnMut() + 'a>,
    pub(crate) reference: Box<dyn FnMut() + 'a>,
    pub(crate) bytes: usize,
    pub(crate) operations: usize,
}

/// Medians over the turns: speeds of the kernel in units of 10⁹ a second, and how many times as
/// fast as its reference it is.
pub(crate) struct Figures {
    pub(crate) gigabytes: f64,
    pub(crate) operations: f64,
    pub(crate) ratio: f64,
}

impl Pair<'_> {
    pub(crate) fn measure(mut self) -> Figures {
        // The first turn finds cold caches and pages.
        let mut turn = || [&mut self.reference, &mut self.kernel].map(|run| nanoseconds(run));
        turn();
        let begin = Instant::now();
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        while times.len() < TURNS_MIN || begin.elapsed() < LIMIT {
            let [reference, kernel] = turn();
            times.push(kernel);
            ratios.push(reference / kernel);
        }
        let time = median(times);
        let [gigabytes, operations] = [self.bytes, self.operations].map(|work| work as f64 / time);
        Figures { gigabytes, operations, ratio: median(ratios) }
    }
}

fn nanoseconds(run: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_secs_f64() * 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
