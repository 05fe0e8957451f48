//! Reading and writing blocks against files made with the `gguf` Python package.

use std::path::Path;

use kernels::{Dtype, find};

fn golden(name: &str, kind: &str) -> (&'static Dtype, Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.{kind}.bin"));
    (find(name).expect("the dtype is in the table"), std::fs::read(path).expect("golden file"))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Blocks, then the values they stand for.
fn check_read(name: &str) {
    let (dtype, file) = golden(name, "read");
    let blocks = file.len() / (dtype.block_bytes + 4 * dtype.block_len);
    let (stored, expected) = file.split_at(blocks * dtype.block_bytes);
    let mut values = vec![0.0; blocks * dtype.block_len];
    dtype.dequantize(stored, &mut values);
    assert!(blocks > 0 && bits(&values) == bits(&floats(expected)), "{name}");
}

/// Values, then the bytes they are rounded to.
fn check_write(name: &str) {
    let (dtype, file) = golden(name, "write");
    let (values, expected) = file.split_at(4 * 128);
    let mut stored = vec![0; dtype.row_bytes(128)];
    assert!(dtype.quantize(&floats(values), &mut stored), "{name} can be written");
    assert_eq!(stored, expected, "{name}");
}

#[test]
fn blocks_are_read_as_the_gguf_package_reads_them() {
    for name in ["q4_0", "q5_0", "q8_0", "q4_k", "q5_k", "q6_k"] {
        check_read(name);
    }
}

#[test]
fn values_are_rounded_as_the_gguf_package_rounds_them() {
    for name in ["f16", "bf16", "q4_0", "q5_0", "q8_0"] {
        check_write(name);
    }
}

#[test]
fn dtypes_without_a_writer_say_so() {
    for name in ["q4_k", "q5_k", "q6_k"] {
        let dtype = find(name).expect("the dtype is in the table");
        assert!(!dtype.quantize(&[0.0; 256], &mut vec![0; dtype.block_bytes]), "{name}");
    }
    assert!(find("q4_k ").is_none());
}
