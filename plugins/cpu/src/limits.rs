//! What this machine can do at best, with a number of threads: bytes read from memory in a second,
//! and multiplications and additions in a second.
//!
//! The loops are those of `kernels`, on the pool that steps run on, so a kernel that comes near
//! these figures has nothing left to gain. The best of some attempts counts: a busy machine can
//! only make them worse.

use crate::memory::Region;
use crate::pool;
use kernels::limits;
use plugin_api::{Error, MachineLimits};
use std::hint::black_box;
use std::time::Instant;

/// Far more than caches hold.
const READ_BYTES: usize = 1 << 30;
const READ_CHUNK_BYTES: usize = 4 << 20;
/// Chunks of multiplications for each thread: one that is held up leaves the rest to the others.
const CHUNKS_PER_THREAD: usize = 32;
/// Rounds of a chunk, together about a millisecond.
const INT8_ROUNDS: usize = 1 << 15;
const F32_ROUNDS: usize = 1 << 18;
const ATTEMPTS: usize = 3;

pub(crate) fn measure(threads: usize) -> Result<MachineLimits, Error> {
    Ok(MachineLimits {
        bytes_per_s: read_rate(threads, READ_BYTES)?,
        int8_operations_per_s: multiply_rate(threads, &|| limits::multiply_int8(INT8_ROUNDS))?,
        f32_operations_per_s: multiply_rate(threads, &|| limits::multiply_f32(F32_ROUNDS))?,
    })
}

fn read_rate(threads: usize, bytes: usize) -> Result<f64, Error> {
    let region = Region::zeroed(bytes, "measuring the speed of memory")?;
    let count = bytes / READ_CHUNK_BYTES;
    // Memory that was never written is one page of zeros.
    pool::run(threads, count, &|chunk, _| {
        let begin = region.at(chunk * READ_CHUNK_BYTES);
        // SAFETY: whole chunks lie inside the region, and each is one thread's.
        unsafe { begin.write_bytes(1, READ_CHUNK_BYTES) };
        Ok(())
    })?;
    best_rate(|| {
        pool::run(threads, count, &|chunk, _| {
            let begin = region.at(chunk * READ_CHUNK_BYTES);
            // SAFETY: as above, and nobody writes any more.
            let bytes = unsafe { std::slice::from_raw_parts(begin, READ_CHUNK_BYTES) };
            black_box(limits::read(bytes));
            Ok(())
        })?;
        Ok((count * READ_CHUNK_BYTES) as u64)
    })
}

fn multiply_rate(threads: usize, multiply: &(dyn Fn() -> u64 + Sync)) -> Result<f64, Error> {
    let count = threads * CHUNKS_PER_THREAD;
    // Every chunk does the same, so one says how many operations all do.
    let operations = multiply() * count as u64;
    best_rate(|| {
        pool::run(threads, count, &|_, _| {
            black_box(multiply());
            Ok(())
        })?;
        Ok(operations)
    })
}

/// The best of some attempts, each of which says how much it did.
fn best_rate(attempt: impl Fn() -> Result<u64, Error>) -> Result<f64, Error> {
    let mut best = 0.0_f64;
    for _ in 0..ATTEMPTS {
        let begin = Instant::now();
        let done = attempt()?;
        best = best.max(done as f64 / begin.elapsed().as_secs_f64().max(1e-9));
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_threads_there_is_a_rate() {
        for threads in [1, 3] {
            let read = read_rate(threads, 2 * READ_CHUNK_BYTES).expect("a little memory");
            let multiply = multiply_rate(threads, &|| limits::multiply_f32(10)).expect("it runs");
            assert!(read.is_finite() && read > 0.0, "{read}");
            assert!(multiply.is_finite() && multiply > 0.0, "{multiply}");
        }
    }
}
