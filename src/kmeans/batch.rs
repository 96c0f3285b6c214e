//! The points that a thread assigns at a time.

use std::cell::RefCell;

use super::assign::{BATCH, Done, NEAR, Task};
use super::bounds::{at_least, at_most, within};
use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::search::{Aim, Collector, InRange, List, TopK, rounded, scan_aimed, scan_all, screen};
use crate::storage::Buffer;
use crate::threads::Worker;
use crate::vectors::{Dtype, Vectors};

/// One of so many centroids is looked at for a first guess.
const GUESS: usize = 2;
/// Points below which packing centroids for a tile costs more than it saves.
const FEW: usize = 8;
/// Coordinates of the queries that a thread keeps for their memory, at most: a MiB.
const ROOM: usize = 1 << 17;

thread_local! {
    /// Queries to be used again, for their memory.
    static SPARE: RefCell<Vec<Query>> = const { RefCell::new(Vec::new()) };
}

/// A batch, and what is remembered of its points.
pub(super) struct Part<'a> {
    /// Its first point.
    pub first: usize,
    pub labels: &'a mut [u32],
    pub distances: &'a mut [f32],
    pub near: &'a mut [u32],
    pub reach: &'a mut [f32],
    pub done: Done,
}

/// Points that are scanned together.
#[derive(Default)]
struct Scanned {
    /// Their places in the batch.
    rows: Vec<u32>,
    queries: Vec<Query>,
    /// How near a centroid must be.
    bounds: Vec<f32>,
}

impl Part<'_> {
    /// Finds the nearest centroid of each point.
    pub fn assign(&mut self, task: &Task, worker: &Worker) -> Result<()> {
        let (isa, metric, k) = (Isa::active(), task.points.metric, task.by_id.len());
        let each = NEAR.min(k);
        let (mut open, mut settled) = (Scanned::default(), Scanned::default());
        let (mut found, mut known) = (Vec::new(), Vec::new());
        for i in 0..self.labels.len() {
            // What weighs nothing moves nothing.
            if task.points.weight(self.first + i) == 0.0 {
                continue;
            }
            let mut query = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
            query.set(metric, task.points.rows, self.first + i, Dtype::F32);
            found.clear();
            let ids = match task.fast {
                Some(_) => &self.near[i * each..][..each],
                None if task.first => &[],
                None => &self.labels[i..=i],
            };
            query.distances(isa, task.by_id, ids, &mut found);
            let least = found.iter().copied().fold(f32::INFINITY, f32::min);
            let left = task.fast.map_or(f64::NEG_INFINITY, |fast| f64::from(self.reach[i]) - fast.slow);
            if at_most(metric, least) < left {
                self.reach[i] = (left as f32).next_down();
                known.extend(found.iter().copied().zip(ids.iter().copied()));
                settled.push(i, query, within(metric, f64::from(self.reach[i])));
            } else if task.ratio > 1.0 && least < f32::INFINITY {
                open.push(i, query, within(metric, at_most(metric, least) * task.ratio));
            } else {
                open.push(i, query, least);
            }
        }
        if task.first {
            self.guess(task, &mut open);
        }
        let fast = task.fast.map_or(0, |fast| fast.count);
        let idle = self.labels.len() - open.rows.len() - settled.rows.len();
        self.look(task, &open, each, worker)?;
        self.confirm(task, &settled, &known, fast, worker)?;
        worker.advance(((k - fast) * settled.rows.len() + k * idle) as u64);
        SPARE.with_borrow_mut(|spare| {
            spare.extend(open.queries.into_iter().chain(settled.queries));
            spare.truncate((ROOM / task.by_id.dim()).min(BATCH));
        });
        Ok(())
    }

    /// Bounds for points of which nothing is known: the distance of the best of some centroids, by their codes.
    fn guess(&self, task: &Task, open: &mut Scanned) {
        let some = task.by_id.len() / GUESS;
        if let Some(codes) = task.codes.filter(|_| some > 0) {
            let best = codes.guess(self.first / BATCH, &open.rows, some);
            let (isa, list, mut found) = (Isa::active(), task.list(some), Vec::new());
            for ((query, bound), id) in open.queries.iter().zip(&mut open.bounds).zip(best) {
                found.clear();
                query.distances(isa, list.rows, &[id], &mut found);
                *bound = found[0];
            }
        }
    }

    /// Scans all centroids for the nearest of each point, and for those that are to be remembered.
    fn look(&mut self, task: &Task, open: &Scanned, each: usize, worker: &Worker) -> Result<()> {
        let (metric, k) = (task.points.metric, task.by_id.len());
        let remember = !self.near.is_empty();
        let each = if remember { each } else { 1 };
        let tops = open.bounds.iter().map(|&bound| TopK::within(each, k, bound)).collect();
        let tops = open.scan(task, self.first, task.list(k), tops, worker)?;
        for ((&i, &bound), top) in open.rows.iter().zip(&open.bounds).zip(tops) {
            let best: Vec<(f32, u32)> = top.into_sorted().map(|n| (n.distance, n.id as u32)).collect();
            // All others are as far as the last, or farther than was looked.
            let last = best.last().filter(|_| best.len() == each).map_or(bound, |last| last.0);
            self.settle(
                task,
                i as usize,
                &best,
                if each < k { at_least(metric, last) } else { f64::INFINITY },
            );
        }
        Ok(())
    }

    /// Looks at the `fast` fastest centroids for each settled point, of which those `known` are remembered.
    fn confirm(
        &mut self,
        task: &Task,
        settled: &Scanned,
        known: &[(f32, u32)],
        fast: usize,
        worker: &Worker,
    ) -> Result<()> {
        let metric = task.points.metric;
        let ranges = settled.bounds.iter().map(|&bound| InRange::new(bound)).collect();
        let ranges = settled.scan(task, self.first, task.list(fast), ranges, worker)?;
        let each = known.len() / settled.rows.len().max(1);
        for ((&i, known), range) in settled.rows.iter().zip(known.chunks_exact(each.max(1))).zip(ranges) {
            let mut best = known.to_vec();
            best.extend(range.into_sorted().map(|n| (n.distance, n.id as u32)));
            best.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            best.dedup();
            let left = f64::from(self.reach[i as usize]);
            let reach = best.get(each).map_or(left, |next| left.min(at_least(metric, next.0)));
            best.truncate(each);
            self.settle(task, i as usize, &best, reach);
        }
        Ok(())
    }

    /// Point `i` is nearest to the first of `best`, and to none that is not among them nearer than `reach`.
    fn settle(&mut self, task: &Task, i: usize, best: &[(f32, u32)], reach: f64) {
        let Some(&(distance, label)) = best.first() else { return };
        self.done.changed |= self.labels[i] != label;
        self.done.objective += task.points.cost(self.first + i, distance);
        (self.labels[i], self.distances[i]) = (label, distance);
        if !self.near.is_empty() {
            let each = self.near.len() / self.labels.len();
            let ids = best.iter().map(|best| best.1).chain(std::iter::repeat(label));
            self.near[i * each..][..each].iter_mut().zip(ids).for_each(|(near, id)| *near = id);
            self.reach[i] = (reach as f32).next_down();
        }
    }
}

impl Scanned {
    fn push(&mut self, row: usize, query: Query, bound: f32) {
        self.rows.push(row as u32);
        self.queries.push(query);
        self.bounds.push(bound);
    }

    /// Offers the centroids of `list` that may be near enough to each point's collector. The batch begins with point `first`.
    fn scan<C: Collector>(
        &self,
        task: &Task,
        first: usize,
        list: List,
        mut collectors: Vec<C>,
        worker: &Worker,
    ) -> Result<Vec<C>> {
        let (isa, rows) = (Isa::active(), task.points.rows);
        // The first bounds are guesses.
        let aim = Aim::of(&collectors, !task.first);
        let (queries, collected) = (&self.queries, &mut collectors);
        if list.rows.is_empty() || queries.is_empty() {
            return Ok(collectors);
        }
        if let Some(codes) = task.codes {
            let batch = &codes.points[first / BATCH];
            let mut screen = screen::codes(isa, &codes.centroids, 0, batch, &self.rows);
            scan_aimed(isa, &mut screen, list, queries, collected, (aim, worker));
        } else if queries.len() < FEW || list.rows.len() < FEW {
            scan_all(isa, list, queries, collected, worker);
        } else {
            let row = rows.row_bytes();
            let mut some = Buffer::new();
            for &i in &self.rows {
                some.extend("points", &rows.bytes()[(first + i as usize) * row..][..row])?;
            }
            let some = Vectors::from_bytes(some.bytes(), rows.dtype(), rows.dim())?;
            let mut screen = rounded(isa, task.points.metric, list.rows, some);
            scan_aimed(isa, &mut screen, list, queries, collected, (aim, worker));
        }
        Ok(collectors)
    }
}
