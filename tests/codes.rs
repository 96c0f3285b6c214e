//! Codes, in lists and without: approximate in what is found, and in how far it is unless vectors are stored.

use std::cell::RefCell;

use steep::{AddParams, BuildParams, Dtype, Error, Hits, Index, Metric, SearchParams};

use crate::common::data::{Rng, Set, clustered, noise};
use crate::common::oracle::{Truth, distance, exact};
use crate::graph::{DIM, DTYPES, Stopper, data, recall};

const N: usize = 3000;

pub fn build(base: &Set, metric: Metric, spec: &str) -> Index {
    let spec = spec.parse().unwrap();
    Index::build(base.view(), &BuildParams { metric, spec, ..BuildParams::default() }).unwrap()
}

fn with_nprobe(nprobe: usize) -> SearchParams<'static> {
    SearchParams { nprobe: Some(nprobe), ..SearchParams::default() }
}

fn search(index: &Index, queries: &Set, k: usize, params: &SearchParams) -> Hits {
    index.search(queries.view(), k, params).unwrap()
}

/// The part of the true `k` nearest that was found, whatever their distances are said to be.
pub fn found(hits: &Hits, metric: Metric, base: &Set, queries: &Set) -> f64 {
    let truth = Truth::new(metric, base, None, queries);
    let found = hits.ids.chunks(hits.k).enumerate().map(|(query, ids)| {
        let farthest = truth.distance(query, hits.k - 1);
        let near = |id: &&i64| distance(metric, queries.row(query), base.row(**id as usize)) <= farthest;
        ids.iter().filter(|id| **id != -1).filter(near).count()
    });
    found.sum::<usize>() as f64 / hits.ids.len() as f64
}

#[test]
fn every_metric_and_type_reaches_its_recall_where_vectors_are_stored() {
    for dtype in DTYPES {
        let (base, queries) = data(1, dtype, N);
        for metric in Metric::PRODUCTS {
            for (spec, floor) in [
                ("ivf,rabitq4,rerank", 0.95),
                ("rabitq1,rerank", 0.95),
                ("pq16x4,rerank", 0.95),
                ("ivf,sq4,rerank", 0.95),
                ("lvq4,rerank", 0.95),
                ("ivf,pq16x8,rerank", 0.95),
                ("ivfx2,rabitq2,rerank", 0.95),
            ] {
                let index = build(&base, metric, spec);
                let hits = search(&index, &queries, 10, &SearchParams::default());
                let recall = recall(&hits, metric, &base, &queries);
                assert!(recall >= floor, "{spec} {metric} {dtype}: {recall}");
            }
        }
    }
}

#[test]
fn more_bits_find_more_without_any_vector_stored() {
    let (base, queries) = data(2, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        let mut last = 0.0;
        for (bits, floor) in
            [(1, 0.35), (2, 0.6), (3, 0.75), (4, 0.85), (5, 0.9), (6, 0.94), (7, 0.96), (8, 0.97)]
        {
            let index = build(&base, metric, &format!("rabitq{bits}"));
            assert!(index.vectors().is_empty() && index.len() == N);
            let recall =
                found(&search(&index, &queries, 10, &SearchParams::default()), metric, &base, &queries);
            assert!(recall >= floor && recall >= last - 0.02, "{metric}, {bits} bits: {recall} after {last}");
            last = recall;
        }
    }
}

#[test]
fn nibbles_find_more_the_more_there_are() {
    let (base, queries) = data(3, Dtype::F32, N);
    let mut last = 0.0;
    for (nibbles, floor) in [(4, 0.1), (10, 0.35), (20, 0.6), (40, 0.85)] {
        let index = build(&base, Metric::L2, &format!("pq{nibbles}x4"));
        let hits = search(&index, &queries, 10, &SearchParams::default());
        let recall = found(&hits, Metric::L2, &base, &queries);
        assert!(recall >= floor && recall > last, "{nibbles} nibbles: {recall} after {last}");
        last = recall;
    }
}

#[test]
fn codes_of_every_kind_reach_their_recall_without_the_vectors_or_with_rounded_ones() {
    let (base, queries) = data(3, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        for (spec, floor) in [
            ("sq4", 0.75),
            ("sq6", 0.92),
            ("sq8", 0.97),
            ("lvq4", 0.8),
            ("lvq8", 0.97),
            ("f16", 0.97),
            ("bf16", 0.9),
            ("rabitq1,rerank-i8", 0.97),
            ("pq20x4,rerank-i8", 0.95),
            ("ivf16,pq10x4,rerank-i8", 0.9),
        ] {
            let index = build(&base, metric, spec);
            let params = if spec.starts_with("ivf") { with_nprobe(16) } else { SearchParams::default() };
            let recall = found(&search(&index, &queries, 10, &params), metric, &base, &queries);
            assert!(recall >= floor, "{spec} {metric}: {recall}");
        }
    }
}

#[test]
fn bytes_find_more_than_as_many_nibbles_of_the_same_size() {
    let (base, queries) = data(3, Dtype::F32, N);
    for parts in [4, 8, 16] {
        let [nibbles, bytes] = [(2 * parts, 4), (parts, 8)].map(|(parts, bits)| {
            let index = build(&base, Metric::L2, &format!("pq{parts}x{bits}"));
            let hits = search(&index, &queries, 10, &SearchParams::default());
            found(&hits, Metric::L2, &base, &queries)
        });
        assert!(bytes > nibbles, "{parts} bytes: {bytes}, nibbles: {nibbles}");
    }
}

#[test]
fn a_vector_in_two_lists_is_found_once_and_in_fewer_lists() {
    let values = noise(&mut Rng(3), N + 100, 12);
    let [base, queries] =
        [&values[..N * 12], &values[N * 12..]].map(|values| Set::suited(Dtype::F32, 12, values));
    for metric in Metric::PRODUCTS {
        let [once, twice] = ["ivf64,rabitq8", "ivf64x2,rabitq8"].map(|spec| build(&base, metric, spec));
        for nprobe in [2, 4, 64] {
            let [few, more] = [&once, &twice].map(|index| search(index, &queries, 10, &with_nprobe(nprobe)));
            for ids in more.ids.chunks(10) {
                let mut ids = ids.to_vec();
                ids.sort_unstable();
                assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
            }
            let [few, more] = [few, more].map(|hits| found(&hits, metric, &base, &queries));
            assert!(more >= few - 0.01, "{metric} {nprobe}: {more}, in one list {few}");
            assert!(nprobe > 2 || more > few + 0.02, "{metric} {nprobe}: {more}, in one list {few}");
        }
        // All of them, once each, within any radius.
        let params = SearchParams { nprobe: Some(64), ..SearchParams::default() };
        let all = twice.range_search(queries.view(), f32::MAX, &params).unwrap();
        assert_eq!(all.ids.len(), N * queries.len());
    }
    // Of one list there is no second.
    let few = build(&base.rows(0..7), Metric::L2, "ivf64x2,rabitq8");
    assert_eq!(
        search(&few, &queries, 7, &SearchParams::default()).ids.iter().filter(|id| **id >= 0).count(),
        7 * queries.len()
    );
}

#[test]
fn distances_that_codes_tell_are_near_the_true_ones_and_right_in_the_mean() {
    let (base, queries) = data(4, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        for (spec, most) in [
            ("rabitq8", 0.01),
            ("ivf16,rabitq4", 0.12),
            ("rabitq2", 0.5),
            ("pq40x4", 0.2),
            ("sq8", 0.02),
            ("lvq8", 0.01),
            ("pq20x8", 0.2),
            ("pq10x4,rerank-i8", 0.01),
        ] {
            let index = build(&base, metric, spec);
            let params = if spec.starts_with("ivf") { with_nprobe(16) } else { SearchParams::default() };
            let hits = search(&index, &queries, N, &params);
            let (mut errors, mut squares, mut spread) = (0.0, 0.0, 0.0);
            for (query, (ids, distances)) in hits.ids.chunks(N).zip(hits.distances.chunks(N)).enumerate() {
                assert!(distances.is_sorted(), "{spec} {metric}");
                let truths: Vec<f64> = ids
                    .iter()
                    .map(|&id| f64::from(distance(metric, queries.row(query), base.row(id as usize))))
                    .collect();
                let mean = truths.iter().sum::<f64>() / N as f64;
                for (truth, &told) in truths.iter().zip(distances) {
                    errors += f64::from(told) - truth;
                    squares += (f64::from(told) - truth).powi(2);
                    spread += (truth - mean).powi(2);
                }
            }
            let deviation = (squares / spread).sqrt();
            let bias = errors.abs() / (spread * (N * queries.len()) as f64).sqrt();
            assert!(deviation < most && bias < most / 2.0, "{spec} {metric}: {deviation}, bias {bias}");
        }
    }
}

#[test]
fn with_every_list_and_every_vector_ranked_the_answer_is_exact() {
    for (dtype, metric) in
        [(Dtype::F32, Metric::Cosine), (Dtype::U8, Metric::L2), (Dtype::I8, Metric::InnerProduct)]
    {
        let (base, queries) = data(5, dtype, N);
        let truth = Truth::new(metric, &base, None, &queries).nearest(queries.len(), 10);
        for spec in ["ivf64,rabitq2,rerank", "rabitq1,rerank", "ivf,pq10x4,rerank", "ivf64x2,rabitq1,rerank"]
        {
            let index = build(&base, metric, spec);
            let nprobe = spec.starts_with("ivf").then_some(N);
            let params = SearchParams { rerank: Some(N), nprobe, ..SearchParams::default() };
            let hits = search(&index, &queries, 10, &params);
            assert_eq!(
                (hits.ids, hits.distances),
                (truth.ids.clone(), truth.distances.clone()),
                "{spec} {metric}"
            );
        }
    }
}

#[test]
fn vectors_stored_in_half_the_bytes_rank_nearly_as_well() {
    let (base, queries) = data(6, Dtype::F32, N);
    for (spec, floor) in
        [("ivf,rabitq4,rerank-f16", 0.97), ("ivf,rabitq4,rerank-bf16", 0.9), ("rabitq4,rerank-f32", 0.97)]
    {
        let index = build(&base, Metric::L2, spec);
        let hits = search(&index, &queries, 10, &SearchParams::default());
        let recall = found(&hits, Metric::L2, &base, &queries);
        assert!(recall >= floor, "{spec}: {recall}");
        let vectors = index.bytes().iter().find(|part| part.0 == "vectors").unwrap().1;
        assert_eq!(vectors as usize, N * DIM * if spec.ends_with("rerank-f32") { 4 } else { 2 });
    }
}

#[test]
fn a_value_that_the_stored_type_cannot_hold_is_refused_by_name() {
    let base = Set::new(Dtype::F32, 2, [1.0, 2.0, 1e5, 3.0]);
    let params = BuildParams { spec: "rabitq4,rerank-f16".parse().unwrap(), ..BuildParams::default() };
    let error = Index::build(base.view(), &params).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("100000") && error.contains("f16"), "{error}");
    // Rounded to zeros, a vector has no cosine.
    let base = Set::new(Dtype::F32, 2, [1.0, 2.0, 1e-30, 0.0]);
    let params = BuildParams { metric: Metric::Cosine, ..params };
    let error = Index::build(base.view(), &params).unwrap_err();
    assert!(matches!(error, Error::ZeroVector { what: "rounded vectors", .. }), "{error}");
}

#[test]
fn more_lists_find_more_until_nothing_is_missing() {
    let (base, queries) = data(7, Dtype::F32, N);
    let index = build(&base, Metric::L2, "ivf100,rabitq4,rerank");
    let mut last = 0.0;
    for nprobe in [1, 4, 16, 100] {
        let hits = search(&index, &queries, 10, &with_nprobe(nprobe));
        assert!(hits.stats.iter().all(|stats| stats.hops == nprobe as u64));
        let recall = found(&hits, Metric::L2, &base, &queries);
        assert!(recall >= last, "{nprobe} lists: {recall} after {last}");
        last = recall;
    }
    assert!(last > 0.99, "{last}");
}

#[test]
fn no_list_is_begun_after_as_many_codes_as_are_allowed() {
    let (base, queries) = data(8, Dtype::F32, N);
    let index = build(&base, Metric::L2, "ivf100,rabitq4");
    let all = search(&index, &queries, 10, &with_nprobe(100));
    assert!(all.stats.iter().all(|stats| stats.estimates == N as u64 && stats.refined <= stats.estimates));
    let params = SearchParams { max_codes: Some(200), ..with_nprobe(100) };
    for (few, all) in search(&index, &queries, 10, &params).stats.iter().zip(&all.stats) {
        assert!(few.estimates >= 200 && few.hops < all.hops, "{few:?}");
        // One list less, and there were fewer than that.
        assert!(few.estimates < 200 + 1000, "{few:?}");
    }
}

#[test]
fn a_query_finds_the_same_alone_and_among_others_on_any_threads() {
    let (base, queries) = data(9, Dtype::F32, N);
    for spec in ["ivf50,rabitq3,rerank", "ivf50,rabitq6", "ivf50,pq10x4", "rabitq2,rerank"] {
        let index = build(&base, Metric::L2, spec);
        let ask = |threads| SearchParams { threads: Some(threads), ..SearchParams::default() };
        let hits = search(&index, &queries, 10, &ask(1));
        assert_eq!(search(&index, &queries, 10, &ask(2)), hits, "{spec}");
        for query in 0..20 {
            let one = search(&index, &queries.rows(query..query + 1), 10, &ask(1));
            assert_eq!(one.ids, hits.ids[query * 10..][..10], "{spec}");
            assert_eq!(one.distances, hits.distances[query * 10..][..10], "{spec}");
            assert_eq!(one.stats[0], hits.stats[query], "{spec}");
        }
    }
}

#[test]
fn one_seed_gives_one_file_whatever_the_threads() {
    let (base, _) = data(10, Dtype::F32, N);
    for spec in ["ivf40,rabitq4,rerank", "ivf,pq12x4"] {
        let file = |seed, threads| {
            let spec = spec.parse().unwrap();
            let params = BuildParams { spec, seed, threads: Some(threads), ..BuildParams::default() };
            Index::build(base.view(), &params).unwrap().to_bytes().unwrap()
        };
        assert!(file(1, 1) == file(1, 2), "{spec}");
        assert!(file(1, 1) != file(2, 1), "{spec}");
    }
}

#[test]
fn what_is_added_later_is_found_as_well() {
    let (base, queries) = data(11, Dtype::F32, N);
    for (spec, floor) in [("ivf,rabitq4,rerank", 0.96), ("ivf30,rabitq6", 0.9), ("rabitq4", 0.85)] {
        let mut index = build(&base.rows(0..2000), Metric::L2, spec);
        // By ones, by a few, and many at a time.
        for range in [2000..2001, 2001..2002, 2002..2050, 2050..N] {
            index.add(base.rows(range).view(), &AddParams::default()).unwrap();
        }
        assert_eq!(index.len(), N);
        let recall =
            found(&search(&index, &queries, 10, &SearchParams::default()), Metric::L2, &base, &queries);
        assert!(recall >= floor, "{spec}: {recall}");
        for row in [0, 1999, 2000, 2001, 2030, N - 1] {
            let one = search(&index, &base.rows(row..row + 1), 1, &SearchParams::default());
            assert_eq!(one.ids, [row as i64], "{spec}");
        }
    }
}

#[test]
fn stored_vectors_that_become_many_more_get_new_lists() {
    let (base, queries) = data(12, Dtype::F32, N);
    let mut index = Index::new(DIM, Metric::L2, Dtype::F32, "ivf,rabitq4,rerank".parse().unwrap()).unwrap();
    assert_eq!(search(&index, &queries, 2, &SearchParams::default()).ids, vec![-1; 2 * queries.len()]);
    for range in [0..0, 0..1, 1..40, 40..N] {
        index.add(base.rows(range).view(), &AddParams::default()).unwrap();
    }
    let lists = index.info().into_iter().find(|fact| fact.0 == "lists").unwrap().1;
    assert!(lists.starts_with("219 of 14 vectors"), "{lists}");
    let recall = found(&search(&index, &queries, 10, &SearchParams::default()), Metric::L2, &base, &queries);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn fewer_lists_than_were_asked_for_are_told() {
    let (base, _) = data(19, Dtype::F32, 100);
    let told =
        |spec| build(&base, Metric::L2, spec).info().into_iter().find(|fact| fact.0 == "lists asked for");
    assert!(told("ivf4096,rabitq4").unwrap().1.starts_with("4096; fewer"));
    assert!(told("ivf12,rabitq4").is_none() && told("ivf,rabitq4").is_none());
}

#[test]
fn inner_products_of_very_unequal_lengths_are_told_right() {
    let mut rng = Rng(13);
    let lengths: Vec<f64> = (0..N).map(|_| (1.5 * rng.normal()).exp()).collect();
    let values = noise(&mut rng, N, DIM);
    let base = Set::new(Dtype::F32, DIM, values.iter().enumerate().map(|(at, v)| v * lengths[at / DIM]));
    let queries = Set::new(Dtype::F32, DIM, noise(&mut rng, 100, DIM));
    let metric = Metric::InnerProduct;
    let hits = search(&build(&base, metric, "ivf,rabitq4,rerank"), &queries, 10, &SearchParams::default());
    let near = recall(&hits, metric, &base, &queries);
    assert!(near >= 0.82, "{near}");
    // Vectors that are longer than all there were when the space was made.
    let mut order: Vec<usize> = (0..N).collect();
    order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
    let sorted = Set::new(Dtype::F32, DIM, order.iter().flat_map(|&row| base.row(row).to_vec()));
    let mut index = build(&sorted.rows(0..N - 100), metric, "rabitq8");
    index.add(sorted.rows(N - 100..N).view(), &AddParams::default()).unwrap();
    let near = found(&search(&index, &queries, 10, &SearchParams::default()), metric, &sorted, &queries);
    assert!(near >= 0.9, "{near}");
}

#[test]
fn inner_products_in_few_dimensions_are_told_as_well_as_in_many() {
    // The coordinate that ip adds differs least between such vectors, and queries are far from all of them along it.
    for dim in [20, 24, 32, 48, 96] {
        let mut rng = Rng(15);
        let centers = noise(&mut rng, 60, dim);
        let mut near = |n: usize| -> Vec<f64> {
            (0..n)
                .flat_map(|row| centers[row % 60 * dim..][..dim].to_vec())
                .map(|c| c + 0.6 * rng.normal())
                .collect()
        };
        let base = Set::new(Dtype::F32, dim, near(N));
        let queries = Set::new(Dtype::F32, dim, near(100));
        let metric = Metric::InnerProduct;
        let index = build(&base, metric, "ivf30,rabitq4,rerank");
        let near = recall(&search(&index, &queries, 10, &with_nprobe(30)), metric, &base, &queries);
        assert!(near >= 0.99, "{dim}: {near}");
    }
}

#[test]
fn all_within_a_radius_are_found_and_nothing_else() {
    let (base, queries) = data(14, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        let truth = Truth::new(metric, &base, None, &queries);
        let radius = truth.distance(0, 40);
        let want = truth.within(radius);
        for (spec, floor) in [("ivf,rabitq4,rerank", 0.97), ("rabitq1,rerank", 0.9), ("rabitq8", 0.97)] {
            let index = build(&base, metric, spec);
            let params = if spec.starts_with("ivf") { with_nprobe(100) } else { SearchParams::default() };
            let got = index.range_search(queries.view(), radius, &params).unwrap();
            let mut both = 0;
            for query in 0..queries.len() {
                let of =
                    |hits: &steep::RangeHits| hits.ids[hits.offsets[query]..hits.offsets[query + 1]].to_vec();
                let (got, want) = (of(&got), of(&want));
                let right = got.iter().filter(|id| want.contains(id)).count();
                assert!(
                    right == got.len() || spec == "rabitq8",
                    "{spec} {metric}: what is farther was found"
                );
                both += right;
            }
            let recall = both as f64 / want.ids.len() as f64;
            assert!(
                recall >= floor && got.ids.len() <= want.ids.len() * 21 / 20,
                "{spec} {metric}: {recall}"
            );
        }
    }
}

#[test]
fn the_strangest_sets_are_coded_without_harm() {
    let mut rng = Rng(15);
    let constant = vec![7.0; 500 * 5];
    let mut some = noise(&mut rng, 500, 5);
    some.iter_mut().skip(2).step_by(5).for_each(|v| *v = 3.0);
    let heavy: Vec<f64> = noise(&mut rng, 500, 5).iter().map(|v| (v * 3.0).exp() * v.signum()).collect();
    let huge: Vec<f64> = noise(&mut rng, 500, 5).iter().map(|v| v * 1e30).collect();
    let tiny: Vec<f64> = noise(&mut rng, 500, 5).iter().map(|v| v * 1e-30).collect();
    let twice: Vec<f64> = noise(&mut rng, 20, 5).repeat(25);
    let few = |n: usize| noise(&mut Rng(n as u64), n, 5);
    let sets = [constant, some, heavy, huge, tiny, twice, few(1), few(2), few(7), few(9), few(33)];
    for (at, values) in sets.into_iter().enumerate() {
        let base = Set::new(Dtype::F32, 5, values).without_zeros();
        for metric in Metric::PRODUCTS {
            for spec in [
                "ivf,rabitq4,rerank",
                "ivf4096,rabitq1",
                "rabitq8",
                "pq64x4",
                "ivf,pq3x4,rerank",
                "ivf2,rabitq3",
            ] {
                let index = build(&base, metric, spec);
                let k = base.len().min(12);
                let nprobe = spec.starts_with("ivf").then_some(4096);
                let hits = search(&index, &base, k, &SearchParams { nprobe, ..SearchParams::default() });
                let mut ids = hits.ids.clone();
                ids.sort_unstable();
                assert!(
                    ids[0] >= 0 && *ids.last().unwrap() < base.len() as i64,
                    "set {at} {spec} {metric}: {ids:?}"
                );
                assert!(hits.distances.iter().all(|d| !d.is_nan()), "set {at} {spec} {metric}");
            }
        }
    }
}

#[test]
fn a_build_or_an_add_that_is_stopped_at_any_stage_leaves_the_index_as_it_was() {
    let (base, queries) = data(16, Dtype::F32, N);
    for spec in ["ivf,rabitq4,rerank", "ivf,pq8x4"] {
        for first in [0, N / 2] {
            let mut index = Index::new(DIM, Metric::L2, Dtype::F32, spec.parse().unwrap()).unwrap();
            index.add(base.rows(0..first).view(), &AddParams::default()).unwrap();
            let before = (index.to_bytes().unwrap(), search(&index, &queries, 10, &SearchParams::default()));
            let rest = base.rows(first..N);
            let all = Stopper { stop_at: usize::MAX, stages: RefCell::default() };
            let mut whole = index.clone();
            whole.add(rest.view(), &AddParams { threads: Some(1), monitor: Some(&all), ids: None }).unwrap();
            let stages = all.stages.into_inner();
            let stops = (0..stages.len())
                .filter(|&at| at == 0 || stages[at] != stages[at - 1] || at + 1 == stages.len());
            for at in stops {
                let monitor = Stopper { stop_at: at + 1, stages: RefCell::default() };
                let done = index
                    .add(rest.view(), &AddParams { threads: Some(1), monitor: Some(&monitor), ids: None });
                assert!(matches!(done, Err(Error::Interrupted)), "{spec}, report {at}, stage {}", stages[at]);
                assert!(index.to_bytes().unwrap() == before.0, "{spec}, stage {}", stages[at]);
            }
            index.add(rest.view(), &AddParams::default()).unwrap();
            assert!(index.to_bytes().unwrap() == whole.to_bytes().unwrap(), "{spec}");
        }
    }
}

#[test]
fn knobs_that_codes_have_not_are_refused_by_name() {
    let (base, queries) = data(17, Dtype::F32, 50);
    let knob = |name: &str| match name {
        "ef_search" => SearchParams { ef_search: Some(9), ..SearchParams::default() },
        "nprobe" => SearchParams { nprobe: Some(9), ..SearchParams::default() },
        "max_codes" => SearchParams { max_codes: Some(9), ..SearchParams::default() },
        _ => SearchParams { rerank: Some(9), ..SearchParams::default() },
    };
    for (spec, has) in [
        ("ivf,rabitq4,rerank", &["nprobe", "max_codes", "rerank"][..]),
        ("ivf,rabitq4", &["nprobe", "max_codes"]),
        ("rabitq4,rerank", &["rerank"]),
        ("pq4x4", &[]),
        ("flat", &[]),
        ("graph", &["ef_search", "rerank"]),
    ] {
        let index = build(&base, Metric::L2, spec);
        for name in ["ef_search", "nprobe", "max_codes", "rerank"] {
            let done = index.search(queries.view(), 3, &knob(name));
            match done {
                Ok(_) => assert!(has.contains(&name), "{spec} took {name}"),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        !has.contains(&name) && said.starts_with(&format!("{name} = 9")),
                        "{spec}: {said}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_bytes_of_the_parts_are_about_those_of_the_file() {
    let base = Set::new(Dtype::F32, 64, clustered(&mut Rng(18), 20_000, 64));
    for spec in ["ivf256,rabitq4", "pq32x4", "ivf256,rabitq2,rerank-f16"] {
        let index = build(&base, Metric::L2, spec);
        let parts: u64 = index.bytes().iter().map(|part| part.1).sum();
        let file = index.to_bytes().unwrap().len() as u64;
        assert!(parts.abs_diff(file) < file / 50 + 40_000, "{spec}: {parts} in memory, {file} in the file");
    }
    // Half the data's bytes a coordinate and less: 4 bits of at most 64 directions, an id and factors.
    let index = build(&base, Metric::L2, "ivf256,rabitq4");
    let bytes: u64 = index.bytes().iter().map(|part| part.1).sum();
    assert!(bytes < 20_000 * (32 + 16 + 4), "{bytes}");
    let flat = Index::build(base.view(), &exact()).unwrap();
    assert!(flat.bytes().iter().map(|part| part.1).sum::<u64>() > 4 * bytes);
}
