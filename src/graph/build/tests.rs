//! What every graph owes, whatever the points.

use std::collections::HashSet;

use proptest::prelude::*;

use super::slab::Slab;
use super::*;
use crate::error::Error;
use crate::kernels::squares;
use crate::random::Random;

const WIDTH: usize = 32;

fn params(threads: usize) -> BuildGraph<'static> {
    BuildGraph { degree: 32, seed: 7, threads, monitor: None }
}

/// `n` points around `centres` random places, `spread` apart; the coordinates after the 16th are padding.
fn clustered(n: usize, centres: usize, spread: i64) -> Vec<i8> {
    let mut random = Random(n as u64);
    let mut number = |size: i64| random.below(2 * size as usize + 1) as i64 - size;
    let places: Vec<[i64; 16]> =
        (0..centres).map(|_| std::array::from_fn(|_| number(127 - spread))).collect();
    let mut codes = vec![0; n * WIDTH];
    for (i, row) in codes.chunks_exact_mut(WIDTH).enumerate() {
        for (to, place) in row.iter_mut().zip(places[i % centres]) {
            *to = (place + number(spread)) as i8;
        }
    }
    codes
}

fn points(codes: &[i8]) -> Points<'_> {
    Points { codes, width: WIDTH }
}

/// Rows are full, of other points, none twice; every point can be reached.
fn check(points: Points, graph: &Graph) {
    let n = points.len();
    assert_eq!(graph.neighbours.len(), n * graph.degree);
    for id in 0..n {
        let row = graph.row(id);
        assert_eq!(row.len(), graph.degree.min(n - 1), "point {id} has a full row");
        let set: HashSet<u32> = row.iter().copied().collect();
        assert_eq!(set.len(), row.len(), "point {id} has no neighbour twice");
        assert!(!set.contains(&(id as u32)), "point {id} is not its own neighbour");
        assert!(row.iter().all(|&other| (other as usize) < n));
    }
    let mut seen: HashSet<u32> = graph.entries.iter().copied().collect();
    let mut open = graph.entries.clone();
    while let Some(at) = open.pop() {
        open.extend(graph.row(at as usize).iter().copied().filter(|&next| seen.insert(next)));
    }
    assert_eq!(seen.len(), n, "every point can be reached");
}

/// The plain beam search: `ef` nearest found from the entries.
fn search(points: Points, graph: &Graph, query: &[i8], ef: usize) -> Vec<Near> {
    let near = |id: u32| Near::new(squares::between(Isa::active(), query, points.row(id as usize)), id);
    let mut pool: Vec<(Near, bool)> = graph.entries.iter().map(|&id| (near(id), false)).collect();
    let mut seen: HashSet<u32> = graph.entries.iter().copied().collect();
    pool.sort_unstable();
    pool.truncate(ef);
    while let Some(at) = pool.iter().position(|(_, expanded)| !expanded) {
        pool[at].1 = true;
        let next = graph.row(pool[at].0.id() as usize).iter().copied().filter(|&id| seen.insert(id));
        pool.extend(next.map(|id| (near(id), false)));
        pool.sort_unstable();
        pool.truncate(ef);
    }
    pool.into_iter().map(|(near, _)| near).collect()
}

#[test]
fn the_graph_does_not_depend_on_the_number_of_threads() {
    let codes = clustered(4000, 30, 25);
    let one = build(points(&codes), &params(1)).expect("builds");
    let two = build(points(&codes), &params(2)).expect("builds");
    assert!(one == two);
}

#[test]
fn clusters_far_apart_stay_reachable() {
    for spread in [0, 1, 3] {
        let codes = clustered(3000, 20, spread);
        check(points(&codes), &build(points(&codes), &params(2)).expect("builds"));
    }
}

#[test]
fn more_islands_than_entries_are_all_reached() {
    // 700 places of four points each: no leaf holds an island alone, and few edges lead to it.
    let codes = clustered(2800, 700, 1);
    check(points(&codes), &build(points(&codes), &params(2)).expect("builds"));
}

#[test]
fn identical_points_are_all_reached() {
    let codes = vec![5; 5000 * WIDTH];
    check(points(&codes), &build(points(&codes), &params(2)).expect("builds"));
    let codes = vec![0; 40 * WIDTH];
    check(points(&codes), &build(points(&codes), &params(1)).expect("builds"));
}

#[test]
fn points_that_are_equally_far_from_each_other_are_divided_all_the_same() {
    let width = 3008;
    let mut codes = vec![0i8; 3000 * width];
    for i in 0..3000 {
        codes[i * width + i] = 1;
    }
    let points = Points { codes: &codes, width };
    check(points, &build(points, &params(2)).expect("builds"));
}

#[test]
fn a_few_points_are_all_neighbours() {
    for n in [0, 1, 2, 3, 32, 33, 34, 35] {
        let codes = clustered(n, 5, 20);
        let graph = build(points(&codes), &params(2)).expect("builds");
        assert_eq!(graph.entries.is_empty(), n == 0);
        check(points(&codes), &graph);
    }
}

#[test]
fn a_wider_degree_fills_wider_rows() {
    let codes = clustered(1500, 9, 40);
    let graph = build(points(&codes), &BuildGraph { degree: 96, ..params(2) }).expect("builds");
    check(points(&codes), &graph);
}

#[test]
fn the_nearest_points_are_found() {
    let codes = clustered(5000, 60, 60);
    let points = points(&codes);
    let graph = build(points, &params(2)).expect("builds");
    let queries = clustered(101, 60, 60);
    let (mut found, mut all) = (0, 0);
    for query in queries.chunks_exact(WIDTH) {
        let mut near: Vec<u32> =
            (0..points.len()).map(|i| squares::between(Isa::active(), query, points.row(i))).collect();
        near.sort_unstable();
        let hits = search(points, &graph, query, 40);
        found += hits.iter().take(10).filter(|hit| hit.distance() <= near[9]).count();
        all += 10;
    }
    assert!(found * 100 >= all * 97, "{found} of {all}");
}

#[test]
fn a_kept_candidate_is_hidden_by_no_other() {
    let codes = clustered(300, 10, 50);
    let points = points(&codes);
    let mut near: Vec<Near> = (1..300).map(|i| Near::new(points.distance(0, i), i as u32)).collect();
    near.sort_unstable();
    let mut chosen = Vec::new();
    let kept = Pruner::new(WIDTH).prune(Isa::active(), points, &near, 32, true, &mut chosen);
    assert!((2..32).contains(&kept), "{kept} kept");
    assert_eq!(chosen.len(), 32);
    for (i, a) in chosen[..kept].iter().enumerate() {
        for b in &chosen[..i] {
            let between = points.distance(a.id() as usize, b.id() as usize);
            let far = a.distance().max(b.distance());
            assert!(between >= far, "{a:?} and {b:?} are {between} apart");
        }
    }
}

#[test]
fn the_order_of_arrival_leaves_no_trace() {
    let mut random = Random(3);
    let mut near: Vec<Near> =
        (0..400).map(|_| Near::new(random.below(90) as u32, random.below(9) as u32)).collect();
    let mut expected = near.clone();
    expected.sort_unstable();
    expected.dedup();
    expected.truncate(32);
    for _ in 0..5 {
        near.rotate_left(random.below(400));
        let mut slab = Slab::new(70, 32).expect("memory");
        near.chunks(7).for_each(|near| slab.insert(65, near));
        slab.settle(&params(1)).expect("no monitor");
        slab.read(65, |kept| assert_eq!(kept, expected));
        slab.read(64, |kept| assert!(kept.is_empty()));
    }
}

#[test]
fn a_monitor_ends_every_stage() {
    struct Until(&'static str);
    impl Monitor for Until {
        fn report(&self, stage: &'static str, _: u64, _: u64) -> bool {
            stage != self.0
        }
    }
    let codes = clustered(2500, 12, 30);
    for stage in ["hash", "divide", "link", "sort", "prune", "connect", "repair"] {
        let monitor = Until(stage);
        let params = BuildGraph { monitor: Some(&monitor), ..params(2) };
        assert!(matches!(build(points(&codes), &params), Err(Error::Interrupted)), "{stage}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_points_make_a_whole_graph(n in 0usize..220, values in 1i64..4, seed: u64) {
        let mut random = Random(seed);
        let codes: Vec<i8> = (0..n * WIDTH)
            .map(|i| if i % WIDTH < 3 { random.below(values as usize) as i8 } else { 0 })
            .collect();
        let graph = build(points(&codes), &BuildGraph { seed, ..params(2) }).expect("builds");
        check(points(&codes), &graph);
    }
}
