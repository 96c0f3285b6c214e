//! What is asked, and the answers.

pub(crate) mod beam;
mod best;
mod bytes;
mod coarse;
mod counts;
mod errors;
mod pool;
mod probe;
mod rerank;
mod rounded;
mod scan;
pub(crate) mod screen;
mod seen;
mod sight;
mod stop;
mod topk;
pub(crate) mod walks;

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::ids::NONE;
use crate::ivf::Ivf;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::metric::Metric;
use crate::quantizer::HeadCodes;
use crate::storage::Buffer;
use crate::threads::{self, Monitor, Worker};
use crate::vectors::Vectors;

use counts::{BitScreen, SumScreen};
use probe::{Probes, Within};
use rerank::{MARGIN, Rerank, margin};
use walks::Walks;

pub use beam::Stats;
pub(crate) use rounded::{Rounded, rounded};
pub(crate) use scan::{Aim, List, scan, scan_aimed, scan_all};
pub(crate) use stop::Effort;
pub use topk::Neighbor;
pub(crate) use topk::{Collector, InRange, TopK};

/// Queries that share one pass over the vectors on one thread, at most: enough that reading the vectors costs
/// little beside computing, few enough that a long call can be interrupted and its threads end together.
const BATCH: usize = 256;
/// The same where vectors are packed for a tile in each pass.
pub(crate) const PACKED: usize = 1024;
/// Entries of all the collectors of a batch, at most: 16 bytes each, and half as many again while they are cut back. Where a
/// single query has more, its batch is that query.
const ROOM: usize = 1 << 24;
/// Queries that a thread walks for at a time, at most.
const WALKS: usize = 64;
/// Queries that a thread looks for in lists at a time, at most.
const PROBES: usize = 1024;
/// Codes that they look at and lists that they visit, at most.
const CODES: u64 = 1 << 27;
const VISITS: usize = 1 << 20;
/// Nodes in the pool of a walk from which on it counts for several.
const LONG: usize = 512;
/// Queries below which packing rows for a tile costs more than it saves.
const FEW: usize = 8;
/// The same where rows are f32, whose sums are taken as fast as they arrive from L2: of many rows, and of fewer than [`SEVERAL`], of
/// which a larger part is near.
const FEW_FLOATS: [usize; 2] = [24, 64];
const SEVERAL: usize = 4096;
/// Rows of f32, and bytes of them, that stay in L2 and are read as they are by any number of queries sooner than they are packed.
const SMALL: usize = 1024;
const SMALL_BYTES: usize = 1 << 20;

/// How to search. `SearchParams::default()` is all cores and no monitor.
#[derive(Clone, Copy, Default)]
pub struct SearchParams<'a> {
    /// Threads at most; all cores where nothing is said. A single query always runs on the calling thread.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
    /// Under `graph`: how many vectors a search keeps in view, hard queries up to twice as many; where nothing is said, 2k + 32, more where
    /// neighbours are hard to tell apart (`graph::Graph::usual`). More find more, and cost more. With fewer than k, k are found all the same,
    /// but not all of them were gone to: the quickest, and the least sure.
    pub ef_search: Option<usize>,
    /// Under `ivf`: how many lists are looked at; where nothing is said, the square root of how many there are.
    pub nprobe: Option<usize>,
    /// Under `ivf`: how many codes are looked at before no further list is begun; all of them where nothing is said.
    pub max_codes: Option<usize>,
    /// Under `graph`, and where codes are told to `rerank`: how many candidates get their distance by the vectors that are stored, at
    /// least k; where nothing is said, as many as could be among the k nearest by the errors of their codes.
    pub rerank: Option<usize>,
}

/// The k nearest vectors of each of nq queries.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    /// Columns.
    pub k: usize,
    /// nq × k ids, nearest first, ties by the lower id; −1 where there are fewer than k vectors, or fewer in the lists that were
    /// looked at. An id of 2⁶³ or more has the same 64 bits.
    pub ids: Vec<i64>,
    /// nq × k distances beside them, +∞ beside −1.
    pub distances: Vec<f32>,
    /// What each query cost, in a graph or lists; empty otherwise.
    pub stats: Vec<Stats>,
}

/// All vectors within a radius of each of nq queries, in compressed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeHits {
    /// nq + 1 offsets: query i's results are `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<usize>,
    /// Ids, within a query nearest first, ties by the lower id.
    pub ids: Vec<i64>,
    /// Distances beside them.
    pub distances: Vec<f32>,
}

impl Hits {
    /// Places for the `k` nearest of each of `queries`, without a vector in any: −1 at an infinite distance.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn none(queries: usize, k: usize) -> Result<Self> {
        let mut hits = Self { k, ids: Vec::new(), distances: Vec::new(), stats: Vec::new() };
        let size = queries.checked_mul(k);
        let room =
            size.and_then(|n| hits.ids.try_reserve_exact(n).and(hits.distances.try_reserve_exact(n)).ok());
        let (Some(size), Some(())) = (size, room) else {
            let bytes = (queries as u64).saturating_mul(k as u64).saturating_mul(12);
            return Err(Error::OutOfMemory { what: "results", bytes });
        };
        hits.ids.resize(size, NONE as i64);
        hits.distances.resize(size, f32::INFINITY);
        Ok(hits)
    }
}

impl RangeHits {
    fn of(found: Vec<Vec<Neighbor>>) -> Self {
        let mut hits = Self { offsets: vec![0], ids: Vec::new(), distances: Vec::new() };
        for row in found {
            hits.ids.extend(row.iter().map(|n| n.id as i64));
            hits.distances.extend(row.iter().map(|n| n.distance));
            hits.offsets.push(hits.ids.len());
        }
        hits
    }
}

/// What is searched: rows, their ids, and codes if there are any.
#[derive(Clone, Copy)]
pub(crate) struct Searched<'a> {
    pub metric: Metric,
    pub list: List<'a>,
    pub codes: Option<&'a HeadCodes>,
    pub rounded: Option<&'a Rounded>,
    pub graph: Option<&'a Graph>,
    pub ivf: Option<&'a Ivf>,
    /// What may be ranked by its distance among what codes in lists find, at least, where vectors are stored.
    pub candidates: usize,
}

/// How vectors are ruled out.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// By codes, at a level.
    Codes(&'a HeadCodes, usize),
    /// By what they were rounded to.
    Rounded(&'a Rounded),
    /// By the rows themselves, in a tile.
    Rows,
    /// Not at all.
    All,
}

impl<'a> Searched<'a> {
    /// Rows alone.
    pub fn of_rows(metric: Metric, list: List<'a>) -> Self {
        Self { metric, list, codes: None, rounded: None, graph: None, ivf: None, candidates: 0 }
    }
}

impl Searched<'_> {
    /// See [`Index::search`](crate::Index::search).
    pub fn nearest(&self, queries: Vectors, k: usize, params: &SearchParams) -> Result<Hits> {
        if k == 0 {
            return Err(Error::argument("k", 0, "at least 1"));
        }
        let mut hits = Hits::none(queries.len(), k)?;
        if let Some(graph) = self.graph {
            self.walk(graph, queries, k, params, &mut hits)?;
            return Ok(hits);
        }
        if let Some(ivf) = self.ivf {
            self.probe(ivf, queries, k, params, &mut hits)?;
            return Ok(hits);
        }
        let n = self.list.rows.len();
        // Where most vectors are answers, nothing can be ruled out.
        let way = match self.codes.and_then(|codes| Some((codes, codes.level(k)?))) {
            _ if k >= n / 8 || !self.is_screened() => Way::All,
            Some((codes, level)) => Way::Codes(codes, level),
            None => self.rows_way(),
        };
        let rows = hits.ids.chunks_mut(k).zip(hits.distances.chunks_mut(k)).collect();
        self.collect(
            queries,
            (way, k.min(n)),
            params,
            || TopK::new(k, n),
            rows,
            |top, (ids, distances)| {
                for ((neighbor, id), distance) in top.into_sorted().zip(ids).zip(distances) {
                    (*id, *distance) = (neighbor.id as i64, neighbor.distance);
                }
            },
        )?;
        Ok(hits)
    }

    /// Walks the graph for every query.
    fn walk(
        &self,
        graph: &Graph,
        queries: Vectors,
        k: usize,
        params: &SearchParams,
        hits: &mut Hits,
    ) -> Result<()> {
        let threads = self.check(queries, params)?;
        if queries.is_empty() {
            return Ok(());
        }
        let nodes = graph.vectors().len();
        let ef =
            if k < nodes { params.ef_search.unwrap_or_else(|| graph.usual(k)).min(nodes) } else { nodes };
        let walks = self.walks(graph, k, ef, params.rerank);
        let isa = Isa::active();
        hits.stats = vec![Stats::default(); queries.len()];
        // A long walk is many queries' worth of work: the monitor is heard between batches.
        let most = (WALKS * LONG / ef.max(LONG)).max(1);
        let size = queries.len().div_ceil(threads).min(most);
        let batches = hits.ids.chunks_mut(size * k).zip(hits.distances.chunks_mut(size * k));
        let batches: Vec<_> = batches.zip(hits.stats.chunks_mut(size)).collect();
        let batches: Vec<_> = batches.into_iter().map(Mutex::new).collect();
        threads::run(
            threads,
            params.monitor,
            "search",
            (batches.len(), queries.len() as u64),
            |at, worker| {
                let mut batch = batches[at].lock().map_err(|_| Error::Interrupted)?;
                let ((ids, distances), stats) = &mut *batch;
                let first = at * size;
                let queries = queries.rows(first..(first + size).min(queries.len()));
                walks.run(isa, queries, |query, found, cost| {
                    stats[query] = cost;
                    let row = query * k..(query + 1) * k;
                    for ((id, distance), found) in
                        ids[row.clone()].iter_mut().zip(&mut distances[row]).zip(found)
                    {
                        (*distance, *id) = (found.0, found.1 as i64);
                    }
                });
                worker.advance(queries.len() as u64);
                Ok(())
            },
        )
    }

    fn walks<'a>(&'a self, graph: &'a Graph, k: usize, ef: usize, rerank: Option<usize>) -> Walks<'a> {
        let Self { metric, list, .. } = *self;
        let (space, nodes, fixed) = (&graph.space, graph.vectors(), rerank.map(|rerank| rerank.max(k)));
        let (vectors, margin) = (Some(nodes), margin(k, ef, nodes.len()));
        let stored = !list.rows.is_empty();
        let rerank = stored.then_some(Rerank { metric, space, vectors, list, k, fixed, margin });
        Walks { graph, ids: list.ids, k, ef, rerank }
    }

    /// Looks for every query in the lists near it.
    fn probe(
        &self,
        ivf: &Ivf,
        queries: Vectors,
        k: usize,
        params: &SearchParams,
        hits: &mut Hits,
    ) -> Result<()> {
        let threads = self.check(queries, params)?;
        let isa = Isa::active();
        let probes = self.probes(ivf, k, Within::Any, params);
        hits.stats = vec![Stats::default(); queries.len()];
        // As many together as can be, for they share what they read; but the monitor is heard between batches.
        let codes = (ivf.len() as u64 * probes.lists as u64 / ivf.lists.len() as u64).max(1);
        let most = (CODES / codes).min((VISITS / probes.lists) as u64).clamp(1, PROBES as u64) as usize;
        let size = queries.len().div_ceil(threads).clamp(1, most);
        let batches = hits.ids.chunks_mut(size * k).zip(hits.distances.chunks_mut(size * k));
        let batches: Vec<_> = batches.zip(hits.stats.chunks_mut(size)).map(Mutex::new).collect();
        let total = (batches.len(), queries.len() as u64);
        threads::run(threads, params.monitor, "search", total, |at, worker| {
            let mut batch = batches[at].lock().map_err(|_| Error::Interrupted)?;
            let ((ids, distances), stats) = &mut *batch;
            let queries = queries.rows(at * size..(at * size + stats.len()));
            probes.run(isa, queries, |query, found, cost| {
                stats[query] = cost;
                let row = query * k..(query + 1) * k;
                for ((id, distance), found) in ids[row.clone()].iter_mut().zip(&mut distances[row]).zip(found)
                {
                    (*distance, *id) = (found.0, found.1 as i64);
                }
            });
            worker.advance(queries.len() as u64);
            Ok(())
        })
    }

    fn probes<'a>(&'a self, ivf: &'a Ivf, k: usize, within: Within, params: &SearchParams) -> Probes<'a> {
        let Self { metric, list, .. } = *self;
        let fixed = match within {
            // All that may be within a radius are told by their distance whether they are.
            Within::Radius(_) => Some(ivf.len()),
            Within::Any => params.rerank.map(|rerank| rerank.max(k)),
        };
        let stored = !list.rows.is_empty();
        let space = &ivf.space;
        let rerank =
            stored.then_some(Rerank { metric, space, vectors: None, list, k, fixed, margin: MARGIN });
        let most = match (stored, within) {
            (_, Within::Radius(_)) => ivf.len(),
            (true, _) => fixed.unwrap_or_else(|| ivf.usual_rerank(k).max(self.candidates)),
            (false, _) => k,
        };
        Probes {
            ivf,
            ids: list.ids,
            lists: params.nprobe.unwrap_or_else(|| ivf.usual()).min(ivf.lists.len()),
            codes: params.max_codes.unwrap_or(usize::MAX),
            most: most.clamp(1, ivf.len().max(1)),
            within,
            rerank,
        }
    }

    /// Looks at the codes of lists near each query, or of all nodes of a graph, for all within a radius.
    fn codes_within(
        &self,
        queries: Vectors,
        radius: f32,
        params: &SearchParams,
    ) -> Result<Vec<Vec<Neighbor>>> {
        check_radius(radius)?;
        let threads = self.check(queries, params)?;
        let isa = Isa::active();
        let probes = self.ivf.map(|ivf| self.probes(ivf, 1, Within::Radius(radius), params));
        let walks = self.graph.map(|graph| self.walks(graph, 1, 1, None));
        let found: Vec<Mutex<Vec<Neighbor>>> = (0..queries.len()).map(|_| Mutex::default()).collect();
        threads::run(
            threads,
            params.monitor,
            "search",
            (queries.len(), queries.len() as u64),
            |at, worker| {
                let mut row = found[at].lock().map_err(|_| Error::Interrupted)?;
                let query = queries.rows(at..at + 1);
                if let Some(probes) = &probes {
                    probes.run(isa, query, |_, near, _| {
                        let near = near.iter().filter(|found| found.0 <= radius);
                        row.extend(near.map(|&(distance, id)| Neighbor { distance, id }));
                    });
                } else if let Some(walks) = &walks {
                    let mut range = InRange::new(radius);
                    walks.within(isa, query, radius, |distance, id| range.offer(distance, id));
                    row.extend(range.into_sorted());
                }
                worker.advance(1);
                Ok(())
            },
        )?;
        Ok(found.into_iter().map(|row| row.into_inner().unwrap_or_default()).collect())
    }

    /// See [`Index::range_search`](crate::Index::range_search).
    pub fn within(&self, queries: Vectors, radius: f32, params: &SearchParams) -> Result<RangeHits> {
        let by_codes = self.ivf.is_some() || (self.graph.is_some() && self.list.rows.is_empty());
        Ok(RangeHits::of(match by_codes {
            true => self.codes_within(queries, radius, params)?,
            false => self.scan_within(queries, radius, params, |range| range.into_sorted().collect())?,
        }))
    }

    /// As [`Searched::within`], by a scan, each query's in the order of their ids.
    pub fn within_by_id(&self, queries: Vectors, radius: f32, params: &SearchParams) -> Result<RangeHits> {
        let found = self.scan_within(queries, radius, params, |range| range.into_numbered().collect())?;
        Ok(RangeHits::of(found))
    }

    fn scan_within(
        &self,
        queries: Vectors,
        radius: f32,
        params: &SearchParams,
        ordered: fn(InRange) -> Vec<Neighbor>,
    ) -> Result<Vec<Vec<Neighbor>>> {
        check_radius(radius)?;
        let mut found: Vec<Vec<Neighbor>> = vec![Vec::new(); queries.len()];
        let rows = found.iter_mut().collect();
        let way = match self.codes {
            Some(codes) => Way::Codes(codes, codes.finest()),
            None if self.is_screened() => self.rows_way(),
            None => Way::All,
        };
        self.collect(
            queries,
            (way, 1),
            params,
            || InRange::new(radius),
            rows,
            |range, row| {
                *row = ordered(range);
            },
        )?;
        Ok(found)
    }

    /// How rows without codes are ruled out.
    fn rows_way(&self) -> Way<'_> {
        self.rounded.map_or(Way::Rows, Way::Rounded)
    }

    /// True where rows can be ruled out by less than their distance.
    fn is_screened(&self) -> bool {
        self.metric.is_of_products() || matches!(self.metric, Metric::Hamming | Metric::L1)
    }

    /// Refuses what cannot be searched for; the number of threads.
    fn check(&self, queries: Vectors, params: &SearchParams) -> Result<usize> {
        let rows = self.list.rows;
        Error::check_dim("queries", rows.dtype(), rows.dim(), &queries)?;
        self.metric.check_values("queries", queries)?;
        threads::resolve(params.threads)
    }

    /// Scans for every query with a collector of its own, which may come to hold `entries`, and hands each to `finish`
    /// with the query's element of `results`.
    fn collect<C: Collector, R: Send>(
        &self,
        queries: Vectors,
        (way, entries): (Way, usize),
        params: &SearchParams,
        collector: impl Fn() -> C + Sync,
        results: Vec<R>,
        finish: impl Fn(C, R) + Sync,
    ) -> Result<()> {
        let rows = self.list.rows;
        let threads = self.check(queries, params)?;
        if queries.is_empty() {
            return Ok(());
        }
        let most = if matches!(way, Way::Rows) { PACKED } else { BATCH };
        let most = (ROOM / entries.max(1)).clamp(1, most);
        let rounds = queries.len().div_ceil(threads * most);
        let batch = queries.len().div_ceil(threads * rounds);
        let mut results = results.into_iter();
        let batches: Vec<Mutex<Vec<R>>> = (0..queries.len().div_ceil(batch))
            .map(|_| Mutex::new(results.by_ref().take(batch).collect()))
            .collect();
        let work = queries.len() as u64 * rows.len() as u64;
        threads::run(threads, params.monitor, "search", (batches.len(), work), |at, worker| {
            let mut results = batches[at].lock().map_err(|_| Error::Interrupted)?;
            let queries = queries.rows(at * batch..at * batch + results.len());
            let mut collectors: Vec<C> = (0..queries.len()).map(|_| collector()).collect();
            let mut whole = self.scan(queries, way, &mut collectors, worker);
            // Those whose guesses failed come first, and go through the tile together.
            let row = queries.row_bytes();
            let (mut missed, mut again) = (0, Buffer::new());
            for i in 0..collectors.len() {
                if whole && collectors[i].missed() {
                    again.extend("queries", &queries.bytes()[i * row..][..row])?;
                    collectors.swap(missed, i);
                    results.swap(missed, i);
                    missed += 1;
                }
            }
            if missed > 0 {
                let again = Vectors::from_bytes(again.bytes(), queries.dtype(), queries.dim())?;
                whole = self.scan(again, way, &mut collectors[..missed], worker);
            }
            if whole {
                collectors
                    .into_iter()
                    .zip(results.drain(..))
                    .for_each(|(collector, result)| finish(collector, result));
            }
            Ok(())
        })
    }

    /// One pass over the vectors, by the way that suits them and the queries. False where it was stopped.
    fn scan<C: Collector>(&self, queries: Vectors, way: Way, collectors: &mut [C], worker: &Worker) -> bool {
        let isa = Isa::active();
        let (metric, list) = (self.metric, self.list);
        let exact: Vec<Query> =
            (0..queries.len()).map(|row| Query::new(metric, queries, row, list.rows.dtype())).collect();
        if let Way::Codes(codes, level) = way {
            let rows: Vec<u32> = (0..queries.len() as u32).collect();
            let queries = codes.queries(isa, level, queries);
            let mut screen = screen::codes(isa, codes, level, &queries, &rows);
            scan(isa, &mut screen, list, &exact, collectors, worker)
        } else if let Way::Rounded(rounded) = way {
            scan(isa, &mut rounded.screen(isa, queries), list, &exact, collectors, worker)
        } else if matches!(way, Way::All) {
            scan_all(isa, list, &exact, collectors, worker)
        } else if metric == Metric::Hamming {
            scan(isa, &mut BitScreen::new(isa, list.rows, queries, FEW), list, &exact, collectors, worker)
        } else if let Some(mut screen) = self.sums(isa, queries, collectors) {
            // It finds a bound of its own to begin with.
            scan_aimed(isa, &mut screen, list, &exact, collectors, (Aim::Loose, worker))
        } else if metric == Metric::L1 || queries.len() < FEW {
            scan_all(isa, list, &exact, collectors, worker)
        } else if let Some(mut screen) = bytes::bytes(isa, metric, list.rows, queries) {
            scan(isa, &mut screen, list, &exact, collectors, worker)
        } else {
            let mut screen = rounded(isa, metric, list.rows, queries);
            scan(isa, &mut screen, list, &exact, collectors, worker)
        }
    }

    /// What rules rows out by sums, where that suits the rows and so many queries.
    fn sums<C: Collector>(&self, isa: Isa, queries: Vectors, collectors: &[C]) -> Option<SumScreen<'_>> {
        let rows = self.list.rows;
        let small = rows.len() <= SMALL && rows.bytes().len() <= SMALL_BYTES;
        let few = FEW_FLOATS[usize::from(rows.len() < SEVERAL)];
        let suits = self.metric == Metric::L1 || queries.len() < few || small;
        let wanted = collectors.first().and_then(C::wanted);
        suits.then(|| SumScreen::new(isa, self.metric, rows, queries, wanted)).flatten()
    }
}

fn check_radius(radius: f32) -> Result<()> {
    if radius.is_nan() { Err(Error::argument("radius", radius, "a number")) } else { Ok(()) }
}
