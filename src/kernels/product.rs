//! Many vectors against many vectors: plain inner products, as a table.
//!
//! Where one side is a handful, packing the other would cost more than it saves: [`Few`] reads rows where they lie. Otherwise
//! both sides are packed, so that the loop over coordinates reads two streams from end to end: of one side `TOGETHER` vectors a step, of
//! the other one or two panels of `LANES`. A panel stays in L1 while all groups of a block meet it.

use super::simd::{Kernel, Simd};

/// Vectors of a panel: one register of sums.
const LANES: usize = 16;
/// Vectors of a group: with two panels what the registers of AVX-512 hold, with one those of AVX2.
const TOGETHER: usize = 6;
/// Of a handful and many, how many of these are summed up side by side.
const ABREAST: usize = 4;
/// Coordinates of a pass: so many of two panels fit L1.
const DEPTH: usize = 192;

/// Vectors by panels: pieces of `DEPTH` coordinates, each two panels wide.
pub struct Panels {
    dim: usize,
    count: usize,
    lines: Vec<[[f32; LANES]; 2]>,
}

impl Panels {
    /// Of rows of `dim` values.
    pub fn new(rows: &[f32], dim: usize) -> Self {
        let count = rows.len() / dim;
        let mut lines = vec![[[0.0; LANES]; 2]; dim * count.div_ceil(2 * LANES)];
        for (at, row) in rows.chunks_exact(dim).enumerate() {
            let pair = &mut lines[at / (2 * LANES) * dim..][..dim];
            let (panel, lane) = (at / LANES % 2, at % LANES);
            for (line, &v) in pair.iter_mut().zip(row) {
                line[panel][lane] = v;
            }
        }
        Self { dim, count, lines }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// Products of rows of values with all vectors of `panels`, row after row.
pub struct Products<'a> {
    /// Rows, of as many coordinates as the panels' vectors.
    pub rows: &'a [f32],
    /// The other side.
    pub panels: &'a Panels,
    /// A value for each row and each vector, which is overwritten.
    pub out: &'a mut [f32],
}

impl Kernel for Products<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, panels, out } = self;
        let (dim, width) = (panels.dim, panels.count);
        let count = rows.len() / dim;
        let mut groups = vec![[0f32; TOGETHER]; dim * count.div_ceil(TOGETHER)];
        for (at, row) in rows.chunks_exact(dim).enumerate() {
            let group = &mut groups[at / TOGETHER * dim..][..dim];
            for (step, &v) in group.iter_mut().zip(row) {
                step[at % TOGETHER] = v;
            }
        }
        for from in (0..dim).step_by(DEPTH) {
            let depth = DEPTH.min(dim - from);
            for (pair, lines) in panels.lines.chunks_exact(dim).enumerate() {
                let lines = &lines[from..from + depth];
                let column = pair * 2 * LANES;
                for (group, steps) in groups.chunks_exact(dim).enumerate() {
                    let steps = &steps[from..from + depth];
                    let row = group * TOGETHER;
                    let out = &mut out[row * width..];
                    let place = (width, column, TOGETHER.min(count - row), from > 0);
                    if S::PANELS > 1 {
                        tile::<S, 2>(s, lines, steps, out, place, 0);
                    } else {
                        tile::<S, 1>(s, lines, steps, out, place, 0);
                        tile::<S, 1>(s, lines, steps, out, place, 1);
                    }
                }
            }
        }
    }
}

/// P panels from `first` of a pair against a group; `place` is the table's width, the pair's column, the rows that there are, and whether
/// sums are added to those that are there.
#[inline(always)]
fn tile<S: Simd, const P: usize>(
    s: S,
    lines: &[[[f32; LANES]; 2]],
    steps: &[[f32; TOGETHER]],
    out: &mut [f32],
    (width, column, rows, add): (usize, usize, usize, bool),
    first: usize,
) {
    let mut sums = [[s.zero_f32(); P]; TOGETHER];
    for (line, step) in lines.iter().zip(steps) {
        let mut panel = [s.zero_f32(); P];
        for p in 0..P {
            panel[p] = s.load_f32(&line[if P == 1 { first } else { p }]);
        }
        for q in 0..TOGETHER {
            let v = s.splat_f32(step[q]);
            for p in 0..P {
                sums[q][p] = s.mul_add_f32(panel[p], v, sums[q][p]);
            }
        }
    }
    // All of them, so that the loop unrolls and the sums never leave their registers.
    for q in 0..TOGETHER {
        if q >= rows {
            return;
        }
        for p in 0..P {
            let from = column + (first + p) * LANES;
            let found = s.lanes_f32(sums[q][p]);
            let Some(out) = out.get_mut(q * width + from.min(width)..q * width + width.min(from + LANES))
            else {
                return;
            };
            if add {
                out.iter_mut().zip(&found).for_each(|(out, found)| *out += found);
            } else {
                out.iter_mut().zip(&found).for_each(|(out, found)| *out = *found);
            }
        }
    }
}

/// A handful of rows against many, neither of them packed: inner products, or the squares of differences.
pub struct Few<'a, const SQUARES: bool> {
    /// The handful.
    pub rows: &'a [f32],
    /// The many, of as many coordinates.
    pub others: &'a [f32],
    /// Coordinates.
    pub dim: usize,
    /// A value for each of the handful and each of the many, which is overwritten.
    pub out: &'a mut [f32],
}

impl<const SQUARES: bool> Kernel for Few<'_, SQUARES> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, others, dim, out } = self;
        let width = others.len() / dim;
        let whole = width / ABREAST * ABREAST;
        let other = |at: usize| &others[at * dim..][..dim];
        for at in (0..whole).step_by(ABREAST) {
            let four = [other(at), other(at + 1), other(at + 2), other(at + 3)];
            for (row, out) in rows.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
                out[at..at + ABREAST].copy_from_slice(&sums::<S, SQUARES, ABREAST>(s, row, four));
            }
        }
        for at in whole..width {
            for (row, out) in rows.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
                [out[at]] = sums::<S, SQUARES, 1>(s, row, [other(at)]);
            }
        }
    }
}

/// What a row comes to with each of a few others.
#[inline(always)]
fn sums<S: Simd, const SQUARES: bool, const N: usize>(s: S, row: &[f32], others: [&[f32]; N]) -> [f32; N] {
    let (row, tail) = row.as_chunks::<LANES>();
    let mut lines: [&[[f32; LANES]]; N] = [&[]; N];
    for n in 0..N {
        lines[n] = &others[n].as_chunks().0[..row.len()];
    }
    let mut accs = [s.zero_f32(); ABREAST];
    for (at, row) in row.iter().enumerate() {
        for n in 0..N {
            accs[n] = step::<S, SQUARES>(s, row, &lines[n][at], accs[n]);
        }
    }
    let totals = s.totals_f32(accs);
    let mut sums = [0.0; N];
    for n in 0..N {
        sums[n] = totals[n];
        for (a, b) in tail.iter().zip(&others[n][others[n].len() - tail.len()..]) {
            sums[n] += if SQUARES { (a - b) * (a - b) } else { a * b };
        }
    }
    sums
}

/// Sixteen coordinates more.
#[inline(always)]
fn step<S: Simd, const SQUARES: bool>(s: S, a: &[f32; LANES], b: &[f32; LANES], sum: S::F32) -> S::F32 {
    let (a, b) = (s.load_f32(a), s.load_f32(b));
    if SQUARES {
        let difference = s.mul_add_f32(b, s.splat_f32(-1.0), a);
        s.mul_add_f32(difference, difference, sum)
    } else {
        s.mul_add_f32(a, b, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;

    /// Whole numbers, so that every order of summation gives the same.
    fn numbers(count: usize, dim: usize, seed: usize) -> Vec<f32> {
        (0..count * dim).map(|i| ((i * 37 + seed * 11) % 17) as f32 - 8.0).collect()
    }

    #[test]
    fn products_are_those_of_the_plain_loop_on_every_instruction_set() {
        for (n, m, dim) in [(1, 1, 1), (3, 40, 5), (6, 32, 192), (13, 33, 193), (20, 65, 400), (7, 15, 16)] {
            let (x, y) = (numbers(n, dim, 1), numbers(m, dim, 2));
            let mut want = [vec![0f32; n * m], vec![0f32; n * m]];
            for (i, a) in x.chunks_exact(dim).enumerate() {
                for (j, b) in y.chunks_exact(dim).enumerate() {
                    want[0][i * m + j] = a.iter().zip(b).map(|(a, b)| a * b).sum();
                    want[1][i * m + j] = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                }
            }
            let panels = Panels::new(&y, dim);
            for isa in Isa::available() {
                let mut out = vec![f32::NAN; n * m];
                isa.run(Products { rows: &x, panels: &panels, out: &mut out });
                assert_eq!(out, want[0], "{} {n} {m} {dim}", isa.name());
                out.fill(f32::NAN);
                isa.run(Few::<false> { rows: &x, others: &y, dim, out: &mut out });
                assert_eq!(out, want[0], "{} {n} {m} {dim}", isa.name());
                isa.run(Few::<true> { rows: &x, others: &y, dim, out: &mut out });
                assert_eq!(out, want[1], "{} {n} {m} {dim}", isa.name());
            }
        }
    }
}
