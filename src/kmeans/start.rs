//! The first centroids.

use std::str::FromStr;

use super::KmeansParams;
use super::points::Points;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::metric::Metric;
use crate::random::Random;
use crate::threads;
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Vectors that k-means++ chooses from, for each centroid.
const SAMPLE: usize = 32;
/// Products that k-means++ may cost where nothing is said.
const CHEAP: usize = 1 << 30;

/// Which vectors are the first centroids.
#[derive(Clone, Copy, Debug, Default)]
pub enum Start<'a> {
    /// [`Start::PlusPlus`] where it costs little beside the iterations, that is for few centroids, [`Start::Random`] otherwise.
    #[default]
    Auto,
    /// Any k vectors.
    Random,
    /// k-means++ (Arthur, Vassilvitskii 2007) on a sample of 32 vectors a centroid: each is drawn with a probability that grows with
    /// its distance to those that were drawn before.
    PlusPlus,
    /// These, k × dim values.
    Given(Vectors<'a>),
}

impl FromStr for Start<'_> {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "random" => Ok(Self::Random),
            "k-means++" => Ok(Self::PlusPlus),
            _ => Err(Error::argument(
                "start",
                format_args!("{name:?}"),
                "\"auto\", \"random\" or \"k-means++\"",
            )),
        }
    }
}

/// The first `k` centroids, k × dim values.
///
/// # Errors
/// [`Error::Argument`] where fewer than `k` vectors have a weight, [`Error::Interrupted`].
pub(super) fn centroids(points: &Points, k: usize, params: &KmeansParams) -> Result<Vec<f32>> {
    let dim = points.rows.dim();
    let mut random = Random(params.seed);
    let eligible: Vec<u32> = (0..points.len() as u32).filter(|&i| points.weight(i as usize) > 0.0).collect();
    if eligible.len() < k {
        return Err(Error::argument("k", k, "at most the number of vectors that have a weight"));
    }
    let spread = match params.start {
        Start::Auto => SAMPLE.saturating_mul(k).saturating_mul(k).saturating_mul(dim) <= CHEAP,
        other => matches!(other, Start::PlusPlus),
    };
    let values = |rows: Vectors, chosen: &[u32]| rows.dtype().visit(Gather(rows, chosen));
    let mut centroids = match params.start {
        Start::Given(given) => values(given, &(0..k as u32).collect::<Vec<u32>>()),
        _ if spread => values(points.rows, &plus_plus(points, &eligible, k, &mut random, params)?),
        _ => {
            let chosen = random.choose(k, eligible.len());
            values(points.rows, &chosen.into_iter().map(|at| eligible[at]).collect::<Vec<u32>>())
        }
    };
    if points.metric == Metric::Cosine {
        centroids.chunks_exact_mut(dim).for_each(super::update::normalize);
    }
    Ok(centroids)
}

/// `k` of the points `eligible`.
fn plus_plus(
    points: &Points,
    eligible: &[u32],
    k: usize,
    random: &mut Random,
    params: &KmeansParams,
) -> Result<Vec<u32>> {
    let count = SAMPLE.saturating_mul(k).min(eligible.len());
    let sample: Vec<u32> = random.choose(count, eligible.len()).into_iter().map(|at| eligible[at]).collect();
    let isa = Isa::active();
    let (mut query, mut distances) = (Query::default(), Vec::new());
    let mut costs = vec![f64::INFINITY; count];
    let mut chosen = Vec::with_capacity(k);
    let weigh = |at: usize| points.weight(sample[at] as usize);
    let mut next = draw((0..count).map(weigh), random);
    loop {
        threads::pause(params.monitor, "start", chosen.len() as u64, k as u64)?;
        chosen.push(sample[next]);
        if chosen.len() == k {
            return Ok(chosen);
        }
        query.set(points.metric, points.rows, sample[next] as usize, points.rows.dtype());
        distances.clear();
        query.distances(isa, points.rows, &sample, &mut distances);
        for (at, (cost, &distance)) in costs.iter_mut().zip(&distances).enumerate() {
            *cost = cost.min(f64::from(distance.max(0.0)) * weigh(at));
        }
        // Never the same twice, even where all others are its copies.
        costs[next] = f64::NEG_INFINITY;
        next = draw(costs.iter().copied(), random);
    }
}

/// A number drawn with the probabilities `parts` have of their sum; the first that may be drawn where that is 0. What is less
/// than 0 is not drawn.
fn draw(parts: impl Iterator<Item = f64> + Clone, random: &mut Random) -> usize {
    let sum: f64 = parts.clone().filter(|part| *part > 0.0).sum();
    let mut left = random.unit() * sum;
    let mut last = None;
    for (at, part) in parts.enumerate().filter(|(_, part)| *part >= 0.0) {
        if last.is_none() || part > 0.0 {
            last = Some(at);
        }
        left -= part;
        if left < 0.0 {
            break;
        }
    }
    last.unwrap_or(0)
}

/// Rows as f32.
struct Gather<'a>(Vectors<'a>, &'a [u32]);

impl DtypeVisitor for Gather<'_> {
    type Out = Vec<f32>;
    fn visit<E: Element>(self) -> Vec<f32> {
        let (dim, values) = (self.0.dim(), self.0.as_slice::<E>().unwrap_or_default());
        let rows = self.1.iter().flat_map(|&row| &values[row as usize * dim..][..dim]);
        rows.map(|v| v.to_f64() as f32).collect()
    }
}
