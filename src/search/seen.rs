//! What a walk knows of the nodes that it met: a hash table of its own size, not of the graph's.
//!
//! A bucket is eight nodes, filled from its front. One comparison of all of them finds a node's place, or the place where it
//! belongs: to go from place to place would be a branch that no processor foretells.

use crate::graph::NONE;
use crate::kernels::Simd;

/// Nodes of a bucket.
const BUCKET: usize = 8;
/// Nodes that a table has places for in the beginning, at least and at most; it gets more when it needs them.
const SMALL: usize = 1024;
const LARGE: usize = 1 << 16;

/// What is known of a node.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The mean of its estimates, or [`TAKEN`].
    pub mean: f32,
    /// Its slot in the pool, unless another node is there by now.
    pub slot: u32,
}

/// The mean of a node that needs no estimate any more: that of itself and any estimate is the same, and too far for a pool.
pub(super) const TAKEN: f32 = f32::INFINITY;

#[derive(Clone, Copy)]
#[repr(align(32))]
struct Bucket([u32; BUCKET]);

const EMPTY: Bucket = Bucket([NONE; BUCKET]);
const UNKNOWN: Entry = Entry { mean: TAKEN, slot: 0 };

/// Buckets, at most half full in the mean; what does not fit into one goes into the next.
#[derive(Default)]
pub(super) struct Seen {
    buckets: Vec<Bucket>,
    /// Beside each place; means nothing beside [`NONE`].
    entries: Vec<Entry>,
    /// Memory for what moves to a larger table.
    moving: (Vec<Bucket>, Vec<Entry>),
    len: usize,
}

impl Seen {
    /// Empties it, for a walk with a pool of `ef`: a small table, which is quick to empty and stays near. What an uncommon walk
    /// made large is given back.
    pub fn clear(&mut self, ef: usize) {
        if self.entries.capacity() > LARGE {
            *self = Self::default();
        }
        self.resize(ef.saturating_mul(32).clamp(SMALL, LARGE).next_power_of_two());
    }

    fn resize(&mut self, places: usize) {
        self.len = 0;
        self.buckets.clear();
        self.buckets.resize(places / BUCKET, EMPTY);
        self.entries.resize(places, UNKNOWN);
    }

    /// What is known of `node`, an estimate included.
    #[inline(always)]
    pub fn note<S: Simd>(&mut self, s: S, node: u32, estimate: f32) -> &mut Entry {
        let (entry, known) = self.meet(s, node);
        // Bits, for which there is a choice without a branch.
        let before = f32::from_bits(if known { entry.mean.to_bits() } else { estimate.to_bits() });
        entry.slot = if known { entry.slot } else { 0 };
        entry.mean = before / 2.0 + estimate / 2.0;
        entry
    }

    /// What is known of `node`, which is nothing unless it was met before.
    #[inline(always)]
    pub fn meet<S: Simd>(&mut self, s: S, node: u32) -> (&mut Entry, bool) {
        if self.len * 2 >= self.entries.len() {
            self.grow();
        }
        let (bucket, at) = self.place(s, node);
        let place = &mut self.buckets[bucket].0[at];
        let known = *place == node;
        *place = node;
        self.len += usize::from(!known);
        (&mut self.entries[bucket * BUCKET + at], known)
    }

    /// The bucket in which `node` is, or belongs, and its place there.
    #[inline(always)]
    fn place<S: Simd>(&self, s: S, node: u32) -> (usize, usize) {
        let mask = self.buckets.len() - 1;
        let mut bucket = self.first(node);
        loop {
            // Before the first free place is whatever the bucket holds.
            let places = s.places_of(&self.buckets[bucket].0, node, NONE);
            if places != 0 {
                return (bucket, places.trailing_zeros() as usize % BUCKET);
            }
            bucket = (bucket + 1) & mask;
        }
    }

    /// The bucket that `node` belongs into, if it has room.
    #[inline(always)]
    fn first(&self, node: u32) -> usize {
        (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & (self.buckets.len() - 1)
    }

    /// Moves all to a table of twice the size. None of them is there yet, so that a free place is all that each needs: no vector
    /// instructions, which a function that is not inlined would not have.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        std::mem::swap(&mut self.buckets, &mut self.moving.0);
        std::mem::swap(&mut self.entries, &mut self.moving.1);
        let len = self.len;
        self.resize(self.moving.1.len() * 2);
        self.len = len;
        for (nodes, entries) in self.moving.0.iter().zip(self.moving.1.as_chunks::<BUCKET>().0) {
            for (&node, &entry) in nodes.0.iter().zip(entries).filter(|(node, _)| **node != NONE) {
                let mut bucket = self.first(node);
                let at = loop {
                    match self.buckets[bucket].0.iter().position(|&other| other == NONE) {
                        Some(at) => break at,
                        None => bucket = (bucket + 1) % self.buckets.len(),
                    }
                };
                self.buckets[bucket].0[at] = node;
                self.entries[bucket * BUCKET + at] = entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::kernels::{Isa, Kernel};
    use proptest::prelude::*;

    /// The means that a table tells after each of some estimates.
    struct Means<'a>(&'a [(u32, f32)]);

    impl Kernel for Means<'_> {
        type Out = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let mut seen = Seen::default();
            // What an earlier walk left behind is forgotten.
            seen.clear(1);
            self.0.iter().for_each(|&(node, _)| seen.note(s, node, -1.0).slot = 7);
            seen.clear(1);
            let mut means = Vec::new();
            for &(node, estimate) in self.0 {
                let entry = seen.note(s, node, estimate);
                assert!(entry.slot == 0 || entry.slot == node, "another node's slot");
                entry.slot = node;
                means.push(entry.mean);
            }
            means
        }
    }

    proptest! {
        #[test]
        fn every_node_keeps_its_own_mean_while_the_table_grows(
            estimates in prop::collection::vec((0u32..4000, 0f32..100.0), 1..3000),
            stride in prop::sample::select(vec![1u32, 128, 1 << 19]),
        ) {
            let estimates: Vec<_> = estimates.iter().map(|&(node, v)| (node * stride, v)).collect();
            let mut means = HashMap::new();
            let want: Vec<f32> = estimates.iter().map(|&(node, v)| {
                let mean = means.entry(node).or_insert(v);
                *mean = *mean / 2.0 + v / 2.0;
                *mean
            }).collect();
            for isa in Isa::available() {
                prop_assert_eq!(&isa.run(Means(&estimates)), &want);
            }
        }
    }
}
