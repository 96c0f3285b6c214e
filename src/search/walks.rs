//! Walks through a graph for any number of queries: several at a time on each core, then exact distances.

use std::cell::RefCell;

use super::List;
use super::beam::{Map, Stats, Walk};
use crate::graph::Graph;
use crate::kernels::distance::Query;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::vectors::Vectors;

/// Walks that take turns on one core: while one computes, the rows of the others are on their way.
const RING: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    walks: [Walk; RING],
    values: Vec<f32>,
    heads: Vec<f32>,
    list: Vec<u32>,
    distances: Vec<f32>,
    best: Vec<(f32, u64)>,
}

/// What is walked, and how far.
#[derive(Clone, Copy)]
pub(super) struct Walks<'a> {
    pub metric: Metric,
    pub graph: &'a Graph,
    pub list: List<'a>,
    /// Nodes in the pool.
    pub ef: usize,
    /// Nodes that get an exact distance.
    pub rerank: usize,
}

impl Walks<'_> {
    /// Calls `finish` with each query's number, its candidates by exact distance, ties by the lower id, and what it cost.
    pub fn run(&self, isa: Isa, queries: Vectors, finish: impl FnMut(usize, &[(f32, u64)], Stats)) {
        SCRATCH.with_borrow_mut(|scratch| isa.run(Ring { walks: *self, isa, queries, scratch, finish }));
    }
}

/// Calls `each` with the `ef` nodes nearest to the point `code` that a walk finds, for who wants to become one.
pub(crate) fn nearest(isa: Isa, graph: &Graph, code: &[i8], ef: usize, each: impl FnMut(u32)) {
    struct Alone<'a, F>(&'a Graph, &'a [i8], usize, &'a mut Walk, F);
    impl<F: FnMut(u32)> Kernel for Alone<'_, F> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Self(graph, code, ef, walk, each) = self;
            let map = Map::new(graph);
            let head: Vec<f32> = code[..graph.space.width()].iter().map(|&c| f32::from(c)).collect();
            let mut going = walk.start(s, map, &head, ef, ef);
            while going {
                going = walk.step(s, map);
            }
            walk.found.nodes().for_each(each);
        }
    }
    SCRATCH.with_borrow_mut(|scratch| isa.run(Alone(graph, code, ef, &mut scratch.walks[0], each)));
}

struct Ring<'a, F> {
    walks: Walks<'a>,
    isa: Isa,
    queries: Vectors<'a>,
    scratch: &'a mut Scratch,
    finish: F,
}

impl<F: FnMut(usize, &[(f32, u64)], Stats)> Kernel for Ring<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { walks, isa, queries, scratch, mut finish } = self;
        let Walks { metric, graph, list, ef, rerank } = walks;
        let Scratch { walks, values, heads, list: nodes, distances, best } = scratch;
        let (map, width) = (Map::new(graph), graph.space.width());
        graph.space.heads(isa, queries, values, heads);
        // The query of each walk; none where it has ended.
        let mut owners = [None; RING];
        let mut next = 0;
        let mut live = 0;
        loop {
            for (walk, owner) in walks.iter_mut().zip(&mut owners) {
                let going = match *owner {
                    Some(_) => walk.step(s, map),
                    None if next < queries.len() => {
                        let head = &heads[next * width..][..width];
                        *owner = Some(next);
                        next += 1;
                        live += 1;
                        walk.start(s, map, head, ef, rerank)
                    }
                    None => continue,
                };
                let Some(query) = owner.take_if(|_| !going) else { continue };
                live -= 1;
                nodes.clear();
                nodes.extend(walk.found.nodes());
                distances.clear();
                Query::new(metric, queries, query, list.rows.dtype())
                    .distances(isa, list.rows, nodes, distances);
                walk.stats.reranked = nodes.len() as u64;
                best.clear();
                best.extend(
                    nodes.iter().zip(&*distances).map(|(&node, &d)| (d, list.ids.get(node as usize))),
                );
                best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                finish(query, best, walk.stats);
            }
            if live == 0 && next == queries.len() {
                return;
            }
        }
    }
}
