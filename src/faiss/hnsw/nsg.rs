//! A graph on one level that is walked from one entry (Fu and others 2019): long ways need links of their own.
//!
//! Each node's candidates are its nearest nodes and all that a walk from the entry to it meets; of those, the ones that no nearer
//! one hides become its neighbours, and it theirs.

use std::sync::Mutex;

use super::insert::{Adding, Pruner};
use super::search::with_scratch;
use super::walk::{Scratch, Stop, Wanted, distance, node};
use super::{Hnsw, Parts};
use crate::error::{Error, Result};
use crate::faiss::random::Generator;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Nodes up to which nearest ones are found by comparing all.
const FEW: usize = 4000;
/// The seed of the nodes that walks begin with.
const SEEDS: i64 = 0x1234;
/// Nodes that a thread takes at a time.
const CHUNK: usize = 64;

/// How a graph on one level is made, by Faiss's names.
#[derive(Clone, Copy)]
pub struct Nsg {
    /// Neighbours of a node, at most.
    pub r: usize,
    /// Nodes in view of a walk.
    pub l: usize,
    /// Candidates of a node, at most.
    pub c: usize,
    /// Nearest nodes that are candidates.
    pub gk: usize,
    /// Whether the crate's builder knows the metric, where comparing all takes long.
    pub at_once: bool,
}

impl Nsg {
    /// The graph of `adding.x`, which are all that `adding.points` are.
    ///
    /// # Errors
    /// As [`Hnsw::insert`].
    pub fn build(
        &self,
        adding: &Adding,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Hnsw> {
        let n = adding.x.len();
        let mut graph = flat(self.r)?;
        graph.check(adding)?;
        graph.grow(n, Some(&vec![1; n]))?;
        if n == 0 {
            return Ok(graph);
        }
        let near = self.near(adding, threads, monitor)?;
        let entry = middle(adding);
        (graph.parts.entry_point, graph.parts.max_level) = (entry as i32, 0);
        let seeds = seeds(&near, entry, self.l.max(1));
        let cores = threads::resolve(threads)?;
        let lists: Vec<Mutex<Vec<Vec<u32>>>> = (0..n.div_ceil(CHUNK)).map(|_| Mutex::default()).collect();
        threads::run(cores, monitor, "link", (lists.len(), n as u64), |at, worker| {
            let nodes = at * CHUNK..((at + 1) * CHUNK).min(n);
            let found = with_scratch(|scratch| {
                nodes.clone().map(|node| self.choose(adding, &near, &seeds, node as u32, scratch)).collect()
            });
            *lists[at].lock().map_err(|_| Error::Interrupted)? = found;
            worker.advance(nodes.len() as u64);
            Ok(())
        })?;
        let mut back: Vec<(usize, u32, u32)> = Vec::new();
        let mut new = 0u32;
        for lists in lists {
            for list in lists.into_inner().map_err(|_| Error::Interrupted)? {
                graph.link(new, 0, &list);
                back.extend(list.iter().map(|&to| (0, to, new)));
                new += 1;
            }
        }
        graph.link_back(adding, back, 0, &mut Default::default(), cores)?;
        graph.mend(adding, monitor)?;
        Ok(graph)
    }

    /// The nearest nodes of each, or most of them, as a graph.
    fn near(&self, adding: &Adding, threads: Option<usize>, monitor: Option<&dyn Monitor>) -> Result<Hnsw> {
        let n = adding.x.len();
        let mut graph = flat(self.gk)?;
        let levels = vec![1; n];
        let on_one = Adding { levels: Some(&levels), ef_construction: self.l.max(self.gk), ..*adding };
        if self.at_once && n > FEW {
            graph.build(&on_one, threads, monitor)?;
            return Ok(graph);
        }
        if n > FEW {
            graph.insert(&on_one, threads, monitor)?;
            return Ok(graph);
        }
        graph.grow(n, Some(&levels))?;
        (graph.parts.entry_point, graph.parts.max_level) = (0, 0);
        let (all, mut distances): (Vec<u32>, _) = ((0..n as u32).collect(), Vec::new());
        let mut query = Query::default();
        for node in 0..n {
            threads::pause(monitor, "neighbours", node as u64, n as u64)?;
            adding.points.ruler(adding.x, node, &mut query).measure(Isa::active(), &all, &mut distances);
            let mut near: Vec<(f32, u32)> = distances.iter().copied().zip(all.iter().copied()).collect();
            near.retain(|near| near.1 != node as u32);
            near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let list: Vec<u32> = near.iter().take(self.gk).map(|near| near.1).collect();
            graph.link(node as u32, 0, &list);
        }
        Ok(graph)
    }

    fn choose(
        &self,
        adding: &Adding,
        near: &Hnsw,
        seeds: &[u32],
        new: u32,
        scratch: &mut Scratch,
    ) -> Vec<u32> {
        let Scratch { walk, query } = scratch;
        let isa = Isa::active();
        let own = near.links(new, 0);
        let mut all: Vec<(f32, u32)> = {
            let mut ruler = adding.points.ruler(adding.x, new as usize, query);
            walk.seen.clear(near.len());
            walk.pool.clear(self.l.max(1));
            walk.within.clear();
            walk.seed(isa, &mut ruler, seeds);
            walk.spread(isa, near, &mut ruler, 0, Stop::Never, &Wanted::Within(f32::INFINITY, None));
            let mut distances = Vec::new();
            ruler.measure(isa, own, &mut distances);
            distances.into_iter().zip(own.iter().copied()).collect()
        };
        all.extend(walk.within.iter().map(|&key| (distance(key), node(key))));
        all.retain(|near| near.1 != new && !near.0.is_nan());
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all.dedup_by_key(|near| near.1);
        all.truncate(self.c.max(self.r));
        Pruner::new(adding.points, query).prune(&all, self.r, false)
    }
}

/// The nodes that walks begin with: neighbours of the entry, and some at random, as in Faiss.
fn seeds(near: &Hnsw, entry: u32, count: usize) -> Vec<u32> {
    let (n, count) = (near.len() as u32, count.min(near.len()));
    let mut random = Generator::new(SEEDS);
    let mut seeds: Vec<u32> = std::iter::once(entry).chain(near.links(entry, 0).iter().copied()).collect();
    // Of few nodes chance takes long to find the last.
    seeds.extend((0..count).map(|_| random.below(n)));
    let mut met = std::collections::HashSet::new();
    seeds.retain(|&node| met.insert(node));
    seeds.truncate(count);
    seeds
}

/// No nodes, `room` slots on the only level.
fn flat(room: usize) -> Result<Hnsw> {
    let slots = i32::try_from(room).ok().filter(|&room| room > 0);
    let slots = slots.ok_or_else(|| Error::argument("R", room, "1 to 2147483647"))?;
    Hnsw::from_parts(Parts {
        assign_probas: vec![1.0],
        cum_nneighbor_per_level: vec![0, slots],
        ..Parts::new(2, 1.0)?
    })
}

/// The node nearest to the mean of all.
fn middle(adding: &Adding) -> u32 {
    let (n, dim) = (adding.x.len(), adding.points.dim());
    let mut sums = vec![0.0; dim];
    let mut vectors = Vec::new();
    for node in 0..n as u32 {
        adding.points.copy(&[node], &mut vectors);
        sums.iter_mut().zip(&vectors).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / n as f64) as f32).collect();
    let Ok(mean) = Vectors::new(&mean, dim) else { return 0 };
    let (mut query, mut distances) = (Query::default(), Vec::new());
    let all: Vec<u32> = (0..n as u32).collect();
    adding.points.ruler(mean, 0, &mut query).measure(Isa::active(), &all, &mut distances);
    let nearest = distances.iter().zip(0..).min_by(|a, b| a.0.total_cmp(b.0));
    nearest.map_or(0, |(_, node)| node)
}
