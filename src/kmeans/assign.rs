//! Which centroid is nearest? Exact, but most centroids are not looked at.
//!
//! Of each point the [`NEAR`] nearest centroids are remembered, and r, which no other is nearer than. When centroids move, by δ at
//! most, no other is nearer than r − δ (triangle inequality): if the nearest of those remembered is, the point is *settled* (the
//! bounds of Hamerly 2010 with the list of Drake and Hamerly 2012). A few centroids move much farther than the rest. So they are
//! put first, and all settled points look at those few; δ is how far the others went. How many are few is what costs
//! least for a sample of the points. All other points are scanned for their nearest again ([`scan`]), which codes make short:
//! what was near is near enough a bound.
//!
//! Under cosine the geometry is that of points on a sphere, where a distance 1 − cos is half a squared chord.

use std::sync::Mutex;

use super::codes::Codes;
use super::points::Points;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::kernels::tile::PANEL;
use crate::metric::Metric;
use crate::search::{Collector, InRange, List, TopK, scan, scan_all, screen};
use crate::storage::Buffer;
use crate::threads::{self, Monitor, Worker};
use crate::vectors::{Dtype, Vectors};

/// Centroids that are remembered of a point.
const NEAR: usize = 8;
/// Points that a thread takes at a time.
const BATCH: usize = 256;
/// Points that tell how many centroids should count as fast.
const SAMPLE: usize = 2048;
/// What a scan of all centroids costs over one of as many fast ones: more is kept, and more is done with it.
const WHOLE: f64 = 1.5;
/// Points below which packing centroids for a tile costs more than it saves.
const FEW: usize = 8;

/// Where every point belongs, and what is remembered for the next time.
pub(super) struct Assignment<'a> {
    pub points: &'a Points<'a>,
    codes: Option<Codes>,
    /// The nearest centroid of each point.
    pub labels: Vec<u32>,
    /// Its distance.
    pub distances: Vec<f32>,
    /// The nearest few of each point, in no order; none before the first time.
    near: Vec<u32>,
    /// r of each point.
    reach: Vec<f32>,
    /// Where centroids were the last time.
    last: Vec<f32>,
}

/// What an assignment came to.
pub(super) struct Done {
    /// Σ weight × distance.
    pub objective: f64,
    /// True where some label is another than before.
    pub changed: bool,
}

/// Centroids, the fast ones first.
struct Ordered<'a> {
    by_id: Vectors<'a>,
    by_speed: Vectors<'a>,
    ids: Ids,
    /// How many are fast.
    fast: usize,
    /// How far the others went.
    slow: f64,
}

/// The points of one batch.
struct Part<'a> {
    first: usize,
    labels: &'a mut [u32],
    distances: &'a mut [f32],
    near: &'a mut [u32],
    reach: &'a mut [f32],
    done: Done,
}

/// Points that are scanned together.
#[derive(Default)]
struct Scanned {
    /// Their places in the batch.
    rows: Vec<u32>,
    queries: Vec<Query>,
    /// How near a centroid must be.
    bounds: Vec<f32>,
    /// What is remembered, with distances.
    near: Vec<(f32, u32)>,
}

impl<'a> Assignment<'a> {
    pub fn new(
        points: &'a Points,
        centroids: &[f32],
        (seed, threads, monitor): (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Self> {
        let centroids = Vectors::new(centroids, points.rows.dim())?;
        let (n, near) = (points.len(), NEAR.min(centroids.len()));
        let codes = Codes::new(points, centroids, (near, BATCH), (seed, threads, monitor))?;
        let (labels, distances) = (filled(n, 0)?, filled(n, 0.0)?);
        let (near, reach) = (filled(n * near, 0)?, filled(n, 0.0)?);
        Ok(Self { points, codes, labels, distances, near, reach, last: Vec::new() })
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
        let by_id = Vectors::new(centroids, self.points.rows.dim())?;
        let (dim, k) = (by_id.dim(), by_id.len());
        let moved = self.moved(by_id);
        let mut order: Vec<u32> = (0..k as u32).collect();
        order.sort_by(|&a, &b| moved[b as usize].total_cmp(&moved[a as usize]).then(a.cmp(&b)));
        let rows = order.iter().flat_map(|&id| &centroids[id as usize * dim..][..dim]);
        let rows: Vec<f32> = rows.copied().collect();
        let mut ids = Buffer::new();
        let wide: Vec<u64> = order.iter().map(|&id| u64::from(id)).collect();
        ids.extend("ids", bytemuck::cast_slice(&wide))?;
        let speeds: Vec<f64> = order.iter().map(|&id| moved[id as usize]).collect();
        let (fast, slow) = if self.last.is_empty() { (k, 0.0) } else { self.fast(by_id, &speeds) };
        let ordered =
            Ordered { by_id, by_speed: Vectors::new(&rows, dim)?, ids: Ids::Given(ids), fast, slow };
        if let Some(codes) = &mut self.codes {
            codes.set(ordered.by_speed, threads)?;
        }
        let (points, codes, first) = (self.points, self.codes.as_ref(), self.last.is_empty());
        let near = NEAR.min(k);
        let parts = self.labels.chunks_mut(BATCH).zip(self.distances.chunks_mut(BATCH));
        let parts = parts.zip(self.near.chunks_mut(BATCH * near)).zip(self.reach.chunks_mut(BATCH));
        let parts: Vec<Mutex<Part>> = parts
            .enumerate()
            .map(|(at, (((labels, distances), near), reach))| {
                let done = Done { objective: 0.0, changed: first };
                Mutex::new(Part { first: at * BATCH, labels, distances, near, reach, done })
            })
            .collect();
        let work = points.len() as u64 * k as u64;
        threads::run(threads, monitor, "assign", (parts.len(), work), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            part.assign(points, codes, &ordered, first, worker)
        })?;
        let mut done = Done { objective: 0.0, changed: false };
        for part in parts {
            let part = part.into_inner().map_err(|_| Error::Interrupted)?;
            done.objective += part.done.objective;
            done.changed |= part.done.changed;
        }
        self.last.clear();
        self.last.extend_from_slice(centroids);
        Ok(done)
    }

    /// Labels, and distances by the user's metric.
    pub fn nearest(self, metric: Metric, centroids: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let Self { points, labels, mut distances, .. } = self;
        if metric == Metric::InnerProduct
            && let Ok(centroids) = Vectors::new(centroids, points.rows.dim())
        {
            let (isa, mut query, mut out) = (Isa::active(), Query::default(), Vec::new());
            for (i, distance) in distances.iter_mut().enumerate() {
                query.set(metric, points.rows, i, Dtype::F32);
                out.clear();
                query.distances(isa, centroids, &labels[i..=i], &mut out);
                *distance = out[0];
            }
        }
        (labels, distances)
    }

    /// How far each centroid has moved since the last time, at most.
    fn moved(&self, now: Vectors) -> Vec<f64> {
        if self.last.is_empty() {
            return vec![0.0; now.len()];
        }
        let values = now.as_slice::<f32>().unwrap_or_default();
        let pairs = values.chunks_exact(now.dim()).zip(self.last.chunks_exact(now.dim()));
        let length = |v: &[f32]| match self.points.metric {
            Metric::L2 => 1.0,
            _ => crate::kernels::distance::squared_norm(v).sqrt(),
        };
        let moved = pairs.map(|(a, b)| {
            let (la, lb) = (length(a), length(b));
            let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) / la - f64::from(b) / lb).powi(2));
            squares.sum::<f64>().sqrt() * (1.0 + 1e-9)
        });
        moved.collect()
    }

    /// How many of the centroids, which moved by `speeds`, descending, all points should look at, and how far the others went.
    fn fast(&self, centroids: Vectors, speeds: &[f64]) -> (usize, f64) {
        let (k, near) = (centroids.len(), NEAR.min(centroids.len()));
        let (isa, mut query, mut out) = (Isa::active(), Query::default(), Vec::new());
        let step = self.points.len().div_ceil(SAMPLE);
        let mut margins: Vec<f64> = (0..self.points.len())
            .step_by(step)
            .filter(|&i| self.points.weight(i) > 0.0)
            .map(|i| {
                query.set(self.points.metric, self.points.rows, i, Dtype::F32);
                out.clear();
                query.distances(isa, centroids, &self.near[i * near..][..near], &mut out);
                let least = out.iter().copied().fold(f32::INFINITY, f32::min);
                f64::from(self.reach[i]) - at_most(self.points.metric, least)
            })
            .collect();
        margins.sort_unstable_by(f64::total_cmp);
        let cost = |fast: usize| {
            let slow = speeds.get(fast).copied().unwrap_or(0.0);
            let open = margins.partition_point(|&margin| margin <= slow) as f64 / margins.len().max(1) as f64;
            fast as f64 + open * WHOLE * k as f64
        };
        let best = (0..k).step_by(PANEL).min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
        let fast = best.unwrap_or(0);
        (fast, speeds[fast])
    }
}

impl Part<'_> {
    fn assign(
        &mut self,
        points: &Points,
        codes: Option<&Codes>,
        centroids: &Ordered,
        first: bool,
        worker: &Worker,
    ) -> Result<()> {
        let (isa, metric, k) = (Isa::active(), points.metric, centroids.by_id.len());
        let near = NEAR.min(k);
        let (mut open, mut settled) = (Scanned::default(), Scanned::default());
        let mut found = Vec::new();
        let mut skipped = 0;
        for (i, (ids, reach)) in self.near.chunks_exact(near).zip(&mut *self.reach).enumerate() {
            // What weighs nothing moves nothing.
            if points.weight(self.first + i) == 0.0 {
                skipped += 1;
                continue;
            }
            let query = Query::new(metric, points.rows, self.first + i, Dtype::F32);
            if first {
                open.push(i, query, f32::INFINITY, []);
                continue;
            }
            found.clear();
            query.distances(isa, centroids.by_id, ids, &mut found);
            let least = found.iter().copied().fold(f32::INFINITY, f32::min);
            let left = f64::from(*reach) - centroids.slow;
            if at_most(metric, least) < left {
                *reach = (left as f32).next_down();
                let known = found.iter().copied().zip(ids.iter().copied());
                settled.push(i, query, within(metric, f64::from(*reach)), known);
            } else {
                let bound = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                open.push(i, query, bound, []);
            }
        }
        let all = centroids.list(k);
        let tops = open.bounds.iter().map(|&bound| TopK::within(near, k, bound)).collect();
        let source = (points, codes, self.first);
        for (i, top) in open.rows.iter().zip(open.scan(isa, source, all, tops, worker)?) {
            let best: Vec<(f32, u32)> = top.into_sorted().map(|n| (n.distance, n.id as u32)).collect();
            // All that are not remembered are at least as far as the last that is.
            let last = best.last().map_or(0.0, |last| at_least(metric, last.0));
            self.settle(points, *i as usize, &best, if near < k { last } else { f64::INFINITY });
        }
        let ranges = settled.bounds.iter().map(|&bound| InRange::new(bound)).collect();
        let list = centroids.list(centroids.fast);
        let ranges = settled.scan(isa, source, list, ranges, worker)?;
        for ((i, known), range) in settled.rows.iter().zip(settled.near.chunks_exact(near)).zip(ranges) {
            let mut best = known.to_vec();
            let new = range.into_sorted().map(|n| (n.distance, n.id as u32));
            best.extend(new.filter(|(_, id)| known.iter().all(|(_, other)| other != id)));
            best.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let left = f64::from(self.reach[*i as usize]);
            let reach = best.get(near).map_or(left, |next| left.min(at_least(metric, next.0)));
            best.truncate(near);
            self.settle(points, *i as usize, &best, reach);
        }
        worker.advance(((k - centroids.fast) * settled.rows.len() + k * skipped) as u64);
        Ok(())
    }

    /// Point `i` of the batch is nearest to the first of `best`, and to no other centroid nearer than `reach`.
    fn settle(&mut self, points: &Points, i: usize, best: &[(f32, u32)], reach: f64) {
        let near = self.near.len() / self.labels.len();
        let Some(&(distance, label)) = best.first() else { return };
        self.done.changed |= self.labels[i] != label;
        self.done.objective += points.cost(self.first + i, distance);
        (self.labels[i], self.distances[i]) = (label, distance);
        for (to, (_, id)) in self.near[i * near..][..near].iter_mut().zip(best) {
            *to = *id;
        }
        self.reach[i] = (reach as f32).next_down();
    }
}

impl Scanned {
    fn push(
        &mut self,
        row: usize,
        query: Query,
        bound: f32,
        near: impl IntoIterator<Item = (f32, u32)>,
    ) {
        self.rows.push(row as u32);
        self.queries.push(query);
        self.bounds.push(bound);
        self.near.extend(near);
    }

    /// Offers the centroids of `list` that may be near enough to each point's collector. Points are those of the batch that
    /// begins with point `first`.
    fn scan<C: Collector>(
        &self,
        isa: Isa,
        (points, codes, first): (&Points, Option<&Codes>, usize),
        list: List,
        mut collectors: Vec<C>,
        worker: &Worker,
    ) -> Result<Vec<C>> {
        let (queries, collected) = (&self.queries, &mut collectors);
        if let Some(codes) = codes {
            let batch = &codes.points[first / BATCH];
            let mut screen = screen::codes(isa, &codes.centroids, 0, batch, &self.rows);
            scan(isa, &mut screen, list, queries, collected, worker);
        } else if self.rows.len() < FEW || list.rows.len() < FEW {
            scan_all(isa, list, queries, collected, worker);
        } else {
            let row = points.rows.dim() * points.rows.dtype().size();
            let mut rows = Buffer::new();
            for &i in &self.rows {
                rows.extend("points", &points.rows.bytes()[(first + i as usize) * row..][..row])?;
            }
            let rows = Vectors::from_bytes(rows.bytes(), points.rows.dtype(), points.rows.dim())?;
            let mut screen = screen::floats(isa, points.metric, list.rows, rows);
            scan(isa, &mut screen, list, queries, collected, worker);
        }
        Ok(collectors)
    }
}

impl Ordered<'_> {
    /// The first `len` by speed.
    fn list(&self, len: usize) -> List<'_> {
        List { rows: self.by_speed.rows(0..len), ids: &self.ids }
    }
}

/// An upper bound of the length whose distance was rounded to `distance`.
fn at_most(metric: Metric, distance: f32) -> f64 {
    let distance = f64::from(distance).max(0.0) * (1.0 + 2e-7);
    if metric == Metric::L2 { distance.sqrt() } else { (2.0 * distance + 1e-12).sqrt() }
}

/// A lower bound of it.
fn at_least(metric: Metric, distance: f32) -> f64 {
    let distance = f64::from(distance) * (1.0 - 2e-7);
    if metric == Metric::L2 { distance.max(0.0).sqrt() } else { (2.0 * distance - 1e-12).max(0.0).sqrt() }
}

/// No centroid within `length` has a larger distance.
fn within(metric: Metric, length: f64) -> f32 {
    let square = length * length * (1.0 + 4e-7);
    (if metric == Metric::L2 { square } else { square / 2.0 + 1e-12 } as f32).next_up()
}

fn filled<T: Copy>(len: usize, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let bytes = (len * size_of::<T>()) as u64;
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { what: "assignment", bytes })?;
    values.resize(len, value);
    Ok(values)
}
