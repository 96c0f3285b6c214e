//! One query against a list of rows of f32, summed in f32: for walks, which only compare distances, and rows that are in the cache.

use super::{Isa, Kernel, Simd};

/// Values of a register.
const LANES: usize = 16;
/// Independent sums of a row.
const SUMS: usize = 4;

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// Σ (qⱼ − xⱼ)².
    Squares,
    /// −Σ qⱼxⱼ.
    Products,
}

/// Appends to `out` the sums of `query` and the rows `list` of `rows`, which are as long as it.
pub fn distances(isa: Isa, sum: Sum, query: &[f32], rows: &[f32], list: &[u32], out: &mut Vec<f32>) {
    match sum {
        Sum::Squares => isa.run(Rows::<true> { query, rows, list, out }),
        Sum::Products => isa.run(Rows::<false> { query, rows, list, out }),
    }
}

struct Rows<'a, const SQUARES: bool> {
    query: &'a [f32],
    rows: &'a [f32],
    list: &'a [u32],
    out: &'a mut Vec<f32>,
}

impl<const SQUARES: bool> Kernel for Rows<'_, SQUARES> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { query, rows, list, out } = self;
        let dim = query.len();
        out.reserve(list.len());
        let minus = s.splat_f32(-1.0);
        let one = s.splat_f32(1.0);
        let (groups, last) = query.as_chunks::<LANES>();
        let (quads, singles) = groups.as_chunks::<SUMS>();
        let mut end = [0.0; LANES];
        end[..last.len()].copy_from_slice(last);
        for &row in list {
            let row = &rows[row as usize * dim..][..dim];
            let (parts, rest) = row.as_chunks::<LANES>();
            let (fours, ones) = parts.as_chunks::<SUMS>();
            let zero = s.splat_f32(0.0);
            let mut sums = [zero; SUMS];
            for (q, x) in quads.iter().zip(fours) {
                for i in 0..SUMS {
                    sums[i] = step::<S, SQUARES>(s, minus, sums[i], &q[i], &x[i]);
                }
            }
            for (q, x) in singles.iter().zip(ones) {
                sums[0] = step::<S, SQUARES>(s, minus, sums[0], q, x);
            }
            if !rest.is_empty() {
                let mut tail = [0.0; LANES];
                tail[..rest.len()].copy_from_slice(rest);
                sums[1] = step::<S, SQUARES>(s, minus, sums[1], &end, &tail);
            }
            let [a, b, c, d] = sums;
            let all = s.mul_add_f32(s.mul_add_f32(a, one, b), one, s.mul_add_f32(c, one, d));
            let v = s.lanes_f32(all);
            let mut eight = [0.0f32; 8];
            for i in 0..8 {
                eight[i] = v[i] + v[i + 8];
            }
            let four = [eight[0] + eight[4], eight[1] + eight[5], eight[2] + eight[6], eight[3] + eight[7]];
            let sum = (four[0] + four[2]) + (four[1] + four[3]);
            // 0 − x, not −x: an inner product of nothing is 0, not −0.
            out.push(if SQUARES { sum } else { 0.0 - sum });
        }
    }
}

#[inline(always)]
fn step<S: Simd, const SQUARES: bool>(
    s: S,
    minus: S::F32,
    sum: S::F32,
    q: &[f32; LANES],
    x: &[f32; LANES],
) -> S::F32 {
    let (q, x) = (s.load_f32(q), s.load_f32(x));
    if SQUARES {
        let d = s.mul_add_f32(x, minus, q);
        s.mul_add_f32(d, d, sum)
    } else {
        s.mul_add_f32(q, x, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_plain_loop_at_any_length() {
        for dim in [1, 3, 15, 16, 17, 64, 100, 129] {
            let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 7.0;
            let query: Vec<f32> = (0..dim).map(|i| value(i + 5)).collect();
            let rows: Vec<f32> = (0..9 * dim).map(value).collect();
            for isa in Isa::available() {
                for sum in [Sum::Squares, Sum::Products] {
                    let mut out = Vec::new();
                    distances(isa, sum, &query, &rows, &[8, 0, 3], &mut out);
                    for (&row, &got) in [8, 0, 3].iter().zip(&out) {
                        let pairs = query.iter().zip(&rows[row * dim..]);
                        let want: f64 = pairs
                            .map(|(&q, &x)| (f64::from(q), f64::from(x)))
                            .map(|(q, x)| if sum == Sum::Squares { (q - x) * (q - x) } else { -q * x })
                            .sum();
                        assert!(
                            (f64::from(got) - want).abs() <= 1e-5 * want.abs().max(100.0),
                            "{isa:?} {dim}"
                        );
                    }
                }
            }
        }
    }
}
