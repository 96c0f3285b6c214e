//! Estimates from one-bit codes, 32 vectors at a time, by table look-up (André, Kermarrec, Le Scouarnec 2015).
//!
//! A *block* holds the codes of 32 vectors, four coordinates to a nibble: byte i of its p-th 32 bytes has coordinates
//! 8p…8p+3 of vector i in its low half and 8p+4…8p+7 in its high half. For a query, Σ uⱼqⱼ over four coordinates takes one of
//! sixteen values, so a table of sixteen entries replaces four products:
//!
//! ```text
//! ⟨u,q⟩ ≈ step · Σ entries + Σ (smallest sum of each table)
//! ```

use half::bf16;

use super::Simd;
use super::simd::ENTRY_LIMIT;

/// Vectors in a block.
pub const BLOCK: usize = 32;
/// Coordinates of one byte of each vector.
pub const PAIR: usize = 8;

/// A query's tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pairs: Vec<[[u8; 16]; 2]>,
    step: f32,
    /// What a vector with no bit set is off from ⟨u,q⟩ − ½Σq.
    base: f32,
}

/// What turns ⟨u,q⟩ of 32 vectors into estimates: add + rescale · (⟨u,q⟩ − ½Σq).
#[derive(Clone, Copy)]
pub struct Factors<'a> {
    /// One a vector.
    pub add: &'a [[bf16; 16]; 2],
    /// One a vector.
    pub rescale: &'a [[bf16; 16]; 2],
}

impl Tables {
    /// Makes the tables of `query`, whole pairs of nibbles. Inlined into a kernel, so that its instructions are used.
    #[inline(always)]
    pub fn set(&mut self, query: &[f32]) {
        let (mut widest, mut lowest, mut sum) = (0f32, 0f32, 0f32);
        for q in query.as_chunks::<4>().0 {
            let (mut span, mut low) = (0.0, 0.0);
            for &v in q {
                span += v.abs();
                low += v.min(0.0);
                sum += v;
            }
            widest = widest.max(span);
            lowest += low;
        }
        // Entries are added up in units of 1/256, rounded down in the end: half a unit more makes that the nearest, and one
        // entry less than the limit leaves room for it.
        self.step = if widest > 0.0 { widest / f32::from(ENTRY_LIMIT - 1) } else { 1.0 };
        self.base = lowest - sum / 2.0;
        let scale = 256.0 / self.step;
        self.pairs.clear();
        for pair in query.chunks_exact(PAIR) {
            let mut tables = [[0u8; 16]; 2];
            for (table, q) in tables.iter_mut().zip(pair.as_chunks::<4>().0) {
                let q = q.map(|v| (v * scale) as i16);
                // Wrapping: a query that overflowed has NaN for an estimate, whatever its tables.
                let mut low = 128i16;
                for v in q {
                    low = low.wrapping_sub(v.min(0));
                }
                let mut sums = [low; 16];
                for (bit, v) in q.into_iter().enumerate() {
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.wrapping_add(v & -(at as i16 >> bit & 1));
                    }
                }
                for (entry, sum) in table.iter_mut().zip(sums) {
                    *entry = (sum >> 8) as u8;
                }
            }
            self.pairs.push(tables);
        }
    }

    /// Estimates of a block's vectors, `center` added to each.
    #[inline(always)]
    pub fn estimate<S: Simd>(
        &self,
        s: S,
        codes: &[[u8; BLOCK]],
        factors: Factors,
        center: f32,
    ) -> [S::F32; 2] {
        let mut sums = s.zero_sums();
        for (codes, [low, high]) in codes.iter().zip(&self.pairs) {
            sums = s.look_up(sums, codes, low, high);
        }
        let [first, second] = s.sums_f32(sums);
        let (step, base) = (s.splat_f32(self.step), s.splat_f32(self.base));
        let (one, center) = (s.splat_f32(1.0), s.splat_f32(center));
        let first = s.mul_add_f32(first, step, base);
        let second = s.mul_add_f32(second, step, base);
        let add = |half: usize| s.load_bf16(&factors.add[half]);
        [
            s.mul_add_f32(s.load_bf16(&factors.rescale[0]), first, s.mul_add_f32(add(0), one, center)),
            s.mul_add_f32(s.load_bf16(&factors.rescale[1]), second, s.mul_add_f32(add(1), one, center)),
        ]
    }
}
