//! The one graph loop: best first, over estimates, a row a step.
//!
//! ```text
//! pool ← the entry's neighbours, by estimate
//! repeat   v ← the best node of the pool that was not expanded; none, or one far enough (`stop.rs`): end
//!          distance of v from its own code → pool in place of its estimate
//!          estimates of v's neighbours → pool (the best of them), the mean where there are several of a node
//! those that could be among the k nearest get their exact distance
//! ```
//!
//! Distances are told less the query's own squared length, which is the same for all: added to that of a far query, what tells
//! near from far would be rounded away.
//!
//! A step reads one row and nothing else, so the next one is known, and asked for, as soon as this one is done. A [`Walk`] can be
//! left between any two steps: several of them take turns on one core, and each one's row arrives while the others compute.

use super::pool::{Pool, distance_of, key};
use super::seen::{NEW, Seen, TAKEN};
use super::stop::{Effort, Stop};
use crate::graph::{Graph, Row, View};
use crate::kernels::Simd;
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::space::STRIDE;

/// A graph as walks see it.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    rows: View<'a>,
    /// The rows in which walks begin: from the first, which is as many as there are nodes, to before the second.
    entry: (usize, usize),
}

impl<'a> Map<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        let entry = graph.entry();
        Self { rows: graph.rows(), entry: (entry.start, entry.end) }
    }
}

/// One query on its way through a graph. Reused for the next one, so that nothing is allocated.
#[derive(Default)]
pub(crate) struct Walk {
    /// The query's head in integers of `unit` each.
    code: Vec<[i16; STRIDE]>,
    unit: f32,
    tables: Tables,
    pool: Pool,
    /// The nearest of the entry, as [`key`]s.
    starts: Vec<u64>,
    seen: Seen,
    stop: Stop,
    /// The node whose row was asked for.
    next: u32,
    pub stats: Stats,
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows of a graph, or lists, that were read.
    pub hops: u64,
    /// Vectors whose distance was estimated by one bit a coordinate, or all there are in nibbles.
    pub estimates: u64,
    /// Of those, the ones that were estimated again by all of their bits.
    pub refined: u64,
    /// Exact distances.
    pub reranked: u64,
}

/// Nodes of the entry that a walk begins with: this many or a quarter of `ef`. More of them bring little and cost their sorting in.
const STARTS: usize = 12;
/// How many more of them are collected before the farther ones are left out.
const MANY: usize = 64;
/// The largest magnitude of a query's code: 512 products with a byte stay below 2³¹.
const REACH: f32 = 32000.0;

impl Walk {
    /// Starts at the entry of `map`, for the query whose head is `head`. False where there is nothing to walk.
    #[inline(always)]
    pub fn start<S: Simd>(&mut self, s: S, map: Map, head: &[f32], effort: Effort) -> bool {
        let (mut reach, mut square) = (0f32, 0f32);
        for &v in head {
            reach = reach.max(v.abs());
            square += v * v;
        }
        self.unit = if reach > 0.0 { reach / REACH } else { 1.0 };
        let scale = 1.0 / self.unit;
        self.code.clear();
        for part in head.chunks(STRIDE) {
            let mut code = [0; STRIDE];
            for (code, v) in code.iter_mut().zip(part) {
                *code = (v * scale) as i16;
            }
            self.code.push(code);
        }
        self.tables.set(head);
        // What differs by less than a step a coordinate is told apart by the rounding of its codes.
        self.stop.clear(effort, square + head.len() as f32);
        self.pool.clear(effort.most().min(map.entry.0), map.rows.degree());
        self.seen.clear(effort.ef);
        self.stats = Stats::default();
        self.enter(s, map, effort.ef.min(STARTS.max(effort.ef / 4)));
        self.aim(s, map)
    }

    /// Puts the nearest `starts` nodes of the entry into the pool.
    #[inline(always)]
    fn enter<S: Simd>(&mut self, s: S, map: Map, starts: usize) {
        self.starts.clear();
        let mut bound = f32::MAX;
        for row in map.entry.0..map.entry.1 {
            let row = map.rows.row(row);
            self.stats.estimates += neighbours(s, &self.tables, row, (0.0, bound), |node, estimate| {
                self.starts.push(key(estimate, node));
            });
            // Sorting out is put off until it is worth a call.
            if self.starts.len() >= starts + MANY {
                let (_, worst, _) = self.starts.select_nth_unstable(starts - 1);
                bound = distance_of(*worst);
                self.starts.truncate(starts);
            }
        }
        if self.starts.len() > starts {
            self.starts.select_nth_unstable(starts - 1);
            self.starts.truncate(starts);
        }
        for &start in &self.starts {
            see(&mut self.seen, &mut self.pool, map, start as u32, distance_of(start));
        }
    }

    /// Expands the node whose row was asked for. False where the walk has ended.
    #[inline(always)]
    pub fn step<S: Simd>(&mut self, s: S, map: Map) -> bool {
        let row = map.rows.row(self.next as usize);
        let mut acc = s.zero_i32();
        for (code, query) in row.code().iter().zip(&self.code) {
            acc = s.dot_i16(acc, code, query);
        }
        let distance = row.norm() - 2.0 * self.unit * s.sum_i32(acc) as f32;
        // An estimate that was too good must not keep others out.
        self.pool.settle(self.next, distance);
        self.pool.narrow(self.stop.settle(distance));
        self.stats.hops += 1;
        self.pool.make_room(map.rows.degree());
        let bound = self.pool.worst();
        self.stats.estimates += neighbours(s, &self.tables, row, (distance, bound), |node, estimate| {
            see(&mut self.seen, &mut self.pool, map, node, estimate);
        });
        self.aim(s, map)
    }

    /// Replaces `keys` by the nodes that were expanded, as [`key`]s.
    pub fn found(&self, keys: &mut Vec<u64>) {
        keys.clear();
        keys.extend(self.pool.settled());
    }

    /// Chooses the next node and asks for its row.
    #[inline(always)]
    fn aim<S: Simd>(&mut self, s: S, map: Map) -> bool {
        let Some(next) = self.pool.take(s, &mut self.stop) else { return false };
        self.next = next;
        self.seen.entry(next).mean = TAKEN;
        for line in map.rows.row(next as usize).bytes().as_chunks::<64>().0 {
            s.prefetch(line);
        }
        true
    }
}

/// Calls `take` with the neighbours of `row`, which is `center` away, whose estimates do not exceed `bound`, or are NaN. How many were
/// estimated.
#[inline(always)]
fn neighbours<S: Simd>(
    s: S,
    tables: &Tables,
    row: Row,
    (center, bound): (f32, f32),
    mut take: impl FnMut(u32, f32),
) -> u64 {
    let ids = row.ids().as_chunks::<BLOCK>().0;
    let bound = s.splat_f32(bound);
    for (at, ids) in ids.iter().enumerate() {
        let (codes, factors) = row.block(at);
        let estimates = factors.estimates(s, tables.dots(s, codes, 0.0), center);
        for (ids, estimates) in ids.as_chunks::<16>().0.iter().zip(estimates) {
            let mut mask = s.not_less_f32(bound, estimates);
            let values = s.lanes_f32(estimates);
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                mask &= !(S::LANE_BITS << bit);
                take(ids[lane], values[lane]);
            }
        }
    }
    (ids.len() * BLOCK) as u64
}

/// Takes note that `node` may be as far as `estimate`. Estimates from several neighbours err independently: their mean
/// is what counts.
#[inline(always)]
fn see(seen: &mut Seen, pool: &mut Pool, map: Map, node: u32, estimate: f32) {
    // NaN comes through every comparison, and ids of the padding are no nodes; a damaged file may hold anything.
    if !estimate.is_finite() || node as usize >= map.entry.0 {
        return;
    }
    let entry = seen.entry(node);
    if entry.mean == TAKEN {
        return;
    }
    let mean = if entry.mean == NEW { estimate } else { (entry.mean + estimate) / 2.0 };
    entry.mean = mean;
    if pool.has(entry.slot, node) {
        pool.update(entry.slot, mean);
    } else if mean <= pool.worst() {
        entry.slot = pool.insert(node, mean);
    }
}
