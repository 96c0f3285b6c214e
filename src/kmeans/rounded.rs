//! Points in eight bits a coordinate, all in one scale, where nearly exact will do.
//!
//! x ↦ round((x − mean) / step), a step for all coordinates, so that squared distances are those of the points up to a factor. The
//! step is what lets 127 of them reach the farthest coordinate of a sample, or [`REACH`] deviations, whichever is nearer: what is
//! beyond is cut off. Under cosine x is of length 1.

use std::sync::Mutex;

use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::distance::squared_norm;
use crate::kernels::simd::nearest_byte;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::random::Random;
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::vectors::{DtypeVisitor, Element};

/// Rows are padded to whole steps of a tile.
const STRIDE: usize = 4;
/// Points that tell the mean and the step.
const SAMPLE: usize = 1 << 12;
/// Deviations of the coordinate that varies most.
const REACH: f64 = 4.0;
/// Rows that are asked for before they are summed.
const AHEAD: usize = 8;
/// Points that a thread rounds at a time.
const PART: usize = 4096;

pub(super) struct Rounded {
    rows: Vec<i8>,
    pub stride: usize,
    mean: Vec<f32>,
    pub step: f32,
    /// Rows had length 1.
    unit: bool,
}

impl Rounded {
    /// Of all `points`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn new(points: &Points, seed: u64, threads: usize, monitor: Option<&dyn Monitor>) -> Result<Self> {
        let (dim, unit) = (points.rows.dim(), points.metric == Metric::Cosine);
        let stride = dim.next_multiple_of(STRIDE);
        let (mean, step) = scale(points, seed);
        let mut rows = filled("rounded vectors", points.len() * stride, 0i8)?;
        let parts: Vec<_> = rows.chunks_mut(PART * stride).map(Mutex::new).collect();
        threads::run(threads, monitor, "round", (parts.len(), points.len() as u64), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let (first, mean, to) = (at * PART, &mean[..], &mut part[..]);
            points.rows.dtype().visit(Round { points, first, mean, step, to, stride });
            worker.advance((part.len() / stride) as u64);
            Ok(())
        })?;
        drop(parts);
        Ok(Self { rows, stride, mean, step, unit })
    }

    /// Point `i`.
    pub fn row(&self, i: u32) -> &[i8] {
        &self.rows[i as usize * self.stride..][..self.stride]
    }

    /// Makes `centroid` the mean of `members`; leaves it where they weigh nothing or cancel.
    pub fn mean(&self, isa: Isa, points: &Points, members: &[u32], centroid: &mut [i8]) {
        let (mut sum, all) = isa.run(Sum { rounded: self, points, members });
        if all <= 0.0 {
            return;
        }
        sum.iter_mut().for_each(|sum| *sum /= all);
        if self.unit {
            let real = |(sum, mean): (&f32, &f32)| sum * self.step + mean;
            let length = sum.iter().zip(&self.mean).map(real).map(|v| v * v).sum::<f32>().sqrt();
            if length == 0.0 {
                return;
            }
            for (sum, mean) in sum.iter_mut().zip(&self.mean) {
                *sum = (real((sum, mean)) / length - mean) / self.step;
            }
        }
        centroid.iter_mut().zip(sum).for_each(|(c, sum)| *c = nearest_byte(sum));
    }

    /// The values that `rows` stand for; of length 1 under cosine.
    pub fn restore(&self, rows: &[i8]) -> Vec<f32> {
        let mut all = Vec::with_capacity(rows.len() / self.stride * self.mean.len());
        for row in rows.chunks_exact(self.stride) {
            let from = all.len();
            all.extend(row.iter().zip(&self.mean).map(|(&v, mean)| f32::from(v) * self.step + mean));
            if self.unit && all[from..].iter().any(|&v| v != 0.0) {
                super::update::normalize(&mut all[from..]);
            }
        }
        all
    }
}

/// Σ weight · row over `members`, and Σ weight.
struct Sum<'a> {
    rounded: &'a Rounded,
    points: &'a Points<'a>,
    members: &'a [u32],
}

impl Kernel for Sum<'_> {
    type Out = (Vec<f32>, f32);
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (Vec<f32>, f32) {
        let Self { rounded, points, members } = self;
        let (mut sum, mut all) = (vec![0f32; rounded.mean.len()], 0.0);
        for (at, &i) in members.iter().enumerate() {
            // Rows are anywhere.
            let next = members[(at + AHEAD).min(members.len() - 1)];
            s.prefetch_row(bytemuck::must_cast_slice(rounded.row(next)));
            let weight = points.weight(i as usize) as f32;
            all += weight;
            for (sum, &v) in sum.iter_mut().zip(rounded.row(i)) {
                *sum += weight * f32::from(v);
            }
        }
        (sum, all)
    }
}

/// Writes points `first` and those behind it, `stride` values each.
struct Round<'a> {
    points: &'a Points<'a>,
    first: usize,
    mean: &'a [f32],
    step: f32,
    to: &'a mut [i8],
    stride: usize,
}

impl DtypeVisitor for Round<'_> {
    type Out = ();
    fn visit<E: Element>(self) {
        struct Run<'a, E>(Round<'a>, &'a [E]);
        impl<E: Element> Kernel for Run<'_, E> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(Round { points, mean, step, to, stride, .. }, values) = self;
                let per = 1.0 / step;
                for (to, values) in to.chunks_exact_mut(stride).zip(values.chunks_exact(mean.len())) {
                    let length = length(points, values);
                    for ((to, v), mean) in to.iter_mut().zip(values).zip(mean) {
                        *to = nearest_byte((v.to_f64() as f32 * length - mean) * per);
                    }
                }
            }
        }
        let values = self.points.rows.as_slice::<E>().unwrap_or_default();
        let from = self.first * self.mean.len();
        Isa::active().run(Run(self, &values[from..]));
    }
}

/// What makes a row as long as it is to be.
#[inline(always)]
fn length<E: Element>(points: &Points, row: &[E]) -> f32 {
    let norm = if points.metric == Metric::Cosine { squared_norm(row) } else { 1.0 };
    if norm > 0.0 { (1.0 / norm.sqrt()) as f32 } else { 0.0 }
}

/// Mean and step.
fn scale(points: &Points, seed: u64) -> (Vec<f32>, f32) {
    struct Scale<'a>(&'a Points<'a>, Vec<usize>);
    impl DtypeVisitor for Scale<'_> {
        type Out = (Vec<f32>, f32);
        fn visit<E: Element>(self) -> (Vec<f32>, f32) {
            let (points, dim) = (self.0, self.0.rows.dim());
            let values = points.rows.as_slice::<E>().unwrap_or_default();
            let mut sums = vec![(0f64, 0f64, f64::INFINITY, f64::NEG_INFINITY); dim];
            for &row in &self.1 {
                let row = &values[row * dim..][..dim];
                let length = f64::from(length(points, row));
                for ((sum, squares, least, most), v) in sums.iter_mut().zip(row) {
                    let v = v.to_f64() * length;
                    (*sum, *squares) = (*sum + v, *squares + v * v);
                    (*least, *most) = (least.min(v), most.max(v));
                }
            }
            let count = self.1.len() as f64;
            let (mut reach, mut deviation) = (0f64, 0f64);
            let means = sums.iter().map(|(sum, squares, least, most)| {
                let mean = sum / count;
                reach = reach.max(most - mean).max(mean - least);
                deviation = deviation.max((squares / count - mean * mean).max(0.0).sqrt());
                mean as f32
            });
            let means = means.collect();
            let step = reach.min(REACH * deviation) / 127.0;
            (means, if step > 0.0 { step as f32 } else { 1.0 })
        }
    }
    let sample = Random(seed).choose(SAMPLE.min(points.len()), points.len());
    points.rows.dtype().visit(Scale(points, sample))
}
