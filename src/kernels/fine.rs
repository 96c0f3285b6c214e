//! One query against a list of rows of codes: those that may still be near enough stay on the list.
//!
//! ```text
//! keep the rows where  Σ kⱼcⱼ + β·a + τ·t + ε·e ≥ T     (k, β, τ, ε, T of the query; c, a, t, e of the row)
//! ```
//!
//! The test of [`tile`](super::tile) with one term more, for rows that a tile has kept: a row's codes lie side by side, so
//! that it costs a few cache lines wherever it is. Codes are i8 against i16, which makes the rounding of the query
//! nearly nothing. A NaN keeps the row.

use half::bf16;

use super::tile::{Bound, Test};
use super::{Isa, Kernel, Simd};

/// Codes of a row are a multiple of this.
pub const STEP: usize = 32;
/// The largest magnitude of a row's code.
pub const CODE_MAX: i32 = 127;
/// The largest magnitude of a query's code.
pub const QUERY_MAX: i32 = 32_767;
/// Coordinates at most, so that no sum leaves an i32.
pub const WIDEST: usize = (i32::MAX / (CODE_MAX * QUERY_MAX)) as usize / STEP * STEP;
/// Rows whose sums are in registers together.
const ROWS: usize = 4;
/// Rows that are on their way while others are computed.
const AHEAD: usize = 8;

/// Rows of codes and their factors.
#[derive(Clone, Copy)]
pub struct FineRows<'a> {
    /// Codes of one row: a multiple of [`STEP`].
    pub stride: usize,
    /// c, row after row; none is −128.
    pub codes: &'a [i8],
    /// a.
    pub a: &'a [bf16],
    /// t and e.
    pub factors: &'a [[bf16; 2]],
}

/// A query as the rows meet it.
#[derive(Clone, Debug)]
pub struct FineQuery {
    /// k, at most [`QUERY_MAX`] in magnitude, zeros up to the rows' stride.
    pub codes: Vec<i16>,
    /// β, τ, and T as a function of the distance.
    pub bound: Bound,
    /// ε.
    pub epsilon: f64,
}

impl FineQuery {
    /// Takes from `list`, which are some of `rows`, all that cannot be as near as `distance`.
    pub fn refine(&self, isa: Isa, rows: FineRows, distance: f32, list: &mut Vec<u32>) {
        assert!(rows.stride.is_multiple_of(STEP) && rows.stride <= WIDEST, "whole steps, no overflow");
        assert_eq!(self.codes.len(), rows.stride, "rows and query have the same width");
        let test = self.bound.test(distance);
        // As in `Bound::test`: what could overflow proves nothing.
        let epsilon = if self.epsilon < 1e15 { self.epsilon as f32 } else { f32::NAN };
        isa.run(Refine { query: &self.codes, test, epsilon, rows, list });
    }
}

struct Refine<'a> {
    query: &'a [i16],
    test: Test,
    epsilon: f32,
    rows: FineRows<'a>,
    list: &'a mut Vec<u32>,
}

impl Kernel for Refine<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { query, test, epsilon, rows, list } = self;
        let (query, _) = query.as_chunks::<STEP>();
        let mut kept = 0;
        for &row in list.iter().take(AHEAD) {
            prefetch(s, rows, row);
        }
        for at in (0..list.len()).step_by(ROWS) {
            for &row in list.iter().skip(at + AHEAD).take(ROWS) {
                prefetch(s, rows, row);
            }
            // The last few repeat the last one.
            let mut four = [list[list.len() - 1]; ROWS];
            let count = ROWS.min(list.len() - at);
            four[..count].copy_from_slice(&list[at..at + count]);
            let sums = sums(s, query, rows, four);
            for i in 0..count {
                let row = four[i] as usize;
                let [t, e] = rows.factors[row];
                let value = sums[i] as f32 + test.beta * float(rows.a[row]);
                let value = value + test.tau * float(t) + epsilon * float(e);
                list[kept] = four[i];
                let less = value < test.threshold;
                kept += usize::from(!less);
            }
        }
        list.truncate(kept);
    }
}

/// As `to_f32`, but for the care it takes of a NaN's bits.
#[inline(always)]
fn float(v: bf16) -> f32 {
    f32::from_bits(u32::from(v.to_bits()) << 16)
}

#[inline(always)]
fn prefetch<S: Simd>(s: S, rows: FineRows, row: u32) {
    s.prefetch_row(bytemuck::cast_slice(&rows.codes[row as usize * rows.stride..][..rows.stride]));
}

/// Σ kⱼcⱼ of four rows.
#[inline(always)]
fn sums<S: Simd>(s: S, query: &[[i16; STEP]], rows: FineRows, four: [u32; ROWS]) -> [i32; ROWS] {
    let mut codes = [&[][..]; ROWS];
    for i in 0..ROWS {
        let (row, _) = rows.codes[four[i] as usize * rows.stride..][..rows.stride].as_chunks::<STEP>();
        codes[i] = &row[..query.len()];
    }
    let mut accs = [s.zero_i32(); ROWS];
    for (step, q) in query.iter().enumerate() {
        for i in 0..ROWS {
            accs[i] = s.dot_i16(accs[i], &codes[i][step], q);
        }
    }
    s.sums_i32(accs)
}
