//! The nodes that a walk has in view: unsorted, because most changes would be to an order that nobody asks for.
//!
//! A node that waits to be expanded sits in a slot and stays there, so that a better estimate is one store. The nearest of some
//! hundred is found by a few vector instructions, which is cheaper than keeping them sorted while a dozen change in each step. There
//! are more slots than nodes that count: leaving out the farthest is done for many at once.

use super::errors::Errors;
use super::stop::Stop;
use crate::graph::NONE;
use crate::kernels::Simd;
use crate::keys::key;

/// Distances that are compared at a time.
pub(super) const LANES: usize = 16;
/// Slots beyond those that are needed, at least: the more, the less often is sorted out, and the more is compared.
const SLACK: usize = 64;
/// Halvings of an interval until it parts what counts from what does not, at most.
const ROUNDS: usize = 24;

/// The nodes in view.
#[derive(Default)]
pub(super) struct Pool {
    /// The distance of the node in each slot, infinite where there is none.
    open: Vec<[f32; LANES]>,
    /// The nodes beside them, [`NONE`] where there is none.
    nodes: Vec<u32>,
    /// Slots without a node: so many of these. A group longer than there are slots.
    free: Vec<u32>,
    left: usize,
    /// Slots of which any was ever taken: whole pairs of groups.
    used: usize,
    /// Distances of the nodes that were expanded, and these.
    settled: Vec<f32>,
    expanded: Vec<u32>,
    /// And how far they were by estimate.
    expected: Vec<f32>,
    /// How many nodes count, and what a distance must not exceed to be among them.
    most: usize,
    worst: f32,
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
        self.free.resize(slots + LANES, NONE);
        (self.left, self.used) = (slots, 0);
        self.settled.clear();
        self.expanded.clear();
        self.expected.clear();
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

    /// Takes note that `node`, which waits in slot `slot` if it waits at all, is `distance` away. Where it does not wait it begins to,
    /// if it counts; there must be room. The distance is finite, or too far. Returns the node's slot. Without a branch: there is no telling
    /// which way it would go.
    #[inline(always)]
    pub fn offer(&mut self, node: u32, slot: u32, distance: f32) -> u32 {
        let waits = self.nodes[slot as usize] == node;
        let near = distance <= self.worst;
        let last = self.free[self.left - 1];
        let slot = if waits { slot } else { last };
        // What does not count leaves a free slot free.
        self.nodes[slot as usize] = if waits | near { node } else { NONE };
        let bits = if waits | near { distance.to_bits() } else { f32::INFINITY.to_bits() };
        self.open.as_flattened_mut()[slot as usize] = f32::from_bits(bits);
        self.left -= usize::from(!waits & near);
        self.used = self.used.max(slot as usize / (2 * LANES) * (2 * LANES) + 2 * LANES);
        slot
    }

    /// Makes sure that there is room for `more` nodes, by leaving out what does not count.
    #[inline(always)]
    pub fn make_room<S: Simd>(&mut self, s: S, more: usize) {
        if self.left < more {
            self.shrink(s);
        }
    }

    /// Leaves out all but the nearest, or an eighth more of them; of those that are as far, the ones in lower slots stay.
    #[inline(always)]
    fn shrink<S: Simd>(&mut self, s: S) {
        let open = self.open.as_flattened();
        let settled = &self.settled;
        let enough = self.most + self.most / 8;
        let reached = |limit| at_most(open, limit) + at_most(settled, limit);
        // What is not farther than `near` is too little, what is not farther than `far` enough.
        let (mut near, mut far) = (f32::NEG_INFINITY, self.worst);
        let mut all = reached(far);
        if all > enough {
            let ends = [ends(open), ends(settled)];
            let ends = (ends[0].0.min(ends[1].0), far.min(ends[0].1.max(ends[1].1)));
            (near, far) = part(ends, (self.most, enough), reached);
            self.worst = far;
            all = reached(far);
        }
        if all > enough {
            self.leave_out((near, far), all - enough);
        }
        let limit = s.splat_f32(far);
        self.left = 0;
        for (group, (distances, nodes)) in self.open.iter_mut().zip(self.nodes.as_chunks_mut().0).enumerate()
        {
            let nodes: &mut [u32; LANES] = nodes;
            let kept = s.not_less_f32(limit, s.load_f32(distances));
            for (distance, node) in distances.iter_mut().zip(nodes) {
                let keep = *distance <= far;
                *distance = f32::from_bits(if keep { distance.to_bits() } else { f32::INFINITY.to_bits() });
                *node = if keep { *node } else { NONE };
            }
            let free = self.free[self.left..].first_chunk_mut().expect("as many more than there are slots");
            self.left += s.places(!kept & S::ALL_LANES, (group * LANES) as u32, free);
        }
    }

    /// Leaves out `more` nodes between `near` and `far`, or all there are, those in higher slots first.
    #[cold]
    #[inline(never)]
    fn leave_out(&mut self, (near, far): (f32, f32), mut more: usize) {
        for distance in self.open.as_flattened_mut().iter_mut().rev() {
            if more > 0 && *distance > near && *distance <= far {
                *distance = f32::INFINITY;
                more -= 1;
            }
        }
    }

    /// Takes out the nearest node that waits, and how far it is, unless the walk ends there.
    #[inline(always)]
    pub fn take<S: Simd>(&mut self, s: S, stop: &mut Stop) -> Option<(u32, f32)> {
        let open = &self.open[..self.used / LANES];
        // Of each lane the least, and its group: to go through them again would end at one that no processor foretells.
        let (one, mut group) = (s.splat_f32(1.0), s.splat_f32(0.0));
        let mut least = [[s.splat_f32(f32::INFINITY), group]; 2];
        for pair in open.as_chunks::<2>().0 {
            for (least, distances) in least.iter_mut().zip(pair) {
                *least = s.lesser_f32(*least, [s.load_f32(distances), group]);
                group = s.mul_add_f32(one, one, group);
            }
        }
        let [least, groups] = s.lesser_f32(least[0], least[1]);
        let mut lanes = s.lanes_f32(least);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] = if lanes[i + half] < lanes[i] { lanes[i + half] } else { lanes[i] };
            }
        }
        let best = lanes[0];
        // The nodes that are nearer than the nearest that waits were all expanded.
        if best == f32::INFINITY || stop.may_end(best) && stop.ends(best, self.nearer(best)) {
            return None;
        }
        let bit = s.not_less_f32(s.splat_f32(best), least).trailing_zeros();
        let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
        let slot = s.lanes_f32(groups)[lane] as usize * LANES + lane;
        self.open.as_flattened_mut()[slot] = f32::INFINITY;
        self.free[self.left] = slot as u32;
        self.left += 1;
        Some((std::mem::replace(&mut self.nodes[slot], NONE), best))
    }

    /// The node that was taken, `expected` away, is `distance` away.
    #[inline(always)]
    pub fn settle(&mut self, node: u32, distance: f32, expected: f32) {
        self.settled.push(distance);
        self.expanded.push(node);
        self.expected.push(expected);
    }

    /// How far off the estimates of expanded nodes were.
    pub fn errors(&self) -> Errors {
        let mut errors = Errors::default();
        self.settled.iter().zip(&self.expected).for_each(|(d, e)| errors.add(f64::from(d - e)));
        errors
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

    /// Appends the nodes that wait and are not farther than `bound`, which is finite, as [`key`]s.
    #[inline(always)]
    pub fn within<S: Simd>(&self, s: S, bound: f32, keys: &mut Vec<u64>) {
        let bound = s.splat_f32(bound);
        for (group, distances) in self.open[..self.used / LANES].iter().enumerate() {
            let mut mask = s.not_less_f32(bound, s.load_f32(distances));
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                keys.push(key(distances[lane], self.nodes[group * LANES + lane]));
                mask &= !(S::LANE_BITS << bit);
            }
        }
    }

    /// How many of the expanded nodes are nearer than `distance`.
    #[inline(always)]
    fn nearer(&self, distance: f32) -> usize {
        self.settled.iter().map(|&settled| u32::from(settled < distance)).sum::<u32>() as usize
    }
}

/// Halves the interval between the nearest and the farthest until `least` to `enough` are `reached`, or what parts them is next to nothing.
/// Returns what reaches fewer, and what reaches so many.
#[inline(always)]
pub(super) fn part(
    (mut low, mut far): (f32, f32),
    (least, enough): (usize, usize),
    reached: impl Fn(f32) -> usize,
) -> (f32, f32) {
    let mut near = f32::NEG_INFINITY;
    for _ in 0..ROUNDS {
        let middle = low / 2.0 + far / 2.0;
        let count = reached(middle);
        if count < least {
            (low, near) = (middle, middle);
        } else {
            far = middle;
            if count <= enough {
                break;
            }
        }
    }
    (near, far)
}

/// How many of `distances` are at most `limit`.
#[inline(always)]
pub(super) fn at_most(distances: &[f32], limit: f32) -> usize {
    distances.iter().map(|&distance| u32::from(distance <= limit)).sum::<u32>() as usize
}

/// The least and the greatest of `distances`, but for infinities.
#[inline(always)]
pub(super) fn ends(distances: &[f32]) -> (f32, f32) {
    // Side by side, which registers compare whole.
    let (mut lows, mut highs) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    let (groups, rest) = distances.as_chunks::<LANES>();
    for group in groups {
        for i in 0..LANES {
            lows[i] = if group[i] < lows[i] { group[i] } else { lows[i] };
            let finite = if group[i] < f32::INFINITY { group[i] } else { f32::MIN };
            highs[i] = if finite > highs[i] { finite } else { highs[i] };
        }
    }
    let finite = rest.iter().copied().filter(|&v| v < f32::INFINITY);
    let low = lows.into_iter().chain(finite.clone()).fold(f32::MAX, f32::min);
    (low, highs.into_iter().chain(finite).fold(f32::MIN, f32::max))
}

#[cfg(test)]
mod tests {
    use super::super::stop::Effort;
    use super::*;
    use crate::kernels::{Isa, Kernel};
    use crate::keys::distance_of;
    use proptest::prelude::*;

    /// Nodes that come in batches, each at one of some distances; every third comes again, at another.
    struct Comes<'a> {
        most: usize,
        distances: &'a [f32],
    }

    const BATCH: usize = 32;

    impl Kernel for Comes<'_> {
        /// What waits and is not farther than 50, by two ways, and what is taken out in the end.
        type Out = ([Vec<u64>; 2], Vec<(u32, f32)>);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Out {
            let (mut pool, mut stop) = (Pool::default(), Stop::default());
            // Without a node that was expanded, it does not end.
            stop.clear(Effort::plain(self.most), 0.0);
            pool.clear(self.most, BATCH);
            for (batch, distances) in self.distances.chunks(BATCH / 2).enumerate() {
                pool.make_room(s, BATCH);
                for (i, &distance) in distances.iter().enumerate() {
                    let node = (batch * BATCH / 2 + i) as u32;
                    let again = if node.is_multiple_of(3) { 101.0 } else { distance };
                    let slot = pool.offer(node, 0, again);
                    pool.offer(node, slot, distance);
                }
            }
            let mut near = Vec::new();
            pool.within(s, 50.0, &mut near);
            let mut waiting: Vec<u64> = pool.waiting().filter(|&key| distance_of(key) <= 50.0).collect();
            near.sort_unstable();
            waiting.sort_unstable();
            ([near, waiting], std::iter::from_fn(|| pool.take(s, &mut stop)).collect())
        }
    }

    proptest! {
        #[test]
        fn the_nearest_are_taken_out_in_order_and_none_of_them_is_lost(
            most in 1usize..80,
            distances in prop::collection::vec(0f32..100.0, 1..600),
            equal in 1f32..40.0,
        ) {
            // Some are as far as others.
            let distances: Vec<f32> = distances.iter().map(|v| (v * equal).floor() / equal).collect();
            let mut sorted = distances.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.truncate(most);
            for isa in Isa::available() {
                let ([near, waiting], taken) = isa.run(Comes { most, distances: &distances });
                prop_assert_eq!(near, waiting);
                let far: Vec<f32> = taken.iter().map(|&(node, _)| distances[node as usize]).collect();
                prop_assert!(taken.iter().map(|&(_, told)| told).eq(far.iter().copied()));
                prop_assert!(far.is_sorted());
                prop_assert_eq!(&far[..sorted.len()], &sorted[..], "{}", isa.name());
                let mut nodes: Vec<u32> = taken.iter().map(|&(node, _)| node).collect();
                nodes.sort_unstable();
                nodes.dedup();
                prop_assert_eq!(nodes.len(), taken.len(), "a node twice");
            }
        }
    }
}
