//! Any valid file reads back as it was written: every metadata type, every ggml type, every
//! alignment, both versions.

use crate::open_bytes;
use crate::writer::{self as w, File};
use plugin_api::{Checkpoint, TensorInfo};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// Number, name, values and bytes per block of each type, as `ggml.h` and gguf-py's
/// `GGML_QUANT_SIZES` have them.
const TYPES: [(u32, &str, u64, u64); 35] = [
    (0, "f32", 1, 4),
    (1, "f16", 1, 2),
    (2, "q4_0", 32, 18),
    (3, "q4_1", 32, 20),
    (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24),
    (8, "q8_0", 32, 34),
    (9, "q8_1", 32, 36),
    (10, "q2_k", 256, 84),
    (11, "q3_k", 256, 110),
    (12, "q4_k", 256, 144),
    (13, "q5_k", 256, 176),
    (14, "q6_k", 256, 210),
    (15, "q8_k", 256, 292),
    (16, "iq2_xxs", 256, 66),
    (17, "iq2_xs", 256, 74),
    (18, "iq3_xxs", 256, 98),
    (19, "iq1_s", 256, 50),
    (20, "iq4_nl", 32, 18),
    (21, "iq3_s", 256, 110),
    (22, "iq2_s", 256, 82),
    (23, "iq4_xs", 256, 136),
    (24, "i8", 1, 1),
    (25, "i16", 1, 2),
    (26, "i32", 1, 4),
    (27, "i64", 1, 8),
    (28, "f64", 1, 8),
    (29, "iq1_m", 256, 56),
    (30, "bf16", 1, 2),
    (34, "tq1_0", 256, 54),
    (35, "tq2_0", 256, 66),
    (39, "mxfp4", 32, 17),
    (40, "nvfp4", 64, 36),
    (41, "q1_0", 128, 18),
    (42, "q2_0", 64, 18),
];

/// A metadata value; numbers stand for themselves in the type they are written in.
#[derive(Debug, Clone)]
enum Meta {
    Scalar(u32, u64),
    Array(u32, Vec<u64>),
    Nested(Vec<Meta>),
}

/// The bytes of a scalar and what a host must see of it.
fn scalar(number: u32, bits: u64) -> (Vec<u8>, Json) {
    let bytes = bits.to_le_bytes();
    match number {
        0 => (bytes[..1].to_vec(), json!(bits as u8)),
        1 => (bytes[..1].to_vec(), json!(bits as i8)),
        2 => (bytes[..2].to_vec(), json!(bits as u16)),
        3 => (bytes[..2].to_vec(), json!(bits as i16)),
        4 => (bytes[..4].to_vec(), json!(bits as u32)),
        5 => (bytes[..4].to_vec(), json!(bits as i32)),
        6 => {
            let value = bits as i32 as f32 / 7.0;
            (value.to_le_bytes().to_vec(), json!(f64::from(value)))
        }
        w::BOOL => (vec![bytes[0] & 1], json!(bits & 1 == 1)),
        w::TEXT => {
            let text = format!("{bits} \u{2581}\u{e9}\n");
            (w::string(text.as_bytes()), json!(text))
        }
        10 => (bytes.to_vec(), json!(bits)),
        11 => (bytes.to_vec(), json!(bits.cast_signed())),
        _ => {
            let value = bits.cast_signed() as f64 / 7.0;
            (value.to_le_bytes().to_vec(), json!(value))
        }
    }
}

impl Meta {
    /// What follows the key; an array's element type and count are part of the bytes.
    fn value(&self) -> w::Value {
        match self {
            Self::Scalar(number, bits) => w::raw(*number, &scalar(*number, *bits).0),
            Self::Array(number, all) => {
                let items = all.iter().flat_map(|bits| scalar(*number, *bits).0).collect();
                w::raw(w::ARRAY, &[w::array_head(*number, all.len() as u64), items].concat())
            }
            Self::Nested(all) => {
                let items = all.iter().flat_map(|inner| inner.value().bytes).collect();
                w::raw(w::ARRAY, &[w::array_head(w::ARRAY, all.len() as u64), items].concat())
            }
        }
    }

    /// What the host must see of it, if anything.
    fn seen(&self) -> Option<Json> {
        match self {
            Self::Scalar(number, bits) => Some(scalar(*number, *bits).1),
            Self::Array(w::TEXT, _) | Self::Nested(_) => None,
            Self::Array(number, all) => {
                Some(all.iter().map(|bits| scalar(*number, *bits).1).collect())
            }
        }
    }
}

/// A type that is no array.
fn plain_type() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 1, 2, 3, 4, 5, 6, w::BOOL, w::TEXT, 10, 11, 12])
}

fn array() -> impl Strategy<Value = Meta> {
    (plain_type(), prop::collection::vec(any::<u64>(), 0..9))
        .prop_map(|(number, all)| Meta::Array(number, all))
}

fn meta() -> impl Strategy<Value = Meta> {
    let nested = array().prop_recursive(3, 16, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(Meta::Nested)
    });
    prop_oneof![
        (plain_type(), any::<u64>()).prop_map(|(number, bits)| Meta::Scalar(number, bits)),
        array(),
        nested,
    ]
}

#[derive(Debug, Clone)]
struct AnyTensor {
    place_of_type: usize,
    blocks: u64,
    outer: Vec<u64>,
    seed: u8,
}

fn tensor() -> impl Strategy<Value = AnyTensor> {
    let outer = prop::collection::vec(1_u64..4, 0..4);
    (0..TYPES.len(), 1_u64..4, outer, any::<u8>()).prop_map(
        |(place_of_type, blocks, outer, seed)| AnyTensor { place_of_type, blocks, outer, seed },
    )
}

impl AnyTensor {
    /// Adds the tensor to a file; its description and data.
    fn write(&self, file: &mut File, name: &str) -> (TensorInfo, Vec<u8>) {
        let (number, dtype, block_len, block_bytes) = TYPES[self.place_of_type];
        let mut dimensions = vec![self.blocks * block_len];
        dimensions.extend(&self.outer);
        let bytes = self.blocks * self.outer.iter().product::<u64>() * block_bytes;
        let data: Vec<u8> = (0..bytes).map(|i| (i as u8).wrapping_mul(self.seed | 1)).collect();
        file.tensor_data(name, &dimensions, number, &data);
        let shape = dimensions.iter().rev().map(|dimension| *dimension as usize).collect();
        (TensorInfo::new(name.to_owned(), dtype.to_owned(), shape), data)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        version in 2_u32..=3,
        alignment in prop::sample::select(vec![8_usize, 16, 32, 64, 4096]),
        values in prop::collection::vec(meta(), 0..12),
        tensors in prop::collection::vec(tensor(), 0..8),
    ) {
        let mut file = File::empty();
        (file.version, file.alignment) = (version, alignment);
        file.set("general.architecture", w::text("llama"));
        file.set("general.alignment", w::u32(alignment as u32));
        for (index, value) in values.iter().enumerate() {
            file.set(&format!("x.{index}"), value.value());
        }
        let mut write = |(index, tensor): (usize, &AnyTensor)| {
            tensor.write(&mut file, &format!("t.{index}"))
        };
        let written: Vec<_> = tensors.iter().enumerate().map(&mut write).collect();
        let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
        let info = checkpoint.info();
        for (index, value) in values.iter().enumerate() {
            let expected = value.seen();
            prop_assert_eq!(info.config.get(&format!("x.{index}")), expected.as_ref());
        }
        prop_assert_eq!(info.tensors.len(), written.len());
        for (index, (description, data)) in written.iter().enumerate() {
            prop_assert_eq!(&info.tensors[index], description);
            prop_assert_eq!(checkpoint.tensor(index).expect("inside the file"), data);
        }
    }
}

#[test]
fn every_type_has_the_size_ggml_gives_it() {
    let mut file = File::empty();
    file.set("general.architecture", w::text("llama"));
    let mut written = Vec::new();
    for place_of_type in 0..TYPES.len() {
        let tensor = AnyTensor { place_of_type, blocks: 2, outer: vec![3], seed: 1 };
        written.push(tensor.write(&mut file, &format!("t.{place_of_type}")));
    }
    let checkpoint = open_bytes(&file.bytes()).expect("a valid file");
    for (index, (description, data)) in written.iter().enumerate() {
        assert_eq!(&checkpoint.info().tensors[index], description);
        assert_eq!(checkpoint.tensor(index).expect("inside the file"), data);
    }
}
