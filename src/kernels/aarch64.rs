//! NEON, as every 64-bit ARM processor has it: no dot products, no bf16, no SVE.
#![expect(unsafe_code, reason = "vendor intrinsics; every aarch64 processor has the ones used here")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "one reason serves every block: see `Safety` below")]

mod widen;

// # Safety
// NEON belongs to the aarch64 baseline, so no block below can meet a processor without it. Memory is read and
// written through references to arrays of exactly the bytes that the access touches; NEON's loads and stores ask
// for no alignment beyond the element's.

use std::arch::aarch64::*;
use std::arch::asm;

use half::{bf16, f16};

use super::simd::{IN_ORDER, PART_LINES, PART_SUM, Simd, Spread};
use widen::{load_i8, load_u8, wide, widen_brain, widen_half, widen_numbers};

/// Proof of NEON.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    /// The token: there is no aarch64 processor without.
    pub fn detect() -> Self {
        Self(())
    }
}

/// One intrinsic on each of the four registers that make 16 lanes (or 8 of f64).
macro_rules! four {
    ($f:ident($a:expr)) => {
        [$f($a[0]), $f($a[1]), $f($a[2]), $f($a[3])]
    };
    ($f:ident($a:expr, $b:expr)) => {
        [$f($a[0], $b[0]), $f($a[1], $b[1]), $f($a[2], $b[2]), $f($a[3], $b[3])]
    };
    ($f:ident($a:expr, $b:expr, $c:expr)) => {
        [$f($a[0], $b[0], $c[0]), $f($a[1], $b[1], $c[1]), $f($a[2], $b[2], $c[2]), $f($a[3], $b[3], $c[3])]
    };
}

/// acc + a·b, two products to a lane. A product of bytes fits 16 bits; lanes stay below 2³¹, so that their sign is
/// nobody's concern.
#[inline(always)]
fn dot_u8(acc: [int32x4_t; 4], a: [uint8x16_t; 2], b: [uint8x16_t; 2]) -> [int32x4_t; 4] {
    unsafe {
        let products = [
            vmull_u8(vget_low_u8(a[0]), vget_low_u8(b[0])),
            vmull_high_u8(a[0], b[0]),
            vmull_u8(vget_low_u8(a[1]), vget_low_u8(b[1])),
            vmull_high_u8(a[1], b[1]),
        ];
        let acc = four!(vreinterpretq_u32_s32(acc));
        let acc = four!(vpadalq_u16(acc, products));
        four!(vreinterpretq_s32_u32(acc))
    }
}

impl Simd for Neon {
    type F64 = [float64x2_t; 4];
    type F32 = [float32x4_t; 4];
    type I32 = [int32x4_t; 4];
    /// A sum of 16 bits for each of 64 codes.
    type CodeSums = [int16x8_t; 8];
    type Sums = [uint16x8_t; 4];
    type Bytes = [uint8x16_t; 2];

    const BYTE_MAX: i32 = 255;
    // As for AVX2, though only one product of a line meets in a lane.
    const CODE_LINES: usize = PART_LINES;
    const CODE_SUM: i32 = PART_SUM;
    // Of 32 registers, 16 are accumulators and 8 hold the panel's step; for codes and f32, 24 and 4.
    const BYTE_QUERIES: usize = 4;
    const CODE_QUERIES: usize = 3;
    const PANELS: usize = 1;
    const LANE_OF_BIT: [u8; 32] = IN_ORDER;
    const LANE_BITS: u32 = 1;
    const ALL_LANES: u32 = 0xFFFF;

    #[inline(always)]
    fn zero_f64(self) -> Self::F64 {
        unsafe { [vdupq_n_f64(0.0); 4] }
    }
    #[inline(always)]
    fn load_f64(self, v: &[f64; 8]) -> Self::F64 {
        let v = v.as_ptr();
        unsafe { [vld1q_f64(v), vld1q_f64(v.add(2)), vld1q_f64(v.add(4)), vld1q_f64(v.add(6))] }
    }
    #[inline(always)]
    fn widen_f32(self, v: &[f32; 8]) -> Self::F64 {
        unsafe { wide(vld1q_f32(v.as_ptr()), vld1q_f32(v.as_ptr().add(4))) }
    }
    #[inline(always)]
    fn widen_f16(self, v: &[f16; 8]) -> Self::F64 {
        unsafe {
            let v = vld1q_u16(v.as_ptr().cast());
            wide(widen_half(vget_low_u16(v)), widen_half(vget_high_u16(v)))
        }
    }
    #[inline(always)]
    fn widen_bf16(self, v: &[bf16; 8]) -> Self::F64 {
        unsafe {
            let v = vld1q_u16(v.as_ptr().cast());
            wide(widen_brain(vget_low_u16(v)), widen_brain(vget_high_u16(v)))
        }
    }
    #[inline(always)]
    fn widen_i8(self, v: &[i8; 8]) -> Self::F64 {
        unsafe {
            // f32 holds every byte exactly.
            let v = vmovl_s8(vld1_s8(v.as_ptr()));
            let (low, high) = (vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v));
            wide(vcvtq_f32_s32(low), vcvtq_f32_s32(high))
        }
    }
    #[inline(always)]
    fn widen_u8(self, v: &[u8; 8]) -> Self::F64 {
        unsafe {
            let v = vmovl_u8(vld1_u8(v.as_ptr()));
            let (low, high) = (vmovl_u16(vget_low_u16(v)), vmovl_high_u16(v));
            wide(vcvtq_f32_u32(low), vcvtq_f32_u32(high))
        }
    }
    #[inline(always)]
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { four!(vsubq_f64(a, b)) }
    }
    #[inline(always)]
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { four!(vaddq_f64(a, b)) }
    }
    #[inline(always)]
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64 {
        // The intrinsic takes the addend first.
        unsafe { four!(vfmaq_f64(c, a, b)) }
    }
    #[inline(always)]
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { four!(vdivq_f64(a, b)) }
    }
    #[inline(always)]
    fn abs_f64(self, a: Self::F64) -> Self::F64 {
        unsafe { four!(vabsq_f64(a)) }
    }
    #[inline(always)]
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { four!(vminq_f64(a, b)) }
    }
    #[inline(always)]
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { four!(vmaxq_f64(a, b)) }
    }
    #[inline(always)]
    fn known_f64(self, a: Self::F64) -> [Self::F64; 2] {
        unsafe {
            let known: [uint64x2_t; 4] = four!(vceqq_f64(a, a));
            let bits: [uint64x2_t; 4] = four!(vreinterpretq_u64_f64(a));
            let ones = [vreinterpretq_u64_f64(vdupq_n_f64(1.0)); 4];
            let (bits, ones) = (four!(vandq_u64(bits, known)), four!(vandq_u64(ones, known)));
            [four!(vreinterpretq_f64_u64(bits)), four!(vreinterpretq_f64_u64(ones))]
        }
    }
    #[inline(always)]
    fn lanes_f64(self, a: Self::F64) -> [f64; 8] {
        let mut lanes = [0.0; 8];
        for (two, a) in lanes.as_chunks_mut::<2>().0.iter_mut().zip(a) {
            unsafe { vst1q_f64(two.as_mut_ptr(), a) };
        }
        lanes
    }
    #[inline(always)]
    fn sum_f64(self, a: Self::F64) -> f64 {
        // The order of the other instruction sets, lane i + 4 to lane i first.
        unsafe { vaddvq_f64(vaddq_f64(vaddq_f64(a[0], a[2]), vaddq_f64(a[1], a[3]))) }
    }

    #[inline(always)]
    fn zero_f32(self) -> Self::F32 {
        unsafe { [vdupq_n_f32(0.0); 4] }
    }
    #[inline(always)]
    fn load_f32(self, v: &[f32; 16]) -> Self::F32 {
        let v = v.as_ptr();
        unsafe { [vld1q_f32(v), vld1q_f32(v.add(4)), vld1q_f32(v.add(8)), vld1q_f32(v.add(12))] }
    }
    #[inline(always)]
    fn load_bf16(self, v: &[bf16; 16]) -> Self::F32 {
        unsafe {
            let (low, high) = (vld1q_u16(v.as_ptr().cast()), vld1q_u16(v.as_ptr().add(8).cast()));
            [
                widen_brain(vget_low_u16(low)),
                widen_brain(vget_high_u16(low)),
                widen_brain(vget_low_u16(high)),
                widen_brain(vget_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    fn read_f32(self, v: &[u8; 64]) -> Self::F32 {
        let v = v.as_ptr();
        unsafe {
            [
                vreinterpretq_f32_u8(vld1q_u8(v)),
                vreinterpretq_f32_u8(vld1q_u8(v.add(16))),
                vreinterpretq_f32_u8(vld1q_u8(v.add(32))),
                vreinterpretq_f32_u8(vld1q_u8(v.add(48))),
            ]
        }
    }
    #[inline(always)]
    fn read_f16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe {
            let low = vreinterpretq_u16_u8(vld1q_u8(v.as_ptr()));
            let high = vreinterpretq_u16_u8(vld1q_u8(v.as_ptr().add(16)));
            [
                widen_half(vget_low_u16(low)),
                widen_half(vget_high_u16(low)),
                widen_half(vget_low_u16(high)),
                widen_half(vget_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    fn read_bf16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe {
            let low = vreinterpretq_u16_u8(vld1q_u8(v.as_ptr()));
            let high = vreinterpretq_u16_u8(vld1q_u8(v.as_ptr().add(16)));
            [
                widen_brain(vget_low_u16(low)),
                widen_brain(vget_high_u16(low)),
                widen_brain(vget_low_u16(high)),
                widen_brain(vget_high_u16(high)),
            ]
        }
    }
    #[inline(always)]
    fn read_u8(self, v: &[u8; 16]) -> Self::F32 {
        unsafe {
            let v = vld1q_u8(v.as_ptr());
            widen_numbers([vmovl_u8(vget_low_u8(v)), vmovl_high_u8(v)])
        }
    }
    #[inline(always)]
    fn spread<const B: usize>(self, words: [u64; 2]) -> Self::F32 {
        let mut numbers = [unsafe { vdupq_n_u16(0) }; 2];
        for i in 0..2 {
            unsafe {
                let word = vreinterpretq_u8_u64(vdupq_n_u64(words[i]));
                let pairs = vreinterpretq_u16_u8(vqtbl1q_u8(word, vld1q_u8(Spread::<B>::PLACES.as_ptr())));
                let moved = vshrq_n_u16::<8>(vmulq_u16(pairs, vld1q_u16(Spread::<B>::FACTORS.as_ptr())));
                numbers[i] = vandq_u16(moved, vdupq_n_u16(Spread::<B>::MASK));
            }
        }
        widen_numbers(numbers)
    }
    #[inline(always)]
    fn totals_f32(self, a: [Self::F32; 4]) -> [f32; 4] {
        let mut pairs = [unsafe { vdupq_n_f32(0.0) }; 4];
        let mut sums = [0.0; 4];
        unsafe {
            for i in 0..4 {
                let [x, y, z, w] = a[i];
                pairs[i] = vpaddq_f32(vaddq_f32(x, z), vaddq_f32(y, w));
            }
            let (first, second) = (vpaddq_f32(pairs[0], pairs[1]), vpaddq_f32(pairs[2], pairs[3]));
            vst1q_f32(sums.as_mut_ptr(), vpaddq_f32(first, second));
        }
        sums
    }
    #[inline(always)]
    fn splat_f32(self, v: f32) -> Self::F32 {
        unsafe { [vdupq_n_f32(v); 4] }
    }
    #[inline(always)]
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        unsafe { four!(vfmaq_f32(c, a, b)) }
    }
    #[inline(always)]
    fn add_apart_f32(self, acc: Self::F32, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe {
            let apart = four!(vabdq_f32(a, b));
            four!(vaddq_f32(acc, apart))
        }
    }
    #[inline(always)]
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe { four!(vminq_f32(a, b)) }
    }
    #[inline(always)]
    fn lesser_f32(self, a: [Self::F32; 2], b: [Self::F32; 2]) -> [Self::F32; 2] {
        unsafe {
            let less = four!(vcltq_f32(b[0], a[0]));
            [four!(vbslq_f32(less, b[0], a[0])), four!(vbslq_f32(less, b[1], a[1]))]
        }
    }
    #[inline(always)]
    fn not_less_f32(self, a: Self::F32, b: Self::F32) -> u32 {
        // No NaN is less.
        !bits_of(unsafe { four!(vcltq_f32(a, b)) }) & 0xFFFF
    }
    #[inline(always)]
    fn places_of(self, v: &[u32; 16], a: u32) -> u32 {
        unsafe {
            let (a, v) = (vdupq_n_u32(a), v.as_ptr());
            bits_of([0, 4, 8, 12].map(|at| vceqq_u32(vld1q_u32(v.add(at)), a)))
        }
    }
    #[inline(always)]
    fn lanes_f32(self, a: Self::F32) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        let to = lanes.as_mut_ptr();
        unsafe {
            vst1q_f32(to, a[0]);
            vst1q_f32(to.add(4), a[1]);
            vst1q_f32(to.add(8), a[2]);
            vst1q_f32(to.add(12), a[3]);
        }
        lanes
    }

    #[inline(always)]
    fn zero_i32(self) -> Self::I32 {
        unsafe { [vdupq_n_s32(0); 4] }
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        unsafe { four!(vcvtq_f32_s32(a)) }
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        unsafe { four!(vaddq_s32(a, b)) }
    }
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i64 {
        unsafe {
            let pairs = four!(vpaddlq_s32(a));
            vaddvq_s64(vaddq_s64(vaddq_s64(pairs[0], pairs[1]), vaddq_s64(pairs[2], pairs[3])))
        }
    }
    #[inline(always)]
    fn pack_bytes(self, q: [i16; 4]) -> [i32; 2] {
        bytemuck::must_cast(q)
    }
    #[inline(always)]
    fn dot_bytes(self, acc: Self::I32, x: &[u8; 64], q: &[i32; 2]) -> Self::I32 {
        // LD4 takes the line apart, one register a coordinate: then each product has its vector's lane, and 16
        // bits multiplied into 32 hold any byte times any coordinate. The taking apart serves every query.
        unsafe {
            let x = vld4q_u8(x.as_ptr());
            let q: int16x4_t = vreinterpret_s16_s32(vld1_s32(q.as_ptr()));
            let acc = add_products::<0>(acc, x.0, q);
            let acc = add_products::<1>(acc, x.1, q);
            let acc = add_products::<2>(acc, x.2, q);
            add_products::<3>(acc, x.3, q)
        }
    }
    #[inline(always)]
    fn zero_codes(self) -> Self::CodeSums {
        unsafe { [vdupq_n_s16(0); 8] }
    }
    #[inline(always)]
    fn dot_codes(self, acc: Self::CodeSums, x: &[u8; 64], q: i32) -> Self::CodeSums {
        // A code of seven bits is a signed byte too.
        unsafe {
            let (x, q) = (x.as_ptr().cast::<i8>(), vreinterpretq_s8_s32(vdupq_n_s32(q)));
            let first = add_codes([acc[0], acc[1]], vld1q_s8(x), q);
            let second = add_codes([acc[2], acc[3]], vld1q_s8(x.add(16)), q);
            let third = add_codes([acc[4], acc[5]], vld1q_s8(x.add(32)), q);
            let last = add_codes([acc[6], acc[7]], vld1q_s8(x.add(48)), q);
            [first[0], first[1], second[0], second[1], third[0], third[1], last[0], last[1]]
        }
    }
    #[inline(always)]
    fn widen_codes(self, sums: Self::CodeSums) -> Self::I32 {
        [
            widen_codes([sums[0], sums[1]]),
            widen_codes([sums[2], sums[3]]),
            widen_codes([sums[4], sums[5]]),
            widen_codes([sums[6], sums[7]]),
        ]
    }

    #[inline(always)]
    fn dot_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        dot_u8(acc, load_u8(a), load_u8(b))
    }
    #[inline(always)]
    fn dot_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        let (a, b) = (load_i8(a), load_i8(b));
        unsafe {
            let products = [
                vmull_s8(vget_low_s8(a[0]), vget_low_s8(b[0])),
                vmull_high_s8(a[0], b[0]),
                vmull_s8(vget_low_s8(a[1]), vget_low_s8(b[1])),
                vmull_high_s8(a[1], b[1]),
            ];
            four!(vpadalq_s16(acc, products))
        }
    }
    #[inline(always)]
    fn square_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        let (a, b) = (load_u8(a), load_u8(b));
        let d = unsafe { [vabdq_u8(a[0], b[0]), vabdq_u8(a[1], b[1])] };
        dot_u8(acc, d, d)
    }
    #[inline(always)]
    fn square_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        let (a, b) = (load_i8(a), load_i8(b));
        // The difference of two signed bytes is at most 255 in magnitude: an unsigned byte.
        let d =
            unsafe { [vreinterpretq_u8_s8(vabdq_s8(a[0], b[0])), vreinterpretq_u8_s8(vabdq_s8(a[1], b[1]))] };
        dot_u8(acc, d, d)
    }

    #[inline(always)]
    fn dot_i16(self, acc: Self::I32, x: &[i8; 32], q: &[i16; 32]) -> Self::I32 {
        let [first, second] = load_i8(x);
        let q = q.as_ptr();
        unsafe {
            [
                add_fine(acc[0], vmovl_s8(vget_low_s8(first)), vld1q_s16(q)),
                add_fine(acc[1], vmovl_high_s8(first), vld1q_s16(q.add(8))),
                add_fine(acc[2], vmovl_s8(vget_low_s8(second)), vld1q_s16(q.add(16))),
                add_fine(acc[3], vmovl_high_s8(second), vld1q_s16(q.add(24))),
            ]
        }
    }
    #[inline(always)]
    fn load_bytes(self, v: &[u8; 32]) -> Self::Bytes {
        load_u8(v)
    }
    #[inline(always)]
    fn load_twice(self, v: &[u8; 16]) -> Self::Bytes {
        unsafe {
            let v = vld1q_u8(v.as_ptr());
            [v, vshrq_n_u8::<4>(v)]
        }
    }
    #[inline(always)]
    fn pick_bytes(self, acc: Self::Bytes, v: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes {
        // A negative count shifts down.
        let pick = |acc, v| unsafe {
            vorrq_u8(acc, vandq_u8(vshlq_u8(v, vdupq_n_s8(shift as i8)), vdupq_n_u8(mask)))
        };
        [pick(acc[0], v[0]), pick(acc[1], v[1])]
    }
    #[inline(always)]
    fn dot_bytes_i16(self, acc: Self::I32, x: Self::Bytes, q: &[i16; 32]) -> Self::I32 {
        let [first, second] = x;
        let q = q.as_ptr();
        unsafe {
            let wide = |v: uint8x8_t| vreinterpretq_s16_u16(vmovl_u8(v));
            [
                add_fine(acc[0], wide(vget_low_u8(first)), vld1q_s16(q)),
                add_fine(acc[1], wide(vget_high_u8(first)), vld1q_s16(q.add(8))),
                add_fine(acc[2], wide(vget_low_u8(second)), vld1q_s16(q.add(16))),
                add_fine(acc[3], wide(vget_high_u8(second)), vld1q_s16(q.add(24))),
            ]
        }
    }
    #[inline(always)]
    fn add_differing(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        let (a, b) = (load_u8(a), load_u8(b));
        unsafe {
            let counts = vaddq_u8(vcntq_u8(veorq_u8(a[0], b[0])), vcntq_u8(veorq_u8(a[1], b[1])));
            let sums = vreinterpretq_s32_u32(vpaddlq_u16(vpaddlq_u8(counts)));
            [vaddq_s32(acc[0], sums), acc[1], acc[2], acc[3]]
        }
    }
    #[inline(always)]
    fn sums_i32(self, a: [Self::I32; 4]) -> [i32; 4] {
        let mut sums = [0; 4];
        for i in 0..4 {
            let [x, y, z, w] = a[i];
            sums[i] = unsafe { vaddvq_s32(vaddq_s32(vaddq_s32(x, y), vaddq_s32(z, w))) };
        }
        sums
    }

    #[inline(always)]
    fn zero_sums(self) -> Self::Sums {
        unsafe { [vdupq_n_u16(0); 4] }
    }
    #[inline(always)]
    fn look_up(self, acc: Self::Sums, codes: &[u8; 32], tables: &[[u8; 16]; 2]) -> Self::Sums {
        let [low, high] = tables;
        let codes = load_u8(codes);
        unsafe {
            let (low, high) = (vld1q_u8(low.as_ptr()), vld1q_u8(high.as_ptr()));
            let nibble = vdupq_n_u8(15);
            let sum = |codes: uint8x16_t| {
                let low = vqtbl1q_u8(low, vandq_u8(codes, nibble));
                vaddq_u8(low, vqtbl1q_u8(high, vshrq_n_u8::<4>(codes)))
            };
            self.add_bytes(acc, [sum(codes[0]), sum(codes[1])])
        }
    }
    #[inline(always)]
    fn zero_bytes(self) -> Self::Bytes {
        unsafe { [vdupq_n_u8(0); 2] }
    }
    #[inline(always)]
    fn add_entries(self, acc: Self::Bytes, nibbles: &[u8; 32], table: &[u8; 16]) -> Self::Bytes {
        let nibbles = load_u8(nibbles);
        unsafe {
            let table = vld1q_u8(table.as_ptr());
            [vaddq_u8(acc[0], vqtbl1q_u8(table, nibbles[0])), vaddq_u8(acc[1], vqtbl1q_u8(table, nibbles[1]))]
        }
    }
    #[inline(always)]
    fn add_bytes(self, acc: Self::Sums, v: Self::Bytes) -> Self::Sums {
        unsafe {
            [
                vaddw_u8(acc[0], vget_low_u8(v[0])),
                vaddw_high_u8(acc[1], v[0]),
                vaddw_u8(acc[2], vget_low_u8(v[1])),
                vaddw_high_u8(acc[3], v[1]),
            ]
        }
    }
    #[inline(always)]
    fn at_most(self, sums: Self::Sums, limit: u16) -> u32 {
        const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
        unsafe {
            let (limit, bits) = (vdupq_n_u16(limit), vld1_u8(BITS.as_ptr()));
            let byte =
                |sums: uint16x8_t| u32::from(vaddv_u8(vand_u8(vmovn_u16(vcleq_u16(sums, limit)), bits)));
            byte(sums[0]) | byte(sums[1]) << 8 | byte(sums[2]) << 16 | byte(sums[3]) << 24
        }
    }
    #[inline(always)]
    fn sums_f32(self, sums: Self::Sums) -> [Self::F32; 2] {
        unsafe {
            let wide =
                |v: uint16x8_t| [vcvtq_f32_u32(vmovl_u16(vget_low_u16(v))), vcvtq_f32_u32(vmovl_high_u16(v))];
            let [a, b, c, d] = four!(wide(sums));
            [[a[0], a[1], b[0], b[1]], [c[0], c[1], d[0], d[1]]]
        }
    }

    #[inline(always)]
    fn prefetch(self, line: &[u8]) {
        // A prefetch touches no memory that the program can see, and faults nowhere.
        unsafe {
            asm!("prfm pldl1keep, [{}]", in(reg) line.as_ptr(), options(readonly, nostack, preserves_flags))
        }
    }
}

/// acc + one coordinate of 16 vectors times lane `LANE` of a query's four.
#[inline(always)]
fn add_products<const LANE: i32>(acc: [int32x4_t; 4], x: uint8x16_t, q: int16x4_t) -> [int32x4_t; 4] {
    unsafe {
        let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x)));
        let high = vreinterpretq_s16_u16(vmovl_high_u8(x));
        [
            vmlal_lane_s16::<LANE>(acc[0], vget_low_s16(low), q),
            vmlal_high_lane_s16::<LANE>(acc[1], low, q),
            vmlal_lane_s16::<LANE>(acc[2], vget_low_s16(high), q),
            vmlal_high_lane_s16::<LANE>(acc[3], high, q),
        ]
    }
}

/// acc + products of eight pairs, two to a lane.
#[inline(always)]
fn add_fine(acc: int32x4_t, x: int16x8_t, q: int16x8_t) -> int32x4_t {
    unsafe { vmlal_high_s16(vmlal_s16(acc, vget_low_s16(x), vget_low_s16(q)), x, q) }
}

/// acc + the products of four coordinates of four vectors.
#[inline(always)]
fn add_codes(acc: [int16x8_t; 2], x: int8x16_t, q: int8x16_t) -> [int16x8_t; 2] {
    unsafe { [vmlal_s8(acc[0], vget_low_s8(x), vget_low_s8(q)), vmlal_high_s8(acc[1], x, q)] }
}

/// The sums of four vectors. Two products of each line are one lane's, which is what `CODE_SUM` allows.
#[inline(always)]
fn widen_codes(sums: [int16x8_t; 2]) -> int32x4_t {
    unsafe { vpaddlq_s16(vpaddq_s16(sums[0], sums[1])) }
}

/// A bit for each lane that is all ones.
#[inline(always)]
fn bits_of(lanes: [uint32x4_t; 4]) -> u32 {
    unsafe {
        let first = vld1q_u32([1, 2, 4, 8].as_ptr());
        let bits = [first, vshlq_n_u32::<4>(first), vshlq_n_u32::<8>(first), vshlq_n_u32::<12>(first)];
        let set = four!(vandq_u32(bits, lanes));
        vaddvq_u32(vorrq_u32(vorrq_u32(set[0], set[1]), vorrq_u32(set[2], set[3])))
    }
}
