//! Quantized matrices written by the definition of their formats, value by value, and read back.

use crate::folder::{Folder, Tensor};
use half::{bf16, f16};
use kernel_dtypes::{F8E4m3, Int4};
use plugin_api::{Checkpoint, Dtype, ErrorKind};
use plugin_safetensors::SafetensorsCheckpoint;
use serde_json::{Value, json};
use std::ops::Range;

/// Numbers that look random, the same for one seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    /// A scale as quantizers choose them, which f16 and bf16 have.
    pub(crate) fn scale(&mut self) -> f32 {
        (128 + self.below(128)) as f32 / 32_768.0
    }
}

/// The form of a matrix of 4-bit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Gptq,
    GptqV2,
    Awq,
}

/// A matrix of 4-bit codes.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) form: Form,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) group_size: Option<usize>,
    /// Group of each column, if it is stored.
    pub(crate) order: Option<Vec<usize>>,
    pub(crate) scale_dtype: &'static str,
    /// By row and column.
    codes: Vec<u8>,
    /// By group and row.
    zeros: Vec<u8>,
    scales: Vec<f32>,
}

impl Packed {
    pub(crate) fn random(
        form: Form,
        [rows, columns]: [usize; 2],
        group_size: Option<usize>,
        random: &mut Random,
    ) -> Self {
        let groups = group_size.map_or(1, |size| columns.div_ceil(size));
        let codes = (0..rows * columns).map(|_| random.below(16) as u8).collect();
        // GPTQ's first version stores a zero less one, so it has no 0 but a 16.
        let least = if form == Form::Gptq { 1 } else { 0 };
        let zeros = (0..groups * rows).map(|_| least + random.below(16) as u8).collect();
        let scales = (0..groups * rows).map(|_| random.scale()).collect();
        let (order, scale_dtype) = (None, "F16");
        Self { form, rows, columns, group_size, order, scale_dtype, codes, zeros, scales }
    }

    pub(crate) fn groups(&self) -> usize {
        self.scales.len() / self.rows
    }

    pub(crate) fn group(&self, column: usize) -> usize {
        match (&self.order, self.group_size) {
            (Some(order), _) => order[column],
            (None, Some(size)) => column / size,
            (None, None) => 0,
        }
    }

    /// The weight that the codes stand for.
    pub(crate) fn value(&self, row: usize, column: usize) -> f32 {
        let place = self.group(column) * self.rows + row;
        let code = f32::from(self.codes[row * self.columns + column]);
        self.scales[place] * (code - f32::from(self.zeros[place]))
    }

    /// Gives all zeros one value.
    pub(crate) fn clear_zeros(&mut self, zero: u8) {
        self.zeros.fill(zero);
    }

    pub(crate) fn config(&self) -> Value {
        let group_size = self.group_size.map_or(-1, |size| size as i64);
        let desc_act = self.order.is_some();
        match self.form {
            Form::Gptq => json!({"quant_method": "gptq", "bits": 4, "group_size": group_size,
                "desc_act": desc_act, "sym": false}),
            Form::GptqV2 => json!({"quant_method": "gptq", "bits": 4, "group_size": group_size,
                "desc_act": desc_act, "sym": false, "checkpoint_format": "gptq_v2"}),
            Form::Awq => json!({"quant_method": "awq", "bits": 4, "group_size": group_size,
                "zero_point": true, "version": "gemm"}),
        }
    }

    /// The tensors of the matrix `x`.
    pub(crate) fn tensors(&self) -> Vec<Tensor> {
        let Self { rows, columns, .. } = *self;
        let code = |row: usize, column: usize| self.codes[row * columns + column];
        let zero = |group: usize, row: usize| self.zeros[group * rows + row];
        /// The output that each nibble of a word of AWQ's holds.
        const AWQ: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
        let (codes, zeros, shape) = match self.form {
            Form::Awq => (
                words(columns, rows / 8, |column, word, i| code(word * 8 + AWQ[i], column)),
                words(self.groups(), rows / 8, |group, word, i| zero(group, word * 8 + AWQ[i])),
                vec![columns, rows / 8],
            ),
            form => {
                let less = u8::from(form == Form::Gptq);
                (
                    words(columns / 8, rows, |word, row, i| code(row, word * 8 + i)),
                    words(self.groups(), rows / 8, |group, word, i| {
                        zero(group, word * 8 + i) - less
                    }),
                    vec![columns / 8, rows],
                )
            }
        };
        let mut tensors = vec![
            ("x.qweight".to_owned(), "I32", shape, codes),
            ("x.qzeros".to_owned(), "I32", vec![self.groups(), rows / 8], zeros),
            scales("x.scales", self.scale_dtype, vec![self.groups(), rows], &self.scales),
        ];
        if let Some(order) = &self.order {
            let order = order.iter().flat_map(|group| (*group as i32).to_le_bytes()).collect();
            tensors.push(("x.g_idx".to_owned(), "I32", vec![columns], order));
        }
        tensors
    }

    pub(crate) fn open(&self) -> SafetensorsCheckpoint {
        let folder = Folder::quantized(&self.config(), &self.tensors());
        folder.open().expect("a valid matrix")
    }
}

/// A matrix of words of eight nibbles, the first in the lowest bits.
fn words(height: usize, width: usize, nibble: impl Fn(usize, usize, usize) -> u8) -> Vec<u8> {
    let word = |row, column| {
        (0..8).fold(0_u32, |word, i| word | u32::from(nibble(row, column, i)) << (4 * i))
    };
    (0..height * width).flat_map(|at| word(at / width, at % width).to_le_bytes()).collect()
}

pub(crate) fn scales(name: &str, dtype: &'static str, shape: Vec<usize>, values: &[f32]) -> Tensor {
    let bytes = match dtype {
        "F16" => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        "BF16" => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    (name.to_owned(), dtype, shape, bytes)
}

/// The values of some rows of tensor `index`, which lies in no file as it is described.
pub(crate) fn read(
    checkpoint: &SafetensorsCheckpoint,
    index: usize,
    rows: Range<usize>,
) -> Vec<f32> {
    let tensor = &checkpoint.info().tensors[index];
    let error = checkpoint.tensor(index).expect_err("it is made row by row");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let (count, columns) = (rows.len(), tensor.shape.last().copied().unwrap_or(1));
    let mut values = vec![0.0; count * columns];
    let bytes = |block_len: usize, block_bytes: usize| {
        let mut bytes = vec![0xee; count * columns / block_len * block_bytes];
        checkpoint.read_rows(index, rows.clone(), &mut bytes).expect("rows that are there");
        bytes
    };
    match tensor.dtype.as_str() {
        "int4" => {
            let bytes = bytes(Int4::BLOCK_LEN, Int4::BLOCK_BYTES);
            Int4::dequantize(&bytes, &mut values).expect("whole blocks");
        }
        "f8_e4m3" => {
            let bytes = bytes(F8E4m3::BLOCK_LEN, F8E4m3::BLOCK_BYTES);
            F8E4m3::dequantize(&bytes, &mut values).expect("whole blocks");
        }
        "f16" => {
            let bytes = bytes(1, 2);
            let halves = bytes.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes));
            values = halves.map(f16::to_f32).collect();
        }
        _ => {
            let bytes = bytes(1, 4);
            values = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        }
    }
    values
}
