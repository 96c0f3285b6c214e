//! Squared distances Σ (aⱼ − bⱼ)² between rows of signed bytes, exact.

use super::{Isa, Kernel, Simd};

/// Bytes of a step; rows are a multiple of it.
pub const STEP: usize = 32;

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
            for &row in list {
                let row = row as usize;
                let square = square(s, query, &rows[row * query.len()..][..query.len()]);
                least[row] = square.min(least[row]);
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

#[inline(always)]
fn square<S: Simd>(s: S, a: &[i8], b: &[i8]) -> u32 {
    let ((a, _), (b, _)) = (a.as_chunks::<STEP>(), b.as_chunks::<STEP>());
    // A lane gains at most 2 · 255² a step, so it is exact up to 2³¹ / 2¹⁷ · 32 coordinates.
    let mut acc = s.zero_i32();
    for (a, b) in a.iter().zip(b) {
        acc = s.square_i8(acc, a, b);
    }
    s.sum_i32(acc) as u32
}
