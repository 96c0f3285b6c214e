//! New nodes: each is linked to what a walk finds near it, and they to it.
//!
//! Nodes come in batches that double, up to a fiftieth of the graph (Dobson and others 2023). The links of a batch are found on
//! the graph as it was before it, and links back are added in the order of the nodes: threads leave no trace in the graph.

use std::collections::HashMap;
use std::sync::Mutex;

use super::Hnsw;
use super::points::Points;
use super::search::with_scratch;
use super::walk::{Scratch, Stop, Wanted, distance, node};
use crate::error::{Error, Result};
use crate::faiss::random::Generator;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// The seed of the order in which nodes of a level come, as in Faiss.
const ORDER: i64 = 789;
/// Nodes of a batch, as a part of all.
const PART: usize = 50;

/// What is added, and how.
#[derive(Clone, Copy)]
pub struct Adding<'a> {
    /// What the nodes stand for, those that are new included.
    pub points: Points<'a>,
    /// The vectors of the new ones, of f32.
    pub x: Vectors<'a>,
    /// How many levels each of them is on; where nothing is said, as many as chance gives.
    pub levels: Option<&'a [i32]>,
    /// Nodes in view of the walks that look for neighbours.
    pub ef_construction: usize,
    /// Whether lists on the lowest level are filled with neighbours that others hide.
    pub keep_max_size_level0: bool,
    /// The part of a full list that is freed when it is cut, up to a half, so that not every link back cuts it again.
    pub prune_headroom: f32,
}

/// A node's neighbours, level by level.
type Lists = Vec<(usize, Vec<u32>)>;

/// A list of neighbours as it was, to be put back.
pub(super) type Undo = HashMap<(u32, usize), Vec<u32>>;

impl Hnsw {
    /// Adds nodes after the present ones, as Faiss does: each finds its neighbours by a walk. `threads` at most, all cores where
    /// nothing is said.
    ///
    /// # Errors
    /// [`Error::Argument`] for points or levels that do not fit, [`Error::Dimension`], [`Error::OutOfMemory`],
    /// [`Error::Interrupted`]; the graph is then as it was.
    pub fn insert(
        &mut self,
        adding: &Adding,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let threads = threads::resolve(threads)?;
        let (before, entry) = (self.len(), (self.parts.entry_point, self.parts.max_level));
        let generator = self.generator.clone();
        self.check(adding)?;
        let mut undo = Undo::new();
        let done = self
            .grow(adding.x.len(), adding.levels)
            .and_then(|()| self.connect(adding, (before, 0), &mut undo, threads, monitor));
        if done.is_err() {
            self.shrink(before);
            (self.parts.entry_point, self.parts.max_level) = entry;
            self.generator = generator;
            for ((node, level), list) in undo {
                self.link(node, level, &list);
            }
        }
        done
    }

    pub(super) fn check(&self, adding: &Adding) -> Result<()> {
        let n = self.len() + adding.x.len();
        adding.points.check(n, adding.x)?;
        if adding.levels.is_some_and(|levels| levels.len() != adding.x.len()) {
            return Err(Error::argument(
                "levels",
                adding.levels.map_or(0, <[i32]>::len),
                "one for each vector",
            ));
        }
        Ok(())
    }

    /// Links the nodes from `before` on, on the levels from `lowest` up.
    pub(super) fn connect(
        &mut self,
        adding: &Adding,
        (before, lowest): (usize, usize),
        undo: &mut Undo,
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let mut levels: Vec<Vec<u32>> = Vec::new();
        for node in before..self.len() {
            let level = self.parts.levels[node] as usize - 1;
            levels.resize_with(levels.len().max(level + 1), Vec::new);
            levels[level].push(node as u32);
        }
        let mut random = Generator::new(ORDER);
        let most = (self.len() / PART).max(1);
        let total = (self.len() - before) as u64;
        let mut done = 0;
        for (level, mut nodes) in levels.into_iter().enumerate().rev() {
            if level < lowest || nodes.is_empty() {
                continue;
            }
            for at in 0..nodes.len() {
                let other = at + random.below((nodes.len() - at) as u32) as usize;
                nodes.swap(at, other);
            }
            if self.entry().is_none() {
                (self.parts.entry_point, self.parts.max_level) = (nodes[0] as i32, level as i32);
            }
            let mut at = 0;
            while at < nodes.len() {
                threads::pause(monitor, "insert", done, total)?;
                let end = (at + at.clamp(1, most)).min(nodes.len());
                self.batch(adding, (before, lowest), &nodes[at..end], undo, threads)?;
                // Only now can its neighbours be reached from it.
                if level as i32 > self.parts.max_level {
                    (self.parts.entry_point, self.parts.max_level) = (nodes[0] as i32, level as i32);
                }
                done += (end - at) as u64;
                at = end;
            }
        }
        threads::pause(monitor, "insert", total, total)
    }

    fn batch(
        &mut self,
        adding: &Adding,
        (before, lowest): (usize, usize),
        batch: &[u32],
        undo: &mut Undo,
        threads: usize,
    ) -> Result<()> {
        let graph = &*self;
        let lists: Vec<Mutex<Lists>> = batch.iter().map(|_| Mutex::default()).collect();
        threads::run(threads, None, "insert", (batch.len(), batch.len() as u64), |at, _| {
            let found = with_scratch(|scratch| graph.find(adding, before, batch[at], lowest, scratch));
            *lists[at].lock().map_err(|_| Error::Interrupted)? = found;
            Ok(())
        })?;
        let mut back: Vec<(usize, u32, u32)> = Vec::new();
        for (&new, lists) in batch.iter().zip(lists) {
            for (level, list) in lists.into_inner().map_err(|_| Error::Interrupted)? {
                self.link(new, level, &list);
                back.extend(list.iter().map(|&to| (level, to, new)));
            }
        }
        self.link_back(adding, back, before, undo, threads)
    }

    /// Adds links (level, node, to).
    pub(super) fn link_back(
        &mut self,
        adding: &Adding,
        mut back: Vec<(usize, u32, u32)>,
        before: usize,
        undo: &mut Undo,
        threads: usize,
    ) -> Result<()> {
        back.sort_unstable();
        let graph = &*self;
        let groups: Vec<&[(usize, u32, u32)]> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let changed: Vec<Mutex<Vec<u32>>> = groups.iter().map(|_| Mutex::default()).collect();
        threads::run(threads, None, "insert", (groups.len(), groups.len() as u64), |at, _| {
            let list = with_scratch(|scratch| graph.merge(adding, groups[at], &mut scratch.query));
            *changed[at].lock().map_err(|_| Error::Interrupted)? = list;
            Ok(())
        })?;
        let changes: Vec<_> = groups.iter().map(|group| (group[0].1, group[0].0)).zip(changed).collect();
        for ((node, level), list) in changes {
            if (node as usize) < before {
                undo.entry((node, level)).or_insert_with(|| self.links(node, level).to_vec());
            }
            self.link(node, level, &list.into_inner().map_err(|_| Error::Interrupted)?);
        }
        Ok(())
    }

    /// Neighbours for a new node, on each of its levels that there are.
    fn find(&self, adding: &Adding, before: usize, new: u32, lowest: usize, scratch: &mut Scratch) -> Lists {
        let Scratch { walk, query } = scratch;
        let Some((entry, top)) = self.entry() else { return Vec::new() };
        let isa = Isa::active();
        let own = self.parts.levels[new as usize] as usize - 1;
        let mut found = Vec::new();
        {
            let mut ruler = adding.points.ruler(adding.x, new as usize - before, query);
            let mut nearest = (entry, walk.measure(isa, &mut ruler, entry));
            for level in (lowest..=top).rev() {
                if level > own {
                    nearest = walk.descend(isa, self, &mut ruler, level, nearest);
                    continue;
                }
                walk.seen.clear(self.len());
                walk.pool.clear(adding.ef_construction.max(1));
                walk.pool.offer(nearest.1, nearest.0);
                walk.spread(isa, self, &mut ruler, level, Stop::Never, &Wanted::InView);
                let near: Vec<(f32, u32)> = walk
                    .pool
                    .keys()
                    .iter()
                    .map(|&key| (distance(key), node(key)))
                    .filter(|near| near.1 != new)
                    .collect();
                nearest = near.first().map_or(nearest, |near| (near.1, near.0));
                found.push((level, near));
            }
        }
        let mut pruner = Pruner::new(adding.points, query);
        found
            .into_iter()
            .map(|(level, near)| {
                let fill = adding.keep_max_size_level0 && level == 0;
                let room = self.room(level);
                (level, if near.len() < room { ids(&near) } else { pruner.prune(&near, room, fill) })
            })
            .collect()
    }

    /// The neighbours of a node to which others want to be linked.
    fn merge(&self, adding: &Adding, group: &[(usize, u32, u32)], query: &mut Query) -> Vec<u32> {
        let (level, node, _) = group[0];
        let mut all = self.links(node, level).to_vec();
        let arrived: Vec<u32> =
            group.iter().map(|edge| edge.2).filter(|new| *new != node && !all.contains(new)).collect();
        all.extend(arrived);
        let room = self.room(level);
        if all.len() <= room {
            return all;
        }
        let fill = adding.keep_max_size_level0 && level == 0;
        let mut pruner = Pruner::new(adding.points, query);
        let near = pruner.around(node, &all);
        let free = if fill { 0.0 } else { adding.prune_headroom.clamp(0.0, 0.5) };
        let kept = (room as f32 * (1.0 - free)).max(1.0) as usize;
        pruner.prune(&near, kept, fill)
    }
}

fn ids(near: &[(f32, u32)]) -> Vec<u32> {
    near.iter().map(|near| near.1).collect()
}

/// Chooses neighbours: a candidate stays unless one that stays is nearer to it than the node is.
pub(super) struct Pruner<'a> {
    points: Points<'a>,
    query: &'a mut Query,
    vectors: Vec<f32>,
    distances: Vec<f32>,
}

impl<'a> Pruner<'a> {
    pub fn new(points: Points<'a>, query: &'a mut Query) -> Self {
        Self { points, query, vectors: Vec::new(), distances: Vec::new() }
    }

    /// `all` by their distance from `node`, ties by the lower number.
    pub fn around(&mut self, node: u32, all: &[u32]) -> Vec<(f32, u32)> {
        let nodes: Vec<u32> = all.iter().copied().chain([node]).collect();
        self.points.copy(&nodes, &mut self.vectors);
        let places: Vec<u32> = (0..all.len() as u32).collect();
        self.measure(all.len(), &places);
        let mut near: Vec<(f32, u32)> = self.distances.iter().copied().zip(all.iter().copied()).collect();
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near
    }

    /// At most `room` of the candidates `near`, which ascend. With `fill`, hidden ones follow.
    pub fn prune(&mut self, near: &[(f32, u32)], room: usize, fill: bool) -> Vec<u32> {
        if room == 0 {
            return Vec::new();
        }
        self.points.copy(&ids(near), &mut self.vectors);
        let mut kept = Vec::with_capacity(room);
        let mut hidden = Vec::new();
        let mut open: Vec<u32> = (0..near.len() as u32).collect();
        while let Some((&first, rest)) = open.split_first() {
            kept.push(near[first as usize].1);
            if kept.len() == room {
                return kept;
            }
            let rest = rest.to_vec();
            self.measure(first as usize, &rest);
            open.clear();
            for (&at, &distance) in rest.iter().zip(&self.distances) {
                if distance < near[at as usize].0 {
                    hidden.push(at);
                } else {
                    open.push(at);
                }
            }
        }
        if fill {
            hidden.sort_unstable();
            kept.extend(hidden.iter().take(room - kept.len()).map(|&at| near[at as usize].1));
        }
        kept
    }

    /// The distances of those at `places` from the one at `from`.
    fn measure(&mut self, from: usize, places: &[u32]) {
        let Ok(vectors) = Vectors::new(&self.vectors, self.points.dim()) else { return };
        let mut ruler = Points::Rows(self.points.metric(), vectors).ruler(vectors, from, self.query);
        ruler.measure(Isa::active(), places, &mut self.distances);
    }
}
