//! Codes of centroids, and of the points as these meet them: most centroids are ruled out by a few directions.

use std::sync::Mutex;

use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::tile::{self, Test};
use crate::metric::Metric;
use crate::quantizer::{Costs, HeadCodes, HeadQueries, fine_widths, widths};
use crate::threads::{self, Monitor};
use crate::transform::{Projection, columns, sample};
use crate::vectors::{Dtype, Vectors};

/// Centroids and points below which codes are not worth their making.
const FEW: usize = 64;
/// Dimensions above which learning directions costs more than it brings.
const WIDE: usize = 4096;
/// Directions at most.
const DIRECTIONS: usize = 384;
/// Points that the directions are learned from, and centroids that the widths are.
const SAMPLE: usize = 4096;
const CENTROIDS: usize = 2048;
/// Nanoseconds of a point's coordinate in one direction, as a point is coded.
const ENCODE: f64 = 0.06;
/// Centroids kept over those that codes of the first ones keep, roughly: they are means later, which points are nearer to.
const LATE: f64 = 0.8;
/// Points that stand for all when the widths are chosen.
const PROBES: usize = 64;

/// Codes that centroids come to and go from, and what the points ask of them.
pub(super) struct Codes {
    pub centroids: HeadCodes,
    /// Of each batch of points.
    pub points: Vec<HeadQueries>,
    /// No point is farther from the centre, so no mean of points is.
    radius: f64,
}

impl Codes {
    /// For `points` in batches of `batch`, where codes pay that are used `rounds` times. `centroids` are the first ones.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn new(
        points: &Points,
        centroids: Vectors,
        (batch, rounds): (usize, usize),
        (seed, threads, monitor): (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Option<Self>> {
        let (dim, k) = (centroids.dim(), centroids.len());
        let widest = DIRECTIONS.min(dim) / HeadCodes::STEP * HeadCodes::STEP;
        if k.min(points.len()) < FEW || dim > WIDE || widest == 0 {
            return Ok(None);
        }
        let metric = points.metric;
        // The covariance costs m·d² products: fewer points where they are long.
        let count = ((1usize << 29) / (dim * dim)).clamp(512, SAMPLE);
        let mut columns = sample(points.rows, count, metric);
        let all = Projection::train(&mut columns, widest, seed, monitor)?;
        let mut some = sample(centroids, CENTROIDS, metric);
        all.center(&mut some);
        let probes = PROBES.min(columns.ncols());
        let probes = columns.columns_with_step(0, probes, (columns.ncols() / probes).saturating_sub(1));
        let sampled = (&some, &probes.clone_owned());
        let mut costs = Costs::measure(metric, Dtype::F32, &all, sampled, &[(1, 0)], monitor)?;
        costs.early = LATE;
        // A point is coded once for all rounds.
        let coded = |w: usize| ENCODE * (w * dim) as f64 / (k * rounds) as f64;
        let plans = fine_widths(widest).filter_map(|fine| {
            let widths = widths(widest).filter(|&w| fine == 0 || w <= fine);
            let cost = |w: usize| costs.of(w, fine, 1) + coded(w.max(fine));
            let width = widths.min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
            (cost(width) < costs.raw).then_some((cost(width), width, fine))
        });
        let Some((_, width, fine)) = plans.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Ok(None);
        };
        let mut codes = HeadCodes::learned(metric, &all, &[(width, usize::MAX)], fine, &columns, seed);
        // Directions are no farther from the centre than it is from where they begin, and 1.
        let mean = all.mean().iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let mut radius = if metric == Metric::L2 { farthest(centroids, &all, metric) } else { 1.0 + mean };
        let parts: Vec<_> =
            (0..points.len()).step_by(batch).map(|_| Mutex::new(HeadQueries::default())).collect();
        let rows = |at: usize| points.rows.rows(at * batch..((at + 1) * batch).min(points.len()));
        let size = (parts.len(), points.len() as u64);
        if metric == Metric::L2 {
            let far = Mutex::new(radius);
            threads::run(threads, monitor, "measure", size, |at, worker| {
                let found = farthest(rows(at), &all, metric);
                let mut far = far.lock().map_err(|_| Error::Interrupted)?;
                *far = far.max(found);
                worker.advance(rows(at).len() as u64);
                Ok(())
            })?;
            radius = far.into_inner().map_err(|_| Error::Interrupted)?;
        }
        radius *= 1.0 + 1e-6;
        codes.clear(radius);
        let isa = Isa::active();
        threads::run(threads, monitor, "encode", size, |at, worker| {
            *parts[at].lock().map_err(|_| Error::Interrupted)? = codes.queries(isa, 0, rows(at));
            worker.advance(rows(at).len() as u64);
            Ok(())
        })?;
        let points = parts.into_iter().map(|part| part.into_inner().map_err(|_| Error::Interrupted));
        Ok(Some(Self { centroids: codes, points: points.collect::<Result<_>>()?, radius }))
    }

    /// For each of the points `rows` of batch `batch` the best of the first `some` centroids, as their panels tell.
    pub fn guess(&self, batch: usize, rows: &[u32], some: usize) -> Vec<u32> {
        let (isa, points) = (Isa::active(), &self.points[batch]);
        let mut tile = points.tile(isa, rows);
        for (at, &row) in rows.iter().enumerate() {
            // Without what bounds the tails: these are guesses, not bounds.
            let beta = self.centroids.bound(0, points.head(row)).beta as f32;
            tile.set_test(at, Test { beta, tau: 0.0, threshold: f32::NEG_INFINITY });
        }
        let mut best = vec![(f32::NEG_INFINITY, u32::MAX); rows.len()];
        let panels = self.centroids.panels(0, 0..some);
        tile::arg_max(isa, &tile, panels, some, 0, &mut best);
        best.into_iter().map(|(_, at)| at.min(some as u32 - 1)).collect()
    }

    /// Replaces the centroids.
    pub fn set(&mut self, centroids: Vectors, threads: usize) -> Result<()> {
        self.centroids.clear(self.radius);
        self.centroids.extend(centroids, threads, None)
    }
}

/// max ‖x − μ‖.
fn farthest(vectors: Vectors, projection: &Projection, metric: Metric) -> f64 {
    let mut columns = columns(vectors, 0..vectors.len(), metric);
    projection.center(&mut columns);
    // A row of zeros has no direction: NaN, which is no maximum.
    columns.column_iter().map(|x| x.norm()).fold(0.0, f64::max)
}
