//! Tests only: see `tests/`.
//!
//! They use the host's crates below the surfaces, because they compare logits, which no client sees.
