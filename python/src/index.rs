//! The core's index as a Python object: each method translates its arguments, releases the interpreter and calls.

use std::path::PathBuf;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};
use steep::index::Kind;
use steep::search::Stats;
use steep::{AddParams, BuildParams, Dtype, Metric, OpenParams, SaveParams, SearchParams, Spec};

use crate::arrays::{Matrix, count, counts, ids as read_ids, optional_count, table};
use crate::call::released;
use crate::errors::Result;
use crate::shared::Shared;

/// An index that threads share.
#[pyclass(frozen, module = "steep._steep")]
pub struct Index {
    core: Shared<steep::Index>,
    dim: usize,
    metric: Metric,
    /// The metric's name, made once: every search hands it out.
    name: PyOnceLock<Py<PyString>>,
    dtype: Dtype,
}

impl From<steep::Index> for Index {
    fn from(core: steep::Index) -> Self {
        let (dim, metric, dtype) = (core.dim(), core.metric(), core.dtype());
        Self { core: Shared::new(core), dim, metric, name: PyOnceLock::new(), dtype }
    }
}

type Any<'py> = Bound<'py, PyAny>;
type Ids<'py> = Bound<'py, PyArray1<i64>>;
type Distances<'py> = Bound<'py, PyArray1<f32>>;

#[pymethods]
impl Index {
    #[new]
    fn new(dim: &Bound<PyAny>, metric: &str, spec: &str, dtype: &str) -> Result<Self> {
        let core = steep::Index::new(count("dim", dim)?, metric.parse()?, dtype.parse()?, spec.parse()?)?;
        Ok(core.into())
    }

    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "the public function's")]
    fn build(
        py: Python,
        x: &Bound<PyAny>,
        metric: &str,
        spec: &str,
        ids: Option<&Bound<PyAny>>,
        threads: Option<&Bound<PyAny>>,
        seed: &Bound<PyAny>,
        progress: Option<&Bound<PyAny>>,
    ) -> Result<Self> {
        let (metric, spec): (Metric, Spec) = (metric.parse()?, spec.parse()?);
        let (threads, seed) = (optional_count("threads", threads)?, count("seed", seed)? as u64);
        let (x, ids) = (Matrix::base(x)?, read_ids(ids)?);
        let (vectors, ids) = (x.vectors()?, ids.as_ref().map(PyReadonlyArray1::as_slice).transpose()?);
        released(py, progress, |pulse| {
            let params = BuildParams { metric, spec, ids, seed, threads, monitor: Some(pulse) };
            Ok(steep::Index::build(vectors, &params)?.into())
        })
    }

    fn add(
        &self,
        py: Python,
        x: &Bound<PyAny>,
        ids: Option<&Bound<PyAny>>,
        threads: Option<&Bound<PyAny>>,
        progress: Option<&Bound<PyAny>>,
    ) -> Result<()> {
        let threads = optional_count("threads", threads)?;
        let (x, ids) = (Matrix::base(x)?, read_ids(ids)?);
        let (vectors, ids) = (x.vectors()?, ids.as_ref().map(PyReadonlyArray1::as_slice).transpose()?);
        released(py, progress, |pulse| {
            let params = AddParams { ids, threads, monitor: Some(pulse) };
            Ok(self.core.write(pulse)?.add(vectors, &params)?)
        })
    }

    /// (asked for, made) where there are fewer lists than the spec says
    fn fewer_lists(&self, py: Python) -> Result<Option<(usize, usize)>> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.fewer_lists()))
    }

    /// (ids, distances, (hops, estimates, refined, reranked) where `stats` and the index is a graph or of codes)
    #[expect(clippy::too_many_arguments, reason = "the public method's")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        k: &Bound<PyAny>,
        ef_search: Option<&Bound<PyAny>>,
        nprobe: Option<&Bound<PyAny>>,
        max_codes: Option<&Bound<PyAny>>,
        rerank: Option<&Bound<PyAny>>,
        threads: Option<&Bound<PyAny>>,
        stats: bool,
        progress: Option<&Bound<PyAny>>,
    ) -> Result<(Any<'py>, Any<'py>, Option<[Any<'py>; 4]>)> {
        let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
        let ef_search = optional_count("ef_search", ef_search)?;
        let (nprobe, max_codes) =
            (optional_count("nprobe", nprobe)?, optional_count("max_codes", max_codes)?);
        let rerank = optional_count("rerank", rerank)?;
        let q = Matrix::queries(q)?;
        let queries = q.vectors()?;
        let (mut hits, counted) = released(py, progress, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), ef_search, nprobe, max_codes, rerank };
            let core = self.core.read(pulse)?;
            let counted = matches!(core.spec().kind, Kind::Graph { .. } | Kind::Codes { .. });
            Ok((core.search(queries, k, &params)?, counted))
        })?;
        if counted {
            hits.stats.resize(queries.len(), Stats::default()); // an empty index cost nothing
        }
        let column = |read: fn(&Stats) -> u64| counts(py, hits.stats.iter().map(read).collect(), q.single);
        let stats = match stats && (counted || !hits.stats.is_empty()) {
            true => Some([
                column(|s| s.hops)?,
                column(|s| s.estimates)?,
                column(|s| s.refined)?,
                column(|s| s.reranked)?,
            ]),
            false => None,
        };
        Ok((table(py, hits.ids, k, q.single)?, table(py, hits.distances, k, q.single)?, stats))
    }

    /// (offsets, ids, distances)
    fn range_search<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        radius: f64,
        nprobe: Option<&Bound<PyAny>>,
        threads: Option<&Bound<PyAny>>,
        progress: Option<&Bound<PyAny>>,
    ) -> Result<(Ids<'py>, Ids<'py>, Distances<'py>)> {
        let (nprobe, threads) = (optional_count("nprobe", nprobe)?, optional_count("threads", threads)?);
        let q = Matrix::queries(q)?;
        let queries = q.vectors()?;
        let hits = released(py, progress, |pulse| {
            let params = SearchParams { threads, monitor: Some(pulse), nprobe, ..SearchParams::default() };
            Ok(self.core.read(pulse)?.range_search(queries, radius as f32, &params)?)
        })?;
        let offsets = hits.offsets.into_iter().map(|offset| offset as i64).collect();
        let (ids, distances) = (PyArray1::from_vec(py, hits.ids), PyArray1::from_vec(py, hits.distances));
        Ok((PyArray1::from_vec(py, offsets), ids, distances))
    }

    fn convert(
        &self,
        py: Python,
        spec: &str,
        seed: &Bound<PyAny>,
        threads: Option<&Bound<PyAny>>,
        progress: Option<&Bound<PyAny>>,
    ) -> Result<Self> {
        let (threads, seed) = (optional_count("threads", threads)?, count("seed", seed)? as u64);
        let spec = spec.parse()?;
        released(py, progress, |pulse| {
            let params = BuildParams { spec, seed, threads, monitor: Some(pulse), ..BuildParams::default() };
            Ok(self.core.read(pulse)?.convert(&params)?.into())
        })
    }

    fn save(&self, py: Python, path: PathBuf) -> Result<()> {
        released(py, None, |pulse| {
            let params = SaveParams { monitor: Some(pulse) };
            Ok(self.core.read(pulse)?.save_with(&path, &params)?)
        })
    }

    #[staticmethod]
    fn open(py: Python, path: PathBuf, mmap: bool) -> Result<Self> {
        released(py, None, |pulse| {
            let params = OpenParams { mmap, monitor: Some(pulse) };
            Ok(steep::Index::open_with(&path, &params)?.into())
        })
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyArray1<u8>>> {
        let bytes = released(py, None, |pulse| Ok(self.core.read(pulse)?.to_bytes()?))?;
        Ok(PyArray1::from_vec(py, bytes))
    }

    #[staticmethod]
    fn from_bytes(py: Python, bytes: PyReadonlyArray1<u8>) -> Result<Self> {
        let bytes = bytes.as_slice()?;
        released(py, None, |_| Ok(steep::Index::from_bytes(bytes)?.into()))
    }

    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.len()))
    }

    #[getter]
    fn dim(&self) -> usize {
        self.dim
    }

    #[getter]
    fn metric(&self, py: Python) -> Py<PyString> {
        let name = || PyString::new(py, &self.metric.to_string()).unbind();
        self.name.get_or_init(py, name).clone_ref(py)
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.dtype.name()
    }

    #[getter]
    fn spec(&self, py: Python) -> Result<String> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.spec().to_string()))
    }

    #[getter]
    fn mapped(&self, py: Python) -> Result<bool> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.is_mapped()))
    }

    #[getter]
    fn bytes<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let parts = released(py, None, |pulse| Ok(self.core.read(pulse)?.bytes()))?;
        let dict = PyDict::new(py);
        for (part, bytes) in &parts {
            dict.set_item(part, bytes)?;
        }
        dict.set_item("total", parts.iter().map(|(_, bytes)| bytes).sum::<u64>())?;
        Ok(dict)
    }
}
