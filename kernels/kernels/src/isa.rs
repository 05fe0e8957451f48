//! Which instruction set the kernels run on, and the one way into code compiled for it.
//!
//! Detection happens once per process. Every kernel is a [`Kernel`] value that [`dispatch`] calls
//! inside a function compiled for the wanted instruction set, so no other file touches CPU
//! features. It must not choose anything by shape or dtype: results do not depend on the choice.

use std::sync::OnceLock;

use crate::simd::{Portable, Simd};

/// An instruction set the kernels are compiled for on this kind of CPU; each one includes those
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, the reference.
    Portable,
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI, and everything of [`Isa::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, which every 64-bit Arm CPU has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with the integer dot.
    #[cfg(target_arch = "aarch64")]
    NeonDot,
}

/// Every one of them, in order.
const COMPILED: &[Isa] = &[
    Isa::Portable,
    #[cfg(target_arch = "x86_64")]
    Isa::Avx2,
    #[cfg(target_arch = "x86_64")]
    Isa::Avx512,
    #[cfg(target_arch = "aarch64")]
    Isa::Neon,
    #[cfg(target_arch = "aarch64")]
    Isa::NeonDot,
];

impl Isa {
    /// The best instruction set of this machine.
    pub fn detect() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(detect_now)
    }

    /// Every instruction set that runs on this machine, the reference first.
    pub fn available() -> Vec<Isa> {
        let best = Isa::detect();
        COMPILED.iter().copied().filter(|isa| *isa <= best).collect()
    }
}

#[cfg(target_arch = "x86_64")]
fn detect_now() -> Isa {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("f16c")) {
        return Isa::Portable;
    }
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    if wide && has!("avx512vnni") { Isa::Avx512 } else { Isa::Avx2 }
}

#[cfg(target_arch = "aarch64")]
fn detect_now() -> Isa {
    use std::arch::is_aarch64_feature_detected as has;
    if has!("dotprod") { Isa::NeonDot } else { Isa::Neon }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect_now() -> Isa {
    Isa::Portable
}

/// A routine that is written once and compiled for each instruction set.
///
/// `call` and everything it calls in a loop must be `#[inline(always)]`: only code that ends up
/// inside the function entered by [`dispatch`] may use the instruction set.
pub(crate) trait Kernel {
    type Output;
    fn call<S: Simd>(self, s: S) -> Self::Output;
}

/// Runs `kernel` on `isa`, or on the best instruction set of this machine if that is less.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.min(Isa::detect()) {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            // SAFETY: `detect` reported every feature that `Avx512::enter` is compiled for.
            unsafe { crate::simd::Avx512::enter(kernel) }
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            // SAFETY: `detect` reported every feature that `Avx2::enter` is compiled for.
            unsafe { crate::simd::Avx2::enter(kernel) }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot => {
            // SAFETY: `detect` reported the integer dot, and every CPU of this kind has NEON.
            unsafe { crate::simd::Neon::<true>::enter(kernel) }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => {
            // SAFETY: every CPU of this kind has NEON.
            unsafe { crate::simd::Neon::<false>::enter(kernel) }
        }
        Isa::Portable => kernel.call(Portable),
    }
}
