//! Lanes of AVX2's registers: out of bytes, and some of them to the front.
#![expect(unsafe_code, reason = "vendor intrinsics; whoever calls has the token of the module above")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "one reason serves every block: see `Safety` in the module above"
)]

use std::arch::x86_64::*;

use super::Avx2;
use crate::kernels::simd::Spread;

/// The lanes of each set of eight, as many bytes as there are.
const PLACES: [[u8; 8]; 256] = {
    let mut places = [[0; 8]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut len) = (0, 0);
        while lane < 8 {
            if set >> lane & 1 == 1 {
                places[set][len] = lane as u8;
                len += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    places
};

/// Writes the lanes of `v` whose bits are set in the lowest byte of `set` to the front of `out`; returns how many these are.
#[inline(always)]
pub(super) fn front(_: Avx2, set: u32, v: __m256, out: &mut [f32; 8]) -> usize {
    let set = (set & 0xFF) as usize;
    unsafe {
        let places = _mm_loadl_epi64(PLACES[set].as_ptr().cast());
        _mm256_storeu_ps(out.as_mut_ptr(), _mm256_permutevar8x32_ps(v, _mm256_cvtepu8_epi32(places)));
    }
    set.count_ones() as usize
}

/// 32 bytes as 16-bit integers.
#[inline(always)]
pub(super) fn widen_u8(_: Avx2, v: &[u8; 32]) -> [__m256i; 2] {
    unsafe {
        let (low, high) = (_mm_loadu_si128(v.as_ptr().cast()), _mm_loadu_si128(v.as_ptr().add(16).cast()));
        [_mm256_cvtepu8_epi16(low), _mm256_cvtepu8_epi16(high)]
    }
}

/// 32 signed bytes as 16-bit integers.
#[inline(always)]
pub(super) fn widen_i8(_: Avx2, v: &[i8; 32]) -> [__m256i; 2] {
    unsafe {
        let (low, high) = (_mm_loadu_si128(v.as_ptr().cast()), _mm_loadu_si128(v.as_ptr().add(16).cast()));
        [_mm256_cvtepi8_epi16(low), _mm256_cvtepi8_epi16(high)]
    }
}

/// Eight numbers of `B` bits as 16-bit integers.
#[inline(always)]
pub(in crate::kernels) fn spread_word<const B: usize>(_: Avx2, word: u64) -> __m128i {
    unsafe {
        let places = _mm_loadu_si128(Spread::<B>::PLACES.as_ptr().cast());
        let factors = _mm_loadu_si128(Spread::<B>::FACTORS.as_ptr().cast());
        let pairs = _mm_shuffle_epi8(_mm_cvtsi64_si128(word as i64), places);
        let moved = _mm_srli_epi16::<8>(_mm_mullo_epi16(pairs, factors));
        _mm_and_si128(moved, _mm_set1_epi16(Spread::<B>::MASK as i16))
    }
}
