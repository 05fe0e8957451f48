//! Matrices of 8-bit floats are read as the values that their codes and scales define.

use crate::folder::{Folder, Tensor};
use crate::groups::{Random, read, scales};
use plugin_api::Checkpoint;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a scale is for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    None,
    /// Shape of the scale.
    All(&'static [usize]),
    Row,
    RowAsMatrix,
    Blocks([usize; 2]),
    CompressedBlocks([usize; 2]),
}

/// The value of a code: sign, four bits of exponent with bias 7, three of mantissa, no infinity.
fn value(code: u8) -> f64 {
    let (exponent, mantissa) = (i32::from(code) / 8 % 16, f64::from(code % 8));
    let size = match (exponent, code % 8) {
        (15, 7) => f64::NAN,
        (0, _) => mantissa / 8.0 * 2.0_f64.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2.0_f64.powi(exponent - 7),
    };
    if code < 128 { size } else { -size }
}

fn config(kind: Kind) -> Value {
    match kind {
        Kind::None => Value::Null,
        Kind::All(_) => json!({"quant_method": "fp8", "activation_scheme": "static"}),
        Kind::Blocks(block) => json!({"quant_method": "fp8", "weight_block_size": block}),
        Kind::Row | Kind::RowAsMatrix => json!({
            "quant_method": "compressed-tensors", "format": "float-quantized",
            "config_groups": {"group_0": {"weights": {"type": "float", "num_bits": 8}}},
        }),
        Kind::CompressedBlocks(block) => json!({
            "quant_method": "compressed-tensors", "format": "float-quantized",
            "config_groups": {"group_0": {"weights": {
                "type": "float", "num_bits": 8, "strategy": "block", "block_structure": block,
            }}},
        }),
    }
}

/// Shape of the scales and the sides of what each is for.
fn layout(kind: Kind, rows: usize, columns: usize) -> (Vec<usize>, [usize; 2]) {
    match kind {
        Kind::None => (vec![], [rows, columns]),
        Kind::All(shape) => (shape.to_vec(), [rows, columns]),
        Kind::Row => (vec![rows], [1, columns]),
        Kind::RowAsMatrix => (vec![rows, 1], [1, columns]),
        Kind::Blocks([a, b]) | Kind::CompressedBlocks([a, b]) => {
            (vec![rows.div_ceil(a), columns.div_ceil(b)], [a, b])
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_kind_of_scale_is_read_exactly(
        kind in prop::sample::select(vec![
            Kind::None, Kind::All(&[]), Kind::All(&[1]), Kind::All(&[1, 1]), Kind::Row,
            Kind::RowAsMatrix, Kind::Blocks([128, 128]), Kind::Blocks([4, 32]),
            Kind::Blocks([2, 24]), Kind::CompressedBlocks([16, 64]),
        ]),
        rows in 1..20_usize,
        columns in prop_oneof![1..140_usize, (1..6_usize).prop_map(|blocks| blocks * 32)],
        scale_dtype in prop::sample::select(vec!["F16", "BF16", "F32"]),
        seed: u64,
    ) {
        let mut random = Random(seed);
        let codes: Vec<u8> = (0..rows * columns).map(|_| random.below(256) as u8).collect();
        let (shape, sides) = layout(kind, rows, columns);
        let count = shape.iter().product::<usize>();
        let factors: Vec<f32> = (0..count).map(|_| random.scale()).collect();
        let name = if let Kind::Blocks(_) = kind { "x.weight_scale_inv" } else { "x.weight_scale" };
        let mut tensors: Vec<Tensor> =
            vec![("x.weight".to_owned(), "F8_E4M3", vec![rows, columns], codes.clone())];
        if !matches!(kind, Kind::None) {
            tensors.push(scales(name, scale_dtype, shape, &factors));
        }
        let checkpoint = Folder::quantized(&config(kind), &tensors).open().expect("valid");
        prop_assert_eq!(checkpoint.info().tensors.len(), 1);
        let in_blocks = columns % 32 == 0 && (sides[1] >= columns || sides[1] % 32 == 0);
        let dtype = if in_blocks { "f8_e4m3" } else { "f32" };
        prop_assert_eq!(&checkpoint.info().tensors[0].dtype, dtype);
        let begin = random.below(rows);
        for (at, found) in read(&checkpoint, 0, begin..rows).into_iter().enumerate() {
            let (row, column) = (begin + at / columns, at % columns);
            let scale = factors.get(row / sides[0] * columns.div_ceil(sides[1]) + column / sides[1]);
            let scale = if matches!(kind, Kind::None) { &1.0 } else { scale.expect("its scale") };
            let expected = (f64::from(*scale) * value(codes[row * columns + column])) as f32;
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            prop_assert!(same, "row {row}, column {column}: {found}, expected {expected}");
        }
    }
}

#[test]
fn what_is_no_matrix_has_values_too() {
    let tensors: [Tensor; 3] = [
        ("experts".to_owned(), "F8_E4M3", vec![2, 3, 32], vec![0x38; 192]),
        ("number".to_owned(), "F8_E4M3", vec![], vec![0xb8]),
        ("vector".to_owned(), "F8_E4M3", vec![5], vec![0x40; 5]),
    ];
    let checkpoint = Folder::quantized(&Value::Null, &tensors).open().expect("valid");
    assert_eq!(read(&checkpoint, 0, 1..6), [1.0; 160]);
    assert_eq!(read(&checkpoint, 1, 0..1), [-1.0]);
    assert_eq!(read(&checkpoint, 2, 0..1), [2.0; 5]);
}

#[test]
fn scales_of_activations_are_left_alone() {
    let tensors: [Tensor; 3] = [
        ("x.weight".to_owned(), "F8_E4M3", vec![1, 32], vec![0x38; 32]),
        scales("x.weight_scale", "F32", vec![], &[0.5]),
        scales("x.input_scale", "F32", vec![], &[f32::NAN]),
    ];
    let config = json!({"quant_method": "fp8", "activation_scheme": "static"});
    let checkpoint = Folder::quantized(&config, &tensors).open().expect("valid");
    let names = checkpoint.info().tensors.iter().map(|tensor| tensor.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["x.weight", "x.input_scale"]);
    assert_eq!(read(&checkpoint, 0, 0..1), [0.5; 32]);
}
