//! The one graph loop: best first, over estimates, a row a step.
//!
//! ```text
//! pool ← the entry's neighbours, by estimate
//! repeat   v ← the best node of the pool that was not expanded; none: end
//!          distance of v from its own code → found;   estimates of v's neighbours → pool (the ef best)
//! the best of found get their exact distance
//! ```
//!
//! Distances are told less the query's own squared length, which is the same for all: added to that of a far query, what tells
//! near from far would be rounded away.
//!
//! A step reads one row and nothing else, so the next one is known, and asked for, as soon as this one is done. A [`Walk`] can be
//! left between any two steps: several of them take turns on one core, and each one's row arrives while the others compute.

use crate::graph::Graph;
use crate::graph::STRIDE;
use crate::kernels::Simd;
use crate::kernels::fastscan::Tables;

/// One query on its way through a graph. Reused for the next one, so that nothing is allocated.
#[derive(Default)]
pub(crate) struct Walk {
    /// The query's head in units of the graph's step, and in integers of `unit` each.
    pub head: Vec<f32>,
    code: Vec<[i16; STRIDE]>,
    unit: f32,
    tables: Tables,
    /// Nodes by estimate; the lowest bit of a key is set where the node was expanded.
    pool: Pool,
    /// Nodes by distance.
    pub found: Pool,
    seen: Seen,
    next: u32,
    pub stats: Stats,
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows that were read.
    pub hops: u64,
    /// Neighbours whose distance was estimated.
    pub estimates: u64,
    /// Exact distances.
    pub reranked: u64,
}

/// The largest magnitude of a query's code: 512 products with a byte stay below 2³¹.
const REACH: f32 = 32000.0;

impl Walk {
    /// Starts at the entry of `graph`, for the query whose head is in `head`. False where there is nothing to walk.
    #[inline(always)]
    pub fn start<S: Simd>(&mut self, s: S, graph: &Graph, ef: usize, keep: usize) -> bool {
        let mut reach = 0f32;
        for &v in &self.head {
            reach = reach.max(v.abs());
        }
        self.unit = if reach > 0.0 { reach / REACH } else { 1.0 };
        let scale = 1.0 / self.unit;
        self.code.clear();
        for part in self.head.chunks(STRIDE) {
            let mut code = [0; STRIDE];
            for (code, v) in code.iter_mut().zip(part) {
                *code = (v * scale) as i16;
            }
            self.code.push(code);
        }
        self.tables.set(s, &self.head);
        self.pool.clear(ef);
        self.found.clear(keep);
        self.seen.clear();
        self.stats = Stats::default();
        for row in graph.entry() {
            self.scan(s, graph, row, 0.0);
        }
        self.aim(s, graph)
    }

    /// Expands the node whose row was asked for. False where the walk has ended.
    #[inline(always)]
    pub fn step<S: Simd>(&mut self, s: S, graph: &Graph) -> bool {
        let row = graph.row(self.next as usize);
        let mut acc = s.zero_i32();
        for (code, query) in row.code().iter().zip(&self.code) {
            acc = s.dot_i16(acc, code, query);
        }
        let distance = row.norm() - 2.0 * self.unit * s.sum_i32(acc) as f32;
        self.found.offer(distance, self.next);
        self.stats.hops += 1;
        self.scan(s, graph, self.next as usize, distance);
        self.aim(s, graph)
    }

    /// Puts the neighbours of `row`, `distance` away, into the pool.
    #[inline(always)]
    fn scan<S: Simd>(&mut self, s: S, graph: &Graph, row: usize, distance: f32) {
        let row = graph.row(row);
        for (at, ids) in row.ids().as_chunks::<32>().0.iter().enumerate() {
            let (codes, factors) = row.block(at);
            let estimates = self.tables.estimate(s, codes, factors, distance);
            self.stats.estimates += 32;
            for (half, estimates) in estimates.into_iter().enumerate() {
                let mut mask = s.not_less_f32(s.splat_f32(self.pool.worst()), estimates);
                if mask == 0 {
                    continue;
                }
                let values = s.lanes_f32(estimates);
                while mask != 0 {
                    let bit = mask.trailing_zeros();
                    let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                    mask &= !(S::LANE_BITS << bit);
                    let id = ids[half * 16 + lane];
                    if values[lane] <= self.pool.worst() && self.seen.insert(id) {
                        self.pool.offer(values[lane], id);
                    }
                }
            }
        }
    }

    /// Chooses the next node and asks for its row.
    #[inline(always)]
    fn aim<S: Simd>(&mut self, s: S, graph: &Graph) -> bool {
        let Some(next) = self.pool.take() else { return false };
        self.next = next;
        for line in graph.row(next as usize).bytes().chunks(64) {
            s.prefetch(line);
        }
        true
    }
}

/// The best few nodes, nearest first: a sorted array of keys, of which the upper half is the distance in an order-preserving form,
/// the lower half the node, shifted by one bit that says whether it was taken.
#[derive(Default)]
pub(crate) struct Pool {
    keys: Vec<u64>,
    most: usize,
    /// All keys before this one were taken.
    cursor: usize,
    worst: f32,
}

impl Pool {
    fn clear(&mut self, most: usize) {
        self.keys.clear();
        self.keys.reserve(most + 1);
        (self.most, self.cursor, self.worst) = (most, 0, f32::MAX);
    }

    /// What a distance must not exceed to be kept.
    #[inline(always)]
    fn worst(&self) -> f32 {
        self.worst
    }

    #[inline(always)]
    fn offer(&mut self, distance: f32, node: u32) {
        if distance > self.worst {
            return;
        }
        let key = key(distance, node);
        let at = self.keys.partition_point(|&other| other < key);
        if self.keys.len() == self.most {
            if at == self.most {
                return;
            }
            self.keys.pop();
        }
        self.keys.insert(at, key);
        self.cursor = self.cursor.min(at);
        if self.keys.len() == self.most {
            self.worst = distance_of(self.keys[self.most - 1]);
        }
    }

    /// The nearest node that was not taken yet.
    #[inline(always)]
    fn take(&mut self) -> Option<u32> {
        while let Some(key) = self.keys.get_mut(self.cursor) {
            self.cursor += 1;
            if *key & 1 == 0 {
                *key |= 1;
                return Some((*key as u32) >> 1);
            }
        }
        None
    }

    /// The nodes, nearest first.
    pub fn nodes(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().map(|&key| key as u32 >> 1)
    }
}

/// Ordered as distances are, then as nodes are.
#[inline(always)]
fn key(distance: f32, node: u32) -> u64 {
    let bits = distance.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(node) << 1
}

#[inline(always)]
fn distance_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// A set of nodes that is emptied by counting on: open addressing, at most half full.
#[derive(Default)]
struct Seen {
    /// The round in which it was written, and the node.
    slots: Vec<(u32, u32)>,
    round: u32,
    len: usize,
}

impl Seen {
    fn clear(&mut self) {
        self.len = 0;
        self.round = self.round.wrapping_add(1);
        if self.slots.is_empty() || self.round == 0 {
            self.slots.clear();
            self.slots.resize(1024, (0, 0));
            self.round = 1;
        }
    }

    /// True where `node` was not in the set yet.
    #[inline(always)]
    fn insert(&mut self, node: u32) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & mask;
        while self.slots[at].0 == self.round {
            if self.slots[at].1 == node {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = (self.round, node);
        self.len += 1;
        if self.len * 2 > self.slots.len() {
            self.grow();
        }
        true
    }

    #[cold]
    fn grow(&mut self) {
        let slots = vec![(0, 0); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, slots);
        self.len = 0;
        for (round, node) in old {
            if round == self.round {
                self.insert(node);
            }
        }
    }
}
