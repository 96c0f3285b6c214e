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
//!
//! Where rows are [bare](Form::Bare), a step takes two turns: in the first, the neighbours' own codes are asked for; in the second,
//! their distances take the place of estimates. They need no mean, and what is in view is as good as what was expanded.

use super::pool::{Pool, distance_of, key};
use super::seen::{NEW, Seen, TAKEN};
use super::stop::{Effort, Stop};
use crate::graph::{Form, Graph, Row, View};
use crate::kernels::Simd;
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::space::STRIDE;

/// A graph as walks see it.
#[derive(Clone, Copy)]
pub(crate) struct Map<'a> {
    rows: View<'a>,
    nodes: usize,
}

impl<'a> Map<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        Self { rows: graph.rows(), nodes: graph.vectors().len() }
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
    /// Its neighbours whose codes were.
    asked: Vec<u32>,
    pub stats: Stats,
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows of a graph, or lists, that were read.
    pub hops: u64,
    /// Vectors whose distance was estimated by one bit a coordinate, or all there are in nibbles; by whole codes where rows are bare.
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
/// The largest magnitude of a query's code: 512 products with a byte, which is what 8,192 coordinates come to in each of sixteen
/// lanes, stay below 2³¹.
const REACH: f32 = 32000.0;

impl Walk {
    /// Starts at the entry of `map`, for the query whose head is `head`. False where there is nothing to walk.
    #[inline(always)]
    pub fn start<S: Simd>(&mut self, s: S, map: Map, head: &[f32], effort: Effort) -> bool {
        let square = self.code(head);
        self.tables.set(head);
        // What differs by less than a step a coordinate is told apart by the rounding of its codes.
        self.stop.clear(effort, square + head.len() as f32);
        self.pool.clear(effort.most().min(map.nodes), map.rows.degree());
        self.asked.clear();
        self.seen.clear(effort.ef);
        self.stats = Stats::default();
        self.enter(s, map, effort.ef.min(STARTS.max(effort.ef / 4)));
        self.go_on(s, map)
    }

    /// Puts the nearest `starts` nodes of the entry into the pool.
    #[inline(always)]
    fn enter<S: Simd>(&mut self, s: S, map: Map, starts: usize) {
        self.starts.clear();
        let mut bound = f32::MAX;
        for row in map.rows.entry() {
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
            match map.rows.form() {
                Form::Coded => see(&mut self.seen, &mut self.pool, map, start as u32, distance_of(start)),
                Form::Bare => ask(s, &mut self.asked, &mut self.seen, map, start as u32),
            }
        }
    }

    /// Does what can be done with what was asked for. False where the walk has ended.
    #[inline(always)]
    pub fn step<S: Simd>(&mut self, s: S, map: Map) -> bool {
        if self.asked.is_empty() {
            self.expand(s, map);
        } else {
            self.measure(s, map);
        }
        self.go_on(s, map)
    }

    /// Expands the node whose row was asked for.
    #[inline(always)]
    fn expand<S: Simd>(&mut self, s: S, map: Map) {
        let row = map.rows.row(self.next as usize);
        let distance = self.distance(s, row);
        // An estimate that was too good must not keep others out.
        self.pool.settle(self.next, distance);
        self.pool.narrow(self.stop.settle(distance));
        self.stats.hops += 1;
        self.pool.make_room(map.rows.degree());
        if map.rows.form() == Form::Bare {
            row.ids().iter().for_each(|&node| ask(s, &mut self.asked, &mut self.seen, map, node));
            return;
        }
        let bound = self.pool.worst();
        self.stats.estimates += neighbours(s, &self.tables, row, (distance, bound), |node, estimate| {
            see(&mut self.seen, &mut self.pool, map, node, estimate);
        });
    }

    /// Takes note of the nodes whose codes were asked for.
    #[inline(always)]
    fn measure<S: Simd>(&mut self, s: S, map: Map) {
        self.stats.estimates += self.asked.len() as u64;
        for &node in &self.asked {
            let distance = self.distance(s, map.rows.row(node as usize));
            see(&mut self.seen, &mut self.pool, map, node, distance);
        }
        self.asked.clear();
    }

    /// How far the node of `row` is, by its code.
    #[inline(always)]
    fn distance<S: Simd>(&self, s: S, row: Row) -> f32 {
        let mut acc = s.zero_i32();
        for (code, query) in row.code().iter().zip(&self.code) {
            acc = s.dot_i16(acc, code, query);
        }
        row.norm() - 2.0 * self.unit * s.sum_i32(acc) as f32
    }

    /// Replaces `keys` by the nodes whose distance by their codes is known, as [`key`]s.
    pub fn found(&self, map: Map, keys: &mut Vec<u64>) {
        keys.clear();
        keys.extend(self.pool.settled());
        if map.rows.form() == Form::Bare {
            keys.extend(self.pool.waiting());
        }
    }

    /// Becomes a query without a walk, and calls `each` with all nodes as [`key`]s.
    #[inline(always)]
    pub fn all<S: Simd>(&mut self, s: S, map: Map, head: &[f32], mut each: impl FnMut(u64)) {
        self.code(head);
        for node in 0..map.nodes {
            each(key(self.distance(s, map.rows.row(node)), node as u32));
        }
    }

    /// Codes the query's head; its squared length.
    #[inline(always)]
    fn code(&mut self, head: &[f32]) -> f32 {
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
        square
    }

    /// Asks for what comes next, unless codes are on their way. False where nothing does.
    #[inline(always)]
    fn go_on<S: Simd>(&mut self, s: S, map: Map) -> bool {
        !self.asked.is_empty() || self.aim(s, map)
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

/// Asks for the code of `node` where it is new.
#[inline(always)]
fn ask<S: Simd>(s: S, asked: &mut Vec<u32>, seen: &mut Seen, map: Map, node: u32) {
    // Ids of the padding are no nodes; a damaged file may hold anything.
    if node as usize >= map.nodes || seen.entry(node).mean != NEW {
        return;
    }
    asked.push(node);
    for line in map.rows.row(node as usize).own().as_chunks::<64>().0 {
        s.prefetch(line);
    }
}

/// Takes note that `node` may be as far as `estimate`. Estimates from several neighbours err independently: their mean
/// is what counts.
#[inline(always)]
fn see(seen: &mut Seen, pool: &mut Pool, map: Map, node: u32, estimate: f32) {
    // NaN comes through every comparison, and ids of the padding are no nodes; a damaged file may hold anything.
    if !estimate.is_finite() || node as usize >= map.nodes {
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
