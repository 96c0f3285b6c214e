//! The one graph loop: best first, over estimates, a row a step.
//!
//! ```text
//! pool ← the entry's neighbours, by estimate
//! repeat   v ← the best node of the pool that was not expanded; none: end
//!          distance of v from its own code → found;   estimates of v's neighbours → pool (the ef best)
//! the best of found get their exact distance
//! ```
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
    norm: f32,
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
        let (mut reach, mut norm) = (0f32, 0f32);
        for &v in &self.head {
            reach = reach.max(v.abs());
            norm += v * v;
        }
        self.unit = if reach > 0.0 { reach / REACH } else { 1.0 };
        self.norm = norm;
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
            self.scan(s, graph, row, norm);
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
        let distance = self.norm + row.norm() - 2.0 * self.unit * s.sum_i32(acc) as f32;
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
                    self.see(graph, ids[half * 16 + lane], values[lane]);
                }
            }
        }
    }

    /// Takes note that `node` may be as far as `estimate`. Estimates from several neighbours err independently: their mean
    /// is what counts.
    #[inline(always)]
    fn see(&mut self, graph: &Graph, node: u32, estimate: f32) {
        // The comparison also refuses NaN, the bound on nodes the padding; a damaged file may hold anything.
        if !(estimate <= self.pool.worst()) || node as usize >= graph.nodes() {
            return;
        }
        let slot = self.seen.slot(node);
        if slot.count == 0 {
            (slot.count, slot.mean) = (1, estimate);
            self.pool.offer(estimate, node);
        } else if slot.count != TAKEN {
            let old = slot.mean;
            slot.mean += (estimate - old) / (slot.count + 1) as f32;
            slot.count += 1;
            self.pool.shift(old, slot.mean, node);
        }
    }

    /// Chooses the next node and asks for its row.
    #[inline(always)]
    fn aim<S: Simd>(&mut self, s: S, graph: &Graph) -> bool {
        let Some(next) = self.pool.take() else { return false };
        self.next = next;
        self.seen.slot(next).count = TAKEN;
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

    /// Moves a node that was offered at the distance `old` and has not been taken.
    #[inline(always)]
    fn shift(&mut self, old: f32, new: f32, node: u32) {
        let (old, new) = (key(old, node), key(new, node));
        let from = self.keys.partition_point(|&other| other < old);
        if self.keys.get(from) != Some(&old) {
            // It was pushed out.
            return self.offer(distance_of(new), node);
        }
        let to = self.keys.partition_point(|&other| other < new);
        if to > from {
            self.keys.copy_within(from + 1..to, from);
            self.keys[to - 1] = new;
        } else {
            self.keys.copy_within(to..from, to + 1);
            self.keys[to] = new;
            self.cursor = self.cursor.min(to);
        }
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

/// What is known of the nodes that were met: a table that is emptied by counting on, at most half full.
#[derive(Default)]
struct Seen {
    slots: Vec<Slot>,
    round: u32,
    len: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The round in which it was written.
    round: u32,
    node: u32,
    /// Estimates so far; [`TAKEN`] where the node was expanded.
    count: u32,
    mean: f32,
}

/// The count of a node that needs no estimate any more.
const TAKEN: u32 = u32::MAX;

impl Seen {
    fn clear(&mut self) {
        self.len = 0;
        self.round = self.round.wrapping_add(1);
        if self.slots.is_empty() || self.round == 0 {
            self.slots.clear();
            self.slots.resize(1024, Slot::default());
            self.round = 1;
        }
    }

    /// The slot of `node`, with a count of 0 where it is new.
    #[inline(always)]
    fn slot(&mut self, node: u32) -> &mut Slot {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let at = self.place(node);
        let slot = &mut self.slots[at];
        if slot.round != self.round {
            *slot = Slot { round: self.round, node, count: 0, mean: 0.0 };
            self.len += 1;
        }
        slot
    }

    /// Where `node` is, or belongs.
    #[inline(always)]
    fn place(&self, node: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & mask;
        while self.slots[at].round == self.round && self.slots[at].node != node {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let slots = vec![Slot::default(); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot.round == self.round {
                let at = self.place(slot.node);
                self.slots[at] = slot;
            }
        }
    }
}
