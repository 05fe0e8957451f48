//! Reading and writing blocks against files made with the `gguf` Python package.

use std::path::Path;

use kernels::{Dtype, blocks, find};

use crate::random::{Random, scale_places};

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

/// Blocks, then the values they stand for; a NaN has no bits of its own.
pub(crate) fn check_read(name: &str) {
    let (dtype, file) = golden(name, "read");
    let blocks = file.len() / (dtype.block_bytes + 4 * dtype.block_len);
    let (stored, expected) = file.split_at(blocks * dtype.block_bytes);
    let mut values = vec![0.0; blocks * dtype.block_len];
    dtype.dequantize(stored, &mut values);
    let expected = floats(expected);
    let equal = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    assert!(blocks > 0 && values.iter().zip(&expected).all(equal), "{name}");
}

/// Values, then the bytes they are rounded to.
pub(crate) fn check_write(name: &str) {
    let (_, _, [stored, expected]) = write(name);
    assert_eq!(stored, expected, "{name}");
}

/// Values, the bytes they are rounded to, and those that the file has.
fn write(name: &str) -> (&'static Dtype, Vec<f32>, [Vec<u8>; 2]) {
    let (dtype, file) = golden(name, "write");
    let blocks = file.len() / (dtype.block_bytes + 4 * dtype.block_len);
    let (values, expected) = file.split_at(4 * blocks * dtype.block_len);
    let mut stored = vec![0; blocks * dtype.block_bytes];
    assert!(dtype.quantize(&floats(values), None, &mut stored), "{name} can be written");
    (dtype, floats(values), [stored, expected.to_vec()])
}

#[test]
fn blocks_are_read_as_the_gguf_package_reads_them() {
    for dtype in blocks() {
        check_read(dtype.name);
    }
}

/// FNV-1a over the bits of the values of many blocks, among which every grid point occurs.
#[test]
fn many_blocks_are_read_as_the_gguf_package_reads_them() {
    const BLOCKS: usize = 1024;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hashes.txt");
    let known = std::fs::read_to_string(path).expect("golden file");
    for dtype in blocks() {
        let mut stored = Random::new(1).bytes(BLOCKS * dtype.block_bytes);
        for block in stored.chunks_exact_mut(dtype.block_bytes) {
            // Without the upper bit of its exponent every f16 is finite.
            scale_places(dtype.name).iter().for_each(|at| block[at + 1] &= 0xbf);
        }
        let mut values = vec![0.0; BLOCKS * dtype.block_len];
        dtype.dequantize(&stored, &mut values);
        let hash = bits(&values).into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| {
            (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3)
        });
        let line = format!("{} {hash:016x}", dtype.name);
        assert!(known.lines().any(|known| known == line), "{line}");
    }
}

#[test]
fn plain_values_are_rounded_as_the_gguf_package_rounds_them() {
    for name in ["f16", "bf16"] {
        check_write(name);
    }
}

#[test]
fn no_block_is_written_worse_than_by_the_gguf_package() {
    for name in ["q4_0", "q5_0", "q8_0"] {
        let (dtype, values, both) = write(name);
        let errors = both.map(|stored| {
            let mut read = vec![0.0; values.len()];
            dtype.dequantize(&stored, &mut read);
            let error =
                |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
            values.chunks(32).zip(read.chunks(32)).map(error).collect::<Vec<f32>>()
        });
        let [ours, theirs] = &errors;
        assert!(ours.iter().zip(theirs).all(|(a, b)| a <= b), "{name}: {errors:?}");
    }
}

#[test]
fn dtypes_without_a_writer_say_so() {
    for dtype in blocks() {
        let written = !["iq1", "iq2", "iq3"].iter().any(|grid| dtype.name.starts_with(grid));
        let (values, mut block) = (vec![0.0; dtype.block_len], vec![0; dtype.block_bytes]);
        assert_eq!(dtype.quantize(&values, None, &mut block), written, "{}", dtype.name);
    }
    assert!(find("q4_k ").is_none());
}
