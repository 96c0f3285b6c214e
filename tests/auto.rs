//! What is done where nothing is said: the kind of index under `auto`, and a graph's `ef_search`.

use steep::{AddParams, BuildParams, Dtype, Index, Metric, SearchParams, Spec};

use crate::common::data::{Rng, Set, clustered, noise};
use crate::common::oracle::codes;
use crate::graph::{DIM, build, data, recall};

#[test]
fn auto_is_exact_for_few_or_hard_vectors_and_a_graph_for_many() {
    let (base, queries) = data(77, Dtype::F32, 44_000);
    let all = SearchParams { threads: Some(1), ..SearchParams::default() };
    let is_graph = |index: &Index| index.bytes().iter().any(|(part, bytes)| *part == "graph" && *bytes > 0);
    let mut index = Index::build(base.view().rows(0..4000), &BuildParams::default()).unwrap();
    let exact = index.search(queries.view(), 10, &all).unwrap();
    assert!(!is_graph(&index) && exact.stats.is_empty());
    assert_eq!(recall(&exact, Metric::L2, &base.rows(0..4000), &queries), 1.0);
    index.add(base.view().rows(4000..44_000), &AddParams::default()).unwrap();
    assert!(is_graph(&index) && !codes(&index).contains("7 bit"));
    let graph = build(&base, Metric::L2);
    let expected = graph.search(queries.view(), 10, &all).unwrap();
    for index in [&index, &Index::from_bytes(&index.to_bytes().unwrap()).unwrap()] {
        assert_eq!(*index.spec(), Spec::AUTO);
        assert_eq!(index.search(queries.view(), 10, &all).unwrap(), expected);
    }
    // What became a graph stays one, and grows as one.
    let mut opened = Index::from_bytes(&index.to_bytes().unwrap()).unwrap();
    opened.add(queries.view(), &AddParams::default()).unwrap();
    let own = opened.search(queries.view(), 1, &all).unwrap();
    assert!((0..queries.len()).all(|i| own.distances[i] == 0.0));

    // As many without structure: a graph would have to look at too many of them.
    let hard = Set::new(Dtype::F32, DIM, noise(&mut Rng(78), 44_000, DIM));
    assert!(!is_graph(&Index::build(hard.view(), &BuildParams::default()).unwrap()));
}

#[test]
fn the_usual_ef_finds_nearly_all_on_easy_and_hard_data() {
    let mut rng = Rng(79);
    for (name, dim, values) in
        [("clustered", 40, clustered(&mut rng, 12_000, 40)), ("noise", 96, noise(&mut rng, 12_000, 96))]
    {
        let all = Set::new(Dtype::F32, dim, values);
        let (base, queries) = (all.rows(0..11_900), all.rows(11_900..12_000));
        let hits = build(&base, Metric::L2).search(queries.view(), 10, &SearchParams::default()).unwrap();
        let found = recall(&hits, Metric::L2, &base, &queries);
        assert!(found > 0.95, "{name}: {found}");
    }
}
