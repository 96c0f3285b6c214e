//! The one graph loop: best first, over estimates, a row a step.
//!
//! ```text
//! pool ← the entry's neighbours, by estimate
//! repeat   v ← the best node of the pool that was not expanded; none, or one far enough (`stop.rs`): end
//!          distance of v from its own code → pool in place of its estimate
//!          estimates of v's neighbours → pool (the best of them), the mean where there are several of a node
//! those that wait and could be among the k nearest: distance from their own codes
//! those that could be among the k nearest get their exact distance
//! ```
//!
//! Distances are told less the query's own squared length, which is the same for all: added to that of a far query, what tells
//! near from far would be rounded away.
//!
//! A step reads one row and nothing else. The rows of the next two or three steps ([`AHEAD`]) are known and on their way: a node is chosen
//! before the rows before it were read, which makes a walk some steps longer, and none of them wait.
//!
//! A walk that ends has in view what it did not expand, and with a small `ef` some of the k nearest are there. How far off estimates
//! are, the expanded nodes tell: those that are near enough, give or take [`DEVIATIONS`], are looked at by their own codes. That takes a few
//! lines each, a step takes all of a row.
//!
//! Where rows are [bare](Form::Bare), a step asks for the neighbours' own codes, and the next one reads them: their distances take the
//! place of estimates. They need no mean, and what is in view is as good as what was expanded.

use super::pool::{LANES, Pool, ends, part};
use super::rerank::Ahead;
use super::seen::Seen;
use super::stop::{Effort, Stop};
use crate::graph::{Form, Graph, NONE, Row, View};
use crate::kernels::Simd;
use crate::kernels::fastscan::{BLOCK, Tables};
use crate::kernels::simd::ROUND;
use crate::keys::key;
use crate::space::{STEP, STRIDE};

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
    /// The nodes of the entry, and how far they are by estimate.
    entry: Vec<u32>,
    told: Vec<[f32; LANES]>,
    seen: Seen,
    stop: Stop,
    /// The nodes whose rows were asked for, the one that comes first first, and how far they are by estimate.
    coming: [u32; AHEAD],
    expected: [f32; AHEAD],
    /// The last of them, where its row has yet to be asked for.
    due: Option<u32>,
    /// Nodes whose codes were.
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
    /// Of those, the ones that were estimated again by all of their bits; under a graph what waited when the walk ended.
    pub refined: u64,
    /// Exact distances.
    pub reranked: u64,
}

/// Rows that are on their way while one is read, at most. Each makes a walk longer by a step or so.
const AHEAD: usize = 3;
/// Rows of so many bytes: a core does not keep track of the lines of three that are longer, so that two are on their way.
const SHORT: usize = 1024;
/// How many deviations an estimate may be too far, to be looked at in the end: with more of them more is looked at than found.
const DEVIATIONS: f64 = 2.0;
/// Nodes of the entry that a walk begins with: this many or a quarter of `ef`. More of them bring little and cost their sorting in.
const STARTS: usize = 12;
/// The largest magnitude of a query's code: 512 products with a byte, which is what 8,192 coordinates come to in each of sixteen
/// lanes, stay below 2³¹.
const REACH: f32 = 32000.0;

impl Walk {
    /// Starts at the entry of `map`, for the query whose head is `head`, and asks for the memory `ahead` meanwhile. False where there is
    /// nothing to walk.
    #[inline(always)]
    pub(super) fn start<S: Simd>(
        &mut self,
        s: S,
        map: Map,
        head: &[f32],
        effort: Effort,
        ahead: Ahead,
    ) -> bool {
        let square = self.code(head);
        self.tables.set(s, head);
        // What differs by less than a step a coordinate is told apart by the rounding of its codes.
        self.stop.clear(effort, square + head.len() as f32);
        self.pool.clear(effort, map.nodes, map.rows.degree());
        self.asked.clear();
        self.coming = [NONE; AHEAD];
        self.due = None;
        self.seen.clear(match map.rows.form() {
            Form::Coded => effort.most().saturating_add(effort.ef),
            Form::Bare => effort.ef.saturating_mul(16),
        });
        self.stats = Stats::default();
        self.enter(s, map, effort.most().min(STARTS.max(effort.ef / 4)), ahead);
        self.aim(s, map)
    }

    /// Puts the nearest `starts` nodes of the entry into the pool, or a quarter more of them.
    #[inline(always)]
    fn enter<S: Simd>(&mut self, s: S, map: Map, starts: usize, mut ahead: Ahead) {
        let Self { tables, entry, told, .. } = self;
        entry.clear();
        told.clear();
        for row in map.rows.entry() {
            entry.extend_from_slice(row.ids());
            for at in 0..row.ids().len() / BLOCK {
                let [low, high] = estimates(s, tables, row, at, 0.0, ahead.next());
                told.extend([s.lanes_f32(low), s.lanes_f32(high)]);
            }
        }
        ahead.ask(s);
        // All of them first, then what parts the nearest from the others: whether one is nearer than the best so far is what no
        // processor foretells.
        let enough = starts + starts / 4;
        let far = part(s, [told], ends([told]), (starts, enough));
        match map.rows.form() {
            Form::Coded => {
                for (ids, told) in entry.as_chunks::<BLOCK>().0.iter().zip(told.as_chunks::<2>().0) {
                    let told = [s.load_f32(&told[0]), s.load_f32(&told[1])];
                    self.pool.make_room(s, BLOCK);
                    self.pool.put_some(s, (ids, told), far, (map.nodes, &self.seen));
                }
            }
            Form::Bare => {
                let near = entry.iter().zip(told.as_flattened()).filter(|(_, told)| **told <= far);
                for (&node, _) in near.take(enough) {
                    ask_code(s, &mut self.asked, &mut self.seen, map, node);
                }
            }
        }
        self.stats.estimates += self.entry.len() as u64;
    }

    /// Does what can be done with what was asked for. [`Walk::aim`] is to follow.
    #[inline(always)]
    pub fn step<S: Simd>(&mut self, s: S, map: Map) {
        match map.rows.form() {
            Form::Coded => self.estimate(s, map),
            Form::Bare => self.measure(s, map),
        }
    }

    /// Takes the first of the rows that were asked for.
    #[inline(always)]
    fn expand<'a, S: Simd>(&mut self, s: S, map: Map<'a>) -> Option<(Row<'a>, f32)> {
        let next = std::mem::replace(&mut self.coming[0], NONE);
        if next == NONE {
            return None;
        }
        let row = map.rows.row(next as usize);
        let distance = self.distance(s, row);
        // An estimate that was too good must not keep others out.
        self.pool.settle(next, distance, self.expected[0]);
        self.pool.narrow(self.stop.settle(distance));
        self.stats.hops += 1;
        Some((row, distance))
    }

    /// Expands a node whose row has its neighbours' codes.
    #[inline(always)]
    fn estimate<S: Simd>(&mut self, s: S, map: Map) {
        let Some((row, distance)) = self.expand(s, map) else { return };
        let mut ahead = self.due.take().map_or(&[][..], |due| map.rows.row(due as usize).others());
        for (at, ids) in row.ids().as_chunks::<BLOCK>().0.iter().enumerate() {
            let estimates = estimates(s, &self.tables, row, at, distance, std::mem::take(&mut ahead));
            self.pool.make_room(s, BLOCK);
            self.pool.put_some(s, (ids, estimates), self.pool.worst(), (map.nodes, &self.seen));
            self.stats.estimates += ids.len() as u64;
        }
    }

    /// Expands a node whose row has none, if there is one: asks for the codes of its neighbours, and takes note of those that were
    /// asked for in the step before. In turns, so that there are never more on their way than a core keeps track of.
    #[inline(always)]
    fn measure<S: Simd>(&mut self, s: S, map: Map) {
        if let Some(due) = self.due.take() {
            ask(s, map.rows.row(due as usize).others());
        }
        let due = self.asked.len();
        let neighbours = self.expand(s, map).map_or(&[][..], |(row, _)| row.ids());
        self.pool.make_room(s, due);
        for at in 0..due.max(neighbours.len()) {
            if let Some(&node) = neighbours.get(at) {
                ask_code(s, &mut self.asked, &mut self.seen, map, node);
            }
            if at < due {
                let node = self.asked[at];
                let distance = self.distance(s, map.rows.row(node as usize));
                // Each is measured once; a damaged file may hold anything.
                if distance.is_finite() {
                    self.pool.put(node, distance);
                }
            }
        }
        self.asked.drain(..due);
        self.stats.estimates += due as u64;
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

    /// Replaces `keys` by the nodes that were found, as [`key`]s of their distances by their codes.
    #[inline(always)]
    pub fn found<S: Simd>(&mut self, s: S, map: Map, keys: &mut Vec<u64>) {
        keys.clear();
        keys.extend(self.pool.settled());
        match map.rows.form() {
            Form::Coded => self.look(s, map, keys),
            Form::Bare => keys.extend(self.pool.waiting()),
        }
    }

    /// Appends those of the nodes that wait which could be among the k nearest, by their own codes.
    #[inline(always)]
    fn look<S: Simd>(&mut self, s: S, map: Map, keys: &mut Vec<u64>) {
        let (near, wanted) = (keys.len(), self.stop.wanted());
        // Of fewer than are wanted, estimates tell how far they reach.
        let kth = self.stop.kth().unwrap_or_else(|| self.pool.kth(s, wanted));
        let bound = (f64::from(kth) - self.pool.errors().low(DEVIATIONS, 0.0)) as f32;
        if bound.is_finite() {
            self.pool.within(s, bound, &mut self.seen, keys);
        }
        if keys.len() < wanted {
            self.pool.within(s, f32::MAX, &mut self.seen, keys);
        }
        for &key in &keys[near..] {
            ask(s, map.rows.row(key as u32 as usize).own());
        }
        for found in &mut keys[near..] {
            let node = *found as u32;
            *found = key(self.distance(s, map.rows.row(node as usize)), node);
        }
        self.stats.refined += (keys.len() - near) as u64;
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
        // Side by side: one sum after the other waits for the one before.
        let (mut reaches, mut squares) = ([0f32; STEP], [0f32; STEP]);
        for part in head.as_chunks::<STEP>().0 {
            for (i, v) in part.iter().enumerate() {
                reaches[i] = if v.abs() > reaches[i] { v.abs() } else { reaches[i] };
                squares[i] += v * v;
            }
        }
        let reach = reaches.into_iter().fold(0.0, f32::max);
        self.unit = if reach > 0.0 { reach / REACH } else { 1.0 };
        let scale = 1.0 / self.unit;
        self.code.clear();
        for part in head.chunks(STRIDE) {
            let mut code = [0; STRIDE];
            for (code, v) in code.iter_mut().zip(part) {
                *code = (v * scale + ROUND).to_bits() as i16;
            }
            self.code.push(code);
        }
        squares.into_iter().sum()
    }

    /// Takes out the nearest node that waits, and how far it is by estimate, unless the walk ends there.
    #[inline(always)]
    fn take<S: Simd>(&mut self, s: S, map: Map) -> Option<(u32, f32)> {
        loop {
            let next = self.pool.take(s, &mut self.stop)?;
            // Where rows are bare, all that wait were seen, and none waits twice.
            if map.rows.form() == Form::Bare || self.seen.insert(s, next.0) {
                return Some(next);
            }
        }
    }

    /// Chooses the next nodes and asks for their rows. False where the walk has ended.
    #[inline(always)]
    pub fn aim<S: Simd>(&mut self, s: S, map: Map) -> bool {
        self.coming.rotate_left(1);
        self.expected.rotate_left(1);
        let ahead = if map.rows.size() <= SHORT { AHEAD } else { AHEAD - 1 };
        for at in 0..ahead {
            if self.coming[at] == NONE
                && let Some((next, estimate)) = self.take(s, map)
            {
                (self.coming[at], self.expected[at]) = (next, estimate);
                // What is read first.
                ask(s, map.rows.row(next as usize).own());
                if let Some(due) = self.due.replace(next) {
                    ask(s, map.rows.row(due as usize).others());
                }
            }
        }
        self.coming[0] != NONE || !self.asked.is_empty()
    }
}

/// The estimates of the neighbours 32 · `at` and following of `row`, which is `center` away. Asks for the lines of `ahead`.
#[inline(always)]
fn estimates<S: Simd>(s: S, tables: &Tables, row: Row, at: usize, center: f32, ahead: &[u8]) -> [S::F32; 2] {
    let (codes, factors) = row.block(at);
    factors.estimates(s, tables.dots(s, codes, 0.0, ahead.as_chunks().0), center)
}

/// Asks for whole lines.
#[inline(always)]
pub(super) fn ask<S: Simd>(s: S, bytes: &[u8]) {
    for line in bytes.as_chunks::<64>().0 {
        s.prefetch(line);
    }
}

/// Asks for the code of `node` where it is new.
#[inline(always)]
fn ask_code<S: Simd>(s: S, asked: &mut Vec<u32>, seen: &mut Seen, map: Map, node: u32) {
    // Ids of the padding are no nodes; a damaged file may hold anything.
    if node as usize >= map.nodes || !seen.insert(s, node) {
        return;
    }
    asked.push(node);
    ask(s, map.rows.row(node as usize).own());
}
