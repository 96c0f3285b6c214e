//! All nodes at once: the lowest level by the crate's own builder, the others by insertion.
//!
//! The builder takes pairs of near vectors from many overlapping leaves rather than from one walk a node, which is several times as
//! fast. The other levels hold one node in M.

use super::Hnsw;
use super::insert::{Adding, Pruner};
use super::points::Points;
use super::search::with_scratch;
use super::walk::{Scratch, Stop, Wanted, node};
use crate::error::{Error, Result};
use crate::graph::{self, Form, GraphParams, NONE, WANTED};
use crate::kernels::Isa;
use crate::threads::{self, Monitor};

/// Nodes in view of the walk that looks for a way to a node without one.
const AROUND: usize = 64;
/// The builder's lists are multiples of this.
const STEP: usize = 32;
/// Of what is random.
const SEED: u64 = 12345;

impl Hnsw {
    /// Becomes the graph of `adding.x`, which is all that `adding.points` are.
    ///
    /// # Errors
    /// As [`Hnsw::insert`]; the graph is then as it was.
    pub fn build(
        &mut self,
        adding: &Adding,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let cores = threads::resolve(threads)?;
        self.ground_on(adding, threads, monitor, |graph| {
            let room = graph.room(0);
            if graph.is_empty() || room == 0 {
                return Ok(None);
            }
            let (metric, degree) = (adding.points.metric(), room.next_multiple_of(STEP));
            let (form, wanted) = (Form::Coded, WANTED);
            let params = GraphParams { metric, degree, form, wanted, seed: SEED, threads: cores, monitor };
            let built = graph::neighbours(adding.x, &params)?;
            for (row, &from) in built.lists.chunks_exact(degree).zip(&built.order) {
                let list =
                    row.iter().take(room).take_while(|&&to| to != NONE).map(|&to| built.order[to as usize]);
                graph.link(from, 0, &list.collect::<Vec<_>>());
            }
            Ok(built.entries.first().map(|&entry| built.order[entry as usize]))
        })
    }

    /// Makes every node reachable from the entry on the lowest level; `adding.x` are all nodes.
    ///
    /// # Errors
    /// As [`Hnsw::insert`]; nodes before the one that it was at are reachable then.
    pub fn mend(&mut self, adding: &Adding, monitor: Option<&dyn Monitor>) -> Result<()> {
        if adding.x.len() != self.len() {
            return Err(Error::argument("vectors", adding.x.len(), "one for each node"));
        }
        adding.points.check(self.len(), adding.x)?;
        self.reach(adding, monitor)
    }

    pub(super) fn reach(&mut self, adding: &Adding, monitor: Option<&dyn Monitor>) -> Result<()> {
        let Some((entry, _)) = self.entry() else { return Ok(()) };
        let mut reach = Reach { from: vec![NONE; self.len()], open: Vec::new() };
        reach.flood(self, entry, entry);
        let mut lost = 0;
        for new in 0..self.len() as u32 {
            if reach.from[new as usize] != NONE {
                continue;
            }
            lost += 1;
            if lost % 64 == 0 {
                threads::pause(monitor, "repair", u64::from(new), self.len() as u64)?;
            }
            let near = with_scratch(|scratch| self.around(adding, entry, new, scratch));
            let way = near.into_iter().find_map(|at| {
                let list = self.links(at, 0);
                let spare = list.iter().rposition(|&to| reach.from[to as usize] != at);
                let end = (list.len() < self.room(0)).then_some(list.len());
                Some((at, end.or(spare)?))
            });
            if let Some((at, slot)) = way {
                let mut list = self.links(at, 0).to_vec();
                list.truncate(list.len().max(slot));
                match list.get_mut(slot) {
                    Some(to) => *to = new,
                    None => list.push(new),
                }
                self.link(at, 0, &list);
                reach.flood(self, new, at);
            }
        }
        Ok(())
    }

    /// Nodes that can be reached from `entry`, the nearest to `new` first.
    fn around(&self, adding: &Adding, entry: u32, new: u32, scratch: &mut Scratch) -> Vec<u32> {
        let Scratch { walk, query } = scratch;
        let isa = Isa::active();
        let mut ruler = adding.points.ruler(adding.x, new as usize, query);
        let start = walk.measure(isa, &mut ruler, entry);
        walk.seen.clear(self.len());
        walk.pool.clear(AROUND);
        walk.pool.offer(start, entry);
        walk.spread(isa, self, &mut ruler, 0, Stop::Never, &Wanted::InView);
        walk.pool.keys().iter().map(|&key| node(key)).collect()
    }

    /// Replaces the lowest level's lists by the best of `k` given neighbours of each node, which ascend in distance.
    ///
    /// # Errors
    /// [`Error::Argument`] for a neighbour that is no node.
    pub fn init_level_0(&mut self, points: Points, k: usize, near: &[(f32, i64)]) -> Result<()> {
        let n = self.len();
        if let Some((_, node)) = near.iter().find(|(_, node)| *node >= n as i64) {
            return Err(Error::argument("I", node, "nodes of the graph"));
        }
        let room = self.room(0);
        for (at, row) in near.chunks_exact(k.max(1)).take(n).enumerate() {
            let row = row.iter().take_while(|(_, node)| *node >= 0).filter(|(_, node)| *node != at as i64);
            let mut list: Vec<(f32, u32)> = row.map(|&(distance, node)| (distance, node as u32)).collect();
            list.sort_by(|a, b| a.0.total_cmp(&b.0));
            let chosen =
                with_scratch(|scratch| Pruner::new(points, &mut scratch.query).prune(&list, room, false));
            self.link(at as u32, 0, &chosen);
        }
        Ok(())
    }
}

/// From where each node is reached, itself for the first; [`NONE`] where it is not.
struct Reach {
    from: Vec<u32>,
    open: Vec<u32>,
}

impl Reach {
    fn flood(&mut self, graph: &Hnsw, node: u32, from: u32) {
        if self.from[node as usize] != NONE {
            return;
        }
        self.from[node as usize] = from;
        self.open.push(node);
        while let Some(at) = self.open.pop() {
            for &next in graph.links(at, 0) {
                if self.from[next as usize] == NONE {
                    self.from[next as usize] = at;
                    self.open.push(next);
                }
            }
        }
    }
}
