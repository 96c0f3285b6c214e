//! Graphs in Faiss's layout. What their nodes stand for is passed to each call: it is stored elsewhere.

use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use steep::faiss::codec::Codec;
use steep::faiss::hnsw::{Adding, Effort, Hnsw as Core, Native, Nsg, Parts, Points, Start, Stats};
use steep::{Dtype, Error, Hits, Metric, SearchParams, Vectors};

use super::codec::Codec as Coded;
use super::flat::Flat;
use super::lists::Lists;
use super::selector::Selector;
use crate::arrays::{Matrix, count, optional_count, table};
use crate::call::{Pulse, released};
use crate::errors::Result;
use crate::shared::Shared;

type Any<'py> = Bound<'py, PyAny>;
type Costs = (u64, u64, u64, u64);

/// See `steep::faiss::hnsw`.
#[pyclass(frozen, module = "steep._steep")]
pub struct Hnsw {
    core: Shared<Core>,
}

/// What nodes stand for, and the hold on it.
enum Storage<'a, 'py> {
    Flat(&'a Flat),
    Rows(Matrix<'py>),
    Codes(Bound<'py, Lists>, Arc<dyn Codec>),
    Bits(Bound<'py, Flat>, Arc<dyn Codec>),
}

/// The same without the interpreter.
#[derive(Clone, Copy)]
enum Stored<'a> {
    Flat(&'a Flat),
    Rows(Vectors<'a>),
    Codes(&'a Lists, &'a dyn Codec),
    Bits(&'a Flat, &'a dyn Codec),
}

impl<'a, 'py> Storage<'a, 'py> {
    /// A `Flat`, an array of vectors, (`Lists`, `Codec`) of a single list, or (`Flat`, `Codec`) where it holds bits.
    fn new(object: &'a Any<'py>) -> Result<Self> {
        if let Ok((lists, codec)) = object.extract::<(Bound<'py, Lists>, Bound<'py, Coded>)>() {
            return Ok(Self::Codes(lists, codec.get().0.clone()));
        }
        if let Ok((flat, codec)) = object.extract::<(Bound<'py, Flat>, Bound<'py, Coded>)>() {
            return Ok(Self::Bits(flat, codec.get().0.clone()));
        }
        match object.cast::<Flat>() {
            Ok(flat) => Ok(Self::Flat(flat.get())),
            Err(_) => Ok(Self::Rows(Matrix::base(object)?)),
        }
    }

    fn stored(&self) -> Result<Stored<'_>> {
        Ok(match self {
            Self::Flat(flat) => Stored::Flat(flat),
            Self::Rows(rows) => Stored::Rows(rows.vectors()?),
            Self::Codes(lists, codec) => Stored::Codes(lists.get(), &**codec),
            Self::Bits(flat, codec) => Stored::Bits(flat.get(), &**codec),
        })
    }
}

impl Stored<'_> {
    fn with<T>(self, metric: Metric, pulse: &Pulse, work: impl FnOnce(Points) -> Result<T>) -> Result<T> {
        match self {
            Self::Flat(flat) => work(Points::Rows(metric, flat.core.read(pulse)?.rows())),
            Self::Rows(rows) => work(Points::Rows(metric, rows)),
            Self::Codes(lists, codec) => {
                let lists = lists.0.read(pulse)?;
                if lists.count() == 0 || lists.block() != 1 || lists.code_size() != codec.code_size() {
                    let expected = "a list of codes, one after the other, of the codec's size";
                    return Err(Error::argument("storage", lists.code_size(), expected).into());
                }
                work(Points::Codes(metric, codec, lists.blocks(0)))
            }
            Self::Bits(flat, codec) => {
                let flat = flat.core.read(pulse)?;
                let rows = flat.rows();
                if rows.dtype() != Dtype::B1 || rows.row_bytes() != codec.code_size() {
                    return Err(Error::argument("storage", rows.dtype(), "bits of the codec's size").into());
                }
                work(Points::Codes(metric, codec, rows.bytes()))
            }
        }
    }
}

/// The crate's own graph over the vectors of a `Flat`.
#[pyclass(frozen, module = "steep._steep")]
pub struct NativeGraph {
    core: Shared<Native>,
    metric: Metric,
}

#[pymethods]
impl NativeGraph {
    #[new]
    fn new(py: Python, flat: &Flat, metric: &str, degree: usize, threads: Option<&Any>) -> Result<Self> {
        let (metric, threads) = (metric.parse()?, optional_count("threads", threads)?);
        let core = released(py, None, |pulse| {
            let flat = flat.core.read(pulse)?;
            Ok(Native::build(flat.rows(), metric, degree, threads, Some(pulse))?)
        })?;
        Ok(Self { core: Shared::new(core), metric })
    }

    fn __copy__(&self, py: Python) -> Result<Self> {
        let core = released(py, None, |pulse| Ok(self.core.read(pulse)?.clone()))?;
        Ok(Self { core: Shared::new(core), metric: self.metric })
    }

    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.len()))
    }

    fn bytes(&self, py: Python) -> Result<u64> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.bytes()))
    }

    /// False where vectors like these have no place in it.
    fn holds(&self, py: Python, x: &Any) -> Result<bool> {
        let x = Matrix::base(x)?;
        let x = x.vectors()?;
        released(py, None, |pulse| Ok(self.core.read(pulse)?.holds(x)))
    }

    fn add(&self, py: Python, x: &Any, threads: Option<&Any>) -> Result<()> {
        let (x, threads) = (Matrix::base(x)?, optional_count("threads", threads)?);
        let x = x.vectors()?;
        released(py, None, |pulse| Ok(self.core.write(pulse)?.add(x, threads, Some(pulse))?))
    }

    /// (ids, distances, costs)
    fn search<'py>(
        &self,
        py: Python<'py>,
        flat: &Flat,
        q: &Any<'py>,
        k: &Any<'py>,
        ef: usize,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>, Costs)> {
        let (k, threads, q) = (count("k", k)?, optional_count("threads", threads)?, Matrix::base(q)?);
        let queries = q.vectors()?;
        let hits = released(py, None, |pulse| {
            let params = SearchParams {
                threads,
                monitor: Some(pulse),
                ef_search: Some(ef),
                ..SearchParams::default()
            };
            let (flat, graph) = (flat.core.read(pulse)?, self.core.read(pulse)?);
            Ok(graph.search(flat.rows(), queries, k, &params)?)
        })?;
        let hops = hits.stats.iter().map(|stats| stats.hops).sum();
        let distances = hits.stats.iter().map(|stats| stats.estimates + stats.reranked).sum();
        let costs = (queries.len() as u64, 0, distances, hops);
        Ok((table(py, hits.ids, k, false)?, table(py, hits.distances, k, false)?, costs))
    }
}

fn costs(stats: Stats) -> Costs {
    (stats.n1, stats.n2, stats.ndis, stats.nhops)
}

/// How to search, as Python says it: (ef, check_relative_distance, bounded_queue).
type Asked = (usize, bool, bool);

fn effort<'a>(
    asked: Asked,
    selector: Option<&'a Selector>,
    threads: Option<usize>,
    pulse: &'a Pulse,
) -> Effort<'a> {
    let (ef, check_relative_distance, bounded_queue) = asked;
    let selector = selector.map(|set| &set.0);
    Effort { ef, check_relative_distance, bounded_queue, selector, threads, monitor: Some(pulse) }
}

impl Hnsw {
    /// (ids, distances, costs) of the k nearest, as `find` tells them.
    fn nearest<'py>(
        &self,
        py: Python<'py>,
        (storage, metric): (&Any<'py>, &str),
        (q, k): (&Any<'py>, &Any<'py>),
        (asked, selector, threads): (Asked, Option<&Selector>, Option<&Any<'py>>),
        find: impl Fn(&Core, Points, Vectors, usize, &Effort) -> steep::Result<(Hits, Stats)> + Sync,
    ) -> Result<(Any<'py>, Any<'py>, Costs)> {
        let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
        let (metric, storage, q) = (metric.parse()?, Storage::new(storage)?, Matrix::base(q)?);
        let (stored, queries) = (storage.stored()?, q.vectors()?);
        let (hits, stats) = released(py, None, |pulse| {
            let effort = effort(asked, selector, threads, pulse);
            stored.with(metric, pulse, |points| {
                let core = self.core.read(pulse)?;
                Ok(find(&core, points, queries, k, &effort)?)
            })
        })?;
        Ok((table(py, hits.ids, k, false)?, table(py, hits.distances, k, false)?, costs(stats)))
    }
}

#[pymethods]
impl Hnsw {
    #[new]
    fn new(m: usize) -> Result<Self> {
        Ok(Self { core: Shared::new(Core::new(m)?) })
    }

    /// From Faiss's arrays, which are checked.
    #[staticmethod]
    fn of(
        assign_probas: PyReadonlyArray1<f64>,
        cum_nneighbor_per_level: PyReadonlyArray1<i32>,
        levels: PyReadonlyArray1<i32>,
        offsets: PyReadonlyArray1<u64>,
        neighbors: PyReadonlyArray1<i32>,
        entry_point: i32,
        max_level: i32,
    ) -> Result<Self> {
        let parts = Parts {
            assign_probas: assign_probas.as_slice()?.to_vec(),
            cum_nneighbor_per_level: cum_nneighbor_per_level.as_slice()?.to_vec(),
            levels: levels.as_slice()?.to_vec(),
            offsets: offsets.as_slice()?.to_vec(),
            neighbors: neighbors.as_slice()?.to_vec(),
            entry_point,
            max_level,
        };
        Ok(Self { core: Shared::new(Core::from_parts(parts)?) })
    }

    /// The same as another object.
    fn copy(&self, py: Python) -> Result<Self> {
        let core = released(py, None, |pulse| Ok(self.core.read(pulse)?.clone()))?;
        Ok(Self { core: Shared::new(core) })
    }

    fn __len__(&self, py: Python) -> Result<usize> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.len()))
    }

    fn bytes(&self, py: Python) -> Result<u64> {
        released(py, None, |pulse| Ok(self.core.read(pulse)?.bytes()))
    }

    /// A copy of the array of this name in Faiss.
    fn part<'py>(&self, py: Python<'py>, name: &str) -> Result<Any<'py>> {
        enum Part {
            I32(Vec<i32>),
            U64(Vec<u64>),
            F64(Vec<f64>),
        }
        let part = released(py, None, |pulse| {
            let core = self.core.read(pulse)?;
            let parts = core.parts();
            Ok(match name {
                "assign_probas" => Part::F64(parts.assign_probas.clone()),
                "cum_nneighbor_per_level" => Part::I32(parts.cum_nneighbor_per_level.clone()),
                "levels" => Part::I32(parts.levels.clone()),
                "offsets" => Part::U64(parts.offsets.clone()),
                "neighbors" => Part::I32(parts.neighbors.clone()),
                _ => return Err(PyValueError::new_err(format!("an HNSW graph has no {name:?}")).into()),
            })
        })?;
        Ok(match part {
            Part::I32(values) => PyArray1::from_vec(py, values).into_any(),
            Part::U64(values) => PyArray1::from_vec(py, values).into_any(),
            Part::F64(values) => PyArray1::from_vec(py, values).into_any(),
        })
    }

    /// (entry_point, max_level)
    fn entry(&self, py: Python) -> Result<(i32, i32)> {
        released(py, None, |pulse| {
            let core = self.core.read(pulse)?;
            Ok((core.parts().entry_point, core.parts().max_level))
        })
    }

    /// Adds nodes for `x`, which the storage holds already; `bulk` makes the graph anew, for all that is stored.
    #[pyo3(signature = (storage, metric, x, levels, ef_construction, keep_max_size_level0, bulk, threads, prune_headroom=0.2))]
    #[expect(clippy::too_many_arguments, reason = "Faiss's own knobs")]
    fn add<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        x: &Any<'py>,
        levels: Option<PyReadonlyArray1<'py, i32>>,
        ef_construction: usize,
        keep_max_size_level0: bool,
        bulk: bool,
        threads: Option<&Any<'py>>,
        prune_headroom: f32,
    ) -> Result<()> {
        let (metric, threads) = (metric.parse()?, optional_count("threads", threads)?);
        let (storage, x) = (Storage::new(storage)?, Matrix::base(x)?);
        let stored = storage.stored()?;
        let (x, levels) = (x.vectors()?, levels.as_ref().map(PyReadonlyArray1::as_slice).transpose()?);
        released(py, None, |pulse| {
            stored.with(metric, pulse, |points| {
                let adding =
                    Adding { points, x, levels, ef_construction, keep_max_size_level0, prune_headroom };
                let mut core = self.core.write(pulse)?;
                if bulk {
                    return Ok(core.build(&adding, threads, Some(pulse))?);
                }
                Ok(core.insert(&adding, threads, Some(pulse))?)
            })
        })
    }

    /// Becomes the graph of a `NativeGraph`, whose vectors are all that the storage holds.
    fn take<'py>(
        &self,
        py: Python<'py>,
        native: &NativeGraph,
        flat: &Flat,
        ef_construction: usize,
        threads: Option<&Any<'py>>,
    ) -> Result<()> {
        let threads = optional_count("threads", threads)?;
        released(py, None, |pulse| {
            let (flat, graph) = (flat.core.read(pulse)?, native.core.read(pulse)?);
            let points = Points::Rows(native.metric, flat.rows());
            let x = flat.rows();
            let adding = Adding {
                points,
                x,
                levels: None,
                ef_construction,
                keep_max_size_level0: false,
                prune_headroom: 0.0,
            };
            Ok(self.core.write(pulse)?.take(&graph, &adding, threads, Some(pulse))?)
        })
    }

    /// A graph on one level, of all vectors: `asked` is (R, L, C, GK, whether the crate's builder knows the metric).
    #[staticmethod]
    fn nsg<'py>(
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        x: &Any<'py>,
        asked: (usize, usize, usize, usize, bool),
        threads: Option<&Any<'py>>,
    ) -> Result<Self> {
        let (metric, storage, x) = (metric.parse()?, Storage::new(storage)?, Matrix::base(x)?);
        let (stored, x, threads) = (storage.stored()?, x.vectors()?, optional_count("threads", threads)?);
        let (r, l, c, gk, at_once) = asked;
        let core = released(py, None, |pulse| {
            stored.with(metric, pulse, |points| {
                let adding = Adding {
                    points,
                    x,
                    levels: None,
                    ef_construction: 1,
                    keep_max_size_level0: false,
                    prune_headroom: 0.0,
                };
                Ok(Nsg { r, l, c, gk, at_once }.build(&adding, threads, Some(pulse))?)
            })
        })?;
        Ok(Self { core: Shared::new(core) })
    }

    /// (ids, distances, costs)
    #[expect(clippy::too_many_arguments, reason = "Faiss's own knobs")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        q: &Any<'py>,
        k: &Any<'py>,
        asked: Asked,
        selector: Option<&Selector>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>, Costs)> {
        let how = (asked, selector, threads);
        self.nearest(py, (storage, metric), (q, k), how, |core, points, queries, k, effort| {
            core.search(points, queries, k, effort)
        })
    }

    /// (ids, distances, costs), from `nearest` nodes of the lowest level.
    #[expect(clippy::too_many_arguments, reason = "Faiss's own knobs")]
    fn search_level_0<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        q: &Any<'py>,
        k: &Any<'py>,
        nearest: PyReadonlyArray2<'py, i32>,
        nearest_d: PyReadonlyArray2<'py, f32>,
        together: bool,
        asked: Asked,
        selector: Option<&Selector>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>, Costs)> {
        let nprobe = nearest.as_array().ncols();
        let (nodes, distances) = (nearest.as_slice()?, nearest_d.as_slice()?);
        let how = (asked, selector, threads);
        self.nearest(py, (storage, metric), (q, k), how, |core, points, queries, k, effort| {
            let start = Start { nodes, distances, nprobe, together };
            core.search_level_0(points, queries, k, start, effort)
        })
    }

    /// (ids, distances, costs), from the same nodes of the lowest level for all queries.
    #[expect(clippy::too_many_arguments, reason = "Faiss's own knobs")]
    fn search_from<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        q: &Any<'py>,
        k: &Any<'py>,
        seeds: PyReadonlyArray1<'py, u32>,
        ef: usize,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>, Costs)> {
        let seeds = seeds.as_slice()?;
        let how = ((ef, true, true), None, threads);
        self.nearest(py, (storage, metric), (q, k), how, |core, points, queries, k, effort| {
            core.search_from(points, queries, k, seeds, effort)
        })
    }

    /// (offsets, ids, distances, costs)
    #[expect(clippy::too_many_arguments, reason = "Faiss's own knobs")]
    fn range_search<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        q: &Any<'py>,
        radius: f32,
        asked: Asked,
        selector: Option<&Selector>,
        threads: Option<&Any<'py>>,
    ) -> Result<(Any<'py>, Any<'py>, Any<'py>, Costs)> {
        let threads = optional_count("threads", threads)?;
        let (metric, storage, q) = (metric.parse()?, Storage::new(storage)?, Matrix::base(q)?);
        let (stored, queries) = (storage.stored()?, q.vectors()?);
        let (hits, stats) = released(py, None, |pulse| {
            let effort = effort(asked, selector, threads, pulse);
            stored.with(metric, pulse, |points| {
                Ok(self.core.read(pulse)?.range_search(points, queries, radius, &effort)?)
            })
        })?;
        let offsets: Vec<i64> = hits.offsets.into_iter().map(|offset| offset as i64).collect();
        Ok((
            PyArray1::from_vec(py, offsets).into_any(),
            PyArray1::from_vec(py, hits.ids).into_any(),
            PyArray1::from_vec(py, hits.distances).into_any(),
            costs(stats),
        ))
    }

    /// Replaces the lowest level's lists by the best of k given neighbours of each node.
    fn init_level_0<'py>(
        &self,
        py: Python<'py>,
        storage: &Any<'py>,
        metric: &str,
        distances: PyReadonlyArray2<'py, f32>,
        ids: PyReadonlyArray2<'py, i64>,
    ) -> Result<()> {
        let (metric, storage) = (metric.parse()?, Storage::new(storage)?);
        let stored = storage.stored()?;
        let k = ids.as_array().ncols();
        let near = distances.as_slice()?.iter().copied().zip(ids.as_slice()?.iter().copied());
        let near: Vec<(f32, i64)> = near.collect();
        released(py, None, |pulse| {
            stored.with(metric, pulse, |points| Ok(self.core.write(pulse)?.init_level_0(points, k, &near)?))
        })
    }

    /// Becomes the nodes `order`, in that order.
    fn permute(&self, py: Python, order: PyReadonlyArray1<i64>) -> Result<()> {
        let order = order.as_slice()?;
        released(py, None, |pulse| Ok(self.core.write(pulse)?.permute(order)?))
    }

    fn clear(&self, py: Python) -> Result<()> {
        released(py, None, |pulse| {
            self.core.write(pulse)?.clear();
            Ok(())
        })
    }

    /// A level at random, from 0.
    fn draw_level(&self, py: Python) -> Result<i32> {
        released(py, None, |pulse| Ok(self.core.write(pulse)?.draw_level()))
    }
}
