//! Counter-based random numbers: a pure function of a seed and an index.
//!
//! A generator with state would have to be saved and restored around preemption, and its numbers
//! would depend on the calls before; this has no state, so the n-th token of a seed draws the same
//! number whatever else runs. Good enough for sampling, not for secrets.

/// Weyl increment of SplitMix64 (2^64 / golden ratio, odd).
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number in `[0, 1)` for the `index`-th draw of `seed`, with 53 random bits.
pub(crate) fn unit(seed: u64, index: u64) -> f64 {
    // The seed is mixed before the index is added, or neighbouring seeds would draw one another's
    // numbers shifted by a place.
    let key = mix(seed.wrapping_add(INCREMENT));
    let bits = mix(key ^ index.wrapping_add(1).wrapping_mul(INCREMENT));
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A second number for the same draw, which leaves the first as it is.
pub(crate) fn coin(seed: u64, index: u64) -> f64 {
    unit(!seed, index)
}

/// The finaliser of SplitMix64: every input bit flips each output bit with odds of about a half.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::{coin, unit};

    fn check_uniform(draws: impl Iterator<Item = f64>) {
        let mut buckets = [0_u32; 16];
        let mut count = 0_u32;
        for draw in draws {
            assert!((0.0..1.0).contains(&draw), "{draw}");
            buckets[(draw * 16.0) as usize] += 1;
            count += 1;
        }
        let expected = f64::from(count) / 16.0;
        let chi2: f64 = buckets.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        // 15 degrees of freedom: above 44.3 once in 10,000 runs, and the draws are fixed.
        assert!(chi2 < 44.3, "chi2 {chi2}: {buckets:?}");
    }

    #[test]
    fn draws_of_one_seed_are_uniform() {
        check_uniform((0..20_000).map(|index| unit(7, index)));
    }

    #[test]
    fn first_draws_of_neighbouring_seeds_are_uniform() {
        check_uniform((0..20_000).map(|seed| unit(seed, 0)));
    }

    #[test]
    fn neighbouring_seeds_do_not_share_numbers() {
        let draws = |seed| (0..64).map(move |index| unit(seed, index).to_bits());
        assert!(draws(0).all(|bits| draws(1).all(|other| other != bits)));
    }

    #[test]
    fn the_second_number_does_not_follow_from_the_first() {
        check_uniform((0..20_000).map(|index| (unit(7, index) + coin(7, index)).fract()));
    }

    #[test]
    fn same_seed_and_index_give_the_same_number() {
        assert_eq!(unit(42, 3).to_bits(), unit(42, 3).to_bits());
        assert_ne!(unit(42, 3).to_bits(), unit(42, 4).to_bits());
    }
}
