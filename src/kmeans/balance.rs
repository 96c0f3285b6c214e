//! Groups of about equal size: centroids that have more than their share of the vectors ask a price.
//!
//! ```text
//! label(x) = argmin_j ‖x − c_j‖² + p_j                                  (a power diagram: Aurenhammer 1987)
//!          = argmin_j ‖(x, 0) − (c_j, √p_j)‖²,   p_j ≥ 0
//! ```
//!
//! so that with one coordinate more the nearest centroid is found as ever. After each iteration the price of a centroid that has too
//! many vectors rises and that of one with too few falls, by a step of its own: longer as long as it goes the same way, half as long
//! when it turns round (as in Rprop: Riedmiller, Braun 1993). Where clusters are tight and far apart prices may swing: what is returned
//! is of the iteration whose groups were most alike. Under cosine and ip vectors are of length 1, where ‖x − c‖² = 2 − 2 cos.

use super::assign::{self, Assignment};
use super::points::Points;
use super::update::{Means, normalize};
use super::{Kmeans, KmeansParams, start};
use crate::error::Result;
use crate::kernels::distance::squared_norm;
use crate::metric::Metric;
use crate::storage;
use crate::threads::Monitor;
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// The first step of a price, in mean squared distances from a vector to its centroid: where groups have twice the mean size, less where
/// they are nearer to it.
const STEP: f64 = 0.05;
/// What a step becomes when its price goes on the same way, and when it turns round.
const ONWARD: f64 = 1.3;
const BACK: f64 = 0.5;
/// The longest step: where nothing follows a price, as among copies of one vector, it would grow without end.
const LONGEST: f64 = 100.0;
/// Sizes that are so close to the mean, as a part of it, ask for no change.
const CLOSE: f64 = 0.02;

/// Finds `k` centroids of about as many vectors each.
///
/// # Errors
/// As [`kmeans`](super::kmeans).
pub(super) fn cluster(points: &Points, k: usize, params: &KmeansParams, threads: usize) -> Result<Kmeans> {
    let KmeansParams { metric, iterations, seed, monitor, .. } = *params;
    let dim = points.rows.dim();
    let values = raised(points.rows, metric)?;
    // In units of the largest, which need not be one that f32 holds.
    let heaviest = (0..points.len()).map(|i| points.weight(i)).fold(0.0, f64::max);
    let weights: Vec<f32> = (0..points.len()).map(|i| (points.weight(i) / heaviest) as f32).collect();
    let first = start::centroids(points, k, params)?;
    let points = Points::new(Vectors::new(&values, dim + 1)?, Metric::L2, Some(&weights), threads)?;
    let mut prices = Prices::new(k);
    let mut centroids = beside(&first, dim, &prices.values);
    let mut assignment = Assignment::new(&points, &centroids, iterations, (seed, threads, monitor))?;
    let mut means = Means::new(&points, k);
    let mut objective = Vec::new();
    // The sum of squared sizes that is least so far, and where centroids were then.
    let mut best = (f64::INFINITY, Vec::new());
    for _ in 0..iterations {
        let before = centroids.clone();
        let done = assignment.assign(&centroids, threads, monitor)?;
        let found = (&assignment.labels[..], &assignment.distances[..]);
        means.update(&points, found, &mut centroids, (threads, monitor))?;
        let sizes: Vec<f64> =
            (0..k).map(|id| means.of(id).iter().map(|&i| points.weight(i as usize)).sum()).collect();
        // What was paid is no distance.
        let paid: f64 = sizes.iter().zip(&prices.values).map(|(size, price)| size * price).sum();
        let (cost, all) = (done.objective - paid, sizes.iter().sum::<f64>());
        objective.push(
            heaviest
                * match metric {
                    Metric::L2 => cost,
                    Metric::Cosine => cost / 2.0,
                    _ => cost / 2.0 - all,
                },
        );
        let unequal = (0..k).map(|id| (means.of(id).len() as f64).powi(2)).sum();
        if unequal < best.0 {
            best = (unequal, before.clone());
        }
        prices.follow((0..k).map(|id| means.of(id).len()), cost / all);
        let pairs = centroids.chunks_exact_mut(dim + 1).zip(before.chunks_exact(dim + 1));
        for ((centroid, before), price) in pairs.zip(&prices.values) {
            if metric != Metric::L2 {
                // Directions that cancel have no mean direction.
                if squared_norm(&centroid[..dim]) == 0.0 {
                    centroid.copy_from_slice(before);
                }
                normalize(&mut centroid[..dim]);
            }
            centroid[dim] = price.sqrt() as f32;
        }
    }
    let (_, centroids) = best;
    let prices = centroids.iter().skip(dim).step_by(dim + 1).map(|root| root * root).collect();
    let centroids = centroids.chunks_exact(dim + 1).flat_map(|centroid| &centroid[..dim]).copied().collect();
    Ok(Kmeans { metric, dim, centroids, objective, prices })
}

/// The centroid of each of `vectors` by distance and price, and its distance by the metric.
///
/// # Errors
/// As [`Kmeans::assign`].
pub(super) fn nearest(
    found: &Kmeans,
    vectors: Vectors,
    (threads, monitor): (usize, Option<&dyn Monitor>),
) -> Result<(Vec<u32>, Vec<f32>)> {
    let dim = found.dim;
    let values = raised(vectors, found.metric)?;
    let points = Points::new(Vectors::new(&values, dim + 1)?, Metric::L2, None, threads)?;
    let prices: Vec<f64> = found.prices.iter().map(|&price| f64::from(price)).collect();
    let centroids = beside(&found.centroids, dim, &prices);
    let mut assignment = Assignment::new(&points, &centroids, 1, (0, threads, monitor))?;
    assignment.assign(&centroids, threads, monitor)?;
    let labels = assignment.labels;
    let mut distances = storage::filled("the assignment", labels.len(), 0.0)?;
    assign::distances(found.metric, vectors, (&labels, &found.centroids), &mut distances)?;
    Ok((labels, distances))
}

/// `vectors` with one coordinate more, which is 0; of length 1 but for l2.
fn raised(vectors: Vectors, metric: Metric) -> Result<Vec<f32>> {
    struct Raise<'a>(Vectors<'a>, Metric, &'a mut [f32]);
    impl DtypeVisitor for Raise<'_> {
        type Out = ();
        fn visit<E: Element>(self) {
            let Self(vectors, metric, raised) = self;
            let (dim, rows) = (vectors.dim(), vectors.as_slice::<E>().unwrap_or_default());
            for (to, row) in raised.chunks_exact_mut(dim + 1).zip(rows.chunks_exact(dim)) {
                let norm = if metric == Metric::L2 { 1.0 } else { squared_norm(row).sqrt() };
                let scale = if norm > 0.0 { 1.0 / norm } else { 1.0 };
                to.iter_mut().zip(row).for_each(|(to, v)| *to = (v.to_f64() * scale) as f32);
            }
        }
    }
    let mut raised = storage::filled("points", vectors.len() * (vectors.dim() + 1), 0.0)?;
    vectors.dtype().visit(Raise(vectors, metric, &mut raised));
    Ok(raised)
}

/// `centroids` with the root of each one's price beside it.
fn beside(centroids: &[f32], dim: usize, prices: &[f64]) -> Vec<f32> {
    let pairs = centroids.chunks_exact(dim).zip(prices);
    pairs.flat_map(|(c, price)| c.iter().copied().chain([price.sqrt() as f32])).collect()
}

/// What each centroid asks of a vector.
struct Prices {
    values: Vec<f64>,
    /// By how much each changed the last time; in mean squared distances.
    steps: Vec<f64>,
    unit: Option<f64>,
}

impl Prices {
    fn new(k: usize) -> Self {
        Self { values: vec![0.0; k], steps: vec![0.0; k], unit: None }
    }

    /// Changes the prices by the sizes of the groups, whose vectors are `far` from their centroids in the mean of squares.
    fn follow(&mut self, sizes: impl Iterator<Item = usize> + Clone, far: f64) {
        let mean = sizes.clone().sum::<usize>() as f64 / self.values.len() as f64;
        // Squares beyond f32 have no mean: then nothing is asked for.
        let unit = *self.unit.get_or_insert(if far.is_finite() { far.max(0.0) } else { 0.0 });
        for ((price, step), size) in self.values.iter_mut().zip(&mut self.steps).zip(sizes) {
            let over = size as f64 / mean - 1.0;
            if over.abs() <= CLOSE {
                continue;
            }
            let length = match *step * over {
                0.0 => STEP,
                same if same > 0.0 => (step.abs() * ONWARD).min(LONGEST),
                _ => step.abs() * BACK,
            };
            *step = length.copysign(over);
            *price += *step * over.abs().min(1.0) * unit;
        }
        // Only what they differ in counts.
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        self.values.iter_mut().for_each(|price| *price -= least);
    }
}
