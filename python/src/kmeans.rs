//! k-means as Python functions.

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use steep::kmeans::Start;
use steep::{Kmeans, KmeansParams};

use crate::arrays::{Matrix, count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

type Any<'py> = Bound<'py, PyAny>;

/// (centroids, objective, prices); `start` is a name, or centroids.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the public function's")]
pub fn kmeans<'py>(
    py: Python<'py>,
    x: &Any<'py>,
    k: &Any<'py>,
    metric: &str,
    iterations: &Any<'py>,
    start: &Any<'py>,
    weights: Option<PyReadonlyArray1<'py, f32>>,
    max_points_per_centroid: Option<&Any<'py>>,
    hierarchical: bool,
    batch: Option<&Any<'py>>,
    balanced: bool,
    seed: &Any<'py>,
    threads: Option<&Any<'py>>,
    progress: Option<&Any<'py>>,
) -> Result<(Any<'py>, Any<'py>, Any<'py>)> {
    let (k, iterations, seed) =
        (count("k", k)?, count("iterations", iterations)?, count("seed", seed)? as u64);
    let most = optional_count("max_points_per_centroid", max_points_per_centroid)?;
    let batch = optional_count("batch", batch)?;
    let (metric, threads) = (metric.parse()?, optional_count("threads", threads)?);
    let name: Option<String> = start.extract().ok();
    let given = if name.is_some() { None } else { Some(Matrix::centroids(start)?) };
    let x = Matrix::base(x)?;
    let (vectors, given) = (x.vectors()?, given.as_ref().map(Matrix::vectors).transpose()?);
    let start = match (name, given) {
        (Some(name), _) => name.parse()?,
        (None, Some(given)) => Start::Given(given),
        (None, None) => Start::Auto,
    };
    let weights = weights.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
    let found = released(py, progress, |pulse| {
        let params = KmeansParams {
            metric,
            iterations,
            start,
            weights,
            max_points_per_centroid: most,
            hierarchical,
            batch,
            balanced,
            seed,
            threads,
            monitor: Some(pulse),
        };
        Ok(steep::kmeans(vectors, k, &params)?)
    })?;
    let (rounds, priced) = (found.objective.len(), found.prices.len());
    Ok((
        table(py, found.centroids, found.dim, false)?,
        table(py, found.objective, rounds, true)?,
        table(py, found.prices, priced, true)?,
    ))
}

/// (labels, distances)
#[pyfunction]
pub fn kmeans_assign<'py>(
    py: Python<'py>,
    x: &Any<'py>,
    centroids: &Any<'py>,
    prices: PyReadonlyArray1<'py, f32>,
    metric: &str,
    threads: Option<&Any<'py>>,
    progress: Option<&Any<'py>>,
) -> Result<(Any<'py>, Any<'py>)> {
    let threads = optional_count("threads", threads)?;
    let (metric, x, centroids) = (metric.parse()?, Matrix::base(x)?, Matrix::centroids(centroids)?);
    let (vectors, centroids, prices) = (x.vectors()?, centroids.vectors()?, prices.as_slice()?);
    let (labels, distances) = released(py, progress, |pulse| {
        let values = centroids.as_slice::<f32>().unwrap_or_default().to_vec();
        let (dim, objective, prices) = (centroids.dim(), Vec::new(), prices.to_vec());
        let found = Kmeans { metric, dim, centroids: values, objective, prices };
        Ok(found.assign(vectors, threads, Some(pulse))?)
    })?;
    let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
    Ok((table(py, labels, vectors.len(), true)?, table(py, distances, vectors.len(), true)?))
}
