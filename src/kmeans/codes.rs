//! Codes of centroids, and of the points as these meet them: most centroids are ruled out by a few directions.

use std::sync::Mutex;

use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::{Isa, fine};
use crate::quantizer::{Costs, HeadCodes, HeadQueries};
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
const SAMPLE: usize = 8192;
const CENTROIDS: usize = 2048;
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
    /// For `points` in batches of `batch`, where codes pay. The `near` nearest centroids of each point will be asked for;
    /// `centroids` are the first ones.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn new(
        points: &Points,
        centroids: Vectors,
        (near, batch): (usize, usize),
        (seed, threads, monitor): (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Option<Self>> {
        let (dim, k) = (centroids.dim(), centroids.len());
        let widest = DIRECTIONS.min(dim) / HeadCodes::STEP * HeadCodes::STEP;
        if k.min(points.len()) < FEW || dim > WIDE || widest == 0 {
            return Ok(None);
        }
        let metric = points.metric;
        // The covariance costs m·d² products: fewer points where they are long.
        let count = ((1usize << 33) / (dim * dim)).clamp(512, SAMPLE);
        let mut columns = sample(points.rows, count, metric);
        let all = Projection::train(&mut columns, widest, seed, monitor)?;
        let mut some = sample(centroids, CENTROIDS, metric);
        all.center(&mut some);
        let probes = PROBES.min(columns.ncols());
        let probes = columns.columns_with_step(0, probes, (columns.ncols() / probes).saturating_sub(1));
        let rank = (near * some.ncols() / k).clamp(1, some.ncols()) - 1;
        let sampled = (&some, &probes.clone_owned());
        let costs = Costs::measure(metric, Dtype::F32, &all, sampled, &[(1, rank)], monitor)?;
        let widths = || (1..=widest / HeadCodes::STEP).map(|steps| steps * HeadCodes::STEP);
        let fines = (0..).map(|steps| steps * fine::STEP).take_while(|&w| w < widest).chain([widest]);
        let plans = fines.filter_map(|fine| {
            let width = costs.cheapest(1, fine, widths().filter(|&w| fine == 0 || w <= fine))?;
            Some((costs.of(width, fine, 1), width, fine))
        });
        let Some((_, width, fine)) = plans.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Ok(None);
        };
        let mut codes = HeadCodes::learned(metric, &all, &[(width, usize::MAX)], fine, &columns, seed);
        let mut radius = farthest(centroids, &all, metric);
        let parts: Vec<_> = (0..points.len()).step_by(batch).map(|_| Mutex::new(HeadQueries::default())).collect();
        let rows = |at: usize| points.rows.rows(at * batch..((at + 1) * batch).min(points.len()));
        let size = (parts.len(), points.len() as u64);
        let far = Mutex::new(radius);
        threads::run(threads, monitor, "measure", size, |at, worker| {
            let found = farthest(rows(at), &all, metric);
            let mut far = far.lock().map_err(|_| Error::Interrupted)?;
            *far = far.max(found);
            worker.advance(rows(at).len() as u64);
            Ok(())
        })?;
        radius = far.into_inner().map_err(|_| Error::Interrupted)? * (1.0 + 1e-6);
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

    /// Replaces the centroids.
    pub fn set(&mut self, centroids: Vectors, threads: usize) -> Result<()> {
        self.centroids.clear(self.radius);
        self.centroids.extend(centroids, threads, None)
    }
}

/// max ‖x − μ‖.
fn farthest(vectors: Vectors, projection: &Projection, metric: crate::Metric) -> f64 {
    let mut columns = columns(vectors, 0..vectors.len(), metric);
    projection.center(&mut columns);
    // A row of zeros has no direction: NaN, which is no maximum.
    columns.column_iter().map(|x| x.norm()).fold(0.0, f64::max)
}
