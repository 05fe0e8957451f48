//! The case table of the kernels: every dtype on every instruction set of this machine.
//!
//! References are written here in f64 from the definition, never from the code under test.
#![expect(unsafe_code, reason = "a matmul tile is raw pointers")]

mod attention;
mod baseline;
mod golden;
mod matmul;
mod ops;
mod own;
mod plain_rounding;
mod quantize;
mod quantize_extremes;
mod random;
