//! Graphs of all kinds against the plain scan, and arrays that lie.

use proptest::prelude::*;

use super::*;
use crate::faiss::selector::Selector;
use crate::metric::Metric;
use crate::random::Random;
use crate::vectors::Vectors;

const DIM: usize = 6;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..n * DIM).map(|_| random.unit() as f32 - 0.5).collect()
}

fn vectors(values: &[f32]) -> Vectors<'_> {
    Vectors::new(values, DIM).unwrap()
}

fn adding<'a>(metric: Metric, all: &'a [f32], first: usize) -> Adding<'a> {
    let (points, x) = (Points::Rows(metric, vectors(all)), vectors(&all[first * DIM..]));
    Adding { points, x, levels: None, ef_construction: 40, keep_max_size_level0: false, prune_headroom: 0.2 }
}

fn inserted(metric: Metric, all: &[f32], parts: usize, threads: usize) -> Hnsw {
    let mut graph = Hnsw::new(6).unwrap();
    let n = all.len() / DIM;
    for part in 0..parts {
        let (first, end) = (n * part / parts, n * (part + 1) / parts);
        graph.insert(&adding(metric, &all[..end * DIM], first), Some(threads), None).unwrap();
    }
    graph
}

fn effort(ef: usize, selector: Option<&Selector>) -> Effort<'_> {
    Effort {
        ef,
        check_relative_distance: true,
        bounded_queue: true,
        selector,
        threads: Some(1),
        monitor: None,
    }
}

fn exact(metric: Metric, all: &[f32], query: &[f32]) -> Vec<(f32, i64)> {
    let distance = |x: &[f32]| -> f32 {
        let pairs = x.iter().zip(query);
        match metric {
            Metric::L2 => pairs.map(|(x, q)| (x - q) * (x - q)).sum(),
            _ => -pairs.map(|(x, q)| x * q).sum::<f32>(),
        }
    };
    let mut near: Vec<(f32, i64)> = all.chunks_exact(DIM).map(distance).zip(0..).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near
}

#[test]
fn a_walk_that_sees_all_finds_what_a_scan_finds() {
    let (all, queries) = (values(150, 1), values(4, 2));
    for metric in [Metric::L2, Metric::InnerProduct] {
        let graph = inserted(metric, &all, 3, 1);
        assert_eq!(Hnsw::from_parts(graph.parts().clone()).unwrap().parts(), graph.parts());
        let points = Points::Rows(metric, vectors(&all));
        let some = Selector::Range(20, 90);
        for selector in [None, Some(&some)] {
            let (hits, stats) = graph.search(points, vectors(&queries), 5, &effort(150, selector)).unwrap();
            assert_eq!(stats.n1, 4);
            for (query, ids) in queries.chunks_exact(DIM).zip(hits.ids.chunks_exact(5)) {
                let near = exact(metric, &all, query);
                let want =
                    near.iter().map(|near| near.1).filter(|&id| selector.is_none_or(|set| set.has(id)));
                assert_eq!(ids, want.take(5).collect::<Vec<_>>());
            }
        }
        let (hits, _) = graph.range_search(points, vectors(&queries), -0.01, &effort(150, None)).unwrap();
        for (at, query) in queries.chunks_exact(DIM).enumerate() {
            let want = exact(metric, &all, query).iter().filter(|near| near.0 < -0.01).count();
            assert_eq!(hits.offsets[at + 1] - hits.offsets[at], want);
        }
    }
}

#[test]
fn graphs_do_not_depend_on_threads_or_on_a_failed_call() {
    let all = values(300, 3);
    let once = inserted(Metric::L2, &all, 4, 1);
    assert_eq!(inserted(Metric::L2, &all, 4, 2).parts(), once.parts());
    struct Never;
    impl crate::threads::Monitor for Never {
        fn report(&self, _: &'static str, done: u64, _: u64) -> bool {
            done < 20
        }
    }
    let mut graph = inserted(Metric::L2, &all[..200 * DIM], 2, 1);
    let before = graph.parts().clone();
    let failed = graph.insert(&adding(Metric::L2, &all, 200), Some(1), Some(&Never));
    assert!(matches!(failed, Err(Error::Interrupted)));
    assert_eq!(graph.parts(), &before);
    graph.insert(&adding(Metric::L2, &all, 200), Some(1), None).unwrap();
    let mut again = inserted(Metric::L2, &all[..200 * DIM], 2, 1);
    again.insert(&adding(Metric::L2, &all, 200), Some(2), None).unwrap();
    assert_eq!(graph.parts(), again.parts());
}

#[test]
#[cfg_attr(miri, ignore = "the builder's own tests run there")]
fn built_at_once_every_node_is_found_from_the_entry() {
    let mut all = values(900, 4);
    // Copies and clusters are what graphs fall apart over.
    for node in 300..600 {
        let (from, to) = all.split_at_mut(node * DIM);
        to[..DIM].copy_from_slice(&from[(node % 7) * DIM..][..DIM]);
    }
    for x in all[600 * DIM..].iter_mut() {
        *x = *x * 0.01 + 9.0;
    }
    for m in [2, 5, 16, 24] {
        let mut graph = Hnsw::new(m).unwrap();
        graph.build(&adding(Metric::L2, &all, 0), Some(2), None).unwrap();
        assert!(Hnsw::from_parts(graph.parts().clone()).is_ok());
        let mut met = vec![false; 900];
        let mut open = vec![graph.entry().unwrap().0];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut met[at as usize], true) {
                open.extend(graph.links(at, 0));
            }
        }
        assert!(met.iter().all(|&met| met), "M = {m}");
    }
}

#[test]
fn levels_are_those_that_faiss_draws() {
    // The first levels of faiss.HNSW(4).
    let mut graph = Hnsw::new(4).unwrap();
    let drawn: Vec<i32> = (0..1000).map(|_| graph.draw_level()).collect();
    let on = |level| drawn.iter().filter(|&&at| at >= level).count();
    assert!((200..300).contains(&on(1)) && (40..90).contains(&on(2)), "{} {}", on(1), on(2));
    assert!(Hnsw::new(0).is_err() && Hnsw::new(usize::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn arrays_that_lie_are_refused_or_harmless(
        which in 0usize..6, at in any::<prop::sample::Index>(),
        value in prop_oneof![any::<i32>(), -2i32..60], cut in any::<bool>(),
    ) {
        let all = values(40, 5);
        let mut parts = inserted(Metric::L2, &all, 1, 1).parts().clone();
        macro_rules! change {
            ($array:expr, $value:expr) => {{
                let at = at.index($array.len());
                if cut { $array.truncate(at) } else { $array[at] = $value }
            }};
        }
        match which {
            0 => change!(parts.cum_nneighbor_per_level, value),
            1 => change!(parts.levels, value),
            2 => change!(parts.offsets, value as u64),
            3 => change!(parts.neighbors, value),
            4 => parts.entry_point = value,
            _ => parts.max_level = value,
        }
        if let Ok(mut graph) = Hnsw::from_parts(parts) {
            let points = Points::Rows(Metric::L2, vectors(&all));
            let queries = values(2, 6);
            graph.search(points, vectors(&queries), 3, &effort(10, None)).unwrap();
            let more = values(44, 5);
            let added = graph.insert(&adding(Metric::L2, &more, 40), Some(1), None);
            if added.is_ok() {
                prop_assert!(Hnsw::from_parts(graph.parts().clone()).is_ok());
            }
        }
    }
}
