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
    /// Makes the tables of `query`, whole pairs of nibbles.
    #[inline(always)]
    pub fn set<S: Simd>(&mut self, _: S, query: &[f32]) {
        let (nibbles, _) = query.as_chunks::<4>();
        let (mut widest, mut lowest, mut sum) = (0f32, 0f32, 0f32);
        for q in nibbles {
            let (mut span, mut low) = (0.0, 0.0);
            for &v in q {
                span += v.abs();
                low += v.min(0.0);
                sum += v;
            }
            widest = widest.max(span);
            lowest += low;
        }
        self.step = if widest > 0.0 { widest / f32::from(ENTRY_LIMIT) } else { 1.0 };
        self.base = lowest - sum / 2.0;
        let scale = 1.0 / self.step;
        self.pairs.clear();
        for pair in query.chunks_exact(PAIR) {
            let mut tables = [[0u8; 16]; 2];
            for (table, q) in tables.iter_mut().zip(pair.as_chunks::<4>().0) {
                let mut low = 0.0;
                for &v in q {
                    low += v.min(0.0);
                }
                let mut sums = [-low * scale + 0.5; 16];
                for (bit, &v) in q.iter().enumerate() {
                    let v = v * scale;
                    for (at, sum) in sums.iter_mut().enumerate() {
                        *sum += if at >> bit & 1 == 1 { v } else { 0.0 };
                    }
                }
                for (entry, sum) in table.iter_mut().zip(sums) {
                    *entry = (sum as i32).clamp(0, i32::from(ENTRY_LIMIT)) as u8;
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
