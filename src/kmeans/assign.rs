//! Which centroid is nearest? Exact, but most centroids are not looked at.
//!
//! The centroid that was nearest the last time bounds the distance of the one that is, and a [scan] by codes within that bound is
//! short. When centroids move little, most points need no scan at all: of each point the [`NEAR`] nearest centroids are remembered,
//! and r, which no other is nearer than. If those others move by δ at most, none is nearer than r − δ (triangle inequality), so
//! where one of those remembered is, the point is *settled* (the bounds of Hamerly 2010 with the list of Drake and Hamerly 2012).
//! A few centroids move much farther than the rest. So they are put first, and all settled points look at those few; δ is how
//! far the others went. How many are few, and from when on remembering pays, is told by what it costs for a sample of the points.

use std::sync::Mutex;

use super::batch::Part;
use super::bounds::{Fast, margins, margins_of, moved};
use super::codes::Codes;
use super::points::Points;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::metric::Metric;
use crate::search::List;
use crate::storage::{self, Buffer};
use crate::threads::{self, Monitor};
use crate::vectors::{Dtype, Vectors};

/// Centroids that are remembered of a point.
pub(super) const NEAR: usize = 4;
/// Points that a thread takes at a time.
pub(super) const BATCH: usize = 256;
/// The part of a scan that remembering must save from one iteration to the next, and how many scans in all.
const WORTH: f64 = 0.3;
const SCANS: f64 = 2.0;
/// Centroids that are scanned in the time that an exact distance takes, roughly.
const EXACT: f64 = 150.0;

/// Where every point belongs, and what is remembered for the next time.
pub(super) struct Assignment<'a> {
    pub points: &'a Points<'a>,
    codes: Option<Codes>,
    /// The nearest centroid of each point.
    pub labels: Vec<u32>,
    /// Its distance.
    pub distances: Vec<f32>,
    /// The nearest few of each point, in no order, some of them maybe more than once; none as long as that does not pay.
    near: Vec<u32>,
    /// r of each point.
    reach: Vec<f32>,
    /// How many times as far as the nearest centroid those are that should be remembered.
    ratio: f64,
    /// Assignments to come.
    left: usize,
    /// Where centroids were the last time; nothing before the first.
    last: Vec<f32>,
}

/// What an assignment came to.
#[derive(Default)]
pub(super) struct Done {
    /// Σ weight × distance.
    pub objective: f64,
    /// True where some label is another than before.
    pub changed: bool,
}

/// How one assignment is done.
pub(super) struct Task<'a> {
    pub points: &'a Points<'a>,
    pub codes: Option<&'a Codes>,
    /// Centroids in the order of their ids, and with the fastest first.
    pub by_id: Vectors<'a>,
    by_speed: Vectors<'a>,
    ids: Ids,
    /// Nothing is known of any point.
    pub first: bool,
    /// Nearest centroids are known of every point, and who must be looked at all the same.
    pub fast: Option<Fast>,
    /// How many times as far as the nearest centroid those are that are to be remembered; 1 where none is.
    pub ratio: f64,
}

impl Task<'_> {
    /// The `len` fastest centroids.
    pub fn list(&self, len: usize) -> List<'_> {
        List { rows: self.by_speed.rows(0..len), ids: &self.ids }
    }
}

impl<'a> Assignment<'a> {
    /// For `rounds` assignments to centroids that begin with `centroids`.
    pub fn new(
        points: &'a Points,
        centroids: &[f32],
        rounds: usize,
        (seed, threads, monitor): (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Self> {
        let centroids = Vectors::new(centroids, points.rows.dim())?;
        let codes = Codes::new(points, centroids, (BATCH, rounds), (seed, threads, monitor))?;
        let (labels, distances) = (filled(points.len(), 0)?, filled(points.len(), 0.0)?);
        let (near, reach, last) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { points, codes, labels, distances, near, reach, ratio: 1.0, left: rounds, last })
    }

    /// Assigns every point that has a weight.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn assign(
        &mut self,
        centroids: &[f32],
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Done> {
        self.left = self.left.saturating_sub(1);
        let by_id = Vectors::new(centroids, self.points.rows.dim())?;
        let (dim, k, first) = (by_id.dim(), by_id.len(), self.last.is_empty());
        let speed = moved(self.points.metric, by_id, &self.last);
        let mut order: Vec<u32> = (0..k as u32).collect();
        order.sort_by(|&a, &b| speed[b as usize].total_cmp(&speed[a as usize]).then(a.cmp(&b)));
        let speeds: Vec<f64> = order.iter().map(|&id| speed[id as usize]).collect();
        let fast = self.plan(by_id, &speeds, threads)?;
        let rows: Vec<f32> =
            order.iter().flat_map(|&id| &centroids[id as usize * dim..][..dim]).copied().collect();
        let wide: Vec<u64> = order.iter().map(|&id| u64::from(id)).collect();
        let mut ids = Buffer::new();
        ids.extend("ids", bytemuck::cast_slice(&wide))?;
        let (by_speed, ids) = (Vectors::new(&rows, dim)?, Ids::Given(ids));
        if let Some(codes) = &mut self.codes {
            codes.set(by_speed, threads)?;
        }
        let (points, codes, ratio) = (self.points, self.codes.as_ref(), self.ratio);
        let task = Task { points, codes, by_id, by_speed, ids, first, fast, ratio };
        let (mut near, mut reach) = (self.near.chunks_mut(BATCH * NEAR.min(k)), self.reach.chunks_mut(BATCH));
        let parts = self.labels.chunks_mut(BATCH).zip(self.distances.chunks_mut(BATCH)).enumerate();
        let parts: Vec<Mutex<Part>> = parts
            .map(|(at, (labels, distances))| {
                let (near, reach) = (near.next().unwrap_or_default(), reach.next().unwrap_or_default());
                let done = Done { objective: 0.0, changed: first };
                Mutex::new(Part { first: at * BATCH, labels, distances, near, reach, done })
            })
            .collect();
        let work = points.len() as u64 * k as u64;
        threads::run(threads, monitor, "assign", (parts.len(), work), |at, worker| {
            parts[at].lock().map_err(|_| Error::Interrupted)?.assign(&task, worker)
        })?;
        let mut done = Done::default();
        for part in parts {
            let part = part.into_inner().map_err(|_| Error::Interrupted)?;
            done.objective += part.done.objective;
            done.changed |= part.done.changed;
        }
        self.last.clear();
        self.last.extend_from_slice(centroids);
        Ok(done)
    }

    /// Who must be looked at by all, where nearest centroids are remembered; otherwise whether they should be from now on.
    fn plan(&mut self, centroids: Vectors, speeds: &[f64], threads: usize) -> Result<Option<Fast>> {
        if self.last.is_empty() {
            return Ok(None);
        }
        if !self.near.is_empty() {
            return Ok(Some(Fast::choose(speeds, margins(self.points, centroids, &self.near, &self.reach))));
        }
        let near = NEAR.min(centroids.len());
        let (margins, ratio) = margins_of(self.points, centroids, near, threads)?;
        // The next time, they will hardly move farther than this time.
        let cost = EXACT * (near - 1) as f64 + Fast::choose(speeds, margins).cost;
        let saved = 1.0 - cost / centroids.len() as f64;
        if saved > WORTH && saved * self.left as f64 > SCANS {
            self.near = filled(self.points.len() * near, 0)?;
            (self.reach, self.ratio) = (filled(self.points.len(), 0.0)?, ratio);
        }
        Ok(None)
    }

    /// True where the nearest centroids of points are remembered.
    #[cfg(test)]
    pub fn remembers(&self) -> bool {
        !self.near.is_empty()
    }

    /// True where centroids are ruled out by codes.
    #[cfg(test)]
    pub fn is_coded(&self) -> bool {
        self.codes.is_some()
    }

    /// Labels, and distances by the user's metric.
    pub fn nearest(self, metric: Metric, centroids: &[f32]) -> Result<(Vec<u32>, Vec<f32>)> {
        let Self { points, labels, distances: mut found, .. } = self;
        if metric == Metric::InnerProduct {
            distances(metric, points.rows, (&labels, centroids), &mut found)?;
        }
        Ok((labels, found))
    }
}

/// Makes `out` the distance of each row to the centroid that its label says.
pub(super) fn distances(
    metric: Metric,
    rows: Vectors,
    (labels, centroids): (&[u32], &[f32]),
    out: &mut [f32],
) -> Result<()> {
    let centroids = Vectors::new(centroids, rows.dim())?;
    let (isa, mut query, mut one) = (Isa::active(), Query::default(), Vec::new());
    for (i, distance) in out.iter_mut().enumerate() {
        query.set(metric, rows, i, Dtype::F32);
        one.clear();
        query.distances(isa, centroids, &labels[i..=i], &mut one);
        *distance = one[0];
    }
    Ok(())
}

fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>> {
    storage::filled("the assignment", len, value)
}
