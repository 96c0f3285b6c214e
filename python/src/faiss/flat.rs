//! Vectors numbered from 0, searched exactly.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use steep::faiss::flat::Flat as Core;
use steep::{Dtype, Metric, SearchParams, Vectors};

use super::selector::Selector;
use crate::arrays::{Matrix, count, optional_count, table};
use crate::call::{Pulse, released};
use crate::errors::Result;
use crate::shared::Shared;

type Any<'py> = Bound<'py, PyAny>;
type Ids<'py> = Bound<'py, PyArray1<i64>>;
type Distances<'py> = Bound<'py, PyArray1<f32>>;

/// See `steep::faiss::flat`.
#[pyclass(frozen, module = "steep._steep")]
pub struct Flat {
    pub(super) core: Shared<Core>,
}

impl Flat {
    /// The rows nearest to each query, and how far: squared, or their inner products.
    pub(super) fn nearest(
        &self,
        queries: &[f32],
        k: usize,
        threads: Option<usize>,
        pulse: &Pulse,
    ) -> Result<(Vec<i64>, Vec<f32>)> {
        let core = self.core.read(pulse)?;
        let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
        let mut hits = core.near(Vectors::new(queries, core.dim())?, k, &params)?;
        if core.metric() == Metric::InnerProduct {
            hits.distances.iter_mut().for_each(|v| *v = -*v);
        }
        Ok((hits.ids, hits.distances))
    }
}

#[pymethods]
impl Flat {
    #[new]
    fn new(dim: &Any, metric: &str) -> Result<Self> {
        let core = Shared::new(Core::new(count("dim", dim)?, metric.parse()?)?);
        Ok(Self { core })
    }

    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.len()))
    }

    fn bytes(&self, py: Python) -> Result<u64> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.bytes()))
    }

    fn add(&self, py: Python, x: &Any) -> Result<()> {
        let x = Matrix::base(x)?;
        let vectors = x.vectors()?;
        released(py, None, |pulse| Ok(self.core.write(pulse)?.add(vectors, Some(pulse))?))
    }

    /// Rows from..to, of f32, or the bytes of bits.
    fn vectors<'py>(&self, py: Python<'py>, from: usize, to: usize) -> Result<Any<'py>> {
        enum Rows {
            Floats(Vec<f32>, usize),
            Bits(Vec<u8>, usize),
        }
        let rows = released(py, None, |pulse| {
            let core = self.core.read(pulse)?;
            if from > to || to > core.len() {
                let text = format!("rows {from} to {to} of {}", core.len());
                return Err(PyIndexError::new_err(text).into());
            }
            let rows = core.rows();
            Ok(match rows.dtype() {
                Dtype::B1 => Rows::Bits(rows.rows(from..to).bytes().to_vec(), rows.row_bytes()),
                _ => Rows::Floats(core.vectors(from, to), core.dim()),
            })
        })?;
        match rows {
            Rows::Floats(rows, dim) => table(py, rows, dim, false),
            Rows::Bits(rows, bytes) => table(py, rows, bytes, false),
        }
    }

    /// (ids, distances)
    fn search<'py>(
        &self,
        py: Python<'py>,
        q: &Any<'py>,
        k: &Any<'py>,
        selector: Option<&Selector>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>)> {
        let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
        let q = Matrix::queries(q)?;
        let queries = q.vectors()?;
        let hits = released(py, None, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
            let mut core = self.core.read(pulse)?;
            if selector.is_none() && core.wants(queries.len()) {
                drop(core);
                // Another thread may be here first: then nothing is wanted any more.
                self.core.write(pulse)?.prepare(queries.len(), threads, Some(pulse))?;
                core = self.core.read(pulse)?;
            }
            Ok(core.search(queries, k, selector.map(|set| &set.0), &params)?)
        })?;
        Ok((table(py, hits.ids, k, q.single)?, table(py, hits.distances, k, q.single)?))
    }

    /// (ids, distances) in single precision, for centroids
    fn near<'py>(
        &self,
        py: Python<'py>,
        q: &Any<'py>,
        k: &Any<'py>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>)> {
        let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
        let q = Matrix::queries(q)?;
        let queries = q.vectors()?;
        let hits = released(py, None, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
            Ok(self.core.read(pulse)?.near(queries, k, &params)?)
        })?;
        Ok((table(py, hits.ids, k, q.single)?, table(py, hits.distances, k, q.single)?))
    }

    /// (offsets, ids, distances)
    fn range_search<'py>(
        &self,
        py: Python<'py>,
        q: &Any<'py>,
        radius: f32,
        selector: Option<&Selector>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Ids<'py>, Ids<'py>, Distances<'py>)> {
        let threads = optional_count("threads", threads)?;
        let q = Matrix::queries(q)?;
        let queries = q.vectors()?;
        let hits = released(py, None, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
            let selector = selector.map(|set| &set.0);
            Ok(self.core.read(pulse)?.range_search(queries, radius, selector, &params)?)
        })?;
        let offsets = hits.offsets.into_iter().map(|offset| offset as i64).collect();
        let (ids, distances) = (PyArray1::from_vec(py, hits.ids), PyArray1::from_vec(py, hits.distances));
        Ok((PyArray1::from_vec(py, offsets), ids, distances))
    }

    /// (ids, distances) of the nearest of each query's candidates
    fn rank<'py>(
        &self,
        py: Python<'py>,
        q: &Any<'py>,
        k: &Any<'py>,
        candidates: PyReadonlyArray2<'py, i64>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>)> {
        let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
        let q = Matrix::queries(q)?;
        let (queries, candidates) = (q.vectors()?, candidates.as_slice()?);
        let hits = released(py, None, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), ..SearchParams::default() };
            Ok(self.core.read(pulse)?.rank(queries, k, candidates, &params)?)
        })?;
        Ok((table(py, hits.ids, k, false)?, table(py, hits.distances, k, false)?))
    }

    /// How many went.
    fn remove(&self, py: Python, selector: &Selector) -> Result<usize> {
        released(py, None, |pulse| Ok(self.core.write(pulse)?.remove(&selector.0)?))
    }

    /// Becomes the rows `rows`, in that order.
    fn choose(&self, py: Python, rows: PyReadonlyArray1<i64>) -> Result<()> {
        let rows = rows.as_slice()?;
        released(py, None, |pulse| {
            let mut core = self.core.write(pulse)?;
            if let Some(row) = rows.iter().find(|&&row| row < 0 || row >= core.len() as i64) {
                return Err(PyIndexError::new_err(format!("row {row} of {}", core.len())).into());
            }
            let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
            Ok(core.choose(&rows)?)
        })
    }
}
