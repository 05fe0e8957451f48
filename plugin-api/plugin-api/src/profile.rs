//! What a compute session says about its time: the optional facet `profile/1`.
//!
//! A session that implements [`ProfiledSession`] is registered with
//! `register!(profiled_compute: Device)` instead of `register!(compute: Device)`. The documents
//! here cross as JSON, as the memory estimate does.

use crate::{ComputeSession, Error};
use serde::{Deserialize, Serialize};

/// A session that can say where its time goes. The host calls it between steps.
pub trait ProfiledSession: ComputeSession {
    /// Notes the steps from now on; what was noted before is forgotten.
    fn start_profile(&mut self);

    /// Notes no further steps and gives what was noted since the start.
    fn stop_profile(&mut self) -> Profile;

    /// What this machine can do at best with as many threads as the session has; may take some
    /// seconds, and memory beyond any cache.
    ///
    /// # Errors
    /// Memory is short.
    fn machine_limits(&mut self) -> Result<MachineLimits, Error>;
}

/// What was noted of some steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by compute plugins field by field")]
pub struct Profile {
    /// One for each kind of op that ran.
    pub entries: Vec<ProfileEntry>,
}

/// What was noted of one kind of op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by compute plugins field by field")]
pub struct ProfileEntry {
    /// The kind in words, such as `attention` or `linear q8_0`.
    pub op: String,
    /// Times that an op of this kind ran on a whole step.
    pub calls: u64,
    /// Time that passed in them, all threads working at once.
    pub nanoseconds: u64,
    /// Bytes they had to read: weights, keys and values, inputs, each counted once in a call. Some
    /// may have come from a cache.
    pub bytes: u64,
    /// Their multiplications and additions.
    pub operations: u64,
    /// Whether these are operations on 8-bit integers; on f32 if not.
    #[serde(default)]
    pub int8: bool,
}

/// What a machine can do at best with a number of threads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "built by compute plugins field by field")]
pub struct MachineLimits {
    /// Bytes read from main memory in a second.
    pub bytes_per_s: f64,
    /// Multiplications and additions of 8-bit integers in a second.
    pub int8_operations_per_s: f64,
    /// Multiplications and additions of f32 in a second.
    pub f32_operations_per_s: f64,
}
