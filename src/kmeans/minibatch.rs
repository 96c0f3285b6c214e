//! Sets larger than memory: an iteration looks at a random part of the vectors (mini-batch k-means: Sculley 2010).
//!
//! A centroid is the mean of all the vectors that it was ever the nearest to: with N seen before and n new ones of mean m,
//!
//! ```text
//! c ← c + (m − c) · n / (N + n)
//! ```
//!
//! so it moves less and less. The first batch gives the first centroids, and is the only one that moves those without any vector.

use super::assign::Assignment;
use super::points::Points;
use super::update::{Means, normalize};
use super::{Kmeans, KmeansParams, start};
use crate::error::Result;
use crate::metric::Metric;
use crate::random::Random;
use crate::vectors::Vectors;

/// Finds `k` centroids, `batch` vectors an iteration.
///
/// # Errors
/// As [`kmeans`](super::kmeans).
pub(super) fn cluster(
    vectors: Vectors,
    k: usize,
    batch: usize,
    params: &KmeansParams,
    threads: usize,
) -> Result<Kmeans> {
    let KmeansParams { metric, iterations, seed, monitor, .. } = *params;
    let dim = vectors.dim();
    // Other numbers than the start's.
    let mut random = Random(!seed);
    let (mut centroids, mut seen, mut objective) = (Vec::new(), vec![0f64; k], Vec::new());
    for round in 0..iterations {
        let rows = random.choose(batch.min(vectors.len()), vectors.len());
        let chosen = vectors.gathered(&rows)?;
        let some = Vectors::from_bytes(chosen.bytes(), vectors.dtype(), dim)?;
        let weights = params.weights.map(|weights| rows.iter().map(|&at| weights[at]).collect::<Vec<f32>>());
        let points = Points::new(some, metric, weights.as_deref(), threads)?;
        if round == 0 {
            centroids = start::centroids(&points, k, params)?;
        }
        let mut assignment = Assignment::new(&points, &centroids, 1, (seed, threads, monitor))?;
        let done = assignment.assign(&centroids, threads, monitor)?;
        objective.push(done.objective * vectors.len() as f64 / rows.len() as f64);
        let mut means = Means::new(&points, k);
        let found = (&assignment.labels[..], &assignment.distances[..]);
        let before = centroids.clone();
        if round == 0 {
            means.update(&points, found, &mut centroids, (threads, monitor))?;
        } else {
            means.sort(&points, found.0);
            means.set(&points, &mut centroids, (threads, monitor))?;
        }
        let pairs = centroids.chunks_exact_mut(dim).zip(before.chunks_exact(dim));
        for (id, ((centroid, before), seen)) in pairs.zip(&mut seen).enumerate() {
            let new: f64 = means.of(id).iter().map(|&i| points.weight(i as usize)).sum();
            *seen += new;
            if round == 0 || new == 0.0 {
                continue;
            }
            let share = (new / *seen) as f32;
            centroid.iter_mut().zip(before).for_each(|(c, b)| *c = b + (*c - b) * share);
            if points.metric == Metric::Cosine {
                // Opposite directions of equal weight have no mean.
                if centroid.iter().all(|&c| c == 0.0) {
                    centroid.copy_from_slice(before);
                }
                normalize(centroid);
            }
        }
    }
    Ok(Kmeans { metric, dim, centroids, objective, prices: Vec::new() })
}
