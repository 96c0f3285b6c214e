//! Many centroids sooner than by looking at all of them: approximate assignments, exact means.
//!
//! ```text
//! round     points → eight bits a coordinate                                   rounded.rs
//! split     k points → √k groups, each of them → its share of the centroids, by Lloyd's iterations within the group
//! refine    repeat: every point → the nearest of the 192 or 64 centroids nearest to its own, every centroid → the mean of its points
//! finish    every centroid → the exact mean
//! ```
//!
//! A point is compared with √k groups and √k centroids a few times, and with 107 in an iteration in the mean, not with k. What groups
//! cut apart the refinement joins, for it knows no groups: which centroids are near each other is known for all points that share one
//! (as in fast k-means on a graph of neighbours: Wang and others 2012).

use std::sync::Mutex;

use super::points::Points;
use super::rounded::Rounded;
use super::update::Means;
use super::{Kmeans, KmeansParams};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::kernels::nearest::{Nearest, rows_of};
use crate::keys::key;
use crate::random::Random;
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Points that tell the groups, or the centroids of one, for each.
const SAMPLE: usize = 48;
/// Lloyd's iterations of them.
const ROUNDS: usize = 3;
/// Centroids that a point may go to: in every third iteration many, in the others few.
const NEAR: [usize; 3] = [192, 64, 64];
/// Centroids that a thread takes at a time.
const GROUP: usize = 16;
/// Points of a batch.
const PART: usize = 4096;

/// Finds `k` centroids.
///
/// # Errors
/// [`Error::Argument`] where fewer than `k` points have a weight, [`Error::OutOfMemory`], [`Error::Interrupted`].
pub(super) fn cluster(points: &Points, k: usize, params: &KmeansParams, threads: usize) -> Result<Kmeans> {
    let KmeansParams { metric, iterations, seed, monitor, .. } = *params;
    let rounded = Rounded::new(points, seed, threads, monitor)?;
    let work = Work { isa: Isa::active(), points, rounded };
    let how = (threads, monitor);
    let weighed: Vec<u32> = (0..points.len() as u32).filter(|&i| points.weight(i as usize) > 0.0).collect();
    if weighed.len() < k {
        return Err(Error::argument("k", k, "at most the number of vectors that have a weight"));
    }
    let (mut labels, mut centroids) = work.first(&weighed, k, seed, how)?;
    let mut objective = Vec::new();
    let mut distances = filled("distances", points.len(), 0f32)?;
    let mut members = Means::new(points, k);
    for &count in NEAR.iter().cycle().take(iterations) {
        members.sort(points, &labels);
        work.means(&members, &mut centroids, how)?;
        let near = work.near(&centroids, &centroids, count, how)?;
        let changed = work.refine(&members, &centroids, &near, (&mut labels, &mut distances), how)?;
        let scale =
            f64::from(work.rounded.step).powi(2) / if metric == crate::Metric::L2 { 1.0 } else { 2.0 };
        let cost = |&i: &u32| points.cost(i as usize, (f64::from(distances[i as usize]) * scale) as f32);
        objective.push(weighed.iter().map(cost).sum());
        // Few centroids leave little to change.
        if !changed && count == NEAR[0] {
            break;
        }
    }
    let mut centroids = work.rounded.restore(&centroids);
    members.update(points, (&labels, &distances), &mut centroids, how)?;
    if let Some(last) = objective.last_mut() {
        *last = work.objective(&members, &centroids, how)?;
    }
    Ok(Kmeans { metric, dim: points.rows.dim(), centroids, objective, prices: Vec::new() })
}

/// Threads, and who watches.
type How<'a> = (usize, Option<&'a dyn Monitor>);

/// What every step has at hand.
struct Work<'a> {
    isa: Isa,
    points: &'a Points<'a>,
    rounded: Rounded,
}

impl Work<'_> {
    /// Labels and centroids: those of each group are found among its own points.
    fn first(&self, weighed: &[u32], k: usize, seed: u64, how: How) -> Result<(Vec<u32>, Vec<i8>)> {
        let (stride, total) = (self.rounded.stride, weighed.len() as u64);
        let groups = ((k as f64).sqrt().ceil() as usize).min(k);
        let centers = self.lloyd(weighed, groups, seed);
        let mut labels = filled("labels", self.points.len(), 0u32)?;
        let parts: Vec<&[u32]> = weighed.chunks(PART).collect();
        let found: Vec<Mutex<Vec<u32>>> = parts.iter().map(|_| Mutex::default()).collect();
        threads::run(how.0, how.1, "group", (parts.len(), total), |at, worker| {
            *found[at].lock().map_err(|_| Error::Interrupted)? = self.assign(parts[at], &centers);
            worker.advance(parts[at].len() as u64);
            Ok(())
        })?;
        for (part, found) in parts.iter().zip(found) {
            let found = found.into_inner().map_err(|_| Error::Interrupted)?;
            part.iter().zip(found).for_each(|(&i, label)| labels[i as usize] = label);
        }
        let mut members = Means::new(self.points, groups);
        members.sort(self.points, &labels);
        let counts: Vec<usize> = (0..groups).map(|at| members.of(at).len()).collect();
        let shares = share(k, &counts);
        let found: Vec<Mutex<(Vec<u32>, Vec<i8>)>> = shares.iter().map(|_| Mutex::default()).collect();
        threads::run(how.0, how.1, "split", (groups, total), |at, worker| {
            if shares[at] > 0 {
                let found = &mut *found[at].lock().map_err(|_| Error::Interrupted)?;
                let centroids = self.lloyd(members.of(at), shares[at], seed ^ (at as u64 + 1));
                *found = (self.assign(members.of(at), &centroids), centroids);
            }
            worker.advance(counts[at] as u64);
            Ok(())
        })?;
        let mut centroids = Vec::with_capacity(k * stride);
        for (at, found) in found.into_iter().enumerate() {
            let (some, mine) = found.into_inner().map_err(|_| Error::Interrupted)?;
            let first = (centroids.len() / stride) as u32;
            members.of(at).iter().zip(some).for_each(|(&i, label)| labels[i as usize] = first + label);
            centroids.extend(mine);
        }
        Ok((labels, centroids))
    }

    /// `k` centroids of the points `list`, at least `k`, after a few of Lloyd's iterations of some of them.
    fn lloyd(&self, list: &[u32], k: usize, seed: u64) -> Vec<i8> {
        let mut random = Random(seed);
        let some = random.choose(list.len().min(k * SAMPLE), list.len());
        let some: Vec<u32> = some.into_iter().map(|at| list[at]).collect();
        let first = random.choose(k, some.len());
        let mut centroids = Vec::with_capacity(k * self.rounded.stride);
        first.into_iter().for_each(|at| centroids.extend_from_slice(self.rounded.row(some[at])));
        let mut members = vec![Vec::new(); k];
        for _ in 0..ROUNDS {
            members.iter_mut().for_each(Vec::clear);
            let labels = self.assign(&some, &centroids);
            some.iter().zip(labels).for_each(|(&i, label)| members[label as usize].push(i));
            for (members, centroid) in members.iter().zip(centroids.chunks_exact_mut(self.rounded.stride)) {
                self.rounded.mean(self.isa, self.points, members, centroid);
            }
        }
        centroids
    }

    /// The nearest centroid of each of `list`.
    fn assign(&self, list: &[u32], centroids: &[i8]) -> Vec<u32> {
        let (mut labels, mut nearest) = (Vec::with_capacity(list.len()), Nearest::default());
        let stride = self.rounded.stride;
        nearest.load(self.isa, (centroids.len() / stride, stride), rows_of(centroids, stride));
        self.nearest_of(&mut nearest, list, |label, _| labels.push(label));
        labels
    }

    /// Calls `take` with the number of the nearest, and the squared distance in steps, of each of `list`.
    fn nearest_of(&self, nearest: &mut Nearest, list: &[u32], mut take: impl FnMut(u32, f32)) {
        for part in list.chunks(PART) {
            let row = |at: usize| self.rounded.row(part[at]);
            nearest.search(self.isa, (part.len(), 1), row, |asked, best| {
                let (value, label) = best.first().copied().unwrap_or_default();
                take(label, asked.squared(value));
            });
        }
    }

    /// Moves each centroid to the mean of its members.
    fn means(&self, members: &Means, centroids: &mut [i8], (threads, monitor): How) -> Result<()> {
        let stride = self.rounded.stride;
        let groups: Vec<_> = centroids.chunks_mut(GROUP * stride).map(Mutex::new).collect();
        threads::run(threads, monitor, "update", (groups.len(), groups.len() as u64), |at, worker| {
            let mut group = groups[at].lock().map_err(|_| Error::Interrupted)?;
            for (i, centroid) in group.chunks_exact_mut(stride).enumerate() {
                self.rounded.mean(self.isa, self.points, members.of(at * GROUP + i), centroid);
            }
            worker.advance(1);
            Ok(())
        })
    }

    /// For each of `rows` the `count` nearest centroids.
    fn near(&self, rows: &[i8], centroids: &[i8], count: usize, (threads, monitor): How) -> Result<Vec<u32>> {
        let stride = self.rounded.stride;
        let (k, count) = (rows.len() / stride, count.min(centroids.len() / stride));
        let mut near = filled("neighbours", k * count, 0u32)?;
        let share = k.div_ceil(threads * 4).next_multiple_of(GROUP);
        let parts: Vec<_> =
            near.chunks_mut(share * count).zip(rows.chunks(share * stride)).map(Mutex::new).collect();
        threads::run(threads, monitor, "neighbours", (parts.len(), k as u64), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let (near, rows) = &mut *part;
            let mut nearest = Nearest::default();
            nearest.load(self.isa, (centroids.len() / stride, stride), rows_of(centroids, stride));
            let mut sorted = Vec::with_capacity(count);
            let queries = (rows.len() / stride, count);
            nearest.search(self.isa, queries, rows_of(rows, stride), |asked, best| {
                // What is nearest first leaves little to be found behind it.
                sorted.clear();
                sorted.extend(best.iter().map(|&(value, id)| key(-value, id)));
                sorted.sort_unstable();
                for (to, &key) in near[asked.at * count..].iter_mut().zip(&sorted) {
                    *to = key as u32;
                }
            });
            worker.advance((rows.len() / stride) as u64);
            Ok(())
        })?;
        drop(parts);
        Ok(near)
    }

    /// Every point goes to the nearest of those `near` the one that it is a member of; true where one goes to another than before.
    fn refine(
        &self,
        members: &Means,
        centroids: &[i8],
        near: &[u32],
        (labels, distances): (&mut [u32], &mut [f32]),
        (threads, monitor): How,
    ) -> Result<bool> {
        let (stride, k) = (self.rounded.stride, members.len());
        let count = near.len() / k;
        let found: Vec<Mutex<Vec<(u32, f32)>>> = (0..k.div_ceil(GROUP)).map(|_| Mutex::default()).collect();
        let total = self.points.len() as u64;
        threads::run(threads, monitor, "assign", (found.len(), total), |at, worker| {
            let mut found = found[at].lock().map_err(|_| Error::Interrupted)?;
            let mut nearest = Nearest::default();
            for id in at * GROUP..k.min((at + 1) * GROUP) {
                let (members, near) = (members.of(id), &near[id * count..][..count]);
                if members.is_empty() {
                    continue;
                }
                let centroid = |at: usize| &centroids[near[at] as usize * stride..][..stride];
                nearest.load(self.isa, (near.len(), stride), centroid);
                self.nearest_of(&mut nearest, members, |label, far| found.push((near[label as usize], far)));
                worker.advance(members.len() as u64);
            }
            Ok(())
        })?;
        let mut changed = false;
        for (at, found) in found.into_iter().enumerate() {
            let found = found.into_inner().map_err(|_| Error::Interrupted)?;
            let group = members.range(at * GROUP, k.min((at + 1) * GROUP));
            for (&i, (label, distance)) in group.iter().zip(found) {
                changed |= labels[i as usize] != label;
                (labels[i as usize], distances[i as usize]) = (label, distance);
            }
        }
        Ok(changed)
    }

    /// Σ weight × distance, exactly.
    fn objective(&self, members: &Means, centroids: &[f32], (threads, monitor): How) -> Result<f64> {
        let (points, k) = (self.points, members.len());
        let centroids = Vectors::new(centroids, points.rows.dim())?;
        let sums: Vec<Mutex<f64>> = (0..k.div_ceil(GROUP)).map(|_| Mutex::default()).collect();
        let total = points.len() as u64;
        threads::run(threads, monitor, "objective", (sums.len(), total), |at, worker| {
            let (mut query, mut distances) = (Query::default(), Vec::new());
            let mut sum = 0.0;
            for id in at * GROUP..k.min((at + 1) * GROUP) {
                let members = members.of(id);
                query.set(points.metric, centroids, id, points.rows.dtype());
                distances.clear();
                query.distances(self.isa, points.rows, members, &mut distances);
                sum += members.iter().zip(&distances).map(|(&i, &d)| points.cost(i as usize, d)).sum::<f64>();
                worker.advance(members.len() as u64);
            }
            *sums[at].lock().map_err(|_| Error::Interrupted)? = sum;
            Ok(())
        })?;
        sums.into_iter().map(|sum| sum.into_inner().map_err(|_| Error::Interrupted)).sum()
    }
}

/// How many of `k` centroids each group gets: as its share of the points is, at least one where it has any. There are at least `k`
/// points.
fn share(k: usize, counts: &[usize]) -> Vec<usize> {
    let total: usize = counts.iter().sum();
    let part = |n: usize| ((n as u128 * k as u128 / total as u128) as usize).max(1).min(n);
    let mut shares: Vec<usize> = counts.iter().map(|&n| part(n)).collect();
    let mut sum: usize = shares.iter().sum();
    let load = |at: usize, share: usize| counts[at] as f64 / share as f64;
    while sum < k {
        // To the one that has the most points a centroid then.
        let open = (0..counts.len()).filter(|&at| shares[at] < counts[at]);
        let load = |at: usize| load(at, shares[at] + 1);
        let Some(at) = open.max_by(|&a, &b| load(a).total_cmp(&load(b)).then(b.cmp(&a))) else { break };
        (shares[at], sum) = (shares[at] + 1, sum + 1);
    }
    while sum > k {
        let open = (0..counts.len()).filter(|&at| shares[at] > 1);
        let load = |at: usize| load(at, shares[at] - 1);
        let Some(at) = open.min_by(|&a, &b| load(a).total_cmp(&load(b)).then(a.cmp(&b))) else { break };
        (shares[at], sum) = (shares[at] - 1, sum - 1);
    }
    shares
}
