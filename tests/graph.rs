//! The graph is approximate in which vectors it finds, and exact in everything else.

use std::cell::RefCell;
use std::collections::HashSet;

use steep::{AddParams, BuildParams, Dtype, Error, Hits, Index, Metric, Monitor, SearchParams, Spec};

use crate::common::data::{Rng, Set, clustered, noise};
use crate::common::oracle::{Truth, distance};

pub const N: usize = 3000;
pub const DIM: usize = 40;
pub const QUERIES: usize = 150;
pub const DTYPES: [Dtype; 5] = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8];

pub fn build(base: &Set, metric: Metric) -> Index {
    build_as("graph", base, metric)
}

pub fn build_as(spec: &str, base: &Set, metric: Metric) -> Index {
    let spec = spec.parse().unwrap();
    Index::build(base.view(), &BuildParams { metric, spec, ..BuildParams::default() }).unwrap()
}

/// Neighbours' codes in the rows, and nodes' own codes alone; distances are exact in both.
pub const FORMS: [&str; 2] = ["graph", "graph,sq8,rerank"];

pub fn with_ef(ef: usize) -> SearchParams<'static> {
    SearchParams { ef_search: Some(ef), ..SearchParams::default() }
}

pub fn search(index: &Index, queries: &Set, k: usize, ef: usize) -> Hits {
    index.search(queries.view(), k, &with_ef(ef)).unwrap()
}

/// `n` base vectors and some queries of the same clusters, of a type.
pub fn data(seed: u64, dtype: Dtype, n: usize) -> (Set, Set) {
    let values = clustered(&mut Rng(seed), n + QUERIES, DIM);
    let (base, queries) = values.split_at(n * DIM);
    (Set::suited(dtype, DIM, base).without_zeros(), Set::suited(dtype, DIM, queries).without_zeros())
}

/// The part of the true `k` nearest that was found; vectors as near as the last of these count. Whatever was found has
/// its exact distance, comes nearest first, and comes once.
pub fn recall(hits: &Hits, metric: Metric, base: &Set, queries: &Set) -> f64 {
    let k = hits.k.min(base.len());
    let truth = Truth::new(metric, base, None, queries);
    let mut found = 0;
    for (query, (ids, distances)) in hits.ids.chunks(hits.k).zip(hits.distances.chunks(hits.k)).enumerate() {
        let (q, farthest) = (queries.row(query), truth.distance(query, k - 1));
        let mut seen = HashSet::new();
        for (&id, &got) in ids.iter().zip(distances).filter(|(id, _)| **id != -1) {
            let exact = distance(metric, q, base.row(id as usize));
            assert_eq!(got.to_bits(), exact.to_bits(), "{metric} {}: query {query}, id {id}", base.dtype);
            assert!(seen.insert(id), "query {query} has id {id} twice");
            found += usize::from(got <= farthest);
        }
        let pairs: Vec<_> = ids.iter().zip(distances).map(|(&id, &d)| (d, id as u64)).collect();
        assert!(pairs.is_sorted(), "query {query}: {pairs:?}");
    }
    found as f64 / (k * queries.len()) as f64
}

/// Fails where a query has fewer than `k` neighbours.
pub fn assert_full(hits: &Hits, case: &str) {
    assert!(!hits.ids.contains(&-1), "{case}: fewer than {} neighbours", hits.k);
}

#[test]
fn every_metric_and_type_reaches_its_recall() {
    for dtype in DTYPES {
        let (base, queries) = data(61, dtype, N);
        for (metric, spec) in Metric::PRODUCTS.into_iter().flat_map(|metric| FORMS.map(|spec| (metric, spec)))
        {
            let index = build_as(spec, &base, metric);
            let [low, high] =
                [20, 400].map(|ef| recall(&search(&index, &queries, 10, ef), metric, &base, &queries));
            assert!(
                low >= 0.85 && high >= 0.997,
                "{spec} {metric} {dtype}: {low:.4} at ef 20, {high:.4} at ef 400"
            );
        }
    }
}

#[test]
fn inner_products_of_very_unequal_lengths_are_found_for_any_queries() {
    let mut rng = Rng(62);
    let mut values = clustered(&mut rng, N, DIM);
    for row in values.chunks_exact_mut(DIM) {
        let factor = (0.7 * rng.normal()).exp() / 4.0;
        row.iter_mut().for_each(|v| *v = (*v * factor * 1024.0).round() / 1024.0);
    }
    let base = Set::new(Dtype::F32, DIM, values);
    let index = build(&base, Metric::InnerProduct);
    let own = Set::new(Dtype::F32, DIM, clustered(&mut rng, QUERIES, DIM)); // other clusters, of the same kind
    let foreign = noise(&mut rng, QUERIES, DIM);
    // Of no cluster at all, and a thousand times longer or shorter than others: only the direction counts.
    let foreign =
        [1.0, 0.03125, 32.0].map(|factor| Set::new(Dtype::F32, DIM, foreign.iter().map(|v| v * factor)));
    let recalls = |queries: &Set| {
        [40, 400, N].map(|ef| recall(&search(&index, queries, 10, ef), Metric::InnerProduct, &base, queries))
    };
    let [low, high, all] = recalls(&own);
    assert!(low >= 0.93 && high >= 0.99 && all >= 0.999, "other clusters: {low:.4}, {high:.4}, {all:.4}");
    let of_foreign = foreign.each_ref().map(recalls);
    let [low, high, all] = of_foreign[0];
    assert!(low >= 0.93 && high >= 0.99 && all >= 0.999, "no cluster: {low:.4}, {high:.4}, {all:.4}");
    assert!(of_foreign.iter().all(|recalls| *recalls == of_foreign[0]), "{of_foreign:?}");
}

#[test]
fn queries_far_from_all_vectors_are_answered() {
    let (base, queries) = data(63, Dtype::F32, N);
    let index = build(&base, Metric::L2);
    for factor in [1e2, 1e4, 1e8, 1e25] {
        let far = Set::new(Dtype::F32, DIM, queries.values.iter().map(|v| v * factor));
        let hits = search(&index, &far, 10, 200);
        assert_full(&hits, &format!("queries × {factor:e}"));
        let recall = recall(&hits, Metric::L2, &base, &far);
        assert!(recall >= 0.98, "queries × {factor:e}: {recall:.4}");
    }
}

#[test]
fn a_wide_gap_around_a_cluster_ends_no_walk_early() {
    // A query's own cluster has 20 vectors; whatever else there is lies a thousand times as far.
    let mut rng = Rng(86);
    let mut value = |size: f64| (rng.normal() * size * 64.0).round() / 64.0;
    let centres: Vec<f64> = (0..30 * DIM).map(|_| value(1024.0)).collect();
    let mut around = |n: usize| {
        let values = (0..n * DIM).map(|i| centres[i / DIM % 30 * DIM + i % DIM] + value(1.0));
        Set::new(Dtype::F32, DIM, values)
    };
    let (base, queries) = (around(600), around(60));
    for stats in search(&build(&base, Metric::L2), &queries, 10, 400).stats {
        assert!(stats.hops >= 100, "{stats:?}");
    }
}

#[test]
fn tight_clusters_are_told_apart_however_far_from_each_other() {
    const CLUSTERS: usize = 30;
    const EACH: usize = 100;
    for apart in [4.0, 32.0, 1024.0] {
        let mut rng = Rng(85);
        // Multiples of 1/64: the oracle's sums are exact.
        let mut value = |size: f64| (rng.normal() * size * 64.0).round() / 64.0;
        let centres: Vec<f64> = (0..CLUSTERS * DIM).map(|_| value(apart)).collect();
        let mut around = |n: usize| {
            let values = (0..n * DIM).map(|i| centres[i / DIM % CLUSTERS * DIM + i % DIM] + value(0.16));
            Set::new(Dtype::F32, DIM, values)
        };
        let (base, queries) = (around(CLUSTERS * EACH), around(QUERIES));
        for metric in [Metric::L2, Metric::InnerProduct] {
            let hits = search(&build(&base, metric), &queries, 10, 2 * EACH);
            let recall = recall(&hits, metric, &base, &queries);
            assert!(recall >= 0.99, "{metric}, {apart} apart: {recall:.4}");
        }
    }
}

#[test]
fn coordinates_of_any_size_are_coded_alike() {
    let (base, queries) = data(63, Dtype::F32, N);
    for factor in [2f64.powi(-40), 2f64.powi(40)] {
        let [base, queries] =
            [&base, &queries].map(|set| Set::new(Dtype::F32, DIM, set.values.iter().map(|v| v * factor)));
        for metric in Metric::PRODUCTS {
            let hits = search(&build(&base, metric), &queries, 10, 200);
            let recall = recall(&hits, metric, &base, &queries);
            assert!(recall >= 0.995, "{metric} × {factor:e}: {recall:.4}");
        }
    }
}

#[test]
fn every_vector_finds_itself() {
    for metric in [Metric::L2, Metric::Cosine] {
        let (base, _) = data(64, Dtype::F32, 5000);
        let hits = search(&build(&base, metric), &base, 1, 200);
        // Another vector may be exactly as near.
        let found = (0..base.len())
            .filter(|&row| {
                hits.ids[row] == row as i64
                    || hits.distances[row] <= distance(metric, base.row(row), base.row(row))
            })
            .count();
        assert!(found as f64 >= 0.9999 * base.len() as f64, "{metric}: {found} of {}", base.len());
    }
}

#[test]
fn duplicates_cut_nothing_off() {
    let (base, queries) = data(66, Dtype::F32, N);
    let mut values = base.values.clone();
    let mut rng = Rng(66);
    // One row in twenty is another's copy, and one is there a hundred times.
    for copy in 0..N / 20 {
        let (from, to) = (rng.below(N) * DIM, (copy * 20) * DIM);
        values.copy_within(from..from + DIM, to);
    }
    for copy in 0..100 {
        values.copy_within(7 * DIM..8 * DIM, (copy * 29 + 1) * DIM);
    }
    let base = Set::new(Dtype::F32, DIM, values);
    for (metric, spec) in Metric::PRODUCTS.into_iter().flat_map(|metric| FORMS.map(|spec| (metric, spec))) {
        let index = build_as(spec, &base, metric);
        let recall = recall(&search(&index, &queries, 10, 200), metric, &base, &queries);
        assert!(recall >= 0.995, "{spec} {metric}: {recall:.4}");
    }
    let copies = base.rows(7..8);
    let hits = search(&build(&base, Metric::L2), &copies, 60, 200);
    assert!(hits.distances.iter().all(|d| *d == 0.0), "the copies of one vector: {:?}", hits.distances);
}

#[test]
fn clusters_far_apart_are_all_reached() {
    for separation in [30.0, 1000.0] {
        let mut rng = Rng(67);
        let balls: Vec<f64> = (0..30 * DIM).map(|_| (separation * rng.normal()).round()).collect();
        let values = (0..N + QUERIES).flat_map(|row| balls[row % 30 * DIM..][..DIM].iter()).copied();
        let values: Vec<f64> = values.map(|v| v + (256.0 * rng.signed()).round() / 256.0).collect();
        let (base, queries) = values.split_at(N * DIM);
        let [base, queries] = [base, queries].map(|v| Set::new(Dtype::F32, DIM, v.iter().copied()));
        for metric in [Metric::L2, Metric::Cosine] {
            let index = build(&base, metric);
            let recall = |ef| recall(&search(&index, &queries, 10, ef), metric, &base, &queries);
            assert_eq!(recall(N), 1.0, "{metric}, {separation} apart: some are never reached");
            if separation == 30.0 {
                assert!(recall(200) >= 0.995, "{metric}: {:.4}", recall(200));
            }
        }
    }
}

#[test]
fn the_smallest_sets_are_searched_whole() {
    for metric in Metric::PRODUCTS {
        let (base, queries) = data(68, Dtype::F32, 70);
        for n in 1..=70 {
            let few = base.rows(0..n);
            let index = build_as(FORMS[n % 2], &few, metric);
            let queries = queries.rows(0..3);
            for k in [1, 10, n, 90] {
                let params = SearchParams { rerank: Some(n), ..with_ef(n) };
                let hits = index.search(queries.view(), k, &params).unwrap();
                let recall = recall(&hits, metric, &few, &queries);
                assert_eq!(recall, 1.0, "{metric}, {k} of {n}");
                for row in 0..3 {
                    let rest = row * k + n.min(k)..(row + 1) * k;
                    assert!(hits.ids[rest.clone()].iter().all(|id| *id == -1), "{metric}, {k} of {n}");
                    assert!(hits.distances[rest].iter().all(|d| *d == f32::INFINITY), "{metric}, {k} of {n}");
                }
            }
        }
    }
}

#[test]
fn an_empty_graph_answers_and_grows() {
    let (base, queries) = data(68, Dtype::F32, 100);
    let mut index = Index::new(DIM, Metric::L2, Dtype::F32, Spec::graph(32)).unwrap();
    let hits = search(&index, &queries, 3, 10);
    assert!(hits.ids.iter().all(|id| *id == -1) && hits.distances.iter().all(|d| *d == f32::INFINITY));
    index.add(base.view().rows(0..0), &AddParams::default()).unwrap();
    assert!(search(&index, &queries, 3, 10).ids.iter().all(|id| *id == -1));
    index.add(base.view(), &AddParams::default()).unwrap();
    assert_eq!(recall(&search(&index, &queries, 3, 100), Metric::L2, &base, &queries), 1.0);
}

#[test]
fn vectors_all_alike_are_all_found() {
    for n in [33, 2500] {
        for value in [0.0, 3.0] {
            let base = Set::new(Dtype::F32, DIM, vec![value; n * DIM]);
            let queries =
                Set::new(Dtype::F32, DIM, [vec![value; DIM], vec![-1.5; DIM], vec![0.0; DIM]].concat());
            for metric in Metric::PRODUCTS {
                if metric == Metric::Cosine && value == 0.0 {
                    continue;
                }
                let queries = if metric == Metric::Cosine { queries.rows(0..2) } else { queries.clone() };
                let hits = search(&build(&base, metric), &queries, 10, 64);
                assert_full(&hits, &format!("{n} × {value}, {metric}"));
                assert_eq!(recall(&hits, metric, &base, &queries), 1.0);
            }
        }
    }
}

#[test]
fn zero_vectors_are_vectors_like_others() {
    let (base, queries) = data(70, Dtype::F32, N);
    let mut values = base.values.clone();
    values.chunks_exact_mut(DIM).step_by(10).for_each(|row| row.fill(0.0));
    let base = Set::new(Dtype::F32, DIM, values);
    let zero = Set::new(Dtype::F32, DIM, vec![0.0; DIM]);
    for metric in [Metric::L2, Metric::InnerProduct] {
        let index = build(&base, metric);
        let recall = recall(&search(&index, &queries, 10, 200), metric, &base, &queries);
        assert!(recall >= 0.995, "{metric}: {recall:.4}");
        let hits = search(&index, &zero, 10, 200);
        assert_eq!(hits.distances, [0.0; 10], "{metric}");
    }
    let refused = Index::build(
        base.view(),
        &BuildParams { metric: Metric::Cosine, spec: Spec::graph(32), ..BuildParams::default() },
    );
    assert!(matches!(refused, Err(Error::ZeroVector { row: 0, .. })));
}

#[test]
fn threads_and_batches_change_no_bit_of_an_answer() {
    for (metric, spec) in Metric::PRODUCTS.into_iter().zip(["graph", "graph,sq8", "graph,sq8,rerank"]) {
        let (base, queries) = data(71, Dtype::F32, N);
        let index = build_as(spec, &base, metric);
        let run = |rows: std::ops::Range<usize>, threads| {
            let params = SearchParams { threads, ..with_ef(50) };
            index.search(queries.view().rows(rows), 10, &params).unwrap()
        };
        let whole = run(0..QUERIES, Some(1));
        for threads in [Some(2), Some(3), Some(1000), None] {
            assert!(run(0..QUERIES, threads) == whole, "{metric}, {threads:?} threads");
        }
        for size in [1, 3, 64, 65] {
            let mut joined = Hits { k: 10, ids: Vec::new(), distances: Vec::new(), stats: Vec::new() };
            for start in (0..QUERIES).step_by(size) {
                let part = run(start..(start + size).min(QUERIES), None);
                joined.ids.extend(part.ids);
                joined.distances.extend(part.distances);
                joined.stats.extend(part.stats);
            }
            assert!(joined == whole, "{metric}, batches of {size}");
        }
    }
}

#[test]
fn a_graph_built_again_on_any_threads_answers_alike() {
    let (base, queries) = data(72, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        let answers = [1, 2, 2].map(|threads| {
            let spec = if metric == Metric::L2 { "graph64,sq8" } else { "graph64" };
            let (spec, threads) = (spec.parse().unwrap(), Some(threads));
            let params = BuildParams { metric, spec, threads, seed: 3, ..BuildParams::default() };
            search(&Index::build(base.view(), &params).unwrap(), &queries, 10, 30)
        });
        assert!(answers[0] == answers[1] && answers[1] == answers[2], "{metric}");
    }
}

#[test]
fn callers_at_the_same_time_get_their_own_answers() {
    let (base, queries) = data(73, Dtype::F32, N);
    let index = build(&base, Metric::L2);
    let wholes = [20, 90].map(|ef| search(&index, &queries, 10, ef));
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (index, queries, wholes) = (&index, &queries, &wholes);
            scope.spawn(move || {
                for round in 0..12 {
                    // Different sizes and widths, so that what a thread keeps from call to call is always another's.
                    let rows = 10 * caller..10 * caller + 1 + 6 * round;
                    let (ef, whole) = [(20, &wholes[0]), (90, &wholes[1])][(caller + round) % 2];
                    let params = SearchParams { threads: Some(1 + caller % 3), ..with_ef(ef) };
                    let hits = index.search(queries.view().rows(rows.clone()), 10, &params).unwrap();
                    assert_eq!(hits.ids, whole.ids[10 * rows.start..10 * rows.end]);
                    assert_eq!(hits.stats, whole.stats[rows]);
                }
            });
        }
    });
}

#[test]
fn what_a_search_costs_is_told_for_each_query() {
    let (base, queries) = data(74, Dtype::F32, N);
    let index = build(&base, Metric::L2);
    let total = |hits: &Hits| hits.stats.iter().map(|stats| stats.hops).sum::<u64>();
    let (narrow, wide) = (search(&index, &queries, 10, 20), search(&index, &queries, 10, 200));
    for hits in [&narrow, &wide] {
        assert_eq!(hits.stats.len(), QUERIES);
        assert!(hits.stats.iter().all(|s| s.hops > 0 && s.estimates >= 32 * s.hops && s.reranked >= 10));
    }
    assert!(total(&wide) > 2 * total(&narrow));
    let params = SearchParams { rerank: Some(77), ..with_ef(200) };
    let hits = index.search(queries.view(), 10, &params).unwrap();
    assert!(hits.stats.iter().all(|stats| stats.reranked == 77));
    let exact = Index::build(base.view(), &BuildParams::default()).unwrap();
    assert!(exact.search(queries.view(), 10, &SearchParams::default()).unwrap().stats.is_empty());
}

#[test]
fn knobs_that_an_index_has_not_are_refused_by_name() {
    let (base, queries) = data(75, Dtype::F32, 50);
    for (spec, known) in
        [(Spec::FLAT, false), (Spec::FLAT_RAW, false), (Spec::AUTO, true), (Spec::graph(32), true)]
    {
        let index = Index::build(base.view(), &BuildParams { spec, ..BuildParams::default() }).unwrap();
        let ask = |ef_search, rerank| {
            let params = SearchParams { ef_search, rerank, ..SearchParams::default() };
            index.search(queries.view(), 3, &params).map(drop).map_err(|error| error.to_string())
        };
        for (name, ef, rerank, fits) in [
            ("ef_search", Some(70), None, "\"graph\""),
            ("rerank", None, Some(70), "\"graph\", or with \",rerank\" where that stores vectors"),
        ] {
            let message = format!(
                "{name} = 70: an index of spec \"{spec}\" has no such knob: leave it out, or build with spec {fits}"
            );
            assert_eq!(ask(ef, rerank), if known { Ok(()) } else { Err(message) });
        }
        if known {
            assert_eq!(ask(Some(0), None), Err("ef_search = 0: expected at least 1".to_owned()));
            assert_eq!(ask(None, Some(0)), Err("rerank = 0: expected at least 1".to_owned()));
        }
    }
}

/// Says stop at the `stop_at`-th report, and remembers the stages.
pub struct Stopper {
    pub stop_at: usize,
    pub stages: RefCell<Vec<&'static str>>,
}

impl Monitor for Stopper {
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool {
        assert!(done <= total, "{stage}: {done} of {total}");
        self.stages.borrow_mut().push(stage);
        self.stages.borrow().len() < self.stop_at
    }
}

#[test]
fn a_build_that_is_stopped_at_any_stage_leaves_the_index_as_it_was() {
    let (base, queries) = data(76, Dtype::F32, N);
    let first = base.rows(0..N / 2);
    let index = build(&first, Metric::L2);
    let before = search(&index, &queries, 10, 50);
    let rest = base.view().rows(N / 2..N);
    let all = Stopper { stop_at: usize::MAX, stages: RefCell::default() };
    let mut whole = index.clone();
    whole.add(rest, &AddParams { threads: Some(1), monitor: Some(&all), ids: None }).unwrap();
    let expected = search(&whole, &queries, 10, 50);
    let stages = all.stages.into_inner();
    // The first and the last report of every stage.
    let stops = (0..stages.len()).filter(|&at| {
        at == 0 || stages[at] != stages[at - 1] || stages.get(at + 1).is_none_or(|next| *next != stages[at])
    });
    for at in stops {
        let monitor = Stopper { stop_at: at + 1, stages: RefCell::default() };
        let mut stopped = index.clone();
        let done = stopped.add(rest, &AddParams { threads: Some(1), monitor: Some(&monitor), ids: None });
        assert!(matches!(done, Err(Error::Interrupted)), "report {at}, stage {}", stages[at]);
        assert_eq!(stopped.len(), N / 2);
        assert!(search(&stopped, &queries, 10, 50) == before, "stage {}", stages[at]);
        stopped.add(rest, &AddParams::default()).unwrap();
        assert!(search(&stopped, &queries, 10, 50) == expected, "added again after {}", stages[at]);
    }
}

#[test]
fn a_search_that_is_stopped_returns_nothing() {
    let (base, queries) = data(77, Dtype::F32, 500);
    let index = build(&base, Metric::L2);
    for threads in [1, 2] {
        let monitor = Stopper { stop_at: 1, stages: RefCell::default() };
        let params = SearchParams { threads: Some(threads), monitor: Some(&monitor), ..with_ef(50) };
        let stopped = index.search(queries.view(), 10, &params);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{threads} threads");
    }
}

#[test]
fn a_tenth_added_later_costs_at_most_three_tenths_of_a_point_on_average() {
    let mut lost = Vec::new();
    for (metric, spec) in Metric::PRODUCTS.into_iter().flat_map(|metric| FORMS.map(|spec| (metric, spec))) {
        let (base, queries) = data(81, Dtype::F32, 6000);
        let fresh = build_as(spec, &base, metric);
        let mut grown = build_as(spec, &base.rows(0..5400), metric);
        for first in (5400..6000).step_by(150) {
            grown.add(base.rows(first..first + 150).view(), &AddParams::default()).unwrap();
        }
        assert_eq!(grown.len(), 6000);
        for ef in [20, 60, 200] {
            let [fresh, grown] = [&fresh, &grown]
                .map(|index| recall(&search(index, &queries, 10, ef), metric, &base, &queries));
            lost.push(fresh - grown);
        }
    }
    // One figure of so few queries is noise; their mean is less so.
    let mean = lost.iter().sum::<f64>() / lost.len() as f64;
    assert!(mean <= 0.003 && lost.iter().all(|lost| *lost < 0.02), "{lost:.4?}");
}

#[test]
fn vectors_of_any_size_are_found() {
    // The smallest are below f32's normal numbers, the largest near its end; the last lie far from the origin. Powers of two
    // keep the oracle's sums exact, but for the norms of vectors far away.
    let near = [Metric::L2, Metric::Cosine];
    for (power, shift, metrics) in
        [(-130, 0.0, &near[..]), (-66, 0.0, &near), (56, 0.0, &near), (-10, 1e3, &near[..1])]
    {
        let size = 2f64.powi(power);
        let (base, _) = data(84, Dtype::F32, 600);
        let values = base.rows(0..600);
        let scaled: Vec<f64> =
            (0..600).flat_map(|row| values.row(row).to_vec()).map(|v| v * size + shift).collect();
        let base = Set::new(Dtype::F32, DIM, scaled);
        for &metric in metrics {
            let hits = search(&build(&base, metric), &base.rows(0..100), 10, 300);
            assert_full(&hits, &format!("{metric}, {size} and {shift}"));
            let recall = recall(&hits, metric, &base, &base.rows(0..100));
            assert!(recall >= 0.99, "{metric}, {size} and {shift}: {recall:.4}");
        }
    }
}

#[test]
fn too_many_dimensions_for_a_graph_are_refused_by_name() {
    for dim in [4097, 20_000, 65_536] {
        let spec = Spec::graph(32);
        let error = Index::new(dim, Metric::L2, Dtype::F32, spec).unwrap_err().to_string();
        assert!(error.contains(&dim.to_string()) && error.contains("4,096"), "{error}");
    }
    Index::new(4096, Metric::L2, Dtype::F32, Spec::graph(32)).unwrap();
}

#[test]
fn what_was_added_is_found_and_an_add_that_is_stopped_leaves_no_trace() {
    struct Stop(std::sync::atomic::AtomicU64, u64);
    impl Monitor for Stop {
        fn report(&self, _: &'static str, _: u64, _: u64) -> bool {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < self.1
        }
    }
    for spec in FORMS {
        let (base, _) = data(82, Dtype::F32, 3000);
        let mut index = build_as(spec, &base.rows(0..2000), Metric::L2);
        let before = index.to_bytes().unwrap();
        for reports in [0, 1, 2, 3, 4, 5] {
            let monitor = Stop(std::sync::atomic::AtomicU64::new(0), reports);
            let params = AddParams { monitor: Some(&monitor), ..AddParams::default() };
            let done = index.add(base.rows(2000..3000).view(), &params);
            assert!(matches!(done, Err(Error::Interrupted)), "{reports}: {done:?}");
            assert!(index.to_bytes().unwrap() == before, "{reports}: something is left");
        }
        index.add(base.rows(2000..3000).view(), &AddParams::default()).unwrap();
        let added = base.rows(2000..3000);
        let hits = search(&index, &added, 1, 200);
        let found = (0..).zip(&hits.ids).filter(|(row, id)| **id == 2000 + row).count();
        assert!(found >= 999, "{spec}: {found} of 1000");
    }
}

#[test]
fn adding_gives_the_same_index_at_any_thread_count() {
    let (base, _) = data(83, Dtype::F32, 2600);
    let grown = |threads| {
        let mut index = build(&base.rows(0..2000), Metric::Cosine);
        let params = AddParams { threads: Some(threads), ..AddParams::default() };
        index.add(base.rows(2000..2600).view(), &params).unwrap();
        index.to_bytes().unwrap()
    };
    assert!(grown(1) == grown(2));
}
