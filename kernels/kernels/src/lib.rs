//! Numbers only: block dtypes, matmul tiles, norms, rope, attention.
//!
//! Everything here is a single-threaded pure function over slices, or over one tile of a matrix,
//! so that any thread pool can call it. The crate exists so that the speed and the exactness of
//! the arithmetic can be judged alone. It must not know models, sequences, requests or threads.
//!
//! # Exactness
//!
//! An output element has the same bits whatever the batch around it, the split of rows between
//! threads, the cut of a KV cache into blocks and the instruction set. Each kernel is written once
//! against `simd::Simd`, whose sixteen lanes mean the same on every instruction set, and a lane
//! never meets another lane except in one fixed order.
//!
//! # Adding a block dtype
//!
//! One file under `block/` (layout, codes, scales, and how they are written) and one line in the
//! table of `dtype.rs`.
#![expect(unsafe_code, reason = "CPU intrinsics and tiles that several threads write side by side")]

mod activation;
mod block;
mod dtype;
mod f8;
mod isa;
mod math;
mod plain;
mod quantize;
mod simd;
mod tile;

pub mod attention;
pub mod limits;
pub mod ops;

pub use dtype::{
    AFQ4, AFQ8, BF16, Dtype, F8_E4M3, F16, F32, HQQ4, HQQ8, INT4, IQ1_M, IQ1_S, IQ2_S, IQ2_XS,
    IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, MXFP4, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K,
    Q6_K, Q8_0, TQ1_0, TQ2_0, all, blocks, find, own, plain,
};
pub use isa::Isa;
pub use tile::{MatmulTile, ROW_GROUP};
