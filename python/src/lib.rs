//! `steep._steep`: the compiled half of the Python package. It translates, and holds no logic of its own.

mod arrays;
mod call;
mod errors;
mod faiss;
mod files;
mod index;
mod kmeans;
mod shared;

use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use steep::{SearchParams, evaluate, kernels, threads};

use crate::arrays::{Matrix, count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

/// The names that `steep/*.py` builds on.
#[pymodule]
mod _steep {
    #[pymodule_export]
    use super::faiss::codec::{Codec, faiss_train_product, faiss_train_scalar};
    #[pymodule_export]
    use super::faiss::file::{faiss_convert, faiss_known, faiss_pack, faiss_read, faiss_unpack, faiss_write};
    #[pymodule_export]
    use super::faiss::flat::Flat;
    #[pymodule_export]
    use super::faiss::hnsw::{Hnsw, NativeGraph};
    #[pymodule_export]
    use super::faiss::linear::{faiss_linear, faiss_normalize, faiss_rotate, faiss_squares, faiss_sums};
    #[pymodule_export]
    use super::faiss::lists::{Centers, Lists, NativeLists};
    #[pymodule_export]
    use super::faiss::random::{Twister, faiss_random};
    #[pymodule_export]
    use super::faiss::select::{faiss_buckets, faiss_select};
    #[pymodule_export]
    use super::faiss::selector::Selector;
    #[pymodule_export]
    use super::files::{Memory, read_vectors, write_vectors};
    #[pymodule_export]
    use super::index::Index;
    #[pymodule_export]
    use super::kmeans::{kmeans, kmeans_assign};
    #[pymodule_export]
    use super::{ground_truth, info, recall};
}

/// (ids, distances)
#[pyfunction]
fn ground_truth<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    q: &Bound<'py, PyAny>,
    k: &Bound<PyAny>,
    metric: &str,
    threads: Option<&Bound<PyAny>>,
    progress: Option<&Bound<PyAny>>,
) -> Result<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
    let (metric, x, q) = (metric.parse()?, Matrix::base(x)?, Matrix::queries(q)?);
    let (vectors, queries) = (x.vectors()?, q.vectors()?);
    let hits = released(py, progress, |pulse| {
        let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
        Ok(evaluate::ground_truth(vectors, queries, k, metric, &params)?)
    })?;
    Ok((table(py, hits.ids, k, q.single)?, table(py, hits.distances, k, q.single)?))
}

#[pyfunction]
fn recall(py: Python, found: PyReadonlyArray2<i64>, truth: PyReadonlyArray2<i64>) -> Result<f64> {
    let (found_k, truth_k) = (found.as_array().ncols(), truth.as_array().ncols());
    let (found, truth) = (found.as_slice()?, truth.as_slice()?);
    released(py, None, |_| Ok(evaluate::recall(found, found_k, truth, truth_k)?))
}

#[pyfunction]
fn info(py: Python) -> Result<Bound<PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("version", env!("CARGO_PKG_VERSION"))?;
    facts.set_item("isa", kernels::Isa::active().name())?;
    facts.set_item(
        "features",
        kernels::features().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    )?;
    facts.set_item("threads", threads::available())?;
    Ok(facts)
}
