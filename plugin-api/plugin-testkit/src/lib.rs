//! Conformance suites: what every plugin of a kind must do, run by its author with `cargo test`.
//!
//! A suite needs no host and no weights; it calls the provider as the host would and says in one
//! sentence what is wrong. Suites must not print, need the network or depend on order.
//!
//! ```
//! # use plugin_api::{Architecture, CheckpointView, Decoder, Error, Graph};
//! # struct Tiny;
//! # impl Architecture for Tiny {
//! #     const NAME: &'static str = "tiny";
//! #     const CLAIMS: &'static [&'static str] = &["TinyForCausalLM"];
//! #     fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
//! #         Decoder::new(checkpoint)?.build()
//! #     }
//! # }
//! use plugin_testkit::{DecoderCheckpoint, architecture};
//!
//! architecture::<Tiny>(&DecoderCheckpoint::hf("TinyForCausalLM").info());
//! ```
#![warn(missing_docs)]

mod architecture;
mod checkpoint;
mod mutation;
mod tools;

pub use architecture::architecture;
pub use checkpoint::DecoderCheckpoint;
pub use tools::{call_tool, tools};

#[expect(clippy::panic, reason = "a suite tells the test what is wrong")]
fn fail(what: &str) -> ! {
    panic!("{what}")
}
