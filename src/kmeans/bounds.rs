//! What is known without looking: distances as lengths, which obey the triangle inequality, and which centroids went how far.
//!
//! Under cosine the geometry is that of points on a sphere, where a distance 1 − cos is half a squared chord.

use std::sync::Mutex;

use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::distance::{Query, squared_norm};
use crate::kernels::tile::PANEL;
use crate::metric::Metric;
use crate::threads;
use crate::vectors::{Dtype, Vectors};

/// Points that tell what is known of all, and those for which every centroid is looked at to tell.
const SAMPLE: usize = 2048;
const CLOSELY: usize = 256;
/// What a scan of all centroids costs over one of as many fast ones: more is kept, and more is done with it.
const WHOLE: f64 = 1.5;

/// An upper bound of the length whose distance was rounded to `distance`.
pub(super) fn at_most(metric: Metric, distance: f32) -> f64 {
    let distance = f64::from(distance).max(0.0) * (1.0 + 2e-7);
    if metric == Metric::L2 { distance.sqrt() } else { (2.0 * distance + 1e-12).sqrt() }
}

/// A lower bound of it.
pub(super) fn at_least(metric: Metric, distance: f32) -> f64 {
    let distance = f64::from(distance) * (1.0 - 2e-7);
    if metric == Metric::L2 { distance.max(0.0).sqrt() } else { (2.0 * distance - 1e-12).max(0.0).sqrt() }
}

/// A distance that nothing within `length` exceeds.
pub(super) fn within(metric: Metric, length: f64) -> f32 {
    let square = length * length * (1.0 + 4e-7);
    (if metric == Metric::L2 { square } else { square / 2.0 + 1e-12 } as f32).next_up()
}

/// How far each of the centroids `now` is from where it was, at most; nothing the first time.
pub(super) fn moved(metric: Metric, now: Vectors, last: &[f32]) -> Vec<f64> {
    if last.is_empty() {
        return vec![0.0; now.len()];
    }
    let values = now.as_slice::<f32>().unwrap_or_default();
    let length = |v: &[f32]| if metric == Metric::L2 { 1.0 } else { squared_norm(v).sqrt() };
    let pairs = values.chunks_exact(now.dim()).zip(last.chunks_exact(now.dim()));
    let moved = pairs.map(|(a, b)| {
        let (la, lb) = (length(a), length(b));
        let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) / la - f64::from(b) / lb).powi(2));
        squares.sum::<f64>().sqrt() * (1.0 + 1e-9)
    });
    moved.collect()
}

/// Which centroids everyone looks at.
#[derive(Clone, Copy)]
pub(super) struct Fast {
    /// How many, the fastest first.
    pub count: usize,
    /// How far the others went.
    pub slow: f64,
    /// What the points then cost, in scans of one centroid each.
    pub cost: f64,
}

impl Fast {
    /// The best choice where centroids moved by `speeds`, descending, and points have `margins` until another centroid may be nearer.
    pub fn choose(speeds: &[f64], mut margins: Vec<f64>) -> Self {
        margins.sort_unstable_by(f64::total_cmp);
        let cost = |count: usize| {
            let open = margins.partition_point(|&margin| margin <= speeds[count]);
            count as f64 + WHOLE * (open * speeds.len()) as f64 / margins.len().max(1) as f64
        };
        let choices = (0..speeds.len()).step_by(PANEL).map(|count| (cost(count), count));
        let (cost, count) = choices.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0));
        Self { count, slow: speeds[count], cost }
    }
}

/// The margins of a sample: for each point how much nearer than its `reach` the nearest is of the `near` centroids that are
/// remembered of it.
pub(super) fn margins(points: &Points, centroids: Vectors, near: &[u32], reach: &[f32]) -> Vec<f64> {
    let (isa, mut query, mut out) = (Isa::active(), Query::default(), Vec::new());
    let (metric, each) = (points.metric, near.len() / reach.len().max(1));
    let some = (0..points.len()).step_by(points.len().div_ceil(SAMPLE));
    let margins = some.filter(|&i| points.weight(i) > 0.0).map(|i| {
        query.set(metric, points.rows, i, Dtype::F32);
        out.clear();
        query.distances(isa, centroids, &near[i * each..][..each], &mut out);
        f64::from(reach[i]) - at_most(metric, out.iter().copied().fold(f32::INFINITY, f32::min))
    });
    margins.collect()
}

/// The margins that a sample would have if the `near` nearest centroids were remembered, and how many times as far as the first the
/// last of these is, in the median.
///
/// # Errors
/// [`Error::Interrupted`].
pub(super) fn margins_of(
    points: &Points,
    centroids: Vectors,
    near: usize,
    threads: usize,
) -> Result<(Vec<f64>, f64)> {
    let (isa, metric) = (Isa::active(), points.metric);
    let every: Vec<u32> = (0..centroids.len() as u32).collect();
    let some = (0..points.len()).step_by(points.len().div_ceil(CLOSELY));
    let some: Vec<usize> = some.filter(|&i| points.weight(i) > 0.0).collect();
    // The lengths to the first and to the last of the nearest.
    let found: Vec<Mutex<(f64, f64)>> = some.iter().map(|_| Mutex::default()).collect();
    threads::run(threads, None, "measure", (some.len(), some.len() as u64), |at, _| {
        let (mut query, mut out) = (Query::default(), Vec::new());
        query.set(metric, points.rows, some[at], Dtype::F32);
        query.distances(isa, centroids, &every, &mut out);
        let (_, &mut last, _) = out.select_nth_unstable_by(near - 1, f32::total_cmp);
        let least = out[..near].iter().copied().fold(f32::INFINITY, f32::min);
        *found[at].lock().map_err(|_| Error::Interrupted)? = (at_most(metric, least), at_least(metric, last));
        Ok(())
    })?;
    let found = found.into_iter().map(|found| found.into_inner().map_err(|_| Error::Interrupted));
    let found: Vec<(f64, f64)> = found.collect::<Result<_>>()?;
    let ratio = |&(first, last): &(f64, f64)| if first > 0.0 { last / first } else { 1.0 };
    let mut ratios: Vec<f64> = found.iter().map(ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0).max(1.0);
    Ok((found.into_iter().map(|(first, last)| last - first).collect(), ratio))
}
