//! A second look at the few vectors that the panels could not rule out: eight bits a coordinate, row after row.
//!
//! Of the W ≥ H leading coordinates y of a vector ([`Projection`](crate::transform::Projection)) each is stored as a code
//! cⱼ = round(yⱼ/sⱼ), |cⱼ| ≤ 127, with a step of its own; beside them two bf16, both rounded up: t = ‖tail‖ and e = ‖y − s∘c‖, the
//! vector's own error, so that a coordinate that does not fit widens no other vector's bound. A query is folded with the steps,
//! gⱼ = yⱼsⱼ, and rounded to kⱼ = round(gⱼ/u) of 16 bits:
//!
//! ```text
//! ⟨q,x⟩ = ⟨y_q, s∘c⟩ + ⟨y_q, y_x − s∘c⟩ + ⟨tails⟩
//!       ≤ u·Σ kⱼcⱼ + 127·Σ|gⱼ − u·kⱼ| + ‖y_q‖·e + t_q·t
//! ```
//!
//! which is the test of [`fine`](crate::kernels::fine) with a as in [`HeadCodes`](super::HeadCodes). Rounding is paid for as there.

use half::bf16;

use super::encode::{above, fold, nearest};
use crate::error::Result;
use crate::kernels::fine::{CODE_MAX, FineQuery, FineRows, QUERY_MAX, STEP};
use crate::kernels::tile::Bound;
use crate::storage::Buffer;
use crate::transform::{Split, square};

/// Codes of any number of vectors.
#[derive(Clone)]
pub(super) struct FineCodes {
    /// s, W values.
    pub steps: Vec<f32>,
    /// c, a row padded with zeros to whole steps of the kernel.
    pub codes: Buffer,
    /// t and e of each vector, in units of the head codes' step.
    pub factors: Buffer,
}

/// The rows that one thread writes.
pub(super) struct FinePart<'a> {
    steps: &'a [f32],
    stride: usize,
    unit: f64,
    codes: &'a mut [i8],
    factors: &'a mut [[bf16; 2]],
    /// What one vector's codes leave.
    left: Vec<f64>,
}

impl FineCodes {
    /// None yet. Coordinate j of most vectors is at most `reaches[j]`.
    pub fn new(reaches: &[f64]) -> Self {
        let step = |reach: &f64| ((reach / f64::from(CODE_MAX)) as f32).min(f32::MAX);
        Self { steps: reaches.iter().map(step).collect(), codes: Buffer::new(), factors: Buffer::new() }
    }

    /// W.
    pub fn width(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of one row of codes of `width` coordinates.
    pub fn stride(width: usize) -> usize {
        width.next_multiple_of(STEP)
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.factors.len() + self.steps.len() * size_of::<f32>()
    }

    /// Leaves the first `len` rows.
    pub fn truncate(&mut self, len: usize) {
        self.codes.truncate(len * Self::stride(self.width()));
        self.factors.truncate(len * size_of::<[bf16; 2]>());
    }

    /// Makes room for `len` rows in all, and hands out those from `first` on, `part` at a time. `unit` is that of the factors.
    pub fn parts(&mut self, len: usize, first: usize, part: usize, unit: f64) -> Result<Vec<FinePart<'_>>> {
        let stride = Self::stride(self.width());
        self.codes.lengthen("codes", len * stride)?;
        self.factors.lengthen("codes", len * size_of::<[bf16; 2]>())?;
        let codes: &mut [i8] = bytemuck::cast_slice_mut(self.codes.bytes_mut("codes")?);
        let factors: &mut [[bf16; 2]] = bytemuck::cast_slice_mut(self.factors.bytes_mut("codes")?);
        let parts = codes[first * stride..].chunks_mut(part * stride).zip(factors[first..].chunks_mut(part));
        let steps = &self.steps;
        let part =
            |(codes, factors)| FinePart { steps, stride, unit, codes, factors, left: vec![0.0; steps.len()] };
        Ok(parts.map(part).collect())
    }

    /// The rows from `first` on; `a` as for the panels, from the first vector of all.
    pub fn rows<'a>(&'a self, a: &'a [bf16], first: usize) -> FineRows<'a> {
        let stride = Self::stride(self.width());
        FineRows {
            stride,
            codes: &self.codes.as_slice()[first * stride..],
            a: &a[first..],
            factors: &self.factors.as_slice()[first..],
        }
    }

    /// The query in the form that the rows are refined with.
    #[inline(always)]
    pub fn query(&self, q: &Split, terms: Terms) -> FineQuery {
        let y = &q.head[..self.width()];
        let folded = |(y, &s): (&f64, &f32)| y * f64::from(s);
        let larger = |a, b| if a > b { a } else { b };
        let reach = fold(y, &self.steps, |reach, at| larger(reach, folded(at).abs()), larger);
        let limit = f64::from(QUERY_MAX);
        let u = if reach > 0.0 { reach / limit } else { 1.0 };
        let mut codes = vec![0i16; Self::stride(self.width())];
        let mut left = vec![0.0; self.width()];
        let scale = 1.0 / u;
        for ((code, left), at) in codes.iter_mut().zip(&mut left).zip(y.iter().zip(&self.steps)) {
            let near = nearest(folded(at) * scale, limit);
            (*code, *left) = (near as i16, (folded(at) - u * f64::from(near)).abs());
        }
        let add = |a, b| a + b;
        let most = f64::from(CODE_MAX);
        let lost = most * fold(&left, &codes, |sum, (v, _)| sum + v, add);
        let largest = most * fold(&left, &codes, |sum, (_, &k)| sum + f64::from(k).abs(), add);
        let head = square(y).sqrt();
        let Terms { constant, slope, halved, slack, size, radius, unit } = terms;
        let beta = if halved { -unit * unit / u } else { 0.0 };
        let (tau, epsilon) = (q.tail(self.width()) * unit / u, head * unit / u);
        // No error is longer than the vector and half a step of each coordinate.
        let longest = radius + fold(y, &self.steps, |sum, (_, &s)| sum + f64::from(s), add);
        let reached = longest / unit;
        let rounded = largest + (beta * reached * reached / 2.0).abs() + (tau + epsilon) * reached + size / u;
        let origin = (constant - slack - lost) / u - rounded * 2f64.powi(-20);
        FineQuery { codes, bound: Bound { beta, tau, origin, slope: slope / u }, epsilon }
    }
}

/// What both kinds of codes share about a query.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// Vectors as near as D have ⟨q,x⟩ ≥ `constant` − `slope` · D, plus ‖x‖²/2 where `halved`.
    pub constant: f64,
    pub slope: f64,
    pub halved: bool,
    /// What the bound errs by whatever the codes.
    pub slack: f64,
    /// The size of the numbers that `constant` came from, which their rounding follows.
    pub size: f64,
    /// max ‖x − μ‖.
    pub radius: f64,
    /// The length that a, t and e are stored in units of.
    pub unit: f64,
}

impl FinePart<'_> {
    /// Writes vector `at` of the part.
    #[inline(always)]
    pub fn encode(&mut self, at: usize, x: &Split) {
        let width = self.steps.len();
        let codes = &mut self.codes[at * self.stride..][..width];
        let limit = f64::from(CODE_MAX);
        for ((code, y), &step) in codes.iter_mut().zip(x.head).zip(self.steps) {
            // A coordinate that is 0 everywhere has no step.
            *code = nearest(if step > 0.0 { y / f64::from(step) } else { 0.0 }, limit) as i8;
        }
        let coded = |(&code, &step): (&i8, &f32)| f64::from(code) * f64::from(step);
        for ((left, y), at) in self.left.iter_mut().zip(x.head).zip(codes.iter().zip(self.steps)) {
            *left = y - coded(at);
        }
        let error = square(&self.left);
        self.factors[at] = [above(x.tail(width) / self.unit), above(error.sqrt() / self.unit)];
    }
}
