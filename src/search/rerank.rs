//! Exact distances for what a walk has found: for how many of it?
//!
//! In the graph a node is as far as its code d̂. The exact distance d, in the same units, is off by an error e = d − d̂ whose mean μ
//! and deviation σ the nearest few tell: they get their exact distance in any case. Of the others, only those get it that could
//! still be among the k nearest,
//!
//! ```text
//! d̂ + μ − zσ ≤ the k-th exact distance so far,   z = √(2 ln n) + ½
//! ```
//!
//! where √(2 ln n) is about the largest of n normal errors, in deviations. What is near by its code is so in part by its error, so
//! that the first few say too much of μ: it is corrected by each further exact distance, until none is asked for any more.
//!
//! Where codes tell the vectors apart well, that is hardly one more; where they do not, as among vectors that lie much closer to each
//! other than the data is wide, it may be all that was found.

use super::List;
use super::beam::Stats;
use super::errors::Errors;
use super::pool::{distance_of, key};
use crate::kernels::distance::Query;
use crate::kernels::{Isa, Simd};
use crate::metric::Metric;
use crate::space::Space;
use crate::vectors::Vectors;

/// Errors from which a deviation is learned, at least.
const ERRORS: usize = 12;
/// Times that more may be ranked.
const ROUNDS: usize = 16;
/// Bytes of vectors that are asked for before their exact distances are computed, at most: what a small L1 holds.
const EARLY: usize = 32 << 10;

/// What a walk has found, on its way to exact distances.
#[derive(Default)]
pub(super) struct Found {
    /// All of it, as [`key`](super::pool::key)s; the first `near` of them are the nearest.
    pub keys: Vec<u64>,
    near: usize,
}

/// How the found are ranked.
#[derive(Clone, Copy)]
pub(super) struct Rerank<'a> {
    pub metric: Metric,
    pub space: &'a Space,
    /// Which vector each node is; themselves where nothing is said.
    pub vectors: Option<&'a [u32]>,
    pub list: List<'a>,
    /// Neighbours that are wanted.
    pub k: usize,
    /// Exact distances, where that is fixed; otherwise those that are needed.
    pub fixed: Option<usize>,
}

/// One query's exact distances, and memory for them.
#[derive(Default)]
pub(super) struct Ranking {
    query: Query,
    vectors: Vec<u32>,
    distances: Vec<f32>,
    order: Vec<f32>,
    more: Vec<u64>,
    /// Exact distances and ids.
    pub best: Vec<(f32, u64)>,
}

impl Ranking {
    /// Becomes `found`: the nearest first, ties by the lower id.
    pub fn set(&mut self, found: impl Iterator<Item = (f32, u64)>) {
        self.best.clear();
        self.best.extend(found);
        self.best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }
}

impl Rerank<'_> {
    /// Chooses the nearest few and asks for their vectors.
    #[inline(always)]
    pub fn ask<S: Simd>(&self, s: S, found: &mut Found) {
        let near = self.fixed.unwrap_or((self.k + self.k / 8).max(ERRORS));
        found.near = near.min(found.keys.len());
        if found.near < found.keys.len() {
            found.keys.select_nth_unstable(found.near);
        }
        let rows = self.list.rows;
        let size = rows.row_bytes();
        for &key in found.keys[..found.near].iter().take(EARLY / size) {
            for line in rows.bytes()[self.vector(key) as usize * size..][..size].chunks(64) {
                s.prefetch(line);
            }
        }
    }

    /// The number of the vector that a found node is.
    #[inline(always)]
    fn vector(&self, key: u64) -> u32 {
        self.vectors.map_or(key as u32, |vectors| vectors[key as u32 as usize])
    }

    /// Ranks what was found for row `row` of `queries`: the nearest first, ties by the lower id.
    pub fn rank(
        &self,
        isa: Isa,
        (queries, row): (Vectors, usize),
        found: &Found,
        ranking: &mut Ranking,
        stats: &mut Stats,
    ) {
        let Ranking { query, vectors, distances, order, more, best } = ranking;
        let rows = self.list.rows;
        query.set(self.metric, queries, row, rows.dtype());
        let (near, far) = found.keys.split_at(found.near);
        vectors.clear();
        vectors.extend(near.iter().map(|&key| self.vector(key)));
        distances.clear();
        query.distances(isa, rows, vectors, distances);
        if self.fixed.is_none() && !near.is_empty() {
            let (unit, rest) = self.space.units(query.norm());
            let z = (2.0 * (found.keys.len() as f64).ln()).sqrt() + 0.5;
            let (mut errors, mut from) = (Errors::default(), 0);
            near.iter().zip(&*distances).for_each(|(&key, &d)| errors.add(error(key, d, unit)));
            for _ in 0..ROUNDS {
                order.clear();
                order.extend_from_slice(distances);
                let kth = self.k.min(order.len()) - 1;
                let (_, &mut last, _) = order.select_nth_unstable_by(kth, f32::total_cmp);
                let last = f64::from(last) * unit;
                // Codes are rounded: each coordinate by 1/√12 in the mean, which meets q − x and itself.
                let rounding = (self.space.width() as f64 / 30.0 + (last + rest) / 3.0).max(0.0).sqrt();
                let bound = last - errors.least().min(errors.low(z, rounding));
                if bound.is_nan() {
                    break;
                }
                let to = key(bound as f32, u32::MAX);
                more.clear();
                more.extend(far.iter().filter(|&&key| from < key && key <= to));
                if more.is_empty() {
                    break;
                }
                let first = vectors.len();
                vectors.extend(more.iter().map(|&key| self.vector(key)));
                query.distances(isa, rows, &vectors[first..], distances);
                more.iter().zip(&distances[first..]).for_each(|(&key, &d)| errors.add(error(key, d, unit)));
                from = to;
            }
        }
        stats.reranked = vectors.len() as u64;
        best.clear();
        let ids = vectors.iter().map(|&vector| self.list.ids.get(vector as usize));
        best.extend(distances.iter().copied().zip(ids));
        best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }
}

/// How much farther a vector is than its code.
fn error(key: u64, distance: f32, unit: f64) -> f64 {
    f64::from(distance) * unit - f64::from(distance_of(key))
}
