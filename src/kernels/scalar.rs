//! The portable fallback: plain loops over arrays, which the compiler may vectorise for its baseline.

use half::{bf16, f16};

use super::simd::{IN_ORDER, Simd, Spread};

/// Needs nothing of the processor.
#[derive(Clone, Copy, Debug)]
pub struct Scalar;

#[inline(always)]
fn pairs<A: Copy>(acc: [i32; 16], a: &[A; 32], b: &[A; 32], f: impl Fn(A, A) -> i32) -> [i32; 16] {
    std::array::from_fn(|i| acc[i] + f(a[2 * i], b[2 * i]) + f(a[2 * i + 1], b[2 * i + 1]))
}

impl Simd for Scalar {
    type F64 = [f64; 8];
    type F32 = [f32; 16];
    type I32 = [i32; 16];
    type CodeSums = Self::I32;
    type Sums = [u16; 32];
    type Bytes = [u8; 32];

    const BYTE_MAX: i32 = 255;
    const CODE_LINES: usize = usize::MAX;
    const CODE_SUM: i32 = i32::MAX;
    const BYTE_QUERIES: usize = 4;
    const CODE_QUERIES: usize = 4;
    const PANELS: usize = 1;
    const LANE_OF_BIT: [u8; 32] = IN_ORDER;
    const LANE_BITS: u32 = 1;
    const ALL_LANES: u32 = 0xFFFF;

    #[inline(always)]
    fn zero_f64(self) -> Self::F64 {
        [0.0; 8]
    }
    #[inline(always)]
    fn load_f64(self, v: &[f64; 8]) -> Self::F64 {
        *v
    }
    #[inline(always)]
    fn widen_f32(self, v: &[f32; 8]) -> Self::F64 {
        v.map(f64::from)
    }
    #[inline(always)]
    fn widen_f16(self, v: &[f16; 8]) -> Self::F64 {
        v.map(f16::to_f64)
    }
    #[inline(always)]
    fn widen_bf16(self, v: &[bf16; 8]) -> Self::F64 {
        v.map(bf16::to_f64)
    }
    #[inline(always)]
    fn widen_i8(self, v: &[i8; 8]) -> Self::F64 {
        v.map(f64::from)
    }
    #[inline(always)]
    fn widen_u8(self, v: &[u8; 8]) -> Self::F64 {
        v.map(f64::from)
    }
    #[inline(always)]
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64 {
        // Not fused: without the instruction `f64::mul_add` is a slow call.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| a[i] / b[i])
    }
    #[inline(always)]
    fn abs_f64(self, a: Self::F64) -> Self::F64 {
        a.map(f64::abs)
    }
    #[inline(always)]
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| a[i].min(b[i]))
    }
    #[inline(always)]
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        std::array::from_fn(|i| a[i].max(b[i]))
    }
    #[inline(always)]
    fn known_f64(self, a: Self::F64) -> [Self::F64; 2] {
        let zero = |known: bool, v: f64| if known { v } else { 0.0 };
        [a.map(|v| zero(!v.is_nan(), v)), a.map(|v| zero(!v.is_nan(), 1.0))]
    }
    #[inline(always)]
    fn lanes_f64(self, a: Self::F64) -> [f64; 8] {
        a
    }
    #[inline(always)]
    fn sum_f64(self, a: Self::F64) -> f64 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }

    #[inline(always)]
    fn zero_f32(self) -> Self::F32 {
        [0.0; 16]
    }
    #[inline(always)]
    fn load_f32(self, v: &[f32; 16]) -> Self::F32 {
        *v
    }
    #[inline(always)]
    fn load_bf16(self, v: &[bf16; 16]) -> Self::F32 {
        v.map(bf16::to_f32)
    }
    #[inline(always)]
    fn read_f32(self, v: &[u8; 64]) -> Self::F32 {
        bytemuck::must_cast(*v)
    }
    #[inline(always)]
    fn read_f16(self, v: &[u8; 32]) -> Self::F32 {
        bytemuck::must_cast::<_, [f16; 16]>(*v).map(f16::to_f32)
    }
    #[inline(always)]
    fn read_bf16(self, v: &[u8; 32]) -> Self::F32 {
        bytemuck::must_cast::<_, [bf16; 16]>(*v).map(bf16::to_f32)
    }
    #[inline(always)]
    fn read_u8(self, v: &[u8; 16]) -> Self::F32 {
        v.map(f32::from)
    }
    #[inline(always)]
    fn spread<const B: usize>(self, words: [u64; 2]) -> Self::F32 {
        std::array::from_fn(|i| ((words[i / 8] >> (i % 8 * B)) as u16 & Spread::<B>::MASK).into())
    }
    #[inline(always)]
    fn totals_f32(self, a: [Self::F32; 4]) -> [f32; 4] {
        a.map(|a| {
            let t: [f32; 8] = std::array::from_fn(|i| a[i] + a[i + 8]);
            ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
        })
    }
    #[inline(always)]
    fn splat_f32(self, v: f32) -> Self::F32 {
        [v; 16]
    }
    #[inline(always)]
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn add_apart_f32(self, acc: Self::F32, a: Self::F32, b: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| acc[i] + (a[i] - b[i]).abs())
    }
    #[inline(always)]
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| a[i].min(b[i]))
    }
    #[inline(always)]
    fn lesser_f32(self, a: [Self::F32; 2], b: [Self::F32; 2]) -> [Self::F32; 2] {
        [0, 1].map(|k| std::array::from_fn(|i| if b[0][i] < a[0][i] { b[k][i] } else { a[k][i] }))
    }
    #[inline(always)]
    fn not_less_f32(self, a: Self::F32, b: Self::F32) -> u32 {
        (0..16).fold(0, |mask, i| {
            mask | (u32::from(!matches!(a[i].partial_cmp(&b[i]), Some(std::cmp::Ordering::Less))) << i)
        })
    }
    #[inline(always)]
    fn lanes_f32(self, a: Self::F32) -> [f32; 16] {
        a
    }
    #[inline(always)]
    fn places_of(self, v: &[u32; 16], a: u32) -> u32 {
        (0..16).fold(0, |mask, i| mask | u32::from(v[i] == a) << i)
    }

    #[inline(always)]
    fn zero_i32(self) -> Self::I32 {
        [0; 16]
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        a.map(|v| v as f32)
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i64 {
        a.iter().map(|&v| i64::from(v)).sum()
    }
    #[inline(always)]
    fn pack_bytes(self, q: [i16; 4]) -> [i32; 2] {
        bytemuck::must_cast(q)
    }
    #[inline(always)]
    fn dot_bytes(self, acc: Self::I32, x: &[u8; 64], q: &[i32; 2]) -> Self::I32 {
        let q: &[i16; 4] = bytemuck::must_cast_ref(q);
        std::array::from_fn(|i| {
            (0..4).fold(acc[i], |sum, j| sum.wrapping_add(i32::from(x[4 * i + j]) * i32::from(q[j])))
        })
    }
    #[inline(always)]
    fn zero_codes(self) -> Self::CodeSums {
        self.zero_i32()
    }
    #[inline(always)]
    fn dot_codes(self, acc: Self::CodeSums, x: &[u8; 64], q: i32) -> Self::CodeSums {
        let q: [i8; 4] = bytemuck::must_cast(q);
        std::array::from_fn(|i| {
            (0..4).fold(acc[i], |sum, j| sum.wrapping_add(i32::from(x[4 * i + j]) * i32::from(q[j])))
        })
    }
    #[inline(always)]
    fn widen_codes(self, sums: Self::CodeSums) -> Self::I32 {
        sums
    }

    #[inline(always)]
    fn dot_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        pairs(acc, a, b, |a, b| i32::from(a) * i32::from(b))
    }
    #[inline(always)]
    fn dot_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        pairs(acc, a, b, |a, b| i32::from(a) * i32::from(b))
    }
    #[inline(always)]
    fn square_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        pairs(acc, a, b, |a, b| (i32::from(a) - i32::from(b)).pow(2))
    }
    #[inline(always)]
    fn square_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        pairs(acc, a, b, |a, b| (i32::from(a) - i32::from(b)).pow(2))
    }

    #[inline(always)]
    fn dot_i16(self, acc: Self::I32, x: &[i8; 32], q: &[i16; 32]) -> Self::I32 {
        let product = |j: usize| i32::from(x[j]) * i32::from(q[j]);
        std::array::from_fn(|i| acc[i] + product(2 * i) + product(2 * i + 1))
    }
    #[inline(always)]
    fn load_bytes(self, v: &[u8; 32]) -> Self::Bytes {
        *v
    }
    #[inline(always)]
    fn load_twice(self, v: &[u8; 16]) -> Self::Bytes {
        std::array::from_fn(|i| if i < 16 { v[i] } else { v[i - 16] >> 4 })
    }
    #[inline(always)]
    fn pick_bytes(self, acc: Self::Bytes, v: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes {
        let moved = |v: u8| if shift < 0 { v >> -shift } else { v << shift };
        std::array::from_fn(|i| acc[i] | moved(v[i]) & mask)
    }
    #[inline(always)]
    fn dot_bytes_i16(self, acc: Self::I32, x: Self::Bytes, q: &[i16; 32]) -> Self::I32 {
        let product = |j: usize| i32::from(x[j]) * i32::from(q[j]);
        std::array::from_fn(|i| acc[i] + product(2 * i) + product(2 * i + 1))
    }
    #[inline(always)]
    fn add_differing(self, mut acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        for (lane, (a, b)) in acc.iter_mut().zip(a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0)) {
            *lane += (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).count_ones() as i32;
        }
        acc
    }
    #[inline(always)]
    fn sums_i32(self, a: [Self::I32; 4]) -> [i32; 4] {
        a.map(|lanes| lanes.iter().fold(0, |sum: i32, &v| sum.wrapping_add(v)))
    }

    #[inline(always)]
    fn zero_sums(self) -> Self::Sums {
        [0; 32]
    }
    #[inline(always)]
    fn look_up(self, acc: Self::Sums, codes: &[u8; 32], tables: &[[u8; 16]; 2]) -> Self::Sums {
        std::array::from_fn(|i| {
            let [low, high] = [tables[0][usize::from(codes[i] & 15)], tables[1][usize::from(codes[i] >> 4)]];
            acc[i] + u16::from(low) + u16::from(high)
        })
    }
    #[inline(always)]
    fn zero_bytes(self) -> Self::Bytes {
        [0; 32]
    }
    #[inline(always)]
    fn add_entries(self, acc: Self::Bytes, nibbles: &[u8; 32], table: &[u8; 16]) -> Self::Bytes {
        std::array::from_fn(|i| acc[i].wrapping_add(table[usize::from(nibbles[i] & 15)]))
    }
    #[inline(always)]
    fn add_bytes(self, acc: Self::Sums, v: Self::Bytes) -> Self::Sums {
        std::array::from_fn(|i| acc[i].wrapping_add(u16::from(v[i])))
    }
    #[inline(always)]
    fn at_most(self, sums: Self::Sums, limit: u16) -> u32 {
        (0..32).fold(0, |mask, i| mask | (u32::from(sums[i] <= limit) << i))
    }
    #[inline(always)]
    fn sums_f32(self, sums: Self::Sums) -> [Self::F32; 2] {
        [std::array::from_fn(|i| f32::from(sums[i])), std::array::from_fn(|i| f32::from(sums[16 + i]))]
    }

    #[inline(always)]
    fn prefetch(self, _line: &[u8]) {}
}
