//! How many bits differ? Rows of bits against a query, or against many.
//!
//! * A few queries: words of 64 bits, counted by the processor, or lines of 256, four rows at a time.
//! * Many: a block of rows is turned so that the same nibble of 32 rows lies side by side. What a nibble differs by from a query's is then
//!   one look-up for 32 rows, in the table that the query's nibble chooses out of sixteen. Two queries meet 128 rows in registers.
//!
//! ```text
//! sums of 32 rows, a byte each, over at most 31 bytes of a row: 31 · 8 ≤ 255
//! added to sums of 16 bits, and compared with the largest distance of interest
//! ```

use std::ops::Range;

use super::{Isa, Kernel, Simd};

/// Rows side by side.
const SIDE: usize = 32;
/// Of these, so many meet a query in registers.
const SIDES: usize = 4;
/// Rows that do.
const TILE: usize = SIDE * SIDES;
/// Queries that do.
const QUERIES: usize = 2;
/// Bytes of a row whose sum fits a byte.
const SHORT: usize = 31;
/// The longest rows whose sums fit 16 bits.
pub const LONGEST: usize = u16::MAX as usize / 8;

/// How many bits each nibble differs by from each.
const TABLES: [[u8; 16]; 16] = {
    let mut tables = [[0; 16]; 16];
    let mut at = 0;
    while at < 256 {
        tables[at / 16][at % 16] = ((at / 16) ^ (at % 16)).count_ones() as u8;
        at += 1;
    }
    tables
};

/// How many bits of `a` and `b` differ, which are equally long.
#[inline(always)]
pub fn differing(a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a.iter().zip(b).map(|(a, b)| (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).count_ones());
    let bytes = a_rest.iter().zip(b_rest).map(|(a, b)| (a ^ b).count_ones());
    words.sum::<u32>() + bytes.sum::<u32>()
}

/// Appends to `out` the distances of `query` to the rows `list`.
pub fn distances(isa: Isa, query: &[u8], rows: &[u8], list: &[u32], out: &mut Vec<f32>) {
    struct Listed<'a>(&'a [u8], &'a [u8], &'a [u32], &'a mut Vec<f32>);
    impl Kernel for Listed<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            let Self(query, rows, list, out) = self;
            out.reserve(list.len());
            for &row in list {
                out.push(differing(query, &rows[row as usize * query.len()..][..query.len()]) as f32);
            }
        }
    }
    isa.run(Listed(query, rows, list, out));
}

/// Fills `out` with the distances of `query` to `rows`, one after the other.
pub fn all(isa: Isa, query: &[u8], rows: &[u8], out: &mut [f32]) {
    struct Rows<'a>(&'a [u8], &'a [u8], &'a mut [f32]);
    impl Kernel for Rows<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(query, rows, mut out) = self;
            let bytes = query.len();
            let (lines, rest) = query.as_chunks::<32>();
            let mut done = 0;
            if rest.is_empty() {
                let (fours, others) = out.as_chunks_mut::<4>();
                for (out, four) in fours.iter_mut().zip(rows.chunks_exact(4 * bytes)) {
                    let sums = four_sums(s, lines, four.as_chunks().0);
                    for i in 0..4 {
                        out[i] = sums[i] as f32;
                    }
                }
                (done, out) = (4 * fours.len(), others);
            }
            for (out, row) in out.iter_mut().zip(rows[done * bytes..].chunks_exact(bytes)) {
                *out = differing(query, row) as f32;
            }
        }
    }
    isa.run(Rows(query, rows, out));
}

/// Appends to `list` the numbers of those of `rows` that are no farther than `limit` from `query`.
pub fn within(isa: Isa, query: &[u8], rows: &[u8], limit: u32, list: &mut Vec<u32>) {
    struct Rows<'a>(&'a [u8], &'a [u8], u32, &'a mut Vec<u32>);
    impl Kernel for Rows<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(query, rows, limit, list) = self;
            let (bytes, mut first) = (query.len(), 0);
            let (lines, rest) = query.as_chunks::<32>();
            if rest.is_empty() {
                for four in rows.chunks_exact(4 * bytes) {
                    for (i, sum) in four_sums(s, lines, four.as_chunks().0).into_iter().enumerate() {
                        if sum <= limit as i32 {
                            list.push(first + i as u32);
                        }
                    }
                    first += 4;
                }
            }
            for (row, at) in rows[first as usize * bytes..].chunks_exact(bytes).zip(first..) {
                if differing(query, row) <= limit {
                    list.push(at);
                }
            }
        }
    }
    isa.run(Rows(query, rows, limit.min(i32::MAX as u32), list));
}

/// The distances of `query` to four rows, one after the other.
#[inline(always)]
fn four_sums<S: Simd>(s: S, query: &[[u8; 32]], rows: &[[u8; 32]]) -> [i32; 4] {
    let mut sums = [s.zero_i32(); 4];
    let lines = query.len();
    let (one, others) = rows.split_at(lines);
    let (two, others) = others.split_at(lines);
    let (three, four) = others.split_at(lines);
    for (at, line) in query.iter().enumerate() {
        sums[0] = s.add_differing(sums[0], line, &one[at]);
        sums[1] = s.add_differing(sums[1], line, &two[at]);
        sums[2] = s.add_differing(sums[2], line, &three[at]);
        sums[3] = s.add_differing(sums[3], line, &four[at]);
    }
    s.sums_i32(sums)
}

/// Rows turned: of each tile of rows, byte after byte, the lower nibbles of all and then the upper ones.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    lines: Vec<[u8; SIDE]>,
    bytes: usize,
    rows: usize,
}

impl Planes {
    /// Turns `rows` of `bytes` bytes each, at most [`LONGEST`].
    pub fn set(&mut self, rows: &[u8], bytes: usize) {
        (self.bytes, self.rows) = (bytes, rows.len() / bytes);
        let tile = bytes * 2 * SIDES;
        self.lines.resize(self.rows.div_ceil(TILE) * tile, [0; SIDE]);
        for (rows, lines) in rows.chunks(TILE * bytes).zip(self.lines.chunks_exact_mut(tile)) {
            for (at, eight) in rows.chunks(8 * bytes).enumerate() {
                let (side, lane) = (at * 8 / SIDE, at * 8 % SIDE);
                for byte in (0..bytes).step_by(8) {
                    let width = (bytes - byte).min(8);
                    let mut words = [0u64; 8];
                    for (word, row) in words.iter_mut().zip(eight.chunks_exact(bytes)) {
                        *word = match row[byte..].first_chunk() {
                            Some(whole) => u64::from_le_bytes(*whole),
                            None => {
                                let mut whole = [0; 8];
                                whole[..width].copy_from_slice(&row[byte..]);
                                u64::from_le_bytes(whole)
                            }
                        };
                    }
                    for (i, word) in turned(words).into_iter().enumerate().take(width) {
                        const LOW: u64 = 0x0F0F_0F0F_0F0F_0F0F;
                        for (half, nibbles) in [word & LOW, word >> 4 & LOW].into_iter().enumerate() {
                            let line = &mut lines[((byte + i) * 2 + half) * SIDES + side];
                            line[lane..lane + 8].copy_from_slice(&nibbles.to_le_bytes());
                        }
                    }
                }
            }
        }
    }

    /// Appends to `lists[i]` the rows that are no farther than `limits[i]` from row i of `queries`; none for a limit below 0.
    pub fn within(&self, isa: Isa, queries: &[u8], limits: &[i32], lists: &mut [Vec<u32>]) {
        isa.run(Within { planes: self, queries, limits, lists });
    }
}

/// Byte j of word i as byte i of word j.
#[inline(always)]
fn turned(mut words: [u64; 8]) -> [u64; 8] {
    for (step, mask) in
        [(4, 0x0000_0000_FFFF_FFFFu64), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF)]
    {
        for i in (0..8).filter(|i| i & step == 0) {
            let shift = 8 * step as u32;
            let moved = ((words[i] >> shift) ^ words[i + step]) & mask;
            words[i + step] ^= moved;
            words[i] ^= moved << shift;
        }
    }
    words
}

struct Within<'a> {
    planes: &'a Planes,
    queries: &'a [u8],
    limits: &'a [i32],
    lists: &'a mut [Vec<u32>],
}

impl Kernel for Within<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { planes, queries, limits, lists } = self;
        let bytes = planes.bytes;
        let tiles = planes.lines.chunks_exact((bytes * 2 * SIDES).max(1));
        for (lines, first) in tiles.zip((0..).step_by(TILE)) {
            let rows = first..planes.rows;
            let mut pairs = queries.chunks_exact(bytes * QUERIES);
            let mut at = 0;
            for pair in &mut pairs {
                let (one, other) = pair.split_at(bytes);
                for sums in sums::<S, QUERIES>(s, lines, [one, other]) {
                    keep(s, sums, limits[at], &rows, &mut lists[at]);
                    at += 1;
                }
            }
            if !pairs.remainder().is_empty() {
                let [sums] = sums::<S, 1>(s, lines, [pairs.remainder()]);
                keep(s, sums, limits[at], &rows, &mut lists[at]);
            }
        }
    }
}

/// Appends to `list` those of a tile's rows, which begin at `rows`, whose sums are at most `limit`.
#[inline(always)]
fn keep<S: Simd>(s: S, sums: [S::Sums; SIDES], limit: i32, rows: &Range<usize>, list: &mut Vec<u32>) {
    // Sums are at most 2¹⁶ − 8, so that a larger limit is none.
    let Ok(limit) = u16::try_from(limit.min(u16::MAX.into())) else { return };
    for side in 0..SIDES {
        let mut mask = s.at_most(sums[side], limit);
        while mask != 0 {
            let row = rows.start + side * SIDE + mask.trailing_zeros() as usize;
            // After the last row there is nothing.
            if row < rows.end {
                list.push(row as u32);
            }
            mask &= mask - 1;
        }
    }
}

/// The distances of each query to the rows of a tile.
#[inline(always)]
fn sums<S: Simd, const Q: usize>(s: S, lines: &[[u8; SIDE]], queries: [&[u8]; Q]) -> [[S::Sums; SIDES]; Q] {
    let mut sums = [[s.zero_sums(); SIDES]; Q];
    let bytes = lines.len() / (2 * SIDES);
    for from in (0..bytes).step_by(SHORT) {
        let mut accs = [[s.zero_bytes(); SIDES]; Q];
        for byte in from..(from + SHORT).min(bytes) {
            let Some(lines) = lines[byte * 2 * SIDES..].first_chunk::<{ 2 * SIDES }>() else { break };
            for q in 0..Q {
                let nibbles = queries[q][byte];
                let (low, high) = (&TABLES[usize::from(nibbles & 15)], &TABLES[usize::from(nibbles >> 4)]);
                for side in 0..SIDES {
                    accs[q][side] = s.add_entries(accs[q][side], &lines[side], low);
                    accs[q][side] = s.add_entries(accs[q][side], &lines[SIDES + side], high);
                }
            }
        }
        for q in 0..Q {
            for side in 0..SIDES {
                sums[q][side] = s.add_bytes(sums[q][side], accs[q][side]);
            }
        }
    }
    sums
}
