//! The nodes that a walk has in view: unsorted, because most changes would be to an order that nobody asks for.
//!
//! A node that waits to be expanded sits in a slot and stays there, so that a better estimate is one store. The nearest of some
//! hundred is found by a few vector instructions, which is cheaper than keeping them sorted while a dozen change in each step. There
//! are more slots than nodes that count: leaving out the farthest is done for many at once.

use super::stop::Stop;
use crate::graph::NONE;
use crate::kernels::Simd;

/// Distances that are compared at a time.
const LANES: usize = 16;
/// Slots beyond those that are needed, at least: the more, the less often is sorted out, and the more is compared.
const SLACK: usize = 64;

/// The nodes in view.
#[derive(Default)]
pub(super) struct Pool {
    /// The distance of the node in each slot, infinite where there is none.
    open: Vec<[f32; LANES]>,
    /// The nodes beside them, [`NONE`] where there is none.
    nodes: Vec<u32>,
    /// Slots without a node.
    free: Vec<u32>,
    /// Groups of slots that were ever taken.
    used: usize,
    /// Distances of the nodes that were expanded, and these.
    settled: Vec<f32>,
    expanded: Vec<u32>,
    /// How many nodes count, and what a distance must not exceed to be among them.
    most: usize,
    worst: f32,
    /// Memory to choose the best in.
    keys: Vec<u64>,
}

impl Pool {
    /// Empties it, for the best `most` nodes that come in batches of up to `batch`.
    pub fn clear(&mut self, most: usize, batch: usize) {
        let slots = (most + batch + (most / 2).max(SLACK)).next_multiple_of(2 * LANES);
        self.open.clear();
        self.open.resize(slots / LANES, [f32::INFINITY; LANES]);
        self.nodes.clear();
        self.nodes.resize(slots, NONE);
        self.free.clear();
        self.free.extend((0..slots as u32).rev());
        self.used = 0;
        self.settled.clear();
        self.expanded.clear();
        (self.most, self.worst) = (most, f32::MAX);
    }

    /// What a distance must not exceed to count.
    #[inline(always)]
    pub fn worst(&self) -> f32 {
        self.worst
    }

    /// What is farther than `reach` does not count.
    #[inline(always)]
    pub fn narrow(&mut self, reach: f32) {
        self.worst = if reach < self.worst { reach } else { self.worst };
    }

    /// Makes sure that there is room for `more` nodes, by leaving out what does not count.
    #[inline(always)]
    pub fn make_room(&mut self, more: usize) {
        if self.free.len() < more {
            self.shrink();
        }
    }

    /// Leaves out all but the nearest, ties by the lower node.
    #[inline(never)]
    fn shrink(&mut self) {
        let Self { open, nodes, free, settled, expanded, keys, worst, .. } = self;
        let open = open.as_flattened_mut();
        keys.resize(nodes.len() + settled.len(), 0);
        let mut len = 0;
        for (&distance, &node) in open.iter().zip(&*nodes) {
            keys[len] = key(distance, node);
            len += usize::from(node != NONE);
        }
        for ((to, &distance), &node) in keys[len..].iter_mut().zip(&*settled).zip(&*expanded) {
            *to = key(distance, node);
        }
        let keys = &mut keys[..len + settled.len()];
        let mut out = key(*worst, NONE);
        if self.most < keys.len() {
            let (_, &mut last, _) = keys.select_nth_unstable(self.most);
            out = out.min(last);
            *worst = distance_of(out);
        }
        for (slot, (open, node)) in open.iter_mut().zip(nodes).enumerate().rev() {
            if *node != NONE && key(*open, *node) >= out {
                (*open, *node) = (f32::INFINITY, NONE);
                free.push(slot as u32);
            }
        }
    }

    /// True where `node` waits in slot `slot`.
    #[inline(always)]
    pub fn has(&self, slot: u32, node: u32) -> bool {
        self.nodes[slot as usize] == node
    }

    /// Puts `node` into a slot, for which there must be room.
    #[inline(always)]
    pub fn insert(&mut self, node: u32, distance: f32) -> u32 {
        let slot = self.free.pop().expect("room was made");
        self.nodes[slot as usize] = node;
        self.used = self.used.max(slot as usize / LANES / 2 * 2 + 2);
        self.update(slot, distance);
        slot
    }

    /// Replaces the distance of the node in slot `slot`.
    #[inline(always)]
    pub fn update(&mut self, slot: u32, distance: f32) {
        self.open.as_flattened_mut()[slot as usize] = distance;
    }

    /// Takes out the nearest node that waits, ties by the lower slot, unless the walk ends there.
    #[inline(always)]
    pub fn take<S: Simd>(&mut self, s: S, stop: &mut Stop) -> Option<u32> {
        let open = &self.open[..self.used];
        let mut least = [s.splat_f32(f32::INFINITY); 2];
        for [first, second] in open.as_chunks::<2>().0 {
            least = [s.min_f32(least[0], s.load_f32(first)), s.min_f32(least[1], s.load_f32(second))];
        }
        let mut least = s.lanes_f32(s.min_f32(least[0], least[1]));
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                least[i] = if least[i + half] < least[i] { least[i + half] } else { least[i] };
            }
        }
        let best = least[0];
        // The nodes that are nearer than the nearest that waits were all expanded.
        if best == f32::INFINITY || stop.may_end(best) && stop.ends(best, self.nearer(best)) {
            return None;
        }
        let bound = s.splat_f32(best);
        let (mut at, mut mask) = (0, 0);
        while mask == 0 {
            mask = s.not_less_f32(bound, s.load_f32(&open[at]));
            at += 1;
        }
        let slot = (at - 1) * LANES + usize::from(S::LANE_OF_BIT[mask.trailing_zeros() as usize]);
        self.open.as_flattened_mut()[slot] = f32::INFINITY;
        self.free.push(slot as u32);
        Some(std::mem::replace(&mut self.nodes[slot], NONE))
    }

    /// The node that was taken is `distance` away.
    #[inline(always)]
    pub fn settle(&mut self, node: u32, distance: f32) {
        self.settled.push(distance);
        self.expanded.push(node);
    }

    /// The nodes that were expanded, as [`key`]s.
    pub fn settled(&self) -> impl Iterator<Item = u64> {
        self.settled.iter().zip(&self.expanded).map(|(&distance, &node)| key(distance, node))
    }

    /// The nodes that wait, as [`key`]s.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        let open = self.open.as_flattened().iter().zip(&self.nodes);
        open.filter(|(_, node)| **node != NONE).map(|(&distance, &node)| key(distance, node))
    }

    /// How many of the expanded nodes are nearer than `distance`.
    #[inline(always)]
    fn nearer(&self, distance: f32) -> usize {
        self.settled.iter().map(|&settled| u32::from(settled < distance)).sum::<u32>() as usize
    }
}

/// Ordered as distances are, then as nodes are.
#[inline(always)]
pub(super) fn key(distance: f32, node: u32) -> u64 {
    let bits = distance.to_bits();
    let ordered = bits ^ ((bits as i32 >> 31) as u32 | 1 << 31);
    u64::from(ordered) << 32 | u64::from(node)
}

#[inline(always)]
pub(super) fn distance_of(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}
