//! Squared distances Σ (aⱼ − bⱼ)² between rows of signed bytes, exact.

use super::{Isa, Kernel, Simd};

/// Bytes of a step; rows are a multiple of it.
pub const STEP: usize = 32;

/// Rows that are compared together.
const FOUR: usize = 4;

/// Rows that are on their way while one is computed.
const AHEAD: usize = 4;

/// Replaces `out` by the squared distances from `query` to the rows `list` of `rows`, all of the query's length, a
/// multiple of [`STEP`] up to 65,536.
pub fn to_list(isa: Isa, query: &[i8], rows: &[i8], list: &[u32], out: &mut Vec<u32>) {
    struct List<'a>(&'a [i8], &'a [i8], &'a [u32], &'a mut Vec<u32>);
    impl Kernel for List<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(query, rows, list, out) = self;
            let width = query.len();
            let lines: &[u8] = bytemuck::cast_slice(rows);
            out.resize(list.len(), 0);
            for (at, &row) in list.iter().enumerate() {
                if let Some(&next) = list.get(at + AHEAD) {
                    let mut line = next as usize * width;
                    let end = line + width;
                    while line < end {
                        s.prefetch(&lines[line..]);
                        line += 64;
                    }
                }
                out[at] = square(s, query, &rows[row as usize * width..][..width]);
            }
        }
    }
    isa.run(List(query, rows, list, out));
}

/// Lowers `least[i]` to the squared distance from `query` to row i of `rows`, for each i of `list`.
pub fn lower(isa: Isa, query: &[i8], rows: &[i8], list: &[u32], least: &mut [u32]) {
    struct Lower<'a>(&'a [i8], &'a [i8], &'a [u32], &'a mut [u32]);
    impl Kernel for Lower<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(query, rows, list, least) = self;
            let row = |row: u32| &rows[row as usize * query.len()..][..query.len()];
            let (fours, rest) = list.as_chunks::<FOUR>();
            for four in fours {
                let squares = squares(s, query, [row(four[0]), row(four[1]), row(four[2]), row(four[3])]);
                for (&row, square) in four.iter().zip(squares) {
                    let least = &mut least[row as usize];
                    *least = square.min(*least);
                }
            }
            for &one in rest {
                let least = &mut least[one as usize];
                *least = square(s, query, row(one)).min(*least);
            }
        }
    }
    isa.run(Lower(query, rows, list, least));
}

/// The squared distance of two rows.
pub fn between(isa: Isa, a: &[i8], b: &[i8]) -> u32 {
    struct Pair<'a>(&'a [i8], &'a [i8]);
    impl Kernel for Pair<'_> {
        type Out = u32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> u32 {
            square(s, self.0, self.1)
        }
    }
    isa.run(Pair(a, b))
}

/// The squared distances of four rows from one, their sums made together, modulo 2³², which is more than 65,536 · 255².
#[inline(always)]
fn squares<S: Simd>(s: S, a: &[i8], b: [&[i8]; FOUR]) -> [u32; FOUR] {
    s.sums_i32(sums(s, a, b)).map(i32::cast_unsigned)
}

#[inline(always)]
fn square<S: Simd>(s: S, a: &[i8], b: &[i8]) -> u32 {
    let [sum] = sums(s, a, [b]);
    s.sum_i32(sum) as u32
}

/// What is to be summed over lanes: of each a gains at most 2 · 255² a step, so that it is exact up to 2³¹ / 2¹⁷ · 32 coordinates.
#[inline(always)]
fn sums<S: Simd, const N: usize>(s: S, a: &[i8], b: [&[i8]; N]) -> [S::I32; N] {
    let (a, _) = a.as_chunks::<STEP>();
    let b = b.map(|b| &b.as_chunks::<STEP>().0[..a.len()]);
    let mut sums = [s.zero_i32(); N];
    for (at, a) in a.iter().enumerate() {
        for i in 0..N {
            sums[i] = s.square_i8(sums[i], a, &b[i][at]);
        }
    }
    sums
}
