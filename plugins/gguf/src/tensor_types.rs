//! The element types that ggml numbers: name, values per block, bytes per block.
//!
//! All of them are known here whether or not anybody has kernels for them: the reader needs sizes
//! only, and it is for the host to say which dtype no plugin provides.

use crate::fault::fault;
use plugin_api::Error;

/// One element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TensorType {
    number: u32,
    /// Name in lower case.
    pub(crate) name: &'static str,
    /// Values per block.
    pub(crate) block_len: u64,
    /// Bytes per block.
    pub(crate) block_bytes: u64,
}

const fn tensor_type(
    number: u32,
    name: &'static str,
    block_len: u64,
    block_bytes: u64,
) -> TensorType {
    TensorType { number, name, block_len, block_bytes }
}

static TENSOR_TYPES: [TensorType; 34] = [
    tensor_type(0, "f32", 1, 4),
    tensor_type(1, "f16", 1, 2),
    tensor_type(2, "q4_0", 32, 18),
    tensor_type(3, "q4_1", 32, 20),
    tensor_type(6, "q5_0", 32, 22),
    tensor_type(7, "q5_1", 32, 24),
    tensor_type(8, "q8_0", 32, 34),
    tensor_type(9, "q8_1", 32, 36),
    tensor_type(10, "q2_k", 256, 84),
    tensor_type(11, "q3_k", 256, 110),
    tensor_type(12, "q4_k", 256, 144),
    tensor_type(13, "q5_k", 256, 176),
    tensor_type(14, "q6_k", 256, 210),
    tensor_type(15, "q8_k", 256, 292),
    tensor_type(16, "iq2_xxs", 256, 66),
    tensor_type(17, "iq2_xs", 256, 74),
    tensor_type(18, "iq3_xxs", 256, 98),
    tensor_type(19, "iq1_s", 256, 50),
    tensor_type(20, "iq4_nl", 32, 18),
    tensor_type(21, "iq3_s", 256, 110),
    tensor_type(22, "iq2_s", 256, 82),
    tensor_type(23, "iq4_xs", 256, 136),
    tensor_type(24, "i8", 1, 1),
    tensor_type(25, "i16", 1, 2),
    tensor_type(26, "i32", 1, 4),
    tensor_type(27, "i64", 1, 8),
    tensor_type(28, "f64", 1, 8),
    tensor_type(29, "iq1_m", 256, 56),
    tensor_type(30, "bf16", 1, 2),
    tensor_type(34, "tq1_0", 256, 54),
    tensor_type(35, "tq2_0", 256, 66),
    tensor_type(39, "mxfp4", 32, 17),
    tensor_type(40, "nvfp4", 64, 36),
    tensor_type(41, "q1_0", 128, 18),
];

/// The type that ggml gives this number.
pub(crate) fn find(number: u32, field: &str) -> Result<TensorType, Error> {
    TENSOR_TYPES.iter().find(|known| known.number == number).copied().ok_or_else(|| {
        let known: Vec<String> =
            TENSOR_TYPES.iter().map(|known| format!("{} {}", known.number, known.name)).collect();
        fault(field, format!("tensor type {number}"), format!("one of {}", known.join(", ")))
    })
}

/// The type of that name.
pub(crate) fn named(name: &str) -> Option<TensorType> {
    TENSOR_TYPES.iter().find(|known| known.name == name).copied()
}

impl TensorType {
    /// The number ggml gives it.
    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// Bytes of a tensor with these dimensions, innermost first; they are not zero.
    pub(crate) fn bytes(&self, dimensions: &[u64], field: &str) -> Result<u64, Error> {
        let row = dimensions.first().copied().unwrap_or(0);
        if !row.is_multiple_of(self.block_len) {
            let expected = format!("a multiple of {}, the block of {}", self.block_len, self.name);
            return Err(fault(field, format!("rows of {row} values"), expected));
        }
        let rows =
            dimensions.iter().skip(1).try_fold(1_u64, |rows, count| rows.checked_mul(*count));
        rows.and_then(|rows| rows.checked_mul(row / self.block_len))
            .and_then(|blocks| blocks.checked_mul(self.block_bytes))
            .ok_or_else(|| {
                fault(field, format!("dimensions {dimensions:?}"), "less than 2^64 bytes of data")
            })
    }
}
