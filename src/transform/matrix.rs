//! A matrix times many vectors.
//!
//! In bf16 it takes half of the memory, of which a single query reads all: what that costs is a part of 2⁻⁹/√3 of a vector's length, an
//! eighth of what a byte a coordinate costs.

use std::ops::Range;

use half::bf16;

use super::Turn;
use crate::kernels::{Isa, Kernel, Simd};

/// Coordinates of the result that are summed in registers together.
const LANES: usize = 16;
/// Sums of each of them: products are added in turn, so that an addition need not wait for the one before.
const SUMS: usize = 2;
/// Vectors that share a pass over the rows: with all these sums each, what the registers hold.
const TOGETHER: usize = 3;
/// Vectors that meet a panel while it is in L1: with the matrix, what L2 holds.
const BLOCK: usize = 16 * TOGETHER;

/// What a matrix is made of.
pub(crate) trait Value: Copy + Send + Sync + 'static {
    fn from_f32(v: f32) -> Self;
    /// Sixteen of them, widened.
    fn load<S: Simd>(s: S, v: &[Self; LANES]) -> S::F32;
}

impl Value for f32 {
    fn from_f32(v: f32) -> Self {
        v
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, v: &[Self; LANES]) -> S::F32 {
        s.load_f32(v)
    }
}

impl Value for bf16 {
    fn from_f32(v: f32) -> Self {
        Self::from_f32(v)
    }
    #[inline(always)]
    fn load<S: Simd>(s: S, v: &[Self; LANES]) -> S::F32 {
        s.load_bf16(v)
    }
}

/// P, [`LANES`] rows at a time, coordinate by coordinate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix<T> {
    dims: usize,
    panels: Vec<T>,
}

impl<T: Value> Matrix<T> {
    /// From rows of `dims` values, one after the other.
    pub fn new(rows: &[f32], dims: usize) -> Self {
        let mut panels = vec![T::from_f32(0.0); dims * (rows.len() / dims).next_multiple_of(LANES)];
        for (i, row) in rows.chunks_exact(dims).enumerate() {
            for (j, &p) in row.iter().enumerate() {
                panels[(i / LANES * dims + j) * LANES + i % LANES] = T::from_f32(p);
            }
        }
        Self { dims, panels }
    }
}

impl<T: Value> Turn for Matrix<T> {
    fn turn(&self, isa: Isa, values: &[f32], out: &mut [f32], stride: usize) {
        isa.run(Multiply { matrix: self, values, out, stride });
    }

    fn bytes(&self) -> usize {
        self.panels.len() * size_of::<T>()
    }
}

/// y = Px for all vectors.
struct Multiply<'a, T> {
    matrix: &'a Matrix<T>,
    values: &'a [f32],
    out: &'a mut [f32],
    stride: usize,
}

impl<T: Value> Kernel for Multiply<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { matrix, values, out, stride } = self;
        let dims = matrix.dims;
        for (values, out) in values.chunks(BLOCK * dims).zip(out.chunks_mut(BLOCK * stride)) {
            for (panel, lines) in matrix.panels.chunks_exact(LANES * dims).enumerate() {
                let lines = lines.as_chunks::<LANES>().0;
                let columns = panel * LANES..stride.min((panel + 1) * LANES);
                let mut values = values.chunks_exact(TOGETHER * dims);
                let mut out = out.chunks_exact_mut(TOGETHER * stride);
                for (values, out) in (&mut values).zip(&mut out) {
                    multiply::<S, T, TOGETHER>(s, lines, values, out, (stride, columns.clone()));
                }
                let rest = values.remainder().chunks_exact(dims);
                for (values, out) in rest.zip(out.into_remainder().chunks_exact_mut(stride)) {
                    multiply::<S, T, 1>(s, lines, values, out, (stride, columns.clone()));
                }
            }
        }
    }
}

/// The coordinates `columns` of what Q vectors become.
#[inline(always)]
fn multiply<S: Simd, T: Value, const Q: usize>(
    s: S,
    lines: &[[T; LANES]],
    values: &[f32],
    out: &mut [f32],
    (stride, columns): (usize, Range<usize>),
) {
    let values: [&[f32]; Q] = std::array::from_fn(|q| &values[q * lines.len()..][..lines.len()]);
    let mut sums = [[s.zero_f32(); SUMS]; Q];
    let (groups, rest) = lines.as_chunks::<SUMS>();
    for (at, group) in groups.iter().enumerate() {
        for (k, line) in group.iter().enumerate() {
            let line = T::load(s, line);
            for q in 0..Q {
                sums[q][k] = s.mul_add_f32(line, s.splat_f32(values[q][at * SUMS + k]), sums[q][k]);
            }
        }
    }
    for q in 0..Q {
        let [mut sum, other] = sums[q];
        for (line, &v) in rest.iter().zip(&values[q][groups.len() * SUMS..]) {
            sum = s.mul_add_f32(T::load(s, line), s.splat_f32(v), sum);
        }
        let sum = s.lanes_f32(s.mul_add_f32(other, s.splat_f32(1.0), sum));
        let out = &mut out[q * stride..][columns.clone()];
        out.copy_from_slice(&sum[..out.len()]);
    }
}
