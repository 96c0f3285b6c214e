//! From points to a graph on which a greedy search finds the nearest ones.
//!
//! ```text
//! twins       identical points are set aside; one of each stays
//! partition   balls around random leaders, overlapping, down to leaves of some hundred points
//! leaf        all pairs of a leaf: the nearest k of each point become candidates, both ways
//! slab        a point's candidates from all of its leaves: the nearest ones, without repetition
//! prune       of those, the ones that no kept one hides; then again with the edges that came back
//! repair      every point reachable from the entries
//! ```
//!
//! Beside the points and the graph, the build takes for each point its own copy (`width` bytes), 48 · degree bytes of candidates
//! and edges, and about 120 more: 1.7 KB at 128 dimensions and 32 neighbours.
//!
//! Candidates are kept by (distance, id) alone, so the graph does not depend on the order in which threads bring them.

mod leaf;
mod partition;
mod points;
mod prune;
mod repair;
mod slab;
#[cfg(test)]
mod tests;
mod twins;

use std::sync::Mutex;

use crate::error::Result;
use crate::kernels::Isa;
use crate::storage;
use crate::threads::{self, Monitor, Worker};

pub(crate) use points::{Near, Points};
pub(crate) use prune::Pruner;
use slab::Slab;

/// Stands for "no neighbour".
pub(crate) const NONE: u32 = u32::MAX;

/// Candidates that are kept of a point, for each of its neighbours.
const CANDIDATES: usize = 3;
/// Points that a thread takes at a time.
const CHUNK: usize = 512;

/// How a graph is built.
#[derive(Clone, Copy)]
pub(crate) struct BuildGraph<'a> {
    /// Neighbours of a point, a multiple of 32.
    pub degree: usize,
    /// Of what is random: the same seed gives the same graph.
    pub seed: u64,
    /// Threads that take part.
    pub threads: usize,
    /// Watches, and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

/// Neighbours of points, and where to start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    /// Neighbours of a point.
    pub degree: usize,
    /// n × degree: of each point its neighbours, roughly the nearest first, none of them twice and none itself; where
    /// there are fewer other points, then [`NONE`].
    pub neighbours: Vec<u32>,
    /// Points from which every point can be reached; none only where there are no points.
    pub entries: Vec<u32>,
}

impl Graph {
    /// The neighbours of `point`, without padding.
    pub fn row(&self, point: usize) -> &[u32] {
        let row = &self.neighbours[point * self.degree..][..self.degree];
        &row[..row.iter().position(|&id| id == NONE).unwrap_or(self.degree)]
    }
}

/// Builds the graph of `points`.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted).
pub(crate) fn build(points: Points, params: &BuildGraph) -> Result<Graph> {
    let (n, degree) = (points.len(), params.degree);
    assert!(degree > 0 && degree.is_multiple_of(32), "a degree that is a multiple of 32");
    if n <= degree + 1 {
        return complete(points, degree);
    }
    let isa = Isa::active();
    let mut twins = twins::find(points, params)?;
    let partition::Root { order, cells, entries } =
        partition::root(isa, points, std::mem::take(&mut twins.single), params)?;
    let mut graph = Graph { degree, neighbours: filled(n * degree, NONE)?, entries: Vec::new() };
    {
        // Near points next to each other: what a thread reads and writes is then mostly in its cache.
        let mut codes = filled(order.len() * points.width, 0i8)?;
        for (row, &id) in codes.chunks_exact_mut(points.width).zip(&order) {
            row.copy_from_slice(points.row(id as usize));
        }
        let moved = Points { codes: &codes, width: points.width };
        let mut candidates = Slab::new(moved.len(), CANDIDATES * degree)?;
        partition::link(isa, moved, cells, params, &candidates)?;
        candidates.settle(params)?;
        let rows = choose(isa, moved, params, &candidates)?;
        for (row, &id) in rows.chunks_exact(degree).zip(&order) {
            let to = &mut graph.neighbours[id as usize * degree..][..degree];
            for (to, &place) in to.iter_mut().zip(row) {
                *to = if place == NONE { NONE } else { order[place as usize] };
            }
        }
    }
    graph.entries.extend(entries.iter().map(|&place| order[place as usize]));
    twins.join(&mut graph);
    repair::complete_rows(isa, points, params, &mut graph)?;
    repair::reach_all(isa, points, params, &mut graph)?;
    Ok(graph)
}

/// Every point next to every other.
fn complete(points: Points, degree: usize) -> Result<Graph> {
    let n = points.len();
    let mut neighbours = filled(n * degree, NONE)?;
    for (i, row) in neighbours.chunks_exact_mut(degree).enumerate() {
        let mut near: Vec<Near> =
            (0..n).filter(|&j| j != i).map(|j| Near::new(points.distance(i, j), j as u32)).collect();
        near.sort_unstable();
        row.iter_mut().zip(near).for_each(|(to, near)| *to = near.id());
    }
    Ok(Graph { degree, neighbours, entries: if n == 0 { Vec::new() } else { vec![0] } })
}

/// Chooses every point's neighbours from its candidates: once, and again together with the points that chose it.
fn choose(isa: Isa, points: Points, params: &BuildGraph, candidates: &Slab) -> Result<Vec<u32>> {
    let (n, degree) = (points.len(), params.degree);
    let mut back = Slab::new(n, degree)?;
    {
        let back = &back;
        each_point(params, "prune", n, |chunk, worker| {
            let mut pruner = Pruner::new(points.width);
            let mut chosen = Vec::new();
            for id in chunk * CHUNK..((chunk + 1) * CHUNK).min(n) {
                candidates.read(id, |near| pruner.prune(isa, points, near, degree, false, &mut chosen));
                for near in &chosen {
                    back.insert(near.id() as usize, &[Near::new(near.distance(), id as u32)]);
                }
            }
            worker.advance(CHUNK as u64);
        })?;
    }
    back.settle(params)?;
    let back = &back;
    let mut neighbours = filled(n * degree, NONE)?;
    let rows = chunks(&mut neighbours, CHUNK * degree);
    each_point(params, "connect", n, |chunk, worker| {
        let mut rows = lock(&rows[chunk]);
        let mut pruner = Pruner::new(points.width);
        let (mut all, mut chosen) = (Vec::new(), Vec::new());
        for (i, row) in rows.chunks_exact_mut(degree).enumerate() {
            let id = chunk * CHUNK + i;
            all.clear();
            back.read(id, |near| all.extend_from_slice(near));
            candidates.read(id, |near| all.extend_from_slice(near));
            all.sort_unstable();
            all.dedup();
            pruner.prune(isa, points, &all, degree, true, &mut chosen);
            row.iter_mut().zip(&chosen).for_each(|(to, near)| *to = near.id());
        }
        worker.advance((rows.len() / degree) as u64);
    })?;
    Ok(neighbours)
}

/// Runs `work` for each chunk of [`CHUNK`] points of `0..n`.
fn each_point(
    params: &BuildGraph,
    stage: &'static str,
    n: usize,
    work: impl Fn(usize, &Worker) + Sync,
) -> Result<()> {
    threads::run(params.threads, params.monitor, stage, (n.div_ceil(CHUNK), n as u64), |chunk, worker| {
        work(chunk, worker);
        Ok(())
    })
}

/// Parts of `values` that different threads write to.
fn chunks<T>(values: &mut [T], len: usize) -> Vec<Mutex<&mut [T]>> {
    values.chunks_mut(len).map(Mutex::new).collect()
}

/// The value behind `mutex`; a thread that panicked while it held it ends the whole build anyway.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// `len` times `value`.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub(super) fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>> {
    storage::filled("the graph", len, value)
}
