//! A saved graph comes back as it was; a forged one is refused, or walked without harm.

use steep::{AddParams, BuildParams, Index, Metric, SearchParams, Vectors};

use crate::common::oracle::exact;
use crate::common::refused;
use crate::index_files::{file, part, parts};

/// A small graph as a file.
fn small_graph(metric: Metric) -> Vec<u8> {
    graph_of("graph", metric)
}

fn graph_of(spec: &str, metric: Metric) -> Vec<u8> {
    let values: Vec<f32> = (0..300 * 24).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
    let params = BuildParams { metric, spec: spec.parse().unwrap(), ..BuildParams::default() };
    Index::build(Vectors::new(&values, 24).unwrap(), &params).unwrap().to_bytes().unwrap()
}

#[test]
fn a_forged_graph_with_a_right_checksum_is_refused() {
    let graph = small_graph(Metric::InnerProduct);
    Index::from_bytes(&graph).unwrap();
    let u64s = |value: u64| value.to_le_bytes().to_vec();
    let f64s = |value: f64| value.to_le_bytes().to_vec();
    let cases: Vec<(&str, usize, Vec<u8>, &str)> = vec![
        ("meta", 4, (3u32 | 31 << 8).to_le_bytes().to_vec(), "unknown kind of index"),
        ("meta", 4, (3u32 | 64 << 8).to_le_bytes().to_vec(), "a degree of 32, not 64"),
        ("meta", 4, 1u32.to_le_bytes().to_vec(), "parts 2 in an index of kind flat"),
        ("meta", 16, u64s(4097), "dimension 4097 of a graph"),
        ("meta", 52, 0u32.to_le_bytes().to_vec(), "no graph"),
        ("graph", 0, u64s(64), "a degree of 64, not 32"),
        ("graph", 8, u64s(0), "0 directions, not 1 to 25"),
        ("graph", 8, u64s(26), "26 directions, not 1 to 25"),
        ("graph", 8, u64s(u64::MAX), "18446744073709551615 directions"),
        ("graph", 16, u64s(301), "301 rows of entry for 300 vectors"),
        ("graph", 16, u64s(u64::MAX), "18446744073709551615 rows of entry"),
        ("graph", 16, u64s(3), "section g-rows: holds"),
        ("graph", 24, f64s(f64::NAN), "a length of NaN"),
        ("graph", 24, f64s(-1.0), "a length of -1"),
        ("graph", 32, f64s(0.0), "a step of 0"),
        ("graph", 32, f64s(f64::INFINITY), "a step of inf"),
        ("graph", 40, f64s(f64::NAN), "a growth of NaN"),
        ("graph", 40, f64s(0.5), "a growth of 0.5"),
        ("graph", 40, f64s(65.0), "a growth of 65"),
        ("graph", 48, f64s(f64::NAN), "a share of NaN"),
        ("graph", 48, f64s(-0.1), "a share of -0.1"),
        ("graph", 48, f64s(1.1), "a share of 1.1"),
        (
            "g-order",
            4,
            300u32.to_le_bytes().to_vec(),
            "section g-order: vector 300 is out of range or comes twice among 300",
        ),
        (
            "g-order",
            0,
            [7u32, 7].map(u32::to_le_bytes).concat(),
            "section g-order: vector 7 is out of range or comes twice",
        ),
        ("g-mean", 4, f32::NAN.to_le_bytes().to_vec(), "section g-mean: a value that is not finite"),
        ("g-direct", 8, f32::INFINITY.to_le_bytes().to_vec(), "section g-direct: a value that is not finite"),
    ];
    for (name, at, value, expected) in cases {
        let mut parts = parts(&graph);
        part(&mut parts, name)[at..at + value.len()].copy_from_slice(&value);
        refused(Index::from_bytes(&file(&parts)), expected);
    }
}

#[test]
fn rows_of_a_graph_that_hold_anything_are_walked_without_a_panic() {
    let query: Vec<f32> = (0..24).map(|i| (i as f32).cos()).collect();
    let query = Vectors::new(&query, 24).unwrap();
    let graphs = ["graph", "graph,sq8", "graph,sq8,rerank"].map(|spec| graph_of(spec, Metric::L2));
    // Ones are NaN, infinities and nodes that do not exist; zeros are one node over and over.
    for (graph, byte) in
        graphs.iter().flat_map(|graph| [0xFF, 0x00, 0x7F, 0x80, 0x3C].map(|byte| (graph, byte)))
    {
        let mut parts = parts(graph);
        part(&mut parts, "g-rows").iter_mut().skip(1).step_by(2).for_each(|b| *b = byte);
        let index = Index::from_bytes(&file(&parts)).unwrap();
        let hits = index.search(query, 10, &SearchParams::default()).unwrap();
        assert!(hits.ids.iter().all(|id| (-1..300).contains(id)), "{byte:#x}: {:?}", hits.ids);
        let mut index = index;
        index.add(query, &AddParams::default()).unwrap();
    }
}

#[test]
fn a_graph_answers_the_same_after_it_was_saved() {
    let specs = ["graph", "graph,sq8", "graph64,sq8,rerank-f16"];
    for (metric, spec) in Metric::PRODUCTS.into_iter().flat_map(|metric| specs.map(|spec| (metric, spec))) {
        let bytes = graph_of(spec, metric);
        let index = Index::from_bytes(&bytes).unwrap();
        assert_eq!(index.to_bytes().unwrap(), bytes, "{metric}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.steep");
        index.save(&path).unwrap();
        let values: Vec<f32> = (0..40 * 24).map(|i| ((i * i) as f32 * 0.41).cos()).collect();
        let queries = Vectors::new(&values, 24).unwrap();
        let want = index.search(queries, 5, &SearchParams::default()).unwrap();
        for mmap in [false, true] {
            let mut opened = Index::open(&path, mmap).unwrap();
            assert_eq!(opened.search(queries, 5, &SearchParams::default()).unwrap(), want, "{metric}");
            opened.add(queries.rows(0..3), &AddParams::default()).unwrap();
            assert_eq!(opened.len(), 303);
        }
    }
}

/// Version 1 of the format, as [`write_the_golden_graph`] wrote it once.
#[test]
fn the_golden_graph_is_read_as_it_was_written() {
    let index = Index::from_bytes(include_bytes!("data/v1-graph.steep")).unwrap();
    assert_eq!(format!("{index:?}"), "Index(300 × 24 f32, l2, graph)");
    let facts = index.info();
    assert!(facts.contains(&("reachable", "300 of 300".to_owned())), "{facts:?}");
    let exact = Index::build(index.vectors(), &exact()).unwrap();
    let queries = index.vectors().rows(0..20);
    let params = SearchParams { ef_search: Some(300), ..SearchParams::default() };
    let hits = index.search(queries, 10, &params).unwrap();
    let truth = exact.search(queries, 10, &SearchParams::default()).unwrap();
    assert_eq!((hits.ids, hits.distances), (truth.ids, truth.distances));
}

#[test]
#[ignore = "writes tests/data/v1-graph.steep, which must not change"]
fn write_the_golden_graph() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1-graph.steep");
    std::fs::write(path, small_graph(Metric::L2)).unwrap();
}

#[test]
fn a_forged_graph_of_codes_is_refused() {
    let graph = graph_of("graph,sq8", Metric::L2);
    let cases: Vec<(&str, usize, Vec<u8>, &str)> = vec![
        ("spec", 8, b"4".to_vec(), "section spec: not the description"),
        ("spec", 0, b"fraph,sq8".to_vec(), "section spec: not the description"),
        ("meta", 4, vec![3, 32, 0, 0], "section vectors: missing"),
        ("graph", 8, 25u64.to_le_bytes().to_vec(), "25 directions, not 1 to 24"),
        ("graph", 16, 9u64.to_le_bytes().to_vec(), "section g-rows: holds"),
    ];
    for (name, at, value, expected) in cases {
        let mut parts = parts(&graph);
        part(&mut parts, name)[at..at + value.len()].copy_from_slice(&value);
        refused(Index::from_bytes(&file(&parts)), expected);
    }
}
