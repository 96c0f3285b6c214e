//! Estimates from codes of nibbles, 32 vectors at a time, by table look-up (André, Kermarrec, Le Scouarnec 2015).
//!
//! A *block* holds the codes of 32 vectors: byte i of its p-th 32 bytes has nibble 2p of vector i in its low half and nibble 2p+1 in
//! its high half. What a nibble adds to the inner product with a query takes one of sixteen values, so a table of sixteen entries
//! replaces products. A nibble may be a centroid of its own part of the coordinates, or one bit each of four of them, u:
//!
//! ```text
//! ⟨x̄,q⟩ ≈ step · Σ entries + Σ (smallest value of each table),   for bits x̄ = u − ½
//! ```

use bytemuck::{Pod, Zeroable};
use half::bf16;

use super::Simd;
use super::simd::{ENTRY_LIMIT, ROUND};

/// Vectors in a block.
pub const BLOCK: usize = 32;
/// Coordinates of one byte of each vector, where a nibble is one bit each of four.
pub const PAIR: usize = 8;

/// A query's tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pairs: Vec<[[u8; 16]; 2]>,
    /// The coordinates of a query in units of the entries, on their way to tables.
    units: Vec<[i16; PAIR]>,
    step: f32,
    /// ⟨x̄,q⟩ where all entries are 0.
    base: f32,
}

/// What turns ⟨x̄,q⟩ of a block's vectors into estimates: add + rescale · ⟨x̄,q⟩.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BlockFactors {
    /// One a vector.
    pub add: [[bf16; 16]; 2],
    /// One a vector.
    pub rescale: [[bf16; 16]; 2],
}

impl Tables {
    /// Makes the tables of `sums`: for each nibble, what each of its values adds to ⟨x̄,q⟩. An odd nibble at the end is as if another
    /// one came that adds nothing.
    #[inline(always)]
    pub fn set_sums(&mut self, sums: &[[f32; 16]]) {
        let (mut widest, mut lowest) = (0f32, 0f32);
        for sums in sums {
            let least = extreme(*sums, |a, b| a < b);
            widest = widest.max(extreme(*sums, |a, b| a > b) - least);
            lowest += least;
        }
        self.step = if widest > 0.0 { widest / f32::from(ENTRY_LIMIT) } else { 1.0 };
        self.base = lowest;
        let scale = 1.0 / self.step;
        self.pairs.clear();
        for pair in sums.chunks(2) {
            let mut tables = [[0u8; 16]; 2];
            for (table, sums) in tables.iter_mut().zip(pair) {
                let least = extreme(*sums, |a, b| a < b);
                *table = sums.map(|v| (((v - least) * scale + ROUND).to_bits() as u8).min(ENTRY_LIMIT));
            }
            self.pairs.push(tables);
        }
    }

    /// Makes the tables of one bit for each coordinate of `query`, whole pairs of nibbles. Inlined into a kernel, so that its instructions are used.
    #[inline(always)]
    pub fn set<S: Simd>(&mut self, s: S, query: &[f32]) {
        let mut widest = 0f32;
        // Side by side: one sum after the other waits for the one before.
        let (mut lows, mut sums) = ([0f32; PAIR], [0f32; PAIR]);
        for q in query.as_chunks::<PAIR>().0 {
            for (i, v) in q.iter().enumerate() {
                lows[i] += if *v < 0.0 { *v } else { 0.0 };
                sums[i] += v;
            }
            let [a, b, c, d, e, f, g, h] = q.map(f32::abs);
            for span in [(a + b) + (c + d), (e + f) + (g + h)] {
                widest = if span > widest { span } else { widest };
            }
        }
        let (lowest, sum): (f32, f32) = (lows.into_iter().sum(), sums.into_iter().sum());
        // Entries are added up in units of 1/256, rounded down in the end: half a unit more makes that the nearest, and one
        // entry less than the limit leaves room for it.
        self.step = if widest > 0.0 { widest / f32::from(ENTRY_LIMIT - 1) } else { 1.0 };
        self.base = lowest - sum / 2.0;
        let scale = 256.0 / self.step;
        let query = query.as_chunks::<PAIR>().0;
        self.units.resize(query.len(), [0; PAIR]);
        for (unit, v) in self.units.as_flattened_mut().iter_mut().zip(query.as_flattened()) {
            *unit = (v * scale + ROUND).to_bits() as i16;
        }
        self.pairs.resize(query.len(), [[0; 16]; 2]);
        for (tables, units) in self.pairs.iter_mut().zip(&self.units) {
            *tables = s.nibble_tables(units);
        }
    }

    /// What an entry's unit is worth.
    pub fn step(&self) -> f32 {
        self.step
    }

    /// What is read of them, to be asked for early.
    pub fn bytes(&self) -> &[u8] {
        self.pairs.as_flattened().as_flattened()
    }

    /// ⟨x̄,q⟩ of a block's vectors, `lift` added to each. The lines `ahead` are asked for meanwhile, in turns with look-ups: a core that
    /// asks for many at once waits.
    #[inline(always)]
    pub fn dots<S: Simd>(&self, s: S, codes: &[[u8; BLOCK]], lift: f32, ahead: &[[u8; 64]]) -> [S::F32; 2] {
        let sums = if S::LOOK_UP_LINES == 2 {
            self.sums::<S, 2>(s, codes, ahead)
        } else {
            self.sums::<S, 1>(s, codes, ahead)
        };
        let [first, second] = s.sums_f32(sums);
        let (step, base) = (s.splat_f32(self.step), s.splat_f32(self.base + lift));
        [s.mul_add_f32(first, step, base), s.mul_add_f32(second, step, base)]
    }

    /// The sums of the entries, `N` lines of codes at a time.
    #[inline(always)]
    fn sums<S: Simd, const N: usize>(&self, s: S, codes: &[[u8; BLOCK]], ahead: &[[u8; 64]]) -> S::Sums {
        let mut sums = s.zero_sums();
        let len = codes.len().min(self.pairs.len());
        let ((codes, last), (pairs, last_pairs)) =
            (codes[..len].as_chunks::<N>(), self.pairs[..len].as_chunks());
        let (lines, _) = ahead.as_chunks::<N>();
        let together = lines.len().min(codes.len());
        let ((first, codes), (tables, pairs)) = (codes.split_at(together), pairs.split_at(together));
        for ((codes, tables), lines) in first.iter().zip(tables).zip(lines) {
            for line in lines {
                s.prefetch(line);
            }
            sums = s.look_up_some(sums, codes, tables);
        }
        for (codes, tables) in codes.iter().zip(pairs) {
            sums = s.look_up_some(sums, codes, tables);
        }
        for (codes, tables) in last.iter().zip(last_pairs) {
            sums = s.look_up(sums, codes, tables);
        }
        for line in &ahead[N * together..] {
            s.prefetch(line);
        }
        sums
    }
}

/// What was told of a block's vectors, in their order.
#[inline(always)]
pub fn in_order<S: Simd>(s: S, [low, high]: [S::F32; 2]) -> [f32; BLOCK] {
    let mut values = [0.0; BLOCK];
    let (first, second) = values.split_at_mut(BLOCK / 2);
    first.copy_from_slice(&s.lanes_f32(low));
    second.copy_from_slice(&s.lanes_f32(high));
    values
}

/// Some of a block's vectors. One mask for both halves: where a loop over it ends is what no processor foretells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen(u64);

impl Chosen {
    /// Those whose estimates do not exceed `bound`, or are NaN.
    #[inline(always)]
    pub fn within<S: Simd>(s: S, [low, high]: [S::F32; 2], bound: S::F32) -> Self {
        Self(u64::from(s.not_less_f32(bound, low)) | u64::from(s.not_less_f32(bound, high)) << 32)
    }

    /// True where none is left.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes one out, of which there must be one: its place in the block.
    #[inline(always)]
    pub fn take<S: Simd>(&mut self) -> usize {
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= !(u64::from(S::LANE_BITS) << bit);
        bit / 32 * 16 + usize::from(S::LANE_OF_BIT[bit % 32])
    }
}

/// Of sixteen values, the one that is `before` all others.
#[inline(always)]
fn extreme(mut values: [f32; 16], before: impl Fn(f32, f32) -> bool) -> f32 {
    // In halves, which registers compare whole.
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let (a, b) = (values[i], values[i + half]);
            values[i] = if before(a, b) { a } else { b };
        }
    }
    values[0]
}

impl BlockFactors {
    /// Estimates from ⟨x̄,q⟩, `center` added to each.
    #[inline(always)]
    pub fn estimates<S: Simd>(&self, s: S, dots: [S::F32; 2], center: f32) -> [S::F32; 2] {
        let (one, center) = (s.splat_f32(1.0), s.splat_f32(center));
        let first = s.mul_add_f32(s.load_bf16(&self.add[0]), one, center);
        let second = s.mul_add_f32(s.load_bf16(&self.add[1]), one, center);
        [
            s.mul_add_f32(s.load_bf16(&self.rescale[0]), dots[0], first),
            s.mul_add_f32(s.load_bf16(&self.rescale[1]), dots[1], second),
        ]
    }
}
