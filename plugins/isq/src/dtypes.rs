//! The dtypes a recipe can ask for, and what takes their place in rows that are no whole blocks.
//!
//! The replacements are those of llama.cpp's `llama-quant.cpp`; a dtype of this project falls back
//! in the same way. It knows no arithmetic: whether a dtype is there is the host's to find out.

/// Names of the dtypes with the values of a block and what replaces one whose blocks do not fit.
const DTYPES: &[(&str, usize, &str)] = &[
    ("q2_k", 256, "q4_0"),
    ("q3_k", 256, "q4_0"),
    ("q4_k", 256, "q5_0"),
    ("q5_k", 256, "q5_1"),
    ("q6_k", 256, "q8_0"),
    ("iq4_xs", 256, "iq4_nl"),
    ("tq1_0", 256, "q4_0"),
    ("tq2_0", 256, "q4_0"),
    ("q4_0", 32, "f16"),
    ("q4_1", 32, "f16"),
    ("q5_0", 32, "f16"),
    ("q5_1", 32, "f16"),
    ("q8_0", 32, "f16"),
    ("iq4_nl", 32, "f16"),
    ("mxfp4", 32, "f16"),
    ("hqq4", 64, "q4_1"),
    ("hqq8", 64, "q8_0"),
    ("afq4", 64, "q4_1"),
    ("afq8", 64, "q8_0"),
    ("f8_e4m3", 32, "f16"),
    ("f16", 1, "f16"),
    ("bf16", 1, "bf16"),
    ("f32", 1, "f32"),
];

/// The dtype of that name.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    DTYPES.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

/// Every dtype, for messages.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DTYPES.iter().map(|(name, ..)| *name)
}

/// Whether rows of `columns` values are whole blocks of a dtype.
pub(crate) fn fits(dtype: &str, columns: usize) -> bool {
    entry(dtype).is_some_and(|(_, block, _)| columns.is_multiple_of(*block))
}

/// The dtype, or the first of its replacements whose blocks fit rows of `columns` values.
pub(crate) fn fitting(dtype: &'static str, columns: usize) -> &'static str {
    let mut dtype = dtype;
    while let Some((_, block, other)) = entry(dtype)
        && !columns.is_multiple_of(*block)
    {
        dtype = other;
    }
    dtype
}

fn entry(dtype: &str) -> Option<&'static (&'static str, usize, &'static str)> {
    DTYPES.iter().find(|(known, ..)| *known == dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_no_whole_blocks_get_smaller_blocks() {
        for (dtype, columns, expected) in [
            ("q4_k", 512, "q4_k"),
            ("q4_k", 896, "q5_0"),
            ("q6_k", 896, "q8_0"),
            ("q2_k", 96, "q4_0"),
            ("iq4_xs", 96, "iq4_nl"),
            ("q4_k", 100, "f16"),
            ("hqq4", 96, "q4_1"),
            ("afq8", 100, "f16"),
            ("f32", 3, "f32"),
        ] {
            assert_eq!(fitting(dtype, columns), expected, "{dtype} in rows of {columns}");
        }
    }

    #[test]
    fn every_replacement_is_a_dtype_with_smaller_blocks() {
        for (name, block, other) in DTYPES {
            let (_, smaller, _) = entry(other).expect("a replacement is in the table");
            assert!(smaller < block || *block == 1, "{name}");
        }
    }
}
