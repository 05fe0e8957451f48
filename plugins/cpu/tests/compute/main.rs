//! Behaviour of the compute plugin through its traits, on small graphs with random weights.
//!
//! Every op is compared with a plain f64 executor, exactness is compared bit for bit with a solo
//! run, and whatever a host may get wrong must give an error.
#![expect(unsafe_code, reason = "dtypes of this binary are found as a host finds them")]

mod attention;
mod compare;
mod dtypes;
mod encoder;
mod equivalence;
mod exactness;
mod experts;
mod faults;
mod model;
mod ops;
mod profile;
mod reference;
mod rng;
mod runner;
mod schedules;
