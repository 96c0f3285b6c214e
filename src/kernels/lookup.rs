//! Codes of a byte for each part of the coordinates, one vector at a time: what is left open by the look-up of their upper halves.
//!
//! The upper nibble of each byte is in the vector's block ([`fastscan`](super::fastscan)) and stands for a centroid near those of all
//! bytes that begin with it; the lower one is in a row of the vector's own, two to a byte as there. A whole byte chooses one of 256
//! sums, what its centroid adds to ⟨x̄,q⟩: too many for a table in registers, so that each is read from memory.

use super::fastscan::BLOCK;
use super::simd::{ROUND, ends};
use super::{Isa, Kernel, Simd};

/// What a byte stands for.
pub const VALUES: usize = 256;
/// Stands, among numbers of bits beyond the block's, for rows of lower nibbles.
pub const LOWER: usize = 9;

/// A query's sums.
#[derive(Clone, Debug, Default)]
pub struct ByteTables {
    /// What each value of each part adds to ⟨x̄,q⟩.
    pub sums: Vec<[f32; VALUES]>,
}

impl ByteTables {
    /// Bytes of the tables of `parts` parts.
    pub const fn size(parts: usize) -> usize {
        parts * size_of::<[f32; VALUES]>()
    }

    /// ⟨x̄,q⟩ of vector `lane` of the block `codes`, whose lower nibbles are the first of `row`.
    #[inline(always)]
    pub fn dot(&self, codes: &[[u8; BLOCK]], lane: usize, row: &[u8]) -> f32 {
        // Sums side by side, so that they need not wait for each other.
        let mut dots = [0f32; 2];
        let pairs = self.sums.as_chunks::<2>();
        for ((codes, &low), [first, second]) in codes.iter().zip(row).zip(pairs.0) {
            let high = codes[lane % BLOCK];
            dots[0] += first[usize::from(high << 4 | low & 15)];
            dots[1] += second[usize::from(high & 0xF0 | low >> 4)];
        }
        if let ([last], Some(codes), Some(&low)) = (pairs.1, codes.last(), row.get(pairs.0.len())) {
            dots[0] += last[usize::from(codes[lane % BLOCK] << 4 | low & 15)];
        }
        dots[0] + dots[1]
    }
}

/// Codes that are looked up together.
const TOGETHER: usize = 64;
/// Bytes of them that are.
const COLUMNS: usize = 16;

/// A query's sums, rounded to bytes: of a step each, above the least of their table. Whole codes lie one after the other, a byte for each
/// table.
#[derive(Clone, Debug, Default)]
pub struct RoundedTables {
    tables: Vec<[u8; VALUES]>,
    step: f32,
    /// What a code comes to whose entries are all 0.
    base: f32,
    /// Codes at the end of a list, with as many more as are looked up together.
    last: Vec<u8>,
}

impl RoundedTables {
    /// True where the instruction set makes them worth while.
    pub fn pay(isa: Isa) -> bool {
        struct Pay;
        impl Kernel for Pay {
            type Out = bool;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> bool {
                S::LONG_TABLES
            }
        }
        isa.run(Pay)
    }

    /// Rounds `sums`. False where they are too many, or no numbers.
    pub fn set(&mut self, isa: Isa, sums: &[[f32; VALUES]]) -> bool {
        struct Set<'a>(&'a mut RoundedTables, &'a [[f32; VALUES]]);
        impl Kernel for Set<'_> {
            type Out = bool;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> bool {
                let Self(RoundedTables { tables, step, base, .. }, sums) = self;
                // No sum leaves 16 bits.
                let most = (usize::from(u16::MAX) / sums.len().max(1)).min(255) as f32;
                let (mut widest, mut lowest) = (0f32, 0f32);
                for sums in sums {
                    let (least, greatest) = ends(sums);
                    widest = widest.max(greatest - least);
                    lowest += least;
                }
                (*step, *base) = (if widest > 0.0 { widest / most } else { 1.0 }, lowest);
                tables.resize(sums.len(), [0; VALUES]);
                let scale = 1.0 / *step;
                // A code of one NaN must not seem near.
                let mut numbers = most >= 1.0 && scale.is_normal() && lowest.is_finite();
                for (table, sums) in tables.iter_mut().zip(sums) {
                    let (least, _) = ends(sums);
                    for (entry, v) in table.iter_mut().zip(sums) {
                        numbers &= !v.is_nan();
                        *entry = ((v - least) * scale + ROUND).to_bits() as u8;
                    }
                }
                numbers
            }
        }
        isa.run(Set(self, sums))
    }

    /// How far off any sum may be to which `offset` is added: half a step a table, and what f32 rounds away.
    pub fn slack(&self, offset: f32) -> f32 {
        let count = self.tables.len() as f32;
        let reach = self.base.abs() + 255.0 * self.step * count + offset.abs();
        count * (0.501 * self.step + f32::EPSILON * reach)
    }

    /// What the sums of each of `codes`, and `offset`, are not below.
    pub fn least(&mut self, isa: Isa, codes: &[u8], offset: f32, out: &mut [f32]) {
        let offset = offset - self.slack(offset);
        isa.run(Sums { tables: self, codes, offset, out });
    }
}

struct Sums<'a> {
    tables: &'a mut RoundedTables,
    codes: &'a [u8],
    offset: f32,
    out: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { tables: RoundedTables { tables, step, base, last }, codes, offset, out } = self;
        let size = tables.len();
        let whole = (TOGETHER - 1) * size + size.next_multiple_of(COLUMNS);
        let base = *base + offset;
        for (at, out) in out.chunks_mut(TOGETHER).enumerate() {
            let mut codes = &codes[at * TOGETHER * size..];
            // Sixteen bytes are read of each, whatever there are.
            if codes.len() < whole {
                last.clear();
                last.extend_from_slice(&codes[..out.len() * size]);
                last.resize(whole, 0);
                codes = last;
            }
            let mut sums = [[0u16; TOGETHER / 2]; 2];
            for (column, tables) in tables.chunks(COLUMNS).enumerate() {
                s.look_up_bytes(&mut sums, &codes[column * COLUMNS..], size, tables);
            }
            let mut told = [0.0; TOGETHER];
            for (i, told) in told.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *told = [sums[0][i], sums[1][i]].map(|sum| base + *step * f32::from(sum));
            }
            out.copy_from_slice(&told[..out.len()]);
        }
    }
}
