//! Walks through a graph for any number of queries: several at a time on each core, then exact distances.

use std::cell::RefCell;

use super::beam::{Map, Stats, Walk};
use super::pool::distance_of;
use super::rerank::{Found, Ranking, Rerank};
use super::stop::Effort;
use crate::graph::Graph;
use crate::kernels::{Isa, Kernel, Simd};
use crate::vectors::Vectors;

/// Walks that take turns on one core: while one computes, the rows of the others are on their way.
const RING: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    seats: [Seat; RING],
    values: Vec<f32>,
    heads: Vec<f32>,
    ranking: Ranking,
}

/// A walk and the query that it is for.
#[derive(Default)]
struct Seat {
    walk: Walk,
    query: usize,
    phase: Phase,
    found: Found,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Phase {
    /// No query.
    #[default]
    Free,
    Walking,
    /// The vectors of its nodes were asked for.
    Ended,
}

/// What is walked, and how far.
#[derive(Clone, Copy)]
pub(super) struct Walks<'a> {
    pub graph: &'a Graph,
    /// Nodes in view.
    pub ef: usize,
    pub rerank: Rerank<'a>,
}

impl Walks<'_> {
    /// Calls `finish` with each query's number, its candidates by exact distance, ties by the lower id, and what it cost.
    pub fn run(&self, isa: Isa, queries: Vectors, finish: impl FnMut(usize, &[(f32, u64)], Stats)) {
        SCRATCH.with_borrow_mut(|scratch| isa.run(Ring { walks: *self, isa, queries, scratch, finish }));
    }
}

/// Calls `each` with the nodes that a walk finds near the point `code`, and with their squared distances less the
/// point's own squared length; what it cost.
pub(crate) fn nearest(
    isa: Isa,
    graph: &Graph,
    code: &[i8],
    effort: Effort,
    each: impl FnMut(u32, f32),
) -> Stats {
    struct Alone<'a, F>(&'a Graph, &'a [i8], Effort, &'a mut Walk, F);
    impl<F: FnMut(u32, f32)> Kernel for Alone<'_, F> {
        type Out = Stats;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Stats {
            let Self(graph, code, effort, walk, mut each) = self;
            let map = Map::new(graph);
            let head: Vec<f32> = code[..graph.space.width()].iter().map(|&c| f32::from(c)).collect();
            let mut going = walk.start(s, map, &head, effort);
            while going {
                going = walk.step(s, map);
            }
            let mut found = Vec::new();
            walk.found(&mut found);
            found.into_iter().for_each(|key| each(key as u32, distance_of(key)));
            walk.stats
        }
    }
    SCRATCH.with_borrow_mut(|scratch| isa.run(Alone(graph, code, effort, &mut scratch.seats[0].walk, each)))
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
        let Walks { graph, ef, rerank } = walks;
        let Scratch { seats, values, heads, ranking } = scratch;
        let (map, width) = (Map::new(graph), graph.space.width());
        graph.space.heads(isa, queries, values, heads);
        let effort = Effort::new(graph, ef, rerank.k);
        let mut heads = heads.chunks_exact(width).enumerate();
        let mut busy = 0;
        // A call that was stopped may have left a walk on its way.
        seats.iter_mut().for_each(|seat| seat.phase = Phase::Free);
        loop {
            for Seat { walk, query, phase, found } in &mut *seats {
                if *phase == Phase::Ended {
                    rerank.rank(isa, (queries, *query), found, ranking, &mut walk.stats);
                    finish(*query, &ranking.best, walk.stats);
                    *phase = Phase::Free;
                    busy -= 1;
                }
                let going = match phase {
                    Phase::Walking => walk.step(s, map),
                    _ => {
                        let Some((next, head)) = heads.next() else { continue };
                        (*query, *phase) = (next, Phase::Walking);
                        busy += 1;
                        walk.start(s, map, head, effort)
                    }
                };
                if !going {
                    *phase = Phase::Ended;
                    walk.found(&mut found.keys);
                    rerank.ask(s, found);
                }
            }
            if busy == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::List;
    use super::*;
    use crate::graph::GraphParams;
    use crate::ids::Ids;
    use crate::metric::Metric;

    /// Small, but large enough for every step of the build and of a walk.
    #[test]
    fn a_small_graph_is_built_and_walked_and_each_vector_finds_itself() {
        const DIM: usize = 6;
        let values: Vec<f32> = (0..48 * DIM).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
        let rows = Vectors::new(&values, DIM).unwrap();
        let metric = Metric::L2;
        let params = GraphParams { metric, degree: 32, seed: 1, threads: 1, monitor: None };
        let graph = Graph::build(rows, &params).unwrap();
        let list = List { rows, ids: &Ids::Rows };
        let rerank =
            Rerank { metric, space: &graph.space, vectors: Some(graph.vectors()), list, k: 3, fixed: None };
        let walks = Walks { graph: &graph, ef: 24, rerank };
        let mut answered = 0;
        walks.run(Isa::active(), rows.rows(0..7), |query, best, stats| {
            assert_eq!(best[0], (0.0, query as u64));
            assert!(best.len() >= 3 && stats.hops >= 3, "{stats:?}");
            answered += 1;
        });
        assert_eq!(answered, 7);
    }
}
