//! The nearest so far, unsorted.

use crate::keys::{distance_of, key};

/// Entries that come together before the farther ones are left out: these, and half as many as are wanted.
const MANY: usize = 16;

/// The nearest so far, as [`key`]s.
#[derive(Default)]
pub(super) struct Best {
    pub keys: Vec<u64>,
    most: usize,
    /// What a distance must not exceed.
    pub bound: f32,
    /// A vector may come twice.
    copies: bool,
}

impl Best {
    /// Empties it, for the nearest `most` that are not beyond `bound`.
    pub fn clear(&mut self, most: usize, bound: f32, copies: bool) {
        self.keys.clear();
        (self.most, self.bound, self.copies) = (most, bound, copies);
    }

    /// Takes `number` if it is near enough. What is not is put in its place and taken back: a branch on that would be foretold by nothing.
    #[inline(always)]
    pub fn push(&mut self, distance: f32, number: u32) {
        self.keys.push(key(distance, number));
        let near = distance <= self.bound;
        self.keys.truncate(self.keys.len() - usize::from(!near));
        if self.keys.len() >= self.most.saturating_add(MANY + self.most / 2) {
            self.cut();
        }
    }

    /// Leaves out all but the nearest.
    #[inline(never)]
    pub fn cut(&mut self) {
        if self.copies {
            self.unite();
        }
        if self.keys.len() > self.most {
            let (_, last, _) = self.keys.select_nth_unstable(self.most - 1);
            self.bound = self.bound.min(distance_of(*last));
            self.keys.truncate(self.most);
        }
    }

    /// Makes one of each vector's copies, as far as they tell in the mean.
    fn unite(&mut self) {
        self.keys.sort_unstable_by_key(|&key| key as u32);
        self.keys.dedup_by(|next, kept| {
            let same = *next as u32 == *kept as u32;
            if same {
                *kept = key(f32::midpoint(distance_of(*kept), distance_of(*next)), *kept as u32);
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_nearest_within_the_bound_are_kept_whatever_the_order(
            distances in prop::collection::vec(prop_oneof![9 => -50f32..50.0, 1 => Just(f32::NAN)], 0..400),
            most in 1usize..60,
            bound in prop_oneof![Just(f32::MAX), -20f32..60.0],
        ) {
            let mut best = Best::default();
            // What an earlier query left is forgotten.
            best.clear(3, f32::MAX, true);
            (0..50).for_each(|number| best.push(-100.0, number));
            best.clear(most, bound, false);
            (0..).zip(&distances).for_each(|(number, &distance)| best.push(distance, number));
            best.cut();
            let mut kept: Vec<f32> = best.keys.iter().map(|&key| distance_of(key)).collect();
            kept.sort_unstable_by(f32::total_cmp);
            let mut want: Vec<f32> = distances.iter().copied().filter(|&v| v <= bound).collect();
            want.sort_unstable_by(f32::total_cmp);
            want.truncate(most);
            prop_assert_eq!(kept, want);
            for key in &best.keys {
                prop_assert_eq!(distances[*key as u32 as usize], distance_of(*key), "another's distance");
            }
        }
    }

    #[test]
    fn copies_count_as_one_vector_at_their_mean() {
        let mut best = Best::default();
        best.clear(2, f32::MAX, true);
        for (distance, number) in [(1.0, 7), (5.0, 8), (3.0, 7), (4.0, 9)] {
            best.push(distance, number);
        }
        best.cut();
        best.keys.sort_unstable();
        assert_eq!(best.keys, [key(2.0, 7), key(4.0, 9)]);
    }
}
