//! Metrics that no products tell, and bits: exact search by their formulas, in every way that there is.

use steep::{
    AddParams, BuildParams, Dtype, Error, Index, Metric, SearchParams, Spec, Vectors, evaluate::ground_truth,
};

use crate::common::data::{Rng, Set, low_rank};
use crate::common::oracle::{Truth, both, check};

/// Those whose sums are exact in f64 for the tests' data, in whatever order: answers are those of the oracle, bit for bit.
const EXACT: [&str; 4] = ["l1", "linf", "lp2", "nan-euclidean"];
const OTHERS: [&str; 6] = ["lp0.5", "lp3", "canberra", "braycurtis", "jensenshannon", "jaccard"];

fn metric(name: &str) -> Metric {
    name.parse().unwrap()
}

#[test]
fn sums_that_are_exact_agree_with_the_oracle_for_every_type() {
    let mut rng = Rng(101);
    let dim = 37;
    for n in [0, 1, 300, 3000] {
        let (values, asked) = (low_rank(&mut rng, n, dim), low_rank(&mut rng, 30, dim));
        for (metric, dtype) in EXACT.into_iter().flat_map(|m| Dtype::NUMBERS.map(|dtype| (metric(m), dtype)))
        {
            let base = Set::suited(dtype, dim, &values);
            for asked_as in [dtype, Dtype::F32] {
                let queries = Set::suited(asked_as, dim, &asked);
                let truth = Truth::new(metric, &base, None, &queries);
                for index in both(metric, &base, None) {
                    for (batch, k) in [(1, 1), (30, 10), (7, 100), (9, n + 3)] {
                        check(&index, &queries, &truth, batch, k, "exact sums");
                    }
                    let radius = if n == 0 { 1.0 } else { truth.distance(0, n / 10) };
                    let hits = index.range_search(queries.view(), radius, &SearchParams::default()).unwrap();
                    assert!(hits == truth.within(radius), "{index:?} within {radius}");
                }
            }
        }
    }
}

#[test]
fn the_other_sums_find_what_their_formulas_find() {
    let mut rng = Rng(102);
    let (n, dim) = (500, 21);
    let positive = |rng: &mut Rng, n: usize| -> Vec<f64> {
        (0..n * dim).map(|_| (rng.signed().abs() + 0.01) as f32 as f64).collect()
    };
    let (base, queries) = (positive(&mut rng, n), positive(&mut rng, 20));
    let (base, queries) = (Set::new(Dtype::F32, dim, base), Set::new(Dtype::F32, dim, queries));
    for name in OTHERS {
        let metric = metric(name);
        let index = Index::build(base.view(), &BuildParams { metric, ..BuildParams::default() }).unwrap();
        let hits = index.search(queries.view(), 10, &SearchParams::default()).unwrap();
        for (query, found) in hits.distances.chunks_exact(10).enumerate() {
            let mut far: Vec<f64> =
                (0..n).map(|row| formula(name, queries.row(query), base.row(row))).collect();
            for (id, distance) in hits.ids[query * 10..].iter().zip(found) {
                assert!(
                    (far[*id as usize] - f64::from(*distance)).abs() < 1e-6 * far[*id as usize].abs(),
                    "{name}"
                );
            }
            far.sort_by(f64::total_cmp);
            for (want, got) in far.iter().zip(found) {
                assert!((want - f64::from(*got)).abs() < 1e-6 * want.abs(), "{name}: {got}, not {want}");
            }
        }
        assert_eq!(
            ground_truth(base.view(), queries.view(), 10, metric, &SearchParams::default()).unwrap(),
            hits
        );
    }
}

fn formula(name: &str, q: &[f64], x: &[f64]) -> f64 {
    let sum = |term: fn(f64, f64) -> f64| -> f64 { q.iter().zip(x).map(|(&q, &x)| term(q, x)).sum() };
    match name {
        "lp0.5" => sum(|q, x| (q - x).abs().sqrt()),
        "lp3" => sum(|q, x| (q - x).abs().powi(3)),
        "canberra" => sum(|q, x| (q - x).abs() / (q + x)),
        "braycurtis" => sum(|q, x| (q - x).abs()) / sum(|q, x| q + x),
        "jensenshannon" => sum(|q, x| q * (2.0 * q / (q + x)).ln() + x * (2.0 * x / (q + x)).ln()) / 2.0,
        _ => -sum(f64::min) / sum(f64::max),
    }
}

/// n × bytes, some of them near others.
fn bits(rng: &mut Rng, n: usize, bytes: usize) -> Vec<u8> {
    let centres: Vec<u8> = (0..8 * bytes).map(|_| rng.next() as u8).collect();
    let near = |rng: &mut Rng| (rng.next() & rng.next() & rng.next()) as u8;
    (0..n * bytes).map(|at| centres[at / bytes % 8 * bytes + at % bytes] ^ near(rng)).collect()
}

/// (distance, row) of all rows, sorted.
fn counted(query: &[u8], rows: &[u8]) -> Vec<(f32, i64)> {
    let far = |row: &[u8]| row.iter().zip(query).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() as f32;
    let mut all: Vec<(f32, i64)> = rows.chunks_exact(query.len()).map(far).zip(0..).collect();
    all.sort_by(|a, b| a.partial_cmp(b).unwrap());
    all
}

#[test]
fn bits_are_found_by_how_many_differ() {
    let mut rng = Rng(103);
    for (bytes, n) in [(1, 700), (8, 3000), (20, 1), (32, 5000), (33, 2000), (128, 300)] {
        let (rows, asked) = (bits(&mut rng, n, bytes), bits(&mut rng, 30, bytes));
        let (x, q) = (Vectors::new(&rows, bytes).unwrap(), Vectors::new(&asked, bytes).unwrap());
        let params = SearchParams::default();
        for spec in [Spec::AUTO, Spec::FLAT, Spec::FLAT_RAW] {
            let index =
                Index::build(x, &BuildParams { metric: Metric::Hamming, spec, ..BuildParams::default() })
                    .unwrap();
            assert_eq!((index.dim(), index.dtype(), index.len()), (8 * bytes, Dtype::B1, n));
            assert_eq!(index.vectors().bytes(), rows);
            let file = index.to_bytes().unwrap();
            let opened = Index::from_bytes(&file).unwrap();
            assert_eq!(opened.to_bytes().unwrap(), file);
            for (k, queries) in
                [(1, q), (10, q), (10, q.bits().unwrap()), (n, q), (n + 2, q.rows(0..2)), (10, q.rows(3..4))]
            {
                let hits = opened.search(queries, k, &params).unwrap();
                assert_eq!(hits, ground_truth(x, queries, k, Metric::Hamming, &params).unwrap());
                for (at, query) in queries.bytes().chunks_exact(bytes).enumerate() {
                    let want = counted(query, &rows);
                    for rank in 0..k {
                        let got = (hits.distances[at * k + rank], hits.ids[at * k + rank]);
                        assert_eq!(
                            got,
                            want.get(rank).copied().unwrap_or((f32::INFINITY, -1)),
                            "{index:?} {k}"
                        );
                    }
                }
            }
            for radius in [-1.0, 0.0, bytes as f32 * 2.5, 8.0 * bytes as f32] {
                let hits = opened.range_search(q, radius, &params).unwrap();
                for (at, query) in asked.chunks_exact(bytes).enumerate() {
                    let range = hits.offsets[at]..hits.offsets[at + 1];
                    let got: Vec<(f32, i64)> = range.map(|i| (hits.distances[i], hits.ids[i])).collect();
                    let want: Vec<_> =
                        counted(query, &rows).into_iter().take_while(|found| found.0 <= radius).collect();
                    assert_eq!(got, want, "{index:?} within {radius}");
                }
            }
        }
    }
}

#[test]
fn bits_are_added_with_ids_and_the_longest_are_taken() {
    let longest = vec![0u8; 8192];
    let x = Vectors::new(&longest, 8192).unwrap();
    let mut index = Index::new(65_536, Metric::Hamming, Dtype::B1, Spec::FLAT).unwrap();
    index.add(x, &AddParams { ids: Some(&[7]), ..AddParams::default() }).unwrap();
    let asked = vec![255u8; 8192 * 9];
    let q = Vectors::new(&asked, 8192).unwrap();
    let hits = index.search(q, 1, &SearchParams::default()).unwrap();
    assert_eq!((hits.ids, hits.distances), (vec![7; 9], vec![65_536.0; 9]));
}

#[test]
fn what_a_metric_cannot_have_is_refused_and_says_what_can_be() {
    let refused = |made: steep::Result<Index>, says: &str| {
        let error = made.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        error
    };
    let floats = Vectors::new(&[0f32; 32], 32).unwrap();
    let bytes = Vectors::new(&[0u8; 32], 32).unwrap();
    let hamming = BuildParams { metric: Metric::Hamming, ..BuildParams::default() };
    refused(Index::build(floats, &hamming), "dtype = f32: expected \"b1\"");
    refused(Index::build(bytes.bits().unwrap(), &BuildParams::default()), "metric \"hamming\" for bits");
    refused(Index::new(256, Metric::Hamming, Dtype::F32, Spec::AUTO), "\"b1\"");
    refused(Index::new(256, Metric::L2, Dtype::B1, Spec::AUTO), "\"hamming\"");
    refused(Index::new(255, Metric::Hamming, Dtype::B1, Spec::AUTO), "a multiple of 8");
    refused(Index::build(Vectors::new(&[0u8; 8193], 8193).unwrap(), &hamming), "dim = 65544");
    for name in EXACT.into_iter().chain(OTHERS).chain(["gower", "hamming"]) {
        for spec in ["graph", "graph64", "ivf", "ivf16,rabitq4", "pq16x4", "f16", "norm,flat", "pca8"] {
            let (metric, spec) = (metric(name), spec.parse().unwrap());
            let dtype = if metric == Metric::Hamming { Dtype::B1 } else { Dtype::F32 };
            let error = refused(Index::new(32, metric, dtype, spec), "\"flat\"");
            assert!(matches!(error, Error::Spec { .. }), "{error}");
        }
    }
    let index = Index::build(bytes, &hamming).unwrap();
    let narrow =
        index.search(Vectors::new(&[0u8; 31], 31).unwrap(), 1, &SearchParams::default()).unwrap_err();
    assert!(matches!(narrow, Error::Bits { expected: 256, got: 248, .. }), "{narrow}");
    let typed = index.search(floats, 1, &SearchParams::default()).unwrap_err();
    assert!(matches!(typed, Error::Argument { name: "dtype", .. }), "{typed}");
    let missing = Vectors::new(&[f32::NAN, 1.0], 2).unwrap();
    for (name, taken) in [("nan-euclidean", true), ("gower", true), ("l1", false), ("canberra", false)] {
        let made = Index::build(missing, &BuildParams { metric: metric(name), ..BuildParams::default() });
        assert_eq!(made.is_ok(), taken, "{name}");
    }
    let infinite = Vectors::new(&[f32::NAN, f32::INFINITY], 2).unwrap();
    let gower = BuildParams { metric: Metric::Gower, ..BuildParams::default() };
    assert!(matches!(Index::build(infinite, &gower), Err(Error::NotFinite { column: 1, .. })));
}

#[test]
fn vectors_without_a_distance_are_not_found() {
    let x = Vectors::new(&[0f32, 0.0, 1.0, 2.0], 2).unwrap();
    let zeros = x.rows(0..1);
    for name in ["braycurtis", "jaccard"] {
        let index = Index::build(x, &BuildParams { metric: metric(name), ..BuildParams::default() }).unwrap();
        let hits = index.search(zeros, 2, &SearchParams::default()).unwrap();
        assert_eq!(hits.ids, [1, -1], "{name}");
        assert_eq!(hits.distances[1], f32::INFINITY);
    }
}

#[test]
fn every_metric_comes_back_from_its_file() {
    for metric in Metric::ALL.into_iter().chain(["lp0.5", "lp7.25"].map(metric)) {
        let dtype = if metric == Metric::Hamming { Dtype::B1 } else { Dtype::F16 };
        let index = Index::new(16, metric, dtype, Spec::FLAT).unwrap();
        let opened = Index::from_bytes(&index.to_bytes().unwrap()).unwrap();
        assert_eq!((opened.metric(), opened.dtype(), opened.dim()), (metric, dtype, 16));
    }
}
