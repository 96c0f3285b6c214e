//! Exact distances for what a walk has found: for how many of it?
//!
//! In the graph a node is as far as its code d̂. The exact distance d, in the same units, is off by an error e = d − d̂ whose mean μ
//! and deviation σ the nearest few tell: they get their exact distance in any case. Of the others, only those get it that could
//! still be among the k nearest,
//!
//! ```text
//! d̂ + μ − zσ ≤ the k-th exact distance so far,   z = √(2 ln n) + margin
//! ```
//!
//! where √(2 ln n) is about the largest of n normal errors, in deviations. What a walk with few nodes in view has not met is more
//! than what a smaller margin leaves out, so that the margin is ½ where ef is 4k and more, and less with fewer in view: 0 for 2k,
//! −½ for k. What is near by its code is so in part by its error, so that the first few say too much of μ: it is corrected by each
//! further exact distance, until none is asked for any more.
//!
//! Where codes tell the vectors apart well, that is hardly one more; where they do not, as among vectors that lie much closer to each
//! other than the data is wide, it may be all that was found.

use super::List;
use super::beam::{Stats, ask};
use super::errors::Errors;
use crate::kernels::distance::Query;
use crate::kernels::{Isa, Simd};
use crate::keys::{distance_of, key};
use crate::metric::Metric;
use crate::space::Space;
use crate::vectors::Vectors;

/// Errors from which a deviation is learned, at least.
const ERRORS: usize = 12;
/// Times that more may be ranked.
const ROUNDS: usize = 16;
/// Bytes of vectors that are asked for before their exact distances are computed, at most: what L1 does not hold of it is in L2.
const EARLY: usize = 64 << 10;

/// So many are sorted by counting which come before which.
const FEW: usize = 32;

/// What a walk has found, on its way to exact distances.
#[derive(Default)]
pub(super) struct Found {
    /// All of it, as [`key`]s; the first `near` of them are the nearest.
    pub keys: Vec<u64>,
    near: usize,
    /// Which vectors those are.
    vectors: Vec<u32>,
}

/// Vectors that are to be asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Ahead<'a> {
    rows: &'a [u8],
    size: usize,
    vectors: &'a [u32],
}

impl<'a> Ahead<'a> {
    /// The next one, in whole lines where there are so many bytes; nothing after the last.
    #[inline(always)]
    pub fn next(&mut self) -> &'a [u8] {
        let Some((&vector, rest)) = self.vectors.split_first() else { return &[] };
        self.vectors = rest;
        let rows = &self.rows[vector as usize * self.size..];
        &rows[..self.size.next_multiple_of(64).min(rows.len())]
    }

    /// Asks for all that are left.
    #[inline(always)]
    pub fn ask<S: Simd>(mut self, s: S) {
        while !self.vectors.is_empty() {
            ask(s, self.next());
        }
    }
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
    /// Deviations beyond the largest error to be expected.
    pub margin: f64,
}

/// Where hardly anything is missing from what was found.
pub(super) const MARGIN: f64 = 0.5;

/// The margin for k neighbours of a walk with `ef` of `nodes` in view; who has all in view misses none.
pub(super) fn margin(k: usize, ef: usize, nodes: usize) -> f64 {
    if ef < nodes { (0.5 * (ef as f64 / (2 * k) as f64).log2()).clamp(-1.0, MARGIN) } else { MARGIN }
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
        sort(&mut self.best);
    }
}

impl<'a> Rerank<'a> {
    /// Chooses the nearest few.
    pub fn choose(&self, found: &mut Found) {
        let near = self.fixed.unwrap_or((self.k + self.k / 8).max(ERRORS));
        found.near = near.min(found.keys.len());
        if found.near < found.keys.len() {
            found.keys.select_nth_unstable(found.near);
        }
        found.vectors.clear();
        found.vectors.extend(found.keys[..found.near].iter().map(|&key| self.vector(key)));
    }

    /// Their vectors, which are to be asked for.
    pub fn ahead(&self, found: &'a Found) -> Ahead<'a> {
        let rows = self.list.rows;
        let most = EARLY / rows.row_bytes();
        Ahead {
            rows: rows.bytes(),
            size: rows.row_bytes(),
            vectors: &found.vectors[..found.vectors.len().min(most)],
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
        vectors.extend_from_slice(&found.vectors);
        distances.clear();
        query.distances(isa, rows, vectors, distances);
        if self.fixed.is_none() && !near.is_empty() {
            let (unit, rest) = self.space.units(query.norm());
            let z = (2.0 * (found.keys.len() as f64).ln()).sqrt() + self.margin;
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
        sort(best);
    }
}

/// How much farther a vector is than its code.
fn error(key: u64, distance: f32, unit: f64) -> f64 {
    f64::from(distance) * unit - f64::from(distance_of(key))
}

/// Sorts by distance, ties by the lower id.
fn sort(found: &mut [(f32, u64)]) {
    if found.len() > FEW {
        found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        return;
    }
    // Each goes where so many come before it: no branch depends on what they are.
    let mut keys = [0; FEW];
    for (key, (distance, id)) in keys.iter_mut().zip(&*found) {
        *key = u128::from(self::key(*distance, 0)) << 64 | u128::from(*id);
    }
    let keys = &keys[..found.len()];
    let mut sorted = [(0.0, 0); FEW];
    for (at, (key, entry)) in keys.iter().zip(&*found).enumerate() {
        let before: usize = keys[..at].iter().map(|other| usize::from(other <= key)).sum();
        let after: usize = keys[at + 1..].iter().map(|other| usize::from(other < key)).sum();
        sorted[before + after] = *entry;
    }
    found.copy_from_slice(&sorted[..found.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_margin_is_whole_where_four_times_k_or_all_nodes_are_in_view_and_less_with_fewer() {
        for (ef, expected) in [(1, -1.0), (5, -1.0), (10, -0.5), (20, 0.0), (40, MARGIN), (999, MARGIN)] {
            assert_eq!(margin(10, ef, 1000), expected, "{ef}");
        }
        assert_eq!(margin(10, 15, 15), MARGIN);
        assert_eq!(margin(20, 15, 15), MARGIN);
    }

    proptest! {
        #[test]
        fn few_and_many_are_in_order_of_distance_and_then_of_id(
            mut found in prop::collection::vec((prop::sample::select(vec![-2f32, -0.5, 0.0, 1.0, 1.5, f32::MAX]), 0u64..99), 0..2 * FEW),
        ) {
            let mut expected = found.clone();
            expected.sort_by(|a, b| a.partial_cmp(b).unwrap());
            sort(&mut found);
            prop_assert_eq!(found, expected);
        }
    }
}
