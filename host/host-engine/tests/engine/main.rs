//! Tests of the engine through its public interface, on a scripted model that checks each batch.
//!
//! One binary: `schedule` replays random schedules against invariants, the others pin single
//! behaviours. Nothing here reads a file, a clock or a random source.

mod blocks;
mod constraint;
mod drafts;
mod embedding;
mod fairness;
mod finish;
mod harness;
mod logprobs;
mod longrope;
mod model;
mod preemption;
mod prefix;
mod priority;
mod refusal;
mod schedule;
mod steps;
