//! The nodes that a walk is done with: a hash table of its own size, not of the graph's.
//!
//! A bucket is sixteen nodes, a line, whose last place is filled last, whatever order registers have: where that is free, no node went on into
//! the next. One comparison of all of them finds a node, or a place for it: to go from place to place would be a branch that no
//! processor foretells.

use crate::graph::NONE;
use crate::kernels::Simd;

/// Nodes of a bucket.
const BUCKET: usize = 16;
/// Nodes that a table has places for in the beginning, at least and at most; it gets more when it needs them.
const SMALL: usize = 512;
const LARGE: usize = 1 << 16;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u32; BUCKET]);

const EMPTY: Bucket = Bucket([NONE; BUCKET]);

/// Buckets, at most half full in the mean; what does not fit into one goes into the next.
#[derive(Default)]
pub(super) struct Seen {
    buckets: Vec<Bucket>,
    /// Memory for what moves to a larger table.
    moving: Vec<Bucket>,
    len: usize,
}

impl Seen {
    /// Empties it, with places for `expected` nodes: a small table, which is quick to empty and stays near. What an uncommon walk
    /// made large is given back.
    pub fn clear(&mut self, expected: usize) {
        if self.buckets.capacity() * BUCKET > LARGE {
            *self = Self::default();
        }
        self.resize(expected.saturating_mul(2).clamp(SMALL, LARGE).next_power_of_two());
    }

    fn resize(&mut self, places: usize) {
        self.len = 0;
        self.buckets.clear();
        self.buckets.resize(places / BUCKET, EMPTY);
    }

    /// True where `node` is among them.
    #[inline(always)]
    pub fn holds<S: Simd>(&self, s: S, node: u32) -> bool {
        let mut bucket = self.first(node);
        loop {
            let nodes = &self.buckets[bucket].0;
            // One branch, which goes the same way nearly always: whether it is there is what nobody foretells.
            let found = s.places_of(nodes, node) != 0;
            if found | (nodes[BUCKET - 1] == NONE) {
                return found;
            }
            bucket = self.next(bucket);
        }
    }

    /// Puts `node` among them. False where it is.
    #[inline(always)]
    pub fn insert<S: Simd>(&mut self, s: S, node: u32) -> bool {
        if self.len * 2 >= self.buckets.len() * BUCKET {
            self.grow();
        }
        let mut bucket = self.first(node);
        loop {
            let nodes = &mut self.buckets[bucket].0;
            if s.places_of(nodes, node) != 0 {
                return false;
            }
            let free = s.places_of(nodes, NONE);
            if free != 0 {
                nodes[usize::from(S::LANE_OF_BIT[free.trailing_zeros() as usize])] = node;
                self.len += 1;
                return true;
            }
            bucket = self.next(bucket);
        }
    }

    /// The bucket that `node` belongs into, if it has room.
    #[inline(always)]
    fn first(&self, node: u32) -> usize {
        (node.wrapping_mul(0x9E37_79B9) >> 7) as usize & (self.buckets.len() - 1)
    }

    #[inline(always)]
    fn next(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }

    /// Moves all to a table of twice the size. None of them is there yet, so that a free place is all that each needs: no vector
    /// instructions, which a function that is not inlined would not have.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        std::mem::swap(&mut self.buckets, &mut self.moving);
        let len = self.len;
        self.resize(self.moving.len() * BUCKET * 2);
        self.len = len;
        for &node in self.moving.iter().flat_map(|bucket| &bucket.0).filter(|node| **node != NONE) {
            let mut bucket = self.first(node);
            let at = loop {
                match self.buckets[bucket].0.iter().position(|&other| other == NONE) {
                    Some(at) => break at,
                    None => bucket = self.next(bucket),
                }
            };
            self.buckets[bucket].0[at] = node;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::kernels::{Isa, Kernel};
    use proptest::prelude::*;

    /// Whether each of some nodes is among those before it, by two ways.
    struct Again<'a>(&'a [u32]);

    impl Kernel for Again<'_> {
        type Out = Vec<[bool; 2]>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Out {
            let mut seen = Seen::default();
            // What an earlier walk left behind is forgotten.
            seen.clear(1);
            self.0.iter().for_each(|&node| _ = seen.insert(s, node));
            seen.clear(1);
            self.0.iter().map(|&node| [seen.holds(s, node), !seen.insert(s, node)]).collect()
        }
    }

    proptest! {
        #[test]
        fn a_node_is_seen_once_it_was_put_in_while_the_table_grows(
            nodes in prop::collection::vec(0u32..4000, 1..3000),
            stride in prop::sample::select(vec![1u32, 128, 1 << 19]),
        ) {
            let nodes: Vec<_> = nodes.iter().map(|&node| node * stride).collect();
            let mut before = HashSet::new();
            let want: Vec<_> = nodes.iter().map(|&node| [!before.insert(node); 2]).collect();
            for isa in Isa::available() {
                prop_assert_eq!(&isa.run(Again(&nodes)), &want, "{}", isa.name());
            }
        }
    }
}
