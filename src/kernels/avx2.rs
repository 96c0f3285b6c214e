//! AVX2.
#![expect(
    unsafe_code,
    reason = "vendor intrinsics; the token below exists only where the processor has them"
)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "one reason serves every block: see `Safety` below")]

// # Safety
// Every block below calls intrinsics of the token's own feature set. A token can only be made
// by `detect`, which asks the processor (and, through XGETBV, the operating system) for each feature. Memory
// is read through references to arrays of exactly the bytes that the load reads, with unaligned loads.

use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::*;

use half::{bf16, f16};

use super::simd::{Kernel, PART_LINES, PART_SUM, SIGNS, Simd};

mod lanes;

pub(super) use lanes::spread_word;
use lanes::{front, widen_i8, widen_u8};

/// Proof of AVX2, FMA, F16C and POPCNT.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token, where the processor has the instructions.
    pub fn detect() -> Option<Self> {
        (has!("avx2") && has!("fma") && has!("f16c") && has!("popcnt")).then_some(Self(()))
    }

    #[inline]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,fma,f16c,popcnt")]
        fn inner<K: Kernel>(s: Avx2, kernel: K) -> K::Out {
            kernel.run(s)
        }
        unsafe { inner(self, kernel) }
    }
}

/// The bits in which 32 bytes differ, in four sums of 64 bits.
#[inline(always)]
pub(super) fn count_differing(_: Avx2, a: &[u8; 32], b: &[u8; 32]) -> __m256i {
    unsafe {
        let (a, b) = (_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
        let (v, nibble) = (_mm256_xor_si256(a, b), _mm256_set1_epi8(15));
        let counts = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let low = _mm256_shuffle_epi8(counts, _mm256_and_si256(v, nibble));
        let high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16::<4>(v), nibble));
        _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256())
    }
}

impl Simd for Avx2 {
    type F64 = [__m256d; 2];
    type F32 = [__m256; 2];
    type I32 = [__m256i; 2];
    /// 32 sums of 16 bits, two a vector.
    type CodeSums = [__m256i; 2];
    type Sums = [__m256i; 2];
    type Bytes = __m256i;

    const BYTE_MAX: i32 = 255;
    // More lines spare conversions, fewer leave the query finer codes.
    const CODE_LINES: usize = PART_LINES;
    const CODE_SUM: i32 = PART_SUM;
    const BYTE_QUERIES: usize = 4;
    const CODE_QUERIES: usize = 6;
    const PANELS: usize = 1;
    /// One pack and one VPMOVMSKB: two bits a lane, in the order that the pack leaves.
    const LANE_OF_BIT: [u8; 32] = [
        0, 0, 1, 1, 2, 2, 3, 3, 8, 8, 9, 9, 10, 10, 11, 11, 4, 4, 5, 5, 6, 6, 7, 7, 12, 12, 13, 13, 14, 14,
        15, 15,
    ];
    const LANE_BITS: u32 = 3;
    const ALL_LANES: u32 = u32::MAX;

    #[inline(always)]
    fn zero_f64(self) -> Self::F64 {
        unsafe { [_mm256_setzero_pd(); 2] }
    }
    #[inline(always)]
    fn load_f64(self, v: &[f64; 8]) -> Self::F64 {
        unsafe { [_mm256_loadu_pd(v.as_ptr()), _mm256_loadu_pd(v.as_ptr().add(4))] }
    }
    #[inline(always)]
    fn widen_f32(self, v: &[f32; 8]) -> Self::F64 {
        unsafe {
            [_mm256_cvtps_pd(_mm_loadu_ps(v.as_ptr())), _mm256_cvtps_pd(_mm_loadu_ps(v.as_ptr().add(4)))]
        }
    }
    #[inline(always)]
    fn widen_f16(self, v: &[f16; 8]) -> Self::F64 {
        unsafe {
            let wide = _mm256_cvtph_ps(_mm_loadu_si128(v.as_ptr().cast()));
            [_mm256_cvtps_pd(_mm256_castps256_ps128(wide)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(wide))]
        }
    }
    #[inline(always)]
    fn widen_bf16(self, v: &[bf16; 8]) -> Self::F64 {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(v.as_ptr().cast()));
            let wide = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide));
            [_mm256_cvtps_pd(_mm256_castps256_ps128(wide)), _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(wide))]
        }
    }
    #[inline(always)]
    fn widen_i8(self, v: &[i8; 8]) -> Self::F64 {
        unsafe {
            let wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(v.as_ptr().cast()));
            [
                _mm256_cvtepi32_pd(_mm256_castsi256_si128(wide)),
                _mm256_cvtepi32_pd(_mm256_extracti128_si256::<1>(wide)),
            ]
        }
    }
    #[inline(always)]
    fn widen_u8(self, v: &[u8; 8]) -> Self::F64 {
        unsafe {
            let wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(v.as_ptr().cast()));
            [
                _mm256_cvtepi32_pd(_mm256_castsi256_si128(wide)),
                _mm256_cvtepi32_pd(_mm256_extracti128_si256::<1>(wide)),
            ]
        }
    }
    #[inline(always)]
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { [_mm256_sub_pd(a[0], b[0]), _mm256_sub_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { [_mm256_add_pd(a[0], b[0]), _mm256_add_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64 {
        unsafe { [_mm256_fmadd_pd(a[0], b[0], c[0]), _mm256_fmadd_pd(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { [_mm256_div_pd(a[0], b[0]), _mm256_div_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn abs_f64(self, a: Self::F64) -> Self::F64 {
        unsafe {
            let sign = _mm256_set1_pd(-0.0);
            [_mm256_andnot_pd(sign, a[0]), _mm256_andnot_pd(sign, a[1])]
        }
    }
    #[inline(always)]
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { [_mm256_min_pd(a[0], b[0]), _mm256_min_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { [_mm256_max_pd(a[0], b[0]), _mm256_max_pd(a[1], b[1])] }
    }
    #[inline(always)]
    fn known_f64(self, a: Self::F64) -> [Self::F64; 2] {
        unsafe {
            let known = [_mm256_cmp_pd::<_CMP_ORD_Q>(a[0], a[0]), _mm256_cmp_pd::<_CMP_ORD_Q>(a[1], a[1])];
            let one = _mm256_set1_pd(1.0);
            [
                [_mm256_and_pd(known[0], a[0]), _mm256_and_pd(known[1], a[1])],
                [_mm256_and_pd(known[0], one), _mm256_and_pd(known[1], one)],
            ]
        }
    }
    #[inline(always)]
    fn lanes_f64(self, a: Self::F64) -> [f64; 8] {
        let mut lanes = [0.0; 8];
        let (low, high) = lanes.split_at_mut(4);
        unsafe {
            _mm256_storeu_pd(low.as_mut_ptr(), a[0]);
            _mm256_storeu_pd(high.as_mut_ptr(), a[1]);
        }
        lanes
    }
    #[inline(always)]
    fn sum_f64(self, a: Self::F64) -> f64 {
        unsafe {
            let four = _mm256_add_pd(a[0], a[1]);
            let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    }

    #[inline(always)]
    fn zero_f32(self) -> Self::F32 {
        unsafe { [_mm256_setzero_ps(); 2] }
    }
    #[inline(always)]
    fn load_f32(self, v: &[f32; 16]) -> Self::F32 {
        unsafe { [_mm256_loadu_ps(v.as_ptr()), _mm256_loadu_ps(v.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn load_bf16(self, v: &[bf16; 16]) -> Self::F32 {
        unsafe {
            let half = |at: usize| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(v[at..at + 8].as_ptr().cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            };
            [half(0), half(8)]
        }
    }
    #[inline(always)]
    fn read_f32(self, v: &[u8; 64]) -> Self::F32 {
        unsafe { [_mm256_loadu_ps(v.as_ptr().cast()), _mm256_loadu_ps(v.as_ptr().add(32).cast())] }
    }
    #[inline(always)]
    fn read_f16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe {
            let (low, high) =
                (_mm_loadu_si128(v.as_ptr().cast()), _mm_loadu_si128(v.as_ptr().add(16).cast()));
            [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
        }
    }
    #[inline(always)]
    fn read_bf16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe {
            let (low, high) =
                (_mm_loadu_si128(v.as_ptr().cast()), _mm_loadu_si128(v.as_ptr().add(16).cast()));
            let (low, high) = (_mm256_cvtepu16_epi32(low), _mm256_cvtepu16_epi32(high));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            ]
        }
    }
    #[inline(always)]
    fn read_u8(self, v: &[u8; 16]) -> Self::F32 {
        unsafe {
            let (low, high) = (_mm_loadl_epi64(v.as_ptr().cast()), _mm_loadl_epi64(v.as_ptr().add(8).cast()));
            [_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)), _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high))]
        }
    }
    #[inline(always)]
    fn spread<const B: usize>(self, words: [u64; 2]) -> Self::F32 {
        let numbers = [spread_word::<B>(self, words[0]), spread_word::<B>(self, words[1])];
        unsafe {
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(numbers[0])),
                _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(numbers[1])),
            ]
        }
    }
    #[inline(always)]
    fn totals_f32(self, a: [Self::F32; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        unsafe {
            let first = _mm256_hadd_ps(_mm256_add_ps(a[0][0], a[0][1]), _mm256_add_ps(a[1][0], a[1][1]));
            let second = _mm256_hadd_ps(_mm256_add_ps(a[2][0], a[2][1]), _mm256_add_ps(a[3][0], a[3][1]));
            let both = _mm256_hadd_ps(first, second);
            let four = _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps::<1>(both));
            _mm_storeu_ps(sums.as_mut_ptr(), four);
        }
        sums
    }
    #[inline(always)]
    fn splat_f32(self, v: f32) -> Self::F32 {
        unsafe { [_mm256_set1_ps(v); 2] }
    }
    #[inline(always)]
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn add_apart_f32(self, acc: Self::F32, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            let low = _mm256_andnot_ps(sign, _mm256_sub_ps(a[0], b[0]));
            let high = _mm256_andnot_ps(sign, _mm256_sub_ps(a[1], b[1]));
            [_mm256_add_ps(acc[0], low), _mm256_add_ps(acc[1], high)]
        }
    }
    #[inline(always)]
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn lesser_f32(self, a: [Self::F32; 2], b: [Self::F32; 2]) -> [Self::F32; 2] {
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_LT_OQ>(b[0][0], a[0][0]);
            let high = _mm256_cmp_ps::<_CMP_LT_OQ>(b[0][1], a[0][1]);
            [
                [_mm256_blendv_ps(a[0][0], b[0][0], low), _mm256_blendv_ps(a[0][1], b[0][1], high)],
                [_mm256_blendv_ps(a[1][0], b[1][0], low), _mm256_blendv_ps(a[1][1], b[1][1], high)],
            ]
        }
    }
    #[inline(always)]
    fn not_less_f32(self, a: Self::F32, b: Self::F32) -> u32 {
        unsafe {
            let low = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_NLT_UQ>(a[0], b[0]));
            let high = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_NLT_UQ>(a[1], b[1]));
            _mm256_movemask_epi8(_mm256_packs_epi32(low, high)) as u32
        }
    }
    #[inline(always)]
    fn compress(self, mask: u32, v: Self::F32, out: &mut [f32; 16]) -> usize {
        // A bit a lane: four bits of lanes 0, 8, 4 and 12 on.
        let bits = mask & 0x5555_5555;
        let bits = (bits | bits >> 1) & 0x3333_3333;
        let bits = (bits | bits >> 2) & 0x0F0F_0F0F;
        let first = front(self, bits | bits >> 12, v[0], out.first_chunk_mut().expect("sixteen"));
        let rest = out[first..].first_chunk_mut().expect("eight at most are before them");
        first + front(self, bits >> 8 | bits >> 20, v[1], rest)
    }
    #[inline(always)]
    fn lanes_f32(self, a: Self::F32) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), a[0]);
            _mm256_storeu_ps(lanes.as_mut_ptr().add(8), a[1]);
        }
        lanes
    }
    #[inline(always)]
    fn places_of(self, v: &[u32; 16], a: u32) -> u32 {
        unsafe {
            let (a, v) = (_mm256_set1_epi32(a.cast_signed()), v.as_ptr().cast::<__m256i>());
            let low = _mm256_cmpeq_epi32(_mm256_loadu_si256(v), a);
            let high = _mm256_cmpeq_epi32(_mm256_loadu_si256(v.add(1)), a);
            _mm256_movemask_epi8(_mm256_packs_epi32(low, high)) as u32
        }
    }

    #[inline(always)]
    fn zero_i32(self) -> Self::I32 {
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        unsafe { [_mm256_cvtepi32_ps(a[0]), _mm256_cvtepi32_ps(a[1])] }
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
    }
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i64 {
        unsafe {
            let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(a[0]));
            let low = _mm256_add_epi64(low, _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(a[0])));
            let high = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(a[1]));
            let high = _mm256_add_epi64(high, _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(a[1])));
            let four = _mm256_add_epi64(low, high);
            let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
        }
    }
    #[inline(always)]
    fn pack_bytes(self, q: [i16; 4]) -> [i32; 2] {
        // Even coordinates meet the even bytes of a line, odd ones the odd bytes.
        bytemuck::must_cast([q[0], q[2], q[1], q[3]])
    }
    #[inline(always)]
    fn dot_bytes(self, acc: Self::I32, x: &[u8; 64], q: &[i32; 2]) -> Self::I32 {
        // Widened in place: VPMADDUBSW would take the bytes as they are, but saturates.
        let half = |acc: __m256i, x: &[u8]| unsafe {
            let x = _mm256_loadu_si256(x.as_ptr().cast());
            let even = _mm256_and_si256(x, _mm256_set1_epi16(0xFF));
            let even = _mm256_madd_epi16(even, _mm256_set1_epi32(q[0]));
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(x), _mm256_set1_epi32(q[1]));
            _mm256_add_epi32(_mm256_add_epi32(acc, even), odd)
        };
        [half(acc[0], &x[..32]), half(acc[1], &x[32..])]
    }
    #[inline(always)]
    fn zero_codes(self) -> Self::CodeSums {
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    fn dot_codes(self, acc: Self::CodeSums, x: &[u8; 64], q: i32) -> Self::CodeSums {
        unsafe {
            let (low, high) =
                (_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().add(32).cast()));
            let q = _mm256_set1_epi32(q);
            [
                _mm256_add_epi16(acc[0], _mm256_maddubs_epi16(low, q)),
                _mm256_add_epi16(acc[1], _mm256_maddubs_epi16(high, q)),
            ]
        }
    }
    #[inline(always)]
    fn widen_codes(self, sums: Self::CodeSums) -> Self::I32 {
        unsafe {
            let one = _mm256_set1_epi16(1);
            [_mm256_madd_epi16(sums[0], one), _mm256_madd_epi16(sums[1], one)]
        }
    }

    #[inline(always)]
    fn dot_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        let (a, b) = (widen_u8(self, a), widen_u8(self, b));
        unsafe {
            let (low, high) = (_mm256_madd_epi16(a[0], b[0]), _mm256_madd_epi16(a[1], b[1]));
            self.add_i32(acc, [low, high])
        }
    }
    #[inline(always)]
    fn square_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        let (a, b) = (widen_u8(self, a), widen_u8(self, b));
        unsafe {
            let (low, high) = (_mm256_sub_epi16(a[0], b[0]), _mm256_sub_epi16(a[1], b[1]));
            self.add_i32(acc, [_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)])
        }
    }
    #[inline(always)]
    fn dot_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        let (a, b) = (widen_i8(self, a), widen_i8(self, b));
        unsafe {
            let (low, high) = (_mm256_madd_epi16(a[0], b[0]), _mm256_madd_epi16(a[1], b[1]));
            self.add_i32(acc, [low, high])
        }
    }
    #[inline(always)]
    fn square_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        let (a, b) = (widen_i8(self, a), widen_i8(self, b));
        unsafe {
            let (low, high) = (_mm256_sub_epi16(a[0], b[0]), _mm256_sub_epi16(a[1], b[1]));
            self.add_i32(acc, [_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)])
        }
    }

    #[inline(always)]
    fn dot_i16(self, acc: Self::I32, x: &[i8; 32], q: &[i16; 32]) -> Self::I32 {
        let x = widen_i8(self, x);
        unsafe {
            let low = _mm256_madd_epi16(x[0], _mm256_loadu_si256(q.as_ptr().cast()));
            let high = _mm256_madd_epi16(x[1], _mm256_loadu_si256(q.as_ptr().add(16).cast()));
            self.add_i32(acc, [low, high])
        }
    }
    #[inline(always)]
    fn load_bytes(self, v: &[u8; 32]) -> Self::Bytes {
        unsafe { _mm256_loadu_si256(v.as_ptr().cast()) }
    }
    #[inline(always)]
    fn load_twice(self, v: &[u8; 16]) -> Self::Bytes {
        unsafe {
            let v = _mm256_broadcastsi128_si256(_mm_loadu_si128(v.as_ptr().cast()));
            _mm256_srlv_epi32(v, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4))
        }
    }
    #[inline(always)]
    fn pick_bytes(self, acc: Self::Bytes, v: Self::Bytes, shift: i32, mask: u8) -> Self::Bytes {
        unsafe {
            // Of pairs of bytes: what comes over from the other one is masked out.
            let count = _mm_cvtsi32_si128(shift.abs());
            let v = if shift < 0 { _mm256_srl_epi16(v, count) } else { _mm256_sll_epi16(v, count) };
            _mm256_or_si256(acc, _mm256_and_si256(v, _mm256_set1_epi8(mask as i8)))
        }
    }
    #[inline(always)]
    fn dot_bytes_i16(self, acc: Self::I32, x: Self::Bytes, q: &[i16; 32]) -> Self::I32 {
        unsafe {
            let low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(x));
            let high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256::<1>(x));
            let low = _mm256_madd_epi16(low, _mm256_loadu_si256(q.as_ptr().cast()));
            let high = _mm256_madd_epi16(high, _mm256_loadu_si256(q.as_ptr().add(16).cast()));
            self.add_i32(acc, [low, high])
        }
    }
    #[inline(always)]
    fn add_differing(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        [unsafe { _mm256_add_epi32(acc[0], count_differing(self, a, b)) }, acc[1]]
    }
    #[inline(always)]
    fn add_where(self, acc: Self::I32, bits: &[u8; 8], v: &[u8; 64]) -> Self::I32 {
        unsafe {
            // A byte of its own for each bit: that which holds it, of which it is left.
            let order =
                _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let each = _mm256_set1_epi64x(0x8040_2010_0804_0201u64.cast_signed());
            let (bits, parts) = (bits.as_chunks::<4>().0, v.as_chunks::<32>().0);
            let mut sums = acc;
            for half in 0..2 {
                let four = _mm256_set1_epi32(i32::from_le_bytes(bits[half]));
                let set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(four, order), each), each);
                let kept = _mm256_and_si256(set, _mm256_loadu_si256(parts[half].as_ptr().cast()));
                sums[half] = _mm256_add_epi32(acc[half], _mm256_sad_epu8(kept, _mm256_setzero_si256()));
            }
            sums
        }
    }
    #[inline(always)]
    fn sums_i32(self, a: [Self::I32; 4]) -> [i32; 4] {
        let mut sums = [0; 4];
        unsafe {
            let first =
                _mm256_hadd_epi32(_mm256_add_epi32(a[0][0], a[0][1]), _mm256_add_epi32(a[1][0], a[1][1]));
            let second =
                _mm256_hadd_epi32(_mm256_add_epi32(a[2][0], a[2][1]), _mm256_add_epi32(a[3][0], a[3][1]));
            let both = _mm256_hadd_epi32(first, second);
            let four = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
            _mm_storeu_si128(sums.as_mut_ptr().cast(), four);
        }
        sums
    }

    #[inline(always)]
    fn zero_sums(self) -> Self::Sums {
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    fn nibble_tables(self, units: &[i16; 8]) -> [[u8; 16]; 2] {
        let mut tables = [[0; 16]; 2];
        unsafe {
            let units = _mm256_broadcastsi128_si256(_mm_loadu_si128(units.as_ptr().cast()));
            let mut sums = [_mm256_set1_epi16(128); 2];
            for (bit, signs) in SIGNS.iter().enumerate() {
                let signs = _mm256_loadu_si256(signs.as_ptr().cast());
                for (nibble, sum) in sums.iter_mut().enumerate() {
                    let pick = _mm256_set1_epi16(0x0100 + 0x0202 * (4 * nibble + bit) as i16);
                    let turned = _mm256_xor_si256(_mm256_shuffle_epi8(units, pick), signs);
                    let part = _mm256_max_epi16(_mm256_sub_epi16(turned, signs), _mm256_setzero_si256());
                    *sum = _mm256_add_epi16(*sum, part);
                }
            }
            let [first, second] = [_mm256_srli_epi16::<8>(sums[0]), _mm256_srli_epi16::<8>(sums[1])];
            let entries = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(first, second));
            _mm256_storeu_si256(tables.as_mut_ptr().cast(), entries);
        }
        tables
    }
    #[inline(always)]
    fn look_up(self, acc: Self::Sums, codes: &[u8; 32], tables: &[[u8; 16]; 2]) -> Self::Sums {
        let [low, high] = tables;
        unsafe {
            let table = |t: &[u8; 16]| _mm256_broadcastsi128_si256(_mm_loadu_si128(t.as_ptr().cast()));
            let codes = _mm256_loadu_si256(codes.as_ptr().cast());
            let nibble = _mm256_set1_epi8(15);
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
            let sum = _mm256_add_epi8(
                _mm256_shuffle_epi8(table(low), _mm256_and_si256(codes, nibble)),
                _mm256_shuffle_epi8(table(high), upper),
            );
            self.add_bytes(acc, sum)
        }
    }
    #[inline(always)]
    fn zero_bytes(self) -> Self::Bytes {
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    fn add_entries(self, acc: Self::Bytes, nibbles: &[u8; 32], table: &[u8; 16]) -> Self::Bytes {
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            let nibbles = _mm256_loadu_si256(nibbles.as_ptr().cast());
            _mm256_add_epi8(acc, _mm256_shuffle_epi8(table, nibbles))
        }
    }
    #[inline(always)]
    fn add_bytes(self, acc: Self::Sums, v: Self::Bytes) -> Self::Sums {
        // The first sums take all 16 bits, and what the odd bytes put into them is taken off in the end.
        unsafe { [_mm256_add_epi16(acc[0], v), _mm256_add_epi16(acc[1], _mm256_srli_epi16::<8>(v))] }
    }
    #[inline(always)]
    fn at_most(self, sums: Self::Sums, limit: u16) -> u32 {
        unsafe {
            let odd = sums[1];
            let even = _mm256_sub_epi16(sums[0], _mm256_slli_epi16::<8>(odd));
            let limit = _mm256_set1_epi16(limit.cast_signed());
            let even = _mm256_cmpeq_epi16(_mm256_min_epu16(even, limit), even);
            let odd = _mm256_cmpeq_epi16(_mm256_min_epu16(odd, limit), odd);
            let both = _mm256_blendv_epi8(even, odd, _mm256_set1_epi16(0xFF00u16.cast_signed()));
            _mm256_movemask_epi8(both).cast_unsigned()
        }
    }
    #[inline(always)]
    fn sums_f32(self, sums: Self::Sums) -> [Self::F32; 2] {
        unsafe {
            let odd = sums[1];
            let even = _mm256_sub_epi16(sums[0], _mm256_slli_epi16::<8>(odd));
            let (low, high) = (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd));
            let wide = |v: __m128i| _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(v));
            [
                [wide(_mm256_castsi256_si128(low)), wide(_mm256_castsi256_si128(high))],
                [wide(_mm256_extracti128_si256::<1>(low)), wide(_mm256_extracti128_si256::<1>(high))],
            ]
        }
    }

    #[inline(always)]
    fn prefetch(self, line: &[u8]) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}
