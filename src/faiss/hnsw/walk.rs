//! One query's way: greedily down the levels, then nearest first on the lowest with a bounded number of nodes in view.
//!
//! Faiss keeps the nodes in view in a heap and what it found in another; both are prefixes of one sorted list unless a selector
//! comes between.

use super::Hnsw;
use super::points::Ruler;
use crate::faiss::selector::Selector;
use crate::kernels::distance::Query;
use crate::kernels::{Isa, Kernel, Simd};
use crate::keys;

/// What walks cost, by Faiss's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Walks.
    pub n1: u64,
    /// Walks that ran out of nodes.
    pub n2: u64,
    /// Distances.
    pub ndis: u64,
    /// Nodes whose neighbours were looked at.
    pub nhops: u64,
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.n1 += other.n1;
        self.n2 += other.n2;
        self.ndis += other.ndis;
        self.nhops += other.nhops;
    }
}

/// When a walk ends, other than with no node left to look at.
#[derive(Clone, Copy)]
pub(super) enum Stop {
    Never,
    /// Where so many nodes are nearer than the next.
    Rank(usize),
    /// After so many nodes and one.
    Steps(usize),
}

/// A node and its distance as one number of the same order; the lowest bit says whether its neighbours were looked at.
pub(super) type Key = u64;

pub(super) fn key(distance: f32, node: u32) -> Key {
    keys::key(distance + 0.0, node << 1)
}

pub(super) fn node(key: Key) -> u32 {
    (key as u32) >> 1
}

pub(super) fn distance(key: Key) -> f32 {
    keys::distance_of(key)
}

/// The nearest nodes so far, ascending.
#[derive(Default)]
pub(super) struct Pool {
    keys: Vec<Key>,
    room: usize,
    /// All before it were looked at.
    next: usize,
}

impl Pool {
    pub fn clear(&mut self, room: usize) {
        self.keys.clear();
        (self.room, self.next) = (room, 0);
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub fn offer(&mut self, distance: f32, node: u32) {
        let new = key(distance, node);
        if self.keys.len() == self.room {
            // As near as the last is not nearer.
            if self.keys.last().is_none_or(|last| new >> 32 >= last >> 32) {
                return;
            }
            self.keys.pop();
        }
        let at = self.keys.partition_point(|&key| key < new);
        self.keys.insert(at, new);
        self.next = self.next.min(at);
    }

    /// The nearest node that was not looked at, which now was, and how many are nearer.
    fn take(&mut self) -> Option<(u32, usize)> {
        let at = self.next + self.keys[self.next..].iter().position(|key| key & 1 == 0)?;
        self.next = at + 1;
        let taken = self.keys[at];
        self.keys[at] |= 1;
        let equal = self.keys[..at].iter().rev().take_while(|&&key| key >> 32 == taken >> 32).count();
        Some((node(taken), at - equal))
    }

    /// The node that will be taken next as things stand.
    fn foreseen(&self) -> Option<u32> {
        self.keys[self.next..].iter().find(|&&key| key & 1 == 0).map(|&key| node(key))
    }

    fn is_exhausted(&self) -> bool {
        self.keys[self.next..].iter().all(|key| key & 1 == 1)
    }
}

/// Which nodes were met in this walk: a table that is not emptied between walks.
#[derive(Default)]
pub(super) struct Seen {
    walks: Vec<u16>,
    walk: u16,
}

impl Seen {
    /// Forgets all, for a graph of `n` nodes.
    pub fn clear(&mut self, n: usize) {
        if self.walks.len() < n {
            self.walks.resize(n, 0);
        }
        self.walk = self.walk.wrapping_add(1);
        if self.walk == 0 {
            self.walks.fill(0);
            self.walk = 1;
        }
    }

    /// Whether `node` is new.
    #[inline]
    pub fn add(&mut self, node: u32) -> bool {
        let walk = &mut self.walks[node as usize];
        std::mem::replace(walk, self.walk) != self.walk
    }

    pub fn has(&self, node: u32) -> bool {
        self.walks[node as usize] == self.walk
    }
}

/// What is wanted of a walk besides the nodes in view.
pub(super) enum Wanted<'a> {
    /// Nothing.
    InView,
    /// The nearest of those that the selector has, in [`Walk::best`].
    Best(Option<&'a Selector>),
    /// All of those nearer than this, in [`Walk::within`].
    Within(f32, Option<&'a Selector>),
}

/// What a thread keeps from walk to walk.
#[derive(Default)]
pub(super) struct Walk {
    pub pool: Pool,
    pub best: Pool,
    pub within: Vec<Key>,
    pub seen: Seen,
    pub stats: Stats,
    nodes: Vec<u32>,
    distances: Vec<f32>,
}

/// A walk and memory for its query: apart, because one is lent while the other changes.
#[derive(Default)]
pub(super) struct Scratch {
    pub walk: Walk,
    pub query: Query,
}

impl Walk {
    /// The distance of one node.
    pub fn measure(&mut self, isa: Isa, ruler: &mut Ruler, node: u32) -> f32 {
        ruler.measure(isa, &[node], &mut self.distances);
        self.distances[0]
    }

    /// Puts nodes in view.
    pub fn seed(&mut self, isa: Isa, ruler: &mut Ruler, nodes: &[u32]) {
        ruler.measure(isa, nodes, &mut self.distances);
        self.stats.ndis += nodes.len() as u64;
        for at in 0..nodes.len() {
            if self.seen.add(nodes[at]) {
                self.pool.offer(self.distances[at], nodes[at]);
            }
        }
    }

    /// The node to which every step on a level leads nearer, from `start` and its distance.
    pub fn descend(
        &mut self,
        isa: Isa,
        graph: &Hnsw,
        ruler: &mut Ruler,
        level: usize,
        start: (u32, f32),
    ) -> (u32, f32) {
        let mut nearest = start;
        loop {
            let before = nearest.0;
            let links = graph.links(before, level);
            ruler.measure(isa, links, &mut self.distances);
            for (&node, &distance) in links.iter().zip(&self.distances) {
                if distance < nearest.1 {
                    nearest = (node, distance);
                }
            }
            self.stats.ndis += links.len() as u64;
            self.stats.nhops += 1;
            if nearest.0 == before {
                return nearest;
            }
        }
    }

    /// Looks around from the nodes in the pool, which were not met before.
    pub fn spread(
        &mut self,
        isa: Isa,
        graph: &Hnsw,
        ruler: &mut Ruler,
        level: usize,
        stop: Stop,
        wanted: &Wanted,
    ) {
        for at in 0..self.pool.keys.len() {
            let key = self.pool.keys[at];
            self.seen.add(node(key));
            self.want(wanted, distance(key), node(key));
        }
        let mut steps = 0;
        while let Some((taken, nearer)) = self.pool.take() {
            if matches!(stop, Stop::Rank(rank) if nearer >= rank) {
                break;
            }
            self.nodes.clear();
            let seen = &mut self.seen;
            self.nodes.extend(graph.links(taken, level).iter().filter(|&&node| seen.add(node)));
            if let Some(next) = self.pool.foreseen() {
                isa.run(Ask(bytemuck::cast_slice(
                    &graph.parts.neighbors[graph.parts.slots(next as usize, level)],
                )));
            }
            ruler.measure(isa, &self.nodes, &mut self.distances);
            for at in 0..self.nodes.len() {
                let (node, distance) = (self.nodes[at], self.distances[at]);
                self.want(wanted, distance, node);
                self.pool.offer(distance, node);
            }
            self.stats.ndis += self.nodes.len() as u64;
            steps += 1;
            if matches!(stop, Stop::Steps(most) if steps > most) {
                break;
            }
        }
        self.stats.nhops += steps as u64;
        self.stats.n1 += 1;
        self.stats.n2 += u64::from(self.pool.is_exhausted());
    }

    fn want(&mut self, wanted: &Wanted, distance: f32, node: u32) {
        let has = |selector: &Option<&Selector>| selector.is_none_or(|set| set.has(i64::from(node)));
        match wanted {
            Wanted::InView => {}
            Wanted::Best(selector) => {
                if has(selector) {
                    self.best.offer(distance, node);
                }
            }
            Wanted::Within(radius, selector) => {
                if distance < *radius && has(selector) {
                    self.within.push(key(distance, node));
                }
            }
        }
    }
}

/// Asks for a list of neighbours.
struct Ask<'a>(&'a [u8]);

impl Kernel for Ask<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.0.chunks(64).take(4).for_each(|line| s.prefetch(line));
    }
}
