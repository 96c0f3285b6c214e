//! Codes in Faiss's layouts: what bytes mean, and what they are learned from.

use std::sync::Arc;

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use steep::Error;
use steep::faiss::codec::{self as core, BookParams, Layout, RaBitQuery, RangeStat};

use crate::arrays::{count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

type Any<'py> = Bound<'py, PyAny>;
type Values<'py> = PyReadonlyArray1<'py, f32>;
type Rows<'py> = PyReadonlyArray2<'py, f32>;
type Codes<'py> = PyReadonlyArray2<'py, u8>;

/// See `steep::faiss::codec`.
#[pyclass(frozen, module = "steep._steep")]
pub struct Codec(pub Arc<dyn core::Codec>);

/// Rows of `dim` values each.
fn width(rows: &Rows, what: &'static str, expected: usize) -> Result<()> {
    let got = rows.as_array().ncols();
    if got == expected { Ok(()) } else { Err(Error::Dimension { what, expected, got }.into()) }
}

#[pymethods]
impl Codec {
    #[staticmethod]
    fn flat(dim: &Any) -> Result<Self> {
        Ok(Self(Arc::new(core::Flat::new(count("d", dim)?)?)))
    }

    /// Of zeros and ones.
    #[staticmethod]
    fn binary(dim: &Any) -> Result<Self> {
        Ok(Self(Arc::new(core::Binary::new(count("d", dim)?)?)))
    }

    #[staticmethod]
    fn scalar(dim: &Any, qtype: &Any, trained: Values) -> Result<Self> {
        let layout = Layout::from_number(count("qtype", qtype)?)?;
        Ok(Self(Arc::new(core::Scalar::new(count("d", dim)?, layout, trained.as_slice()?)?)))
    }

    #[staticmethod]
    fn product(dim: &Any, m: &Any, nbits: &Any, centroids: Values) -> Result<Self> {
        let (dim, m, nbits) = (count("d", dim)?, count("m", m)?, count("nbits", nbits)?);
        Ok(Self(Arc::new(core::Product::new(dim, m, nbits, centroids.as_slice()?)?)))
    }

    /// The same with four bits, for lists in blocks of 32.
    #[staticmethod]
    fn fastscan(dim: &Any, m: &Any, centroids: Values) -> Result<Self> {
        let product = core::Product::new(count("d", dim)?, count("m", m)?, 4, centroids.as_slice()?)?;
        Ok(Self(Arc::new(core::FastScan::new(Arc::new(product))?)))
    }

    #[staticmethod]
    fn rabitq(
        dim: &Any,
        metric: &str,
        nb_bits: &Any,
        qb: &Any,
        centered: bool,
        centroid: Option<Values>,
    ) -> Result<Self> {
        let (dim, bits) = (count("d", dim)?, count("nb_bits", nb_bits)?);
        let query = RaBitQuery { bits: count("qb", qb)?, centered };
        let centroid = centroid.as_ref().map(Values::as_slice).transpose()?;
        Ok(Self(Arc::new(core::RaBitQ::new(dim, metric.parse()?, bits, query, centroid)?)))
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    #[getter]
    fn code_size(&self) -> usize {
        self.0.code_size()
    }

    /// Codes of the rows of `x`, which `centers` are taken off already.
    #[pyo3(signature = (x, centers=None, threads=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        x: Rows<'py>,
        centers: Option<Rows<'py>>,
        threads: Option<&Any<'py>>,
    ) -> Result<Any<'py>> {
        width(&x, "vectors", self.0.dim())?;
        let threads = optional_count("threads", threads)?;
        let centers = centers.as_ref().map(Rows::as_slice).transpose()?;
        let x = x.as_slice()?;
        let codes =
            released(py, None, |pulse| Ok(core::encode(&*self.0, x, centers, threads, Some(pulse))?))?;
        table(py, codes, self.0.code_size(), false)
    }

    #[pyo3(signature = (codes, threads=None))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        codes: Codes<'py>,
        threads: Option<&Any<'py>>,
    ) -> Result<Any<'py>> {
        let (codes, threads) = (self.codes(&codes)?, optional_count("threads", threads)?);
        let x = released(py, None, |pulse| Ok(core::decode(&*self.0, codes, threads, Some(pulse))?))?;
        table(py, x, self.0.dim(), false)
    }

    /// A row for each query, smaller for what is nearer.
    #[pyo3(signature = (q, codes, metric, threads=None))]
    fn distances<'py>(
        &self,
        py: Python<'py>,
        q: Rows<'py>,
        codes: Codes<'py>,
        metric: &str,
        threads: Option<&Any<'py>>,
    ) -> Result<Any<'py>> {
        width(&q, "queries", self.0.dim())?;
        let (metric, threads) = (metric.parse()?, optional_count("threads", threads)?);
        let columns = codes.as_array().nrows();
        let (queries, codes) = (q.as_slice()?, self.codes(&codes)?);
        let found = released(py, None, |pulse| {
            Ok(core::distances(&*self.0, metric, queries, codes, threads, Some(pulse))?)
        })?;
        table(py, found, columns, false)
    }
}

impl Codec {
    fn codes<'a>(&self, codes: &'a Codes) -> Result<&'a [u8]> {
        if codes.as_array().ncols() != self.0.code_size() {
            let got = format!("codes of {} bytes", codes.as_array().ncols());
            return Err(Error::argument("codes", got, "codes of this codec's code_size").into());
        }
        Ok(codes.as_slice()?)
    }
}

/// Low ends and widths of ranges: what `Codec.scalar` takes as `trained`.
#[pyfunction]
pub fn faiss_train_scalar<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    qtype: &Any<'py>,
    rangestat: &Any<'py>,
    arg: f32,
    threads: Option<&Any<'py>>,
) -> Result<Any<'py>> {
    let layout = Layout::from_number(count("qtype", qtype)?)?;
    let stat = RangeStat::from_number(count("rangestat", rangestat)?)?;
    let (dim, threads) = (x.as_array().ncols(), optional_count("threads", threads)?);
    let x = x.as_slice()?;
    let trained = released(py, None, |pulse| {
        Ok(core::train_ranges(x, dim, layout, (stat, arg), threads, Some(pulse))?)
    })?;
    table(py, trained, 1, true)
}

/// Centroids of all parts, one after the other: what `Codec.product` takes.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "those of k-means")]
pub fn faiss_train_product<'py>(
    py: Python<'py>,
    x: Rows<'py>,
    m: &Any<'py>,
    nbits: &Any<'py>,
    iterations: &Any<'py>,
    seed: &Any<'py>,
    max_points_per_centroid: &Any<'py>,
    start: Option<Values<'py>>,
    threads: Option<&Any<'py>>,
) -> Result<Any<'py>> {
    let (m, nbits) = (count("m", m)?, count("nbits", nbits)?);
    let (iterations, seed) = (count("iterations", iterations)?, count("seed", seed)? as u64);
    let most = count("max_points_per_centroid", max_points_per_centroid)?;
    let (dim, threads) = (x.as_array().ncols(), optional_count("threads", threads)?);
    let (x, start) = (x.as_slice()?, start.as_ref().map(Values::as_slice).transpose()?);
    let centroids = released(py, None, |pulse| {
        let params = BookParams {
            iterations,
            max_points_per_centroid: most,
            seed,
            start,
            threads,
            monitor: Some(pulse),
        };
        Ok(core::train_books(x, dim, (m, nbits), &params)?)
    })?;
    table(py, centroids, 1, true)
}
