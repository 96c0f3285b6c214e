//! Codes of several bits a coordinate, one vector at a time: what is left open by the look-up of the highest bit.
//!
//! A code u of B = 1 + e bits stands for x̄ = u − (2ᴮ − 1)/2. With its highest bit t and the others l,
//!
//! ```text
//! ⟨x̄,q⟩ = 2ᵉ⟨t − ½, q⟩ + ⟨l, q⟩ − (2ᵉ − 1)/2 · Σq
//! ```
//!
//! The highest bits are in the vector's block ([`fastscan`](super::fastscan)): P = width/8 bytes, coordinate 8p + b in bit b of byte p.
//! The e bits below are in a row of e·P bytes of the vector's own, in *planes* of P bytes that are taken apart by shifts alone: where e
//! has its bit 4, four planes with four bits of coordinates 8p + k and 8p + k + 4 in byte p of plane k; where it has its bit 2, two
//! planes with two bits of coordinates 8p + k, 8p + k + 2 …; where it has its bit 1, one plane with a bit of all eight. Where e is 8,
//! all bits are in the row, a byte a coordinate, and u − (2⁸ − 1)/2 is what is met.

use super::Simd;
use super::fastscan::{BLOCK, PAIR};

/// Bytes of a plane that are read at a time: four bits of each are one half of a register, the other four the other half, so that
/// codes are taken apart, and multiplied, 32 coordinates at a time.
const HALF: usize = 16;
const LANES: usize = 2 * HALF;
/// Bytes that must follow the last row: it is read in whole lanes.
pub const SLACK: usize = LANES;
/// The largest magnitude of a query's code: 2,048 products with a byte, 128 in a lane, stay below 2³¹.
const REACH: f32 = 32000.0;
/// e at most, where it is not [`WHOLE`].
pub const MOST: usize = 7;
/// The e of rows that have all bits.
pub const WHOLE: usize = 8;

/// A query as these codes meet it.
#[derive(Clone, Debug, Default)]
pub struct PlaneQuery {
    /// In integers of `unit` each: of every [`HALF`] bytes the coordinates that are bits 0 and 4 of them, then bits 1 and 5 …
    parts: Vec<[[i16; LANES]; PAIR / 2]>,
    /// The same one after the other.
    row: Vec<[i16; LANES]>,
    unit: f32,
    /// Σ of the integers.
    sum: i64,
    pairs: usize,
}

impl PlaneQuery {
    /// Becomes `query`, whose coordinates are a multiple of 8.
    #[inline(always)]
    pub fn set(&mut self, query: &[f32]) {
        let mut reach = 0f32;
        for &v in query {
            reach = reach.max(v.abs());
        }
        self.unit = if reach > 0.0 { reach / REACH } else { 1.0 };
        self.sum = 0;
        self.pairs = query.len() / PAIR;
        let scale = 1.0 / self.unit;
        self.parts.clear();
        self.parts.resize(self.pairs.div_ceil(HALF), [[0; LANES]; PAIR / 2]);
        self.row.clear();
        self.row.resize(query.len().div_ceil(LANES), [0; LANES]);
        for (j, v) in query.iter().enumerate() {
            let (p, b) = (j / PAIR, j % PAIR);
            let v = (v * scale).round_ties_even() as i16;
            self.parts[p / HALF][b % 4][b / 4 * HALF + p % HALF] = v;
            self.row[j / LANES][j % LANES] = v;
            self.sum += i64::from(v);
        }
    }

    /// ⟨x̄,q⟩ of vector `lane` of the block `codes`, whose row begins `row` and has e = `E`; [`SLACK`] bytes of anything follow. ⟨t − ½, q⟩
    /// is `top`, where that is as exact as `E` asks for: see `exact_top`.
    #[inline(always)]
    pub fn dot<S: Simd, const E: usize>(
        &self,
        s: S,
        (codes, lane, top): (&[[u8; BLOCK]], usize, f32),
        row: &[u8],
    ) -> f32 {
        let mut acc = s.zero_i32();
        if E == WHOLE {
            for (at, query) in self.row.iter().enumerate() {
                acc = s.dot_bytes_i16(acc, s.load_bytes(first(row, at * LANES)), query);
            }
            return self.unit * ((2 * s.sum_i32(acc) - 255 * self.sum) as f32 / 2.0);
        }
        let pairs = self.pairs;
        let mut tops = s.zero_i32();
        for (part, query) in self.parts.iter().enumerate() {
            let from = part * HALF;
            let none = s.load_bytes(&[0; LANES]);
            let mut low = [none; PAIR / 2];
            let mut next = from;
            if E & 4 != 0 {
                for k in 0..4 {
                    let bytes = plane(s, row, next + k * pairs);
                    low[k] = pick(s, low[k], bytes, (0, E & 3), 15);
                }
                next += 4 * pairs;
            }
            if E & 2 != 0 {
                for k in 0..2 {
                    let bytes = plane(s, row, next + k * pairs);
                    for j in 0..2 {
                        low[k + 2 * j] = pick(s, low[k + 2 * j], bytes, (2 * j, E & 1), 3);
                    }
                }
                next += 2 * pairs;
            }
            if E & 1 != 0 {
                let bytes = plane(s, row, next);
                for b in 0..PAIR / 2 {
                    low[b] = pick(s, low[b], bytes, (b, 0), 1);
                }
            }
            for b in 0..PAIR / 2 {
                acc = s.dot_bytes_i16(acc, low[b], &query[b]);
            }
            if exact_top(E) {
                let mut bits = [0u8; HALF];
                for (bits, codes) in bits.iter_mut().zip(&codes[from..pairs]) {
                    *bits = codes[lane % BLOCK];
                }
                let bits = s.load_twice(&bits);
                for b in 0..PAIR / 2 {
                    tops = s.dot_bytes_i16(tops, pick(s, none, bits, (b, 0), 1), &query[b]);
                }
            }
        }
        let low = self.unit * ((2 * s.sum_i32(acc) - ((1 << E) - 1) * self.sum) as f32 / 2.0);
        let top =
            if exact_top(E) { self.unit * ((2 * s.sum_i32(tops) - self.sum) as f32 / 2.0) } else { top };
        top * (1 << E) as f32 + low
    }
}

/// Up to e = 3 the sum by table look-up is exact enough to be taken 2ᵉ times: what its steps lose is then a quarter of what the codes
/// leave open.
const fn exact_top(e: usize) -> bool {
    e > 3
}

/// The bytes of a plane from `at` on.
#[inline(always)]
fn plane<S: Simd>(s: S, row: &[u8], at: usize) -> S::Bytes {
    s.load_twice(first(row, at))
}

#[inline(always)]
fn first<const N: usize>(row: &[u8], at: usize) -> &[u8; N] {
    row[at..].first_chunk().expect("rows are followed by slack")
}

/// Adds bits to codes: those of `bytes` from bit `from` on that `mask` has, as bits from `to` on.
#[inline(always)]
fn pick<S: Simd>(s: S, u: S::Bytes, bytes: S::Bytes, (from, to): (usize, usize), mask: u8) -> S::Bytes {
    s.pick_bytes(u, bytes, to as i32 - from as i32, mask << to)
}

/// Writes the lowest e bits of each of `u` into the zeros of a row.
pub fn pack(u: &[u8], e: usize, row: &mut [u8]) {
    each(u.len(), e, |j, byte, shift, bits, low| row[byte] |= (u[j] >> low & mask(bits)) << shift);
}

/// Adds the bits of a row to codes that have the others already.
pub fn unpack(row: &[u8], e: usize, u: &mut [u8]) {
    each(u.len(), e, |j, byte, shift, bits, low| u[j] |= (row[byte] >> shift & mask(bits)) << low);
}

fn mask(bits: usize) -> u8 {
    ((1u32 << bits) - 1) as u8
}

/// Calls `take(coordinate, byte, shift, bits, low)` for every piece of every coordinate: `bits` bits of the code from bit `low` on
/// are in byte `byte` of the row from bit `shift` on.
fn each(width: usize, e: usize, mut take: impl FnMut(usize, usize, usize, usize, usize)) {
    if e == WHOLE {
        return (0..width).for_each(|j| take(j, j, 0, 8, 0));
    }
    let pairs = width / PAIR;
    for j in 0..width {
        let (p, b) = (j / PAIR, j % PAIR);
        let mut next = 0;
        for bits in [4, 2, 1] {
            if e & bits != 0 {
                // `bits` planes, each with 8/bits coordinates in a byte.
                let (plane, place) = (next + b % bits, b / bits);
                take(j, plane * pairs + p, place * bits, bits, e & (bits - 1));
                next += bits;
            }
        }
    }
}
