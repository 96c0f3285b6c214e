//! Inverted lists and the search in them.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use steep::faiss::lists::{Centers as CoreCenters, Found, Lists as Core, Native, Probes, Within};
use steep::threads;
use steep::{Hits, Metric, SearchParams};

use super::codec::Codec;
use super::flat::Flat;
use super::selector::Selector;
use crate::arrays::{Matrix, count, optional_count, table};
use crate::call::{Pulse, released};
use crate::errors::Result;
use crate::shared::Shared;

type Any<'py> = Bound<'py, PyAny>;
type Ids<'py> = Bound<'py, PyArray1<i64>>;
type Distances<'py> = Bound<'py, PyArray1<f32>>;

/// The centres that residuals are taken from.
#[pyclass(frozen, module = "steep._steep")]
pub struct Centers(CoreCenters);

#[pymethods]
impl Centers {
    #[new]
    fn new(py: Python, codec: &Codec, metric: &str, rows: PyReadonlyArray2<f32>) -> Result<Self> {
        let (metric, rows) = (metric.parse()?, rows.as_slice()?);
        released(py, None, |_| Ok(Self(CoreCenters::new(&*codec.0, metric, rows.to_vec())?)))
    }
}

/// See `steep::faiss::lists`.
#[pyclass(frozen, module = "steep._steep")]
pub struct Lists(pub(super) Shared<Core>);

/// Which lists each query looks at.
#[derive(FromPyObject)]
enum Keys<'py> {
    /// Those of the so many nearest centroids.
    Near(Py<Flat>, usize),
    Given(PyReadonlyArray2<'py, i64>),
}

/// What a search of lists is told besides the queries.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Asked<'py> {
    keys: Keys<'py>,
    /// Of keys that are given.
    coarse: Option<PyReadonlyArray2<'py, f32>>,
    metric: String,
    centers: Option<Py<Centers>>,
    max_codes: usize,
    selector: Option<Py<Selector>>,
    places: bool,
    threads: Option<usize>,
}

#[pymethods]
impl Lists {
    #[new]
    fn new(lists: &Any, code_size: &Any, block: &Any) -> Result<Self> {
        let core = Core::new(count("nlist", lists)?, count("code_size", code_size)?, count("block", block)?)?;
        Ok(Self(Shared::new(core)))
    }

    /// Codes in all lists.
    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| {
            let core = self.0.read(pulse)?;
            Ok((0..core.count()).map(|list| core.len(list)).sum())
        })
    }

    fn bytes(&self, py: Python) -> Result<u64> {
        released(py, None, |pulse| Ok(self.0.read(pulse)?.bytes()))
    }

    /// Codes of each list.
    fn sizes<'py>(&self, py: Python<'py>) -> Result<Ids<'py>> {
        let sizes = released(py, None, |pulse| {
            let core = self.0.read(pulse)?;
            Ok((0..core.count()).map(|list| core.len(list) as i64).collect())
        })?;
        Ok(PyArray1::from_vec(py, sizes))
    }

    fn ids<'py>(&self, py: Python<'py>, list: usize) -> Result<Ids<'py>> {
        let ids = released(py, None, |pulse| {
            let core = self.0.read(pulse)?;
            check(&core, list)?;
            Ok(core.ids(list).to_vec())
        })?;
        Ok(PyArray1::from_vec(py, ids))
    }

    /// The codes from..to of a list, (to - from, code_size).
    fn codes<'py>(&self, py: Python<'py>, list: usize, from: usize, to: usize) -> Result<Any<'py>> {
        let (codes, size) = released(py, None, |pulse| {
            let core = self.0.read(pulse)?;
            check(&core, list)?;
            if from > to || to > core.len(list) {
                let text = format!("codes {from} to {to} of {} in list {list}", core.len(list));
                return Err(PyIndexError::new_err(text).into());
            }
            Ok((core.codes(list, from, to), core.code_size()))
        })?;
        table(py, codes, size, false)
    }

    fn append(
        &self,
        py: Python,
        list: usize,
        ids: PyReadonlyArray1<i64>,
        codes: PyReadonlyArray2<u8>,
    ) -> Result<()> {
        let (ids, codes) = (ids.as_slice()?, codes.as_slice()?);
        released(py, None, |pulse| Ok(self.0.write(pulse)?.append(list, ids, codes)?))
    }

    /// Codes x and appends each to the list of its key.
    #[expect(clippy::too_many_arguments, reason = "the core's")]
    fn add(
        &self,
        py: Python,
        codec: &Codec,
        x: PyReadonlyArray2<f32>,
        keys: PyReadonlyArray1<i64>,
        ids: PyReadonlyArray1<i64>,
        centers: Option<&Centers>,
        threads: Option<&Any>,
    ) -> Result<()> {
        let threads = optional_count("threads", threads)?;
        let (x, keys, ids) = (x.as_slice()?, keys.as_slice()?, ids.as_slice()?);
        released(py, None, |pulse| {
            let centers = centers.map(|centers| &centers.0);
            let with = (threads.unwrap_or(threads::available()), Some(pulse as _));
            Ok(self.0.write(pulse)?.add(&*codec.0, x, keys, ids, centers, with)?)
        })
    }

    fn replace(&self, py: Python, list: usize, at: usize, id: i64, code: PyReadonlyArray1<u8>) -> Result<()> {
        let code = code.as_slice()?;
        released(py, None, |pulse| Ok(self.0.write(pulse)?.replace(list, at, id, code)?))
    }

    fn truncate(&self, py: Python, list: usize, len: usize) -> Result<()> {
        released(py, None, |pulse| {
            let mut core = self.0.write(pulse)?;
            check(&core, list)?;
            core.truncate(list, len);
            Ok(())
        })
    }

    /// How many went; the last of a list takes the place of one that goes.
    fn remove(&self, py: Python, selector: &Selector) -> Result<usize> {
        released(py, None, |pulse| Ok(self.0.write(pulse)?.remove(&selector.0)))
    }

    /// How many went; those behind move up, and their ids are numbered anew.
    fn squeeze(&self, py: Python, selector: &Selector) -> Result<usize> {
        released(py, None, |pulse| {
            let mut core = self.0.write(pulse)?;
            let removed = core.squeeze(&selector.0);
            (0..core.count()).for_each(|list| core.number(list));
            Ok(removed)
        })
    }

    /// Takes over what is in other, whose ids grow by add.
    fn merge(&self, py: Python, other: &Self, add: i64) -> Result<()> {
        released(py, None, |pulse| {
            let mut taken = self.0.write(pulse)?;
            Ok(taken.merge(&mut *other.0.write(pulse)?, add)?)
        })
    }

    /// (ids, distances)
    fn search<'py>(
        &self,
        py: Python<'py>,
        codec: &Codec,
        q: PyReadonlyArray2<'py, f32>,
        k: usize,
        asked: Asked<'py>,
    ) -> Result<(Any<'py>, Any<'py>)> {
        let mut hits = Hits::none(q.shape()[0], k)?;
        let found = self.look(py, codec, &q, Within::Nearest(k), asked)?;
        for (row, found) in found.into_iter().enumerate() {
            for (at, neighbor) in found.into_iter().enumerate() {
                hits.ids[row * k + at] = neighbor.id as i64;
                hits.distances[row * k + at] = neighbor.distance;
            }
        }
        Ok((table(py, hits.ids, k, false)?, table(py, hits.distances, k, false)?))
    }

    /// (offsets, ids, distances)
    fn range_search<'py>(
        &self,
        py: Python<'py>,
        codec: &Codec,
        q: PyReadonlyArray2<'py, f32>,
        radius: f32,
        asked: Asked<'py>,
    ) -> Result<(Ids<'py>, Ids<'py>, Distances<'py>)> {
        let found = self.look(py, codec, &q, Within::Radius(radius), asked)?;
        let (mut offsets, mut ids, mut distances) = (vec![0i64], Vec::new(), Vec::new());
        for found in found {
            ids.extend(found.iter().map(|neighbor| neighbor.id as i64));
            distances.extend(found.iter().map(|neighbor| neighbor.distance));
            offsets.push(ids.len() as i64);
        }
        Ok((PyArray1::from_vec(py, offsets), PyArray1::from_vec(py, ids), PyArray1::from_vec(py, distances)))
    }
}

impl Lists {
    fn look(
        &self,
        py: Python,
        codec: &Codec,
        q: &PyReadonlyArray2<f32>,
        within: Within,
        asked: Asked,
    ) -> Result<Vec<Found>> {
        let metric: Metric = asked.metric.parse()?;
        let queries = q.as_slice()?;
        let (keys, coarse, nearest) = match &asked.keys {
            Keys::Near(flat, nprobe) => (&[][..], &[][..], Some((flat.get(), *nprobe))),
            Keys::Given(keys) => (
                keys.as_slice()?,
                asked.coarse.as_ref().map_or(Ok(&[][..]), |coarse| coarse.as_slice())?,
                None,
            ),
        };
        let (centers, selector) = (asked.centers.as_ref().map(Py::get), asked.selector.as_ref().map(Py::get));
        released(py, None, |pulse: &Pulse| {
            let lists = self.0.read(pulse)?;
            let found = match nearest {
                Some((flat, nprobe)) => Some(flat.nearest(queries, nprobe, asked.threads, pulse)?),
                None => None,
            };
            let (keys, coarse) = found.as_ref().map_or((keys, coarse), |(keys, coarse)| (keys, coarse));
            let probes = Probes {
                lists: &lists,
                codec: &*codec.0,
                metric,
                centers: centers.map(|centers| &centers.0),
                keys,
                coarse,
                max_codes: asked.max_codes,
                selector: selector.map(|set| &set.0),
                places: asked.places,
            };
            Ok(probes.run(queries, within, (asked.threads, Some(pulse as _)))?)
        })
    }
}

/// The crate's own codes of the vectors of a `Flat`, in lists like those that Faiss has.
#[pyclass(frozen, module = "steep._steep")]
pub struct NativeLists(Shared<Native>);

#[pymethods]
impl NativeLists {
    #[new]
    fn new(metric: &str) -> Result<Self> {
        Ok(Self(Shared::new(Native::new(metric.parse()?))))
    }

    fn __copy__(&self, py: Python) -> Result<Self> {
        let core = released(py, None, |pulse| Ok(self.0.read(pulse)?.clone()))?;
        Ok(Self(Shared::new(core)))
    }

    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| Ok(self.0.read(pulse)?.len()))
    }

    fn bytes(&self, py: Python) -> Result<u64> {
        released(py, None, |pulse| Ok(self.0.read(pulse)?.bytes()))
    }

    /// Learns from vectors like those to come.
    fn train(&self, py: Python, x: &Any) -> Result<()> {
        let x = Matrix::base(x)?;
        let vectors = x.vectors()?;
        released(py, None, |pulse| Ok(self.0.write(pulse)?.train(vectors, Some(pulse))?))
    }

    /// Codes what `flat` has and has no code yet, in `lists` of these `centers`; whether all of it has one then.
    fn follow(
        &self,
        py: Python,
        flat: &Flat,
        lists: &Lists,
        centers: &Flat,
        threads: Option<&Any>,
    ) -> Result<bool> {
        let threads = optional_count("threads", threads)?;
        released(py, None, |pulse| {
            let flat = flat.core.read(pulse)?;
            if !self.0.read(pulse)?.is_done(flat.len()) {
                let (lists, centers) = (lists.0.read(pulse)?, centers.core.read(pulse)?);
                let centers = centers.vectors(0, centers.len());
                self.0.write(pulse)?.follow(flat.rows(), (&lists, centers), threads, Some(pulse))?;
            }
            Ok(self.0.read(pulse)?.len() == flat.len())
        })
    }

    /// (ids, distances); `asked` is (nprobe, max_codes, candidates).
    fn search<'py>(
        &self,
        py: Python<'py>,
        flat: &Flat,
        q: &Any<'py>,
        k: usize,
        asked: (usize, usize, usize),
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>)> {
        let (nprobe, max_codes, candidates) = asked;
        let (q, threads) = (Matrix::queries(q)?, optional_count("threads", threads)?);
        let queries = q.vectors()?;
        let hits = released(py, None, |pulse| {
            let params = SearchParams {
                threads,
                monitor: Some(pulse),
                nprobe: Some(nprobe),
                max_codes: Some(max_codes),
                ..SearchParams::default()
            };
            let flat = flat.core.read(pulse)?;
            Ok(self.0.read(pulse)?.search(flat.rows(), queries, (k, candidates), &params)?)
        })?;
        Ok((table(py, hits.ids, k, q.single)?, table(py, hits.distances, k, q.single)?))
    }
}

fn check(core: &Core, list: usize) -> Result<()> {
    if list >= core.count() {
        return Err(PyIndexError::new_err(format!("list {list} of {}", core.count())).into());
    }
    Ok(())
}
