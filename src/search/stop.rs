//! When a walk ends: easy queries early, hard ones late, but not endlessly late.
//!
//! Let r be how many times as far as the k-th nearest found so far the nearest that waits is, in squared distance, and `near` how many
//! nearer ones were expanded. A plain beam ends at near = ef. But that many may be near because the walk is in the middle of them,
//! or because it goes round and round among vectors that are hardly farther than the k-th: then r tells that there is more to find.
//! Where the number of vectors within a squared distance grows as its power β, about k·r^β of them should be nearer. A walk ends
//! when the geometric mean of what it has done and of what there should be is ef,
//!
//! ```text
//! done · k r^β ≥ ef²,   done = max(near, ¾ share · expanded)
//! ```
//!
//! where `share` is the part of what a walk expands that is near in the end, as a rule: from a tenth, in data without any structure, to
//! nine tenths. The hardest queries expand many more for as few: to wait for `near` would have one in a hundred go on for long, and find
//! hardly more.
//!
//! A walk does not end before done = ¼ ef, or no ef would lead from a cluster across a wide gap, and in any case at near = 2 ef. Where ef is less
//! than k, a walk ends at near = ef, once 2 k nodes are in view: not all that are wanted are expanded, the others wait about where
//! ef · r^β = k. β, half the intrinsic dimension near a vector, and the share are learned from the graph when it is built (`Graph::learn`); no query
//! is needed for it.
//! That r decides, not a count alone, is the idea of Al-Jazzazi and others, "Distance Adaptive Beam Search for Provably Accurate
//! Graph-Based Nearest Neighbor Search" (2025).

use super::pool::LANES;
use crate::graph::Graph;

/// How many times `ef` a hard query may have in view, or k where that is more.
const HARD: usize = 2;
/// The part of `ef` that an easy one has done, at least.
const EASY: usize = 4;
/// The part of the usual share that a query may have before what it expands counts instead.
const POOR: f32 = 0.75;

/// What a walk should find, and how far it goes.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Effort {
    pub ef: usize,
    pub k: usize,
    /// β.
    pub growth: f32,
    /// The part of what is expanded that is near in the end, as a rule; 0 where that is not known.
    pub share: f32,
}

impl Effort {
    /// The `k` nearest, with up to `ef` in view or somewhat more.
    pub fn new(graph: &Graph, ef: usize, k: usize) -> Self {
        // Who asks for all of them gets all.
        if ef < graph.vectors().len() {
            Self { ef, k, growth: graph.growth, share: graph.share }
        } else {
            Self::plain(ef)
        }
    }

    /// A beam of `ef`.
    pub fn plain(ef: usize) -> Self {
        Self { ef, k: ef, growth: 1.0, share: 0.0 }
    }

    /// Nodes that a walk has in view, at most.
    pub fn most(self) -> usize {
        if self.k == self.ef { self.ef } else { self.ef.max(self.k).saturating_mul(HARD) }
    }

    /// Nodes that it has in view at least, or all there are.
    pub fn least(self) -> usize {
        if self.k <= self.ef { 0 } else { self.most() }
    }

    /// Nodes that are expanded at least.
    fn few(self) -> usize {
        self.k.min(self.ef)
    }

    /// As many as are expanded of those nearer than all that wait, at most.
    fn last(self) -> usize {
        if self.k < self.ef { self.most() } else { self.ef }
    }

    /// How much a walk has done that has expanded so many, of which `near` are nearer than what waits.
    #[inline(always)]
    fn done(self, near: usize, expanded: usize) -> usize {
        near.max((POOR * self.share * expanded as f32) as usize)
    }

    /// The r at which done · k r^β = ef²; where ef is less than k, that at which ef · r^β = k.
    fn ratio(self, done: usize) -> f32 {
        if self.ef < self.k {
            return (self.k as f32 / self.ef as f32).powf(1.0 / self.growth);
        }
        if done < self.ef.div_ceil(EASY) {
            return f32::INFINITY;
        }
        let [ef, k, done] = [self.ef, self.k, done].map(|v| v as f32);
        (ef / k * ef / done).powf(1.0 / self.growth)
    }
}

/// The rule for one walk, and what it has to know.
#[derive(Default)]
pub(super) struct Stop {
    effort: Effort,
    /// The r at which a walk ends that has done as little as it may, one more and so on, as far as this was asked for.
    ratios: Vec<f32>,
    /// What turns a walk's distances into squared ones.
    offset: f32,
    /// How many nodes were expanded.
    expanded: usize,
    /// How far the nearest of them are, in order, from place 1 on; infinite where there are none yet.
    best: Vec<f32>,
    /// How much was done, the last time that was asked.
    done: usize,
    /// Where nodes are too far to be wanted.
    reach: f32,
}

impl Stop {
    /// Forgets what was found. Distances are told less `offset`.
    pub fn clear(&mut self, effort: Effort, offset: f32) {
        if self.effort != effort {
            self.effort = effort;
            self.ratios.clear();
        }
        (self.offset, self.done, self.reach) = (offset, effort.few(), f32::MAX);
        self.expanded = 0;
        self.best.clear();
        self.best.resize(1 + effort.few().next_multiple_of(LANES), f32::INFINITY);
        self.best[0] = f32::NEG_INFINITY;
    }

    /// A node `distance` away was expanded. Returns the distance beyond which none need be kept: it may grow again while a walk
    /// comes nearer, but what it left out until then is hardly ever wanted.
    #[inline(always)]
    pub fn settle(&mut self, distance: f32) -> f32 {
        let few = self.effort.few();
        self.expanded += 1;
        if distance >= self.best[few] {
            return self.reach;
        }
        insert(&mut self.best, distance);
        if self.expanded >= few {
            self.reach = self.farthest(self.done);
        }
        self.reach
    }

    /// How far the k-th nearest that was expanded is, if so many were, and had to be.
    #[inline(always)]
    pub fn kth(&self) -> Option<f32> {
        let k = self.effort.k;
        (self.effort.few() == k && self.expanded >= k).then(|| self.best[k])
    }

    /// How many are to be found.
    pub fn wanted(&self) -> usize {
        self.effort.k
    }

    /// True where the nearest that waits is so far that the walk may have ended: it has if [`Stop::ends`] says so.
    #[inline(always)]
    pub fn may_end(&self, distance: f32) -> bool {
        let few = self.effort.few();
        self.expanded >= few && distance > self.best[few]
    }

    /// True where the walk has ended: the nearest that waits is `distance` away, and `near` nearer ones were expanded, so few as may be
    /// or more.
    #[inline(always)]
    pub fn ends(&mut self, distance: f32, near: usize) -> bool {
        self.done = self.effort.done(near, self.expanded);
        self.reach = self.farthest(self.done);
        near >= self.effort.last() || distance > self.reach
    }

    /// How far a walk goes that has `done` so much.
    #[inline(always)]
    fn farthest(&mut self, done: usize) -> f32 {
        let few = self.effort.few();
        let at = done.saturating_sub(few);
        if self.ratios.len() <= at {
            self.learn(at);
        }
        // Rounding may have left less than nothing.
        self.ratios[at] * (self.best[few] + self.offset).max(f32::MIN_POSITIVE) - self.offset
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, at: usize) {
        for more in self.ratios.len()..=at {
            self.ratios.push(self.effort.ratio(self.effort.few() + more));
        }
    }
}

/// Puts `distance` in its place among the `sorted`, of which the last goes. NaN has none.
#[inline(always)]
fn insert(sorted: &mut [f32], distance: f32) {
    // What comes behind it is what was a place before: no place is looked for but a group of them. From the end, so that nothing is read
    // that was written.
    for from in (0..sorted.len() / LANES).rev().map(|group| group * LANES) {
        let (mut before, mut here) = ([0.0; LANES], [0.0; LANES]);
        before.copy_from_slice(&sorted[from..from + LANES]);
        here.copy_from_slice(&sorted[from + 1..from + 1 + LANES]);
        for (here, before) in here.iter_mut().zip(before) {
            let nearer = if distance < *here { distance } else { *here };
            *here = if before > nearer { before } else { nearer };
        }
        sorted[from + 1..from + 1 + LANES].copy_from_slice(&here);
        if sorted[from] <= distance {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_are_in_order_and_what_is_no_number_is_not_among_them(
            groups in 1usize..5,
            distances in prop::collection::vec(prop::sample::select(vec![-3f32, 0.0, 0.5, 1.0, 7.0, 8.0, f32::MAX, f32::NAN]), 0..200),
        ) {
            let mut sorted = vec![f32::INFINITY; 1 + groups * LANES];
            sorted[0] = f32::NEG_INFINITY;
            distances.iter().for_each(|&distance| insert(&mut sorted, distance));
            let mut expected: Vec<f32> = distances.into_iter().filter(|distance| !distance.is_nan()).collect();
            expected.sort_unstable_by(f32::total_cmp);
            expected.resize(expected.len().max(groups * LANES), f32::INFINITY);
            prop_assert_eq!(&sorted[1..], &expected[..groups * LANES]);
        }

        /// Against the formula in f64; at its very border both are right.
        #[test]
        fn a_walk_ends_where_the_formula_says(
            (k, more) in (1usize..20, 1usize..100),
            growth in 1f32..64.0,
            share in prop_oneof![Just(0.0), 0f32..1.0],
            distances in prop::collection::vec(0f32..100.0, 1..200),
            next in 0f32..1000.0,
            offset in 1f32..1e4,
        ) {
            let effort = Effort { ef: k + more, k, growth, share };
            let mut stop = Stop::default();
            stop.clear(effort, offset);
            // Distances are told less the offset.
            distances.iter().for_each(|d| {
                stop.settle(d - offset);
            });
            let mut sorted = distances.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            let near = sorted.iter().filter(|d| **d - offset < next - offset).count();
            let ended = stop.may_end(next - offset) && stop.ends(next - offset, near);
            let done = near.max((0.75 * share * distances.len() as f32) as usize);
            if near < k || done * EASY < effort.ef {
                prop_assert!(!ended);
            } else if near >= effort.most() {
                prop_assert!(ended);
            } else {
                let r = f64::from(next) / f64::from(sorted[k - 1]);
                let expected = k as f64 * r.powf(f64::from(growth));
                let mean = (done as f64 * expected).sqrt() / effort.ef as f64;
                // f32 knows a ratio of distances to the offset's precision.
                let blur = 1.0 + 4.0 * f64::from(growth * offset) * f64::from(f32::EPSILON) / f64::from(sorted[k - 1]);
                if !(mean < blur * 1.01 && mean > 0.99 / blur) {
                    prop_assert_eq!(ended, mean >= 1.0, "done {}, r {}, mean {}", done, r, mean);
                }
            }
        }
    }
}
