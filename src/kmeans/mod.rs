//! Vectors in k groups, each around its own centre: k-means (Lloyd 1982), with exact assignments.
//!
//! ```text
//! start     k vectors, or centroids that are given                       start.rs
//!           (or by a hierarchy of groups, approximately: hierarchy.rs, rounded.rs; or a part of them: minibatch.rs)
//! repeat    every vector → the nearest centroid, the lowest of equals    assign.rs, by codes (codes.rs) and by bounds
//!           every centroid → the mean of its vectors                     update.rs
//!           a centroid without vectors → where vectors are served worst
//! ```
//!
//! Under cosine and ip centroids are directions, of length 1 (spherical k-means: Dhillon, Modha 2001), and both are one
//! computation: of vectors of length 1, weighted under ip by the length that they had.

mod assign;
mod balance;
mod batch;
mod bounds;
mod codes;
mod hierarchy;
mod minibatch;
mod points;
mod rounded;
mod start;
#[cfg(test)]
mod tests;
mod update;

use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::random::Random;
use crate::threads::{self, Monitor};
use crate::vectors::{MAX_DIM, Vectors};

use assign::Assignment;
use points::Points;
pub use start::Start;
use update::Means;

/// Vectors and centroids at most: their numbers are 32-bit.
const MOST: usize = u32::MAX as usize;

/// Vectors that [`Kmeans::assign`] codes at a time, so that codes never outgrow the vectors of a large set.
const PIECE: usize = 1 << 17;

/// Vectors that a thread checks at a time.
const CHECKED: usize = 4096;

/// How to cluster. `KmeansParams::default()` is 25 iterations under l2 on all vectors and all cores.
#[derive(Clone, Copy)]
pub struct KmeansParams<'a> {
    /// What "near" means.
    pub metric: Metric,
    /// Rounds of assignment and update, at most: it ends sooner where nothing changes any more.
    pub iterations: usize,
    /// The first centroids.
    pub start: Start<'a>,
    /// What each vector counts, 0 or more; 1 where nothing is said.
    pub weights: Option<&'a [f32]>,
    /// Vectors that are used for each centroid, at most, a random choice; all where nothing is said.
    pub max_points_per_centroid: Option<usize>,
    /// Approximate assignments, for many centroids: a point is compared with about √k and then, in an iteration, with 192 or 64 of
    /// them in place of all. The objective of all iterations but the last is approximate too; that of the last is exact, and to the
    /// centroids that are returned.
    pub hierarchical: bool,
    /// Mini-batches, for sets larger than memory: an iteration looks at so many vectors, a random choice, and moves centroids by what
    /// they have seen so far. The objective is that of the batch times n / batch.
    pub batch: Option<usize>,
    /// Groups of about equal size: a centroid that has too many vectors asks a price, which [`Kmeans::assign`] adds to its distance. Of
    /// all iterations the centroids are those whose groups were most alike. It takes a copy of the vectors in f32.
    pub balanced: bool,
    /// Of what is random: the same seed gives the same centroids, at any number of threads.
    pub seed: u64,
    /// Threads at most; all cores where nothing is said.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

impl Default for KmeansParams<'_> {
    fn default() -> Self {
        Self {
            metric: Metric::L2,
            iterations: 25,
            start: Start::Auto,
            weights: None,
            max_points_per_centroid: None,
            hierarchical: false,
            batch: None,
            balanced: false,
            seed: 0,
            threads: None,
            monitor: None,
        }
    }
}

/// Centroids.
#[derive(Clone, Debug, PartialEq)]
pub struct Kmeans {
    /// What "near" means.
    pub metric: Metric,
    /// Coordinates of a centroid.
    pub dim: usize,
    /// k × dim values; of length 1 under cosine and ip.
    pub centroids: Vec<f32>,
    /// For each iteration the sum of weight × distance over all vectors, to the centroids that the iteration began with:
    /// squared l2, 1 − cos, or −⟨x, c⟩. Smaller is better.
    pub objective: Vec<f64>,
    /// What each centroid adds to the squared distance of a vector when it is looked for, where groups are balanced; otherwise none. Under
    /// cosine and ip to that of the directions, 2 − 2 cos.
    pub prices: Vec<f32>,
}

/// Puts `vectors` into `k` groups. Beside them it takes up to about 3 bytes a coordinate and 200 a vector, mostly for codes, of
/// those vectors that it uses ([`KmeansParams::max_points_per_centroid`]).
///
/// ```
/// use steep::{KmeansParams, Vectors, kmeans};
/// let x = [0.0f32, 0.0, 0.0, 1.0, 8.0, 8.0, 8.0, 9.0];
/// let found = kmeans(Vectors::new(&x, 2)?, 2, &KmeansParams::default())?;
/// let (labels, _) = found.assign(Vectors::new(&x, 2)?, None, None)?;
/// assert_eq!(labels[0], labels[1]);
/// assert_ne!(labels[0], labels[2]);
/// # Ok::<(), steep::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] where `k` is 0 or more than there are vectors that have a weight, where there are 2³² vectors or more,
/// where `iterations`, `max_points_per_centroid` or `threads` is 0, where weights are not one a vector, or
/// negative, not finite or all 0, where given centroids are not k, where they are given to
/// hierarchical clustering, where a batch is smaller than `k` or set beside what it does not go with, and where `balanced` is set
/// beside a batch or hierarchical clustering, or for 65,536 dimensions;
/// [`Error::Dimension`] where they have another dimension; [`Error::NotFinite`]; [`Error::ZeroVector`] under cosine;
/// [`Error::OutOfMemory`]; [`Error::Interrupted`].
pub fn kmeans(vectors: Vectors, k: usize, params: &KmeansParams) -> Result<Kmeans> {
    let KmeansParams { metric, iterations, seed, monitor, .. } = *params;
    let threads = check(vectors, k, params)?;
    if let Some(batch) = params.batch {
        return minibatch::cluster(vectors, k, batch, params, threads);
    }
    let most = params.max_points_per_centroid.map_or(usize::MAX, |most| most.saturating_mul(k));
    let (chosen, mut rows, mut weights);
    (rows, weights) = (vectors, params.weights.map(<[f32]>::to_vec));
    if vectors.len() > most {
        // Other numbers than the start's.
        let sample = Random(!seed).choose(most, vectors.len());
        chosen = vectors.gathered(&sample)?;
        rows = Vectors::from_bytes(chosen.bytes(), vectors.dtype(), vectors.dim())?;
        weights = weights.map(|weights| sample.iter().map(|&at| weights[at]).collect());
    }
    let points = Points::new(rows, metric, weights.as_deref(), threads)?;
    if params.hierarchical {
        return hierarchy::cluster(&points, k, params, threads);
    }
    if params.balanced {
        return balance::cluster(&points, k, params, threads);
    }
    let mut centroids = start::centroids(&points, k, params)?;
    let mut assignment = Assignment::new(&points, &centroids, iterations, (seed, threads, monitor))?;
    let mut means = Means::new(&points, k);
    let mut objective = Vec::new();
    for _ in 0..iterations {
        let done = assignment.assign(&centroids, threads, monitor)?;
        objective.push(done.objective);
        if !done.changed {
            break;
        }
        let found = (&assignment.labels[..], &assignment.distances[..]);
        means.update(&points, found, &mut centroids, (threads, monitor))?;
    }
    Ok(Kmeans { metric, dim: vectors.dim(), centroids, objective, prices: Vec::new() })
}

/// Refuses what cannot be clustered; the number of threads.
fn check(vectors: Vectors, k: usize, params: &KmeansParams) -> Result<usize> {
    if k == 0 || k > vectors.len() {
        return Err(Error::argument("k", k, "at least 1 and at most the number of vectors"));
    }
    if params.iterations == 0 {
        return Err(Error::argument("iterations", 0, "at least 1"));
    }
    if params.max_points_per_centroid == Some(0) {
        return Err(Error::argument("max_points_per_centroid", 0, "at least 1, or none for all"));
    }
    if let Some(batch) = params.batch {
        if batch < k {
            return Err(Error::argument(
                "batch",
                batch,
                "at least k, or none for all vectors in each iteration",
            ));
        }
        if params.hierarchical || params.max_points_per_centroid.is_some() {
            let expected = "none where hierarchical or max_points_per_centroid is set";
            return Err(Error::argument("batch", batch, expected));
        }
    }
    if params.balanced && (params.hierarchical || params.batch.is_some()) {
        return Err(Error::argument("balanced", true, "false where hierarchical or batch is set"));
    }
    if params.balanced && vectors.dim() == MAX_DIM {
        return Err(Error::argument("dim", vectors.dim(), "1 to 65535 where balanced is set"));
    }
    let threads = threads::resolve(params.threads)?;
    check_vectors(vectors, params.metric, "vectors", threads)?;
    if let Some(weights) = params.weights {
        if weights.len() != vectors.len() {
            return Err(Error::argument("weights", format_args!("{} values", weights.len()), "one a vector"));
        }
        if let Some(wrong) = weights.iter().find(|w| !w.is_finite() || **w < 0.0) {
            return Err(Error::argument("weights", wrong, "finite numbers of 0 or more"));
        }
        if weights.iter().all(|&w| w == 0.0) {
            return Err(Error::argument("weights", "all 0", "a positive one"));
        }
    }
    if let Start::Given(given) = params.start {
        if given.dim() != vectors.dim() {
            return Err(Error::Dimension { what: "centroids", expected: vectors.dim(), got: given.dim() });
        }
        if given.len() != k {
            return Err(Error::argument("start", format_args!("{} centroids", given.len()), "k of them"));
        }
        check_vectors(given, params.metric, "centroids", threads)?;
        if params.hierarchical {
            return Err(Error::argument(
                "start",
                "given centroids",
                "none of them where hierarchical is set",
            ));
        }
    }
    Ok(threads)
}

fn check_vectors(vectors: Vectors, metric: Metric, what: &'static str, threads: usize) -> Result<()> {
    if vectors.len() > MOST {
        return Err(Error::argument(what, vectors.len(), "fewer than 2³² vectors at a time"));
    }
    if !metric.is_of_products() {
        return Err(Error::argument("metric", metric, "\"l2\", \"ip\" or \"cosine\" for groups of vectors"));
    }
    metric.check_dtype(vectors.dtype())?;
    let check = |vectors: Vectors| {
        vectors.check_finite(what)?;
        // Under ip a vector of zeros weighs nothing, but a centroid needs a direction.
        if metric == Metric::Cosine || (metric == Metric::InnerProduct && what == "centroids") {
            vectors.check_nonzero(what)?;
        }
        Ok(())
    };
    let parts = (vectors.len().div_ceil(CHECKED), vectors.len() as u64);
    let checked = threads::run(threads, None, "check", parts, |at, _| {
        check(vectors.rows(at * CHECKED..((at + 1) * CHECKED).min(vectors.len())))
    });
    // The error names the first wrong row of all.
    if checked.is_err() { check(vectors) } else { Ok(()) }
}

impl Kmeans {
    /// How many centroids.
    pub fn k(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// The nearest centroid of each vector, the lowest of equals, and its distance by the metric; where groups are balanced, the nearest
    /// by distance and price.
    ///
    /// # Errors
    /// [`Error::Dimension`]; [`Error::NotFinite`]; [`Error::ZeroVector`] under cosine; [`Error::Argument`] where `threads` is 0 or
    /// there are no centroids; [`Error::OutOfMemory`]; [`Error::Interrupted`].
    pub fn assign(
        &self,
        vectors: Vectors,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<(Vec<u32>, Vec<f32>)> {
        if vectors.dim() != self.dim {
            return Err(Error::Dimension { what: "vectors", expected: self.dim, got: vectors.dim() });
        }
        let threads = threads::resolve(threads)?;
        check_vectors(vectors, self.metric, "vectors", threads)?;
        if self.centroids.is_empty() {
            return Err(Error::argument("centroids", "none", "at least one"));
        }
        check_vectors(Vectors::new(&self.centroids, self.dim)?, self.metric, "centroids", threads)?;
        let wrong = |p: &&f32| !p.is_finite() || **p < 0.0;
        if !self.prices.is_empty() && self.prices.len() != self.k() {
            return Err(Error::argument(
                "prices",
                format_args!("{} values", self.prices.len()),
                "one a centroid",
            ));
        }
        if let Some(wrong) = self.prices.iter().find(wrong) {
            return Err(Error::argument("prices", wrong, "finite numbers of 0 or more"));
        }
        let (mut labels, mut distances) = (Vec::new(), Vec::new());
        for from in (0..vectors.len()).step_by(PIECE) {
            let some = vectors.rows(from..(from + PIECE).min(vectors.len()));
            if !self.prices.is_empty() {
                let (new, far) = balance::nearest(self, some, (threads, monitor))?;
                labels.extend(new);
                distances.extend(far);
                continue;
            }
            let points = Points::new(some, self.metric, None, threads)?;
            let mut assignment = Assignment::new(&points, &self.centroids, 1, (0, threads, monitor))?;
            assignment.assign(&self.centroids, threads, monitor)?;
            let (new, far) = assignment.nearest(self.metric, &self.centroids)?;
            labels.extend(new);
            distances.extend(far);
        }
        Ok((labels, distances))
    }
}
