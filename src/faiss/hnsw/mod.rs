//! Which vectors are near which, as Faiss's HNSW has it? A hierarchy of graphs (Malkov, Yashunin 2018) in Faiss's arrays.
//!
//! ```text
//! points    what the nodes stand for, and how far they are from a query
//! walk      one query's way through the graph
//! search    many queries
//! insert    new nodes, each linked to what a walk finds near it
//! bulk      all nodes at once, by the crate's own graph builder
//! native    the crate's own graph beside Faiss's
//! nsg       a graph on one level
//! ```
//!
//! The arrays are checked once, when they come in: a walk cannot leave them.

mod bulk;
mod insert;
mod native;
mod nsg;
mod points;
mod search;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;

use super::random::Generator;
use crate::error::{Error, Result};

pub use insert::Adding;
pub use native::Native;
pub use nsg::Nsg;
pub use points::Points;
pub use search::{Effort, Found, Start};
pub use walk::Stats;

/// Levels that a hierarchy can have; Faiss's own have ten at most.
const MOST_LEVELS: usize = 256;
/// The seed that Faiss draws levels from.
const LEVELS: i64 = 12345;
/// The least probability of a level.
const RARE: f32 = 1e-9;

/// Neighbours of nodes on several levels, in Faiss's arrays.
#[derive(Clone)]
pub struct Hnsw {
    parts: Parts,
    generator: Generator,
}

/// The arrays by Faiss's names. `offsets[i]..offsets[i + 1]` are node i's neighbours on all of its levels, of which those of level
/// l are `cum_nneighbor_per_level[l]..cum_nneighbor_per_level[l + 1]`, up to the first that is −1.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// How likely each level is.
    pub assign_probas: Vec<f64>,
    /// Slots on the levels below each.
    pub cum_nneighbor_per_level: Vec<i32>,
    /// On how many levels each node is.
    pub levels: Vec<i32>,
    /// Where each node's slots begin, and where all end.
    pub offsets: Vec<u64>,
    /// All slots.
    pub neighbors: Vec<i32>,
    /// Where walks begin; −1 where there is no node.
    pub entry_point: i32,
    /// The level on which they begin.
    pub max_level: i32,
}

impl Parts {
    /// No nodes, 2 · `m` slots on the lowest level and `m` on each of the others, `mult` of which Faiss makes 1 / ln m.
    ///
    /// # Errors
    /// [`Error::Argument`] for `m` below 1 or beyond what the arrays can count.
    pub fn new(m: usize, mult: f32) -> Result<Self> {
        let (probas, slots) = probas(m, mult)?;
        Ok(Self {
            assign_probas: probas,
            cum_nneighbor_per_level: slots,
            levels: Vec::new(),
            offsets: vec![0],
            neighbors: Vec::new(),
            entry_point: -1,
            max_level: -1,
        })
    }

    fn check(&self) -> Result<(), String> {
        let (n, slots) = (self.levels.len(), &self.cum_nneighbor_per_level);
        if slots.first() != Some(&0) || !slots.is_sorted() || slots.len() > MOST_LEVELS {
            return Err(format!("{} slot counts that do not ascend from 0", slots.len()));
        }
        if self.offsets.len() != n + 1 || self.offsets.first() != Some(&0) {
            return Err(format!("{} offsets for {n} nodes", self.offsets.len()));
        }
        if n > i32::MAX as usize {
            return Err(format!("{n} nodes"));
        }
        for (i, (&level, ends)) in self.levels.iter().zip(self.offsets.windows(2)).enumerate() {
            let room = usize::try_from(level).ok().filter(|&level| level > 0).and_then(|at| slots.get(at));
            let Some(&room) = room else {
                return Err(format!("node {i} on {level} levels of {}", slots.len().saturating_sub(1)));
            };
            if ends[0].checked_add(room as u64) != Some(ends[1]) {
                return Err(format!("node {i} at {} to {} where it has {room} slots", ends[0], ends[1]));
            }
        }
        if self.offsets.last() != Some(&(self.neighbors.len() as u64)) {
            return Err(format!("{} neighbours that end at {:?}", self.neighbors.len(), self.offsets.last()));
        }
        let entry = usize::try_from(self.entry_point).ok();
        match entry.map(|entry| self.levels.get(entry)) {
            None if n == 0 => {}
            Some(Some(&levels)) if (0..levels).contains(&self.max_level) => {}
            _ => return Err(format!("entry {} at level {} of {n} nodes", self.entry_point, self.max_level)),
        }
        for i in 0..n {
            for level in 0..self.levels[i] as usize {
                for &other in &self.neighbors[self.slots(i, level)] {
                    if other < 0 {
                        break;
                    }
                    if self.levels.get(other as usize).is_none_or(|&levels| levels as usize <= level) {
                        return Err(format!("node {i} has the neighbour {other} on level {level}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn slots(&self, node: usize, level: usize) -> Range<usize> {
        let start = self.offsets[node] as usize;
        let at = |level: usize| start + self.cum_nneighbor_per_level[level] as usize;
        at(level)..at(level + 1)
    }
}

/// How likely each level is, and how many slots are below it.
fn probas(m: usize, mult: f32) -> Result<(Vec<f64>, Vec<i32>)> {
    let most = i32::MAX as usize / (2 * MOST_LEVELS);
    if m == 0 || m > most {
        return Err(Error::argument("M", m, "1 to 4194303"));
    }
    let (mut probas, mut slots) = (Vec::new(), vec![0]);
    let mut sum = 0;
    while slots.len() < MOST_LEVELS {
        let level = probas.len() as f32;
        let proba = (-level / mult).exp() * (1.0 - (-1.0 / mult).exp());
        // Written so that a NaN ends it.
        if !matches!(proba.partial_cmp(&RARE), Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal))
        {
            break;
        }
        sum += if probas.is_empty() { 2 * m } else { m };
        probas.push(f64::from(proba));
        slots.push(sum as i32);
    }
    if probas.is_empty() {
        return Err(Error::argument("M", m, "at least 2, so that there is a level"));
    }
    Ok((probas, slots))
}

impl Hnsw {
    /// No nodes; see [`Parts::new`].
    ///
    /// # Errors
    /// As [`Parts::new`].
    pub fn new(m: usize) -> Result<Self> {
        Ok(Self { parts: Parts::new(m, 1.0 / (m as f32).ln())?, generator: Generator::new(LEVELS) })
    }

    /// From arrays that may come from anywhere.
    ///
    /// # Errors
    /// [`Error::Argument`] where a walk could leave them.
    pub fn from_parts(parts: Parts) -> Result<Self> {
        let expected = "Faiss's HNSW arrays, whole: every neighbour a node on that level";
        parts.check().map_err(|problem| Error::argument("graph", problem, expected))?;
        Ok(Self { parts, generator: Generator::new(LEVELS) })
    }

    /// The arrays.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.parts.levels.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let Parts { levels, offsets, neighbors, .. } = &self.parts;
        (size_of_val(&levels[..]) + size_of_val(&offsets[..]) + size_of_val(&neighbors[..])) as u64
    }

    /// Forgets all nodes.
    pub fn clear(&mut self) {
        let Parts { levels, offsets, neighbors, entry_point, max_level, .. } = &mut self.parts;
        (*levels, *offsets, *neighbors) = (Vec::new(), vec![0], Vec::new());
        (*entry_point, *max_level) = (-1, -1);
    }

    /// A level at random, from 0.
    pub fn draw_level(&mut self) -> i32 {
        let mut left = f64::from(self.generator.float());
        let probas = &self.parts.assign_probas;
        for (level, &proba) in probas.iter().enumerate() {
            if left < proba {
                return level as i32;
            }
            left -= proba;
        }
        // Rounding leaves a little.
        probas.len() as i32 - 1
    }

    /// Becomes the nodes `order`, in that order.
    ///
    /// # Errors
    /// [`Error::Argument`] where that is not all nodes once.
    pub fn permute(&mut self, order: &[i64]) -> Result<()> {
        let n = self.len();
        let mut place = vec![-1i32; n];
        for (at, &old) in order.iter().enumerate() {
            match usize::try_from(old).ok().and_then(|old| place.get_mut(old)) {
                Some(place) if *place < 0 => *place = at as i32,
                _ => return Err(Error::argument("perm", old, "every node once")),
            }
        }
        if order.len() != n {
            return Err(Error::argument("perm", order.len(), "as many entries as there are nodes"));
        }
        let old = &self.parts;
        let mut parts = Parts { levels: Vec::new(), offsets: vec![0], neighbors: Vec::new(), ..old.clone() };
        for &from in order {
            let from = from as usize;
            parts.levels.push(old.levels[from]);
            let slots = &old.neighbors[old.offsets[from] as usize..old.offsets[from + 1] as usize];
            parts.neighbors.extend(slots.iter().map(|&to| if to < 0 { to } else { place[to as usize] }));
            parts.offsets.push(parts.neighbors.len() as u64);
        }
        if let Some(&entry) = place.get(old.entry_point as usize) {
            parts.entry_point = entry;
        }
        self.parts = parts;
        Ok(())
    }

    /// Appends nodes without neighbours, on `levels` levels each, or as many as chance gives.
    fn grow(&mut self, n: usize, levels: Option<&[i32]>) -> Result<()> {
        let most = self.parts.assign_probas.len().min(self.parts.cum_nneighbor_per_level.len() - 1);
        let all = self.len().saturating_add(n);
        if all > i32::MAX as usize {
            return Err(Error::argument("n", all, "at most 2147483647 nodes"));
        }
        if most == 0 {
            return Err(Error::argument("levels", 0, "a graph with a level"));
        }
        let drawn: Vec<i32> = match levels {
            Some(levels) => levels.to_vec(),
            None => (0..n).map(|_| self.draw_level() + 1).collect(),
        };
        let slots = &self.parts.cum_nneighbor_per_level;
        let mut end = self.parts.neighbors.len() as u64;
        for level in drawn {
            let Some(&room) = usize::try_from(level).ok().filter(|&at| at > 0).and_then(|at| slots.get(at))
            else {
                return Err(Error::argument("levels", level, "levels that the graph has slots for"));
            };
            end += room as u64;
            self.parts.levels.push(level);
            self.parts.offsets.push(end);
        }
        let more = end as usize - self.parts.neighbors.len();
        let none = |_| Error::OutOfMemory { what: "the graph", bytes: 4 * end };
        self.parts.neighbors.try_reserve_exact(more).map_err(none)?;
        self.parts.neighbors.resize(end as usize, -1);
        Ok(())
    }

    /// Forgets all nodes from `n` on, which no other must have as a neighbour.
    fn shrink(&mut self, n: usize) {
        self.parts.levels.truncate(n);
        self.parts.offsets.truncate(n + 1);
        self.parts.neighbors.truncate(self.parts.offsets[n] as usize);
    }

    /// A node's neighbours on a level.
    fn links(&self, node: u32, level: usize) -> &[u32] {
        let all: &[u32] = bytemuck::cast_slice(&self.parts.neighbors[self.parts.slots(node as usize, level)]);
        &all[..all.iter().position(|&to| to > i32::MAX as u32).unwrap_or(all.len())]
    }

    /// Slots of a node on a level.
    fn room(&self, level: usize) -> usize {
        let slots = &self.parts.cum_nneighbor_per_level;
        (slots[level + 1] - slots[level]) as usize
    }

    /// Replaces a node's neighbours on a level, of which there is room for all.
    fn link(&mut self, node: u32, level: usize, to: &[u32]) {
        let slots = self.parts.slots(node as usize, level);
        let slots = &mut self.parts.neighbors[slots];
        slots.fill(-1);
        slots.iter_mut().zip(to).for_each(|(slot, &to)| *slot = to as i32);
    }

    /// The node where walks begin, and the level.
    fn entry(&self) -> Option<(u32, usize)> {
        u32::try_from(self.parts.entry_point).ok().map(|entry| (entry, self.parts.max_level as usize))
    }
}
