//! Seeded inputs, so that a failing case fails again.

use kernels::Dtype;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1..1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Sums of four uniform values.
    pub(crate) fn near_normal(&mut self, count: usize) -> Vec<f32> {
        let mut four = || [(); 4].map(|()| self.float());
        (0..count).map(|_| four()).map(|[a, b, c, d]| (a + b) + (c + d)).collect()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Rows of any codes with scales of usual size.
    pub(crate) fn weights(&mut self, dtype: &Dtype, rows: usize, k: usize) -> Vec<u8> {
        if dtype.block_len == 1 {
            let mut bytes = vec![0; rows * dtype.row_bytes(k)];
            assert!(
                dtype.quantize(&self.floats(rows * k), None, &mut bytes),
                "plain dtypes are written"
            );
            return bytes;
        }
        let mut bytes = self.bytes(rows * dtype.row_bytes(k));
        for block in bytes.chunks_exact_mut(dtype.block_bytes) {
            match dtype.name {
                "mxfp4" => block[0] = 116 + self.next() as u8 % 8,
                "int4" => block[2] %= 17,
                "f8_e4m3" => {
                    block[..4].copy_from_slice(&(self.float() * 0.02).to_le_bytes());
                    let codes = block[4..].iter_mut();
                    codes.filter(|code| **code & 0x7f == 0x7f).for_each(|nan| *nan = 1);
                }
                _ => {}
            }
            for at in scale_places(dtype.name) {
                let scale = half::f16::from_f32(self.float() * 0.02);
                match dtype.name {
                    "iq1_m" => split_scale(scale, &mut block[48..]),
                    _ => block[*at..at + 2].copy_from_slice(&scale.to_le_bytes()),
                }
            }
        }
        bytes
    }
}

/// Where a block has f16 numbers; of `iq1_m`, the top quarter of its number.
pub(crate) fn scale_places(name: &str) -> &'static [usize] {
    match name {
        "q4_1" | "q5_1" | "q4_k" | "q5_k" | "afq4" | "afq8" | "hqq4" | "hqq8" => &[0, 2],
        "q2_k" => &[80, 82],
        "q3_k" => &[108],
        "q6_k" => &[208],
        "tq1_0" => &[52],
        "tq2_0" => &[64],
        "iq1_m" => &[54],
        "mxfp4" | "f8_e4m3" => &[],
        _ => &[0],
    }
}

/// Writes the quarters of a scale to the tops of four words.
fn split_scale(scale: half::f16, words: &mut [u8]) {
    for i in 0..4 {
        let quarter = (scale.to_bits() >> (4 * i) & 15) as u8;
        words[2 * i + 1] = words[2 * i + 1] & 15 | quarter << 4;
    }
}
