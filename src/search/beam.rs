//! The one graph loop: best first, over estimates, a row a step.
//!
//! ```text
//! pool ← the entry's neighbours, by estimate
//! repeat   v ← the best node of the pool that was not expanded; none: end
//!          distance of v from its own code → found, and → pool in place of its estimate
//!          estimates of v's neighbours → pool (the ef best), the mean where there are several of a node
//! the best of found get their exact distance
//! ```
//!
//! Distances are told less the query's own squared length, which is the same for all: added to that of a far query, what tells
//! near from far would be rounded away.
//!
//! A step reads one row and nothing else, so the next one is known, and asked for, as soon as this one is done. A [`Walk`] can be
//! left between any two steps: several of them take turns on one core, and each one's row arrives while the others compute.

use crate::graph::{Graph, NONE, STRIDE, View};
use crate::kernels::Simd;
use crate::kernels::fastscan::Tables;

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
    /// The query's head in integers of `unit` each, and its squared length.
    code: Vec<[i16; STRIDE]>,
    unit: f32,
    tables: Tables,
    /// Nodes by estimate; the lowest bit of a key is set where the node was expanded.
    pool: Pool,
    /// Nodes by distance.
    pub found: Pool,
    seen: Seen,
    /// The node whose row was asked for, and by what estimate it was chosen.
    next: u32,
    estimate: f32,
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

/// Nodes of the entry that a walk begins with: this many or a quarter of `ef`. More of them bring little and cost their sorting in.
const STARTS: usize = 12;
/// The largest magnitude of a query's code: 512 products with a byte stay below 2³¹.
const REACH: f32 = 32000.0;

impl Walk {
    /// Starts at the entry of `map`, for the query whose head is `head`. False where there is nothing to walk.
    #[inline(always)]
    pub fn start<S: Simd>(&mut self, s: S, map: Map, head: &[f32], ef: usize, keep: usize) -> bool {
        let mut reach = 0f32;
        for &v in head {
            reach = reach.max(v.abs());
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
        self.pool.clear(ef.min(STARTS.max(ef / 4)));
        self.found.clear(keep);
        self.seen.clear(ef);
        self.stats = Stats::default();
        for row in map.entry.0..map.entry.1 {
            self.scan(s, map, row, 0.0);
        }
        self.pool.widen(ef);
        self.aim(s, map)
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
        self.found.offer(distance, self.next);
        // An estimate that was too good must not keep others out.
        self.pool.shift(key(self.estimate, self.next) | 1, key(distance, self.next) | 1);
        self.stats.hops += 1;
        self.scan(s, map, self.next as usize, distance);
        self.aim(s, map)
    }

    /// Puts the neighbours of `row`, `distance` away, into the pool.
    #[inline(always)]
    fn scan<S: Simd>(&mut self, s: S, map: Map, row: usize, distance: f32) {
        let row = map.rows.row(row);
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
                    self.see(map, ids[half * 16 + lane], values[lane]);
                }
            }
        }
    }

    /// Takes note that `node` may be as far as `estimate`. Estimates from several neighbours err independently: their mean
    /// is what counts.
    #[inline(always)]
    fn see(&mut self, map: Map, node: u32, estimate: f32) {
        // The comparisons also refuse NaN and −∞, the bound on nodes the padding; a damaged file may hold anything.
        if !(estimate <= self.pool.worst() && estimate > TAKEN) || node as usize >= map.entry.0 {
            return;
        }
        let mean = self.seen.mean(node);
        match *mean {
            NEW => {
                *mean = estimate;
                self.pool.offer(estimate, node);
            }
            TAKEN => {}
            old => {
                let new = (old + estimate) / 2.0;
                *mean = new;
                if !self.pool.shift(key(old, node), key(new, node)) {
                    // It was pushed out.
                    self.pool.offer(new, node);
                }
            }
        }
    }

    /// Chooses the next node and asks for its row.
    #[inline(always)]
    fn aim<S: Simd>(&mut self, s: S, map: Map) -> bool {
        let Some(next) = self.pool.take() else { return false };
        self.next = next;
        self.estimate = std::mem::replace(self.seen.mean(next), TAKEN);
        for line in map.rows.row(next as usize).bytes().chunks(64) {
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

    /// Makes room for more.
    fn widen(&mut self, most: usize) {
        if most > self.most {
            self.keys.reserve(most + 1);
            (self.most, self.worst) = (most, f32::MAX);
        }
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
        if self.keys.len() < self.most {
            self.keys.push(key);
        } else if key > self.keys[self.most - 1] {
            return;
        }
        self.sink(self.keys.len() - 1, key);
        if self.keys.len() == self.most {
            self.worst = distance_of(self.keys[self.most - 1]);
        }
    }

    /// Puts `key` in its place before the place `free`, which is given up; what is between moves up by one.
    #[inline(always)]
    fn sink(&mut self, free: usize, key: u64) {
        let mut at = free;
        // Four at a time in registers: most keys have a long way, too short for a call to memmove.
        while at >= 4 && self.keys[at - 4] > key {
            let four: [u64; 4] = std::array::from_fn(|i| self.keys[at - 4 + i]);
            self.keys[at - 3..=at].copy_from_slice(&four);
            at -= 4;
        }
        while at >= 1 && self.keys[at - 1] > key {
            self.keys[at] = self.keys[at - 1];
            at -= 1;
        }
        self.keys[at] = key;
        self.cursor = self.cursor.min(at);
    }

    /// Replaces the key `old` by `new`. False where it is not there.
    #[inline(always)]
    fn shift(&mut self, old: u64, new: u64) -> bool {
        let from = self.keys.partition_point(|&other| other < old);
        if self.keys.get(from) != Some(&old) {
            return false;
        }
        if new < old {
            self.sink(from, new);
        } else {
            let mut at = from;
            while self.keys.get(at + 1).is_some_and(|&next| next < new) {
                self.keys[at] = self.keys[at + 1];
                at += 1;
            }
            self.keys[at] = new;
            // What moved down may not have been taken.
            self.cursor = self.cursor.min(from);
        }
        if self.keys.len() == self.most {
            self.worst = distance_of(self.keys[self.most - 1]);
        }
        true
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

/// The mean estimate of each node that was met: open addressing, at most half full.
#[derive(Default)]
struct Seen {
    /// Nodes, [`NONE`] in empty slots, and their means.
    slots: Vec<(u32, f32)>,
    len: usize,
}

/// Slots that a walk begins with at most; it gets more when it needs them.
const LARGE: usize = 1 << 16;
/// The mean of a node that was not met before: no estimate is infinite.
const NEW: f32 = f32::INFINITY;
/// The mean of a node that needs no estimate any more.
const TAKEN: f32 = f32::NEG_INFINITY;

impl Seen {
    /// Empties it, for a walk with a pool of `ef`: a small table, which is quick to empty and stays in L1. What an uncommon walk
    /// made large is given back.
    fn clear(&mut self, ef: usize) {
        self.len = 0;
        if self.slots.capacity() > LARGE {
            self.slots = Vec::new();
        }
        self.slots.clear();
        let len = ef.saturating_mul(16).clamp(512, LARGE).next_power_of_two();
        self.slots.resize(len, (NONE, NEW));
    }

    /// The mean of `node`.
    #[inline(always)]
    fn mean(&mut self, node: u32) -> &mut f32 {
        let mut at = self.place(node);
        if self.slots[at].0 != node {
            self.len += 1;
            if self.len * 2 > self.slots.len() {
                self.grow();
                at = self.place(node);
            }
            self.slots[at].0 = node;
        }
        &mut self.slots[at].1
    }

    /// Where `node` is, or belongs.
    #[inline(always)]
    fn place(&self, node: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & mask;
        while self.slots[at].0 != node && self.slots[at].0 != NONE {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let slots = vec![(NONE, NEW); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot.0 != NONE {
                let at = self.place(slot.0);
                self.slots[at] = slot;
            }
        }
    }
}
