//! Quantized matrices that do not fit together, and forms that are not read, are refused with one
//! line that names the file, the tensor or key, what was found and what was expected.

use crate::folder::{Folder, Tensor};
use crate::groups::{Form, Packed, Random, scales};
use plugin_api::Checkpoint;
use serde_json::{Value, json};

/// The checkpoint is refused.
#[track_caller]
fn check(config: &Value, tensors: &[Tensor], expected: &str) {
    let folder = Folder::quantized(config, tensors);
    let error = folder.open().map(|_| ()).expect_err("the folder must be refused");
    let message = error.message();
    assert!(message.starts_with(&folder.0.display().to_string()), "no path in {message:?}");
    assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
}

fn gptq() -> Packed {
    let mut packed = Packed::random(Form::Gptq, [16, 64], Some(32), &mut Random(7));
    packed.order = Some((0..64).map(|column| column / 32).collect());
    packed
}

/// A good matrix with one tensor changed is refused.
#[track_caller]
fn check_change(name: &str, change: impl FnOnce(&mut Tensor), expected: &str) {
    let packed = gptq();
    let mut tensors = packed.tensors();
    let tensor = tensors.iter_mut().find(|(found, ..)| found == name).expect("it is there");
    change(tensor);
    check(&packed.config(), &tensors, expected);
}

/// A good matrix with another value of a key is refused.
#[track_caller]
fn check_key(config: &Value, key: &str, value: impl Into<Value>, expected: &str) {
    let mut config = config.clone();
    config[key] = value.into();
    check(&config, &gptq().tensors(), &format!("config.json: quantization_config: {expected}"));
}

#[test]
fn missing_tensors_are_refused() {
    let packed = gptq();
    for name in ["x.scales", "x.qzeros", "x.g_idx"] {
        let mut tensors = packed.tensors();
        tensors.retain(|(found, ..)| found != name);
        let expected = format!("`x.qweight`: found no {name}, expected it beside the codes");
        check(&packed.config(), &tensors, &expected);
    }
    let mut tensors = packed.tensors();
    tensors.remove(0);
    check(&packed.config(), &tensors, "found no x.qweight, expected the codes beside it");
    check(&Value::Null, &packed.tensors(), "`x.qweight`: found 4-bit codes, expected a");
    let mut tensors = packed.tensors();
    tensors.push(("x.weight".to_owned(), "F16", vec![1], vec![0; 2]));
    check(&packed.config(), &tensors, "found x.weight too, expected one of the two");
}

#[test]
fn tensors_of_another_shape_or_dtype_are_refused() {
    let shape = |shape: &[usize]| {
        let shape = shape.to_vec();
        move |tensor: &mut Tensor| tensor.2 = shape
    };
    check_change(
        "x.qweight",
        shape(&[128]),
        "`x.qweight`: found i32 [128], expected i32, a matrix",
    );
    check_change(
        "x.qweight",
        |tensor| tensor.1 = "F32",
        "found f32 [8, 16], expected i32, a matrix",
    );
    check_change("x.qweight", shape(&[4, 32]), "found f16 [2, 16], expected shape [1, 32]");
    check_change("x.qweight", shape(&[32, 4]), "found i32 [32, 4], expected rows and columns in");
    check_change("x.scales", shape(&[1, 32]), "found f16 [1, 32], expected shape [2, 16]");
    check_change("x.scales", |tensor| tensor.1 = "I16", "expected scales in f16, bf16 or f32");
    check_change("x.qzeros", shape(&[4]), "found i32 [4], expected i32 [2, 2]");
    check_change("x.g_idx", shape(&[8, 8]), "found i32 [8, 8], expected i32 [64]");
    let empty: Tensor = ("x.qweight".to_owned(), "I32", vec![0, 16], vec![]);
    check_change(
        "x.qweight",
        |tensor| *tensor = empty,
        "found i32 [0, 16], expected i32, a matrix",
    );
}

#[test]
fn groups_that_are_not_there_are_refused() {
    for group in [2, -1, i32::MAX] {
        let change = |tensor: &mut Tensor| tensor.3[..4].copy_from_slice(&group.to_le_bytes());
        check_change("x.g_idx", change, "found a group that is not there, expected 0 to 1");
    }
}

#[test]
fn scales_that_are_no_numbers_are_refused_when_they_are_read() {
    let read = |config: &Value, tensors: &[Tensor], row_bytes: usize| {
        let checkpoint = Folder::quantized(config, tensors).open().expect("shapes are right");
        let error = checkpoint.read_rows(0, 0..1, &mut vec![0; row_bytes]).expect_err("no number");
        let expected = "scales: found one that is no finite number";
        assert!(error.message().contains(expected), "{error}");
    };
    let packed = gptq();
    for (dtype, scale) in [("F16", f32::NAN), ("BF16", f32::INFINITY), ("F32", 70_000.0)] {
        let mut tensors = packed.tensors();
        tensors[2] = scales("x.scales", dtype, vec![2, 16], &[scale; 32]);
        read(&packed.config(), &tensors, 40);
    }
    for columns in [32, 33] {
        let codes = ("x.weight".to_owned(), "F8_E4M3", vec![1, columns], vec![0; columns]);
        let tensors = [codes, scales("x.weight_scale", "F32", vec![1], &[f32::NAN])];
        read(&json!({"quant_method": "fp8"}), &tensors, if columns == 32 { 36 } else { 132 });
    }
}

#[test]
fn forms_that_are_not_read_are_refused_by_name() {
    let gptq = gptq().config();
    for method in ["bitsandbytes", "exl2", "hqq", "aqlm", "eetq", "mxfp4"] {
        let expected = format!(
            "quant_method: found `{method}`, expected gptq, awq, fp8 or compressed-tensors; take a"
        );
        check_key(&gptq, "quant_method", method, &expected);
    }
    check_key(&gptq, "quant_method", Value::Null, "quant_method: found `none`, expected gptq");
    check_key(&gptq, "bits", 3, "bits: found 3, expected 4; take a checkpoint");
    check_key(&gptq, "bits", 8, "bits: found 8, expected 4; take a checkpoint");
    check_key(&gptq, "bits", "4", "bits: found no such number, expected 4");
    check_key(&gptq, "group_size", 0, "group_size: found no such number, expected a positive");
    check_key(&gptq, "group_size", -2, "group_size: found no such number, expected a positive");
    check_key(&gptq, "checkpoint_format", "marlin", "checkpoint_format: found `marlin`, expected");
    check_key(&gptq, "is_marlin_format", true, "is_marlin_format: found true, expected false");
    check_key(&gptq, "desc_act", 1, "desc_act: found `1`, expected true or false");
    let awq = Packed::random(Form::Awq, [8, 32], None, &mut Random(1)).config();
    check_key(&awq, "version", "gemv", "version: found `gemv`, expected gemm; take");
    check_key(&awq, "backend", "llm-awq", "backend: found `llm-awq`, expected autoawq");
    let fp8 = json!({"quant_method": "fp8"});
    check_key(&fp8, "fmt", "e5m2", "fmt: found `e5m2`, expected e4m3");
    for block in [json!([128]), json!([128, 0]), json!(128), json!([1, 2, 3])] {
        check_key(&fp8, "weight_block_size", block, "weight_block_size: found `");
    }
    check(&json!("gptq"), &[], "quantization_config: found something else, expected an object");
}

#[test]
fn other_compressed_tensors_are_refused() {
    let config = |bits: usize, kind: &str| {
        json!({
            "quant_method": "compressed-tensors", "format": "float-quantized",
            "config_groups": {"group_0": {"weights": {"type": kind, "num_bits": bits}}},
        })
    };
    let good = config(8, "float");
    for format in ["pack-quantized", "int-quantized", "marlin-24", "nvfp4-pack-quantized"] {
        let expected = format!("format: found `{format}`, expected float-quantized; take");
        check_key(&good, "format", format, &expected);
    }
    let sparse = json!({"format": "sparse-24-bitmask"});
    check_key(&good, "sparsity_config", sparse, "sparsity_config: found `sparse-24-bitmask`");
    check(&config(8, "int"), &[], "config_groups: found `int of 8 bits`, expected float of 8");
    check(&config(4, "float"), &[], "config_groups: found `float of 4 bits`, expected");
    let mut blocks = good;
    for (name, side) in [("group_0", 64), ("group_1", 128)] {
        blocks["config_groups"][name]["weights"] =
            json!({"type": "float", "num_bits": 8, "block_structure": [side, side]});
    }
    check(&blocks, &[], "block_structure: found [64, 64] and [128, 128], expected one");
}

#[test]
fn eight_bit_floats_with_wrong_scales_are_refused() {
    let codes: Tensor = ("x.weight".to_owned(), "F8_E4M3", vec![4, 32], vec![0; 128]);
    let scale = |end: &str, shape: &[usize]| {
        let values = vec![1.0; shape.iter().product()];
        scales(&format!("x.{end}"), "F32", shape.to_vec(), &values)
    };
    let (plain, blocks) = (
        json!({"quant_method": "fp8"}),
        json!({"quant_method": "fp8", "weight_block_size": [2, 16]}),
    );
    let with = |scale: Tensor| [codes.clone(), scale];
    check(
        &plain,
        &with(scale("weight_scale", &[3])),
        "f32 [3], expected shape [] or [1] or [1, 1]",
    );
    check(&blocks, &with(scale("weight_scale", &[2, 1])), "or [4] or [4, 1] or [2, 2]");
    check(
        &blocks,
        &with(scale("weight_scale_inv", &[4, 1])),
        "found f32 [4, 1], expected shape [2, 2]",
    );
    check(&plain, &with(scale("weight_scale_inv", &[2, 2])), "expected weight_block_size in the");
    let both = [codes.clone(), scale("weight_scale", &[1]), scale("weight_scale_inv", &[2, 2])];
    check(&blocks, &both, "found _scale too, expected scales of one kind");
    check(
        &plain,
        &[scale("weight_scale", &[1])],
        "found no x.weight, expected the weight beside it",
    );
    let wide: Tensor = ("x.weight".to_owned(), "BF16", vec![4, 1], vec![0; 8]);
    check(
        &plain,
        &[wide, scale("weight_scale", &[1])],
        "found bf16 [4, 1], expected f8_e4m3, because",
    );
    let e5m2: Tensor = ("x.weight".to_owned(), "F8_E5M2", vec![4, 32], vec![0; 128]);
    check(&plain, &[e5m2], "found f8_e5m2 [4, 32], expected f8_e4m3; take the unquantized");
    let empty: Tensor = ("x.weight".to_owned(), "F8_E4M3", vec![4, 0], vec![]);
    check(&plain, &[empty], "expected a tensor that is not empty");
}
