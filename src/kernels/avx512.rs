//! AVX-512.
#![expect(
    unsafe_code,
    reason = "vendor intrinsics; the token below exists only where the processor has them"
)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "one reason serves every block: see `avx2.rs`")]

use std::arch::is_x86_feature_detected as has;
use std::arch::x86_64::*;

use bytemuck::must_cast_ref;
use half::{bf16, f16};

use super::avx2::{Avx2, count_differing, spread_word};
use super::simd::{IN_ORDER, Kernel, SIGNS, Simd};

/// Proof of AVX-512 F, BW, VL and VNNI, and of what [`Avx2`] proves; with `VBMI` of VBMI and VPOPCNTDQ besides, which came
/// together (Ice Lake, Zen 4).
#[derive(Clone, Copy, Debug)]
pub struct Avx512<const VBMI: bool>(Avx2);

impl<const VBMI: bool> Avx512<VBMI> {
    /// The token, where the processor has the instructions.
    pub fn detect() -> Option<Self> {
        let here = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni");
        let more = !VBMI || (has!("avx512vbmi") && has!("avx512vpopcntdq"));
        Avx2::detect().filter(|_| here && more).map(Self)
    }

    #[inline]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512vl,avx512vnni")]
        fn without<K: Kernel>(s: impl Simd, kernel: K) -> K::Out {
            kernel.run(s)
        }
        #[target_feature(
            enable = "avx2,fma,f16c,popcnt,avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,avx512vpopcntdq"
        )]
        fn with<K: Kernel>(s: impl Simd, kernel: K) -> K::Out {
            kernel.run(s)
        }
        if VBMI { unsafe { with(self, kernel) } } else { unsafe { without(self, kernel) } }
    }
}

/// Both halves of each, added up as 16-bit integers.
#[inline(always)]
fn folded([even, odd]: [__m512i; 2]) -> [__m256i; 2] {
    let fold = |v: __m512i| unsafe {
        _mm256_add_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v))
    };
    [fold(even), fold(odd)]
}

/// The bytes of each 16 bits of `v`, added to the sums of even and odd ones as [`Avx2`] keeps them.
#[inline(always)]
fn add_words([even, odd]: [__m512i; 2], v: __m512i) -> [__m512i; 2] {
    unsafe { [_mm512_add_epi16(even, v), _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(v))] }
}

/// Sixteen bytes of each of 64 codes, the first of all of them together, then the second.
#[inline(always)]
fn columns(codes: &[u8], stride: usize) -> [__m512i; 16] {
    // Of four codes the same bytes together: four bytes of each of sixteen columns.
    let mut order = [0u8; 64];
    for (at, place) in order.iter_mut().enumerate() {
        *place = (at % 4 * 16 + at / 4) as u8;
    }
    let (mut a, mut b) = ([unsafe { _mm512_setzero_si512() }; 16], [unsafe { _mm512_setzero_si512() }; 16]);
    // Loops, for closures would not have the processor's features.
    unsafe {
        let order = _mm512_loadu_si512(order.as_ptr().cast());
        for (four, a) in a.iter_mut().enumerate() {
            let mut lines = [_mm_setzero_si128(); 4];
            for (i, line) in lines.iter_mut().enumerate() {
                let code: &[u8; 16] = codes[(4 * four + i) * stride..].first_chunk().expect("sixteen bytes");
                *line = _mm_loadu_si128(code.as_ptr().cast());
            }
            let low = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lines[0]), lines[1]);
            let high = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(lines[2]), lines[3]);
            let all = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            *a = _mm512_permutexvar_epi8(order, all);
        }
        // The square of 16 × 16 such fours turned: within parts of 128 bits, then the parts.
        for i in (0..16).step_by(2) {
            b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
            b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
        }
        for i in (0..16).step_by(4) {
            for j in 0..2 {
                a[i + 2 * j] = _mm512_unpacklo_epi64(b[i + j], b[i + j + 2]);
                a[i + 2 * j + 1] = _mm512_unpackhi_epi64(b[i + j], b[i + j + 2]);
            }
        }
        for j in 0..4 {
            let (mut even, mut odd) = ([a[j]; 2], [a[j]; 2]);
            for half in 0..2 {
                let (x, y) = (a[8 * half + j], a[8 * half + j + 4]);
                even[half] = _mm512_shuffle_i32x4::<0b10_00_10_00>(x, y);
                odd[half] = _mm512_shuffle_i32x4::<0b11_01_11_01>(x, y);
            }
            b[j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(even[0], even[1]);
            b[j + 4] = _mm512_shuffle_i32x4::<0b10_00_10_00>(odd[0], odd[1]);
            b[j + 8] = _mm512_shuffle_i32x4::<0b11_01_11_01>(even[0], even[1]);
            b[j + 12] = _mm512_shuffle_i32x4::<0b11_01_11_01>(odd[0], odd[1]);
        }
    }
    b
}

impl<const VBMI: bool> Avx512<VBMI> {
    /// Entries of two lines of codes, each with tables of its own, added up.
    #[inline(always)]
    fn add_looked_up(self, acc: [__m512i; 2], codes: __m512i, tables: __m512i) -> [__m512i; 2] {
        unsafe {
            let nibble = _mm512_set1_epi8(15);
            let upper = _mm512_srli_epi16::<4>(codes);
            let sum = if VBMI {
                // All four tables are one of 64 entries: a nibble, and where its table begins.
                let begins = |first: i64, second: i64| {
                    _mm512_setr_epi64(first, first, first, first, second, second, second, second)
                };
                const BYTES: i64 = 0x0101_0101_0101_0101;
                let place = |codes, begin| _mm512_or_si512(_mm512_and_si512(codes, nibble), begin);
                let low = _mm512_permutexvar_epi8(place(codes, begins(0, 32 * BYTES)), tables);
                _mm512_add_epi8(
                    low,
                    _mm512_permutexvar_epi8(place(upper, begins(16 * BYTES, 48 * BYTES)), tables),
                )
            } else {
                let low = _mm512_shuffle_i64x2::<0b10_10_00_00>(tables, tables);
                let high = _mm512_shuffle_i64x2::<0b11_11_01_01>(tables, tables);
                _mm512_add_epi8(
                    _mm512_shuffle_epi8(low, _mm512_and_si512(codes, nibble)),
                    _mm512_shuffle_epi8(high, _mm512_and_si512(upper, nibble)),
                )
            };
            add_words(acc, sum)
        }
    }
}

impl<const VBMI: bool> Simd for Avx512<VBMI> {
    type F64 = __m512d;
    type F32 = __m512;
    type I32 = __m512i;
    type CodeSums = Self::I32;
    /// As AVX2 has them, of even lines in the lower half and of odd ones in the upper.
    type Sums = [__m512i; 2];
    type Bytes = __m256i;

    // And -128; +128 is no signed byte.
    const BYTE_MAX: i32 = 127;
    const CODE_LINES: usize = usize::MAX;
    const CODE_SUM: i32 = i32::MAX;
    // 24 accumulators hide VPDPBUSD's latency of 5 at two a cycle and leave registers for the panels.
    const BYTE_QUERIES: usize = 6;
    const CODE_QUERIES: usize = 6;
    const LOOK_UP_LINES: usize = 2;
    const LONG_TABLES: bool = VBMI;
    const BYTES_AS_CODES: bool = true;
    const PANELS: usize = 4;
    const LANE_OF_BIT: [u8; 32] = IN_ORDER;
    const LANE_BITS: u32 = 1;
    const ALL_LANES: u32 = 0xFFFF;

    #[inline(always)]
    fn zero_f64(self) -> Self::F64 {
        unsafe { _mm512_setzero_pd() }
    }
    #[inline(always)]
    fn load_f64(self, v: &[f64; 8]) -> Self::F64 {
        unsafe { _mm512_loadu_pd(v.as_ptr()) }
    }
    #[inline(always)]
    fn widen_f32(self, v: &[f32; 8]) -> Self::F64 {
        unsafe { _mm512_cvtps_pd(_mm256_loadu_ps(v.as_ptr())) }
    }
    #[inline(always)]
    fn widen_f16(self, v: &[f16; 8]) -> Self::F64 {
        unsafe { _mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128(v.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn widen_bf16(self, v: &[bf16; 8]) -> Self::F64 {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(v.as_ptr().cast()));
            _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }
    }
    #[inline(always)]
    fn widen_i8(self, v: &[i8; 8]) -> Self::F64 {
        unsafe { _mm512_cvtepi32_pd(_mm256_cvtepi8_epi32(_mm_loadl_epi64(v.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn widen_u8(self, v: &[u8; 8]) -> Self::F64 {
        unsafe { _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64(v.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn sub_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { _mm512_sub_pd(a, b) }
    }
    #[inline(always)]
    fn add_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { _mm512_add_pd(a, b) }
    }
    #[inline(always)]
    fn mul_add_f64(self, a: Self::F64, b: Self::F64, c: Self::F64) -> Self::F64 {
        unsafe { _mm512_fmadd_pd(a, b, c) }
    }
    #[inline(always)]
    fn div_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { _mm512_div_pd(a, b) }
    }
    #[inline(always)]
    fn abs_f64(self, a: Self::F64) -> Self::F64 {
        unsafe { _mm512_abs_pd(a) }
    }
    #[inline(always)]
    fn min_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { _mm512_min_pd(a, b) }
    }
    #[inline(always)]
    fn max_f64(self, a: Self::F64, b: Self::F64) -> Self::F64 {
        unsafe { _mm512_max_pd(a, b) }
    }
    #[inline(always)]
    fn known_f64(self, a: Self::F64) -> [Self::F64; 2] {
        unsafe {
            let known = _mm512_cmp_pd_mask::<_CMP_ORD_Q>(a, a);
            [_mm512_maskz_mov_pd(known, a), _mm512_maskz_mov_pd(known, _mm512_set1_pd(1.0))]
        }
    }
    #[inline(always)]
    fn lanes_f64(self, a: Self::F64) -> [f64; 8] {
        let mut lanes = [0.0; 8];
        unsafe { _mm512_storeu_pd(lanes.as_mut_ptr(), a) };
        lanes
    }
    #[inline(always)]
    fn sum_f64(self, a: Self::F64) -> f64 {
        unsafe { _mm512_reduce_add_pd(a) }
    }

    #[inline(always)]
    fn zero_f32(self) -> Self::F32 {
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    fn load_f32(self, v: &[f32; 16]) -> Self::F32 {
        unsafe { _mm512_loadu_ps(v.as_ptr()) }
    }
    #[inline(always)]
    fn load_bf16(self, v: &[bf16; 16]) -> Self::F32 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(v.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    fn read_f32(self, v: &[u8; 64]) -> Self::F32 {
        unsafe { _mm512_loadu_ps(v.as_ptr().cast()) }
    }
    #[inline(always)]
    fn read_f16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(v.as_ptr().cast())) }
    }
    #[inline(always)]
    fn read_bf16(self, v: &[u8; 32]) -> Self::F32 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(v.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
    #[inline(always)]
    fn read_u8(self, v: &[u8; 16]) -> Self::F32 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(v.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn spread<const B: usize>(self, words: [u64; 2]) -> Self::F32 {
        let [low, high] = [spread_word::<B>(self.0, words[0]), spread_word::<B>(self.0, words[1])];
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_set_m128i(high, low))) }
    }
    #[inline(always)]
    fn totals_f32(self, a: [Self::F32; 4]) -> [f32; 4] {
        let mut halves = [[self.0.zero_f32()[0]; 2]; 4];
        for i in 0..4 {
            unsafe {
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a[i])));
                halves[i] = [_mm512_castps512_ps256(a[i]), high];
            }
        }
        self.0.totals_f32(halves)
    }
    #[inline(always)]
    fn splat_f32(self, v: f32) -> Self::F32 {
        unsafe { _mm512_set1_ps(v) }
    }
    #[inline(always)]
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn add_apart_f32(self, acc: Self::F32, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe { _mm512_add_ps(acc, _mm512_abs_ps(_mm512_sub_ps(a, b))) }
    }
    #[inline(always)]
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn lesser_f32(self, a: [Self::F32; 2], b: [Self::F32; 2]) -> [Self::F32; 2] {
        unsafe {
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(b[0], a[0]);
            [_mm512_mask_mov_ps(a[0], less, b[0]), _mm512_mask_mov_ps(a[1], less, b[1])]
        }
    }
    #[inline(always)]
    fn not_less_f32(self, a: Self::F32, b: Self::F32) -> u32 {
        unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_NLT_UQ>(a, b)) }
    }
    #[inline(always)]
    fn compress(self, mask: u32, v: Self::F32, out: &mut [f32; 16]) -> usize {
        // To a register first: some processors are slow to write what is not whole.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), _mm512_maskz_compress_ps(mask as u16, v)) };
        mask.count_ones() as usize
    }
    #[inline(always)]
    fn lanes_f32(self, a: Self::F32) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), a) };
        lanes
    }
    #[inline(always)]
    fn places_of(self, v: &[u32; 16], a: u32) -> u32 {
        unsafe {
            let v = _mm512_loadu_si512(v.as_ptr().cast());
            u32::from(_mm512_cmpeq_epi32_mask(v, _mm512_set1_epi32(a.cast_signed())))
        }
    }

    #[inline(always)]
    fn zero_i32(self) -> Self::I32 {
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i64 {
        unsafe {
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(a));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(a));
            _mm512_reduce_add_epi64(_mm512_add_epi64(low, high))
        }
    }
    #[inline(always)]
    fn pack_bytes(self, q: [i16; 4]) -> [i32; 2] {
        [i32::from_le_bytes(q.map(|v| v as i8 as u8)), 0]
    }
    #[inline(always)]
    fn dot_bytes(self, acc: Self::I32, x: &[u8; 64], q: &[i32; 2]) -> Self::I32 {
        // Operand order matters: the second is unsigned (vectors), the third signed (query).
        unsafe { _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(x.as_ptr().cast()), _mm512_set1_epi32(q[0])) }
    }
    #[inline(always)]
    fn zero_codes(self) -> Self::CodeSums {
        self.zero_i32()
    }
    #[inline(always)]
    fn dot_codes(self, acc: Self::CodeSums, x: &[u8; 64], q: i32) -> Self::CodeSums {
        self.dot_bytes(acc, x, &[q, 0])
    }
    #[inline(always)]
    fn widen_codes(self, sums: Self::CodeSums) -> Self::I32 {
        sums
    }

    #[inline(always)]
    fn dot_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        unsafe {
            let a = _mm512_cvtepu8_epi16(_mm256_loadu_si256(a.as_ptr().cast()));
            _mm512_dpwssd_epi32(acc, a, _mm512_cvtepu8_epi16(_mm256_loadu_si256(b.as_ptr().cast())))
        }
    }
    #[inline(always)]
    fn dot_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        unsafe {
            let a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(a.as_ptr().cast()));
            _mm512_dpwssd_epi32(acc, a, _mm512_cvtepi8_epi16(_mm256_loadu_si256(b.as_ptr().cast())))
        }
    }
    #[inline(always)]
    fn square_u8(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        unsafe {
            let a = _mm512_cvtepu8_epi16(_mm256_loadu_si256(a.as_ptr().cast()));
            let d = _mm512_sub_epi16(a, _mm512_cvtepu8_epi16(_mm256_loadu_si256(b.as_ptr().cast())));
            _mm512_dpwssd_epi32(acc, d, d)
        }
    }
    #[inline(always)]
    fn square_i8(self, acc: Self::I32, a: &[i8; 32], b: &[i8; 32]) -> Self::I32 {
        unsafe {
            let a = _mm512_cvtepi8_epi16(_mm256_loadu_si256(a.as_ptr().cast()));
            let d = _mm512_sub_epi16(a, _mm512_cvtepi8_epi16(_mm256_loadu_si256(b.as_ptr().cast())));
            _mm512_dpwssd_epi32(acc, d, d)
        }
    }

    #[inline(always)]
    fn dot_i16(self, acc: Self::I32, x: &[i8; 32], q: &[i16; 32]) -> Self::I32 {
        unsafe {
            let x = _mm512_cvtepi8_epi16(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_dpwssd_epi32(acc, x, _mm512_loadu_si512(q.as_ptr().cast()))
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
        unsafe { _mm512_dpwssd_epi32(acc, _mm512_cvtepu8_epi16(x), _mm512_loadu_si512(q.as_ptr().cast())) }
    }
    #[inline(always)]
    fn add_differing(self, acc: Self::I32, a: &[u8; 32], b: &[u8; 32]) -> Self::I32 {
        unsafe {
            let counts = if VBMI {
                let (a, b) = (_mm256_loadu_si256(a.as_ptr().cast()), _mm256_loadu_si256(b.as_ptr().cast()));
                _mm256_popcnt_epi64(_mm256_xor_si256(a, b))
            } else {
                count_differing(self.0, a, b)
            };
            _mm512_add_epi32(acc, _mm512_zextsi256_si512(counts))
        }
    }
    #[inline(always)]
    fn add_where(self, acc: Self::I32, bits: &[u8; 8], v: &[u8; 64]) -> Self::I32 {
        unsafe {
            let kept = _mm512_maskz_loadu_epi8(u64::from_le_bytes(*bits), v.as_ptr().cast());
            _mm512_add_epi32(acc, _mm512_sad_epu8(kept, _mm512_setzero_si512()))
        }
    }
    #[inline(always)]
    fn sums_i32(self, a: [Self::I32; 4]) -> [i32; 4] {
        let mut halves = [self.0.zero_i32(); 4];
        for i in 0..4 {
            unsafe {
                halves[i] = [_mm512_castsi512_si256(a[i]), _mm512_extracti64x4_epi64::<1>(a[i])];
            }
        }
        self.0.sums_i32(halves)
    }

    #[inline(always)]
    fn zero_sums(self) -> Self::Sums {
        unsafe { [_mm512_setzero_si512(); 2] }
    }
    #[inline(always)]
    fn nibble_tables(self, units: &[i16; 8]) -> [[u8; 16]; 2] {
        let mut tables = [[0; 16]; 2];
        unsafe {
            let units = _mm512_broadcast_i32x4(_mm_loadu_si128(units.as_ptr().cast()));
            let mut sums = _mm512_set1_epi16(128);
            for (bit, signs) in SIGNS.iter().enumerate() {
                // The coordinate of the first nibble in the lower half, that of the second in the upper one.
                let unit = 0x0100 + 0x0202 * bit as i16;
                let (first, second) = (_mm512_set1_epi16(unit), _mm256_set1_epi16(unit + 0x0808));
                let pick = _mm512_inserti64x4::<1>(first, second);
                let signs = _mm512_broadcast_i64x4(_mm256_loadu_si256(signs.as_ptr().cast()));
                let turned = _mm512_xor_si512(_mm512_shuffle_epi8(units, pick), signs);
                let part = _mm512_max_epi16(_mm512_sub_epi16(turned, signs), _mm512_setzero_si512());
                sums = _mm512_add_epi16(sums, part);
            }
            let entries = _mm512_cvtepi16_epi8(_mm512_srli_epi16::<8>(sums));
            _mm256_storeu_si256(tables.as_mut_ptr().cast(), entries);
        }
        tables
    }
    #[inline(always)]
    fn look_up(self, acc: Self::Sums, codes: &[u8; 32], tables: &[[u8; 16]; 2]) -> Self::Sums {
        // What is not there has an entry of 0.
        unsafe {
            let codes = _mm512_zextsi256_si512(_mm256_loadu_si256(codes.as_ptr().cast()));
            let tables = _mm512_zextsi256_si512(_mm256_loadu_si256(tables.as_ptr().cast()));
            self.add_looked_up(acc, codes, tables)
        }
    }
    #[inline(always)]
    fn look_up_some<const N: usize>(
        self,
        mut acc: Self::Sums,
        codes: &[[u8; 32]; N],
        tables: &[[[u8; 16]; 2]; N],
    ) -> Self::Sums {
        let ((twos, last), (tables, last_tables)) = (codes.as_chunks::<2>(), tables.as_chunks::<2>());
        for (codes, tables) in twos.iter().zip(tables) {
            let (codes, tables): (&[u8; 64], &[u8; 64]) = (must_cast_ref(codes), must_cast_ref(tables));
            let load = |v: &[u8; 64]| unsafe { _mm512_loadu_si512(v.as_ptr().cast()) };
            acc = self.add_looked_up(acc, load(codes), load(tables));
        }
        for (codes, tables) in last.iter().zip(last_tables) {
            acc = self.look_up(acc, codes, tables);
        }
        acc
    }
    #[inline(always)]
    fn zero_bytes(self) -> Self::Bytes {
        self.0.zero_bytes()
    }
    #[inline(always)]
    fn add_entries(self, acc: Self::Bytes, nibbles: &[u8; 32], table: &[u8; 16]) -> Self::Bytes {
        self.0.add_entries(acc, nibbles, table)
    }
    #[inline(always)]
    fn add_bytes(self, acc: Self::Sums, v: Self::Bytes) -> Self::Sums {
        unsafe { add_words(acc, _mm512_zextsi256_si512(v)) }
    }
    #[inline(always)]
    fn at_most(self, sums: Self::Sums, limit: u16) -> u32 {
        self.0.at_most(folded(sums), limit)
    }
    #[inline(always)]
    fn sums_f32(self, sums: Self::Sums) -> [Self::F32; 2] {
        let [low, high] = self.0.sums_f32(folded(sums));
        let join = |v: [__m256; 2]| unsafe {
            let low = _mm512_castps_pd(_mm512_castps256_ps512(v[0]));
            _mm512_castpd_ps(_mm512_insertf64x4::<1>(low, _mm256_castps_pd(v[1])))
        };
        [join(low), join(high)]
    }

    #[inline(always)]
    fn look_up_bytes(self, sums: &mut [[u16; 32]; 2], codes: &[u8], stride: usize, tables: &[[u8; 256]]) {
        if !VBMI {
            return self.0.look_up_bytes(sums, codes, stride, tables);
        }
        // What is added to the even ones brings the odd ones along, 256 times.
        let mut more = [unsafe { _mm512_setzero_si512() }; 2];
        for (table, column) in tables.iter().zip(columns(codes, stride)) {
            let mut parts = [column; 4];
            for (part, bytes) in parts.iter_mut().zip(table.as_chunks::<64>().0) {
                *part = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
            }
            let entries = unsafe {
                // The upper bit of a byte chooses the half of a table.
                let low = _mm512_permutex2var_epi8(parts[0], column, parts[1]);
                let high = _mm512_permutex2var_epi8(parts[2], column, parts[3]);
                _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(column), high)
            };
            more = add_words(more, entries);
        }
        unsafe {
            more[0] = _mm512_sub_epi16(more[0], _mm512_slli_epi16::<8>(more[1]));
            for (sums, more) in sums.iter_mut().zip(more) {
                let before = _mm512_loadu_si512(sums.as_ptr().cast());
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_add_epi16(before, more));
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, line: &[u8]) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}
