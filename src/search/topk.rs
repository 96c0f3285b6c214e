//! What to keep? The k nearest so far, ties by the lower id.

use crate::keys::{ordered, value_of};

/// A vector and its distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The distance, smaller is nearer.
    pub distance: f32,
    /// The user's id.
    pub id: u64,
}

/// What takes in the distances of one query.
pub(crate) trait Collector: Send {
    /// A distance above this need not be offered.
    fn bound(&self) -> f32;
    /// How many are wanted, where that is what ends them.
    fn wanted(&self) -> Option<usize> {
        None
    }
    /// Offers a vector.
    fn offer(&mut self, distance: f32, id: u64);
    /// Called between blocks of vectors: a chance to lower the bound.
    fn settle(&mut self) {}
    /// Called when `seen` of `n` vectors have been scanned, evenly spread: a chance to guess a bound.
    fn foresee(&mut self, _seen: usize, _n: usize) {}
    /// After the scan: true where a guess was too low. The collector is then ready for another scan, with a bound that
    /// is none.
    fn missed(&mut self) -> bool {
        false
    }
}

/// The k nearest.
///
/// Offers go to a buffer that is cut back to the k best whenever it has grown by half: the cost of an offer is
/// a constant, whatever k.
///
/// The k-th best of the vectors seen so far is a loose bound while they are few. An even part p of all vectors holds
/// about p·k of the k nearest, and hardly ever r = p·k + 3√(p·k·(1−p)) + 1 of them (a binomial count; one case in
/// hundreds): so its r-th best is most likely no nearer than the k-th of all, and is the bound from then on. Where it was
/// nearer (fewer than k vectors are within it) the scan is done again without a guess: a guess costs time at worst, never
/// a result.
pub(crate) struct TopK {
    k: usize,
    /// The lowest guess so far; infinite where there was none.
    guess: f32,
    guessing: bool,
    /// Distance and id as one ordered number, so that comparing is cheap and ties are settled.
    best: Vec<u128>,
    bound: f32,
}

/// (distance, id) as a number of the same order; −0 and 0 are one distance.
fn key(distance: f32, id: u64) -> u128 {
    u128::from(ordered(distance + 0.0)) << 64 | u128::from(id)
}

fn neighbor(key: u128) -> Neighbor {
    Neighbor { distance: value_of((key >> 64) as u32), id: key as u64 }
}

impl TopK {
    /// Keeps `k` of at most `n` vectors.
    pub fn new(k: usize, n: usize) -> Self {
        let k = k.min(n);
        let guess = f32::INFINITY;
        Self {
            k,
            guess,
            guessing: true,
            best: Vec::with_capacity(k + k / 2 + 16),
            bound: if k == 0 { f32::NEG_INFINITY } else { f32::INFINITY },
        }
    }

    /// Keeps `k` of at most `n` vectors, of which as many are known to be no farther than `bound`.
    pub fn within(k: usize, n: usize, bound: f32) -> Self {
        Self { bound, guessing: bound == f32::INFINITY, ..Self::new(k, n) }
    }

    /// The k nearest, nearest first.
    pub fn into_sorted(mut self) -> impl Iterator<Item = Neighbor> {
        self.cut();
        self.best.sort_unstable();
        self.best.into_iter().map(neighbor)
    }

    fn cut(&mut self) {
        if self.best.len() >= self.k && self.k > 0 {
            let (_, last, _) = self.best.select_nth_unstable(self.k - 1);
            self.bound = neighbor(*last).distance.min(self.guess);
            self.best.truncate(self.k);
        }
    }
}

impl Collector for TopK {
    fn bound(&self) -> f32 {
        self.bound
    }

    fn wanted(&self) -> Option<usize> {
        Some(self.k)
    }

    fn offer(&mut self, distance: f32, id: u64) {
        if distance <= self.bound {
            self.best.push(key(distance, id));
            if self.best.len() >= self.k + self.k / 2 + 16 {
                self.cut();
            }
        }
    }

    fn settle(&mut self) {
        // Worth a pass over k entries only where a fair part of them is new.
        if self.best.len() > self.k + self.k / 8 || (self.bound == f32::INFINITY && self.best.len() >= self.k)
        {
            self.cut();
        }
    }

    fn foresee(&mut self, seen: usize, n: usize) {
        let part = seen as f64 / n as f64;
        let expected = self.k as f64 * part;
        let rank = (expected + 3.0 * (expected * (1.0 - part)).sqrt() + 1.0).ceil() as usize;
        if self.guessing && rank < self.k && rank <= self.best.len() {
            let (_, at, _) = self.best.select_nth_unstable(rank - 1);
            self.guess = self.guess.min(neighbor(*at).distance);
            self.bound = self.bound.min(self.guess);
        }
    }

    fn missed(&mut self) -> bool {
        self.cut();
        let near = self.best.iter().filter(|&&key| neighbor(key).distance <= self.guess).count();
        let missed = near < self.k;
        if missed {
            (self.guess, self.guessing) = (f32::INFINITY, false);
            // What was found bounds the k-th from above, and will be found again.
            let bound = self.best.iter().max().filter(|_| self.best.len() == self.k);
            self.bound = bound.map_or(f32::INFINITY, |&key| neighbor(key).distance);
            self.best.clear();
        }
        missed
    }
}

/// All within a radius.
pub(crate) struct InRange {
    radius: f32,
    found: Vec<u128>,
}

impl InRange {
    /// Keeps distances of at most `radius`.
    pub fn new(radius: f32) -> Self {
        Self { radius, found: Vec::new() }
    }

    /// All found, nearest first.
    pub fn into_sorted(mut self) -> impl ExactSizeIterator<Item = Neighbor> {
        self.found.sort_unstable();
        self.found.into_iter().map(neighbor)
    }

    /// All found, the lowest id first.
    pub fn into_numbered(mut self) -> impl ExactSizeIterator<Item = Neighbor> {
        self.found.sort_unstable_by_key(|&key| key as u64);
        self.found.into_iter().map(neighbor)
    }
}

impl Collector for InRange {
    fn bound(&self) -> f32 {
        self.radius
    }

    fn offer(&mut self, distance: f32, id: u64) {
        if distance <= self.radius {
            self.found.push(key(distance, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn top_k_is_the_head_of_the_sorted_list(
            distances in prop::collection::vec(prop_oneof![(-3i8..3).prop_map(f32::from), any::<f32>()], 0..200),
            k in 1usize..60, every in 1usize..20,
        ) {
            let distances: Vec<f32> = distances.into_iter().filter(|d| !d.is_nan()).collect();
            let mut top = TopK::new(k, distances.len());
            for (i, &d) in distances.iter().enumerate() {
                // Ids run downwards, so that ties are not settled by the order of arrival.
                top.offer(d, (distances.len() - i) as u64);
                if i % every == 0 {
                    top.settle();
                }
            }
            let mut all: Vec<(f32, u64)> =
                distances.iter().enumerate().map(|(i, &d)| (d, (distances.len() - i) as u64)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.truncate(k);
            let got: Vec<(f32, u64)> = top.into_sorted().map(|n| (n.distance, n.id)).collect();
            prop_assert_eq!(got, all);
        }
    }
}
