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

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Rows of any codes with scales of usual size.
    pub(crate) fn weights(&mut self, dtype: &Dtype, rows: usize, k: usize) -> Vec<u8> {
        if dtype.block_len == 1 {
            let mut bytes = vec![0; rows * dtype.row_bytes(k)];
            assert!(dtype.quantize(&self.floats(rows * k), &mut bytes), "plain dtypes are written");
            return bytes;
        }
        let scales: &[usize] = match dtype.name {
            "q4_k" | "q5_k" => &[0, 2],
            "q6_k" => &[208],
            _ => &[0],
        };
        let mut bytes = self.bytes(rows * dtype.row_bytes(k));
        for block in bytes.chunks_exact_mut(dtype.block_bytes) {
            for at in scales {
                let scale = half::f16::from_f32(self.float() * 0.02);
                block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        bytes
    }
}
