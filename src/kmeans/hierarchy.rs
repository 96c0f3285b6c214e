//! Many centroids sooner than by looking at all of them: approximate assignments, exact means.
//!
//! ```text
//! round     points → eight bits a coordinate                                   rounded.rs
//! split     k points → √k groups, each of them → its share of the centroids, by Lloyd's iterations within the group
//! refine    repeat: every point → the nearest of the 192 centroids nearest to its own, every centroid → the mean of its points
//! finish    every centroid → the exact mean
//! ```
//!
//! A point is compared with √k groups and √k centroids a few times, and with 192 in an iteration, not with k. What groups cut apart
//! the refinement joins, for it knows no groups: which centroids are near each other is known for all points that share one (as in
//! fast k-means on a graph of neighbours: Wang and others 2012).

use std::sync::Mutex;

use super::points::Points;
use super::rounded::Rounded;
use super::update::Means;
use super::{Kmeans, KmeansParams};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::kernels::nearest::Nearest;
use crate::random::Random;
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Points that tell the groups, for each.
const SAMPLE: usize = 256;
/// Lloyd's iterations of them.
const ROUNDS: usize = 4;
/// Centroids that a point may go to.
const NEAR: usize = 192;
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
    for _ in 0..iterations {
        members.sort(points, &labels);
        work.means(&members, &mut centroids, how)?;
        let near = work.near(&centroids, &centroids, NEAR, how)?;
        let changed = work.refine(&members, &centroids, &near, (&mut labels, &mut distances), how)?;
        let scale =
            f64::from(work.rounded.step).powi(2) / if metric == crate::Metric::L2 { 1.0 } else { 2.0 };
        let cost = |&i: &u32| points.cost(i as usize, (f64::from(distances[i as usize]) * scale) as f32);
        objective.push(weighed.iter().map(cost).sum());
        if !changed {
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
        let sample = Random(seed).choose(weighed.len().min(groups * SAMPLE), weighed.len());
        let sample: Vec<u32> = sample.into_iter().map(|at| weighed[at]).collect();
        let centers = self.lloyd(&sample, groups, seed).1;
        let mut labels = filled("labels", self.points.len(), 0u32)?;
        let parts: Vec<&[u32]> = weighed.chunks(PART).collect();
        let found: Vec<Mutex<Vec<u32>>> = parts.iter().map(|_| Mutex::default()).collect();
        threads::run(how.0, how.1, "group", (parts.len(), total), |at, worker| {
            *found[at].lock().map_err(|_| Error::Interrupted)? = self.assign(parts[at], &centers).0;
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
                *found = self.lloyd(members.of(at), shares[at], seed ^ (at as u64 + 1));
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

    /// Labels and `k` centroids of the points `list`, at least `k`, after a few of Lloyd's iterations.
    fn lloyd(&self, list: &[u32], k: usize, seed: u64) -> (Vec<u32>, Vec<i8>) {
        let mut centroids = Vec::new();
        let first: Vec<u32> = Random(seed).choose(k, list.len()).into_iter().map(|at| list[at]).collect();
        self.rounded.gather(&first, &mut centroids);
        let mut members = vec![Vec::new(); k];
        for _ in 0..ROUNDS {
            let (labels, _) = self.assign(list, &centroids);
            members.iter_mut().for_each(Vec::clear);
            list.iter().zip(&labels).for_each(|(&i, &label)| members[label as usize].push(i));
            for (members, centroid) in members.iter().zip(centroids.chunks_exact_mut(self.rounded.stride)) {
                self.rounded.mean(self.isa, self.points, members, centroid);
            }
        }
        (self.assign(list, &centroids).0, centroids)
    }

    /// The nearest centroid of each of `list`, and the squared distance in steps.
    fn assign(&self, list: &[u32], centroids: &[i8]) -> (Vec<u32>, Vec<f32>) {
        let (mut labels, mut distances) = (Vec::new(), Vec::new());
        let (mut nearest, mut rows) = (Nearest::default(), Vec::new());
        nearest.load(centroids, self.rounded.stride);
        for part in list.chunks(PART) {
            self.rounded.gather(part, &mut rows);
            self.assign_rows(&mut nearest, &rows, |label, distance| {
                labels.push(label);
                distances.push(distance);
            });
        }
        (labels, distances)
    }

    /// Calls `take` with the number of the nearest, and the squared distance, of each of `rows`.
    fn assign_rows(&self, nearest: &mut Nearest, rows: &[i8], mut take: impl FnMut(u32, f32)) {
        let stride = self.rounded.stride;
        nearest.search(self.isa, rows, 1, |at, best| {
            let row = &rows[at * stride..][..stride];
            let (mut sum, mut square) = (0i32, 0i32);
            for &v in row {
                sum += i32::from(v);
                square += i32::from(v) * i32::from(v);
            }
            // What is compared is Σ(x + 128)q − ½‖x‖²: see `Nearest`.
            let (value, label) = best.first().copied().unwrap_or_default();
            take(label, (square as f32 - 2.0 * (value - 128.0 * sum as f32)).max(0.0));
        });
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
            nearest.load(centroids, stride);
            nearest.search(self.isa, rows, count, |i, best| {
                for (to, &(_, id)) in near[i * count..].iter_mut().zip(best) {
                    *to = id;
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
            let (mut nearest, mut rows, mut to) = (Nearest::default(), Vec::new(), Vec::new());
            for id in at * GROUP..k.min((at + 1) * GROUP) {
                let (members, near) = (members.of(id), &near[id * count..][..count]);
                if members.is_empty() {
                    continue;
                }
                to.clear();
                near.iter()
                    .for_each(|&id| to.extend_from_slice(&centroids[id as usize * stride..][..stride]));
                nearest.load(&to, stride);
                self.rounded.gather(members, &mut rows);
                self.assign_rows(&mut nearest, &rows, |label, far| found.push((near[label as usize], far)));
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
