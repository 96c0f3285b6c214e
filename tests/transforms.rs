//! What is done with vectors first is done with queries too, keeps what it says it keeps, and is kept with the index.

use std::cell::RefCell;

use steep::index::{Coding, Kind, Lists, Rerank, Step, Transform, Transforms};
use steep::{AddParams, BuildParams, Dtype, Error, Hits, Index, Metric, SearchParams, Spec, Vectors};

use crate::codes::build;
use crate::common::data::{Rng, Set, clustered, decaying};
use crate::common::oracle::{Truth, distance};
use crate::common::refused;
use crate::graph::{DTYPES, Stopper};
use crate::index_files::{file, part, parts};

const DIM: usize = 36;
const N: usize = 1200;
const QUERIES: usize = 40;

fn data(dtype: Dtype) -> (Set, Set) {
    let values = clustered(&mut Rng(5), N + QUERIES, DIM);
    let (base, queries) = values.split_at(N * DIM);
    (Set::suited(dtype, DIM, base).without_zeros(), Set::suited(dtype, DIM, queries).without_zeros())
}

fn search(index: &Index, queries: Vectors) -> Hits {
    index.search(queries, 10, &SearchParams::default()).unwrap()
}

/// What an index has stored, one vector after the other.
fn stored(index: &Index) -> Vec<f64> {
    index.vectors().as_slice::<f32>().unwrap().iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn turns_change_no_distance() {
    for dtype in DTYPES {
        let (base, queries) = data(dtype);
        for metric in Metric::PRODUCTS {
            let want = search(&build(&base, metric, "flat"), queries.view());
            for spec in ["rotate,flat", "pca,flat", "opq6,flat-raw", "opq9_36,rotate,pca,rotate,flat"] {
                let got = search(&build(&base, metric, spec), queries.view());
                for (at, (&got, &want)) in got.distances.iter().zip(&want.distances).enumerate() {
                    let size = want.abs().max(magnitude(metric, &base, &queries, at / 10));
                    assert!((got - want).abs() <= 2e-5 * size, "{spec} {metric} {dtype}: {got}, not {want}");
                }
            }
        }
    }
}

/// How large numbers are that a query's distances are differences of.
fn magnitude(metric: Metric, base: &Set, queries: &Set, query: usize) -> f32 {
    let square = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>();
    let longest = (0..base.len()).map(|at| square(base.row(at))).fold(0.0, f64::max);
    match metric {
        Metric::Cosine => 1.0,
        Metric::L2 => (square(queries.row(query)) + longest) as f32,
        _ => (square(queries.row(query)) * longest).sqrt() as f32,
    }
}

/// Data that varies in five directions is as far apart in five as it was.
#[test]
fn few_directions_hold_all_of_data_that_has_no_more() {
    let mut rng = Rng(6);
    let basis: Vec<f64> = (0..5 * DIM).map(|_| rng.normal()).collect();
    let center: Vec<f64> = (0..DIM).map(|_| 3.0 * rng.normal()).collect();
    let rows = (0..N + QUERIES).flat_map(|_| {
        let mut row = center.clone();
        for direction in basis.chunks(DIM) {
            let size = rng.normal();
            row.iter_mut().zip(direction).for_each(|(v, d)| *v += size * d);
        }
        row
    });
    let values: Vec<f64> = rows.collect();
    let base = Set::new(Dtype::F32, DIM, values[..N * DIM].iter().copied());
    let queries = Set::new(Dtype::F32, DIM, values[N * DIM..].iter().copied());
    for metric in Metric::PRODUCTS {
        // About zero, where the centre is one direction more.
        let spec = if metric == Metric::L2 { "pca5,flat" } else { "pca6,flat" };
        let index = build(&base, metric, spec);
        assert_eq!((index.dim(), index.vectors().dim()), (DIM, if metric == Metric::L2 { 5 } else { 6 }));
        let hits = search(&index, queries.view());
        for (at, (&id, &got)) in hits.ids.iter().zip(&hits.distances).enumerate() {
            let want = distance(metric, queries.row(at / 10), base.row(id as usize));
            let size = want.abs().max(magnitude(metric, &base, &queries, at / 10));
            assert!((got - want).abs() < 1e-5 * size, "{metric}: {got}, not {want}");
        }
    }
}

#[test]
fn the_directions_that_are_left_are_those_of_the_largest_variance() {
    let mut rng = Rng(7);
    let deviations: Vec<f64> = (0..DIM).map(|j| 1.0 / (1 + (7 * j) % DIM) as f64).collect();
    let values = (0..N * DIM).map(|i| deviations[i % DIM] * rng.normal() + 4.0);
    let base = Set::new(Dtype::F32, DIM, values);
    let mut largest = deviations.clone();
    largest.sort_by(|a, b| b.total_cmp(a));
    let index = build(&base, Metric::L2, "pca6,flat");
    let rows = stored(&index);
    for (at, want) in largest[..6].iter().enumerate() {
        let column = || rows.iter().skip(at).step_by(6);
        let mean = column().sum::<f64>() / N as f64;
        let deviation = (column().map(|v| (v - mean).powi(2)).sum::<f64>() / N as f64).sqrt();
        assert!((deviation / want - 1.0).abs() < 0.1 && mean.abs() < 0.1, "{at}: {mean} ± {deviation}");
    }
}

#[test]
fn whitened_directions_vary_alike_and_apart_and_what_varies_not_at_all_is_left_alone() {
    let mut rng = Rng(8);
    let turn: Vec<f64> = (0..DIM * DIM).map(|_| rng.normal()).collect();
    let row = |rng: &mut Rng| -> Vec<f64> {
        let mut row = vec![2.0; DIM];
        for (j, direction) in turn.chunks(DIM).enumerate().take(DIM - 3) {
            let size = rng.normal() / (j + 1) as f64;
            row.iter_mut().zip(direction).for_each(|(v, d)| *v += size * d);
        }
        row
    };
    let values: Vec<f64> = (0..N).flat_map(|_| row(&mut rng)).collect();
    let index = build(&Set::new(Dtype::F32, DIM, values), Metric::L2, "pcaw,flat");
    let rows = stored(&index);
    for i in 0..DIM {
        for j in 0..=i {
            let product = rows.chunks(DIM).map(|row| row[i] * row[j]).sum::<f64>() / N as f64;
            if i < DIM - 3 {
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((product - want).abs() < 0.02, "{i} and {j}: {product}");
            }
            assert!(product.is_finite() && product.abs() < 2.0, "{i} and {j}: {product}");
        }
    }
}

#[test]
fn groups_of_directions_get_variances_of_about_the_same_product() {
    let values = decaying(&mut Rng(9), N, DIM, 0.8);
    let index = build(&Set::new(Dtype::F32, DIM, values), Metric::L2, "opq4_32,flat");
    let rows = stored(&index);
    let log = |at: usize| (rows.iter().skip(at).step_by(32).map(|v| v * v).sum::<f64>() / N as f64).ln();
    let sums: Vec<f64> = (0..4).map(|group| (group * 8..group * 8 + 8).map(log).sum()).collect();
    let (least, most) = sums.iter().fold((f64::MAX, f64::MIN), |(a, b), &sum| (a.min(sum), b.max(sum)));
    let spread = log(0) - log(31);
    assert!(most - least < 0.3 * spread.abs().max(1.0), "{sums:?}");
}

#[test]
fn normalised_vectors_are_as_far_apart_as_their_directions() {
    let (base, queries) = data(Dtype::F32);
    let want = search(&build(&base, Metric::Cosine, "flat"), queries.view());
    for (metric, told) in [
        (Metric::L2, (|cosine| 2.0 * cosine) as fn(f32) -> f32),
        (Metric::InnerProduct, |cosine| cosine - 1.0),
        (Metric::Cosine, |cosine| cosine),
    ] {
        let got = search(&build(&base, metric, "norm,flat"), queries.view());
        for (&got, &want) in got.distances.iter().zip(&want.distances) {
            assert!((got - told(want)).abs() < 1e-5, "{metric}: {got}, not {}", told(want));
        }
    }
    // Zeros have no direction and stay where they are.
    let zeros = Set::new(Dtype::F32, 2, [0.0, 0.0, 3.0, 4.0]);
    let index = build(&zeros, Metric::L2, "norm,flat");
    assert_eq!(stored(&index), [0.0, 0.0, f64::from(0.6f32), f64::from(0.8f32)]);
    let hits = index.search(Vectors::new(&[0f32, 0.0], 2).unwrap(), 2, &SearchParams::default()).unwrap();
    assert_eq!((hits.ids, hits.distances), (vec![0, 1], vec![0.0, 1.0]));
}

const SPECS: [&str; 8] = [
    "pca12,flat",
    "norm,pca20,graph",
    "rotate,ivf16,rabitq4,rerank",
    "opq4_32,pq16x4",
    "pca24,rotate,flat-raw",
    "norm,auto",
    "norm,opq3,ivf,pq12x8,rerank-f16",
    "pcaw20,flat",
];

#[test]
fn every_kind_of_index_finds_what_is_near_after_transforms() {
    let values = decaying(&mut Rng(10), N + QUERIES, DIM, 0.8);
    let (base, queries) = values.split_at(N * DIM);
    for metric in Metric::PRODUCTS {
        for dtype in [Dtype::F32, Dtype::I8] {
            let [base, queries] =
                [base, queries].map(|values| Set::suited(dtype, DIM, values).without_zeros());
            let truth = Truth::new(metric, &base, None, &queries);
            for (spec, floor) in [
                ("pca12,flat", 0.7),
                ("pca20,graph", 0.7),
                ("rotate,ivf16,rabitq4,rerank", 0.9),
                ("opq4_32,pq16x4", 0.5),
                ("pca24,rotate,flat-raw", 0.85),
                ("opq3,ivf16,pq12x8,rerank-f16", 0.7),
                ("rotate,auto", 0.99),
            ] {
                let index = build(&base, metric, spec);
                assert_eq!((index.dim(), index.dtype(), index.len()), (DIM, dtype, base.len()));
                let hits = search(&index, queries.view());
                let near = hits.ids.iter().enumerate().filter(|&(at, &id)| {
                    let farthest = truth.distance(at / 10, 9);
                    distance(metric, queries.row(at / 10), base.row(id as usize)) <= farthest
                });
                let recall = near.count() as f64 / hits.ids.len() as f64;
                assert!(recall >= floor, "{spec} {metric} {dtype}: {recall}");
            }
        }
    }
}

#[test]
fn they_are_learned_once_and_saved_with_the_index() {
    let (base, queries) = data(Dtype::F16);
    let folder = tempfile::tempdir().unwrap();
    for spec in SPECS {
        let mut index = build(&base.rows(0..N / 2), Metric::L2, spec);
        let bytes = index.to_bytes().unwrap();
        let mut again = Index::from_bytes(&bytes).unwrap();
        assert_eq!(again.spec().to_string(), spec);
        assert_eq!((again.dim(), again.dtype()), (DIM, Dtype::F16));
        assert_eq!(again.to_bytes().unwrap(), bytes, "{spec}");
        let path = folder.path().join("transforms.steep");
        index.save(&path).unwrap();
        for mmap in [false, true] {
            let opened = Index::open(&path, mmap).unwrap();
            assert_eq!(search(&opened, queries.view()), search(&index, queries.view()), "{spec}");
        }
        let before = stored_if_any(&index);
        let rest = base.rows(N / 2..N);
        for index in [&mut index, &mut again] {
            index.add(rest.view(), &AddParams::default()).unwrap();
        }
        assert_eq!(again.to_bytes().unwrap(), index.to_bytes().unwrap(), "{spec}");
        assert_eq!(stored_if_any(&index)[..before.len()], before, "{spec}");
    }
}

fn stored_if_any(index: &Index) -> Vec<u8> {
    index.vectors().bytes().to_vec()
}

#[test]
fn one_seed_gives_one_file_whatever_the_threads() {
    let (base, _) = data(Dtype::F32);
    for spec in SPECS {
        let build = |threads, seed| {
            let spec = spec.parse().unwrap();
            let params = BuildParams { spec, threads: Some(threads), seed, ..BuildParams::default() };
            Index::build(base.view(), &params).unwrap().to_bytes().unwrap()
        };
        assert!(build(1, 3) == build(2, 3), "{spec}");
    }
}

#[test]
fn dimensions_that_do_not_suit_are_refused() {
    for (spec, words) in [
        ("pca37,flat", "spec = pca37 of 36 dimensions: expected at most as many directions"),
        ("pca12,pca13,flat", "spec = pca13 of 12 dimensions"),
        ("opq5_12,flat", "spec = opq5_12 of 36 dimensions: expected a multiple of the groups"),
        ("opq40,flat", "spec = opq40 of 36 dimensions: expected a multiple of the groups"),
        ("opq8_40,flat", "spec = opq8_40 of 36 dimensions: expected at most as many directions"),
    ] {
        let error = Index::new(DIM, Metric::L2, Dtype::F32, spec.parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }) && error.to_string().contains(words), "{error}");
    }
    let pca = Index::new(4097, Metric::L2, Dtype::F32, "pca64,flat".parse().unwrap());
    assert!(pca.unwrap_err().to_string().contains("pca64 of 4097 dimensions"));
    // What comes out is what the index has to hold.
    Index::new(4096, Metric::L2, Dtype::F32, "pca64,graph".parse().unwrap()).unwrap();
    Index::new(65536, Metric::L2, Dtype::F32, "norm,rotate,flat".parse().unwrap()).unwrap();
    assert!(Index::new(65536, Metric::L2, Dtype::F32, "rotate,graph".parse().unwrap()).is_err());
}

/// Specs that are put together in Rust are held to the grammar too.
#[test]
fn what_cannot_be_written_cannot_be_built() {
    let with = |transform| Transforms::NONE.and(transform).unwrap();
    let codes = |coding, rerank| Kind::Codes { lists: Lists::Suited, twice: false, coding, rerank };
    let flat = Spec::FLAT;
    for spec in [
        Spec { transforms: with(Transform::Opq { parts: 0, dim: None }), ..flat },
        Spec { transforms: with(Transform::Pca { dim: Some(0), whiten: true }), ..flat },
        Spec::graph(33),
        Spec::of(codes(Coding::Scalar { step: Step::Sq, bits: 0 }, Rerank::No)),
        Spec::of(codes(Coding::Scalar { step: Step::Lvq, bits: 4 }, Rerank::Bytes)),
        Spec::of(codes(Coding::Product { parts: 4, bits: 5 }, Rerank::No)),
        Spec::of(codes(Coding::Product { parts: 4, bits: 8 }, Rerank::As(Dtype::U8))),
    ] {
        let made = Index::new(DIM, Metric::L2, Dtype::F32, spec);
        assert!(matches!(made, Err(Error::Spec { .. })), "{spec}: {made:?}");
    }
}

#[test]
fn bad_vectors_are_refused_before_and_after_and_leave_the_index_as_it_was() {
    let (base, _) = data(Dtype::F32);
    let mut index = build(&base, Metric::Cosine, "pca3,flat");
    let before = index.to_bytes().unwrap();
    let values: Vec<f32> = base.row(0).iter().map(|&v| v as f32).collect();
    let with = |at: usize, value: f32| {
        let mut values = values.clone();
        values[at] = value;
        values
    };
    let view = |values: &[f32]| Vectors::new(values, DIM).unwrap().bytes().to_vec();
    let cases = [(with(4, f32::NAN), "vectors row 0"), (vec![0.0; DIM], "vectors row 0 is all zeros")];
    for (values, words) in &cases {
        let bytes = view(values);
        let vectors = Vectors::from_bytes(&bytes, Dtype::F32, DIM).unwrap();
        let error = index.add(vectors, &AddParams::default()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        index.search(vectors, 1, &SearchParams::default()).unwrap_err();
    }
    let short = Vectors::new(&values[..DIM - 1], DIM - 1).unwrap();
    for error in [
        index.add(short, &AddParams::default()).unwrap_err(),
        index.search(short, 1, &SearchParams::default()).map(drop).unwrap_err(),
        index.range_search(short, 1.0, &SearchParams::default()).map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Dimension { expected: DIM, got: 35, .. }), "{error}");
    }
    assert_eq!(index.to_bytes().unwrap(), before);
    // Finite, but what becomes of it is not.
    let mut turned = build(&base, Metric::L2, "rotate,flat");
    let before = turned.to_bytes().unwrap();
    let large = vec![f32::MAX; DIM];
    let large = Vectors::new(&large, DIM).unwrap();
    let asked = turned.search(large, 1, &SearchParams::default());
    assert!(matches!(asked, Err(Error::NotFinite { what: "transformed queries", row: 0, .. })), "{asked:?}");
    let added = turned.add(large, &AddParams::default());
    assert!(matches!(added, Err(Error::NotFinite { what: "transformed vectors", row: 0, .. })), "{added:?}");
    assert_eq!(turned.to_bytes().unwrap(), before);
    // A direction that was left out leaves nothing.
    let flat: Vec<f32> = (0..40).flat_map(|i| [(i as f32).sin(), (i as f32).cos(), 0.0]).collect();
    let mut index = Index::build(
        Vectors::new(&flat, 3).unwrap(),
        &BuildParams { metric: Metric::Cosine, spec: "pca2,flat".parse().unwrap(), ..BuildParams::default() },
    )
    .unwrap();
    let upright = Vectors::new(&[0f32, 0.0, 1.0], 3).unwrap();
    let added = index.add(upright, &AddParams::default());
    assert!(matches!(added, Err(Error::ZeroVector { what: "transformed vectors", row: 0 })), "{added:?}");
    assert_eq!(index.len(), 40);
}

#[test]
fn an_empty_index_finds_nothing_and_learns_from_what_is_added_first() {
    let (base, queries) = data(Dtype::F32);
    for spec in SPECS {
        let mut index = Index::new(DIM, Metric::Cosine, Dtype::F32, spec.parse().unwrap()).unwrap();
        index.add(base.view().rows(0..0), &AddParams::default()).unwrap();
        assert!(search(&index, queries.view()).ids.iter().all(|&id| id == -1));
        let same = Index::from_bytes(&index.to_bytes().unwrap()).unwrap();
        assert_eq!((same.dim(), same.dtype(), same.len()), (DIM, Dtype::F32, 0));
        index.add(base.view(), &AddParams::default()).unwrap();
        let built = build(&base, Metric::Cosine, spec);
        assert!(index.to_bytes().unwrap() == built.to_bytes().unwrap(), "{spec}");
        // Of one vector there is not much to learn.
        let mut index = Index::new(DIM, Metric::Cosine, Dtype::F32, spec.parse().unwrap()).unwrap();
        match index.add(base.view().rows(0..1), &AddParams::default()) {
            Ok(()) => assert_eq!(search(&index, base.view().rows(0..1)).ids[..2], [0, -1], "{spec}"),
            Err(error) => assert!(matches!(error, Error::ZeroVector { .. }), "{spec}: {error}"),
        }
    }
}

#[test]
fn a_build_that_is_stopped_while_it_learns_leaves_nothing_learned() {
    let (base, _) = data(Dtype::F32);
    let mut stopped = 0;
    for stop_at in 1..40 {
        let mut index = Index::new(DIM, Metric::L2, Dtype::F32, "pca30,opq5,flat".parse().unwrap()).unwrap();
        let empty = index.to_bytes().unwrap();
        let monitor = Stopper { stop_at, stages: RefCell::default() };
        let params = AddParams { threads: Some(1), monitor: Some(&monitor), ids: None };
        match index.add(base.view(), &params) {
            Err(Error::Interrupted) => {
                stopped += 1;
                assert_eq!(index.to_bytes().unwrap(), empty);
            }
            other => other.unwrap(),
        }
    }
    assert!(stopped > 3);
}

#[test]
fn forged_transforms_with_a_right_checksum_are_refused() {
    let (base, _) = data(Dtype::F32);
    let saved = build(&base.rows(0..100), Metric::L2, "norm,pca12,flat-raw").to_bytes().unwrap();
    let cases: [(&str, usize, Vec<u8>, &str); 9] = [
        ("spec", 0, b"pca9,pca20".to_vec(), "become 12 of f32"),
        ("spec", 0, b"flat,flat1".to_vec(), "not the description of an index"),
        ("given", 0, 11u64.to_le_bytes().to_vec(), "vectors of 11 dimensions become 12 of f32"),
        ("given", 0, 0u64.to_le_bytes().to_vec(), "vectors of 0 dimensions"),
        ("given", 0, 35u64.to_le_bytes().to_vec(), "section t-mean-0: holds"),
        ("given", 8, 9u32.to_le_bytes().to_vec(), "dtype 9"),
        ("given", 12, 0u32.to_le_bytes().to_vec(), "learned 0 times from 100 vectors"),
        ("given", 12, 2u32.to_le_bytes().to_vec(), "learned 2 times"),
        ("t-rows-0", 4, f32::INFINITY.to_le_bytes().to_vec(), "a value that is not finite"),
    ];
    for (name, at, value, expected) in cases {
        let mut parts = parts(&saved);
        part(&mut parts, name)[at..at + value.len()].copy_from_slice(&value);
        refused(Index::from_bytes(&file(&parts)), expected);
    }
}

/// All that a file can have of transforms, two lists for each vector, bytes that stand for centroids, and vectors rounded.
fn golden() -> Index {
    let values: Vec<f32> = (0..300 * 24).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
    let spec = "norm,pca12,rotate,ivf5x2,pq3x8,rerank-f16".parse().unwrap();
    let params = BuildParams { spec, ..BuildParams::default() };
    Index::build(Vectors::new(&values, 24).unwrap(), &params).unwrap()
}

/// Version 1 of the format, as [`write_the_golden_transforms`] wrote it once.
#[test]
fn the_golden_transforms_are_read_as_they_were_written() {
    let index = Index::from_bytes(include_bytes!("data/v1-transforms.steep")).unwrap();
    let what = "Index(300 × 24 f32, l2, norm,pca12,rotate,ivf5x2,pq3x8,rerank-f16)";
    assert_eq!(format!("{index:?}"), what);
    // What was learned and stored then is what is learned and stored now, but for the rounding of another processor.
    let now = golden();
    let [then_rows, now_rows] = [&index, &now].map(|index| {
        let rows = index.vectors().as_slice::<half::f16>().unwrap();
        rows.iter().map(|v| v.to_f32()).collect::<Vec<f32>>()
    });
    let inner = |rows: &[f32], a: usize, b: usize| -> f32 {
        rows[a * 12..][..12].iter().zip(&rows[b * 12..][..12]).map(|(a, b)| a * b).sum()
    };
    for (a, b) in (0..300).map(|a| (a, (a * 7 + 1) % 300)) {
        let (then, now) = (inner(&then_rows, a, b), inner(&now_rows, a, b));
        assert!((then - now).abs() < 0.02, "{a} and {b}: {then}, {now}");
    }
    let params = SearchParams { nprobe: Some(5), rerank: Some(300), ..SearchParams::default() };
    let values: Vec<f32> = (0..20 * 24).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
    let hits = index.search(Vectors::new(&values, 24).unwrap(), 5, &params).unwrap();
    for (row, (ids, distances)) in hits.ids.chunks(5).zip(hits.distances.chunks(5)).enumerate() {
        assert_eq!(ids[0], row as i64);
        assert!(distances[0] < 1e-5 && distances.is_sorted(), "{distances:?}");
    }
}

#[test]
#[ignore = "writes tests/data/v1-transforms.steep, which must not change"]
fn write_the_golden_transforms() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1-transforms.steep");
    std::fs::write(path, golden().to_bytes().unwrap()).unwrap();
}
