//! The small graph: what nodes are is in codes of their own, and where vectors are not stored codes are all there is.

use steep::{AddParams, Dtype, Error, Metric, SearchParams};

use crate::codes::found;
use crate::common::data::Set;
use crate::common::oracle::distance;
use crate::graph::{DIM, N, QUERIES, build_as, data, search};

#[test]
fn codes_alone_tell_neighbours_and_their_distances() {
    let (base, queries) = data(87, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        let index = build_as("graph,sq8", &base, metric);
        assert!(index.vectors().is_empty() && index.len() == N);
        let hits = search(&index, &queries, 10, 100);
        let recall = found(&hits, metric, &base, &queries);
        assert!(recall >= 0.96, "{metric}: {recall:.4}");
        // How far a distance is off, beside how far the tenth nearest lies behind the nearest.
        let (mut off, mut spread) = (0.0, 0.0);
        for (query, (ids, distances)) in hits.ids.chunks(10).zip(hits.distances.chunks(10)).enumerate() {
            assert!(distances.is_sorted(), "{metric}: {distances:?}");
            let exact = ids.iter().map(|&id| distance(metric, queries.row(query), base.row(id as usize)));
            let errors = exact.zip(distances).map(|(exact, told)| f64::from(told - exact));
            off += errors.sum::<f64>() / 10.0;
            spread += f64::from(distances[9] - distances[0]);
        }
        assert!(off.abs() <= 0.02 * spread, "{metric}: {off} off in the mean, of {spread}");
    }
}

#[test]
fn codes_alone_are_searched_within_a_radius_and_grow() {
    let (base, queries) = data(88, Dtype::F32, N);
    for metric in Metric::PRODUCTS {
        let mut index = build_as("graph,sq8", &base.rows(0..N / 3), metric);
        index.add(base.rows(N / 3..N).view(), &AddParams::default()).unwrap();
        let hits = search(&index, &queries, 10, 200);
        let recall = found(&hits, metric, &base, &queries);
        assert!(recall >= 0.95, "{metric}: {recall:.4}");
        let radius = hits.distances[9];
        let within = index.range_search(queries.view(), radius, &SearchParams::default()).unwrap();
        let first = within.offsets[1];
        assert!(first >= 10 && within.distances[..first].iter().all(|d| *d <= radius), "{metric}");
        assert!(within.distances[..first].is_sorted());
        let all = index.range_search(queries.view(), f32::MAX, &SearchParams::default()).unwrap();
        assert_eq!(all.ids.len(), N * QUERIES, "{metric}");
        // Codes are the vectors: there is no exact distance to ask for.
        let params = SearchParams { rerank: Some(20), ..SearchParams::default() };
        assert!(matches!(index.search(queries.view(), 3, &params), Err(Error::Knob { name: "rerank", .. })));
    }
}

#[test]
fn somewhat_longer_vectors_than_all_before_are_found_where_codes_are_all_there_is() {
    let (base, queries) = data(89, Dtype::F32, N);
    let mut values = base.values.clone();
    values[N / 2 * DIM..].iter_mut().for_each(|v| *v *= 1.25);
    let base = Set::new(Dtype::F32, DIM, values);
    let mut index = build_as("graph,sq8", &base.rows(0..N / 2), Metric::InnerProduct);
    index.add(base.rows(N / 2..N).view(), &AddParams::default()).unwrap();
    let recall = found(&search(&index, &queries, 10, 400), Metric::InnerProduct, &base, &queries);
    assert!(recall >= 0.9, "{recall:.4}");
}

#[test]
fn a_graph_of_codes_takes_less_than_the_vectors() {
    let (base, _) = data(90, Dtype::F32, N);
    let bytes =
        |spec| build_as(spec, &base, Metric::L2).bytes().iter().map(|part| part.1).sum::<u64>() / N as u64;
    let [fast, small, rounded] = ["graph", "graph,sq8", "graph,sq8,rerank-f16"].map(bytes);
    // 32 neighbours' numbers, the node's own code and its norm: four lines of memory. The vectors, rounded, instead of all of them.
    assert!(small <= 256 && fast >= 3 * small, "{small} and {fast} bytes");
    assert!(rounded <= small + 2 * DIM as u64, "{rounded} bytes");
}
