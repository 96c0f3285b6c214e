//! The nodes that a walk has in view: unsorted, because most changes would be to an order that nobody asks for.
//!
//! What is near enough is put at the end, a block of estimates at a time; the nearest of some hundred is found by a few vector
//! instructions. That costs less than an order in which a dozen change in each step. There is room for more than count: leaving out the
//! farthest is done for many at once.
//!
//! A node that is estimated again is told by a hint, a place that its number stands for: it is there, or nowhere that anyone knows of. Two numbers
//! may stand for one place, so that now and then a node waits twice; who takes it out a second time has seen it.

use std::hint::select_unpredictable;

use super::errors::Errors;
use super::seen::Seen;
use super::stop::{Effort, Stop};
use crate::graph::NONE;
use crate::kernels::Simd;
use crate::kernels::fastscan::BLOCK;
use crate::keys::key;

/// Distances that are compared at a time.
pub(super) const LANES: usize = 16;
/// Places beyond those that are needed, at least: the more, the less often is sorted out, and the more is compared.
const SLACK: usize = 64;
/// Hints for each place: the fewer, the more nodes wait twice.
const HINTS: usize = 4;
/// So that hints are 64 MB at most.
const MOST_BITS: u32 = 24;
/// Halvings of an interval until it parts what counts from what does not, at most.
const ROUNDS: usize = 24;

/// The nodes in view.
#[derive(Default)]
pub(super) struct Pool {
    /// How far the nodes are that wait, infinite behind the last of them; whole pairs of groups, and one more.
    open: Vec<[f32; LANES]>,
    /// The nodes beside them.
    nodes: Vec<[u32; LANES]>,
    /// How many these are, and how many there may be.
    len: usize,
    room: usize,
    /// Places where nodes may be, by 2^`bits` hashes. What they tell from another walk is not so, or as good.
    hints: Vec<u32>,
    bits: u32,
    /// Distances of the nodes that were expanded, infinite behind the last, and these.
    settled: Vec<[f32; LANES]>,
    expanded: Vec<u32>,
    /// And how far they were by estimate.
    expected: Vec<f32>,
    /// How many nodes count, and what a distance must not exceed to be among them.
    most: usize,
    worst: f32,
    /// So many stay in view whatever is too far.
    least: usize,
    /// True where all nodes do.
    whole: bool,
}

impl Pool {
    /// Empties it, for as many as `effort` says of so many `nodes` that come in batches of up to `batch`.
    pub fn clear(&mut self, effort: Effort, nodes: usize, batch: usize) {
        let most = effort.most().min(nodes);
        self.len = 0;
        self.lay(most + batch + (most / 2).max(SLACK));
        self.end();
        self.settled.clear();
        self.expanded.clear();
        self.expected.clear();
        (self.most, self.worst, self.whole) = (most, f32::MAX, most == nodes);
        self.least = effort.least().min(nodes);
    }

    /// Makes room for so many nodes.
    fn lay(&mut self, room: usize) {
        let groups = room.next_multiple_of(2 * LANES) / LANES + 2;
        if self.open.len() != groups {
            self.open.resize(groups, [f32::INFINITY; LANES]);
            self.nodes.resize(groups, [NONE; LANES]);
            self.bits = (room * HINTS).next_power_of_two().trailing_zeros().min(MOST_BITS);
            self.hints.clear();
            self.hints.resize(1 << self.bits, 0);
        }
        self.room = room;
    }

    /// What a distance must not exceed to count.
    #[inline(always)]
    pub fn worst(&self) -> f32 {
        self.worst
    }

    /// What is farther than `reach` does not count, if enough is in view.
    #[inline(always)]
    pub fn narrow(&mut self, reach: f32) {
        let narrower = if reach < self.worst { reach } else { self.worst };
        if self.view() >= self.least {
            self.worst = narrower;
        }
    }

    /// How many nodes wait or were expanded.
    #[inline(always)]
    fn view(&self) -> usize {
        self.len + self.expanded.len()
    }

    /// Puts those of the nodes `ids` into view that are `within` a distance by their `estimates`, that are below `nodes` and that were not
    /// `seen`; those that are there already become the mean of both estimates, which err independently. There must be room for all of them.
    #[inline(always)]
    pub fn put_some<S: Simd>(
        &mut self,
        s: S,
        (ids, estimates): (&[u32; BLOCK], [S::F32; 2]),
        within: f32,
        (nodes, seen): (usize, &Seen),
    ) {
        let (bound, mut end) = (s.splat_f32(within), self.len);
        for (estimates, ids) in estimates.into_iter().zip(ids.as_chunks::<LANES>().0) {
            let near = s.not_less_f32(bound, estimates);
            s.compress(near, estimates, from(&mut self.open, end));
            // Numbers go the way of the floats that have their bits.
            let to: &mut [u32; LANES] = from(&mut self.nodes, end);
            end += s.compress(near, s.load_f32(bytemuck::cast_ref(ids)), bytemuck::cast_mut(to));
        }
        let (bits, first) = (self.bits, self.len);
        let mut len = first;
        let open = &mut self.open.as_flattened_mut()[..end];
        let waiting = &mut self.nodes.as_flattened_mut()[..end];
        let hints = &mut self.hints[..];
        for at in first..end {
            let (distance, node) = (open[at], waiting[at]);
            // NaN comes through every comparison, and ids of the padding are no nodes; a damaged file may hold anything.
            let counts = (distance <= within) & ((node as usize) < nodes) & !seen.holds(s, node);
            let hint = &mut hints[hash(node, bits)];
            // Wherever the end is by now, which only the nodes before tell, one after the other.
            let known = (*hint as usize).min(end - 1);
            let waits = counts & (known < len) & (waiting[known] == node);
            // Choices without a branch, for there is no telling which way it would go. Of bits: of floats LLVM makes one with AVX2.
            let before = select_unpredictable(waits, open[known].to_bits(), distance.to_bits());
            let before = f32::from_bits(before);
            let place = select_unpredictable(waits, known, len);
            (open[place], waiting[place]) = (before / 2.0 + distance / 2.0, node);
            *hint = select_unpredictable(counts, place as u32, *hint);
            len += usize::from(counts & !waits);
        }
        self.len = len;
        self.end();
    }

    /// Puts `node` into view, where there must be room, if it counts.
    #[inline(always)]
    pub fn put(&mut self, node: u32, distance: f32) {
        self.nodes.as_flattened_mut()[self.len] = node;
        self.open.as_flattened_mut()[self.len] = distance;
        self.len += usize::from(distance <= self.worst);
        self.end();
    }

    /// What is behind the last node is too far.
    #[inline(always)]
    fn end(&mut self) {
        for at in [self.len, self.len + LANES] {
            *from(&mut self.open, at) = [f32::INFINITY; LANES];
            *from(&mut self.nodes, at) = [NONE; LANES];
        }
    }

    /// Those that wait, in whole pairs of groups.
    #[inline(always)]
    fn groups(&self) -> usize {
        self.len.div_ceil(2 * LANES) * 2
    }

    /// Makes sure that there is room for `more` nodes, by leaving out what does not count.
    #[inline(always)]
    pub fn make_room<S: Simd>(&mut self, s: S, more: usize) {
        if self.len + more > self.room {
            if self.whole {
                // What waits twice takes the place of others.
                self.lay(2 * (self.room + more));
            } else {
                self.shrink(s);
            }
        }
    }

    /// Leaves out all but the nearest, or an eighth more of them; of those that are as far, the ones that came first stay.
    #[inline(always)]
    fn shrink<S: Simd>(&mut self, s: S) {
        let enough = self.most + self.most / 8;
        let sets = [&self.open[..self.groups()], &self.settled[..]];
        let (count, (low, high)) = (at_most(s, sets, self.worst), ends(sets));
        let mut limit = self.worst;
        if count > enough {
            limit = part(s, sets, (low, high.min(limit)), (self.most, enough));
            self.worst = limit;
            if at_most(s, sets, limit) > enough {
                self.leave_out(enough);
            }
        } else if count < self.least {
            limit = part(s, sets, (low, high), (self.least, enough));
        }
        let limit = s.splat_f32(limit);
        let (groups, mut len) = (self.groups(), 0);
        for group in 0..groups {
            let distances = s.load_f32(&self.open[group]);
            let nodes = s.load_f32(bytemuck::cast_ref(&self.nodes[group]));
            let kept = s.not_less_f32(limit, distances);
            s.compress(kept, distances, from(&mut self.open, len));
            let to: &mut [u32; LANES] = from(&mut self.nodes, len);
            len += s.compress(kept, nodes, bytemuck::cast_mut(to));
        }
        self.len = len;
        self.end();
        for (place, &node) in self.nodes.as_flattened()[..len].iter().enumerate() {
            self.hints[hash(node, self.bits)] = place as u32;
        }
    }

    /// Of those that are as far as the last of `enough`, lets the first alone count, so that there are so many.
    #[cold]
    #[inline(never)]
    fn leave_out(&mut self, enough: usize) {
        let settled = self.settled.as_flattened();
        let mut distances: Vec<f32> =
            self.open.as_flattened()[..self.len].iter().chain(settled).copied().collect();
        if distances.len() <= enough {
            return;
        }
        let (nearer, &mut far, _) = distances.select_nth_unstable_by(enough, f32::total_cmp);
        let mut left = enough - nearer.iter().filter(|&&distance| distance < far).count();
        left -= settled.iter().filter(|&&distance| distance == far).count().min(left);
        for distance in &mut self.open.as_flattened_mut()[..self.len] {
            let keep = *distance < far || *distance == far && left > 0;
            left -= usize::from(*distance == far && left > 0);
            *distance = if keep { *distance } else { f32::INFINITY };
        }
    }

    /// Takes out the nearest node that waits, and how far it is, unless the walk ends there.
    #[inline(always)]
    pub fn take<S: Simd>(&mut self, s: S, stop: &mut Stop) -> Option<(u32, f32)> {
        let (best, at) = self.nearest(s);
        // The nodes that are nearer than the nearest that waits were all expanded.
        let may_end = stop.may_end(best) && self.view() >= self.least;
        if best == f32::INFINITY || may_end && stop.ends(best, self.nearer(s, best)) {
            return None;
        }
        self.len -= 1;
        let (open, nodes) = (self.open.as_flattened_mut(), self.nodes.as_flattened_mut());
        let (node, last) = (nodes[at], nodes[self.len]);
        (open[at], nodes[at]) = (open[self.len], last);
        (open[self.len], nodes[self.len]) = (f32::INFINITY, NONE);
        self.hints[hash(last, self.bits)] = at as u32;
        Some((node, best))
    }

    /// The distance of the nearest node that waits, and its place.
    #[inline(always)]
    fn nearest<S: Simd>(&self, s: S) -> (f32, usize) {
        // Of each lane the least, and its group: to go through them again would end at one that no processor foretells.
        let (one, mut group) = (s.splat_f32(1.0), s.splat_f32(0.0));
        let mut least = [[s.splat_f32(f32::INFINITY), group]; 2];
        for pair in self.open[..self.groups()].as_chunks::<2>().0 {
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
        let bit = s.not_less_f32(s.splat_f32(best), least).trailing_zeros();
        let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
        (best, s.lanes_f32(groups)[lane] as usize * LANES + lane)
    }

    /// The node that was taken, `expected` away, is `distance` away.
    #[inline(always)]
    pub fn settle(&mut self, node: u32, distance: f32, expected: f32) {
        let at = self.expanded.len();
        if at == self.settled.len() * LANES {
            self.settled.push([f32::INFINITY; LANES]);
        }
        self.settled.as_flattened_mut()[at] = distance;
        self.expanded.push(node);
        self.expected.push(expected);
    }

    /// How far off the estimates of expanded nodes were.
    pub fn errors(&self) -> Errors {
        let mut errors = Errors::default();
        let settled = self.settled.as_flattened().iter();
        settled.zip(&self.expected).for_each(|(d, e)| errors.add(f64::from(d - e)));
        errors
    }

    /// The nodes that were expanded, as [`key`]s.
    pub fn settled(&self) -> impl Iterator<Item = u64> {
        let settled = self.settled.as_flattened().iter();
        settled.zip(&self.expanded).map(|(&distance, &node)| key(distance, node))
    }

    /// The nodes that wait, as [`key`]s.
    pub fn waiting(&self) -> impl Iterator<Item = u64> {
        let open = self.open.as_flattened()[..self.len].iter().zip(self.nodes.as_flattened());
        open.map(|(&distance, &node)| key(distance, node))
    }

    /// Appends the nodes that wait and are not farther than `bound`, which is finite, as [`key`]s: those that were not seen, each once.
    #[inline(always)]
    pub fn within<S: Simd>(&self, s: S, bound: f32, seen: &mut Seen, keys: &mut Vec<u64>) {
        let bound = s.splat_f32(bound);
        for (distances, nodes) in self.open[..self.groups()].iter().zip(&self.nodes) {
            let mut mask = s.not_less_f32(bound, s.load_f32(distances));
            while mask != 0 {
                let bit = mask.trailing_zeros();
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                if seen.insert(s, nodes[lane]) {
                    keys.push(key(distances[lane], nodes[lane]));
                }
                mask &= !(S::LANE_BITS << bit);
            }
        }
    }

    /// What the nearest `k` of all nodes do not exceed, or an eighth more of them.
    #[inline(always)]
    pub fn kth<S: Simd>(&self, s: S, k: usize) -> f32 {
        let sets = [&self.open[..self.groups()], &self.settled[..]];
        part(s, sets, ends(sets), (k, k + k / 8))
    }

    /// How many of the expanded nodes are nearer than `distance`.
    #[inline(always)]
    fn nearer<S: Simd>(&self, s: S, distance: f32) -> usize {
        let (distance, mut bits) = (s.splat_f32(distance), 0);
        for group in &self.settled {
            bits += s.not_less_f32(s.load_f32(group), distance).count_ones();
        }
        self.settled.len() * LANES - (bits / S::LANE_BITS.count_ones()) as usize
    }
}

/// One of 2^`bits` hashes.
#[inline(always)]
fn hash(node: u32, bits: u32) -> usize {
    (node.wrapping_mul(0x9E37_79B9) >> (32 - bits)) as usize
}

/// A group of lanes from `at` on.
#[inline(always)]
fn from<T>(groups: &mut [[T; LANES]], at: usize) -> &mut [T; LANES] {
    groups.as_flattened_mut()[at..].first_chunk_mut().expect("two groups more than there is room for")
}

/// Halves the interval between `low` and `far` until `least` to `enough` of the distances reach no farther, or what parts them is next to
/// nothing. Returns what so many do not exceed.
#[inline(always)]
pub(super) fn part<S: Simd, const N: usize>(
    s: S,
    sets: [&[[f32; LANES]]; N],
    (mut low, mut far): (f32, f32),
    (least, enough): (usize, usize),
) -> f32 {
    for _ in 0..ROUNDS {
        let middle = low / 2.0 + far / 2.0;
        let count = at_most(s, sets, middle);
        if count < least {
            low = middle;
        } else {
            far = middle;
            if count <= enough {
                break;
            }
        }
    }
    far
}

/// How many of the distances are at most `limit`, or NaN.
#[inline(always)]
pub(super) fn at_most<S: Simd, const N: usize>(s: S, sets: [&[[f32; LANES]]; N], limit: f32) -> usize {
    let (limit, mut bits) = (s.splat_f32(limit), 0);
    for set in sets {
        for group in set {
            bits += s.not_less_f32(limit, s.load_f32(group)).count_ones();
        }
    }
    (bits / S::LANE_BITS.count_ones()) as usize
}

/// The least and the greatest of the distances, but for infinities.
#[inline(always)]
pub(super) fn ends<const N: usize>(sets: [&[[f32; LANES]]; N]) -> (f32, f32) {
    // Side by side, which registers compare whole.
    let (mut lows, mut highs) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    for set in sets {
        for group in set {
            for i in 0..LANES {
                lows[i] = if group[i] < lows[i] { group[i] } else { lows[i] };
                let finite = if group[i] < f32::INFINITY { group[i] } else { f32::MIN };
                highs[i] = if finite > highs[i] { finite } else { highs[i] };
            }
        }
    }
    (lows.into_iter().fold(f32::MAX, f32::min), highs.into_iter().fold(f32::MIN, f32::max))
}

#[cfg(test)]
mod tests {
    use super::super::stop::Effort;
    use super::*;
    use crate::kernels::{Isa, Kernel};
    use crate::keys::distance_of;
    use proptest::prelude::*;

    /// Nodes that come in batches, each at one of some distances.
    struct Comes<'a> {
        most: usize,
        distances: &'a [f32],
        /// Every third comes twice, too near and too far by as much.
        again: bool,
    }

    impl Kernel for Comes<'_> {
        /// What waits and is not farther than 50, by two ways, and what is taken out in the end.
        type Out = ([Vec<u64>; 2], Vec<(u32, f32)>);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Out {
            let (mut pool, mut stop, mut seen) = (Pool::default(), Stop::default(), Seen::default());
            // Without a node that was expanded, it does not end.
            let effort = Effort::plain(self.most);
            stop.clear(effort, 0.0);
            seen.clear(1);
            let nodes = self.distances.len();
            seen.insert(s, nodes as u32);
            pool.clear(effort, nodes, BLOCK);
            for (batch, distances) in self.distances.chunks(BLOCK - 3).enumerate() {
                for off in if self.again { &[-1.0, 1.0][..] } else { &[0.0][..] } {
                    let (mut ids, mut told) = ([NONE; BLOCK], [f32::INFINITY; BLOCK]);
                    for (i, &distance) in distances.iter().enumerate() {
                        let node = batch * (BLOCK - 3) + i;
                        if !self.again || node.is_multiple_of(3) || *off > 0.0 {
                            let off = if self.again && node.is_multiple_of(3) { *off } else { 0.0 };
                            (ids[i], told[i]) = (node as u32, distance + off);
                        }
                    }
                    // No nodes: what was seen, what there is not, what is not a number.
                    ids[BLOCK - 3..].copy_from_slice(&[nodes as u32, nodes as u32 + 1, 0]);
                    told[BLOCK - 3..].copy_from_slice(&[0.0, 0.0, f32::NAN]);
                    let told = told.as_chunks().0;
                    pool.make_room(s, BLOCK);
                    let worst = pool.worst();
                    let told = [s.load_f32(&told[0]), s.load_f32(&told[1])];
                    pool.put_some(s, (&ids, told), worst, (nodes + 1, &seen));
                }
            }
            let mut near = Vec::new();
            let mut looked = Seen::default();
            looked.clear(1);
            pool.within(s, 50.0, &mut looked, &mut near);
            let waiting = pool.waiting().filter(|&key| distance_of(key) <= 50.0).collect();
            let mut taken = Vec::new();
            while let Some((node, distance)) = pool.take(s, &mut stop) {
                if seen.insert(s, node) {
                    taken.push((node, distance));
                }
            }
            ([near, waiting], taken)
        }
    }

    /// Distances of which some are the same, and all of which have room for a bit more.
    fn told() -> impl Strategy<Value = Vec<f32>> {
        let distance = (0u32..100 << 6).prop_map(|v| v as f32 / 64.0);
        (prop::collection::vec(distance, 1..600), 0u32..7).prop_map(|(distances, bits)| {
            let step = (1 << bits) as f32 / 64.0;
            distances.iter().map(|v| (v / step).floor() * step).collect()
        })
    }

    proptest! {
        #[test]
        fn the_nearest_are_taken_out_in_order_and_none_of_them_is_lost(most in 1usize..80, distances in told()) {
            let mut sorted = distances.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.truncate(most);
            for isa in Isa::available() {
                let ([mut near, mut waiting], taken) = isa.run(Comes { most, distances: &distances, again: false });
                near.sort_unstable();
                waiting.sort_unstable();
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

        #[test]
        fn who_sees_all_nodes_takes_each_once_and_nearly_all_by_the_mean_of_their_estimates(distances in told()) {
            for isa in Isa::available() {
                let ([near, _], taken) = isa.run(Comes { most: distances.len(), distances: &distances, again: true });
                prop_assert!(taken.is_sorted_by(|a, b| a.1 <= b.1), "{}", isa.name());
                let off = taken.iter().filter(|&&(node, told)| told != distances[node as usize]);
                prop_assert!(off.clone().all(|&(node, told)| node % 3 == 0 && told == distances[node as usize] - 1.0));
                prop_assert!(off.count() <= 2 + taken.len() / 50);
                for (mut nodes, all) in [
                    (near.iter().map(|&key| key as u32).collect::<Vec<_>>(), false),
                    (taken.iter().map(|&(node, _)| node).collect(), true),
                ] {
                    let len = nodes.len();
                    nodes.sort_unstable();
                    nodes.dedup();
                    prop_assert_eq!(nodes.len(), len, "a node twice");
                    prop_assert!(!all || len == distances.len());
                }
            }
        }
    }
}
