//! How is it computed? Every SIMD instruction of the crate, behind safe functions.
//!
//! A kernel is written once, over the register operations of [`Simd`]. A value of a type that implements
//! `Simd` can only be had on a processor that has the instructions, so the operations are safe; [`Isa::run`]
//! compiles the kernel for that processor and calls it. Dispatch is per list of rows or per tile, never
//! per pair of vectors.
//!
//! To add an instruction set: one file that implements [`Simd`], one variant of [`Isa`]. Its tests are the
//! ones that exist: they loop over [`Isa::available`].

#[cfg(target_arch = "aarch64")]
pub mod aarch64;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod distance;
pub mod fastscan;
pub mod fine;
pub mod formulas;
pub mod hamming;
pub mod lookup;
#[cfg(test)]
mod naive;
pub mod nearest;
pub mod operand;
pub mod planes;
pub mod product;
pub mod scalar;
pub mod simd;
pub mod single;
pub mod squares;
#[cfg(test)]
mod tests;
pub mod tile;
pub mod within;

use std::sync::OnceLock;

pub use simd::{Kernel, Simd, Widen};

/// An instruction set that this processor has: holding a value is the proof.
#[derive(Clone, Copy, Debug)]
pub enum Isa {
    /// Portable Rust, whatever the compiler's baseline gives.
    Scalar(scalar::Scalar),
    /// AVX2, FMA, F16C and POPCNT (Haswell, Zen and later).
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    /// AVX-512 F, BW, VL and VNNI (Cascade Lake).
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512<false>),
    /// VBMI and VPOPCNTDQ besides (Ice Lake, Zen 4 and later).
    #[cfg(target_arch = "x86_64")]
    Avx512Vbmi(avx512::Avx512<true>),
    /// NEON, which every aarch64 processor has.
    #[cfg(target_arch = "aarch64")]
    Neon(aarch64::Neon),
}

impl Isa {
    /// Those that this processor has, the best one first.
    pub fn available() -> Vec<Self> {
        let mut list = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            list.extend(avx512::Avx512::detect().map(Self::Avx512Vbmi));
            list.extend(avx512::Avx512::detect().map(Self::Avx512));
            list.extend(avx2::Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        list.extend([Self::Neon(aarch64::Neon::detect())]);
        list.extend([Self::Scalar(scalar::Scalar)]);
        list
    }

    /// The one in use: the best there is, or what the environment variable `STEEP_ISA` names. Chosen once
    /// per process; a name that this processor cannot serve is ignored (see [`Isa::requested`]).
    pub fn active() -> Self {
        static ACTIVE: OnceLock<Isa> = OnceLock::new();
        *ACTIVE.get_or_init(|| {
            let list = Self::available();
            let wanted = Self::requested().and_then(|name| list.iter().find(|isa| isa.name() == name));
            *wanted.unwrap_or(&list[0])
        })
    }

    /// What `STEEP_ISA` asks for, if it is set.
    pub fn requested() -> Option<String> {
        std::env::var("STEEP_ISA").ok().map(|name| name.to_ascii_lowercase())
    }

    /// "scalar", "avx2", "avx512" (whichever of its two forms) or "neon".
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) | Self::Avx512Vbmi(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
        }
    }

    /// Runs `kernel`, compiled for this instruction set.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Out {
        match self {
            Self::Scalar(s) => kernel.run(s),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(s) => s.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vbmi(s) => s.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(s) => kernel.run(s),
        }
    }
}

/// Each processor feature that Steep knows of, and whether this processor (and its operating system) has it.
pub fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        vec![
            ("avx2", has!("avx2")),
            ("fma", has!("fma")),
            ("f16c", has!("f16c")),
            ("popcnt", has!("popcnt")),
            ("avx512f", has!("avx512f")),
            ("avx512bw", has!("avx512bw")),
            ("avx512vl", has!("avx512vl")),
            ("avx512vnni", has!("avx512vnni")),
            ("avx512vbmi", has!("avx512vbmi")),
            ("avx512vpopcntdq", has!("avx512vpopcntdq")),
        ]
    }
    #[cfg(target_arch = "aarch64")]
    {
        vec![("neon", true)]
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Vec::new()
    }
}
