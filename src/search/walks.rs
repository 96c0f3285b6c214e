//! Walks through a graph for any number of queries, two in turns on each core, each with its exact distances behind it.
//!
//! A step of one walk gives the rows of the other time to arrive. The vectors of what a walk found are asked for while the next one begins.

use std::cell::RefCell;

use super::beam::{Map, Stats, Walk};
use super::rerank::{Ahead, Found, Ranking, Rerank};
use super::stop::Effort;
use crate::graph::Graph;
use crate::ids::Ids;
use crate::kernels::{Isa, Kernel, Simd};
use crate::keys::distance_of;
use crate::space::squares;
use crate::vectors::Vectors;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Walks in turns.
const TURNS: usize = 2;

/// What a thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    lanes: [Lane; TURNS],
    values: Vec<f32>,
    heads: Vec<f32>,
    ranking: Ranking,
}

/// One walk after the other.
#[derive(Default)]
struct Lane {
    walk: Walk,
    /// What the last of them found.
    found: Found,
}

/// What is walked, and how far.
#[derive(Clone, Copy)]
pub(super) struct Walks<'a> {
    pub graph: &'a Graph,
    pub ids: &'a Ids,
    /// Neighbours that are wanted.
    pub k: usize,
    /// Nodes in view.
    pub ef: usize,
    /// Nothing where distances are those that codes tell.
    pub rerank: Option<Rerank<'a>>,
}

impl Walks<'_> {
    /// Calls `finish` with each query's number, its candidates by exact distance, ties by the lower id, and what it cost.
    pub fn run(&self, isa: Isa, queries: Vectors, finish: impl FnMut(usize, &[(f32, u64)], Stats)) {
        SCRATCH.with_borrow_mut(|scratch| isa.run(Queue { walks: *self, isa, queries, scratch, finish }));
    }

    /// Calls `take` with the distance, as codes tell it, and the id of every vector within `radius` of the query.
    pub fn within(&self, isa: Isa, query: Vectors, radius: f32, take: impl FnMut(f32, u64)) {
        struct All<'a, F>(Walks<'a>, Isa, Vectors<'a>, f32, &'a mut Scratch, F);
        impl<F: FnMut(f32, u64)> Kernel for All<'_, F> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self(Walks { graph, ids, .. }, isa, query, radius, scratch, mut take) = self;
                let Scratch { lanes: [Lane { walk, .. }, ..], values, heads, .. } = scratch;
                graph.space.heads(isa, query, values, heads);
                let told = told(graph, query, values);
                walk.all(s, Map::new(graph), heads, |key| {
                    let distance = told(key);
                    if distance <= radius {
                        take(distance, id_of(graph, ids, key));
                    }
                });
            }
        }
        SCRATCH.with_borrow_mut(|scratch| isa.run(All(*self, isa, query, radius, scratch, take)));
    }
}

/// What tells the metric's distance of a node from `query`, which is at `values` in the space, by its code: rounding adds 1/12 to the
/// square of a coordinate in the mean.
fn told(graph: &Graph, query: Vectors, values: &[f32]) -> impl Fn(u64) -> f32 + use<> {
    let (mut norm, rounding) = (0.0, graph.space.width() as f64 / 12.0);
    squares(query, |_, square| norm = square);
    let (offset, factor) = graph.space.told(norm, values);
    move |key| ((f64::from(distance_of(key)) - rounding + offset) * factor) as f32
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
            let mut going = walk.start(s, map, &head, effort, Ahead::default());
            while going {
                walk.step(s, map);
                going = walk.aim(s, map);
            }
            let mut found = Vec::new();
            walk.found(s, map, &mut found);
            found.into_iter().for_each(|key| each(key as u32, distance_of(key)));
            walk.stats
        }
    }
    SCRATCH.with_borrow_mut(|scratch| isa.run(Alone(graph, code, effort, &mut scratch.lanes[0].walk, each)))
}

/// Queries that wait for their turn.
struct Queue<'a, F> {
    walks: Walks<'a>,
    isa: Isa,
    queries: Vectors<'a>,
    scratch: &'a mut Scratch,
    finish: F,
}

impl<F: FnMut(usize, &[(f32, u64)], Stats)> Kernel for Queue<'_, F> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { walks, isa, queries, scratch, mut finish } = self;
        let Walks { graph, ids, k, ef, rerank } = walks;
        let Scratch { lanes, values, heads, ranking } = scratch;
        let (map, width) = (Map::new(graph), graph.space.width());
        graph.space.heads(isa, queries, values, heads);
        let dims = values.len() / queries.len().max(1);
        let effort = Effort::new(graph, ef, k);
        // The queries that lanes have found something for, and what it cost, until it is ranked: in the last round there is nothing to walk.
        let mut of: [Option<(usize, Stats)>; TURNS] = [None; TURNS];
        for first in (0..queries.len() + TURNS).step_by(TURNS) {
            let mut going = [false; TURNS];
            for (at, Lane { walk, found }) in lanes.iter_mut().enumerate() {
                let ahead = match &rerank {
                    Some(rerank) if of[at].is_some() => rerank.ahead(found),
                    _ => Ahead::default(),
                };
                if first + at < queries.len() {
                    let head = &heads[(first + at) * width..][..width];
                    going[at] = walk.start(s, map, head, effort, ahead);
                } else {
                    ahead.ask(s);
                }
            }
            for (Lane { found, .. }, of) in lanes.iter().zip(&mut of) {
                if let Some((query, mut stats)) = of.take() {
                    match &rerank {
                        Some(rerank) => rerank.rank(isa, (queries, query), found, ranking, &mut stats),
                        None => {
                            let told =
                                told(graph, queries.rows(query..query + 1), &values[query * dims..][..dims]);
                            ranking.set(found.keys.iter().map(|&key| (told(key), id_of(graph, ids, key))));
                        }
                    }
                    finish(query, &ranking.best, stats);
                }
            }
            let [one, two] = &mut *lanes;
            // A step leaves many small stores behind, and who aims loads whole registers of them, which may have to wait until all are
            // written. So each aims when the other has taken its step.
            while going[0] | going[1] {
                if going[0] {
                    one.walk.step(s, map);
                }
                if going[1] {
                    two.walk.step(s, map);
                }
                if going[0] {
                    going[0] = one.walk.aim(s, map);
                }
                if going[1] {
                    going[1] = two.walk.aim(s, map);
                }
            }
            for (at, Lane { walk, found }) in
                lanes.iter_mut().enumerate().take(queries.len().saturating_sub(first))
            {
                walk.found(s, map, &mut found.keys);
                match &rerank {
                    Some(rerank) => rerank.choose(found),
                    None => keep(k, &mut found.keys),
                }
                of[at] = Some((first + at, walk.stats));
            }
        }
    }
}

/// The id of the vector that a node is.
fn id_of(graph: &Graph, ids: &Ids, key: u64) -> u64 {
    ids.get(graph.vectors()[key as u32 as usize] as usize)
}

/// Leaves out all but the `k` least.
fn keep(k: usize, keys: &mut Vec<u64>) {
    if k < keys.len() {
        keys.select_nth_unstable(k);
        keys.truncate(k);
    }
}

#[cfg(test)]
mod tests {
    use super::super::List;
    use super::super::rerank::{MARGIN, margin};
    use super::*;
    use crate::graph::{Form, GraphParams, WANTED};
    use crate::metric::Metric;

    fn built(rows: Vectors) -> Graph {
        let (metric, form, wanted) = (Metric::L2, Form::Coded, WANTED);
        let params = GraphParams { metric, degree: 32, form, wanted, seed: 1, threads: 1, monitor: None };
        Graph::build(rows, &params).unwrap()
    }

    /// 2,000 vectors of `dim` coordinates, anywhere in a cube.
    fn uniform(dim: usize, seed: u64) -> Vec<f32> {
        let mut random = crate::random::Random(seed);
        (0..2000 * dim).map(|_| random.unit() as f32).collect()
    }

    /// Walks for the first `count` of `rows`; for each the k nearest and what they cost.
    fn walked(
        graph: &Graph,
        (rows, count): (Vectors, usize),
        (k, ef): (usize, usize),
        margin: f64,
    ) -> Vec<(Vec<(f32, u64)>, Stats)> {
        let list = List { rows, ids: &Ids::Rows };
        let (metric, vectors, space) = (Metric::L2, Some(graph.vectors()), &graph.space);
        let rerank = Some(Rerank { metric, space, vectors, list, k, fixed: None, margin });
        let walks = Walks { graph, ids: &Ids::Rows, k, ef, rerank };
        let mut all = Vec::new();
        walks.run(Isa::active(), rows.rows(0..count), |query, best, stats| {
            assert_eq!(query, all.len());
            all.push((best.to_vec(), stats));
        });
        all
    }

    /// Small, but large enough for every step of the build and of a walk.
    #[test]
    fn a_small_graph_is_built_and_walked_and_each_vector_finds_itself() {
        const DIM: usize = 6;
        let values: Vec<f32> = (0..48 * DIM).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
        let rows = Vectors::new(&values, DIM).unwrap();
        let all = walked(&built(rows), (rows, 7), (3, 24), MARGIN);
        assert_eq!(all.len(), 7);
        for (query, (best, stats)) in all.iter().enumerate() {
            assert_eq!(best[0], (0.0, query as u64));
            assert!(best.len() >= 3 && stats.hops >= 3, "{stats:?}");
        }
    }

    /// What a walk with little in view leaves behind is looked at; who sees all of it leaves nothing.
    #[test]
    fn a_walk_that_ends_early_looks_at_what_waits_nearby() {
        let values = uniform(8, 7);
        let rows = Vectors::new(&values, 8).unwrap();
        let graph = built(rows);
        let looks = |ef| -> u64 {
            let all = walked(&graph, (rows, 50), (10, ef), margin(10, ef, 2000));
            all.iter().map(|(_, stats)| stats.refined).sum()
        };
        assert!(looks(10) >= 50, "{}", looks(10));
        assert!(looks(400) * 10 < looks(10), "{} and {}", looks(10), looks(400));
        assert_eq!(looks(2000), 0);
    }

    #[test]
    fn the_hardest_walk_ends_sooner_where_the_usual_share_is_known() {
        let values = uniform(24, 5);
        let rows = Vectors::new(&values, 24).unwrap();
        let mut graph = built(rows);
        let hops = |graph: &Graph| {
            let all = walked(graph, (rows, 200), (10, 30), MARGIN);
            all.iter().map(|(_, stats)| stats.hops).max().unwrap()
        };
        let known = hops(&graph);
        graph.share = 0.0;
        assert!(known < hops(&graph), "{known} and {}", hops(&graph));
    }

    #[test]
    fn the_smaller_the_margin_the_fewer_exact_distances() {
        let values = uniform(24, 9);
        let rows = Vectors::new(&values, 24).unwrap();
        let graph = built(rows);
        let ranked = |margin| -> u64 {
            let all = walked(&graph, (rows, 50), (10, 40), margin);
            all.iter().map(|(_, stats)| stats.reranked).sum()
        };
        let all = [-1.0, MARGIN, 3.0].map(ranked);
        assert!(all[0] < all[1] && all[1] < all[2], "{all:?}");
    }
}
