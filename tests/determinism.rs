//! The same input gives the same bytes and the same answers, however the work is divided.

use steep::{BuildParams, Dtype, Hits, Index, Metric, SearchParams, evaluate};

use crate::common::data::{Rng, Set, low_rank};
use crate::common::oracle::{Truth, check, exact, expect_codes};

const N: usize = 9000;
const DIM: usize = 48;

fn build(base: &Set, metric: Metric, seed: u64, threads: usize) -> Index {
    let params = BuildParams { metric, seed, threads: Some(threads), ..exact() };
    Index::build(base.view(), &params).unwrap()
}

fn data(seed: u64) -> (Set, Set) {
    let mut rng = Rng(seed);
    let (base, queries) = (low_rank(&mut rng, N, DIM), low_rank(&mut rng, 600, DIM));
    (Set::new(Dtype::F32, DIM, base), Set::new(Dtype::F32, DIM, queries))
}

#[test]
fn one_seed_gives_one_file_whatever_the_threads() {
    let (base, _) = data(41);
    for metric in Metric::PRODUCTS {
        let first = build(&base, metric, 5, 1);
        expect_codes(&first, "seeds");
        let bytes = first.to_bytes().unwrap();
        for threads in [1, 2, 2, 64] {
            assert!(
                build(&base, metric, 5, threads).to_bytes().unwrap() == bytes,
                "{metric}, {threads} threads"
            );
        }
    }
}

#[test]
fn every_seed_gives_the_true_answers() {
    let (base, queries) = data(42);
    let truth = Truth::new(Metric::L2, &base, None, &queries.rows(0..20));
    for seed in [0, 1, 2, u64::MAX] {
        let index = build(&base, Metric::L2, seed, 2);
        check(&index, &queries, &truth, 20, 10, &format!("seed {seed}"));
    }
}

#[test]
fn threads_and_batches_change_no_answer() {
    let (base, queries) = data(43);
    for metric in Metric::PRODUCTS {
        let index = build(&base, metric, 0, 2);
        let search = |rows: std::ops::Range<usize>, threads| -> Hits {
            let params = SearchParams { threads, ..SearchParams::default() };
            index.search(queries.view().rows(rows), 20, &params).unwrap()
        };
        let whole = search(0..600, Some(1));
        for threads in [Some(2), Some(3), Some(1000), None] {
            assert!(search(0..600, threads) == whole, "{threads:?} threads");
        }
        for size in [1, 7, 256, 599] {
            let (mut ids, mut distances) = (Vec::new(), Vec::new());
            for start in (0..600).step_by(size) {
                let part = search(start..(start + size).min(600), None);
                ids.extend(part.ids);
                distances.extend(part.distances);
            }
            assert!(ids == whole.ids && distances == whole.distances, "batches of {size}");
        }
        // The same without an index.
        let truth = evaluate::ground_truth(base.view(), queries.view(), 20, metric, &SearchParams::default());
        assert!(truth.unwrap() == whole);
    }
}

#[test]
fn callers_at_the_same_time_do_not_disturb_each_other() {
    let (base, queries) = data(44);
    let index = build(&base, Metric::L2, 0, 2);
    let whole = index.search(queries.view(), 10, &SearchParams::default()).unwrap();
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (index, queries, whole) = (&index, &queries, &whole);
            scope.spawn(move || {
                for round in 0..10 {
                    // Different sizes, so that they enter and leave the pool at different times.
                    let rows = 50 * caller..50 * caller + 1 + 20 * round;
                    let params = SearchParams { threads: Some(1 + caller % 3), ..SearchParams::default() };
                    let hits = index.search(queries.view().rows(rows.clone()), 10, &params).unwrap();
                    assert_eq!(hits.ids, whole.ids[10 * rows.start..10 * rows.end]);
                    let within = index.range_search(queries.view().rows(rows.clone()), 1.0, &params).unwrap();
                    assert_eq!(within.offsets.len(), rows.len() + 1);
                }
            });
        }
    });
}
