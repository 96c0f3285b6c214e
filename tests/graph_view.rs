//! What a graph's `ef_search` does, from fewer than are wanted to all that there are.

use steep::{Dtype, Metric, SearchParams};

use crate::common::data::{Rng, Set, clustered};
use crate::graph::{DIM, FORMS, N, QUERIES, assert_full, build, build_as, data, recall, search};

#[test]
fn more_in_view_finds_more_until_nothing_is_missing() {
    let (base, queries) = data(65, Dtype::F32, 5000);
    let index = build(&base, Metric::L2);
    let recalls =
        [10, 40, 160, 640].map(|ef| recall(&search(&index, &queries, 10, ef), Metric::L2, &base, &queries));
    assert!(recalls.windows(2).all(|pair| pair[0] <= pair[1] + 0.002), "{recalls:?}");
    assert!(recalls[3] >= 0.999, "{recalls:?}");
}

#[test]
fn fewer_in_view_than_wanted_find_as_many_sooner_and_fewer_of_the_true_ones() {
    let (base, queries) = data(69, Dtype::F32, N);
    for (metric, spec) in Metric::PRODUCTS.into_iter().flat_map(|metric| FORMS.map(|spec| (metric, spec))) {
        let index = build_as(spec, &base, metric);
        let found = [1, 5, 20, 50, 200].map(|ef| {
            let hits = search(&index, &queries, 100, ef);
            assert_full(&hits, &format!("{spec} {metric}, ef {ef}"));
            let hops: u64 = hits.stats.iter().map(|stats| stats.hops).sum();
            (recall(&hits, metric, &base, &queries), hops / QUERIES as u64)
        });
        let less = found.is_sorted_by(|a, b| a.0 <= b.0 + 0.01 && a.1 <= b.1);
        assert!(less && found[4].0 >= 0.97, "{spec} {metric}: {found:?}");
        assert!(found[0].0 <= 0.95 && 4 * found[0].1 < found[4].1, "{spec} {metric}: {found:?}");
    }
}

/// As many as are wanted, whatever is hard to tell apart or far away.
#[test]
fn fewer_in_view_than_wanted_leave_no_place_empty() {
    let mut rng = Rng(70);
    let (_, queries) = data(69, Dtype::F32, N);
    let spread = clustered(&mut rng, 600, DIM);
    let alike = vec![0.5; 600 * DIM];
    // Eight at each of 75 places.
    let tight: Vec<f64> = (0..600).flat_map(|row| spread[row % 75 * DIM..][..DIM].to_vec()).collect();
    for (values, case) in [(spread, "spread"), (alike, "all alike"), (tight, "eight of each")] {
        let base = Set::new(Dtype::F32, DIM, values);
        for spec in FORMS {
            let index = build_as(spec, &base, Metric::L2);
            for k in [2, 3, 10, 64, 300, 599, 600, 700] {
                for ef in [1, 2, k / 3 + 1, k - 1] {
                    let hits = search(&index, &queries, k, ef);
                    let case = format!("{spec}, {case}, k {k}, ef {ef}");
                    recall(&hits, Metric::L2, &base, &queries); // none comes twice
                    let full = hits.ids.chunks(k).all(|ids| !ids[..k.min(600)].contains(&-1));
                    assert!(full, "{case}: fewer than there are");
                }
            }
        }
    }
}

#[test]
fn more_than_there_are_is_all() {
    let (base, queries) = data(69, Dtype::F32, N);
    let index = build(&base, Metric::L2);
    for (k, ef) in [(N, 10), (N + 50, 1), (N + 50, usize::MAX), (10, usize::MAX)] {
        let params =
            SearchParams { rerank: Some(usize::MAX), ef_search: Some(ef), ..SearchParams::default() };
        let hits = index.search(queries.view(), k, &params).unwrap();
        assert_eq!(recall(&hits, Metric::L2, &base, &queries), 1.0, "k {k}, ef {ef}");
    }
    for k in [usize::MAX, usize::MAX / 64 + 1, 1 << 58] {
        let none = index.search(queries.view().rows(0..0), k, &SearchParams::default()).unwrap();
        assert!(none.ids.is_empty() && none.stats.is_empty());
    }
}
