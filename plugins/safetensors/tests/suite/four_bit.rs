//! Matrices of GPTQ and AWQ are read as the values that their formats define.

use crate::folder::{Folder, Tensor};
use crate::groups::{Form, Packed, Random, read};
use half::f16;
use plugin_api::{Checkpoint, Format, TensorInfo};
use plugin_safetensors::Safetensors;
use proptest::prelude::*;
use std::path::Path;

/// Reads the matrix, whole and in part, and compares each value.
fn check(packed: &Packed, dtype: &str, random: &mut Random) {
    let checkpoint = packed.open();
    let Packed { rows, columns, .. } = *packed;
    let expected = TensorInfo::new("x.weight".to_owned(), dtype.to_owned(), vec![rows, columns]);
    assert_eq!(checkpoint.info().tensors, [expected]);
    let begin = random.below(rows);
    let end = begin + random.below(rows - begin + 1);
    for part in [0..rows, begin..end] {
        let values = read(&checkpoint, 0, part.clone());
        for (at, value) in values.into_iter().enumerate() {
            let (row, column) = (part.start + at / columns, at % columns);
            let exact = packed.value(row, column);
            let expected = if dtype == "f16" { f16::from_f32(exact).to_f32() } else { exact };
            assert_eq!(value, expected, "row {row}, column {column} of {packed:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_shape_and_group_size_is_read_exactly(
        form in prop::sample::select(vec![Form::Gptq, Form::GptqV2, Form::Awq]),
        (rows, columns) in (1..6_usize, 1..25_usize),
        group_size in prop::sample::select(vec![None, Some(8), Some(24), Some(32), Some(64), Some(128)]),
        scale_dtype in prop::sample::select(vec!["F16", "BF16", "F32"]),
        seed: u64,
    ) {
        let mut random = Random(seed);
        let mut packed = Packed::random(form, [rows * 8, columns * 8], group_size, &mut random);
        packed.scale_dtype = scale_dtype;
        let in_blocks = packed.columns.is_multiple_of(32)
            && (packed.groups() == 1 || group_size.is_none_or(|size| size % 32 == 0));
        check(&packed, if in_blocks { "int4" } else { "f16" }, &mut random);
    }

    #[test]
    fn columns_in_any_order_of_groups_are_read_exactly(
        form in prop::sample::select(vec![Form::Gptq, Form::GptqV2]),
        columns in 2..8_usize,
        seed: u64,
    ) {
        let mut random = Random(seed);
        let mut packed = Packed::random(form, [16, columns * 32], Some(32), &mut random);
        let groups = packed.groups();
        packed.order = Some((0..columns * 32).map(|column| column % groups).collect());
        check(&packed, "f16", &mut random);
        // Whole blocks in another order need no values.
        packed.order = Some((0..columns * 32).map(|column| groups - 1 - column / 32).collect());
        check(&packed, "int4", &mut random);
    }
}

#[test]
fn an_order_of_rising_groups_counts_as_none() {
    let mut random = Random(1);
    let mut packed = Packed::random(Form::Gptq, [8, 256], Some(64), &mut random);
    packed.order = Some((0..256).map(|column| column / 64).collect());
    check(&packed, "int4", &mut random);
}

#[test]
fn codes_without_zeros_are_around_their_middle() {
    let mut packed = Packed::random(Form::Awq, [8, 64], Some(32), &mut Random(2));
    let (mut config, mut tensors) = (packed.config(), packed.tensors());
    config["zero_point"] = false.into();
    tensors.remove(1);
    let checkpoint = Folder::quantized(&config, &tensors).open().expect("a valid matrix");
    packed.clear_zeros(8);
    for (at, value) in read(&checkpoint, 0, 0..8).into_iter().enumerate() {
        assert_eq!(value, packed.value(at / 64, at % 64));
    }
}

#[test]
fn other_tensors_pass_as_they_are() {
    let packed = Packed::random(Form::Gptq, [8, 32], None, &mut Random(3));
    let mut tensors = packed.tensors();
    let bias: Tensor = ("x.bias".to_owned(), "F16", vec![8], vec![0; 16]);
    tensors.insert(0, bias);
    let checkpoint = Folder::quantized(&packed.config(), &tensors).open().expect("valid");
    let names = checkpoint.info().tensors.iter().map(|tensor| tensor.name.as_str());
    let index = names.clone().position(|name| name == "x.bias").expect("it is there");
    assert_eq!((names.count(), checkpoint.tensor(index).expect("stored")), (2, &[0; 16][..]));
    let mut row = [1; 16];
    checkpoint.read_rows(index, 0..1, &mut row).expect("a vector is one row");
    assert_eq!(row, [0; 16]);
    assert_eq!(checkpoint.info().tensor_bytes, 16 + 8 * 20);
}

#[test]
fn wrong_rows_are_refused() {
    let checkpoint = Packed::random(Form::Awq, [8, 32], None, &mut Random(4)).open();
    let mut dst = [0; 40];
    checkpoint.read_rows(0, 6..8, &mut dst).expect("the last two rows");
    for rows in [7..9, 8..10, 6..9, usize::MAX - 1..usize::MAX] {
        let error = checkpoint.read_rows(0, rows, &mut dst).expect_err("no such rows");
        assert!(error.message().contains("expected some of 8 rows of 20 bytes"), "{error}");
    }
    checkpoint.read_rows(1, 0..1, &mut dst).expect_err("no such tensor");
}

#[test]
fn the_golden_set_has_the_dtypes_that_fit() {
    let dtypes = |model: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(model);
        let checkpoint = Safetensors::open(&folder.join("hf")).expect("a valid folder");
        let of = |part: &str| {
            let name = format!("model.layers.0.{part}.weight");
            let tensor = checkpoint.info().tensors.iter().find(|tensor| tensor.name == name);
            tensor.expect("every projection is there").dtype.clone()
        };
        [of("self_attn.q_proj"), of("mlp.down_proj"), of("mlp.up_proj")]
    };
    assert_eq!(dtypes("qwen2-gptq"), ["int4", "int4", "int4"]);
    assert_eq!(dtypes("qwen2-gptq-act-order"), ["int4", "f16", "int4"], "one group has an order");
    assert_eq!(dtypes("qwen2-awq"), ["int4", "int4", "int4"]);
    assert_eq!(dtypes("qwen3-fp8"), ["f8_e4m3", "f32", "bf16"]);
    assert_eq!(dtypes("qwen3-fp8-channel"), ["f8_e4m3", "f32", "f8_e4m3"]);
}
