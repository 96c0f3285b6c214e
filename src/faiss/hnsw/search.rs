//! Many queries, each on one thread.

use std::cell::RefCell;
use std::sync::Mutex;

use super::Hnsw;
use super::points::{Points, Ruler};
use super::walk::{Key, Scratch, Stats, Stop, Walk, Wanted, distance, node};
use crate::error::{Error, Result};
use crate::faiss::selector::Selector;
use crate::kernels::Isa;
use crate::search::{Hits, RangeHits};
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Queries that a thread takes at a time.
const BATCH: usize = 16;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// How much a walk looks at, by Faiss's names.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// Nodes in view, where k is not more.
    pub ef: usize,
    /// A walk ends where `ef` nodes are nearer than the next; otherwise after `ef` nodes and one.
    pub check_relative_distance: bool,
    /// Otherwise neither ends it.
    pub bounded_queue: bool,
    /// Which nodes may be found; others are walked through.
    pub selector: Option<&'a Selector>,
    /// Threads at most; all cores where nothing is said. A single query runs on the calling thread.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

/// Answers, and what they cost.
pub type Found<T> = Result<(T, Stats)>;

/// Nodes of the lowest level that walks begin with: `nprobe` a query, up to the first that is negative.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The nodes.
    pub nodes: &'a [i32],
    /// Their distances.
    pub distances: &'a [f32],
    /// Of each query.
    pub nprobe: usize,
    /// All of them in one walk; otherwise one walk after the other.
    pub together: bool,
}

impl Effort<'_> {
    fn stop(&self) -> Stop {
        match (self.bounded_queue, self.check_relative_distance) {
            (false, _) => Stop::Never,
            (true, true) => Stop::Rank(self.ef),
            (true, false) => Stop::Steps(self.ef),
        }
    }
}

impl Hnsw {
    /// The `k` nearest nodes of each query, or most of them. Missing ones are −1, at an infinite distance.
    ///
    /// # Errors
    /// [`Error::Argument`] for a k of 0 or too few points, [`Error::Dimension`], [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn search(&self, points: Points, queries: Vectors, k: usize, effort: &Effort) -> Found<Hits> {
        let (ef, stop, selector) = (effort.ef.max(k).min(self.len()), effort.stop(), effort.selector);
        self.nearest(points, queries, k, effort, |walk, ruler, _| {
            let Some(start) = self.descend(walk, ruler) else { return false };
            walk.pool.clear(ef);
            walk.pool.offer(start.1, start.0);
            let wanted = if selector.is_none() { Wanted::InView } else { Wanted::Best(selector) };
            walk.best.clear(k.min(self.len()));
            walk.spread(Isa::active(), self, ruler, 0, stop, &wanted);
            selector.is_some()
        })
    }

    /// As [`Hnsw::search`], on the lowest level only and from given nodes.
    ///
    /// # Errors
    /// As [`Hnsw::search`]; [`Error::Argument`] for a node that there is not, or too few of them.
    pub fn search_level_0(
        &self,
        points: Points,
        queries: Vectors,
        k: usize,
        start: Start,
        effort: &Effort,
    ) -> Found<Hits> {
        let Start { nodes, distances, nprobe, together } = start;
        let wanted = queries.len().checked_mul(nprobe);
        if nprobe == 0 || wanted.is_none_or(|wanted| nodes.len() < wanted || distances.len() < wanted) {
            return Err(Error::argument("nprobe", nprobe, "at least 1, and so many nodes a query"));
        }
        if let Some(node) = nodes.iter().find(|&&node| node as i64 >= self.len() as i64) {
            return Err(Error::argument("nearest", node, "nodes of the graph"));
        }
        let ef = effort.ef.max(k).max(if together { nprobe } else { 1 }).min(self.len());
        let stop = Effort { bounded_queue: true, ..*effort }.stop();
        let selector = effort.selector;
        self.nearest(points, queries, k, effort, |walk, ruler, query| {
            let all = nodes[query * nprobe..][..nprobe].iter().zip(&distances[query * nprobe..][..nprobe]);
            let all =
                all.take_while(|(node, _)| **node >= 0).map(|(&node, &distance)| (node as u32, distance));
            let wanted = Wanted::Best(selector);
            walk.best.clear(k.min(self.len()));
            walk.pool.clear(ef);
            for (node, distance) in all {
                if together {
                    // A node twice would be looked at twice.
                    if !walk.pool.keys().iter().any(|&key| super::walk::node(key) == node) {
                        walk.pool.offer(distance, node);
                    }
                } else if !walk.seen.has(node) {
                    walk.pool.clear(ef);
                    walk.pool.offer(distance, node);
                    walk.spread(Isa::active(), self, ruler, 0, stop, &wanted);
                }
            }
            if together {
                walk.spread(Isa::active(), self, ruler, 0, stop, &wanted);
            }
            true
        })
    }

    /// As [`Hnsw::search`], on the lowest level only and from the same nodes for every query, until nothing nearer is found.
    ///
    /// # Errors
    /// As [`Hnsw::search`]; [`Error::Argument`] for a node that there is not.
    pub fn search_from(
        &self,
        points: Points,
        queries: Vectors,
        k: usize,
        seeds: &[u32],
        effort: &Effort,
    ) -> Found<Hits> {
        if let Some(node) = seeds.iter().find(|&&node| node as usize >= self.len()) {
            return Err(Error::argument("seeds", node, "nodes of the graph"));
        }
        let (ef, selector) = (effort.ef.max(k).min(self.len()), effort.selector);
        self.nearest(points, queries, k, effort, |walk, ruler, _| {
            walk.pool.clear(ef);
            walk.seed(Isa::active(), ruler, seeds);
            walk.best.clear(k.min(self.len()));
            walk.spread(Isa::active(), self, ruler, 0, Stop::Never, &Wanted::Best(selector));
            true
        })
    }

    /// All nodes nearer than `radius` that are met on the way to the nearest.
    ///
    /// # Errors
    /// As [`Hnsw::search`]; [`Error::Argument`] for a radius that is no number.
    pub fn range_search(
        &self,
        points: Points,
        queries: Vectors,
        radius: f32,
        effort: &Effort,
    ) -> Found<RangeHits> {
        if radius.is_nan() {
            return Err(Error::argument("radius", radius, "a number"));
        }
        let all: Vec<Mutex<Vec<Key>>> = (0..queries.len()).map(|_| Mutex::default()).collect();
        let (ef, stop, selector) = (effort.ef, effort.stop(), effort.selector);
        let stats = self.each(points, queries, effort, |walk, ruler, query| {
            let Some(start) = self.descend(walk, ruler) else { return Ok(()) };
            walk.pool.clear(ef.clamp(1, self.len()));
            walk.pool.offer(start.1, start.0);
            walk.within.clear();
            let wanted = Wanted::Within(radius, selector);
            walk.spread(Isa::active(), self, ruler, 0, stop, &wanted);
            walk.within.sort_unstable();
            *all[query].lock().map_err(|_| Error::Interrupted)? = walk.within.clone();
            Ok(())
        })?;
        let mut hits = RangeHits { offsets: vec![0], ids: Vec::new(), distances: Vec::new() };
        for found in all {
            let found = found.into_inner().unwrap_or_default();
            hits.ids.extend(found.iter().map(|&key| i64::from(node(key))));
            hits.distances.extend(found.iter().map(|&key| distance(key)));
            hits.offsets.push(hits.ids.len());
        }
        Ok((hits, stats))
    }

    /// Where the lowest level is entered.
    pub(super) fn descend(&self, walk: &mut Walk, ruler: &mut Ruler) -> Option<(u32, f32)> {
        let (entry, top) = self.entry()?;
        let isa = Isa::active();
        let mut nearest = (entry, walk.measure(isa, ruler, entry));
        for level in (1..=top).rev() {
            nearest = walk.descend(isa, self, ruler, level, nearest);
        }
        Some(nearest)
    }

    /// The first k of what `work` leaves in the pool, or in `best` where it says so.
    fn nearest(
        &self,
        points: Points,
        queries: Vectors,
        k: usize,
        effort: &Effort,
        work: impl Fn(&mut Walk, &mut Ruler, usize) -> bool + Sync,
    ) -> Found<Hits> {
        if k == 0 {
            return Err(Error::argument("k", 0, "at least 1"));
        }
        let bytes = (queries.len() as u64).saturating_mul(k as u64).saturating_mul(12);
        let size = queries.len().checked_mul(k).ok_or(Error::OutOfMemory { what: "results", bytes })?;
        let mut ids = filled("results", size, -1i64)?;
        let mut distances = filled("results", size, f32::INFINITY)?;
        let stats = {
            let rows = ids.chunks_mut(k).zip(distances.chunks_mut(k)).map(Mutex::new).collect::<Vec<_>>();
            self.each(points, queries, effort, |walk, ruler, query| {
                walk.pool.clear(0);
                let best = work(walk, ruler, query);
                let keys = if best { walk.best.keys() } else { walk.pool.keys() };
                let mut row = rows[query].lock().map_err(|_| Error::Interrupted)?;
                let (ids, distances) = &mut *row;
                // What is infinitely far, or nowhere, is not found.
                let keys = keys.iter().filter(|&&key| distance(key) < f32::MAX);
                for ((id, to), &key) in ids.iter_mut().zip(distances.iter_mut()).zip(keys) {
                    (*id, *to) = (i64::from(node(key)), distance(key));
                }
                Ok(())
            })?
        };
        Ok((Hits { k, ids, distances, stats: Vec::new() }, stats))
    }

    /// Runs `work` for each query, with nothing seen.
    fn each(
        &self,
        points: Points,
        queries: Vectors,
        effort: &Effort,
        work: impl Fn(&mut Walk, &mut Ruler, usize) -> Result<()> + Sync,
    ) -> Result<Stats> {
        points.check(self.len(), queries)?;
        let threads = threads::resolve(effort.threads)?;
        let total = Mutex::new(Stats::default());
        let n = queries.len();
        let batch = n.div_ceil(threads).clamp(1, BATCH);
        threads::run(threads, effort.monitor, "search", (n.div_ceil(batch), n as u64), |at, worker| {
            let rows = at * batch..((at + 1) * batch).min(n);
            let stats = with_scratch(|scratch| -> Result<Stats> {
                scratch.walk.stats = Stats::default();
                for query in rows.clone() {
                    let mut ruler = points.ruler(queries, query, &mut scratch.query);
                    scratch.walk.seen.clear(self.len());
                    work(&mut scratch.walk, &mut ruler, query)?;
                }
                Ok(scratch.walk.stats)
            })?;
            *total.lock().map_err(|_| Error::Interrupted)? += stats;
            worker.advance(rows.len() as u64);
            Ok(())
        })?;
        total.into_inner().map_err(|_| Error::Interrupted)
    }
}

/// Runs `work` with this thread's memory.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}
