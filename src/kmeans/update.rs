//! Where should centroids be? At the means of their vectors.

use std::sync::Mutex;

use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::distance::squared_norm;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::vectors::{DtypeVisitor, Element};

/// Centroids that a thread updates at a time.
const GROUP: usize = 16;
/// Rows that are on their way while one is added.
const AHEAD: usize = 2;

/// The points of each centroid, one centroid after the other.
pub(super) struct Means {
    members: Vec<u32>,
    /// Where each centroid's members begin, and where the last one's end.
    starts: Vec<usize>,
}

impl Means {
    pub fn new(points: &Points, k: usize) -> Self {
        Self { members: vec![0; points.len()], starts: vec![0; k + 1] }
    }

    /// Moves every centroid to the mean of its vectors, and each that has none to where a vector is far from its own.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn update(
        &mut self,
        points: &Points,
        (labels, distances): (&[u32], &[f32]),
        centroids: &mut [f32],
        (threads, monitor): (usize, Option<&dyn Monitor>),
    ) -> Result<()> {
        self.sort(points, labels);
        self.set(points, centroids, (threads, monitor))?;
        self.repair(points, distances, centroids);
        Ok(())
    }

    /// Moves every centroid that has members to their mean.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn set(
        &self,
        points: &Points,
        centroids: &mut [f32],
        (threads, monitor): (usize, Option<&dyn Monitor>),
    ) -> Result<()> {
        let dim = points.rows.dim();
        let groups: Vec<_> = centroids.chunks_mut(GROUP * dim).map(Mutex::new).collect();
        let size = (groups.len(), points.len() as u64);
        threads::run(threads, monitor, "update", size, |at, worker| {
            let mut group = groups[at].lock().map_err(|_| Error::Interrupted)?;
            let mut done = 0;
            for (i, centroid) in group.chunks_exact_mut(dim).enumerate() {
                let members = self.of(at * GROUP + i);
                done += members.len();
                points.rows.dtype().visit(Mean { points, members, centroid });
            }
            worker.advance(done as u64);
            Ok(())
        })
    }

    /// How many centroids.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The members of centroids `from..to`.
    pub fn range(&self, from: usize, to: usize) -> &[u32] {
        &self.members[self.starts[from]..self.starts[to]]
    }

    /// The members of centroid `id`.
    pub fn of(&self, id: usize) -> &[u32] {
        &self.members[self.starts[id]..self.starts[id + 1]]
    }

    /// Every point becomes a member of the centroid that its label says; what weighs nothing is nobody's. Counting sort.
    pub fn sort(&mut self, points: &Points, labels: &[u32]) {
        let weighed = |i: &usize| points.weight(*i) > 0.0;
        self.starts.fill(0);
        for i in (0..labels.len()).filter(weighed) {
            self.starts[labels[i] as usize + 1] += 1;
        }
        for id in 1..self.starts.len() {
            self.starts[id] += self.starts[id - 1];
        }
        let mut next = self.starts.clone();
        for i in (0..labels.len()).filter(weighed) {
            let at = &mut next[labels[i] as usize];
            self.members[*at] = i as u32;
            *at += 1;
        }
    }

    /// Centroids without members go, one each, to the farthest member of the centroid whose members cost most, which then
    /// counts half. Where no vector is away from its centroid, there is nothing to gain.
    fn repair(&self, points: &Points, distances: &[f32], centroids: &mut [f32]) {
        let empty: Vec<usize> = (0..self.starts.len() - 1).filter(|&id| self.of(id).is_empty()).collect();
        if empty.is_empty() {
            return;
        }
        let cost = |i: u32| points.weight(i as usize) * f64::from(distances[i as usize]).max(0.0);
        let mut costs: Vec<f64> =
            (0..self.starts.len() - 1).map(|id| self.of(id).iter().map(|&i| cost(i)).sum()).collect();
        let mut taken = vec![0usize; costs.len()];
        for id in empty {
            let Some(row) = self.worst(&mut costs, &mut taken, cost) else { return };
            let dim = points.rows.dim();
            let centroid = &mut centroids[id * dim..][..dim];
            points.rows.dtype().visit(Mean { points, members: &[row], centroid });
        }
    }

    /// The member to take next; of each centroid as many were taken as `taken` says, the farthest ones.
    fn worst(&self, costs: &mut [f64], taken: &mut [usize], cost: impl Fn(u32) -> f64) -> Option<u32> {
        loop {
            let (id, &most) = costs.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1))?;
            if most <= 0.0 {
                return None;
            }
            let mut members = self.of(id).to_vec();
            members.sort_by(|&a, &b| cost(b).total_cmp(&cost(a)).then(a.cmp(&b)));
            let next = members.get(taken[id]).copied().filter(|&row| cost(row) > 0.0);
            (costs[id], taken[id]) = (if next.is_some() { most / 2.0 } else { 0.0 }, taken[id] + 1);
            if next.is_some() {
                return next;
            }
        }
    }
}

/// Moves `centroid` to the mean of `members`; leaves it where there is none.
struct Mean<'a> {
    points: &'a Points<'a>,
    members: &'a [u32],
    centroid: &'a mut [f32],
}

impl DtypeVisitor for Mean<'_> {
    type Out = ();
    fn visit<E: Element>(self) {
        let Self { points, members, centroid } = self;
        if members.is_empty() {
            return;
        }
        let values = points.rows.as_slice::<E>().unwrap_or_default();
        let (sum, mut all) = Isa::active().run(Sum { points, members, values, dim: centroid.len() });
        if points.metric == Metric::Cosine {
            all = squared_norm_f64(&sum).sqrt();
            // Directions that cancel have no mean direction.
            if all == 0.0 || !all.is_finite() {
                return;
            }
        }
        for (to, sum) in centroid.iter_mut().zip(sum) {
            *to = (sum / all) as f32;
        }
        if points.metric == Metric::Cosine {
            normalize(centroid);
        }
    }
}

/// Σ factor · row over `members`, and Σ factor.
struct Sum<'a, E> {
    points: &'a Points<'a>,
    members: &'a [u32],
    values: &'a [E],
    dim: usize,
}

impl<E: Element> Kernel for Sum<'_, E> {
    type Out = (Vec<f64>, f64);
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (Vec<f64>, f64) {
        let Self { points, members, values, dim } = self;
        let (mut sum, mut all) = (vec![0f64; dim], 0.0);
        for (at, &i) in members.iter().enumerate() {
            // The members of a centroid lie anywhere.
            if let Some(&next) = members.get(at + AHEAD) {
                s.prefetch_row(bytemuck::cast_slice(&values[next as usize * dim..][..dim]));
            }
            let factor = points.factor(i as usize);
            all += factor;
            for (sum, v) in sum.iter_mut().zip(&values[i as usize * dim..][..dim]) {
                *sum += factor * v.to_f64();
            }
        }
        (sum, all)
    }
}

fn squared_norm_f64(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum()
}

/// Makes `row`, which is not all zeros, as long as 1.
pub(super) fn normalize(row: &mut [f32]) {
    let length = squared_norm(row).sqrt();
    row.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
}
