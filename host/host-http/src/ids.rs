//! Random ids of answers and requests.
//!
//! They only have to differ; nothing is secret about them. The standard library seeds its hash maps
//! from the system, which is random enough and needs no dependency.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// `prefix` and 24 hexadecimal digits.
pub(crate) fn random_id(prefix: &str) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{prefix}{:016x}{:08x}", random(), random() as u32)
}
