//! Every entry refuses what it cannot take, by a typed error that names the value; and nothing is lost.

use half::{bf16, f16};
use steep::{
    AddParams, BuildParams, Dtype, Error, Index, Metric, Result, SearchParams, Spec, Vectors, evaluate,
};

use crate::common::data::{Rng, Set, low_rank};
use crate::common::oracle::expect_codes;

/// Fails unless `result` is an error of the kind that `is` accepts and its message contains `expected`.
fn refused<T>(result: Result<T>, is: impl Fn(&Error) -> bool, expected: &str) {
    let Err(error) = result else { panic!("accepted, where \"{expected}\" was to be said") };
    let message = error.to_string();
    assert!(is(&error) && message.contains(expected), "{error:?}: \"{message}\" does not say \"{expected}\"");
}

fn argument(name: &'static str) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::Argument { name: given, .. } if *given == name)
}

fn not_finite(what: &'static str, at: (usize, usize)) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::NotFinite { what: given, row, column, .. } if (*given, (*row, *column)) == (what, at))
}

fn is_shape(error: &Error) -> bool {
    matches!(error, Error::Shape { .. })
}

fn is_inexact(error: &Error) -> bool {
    matches!(error, Error::Inexact { dtype: Dtype::F16, .. })
}

fn is_memory(error: &Error) -> bool {
    matches!(error, Error::OutOfMemory { .. })
}

fn f32s(dim: usize, values: &[f32]) -> Vectors<'_> {
    Vectors::new(values, dim).unwrap()
}

#[test]
fn vectors_of_a_wrong_shape_are_refused() {
    refused(Vectors::new(&[1.0f32], 0), argument("dim"), "dim = 0: expected 1 to 65536");
    refused(Vectors::new(&[1.0f32], 65_537), argument("dim"), "dim = 65537");
    refused(Vectors::new(&[1u8], usize::MAX), argument("dim"), "dim = 18446744073709551615");
    refused(Vectors::new(&[1i8; 7], 3), is_shape, "7 values do not make rows of 3");
    let words = [0u64; 4];
    let bytes: &[u8] = bytemuck::cast_slice(&words);
    refused(Vectors::from_bytes(bytes, Dtype::U8, 0), argument("dim"), "dim = 0");
    refused(Vectors::from_bytes(&bytes[1..9], Dtype::F32, 1), argument("bytes"), "unaligned");
    refused(Vectors::from_bytes(&bytes[..28], Dtype::F32, 2), is_shape, "7 values do not make rows of 2");
    refused(Vectors::from_bytes(&bytes[..7], Dtype::F16, 1), is_shape, "rows of 1");
    assert!(Vectors::from_bytes(&[], Dtype::F32, 65_536).unwrap().is_empty());
}

#[test]
fn an_index_of_no_possible_dimension_is_refused() {
    for dim in [0, 65_537, usize::MAX] {
        let new = Index::new(dim, Metric::L2, Dtype::F32, Spec::FLAT);
        refused(new, argument("dim"), &format!("dim = {dim}: expected 1 to 65536"));
    }
}

#[test]
fn names_that_stand_for_nothing_are_refused() {
    refused(
        "euclid".parse::<Metric>(),
        argument("metric"),
        "\"euclid\": expected \"l2\", \"ip\", \"cosine\"",
    );
    refused("".parse::<Metric>(), argument("metric"), "\"\"");
    refused("f64".parse::<Dtype>(), argument("dtype"), "\"f64\": expected \"f32\"");
    let is_spec = |error: &Error| matches!(error, Error::Spec { .. });
    refused("flat-row".parse::<Spec>(), is_spec, "\"flat-row\": unknown kind of index at character 6");
}

/// What an add of two-dimensional vectors to an index of `metric` must refuse, with what it says.
fn bad_vectors(metric: Metric) -> Vec<(Set, &'static str)> {
    let set = |values: &[f64]| Set::new(Dtype::F32, 2, values.iter().copied());
    let mut bad = vec![
        (Set::new(Dtype::F32, 3, [1.0; 6]), "vectors have 3 dimensions, the index has 2"),
        (Set::new(Dtype::F32, 1, []), "vectors have 1 dimensions, the index has 2"),
        (set(&[1.0, 2.0, 3.0, f64::NAN]), "vectors row 1 holds NaN at column 1"),
        (set(&[f64::INFINITY, 2.0]), "vectors row 0 holds inf at column 0"),
        (set(&[1.0, f64::NEG_INFINITY, f64::NAN, 1.0]), "vectors row 0 holds -inf at column 1"),
        (Set::new(Dtype::F16, 2, [1.0, 1e9]), "vectors row 0 holds inf at column 1"),
        (Set::new(Dtype::Bf16, 2, [1.0, 1.0, f64::NAN, 1.0]), "vectors row 1 holds NaN at column 0"),
    ];
    if metric == Metric::Cosine {
        bad.push((set(&[1.0, 1.0, 0.0, -0.0]), "vectors row 1 is all zeros, which has no cosine"));
        bad.push((Set::new(Dtype::U8, 2, [0.0, 0.0]), "vectors row 0 is all zeros"));
    }
    bad
}

#[test]
fn vectors_that_have_no_distance_are_refused_and_the_index_is_as_it_was() {
    for metric in Metric::PRODUCTS {
        let base = Set::new(Dtype::F32, 2, [1.0, 2.0, 3.0, 4.5]);
        let mut index = Index::build(base.view(), &BuildParams { metric, ..BuildParams::default() }).unwrap();
        let before = index.to_bytes().unwrap();
        for (bad, expected) in bad_vectors(metric) {
            let kind = |error: &Error| {
                matches!(error, Error::Dimension { .. } | Error::NotFinite { .. } | Error::ZeroVector { .. })
            };
            refused(index.add(bad.view(), &AddParams::default()), kind, expected);
            assert!(index.to_bytes().unwrap() == before, "{expected}");
            if bad.dim == 2 {
                let params = BuildParams { metric, ..BuildParams::default() };
                refused(Index::build(bad.view(), &params), kind, expected);
                let truth =
                    evaluate::ground_truth(bad.view(), base.view(), 1, metric, &SearchParams::default());
                refused(truth, kind, expected);
            }
            // As queries they are refused in the same words.
            let asked = expected.replace("vectors", "queries");
            refused(index.search(bad.view(), 1, &SearchParams::default()), kind, &asked);
            refused(index.range_search(bad.view(), 1.0, &SearchParams::default()), kind, &asked);
            let truth = evaluate::ground_truth(base.view(), bad.view(), 1, metric, &SearchParams::default());
            refused(truth, kind, &asked);
        }
    }
}

#[test]
fn a_value_that_is_no_number_is_found_wherever_it_is() {
    for at in [0, 4095, 4096, 9999] {
        let mut values = vec![1.0f32; 10_000];
        values[at] = f32::NAN;
        let place = (at / 10, at % 10);
        refused(
            f32s(10, &values).check_finite("test"),
            not_finite("test", place),
            &format!("row {}", place.0),
        );
        let mut values = vec![f16::ONE; 10_000];
        values[at] = f16::NEG_INFINITY;
        refused(Vectors::new(&values, 10).unwrap().check_finite("test"), not_finite("test", place), "-inf");
        let mut values = vec![bf16::ONE; 10_000];
        values[at] = bf16::INFINITY;
        refused(Vectors::new(&values, 10).unwrap().check_finite("test"), not_finite("test", place), "inf");
    }
}

#[test]
fn ids_that_clash_or_do_not_count_are_refused_and_the_index_is_as_it_was() {
    let x = f32s(1, &[1.0, 2.5, 3.0]);
    let ids = [5, 9, u64::MAX - 1];
    let mut given = Index::build(x, &BuildParams { ids: Some(&ids), ..BuildParams::default() }).unwrap();
    let mut plain = Index::build(x, &BuildParams::default()).unwrap();
    let is_count = |error: &Error| matches!(error, Error::IdCount { .. });
    let is_duplicate = |error: &Error| matches!(error, Error::DuplicateId { .. });
    for index in [&mut given, &mut plain] {
        let before = index.to_bytes().unwrap();
        let mut add = |ids: &[u64], is: &dyn Fn(&Error) -> bool, expected: &str| {
            refused(index.add(x, &AddParams { ids: Some(ids), ..AddParams::default() }), is, expected);
            assert!(index.to_bytes().unwrap() == before, "{expected}");
        };
        add(&[], &is_count, "0 ids for 3 vectors");
        add(&[10, 11], &is_count, "2 ids for 3 vectors");
        add(&[10, 11, 12, 13], &is_count, "4 ids for 3 vectors");
        add(&[3, 4], &is_count, "2 ids for 3 vectors");
        add(&[70, 71, 70], &is_duplicate, "id 70 (row 2) is taken already");
        add(&[70, u64::MAX, 71], &argument("ids"), "18446744073709551615");
    }
    let add = AddParams { ids: Some(&[70, 9, 71]), ..AddParams::default() };
    refused(given.add(x, &add), is_duplicate, "id 9 (row 1) is taken already");
    let add = AddParams { ids: Some(&[70, 71, 0]), ..AddParams::default() };
    refused(plain.add(x, &add), is_duplicate, "id 0 (row 2) is taken already");
    refused(given.add(x, &AddParams::default()), argument("ids"), "ids = 18446744073709551615");
    assert_eq!((given.len(), plain.len()), (3, 3));
    let build = |ids| Index::build(x, &BuildParams { ids: Some(ids), ..BuildParams::default() });
    refused(build(&[1, 2, 1]), is_duplicate, "id 1 (row 2)");
    refused(build(&[1]), is_count, "1 ids for 3 vectors");
}

#[test]
fn a_count_of_nothing_is_refused() {
    let x = f32s(1, &[1.0, 2.0]);
    let mut index = Index::build(x, &BuildParams::default()).unwrap();
    let before = index.to_bytes().unwrap();
    let (all, none) = (SearchParams::default(), SearchParams { threads: Some(0), ..SearchParams::default() });
    refused(index.search(x, 0, &all), argument("k"), "k = 0: expected at least 1");
    refused(evaluate::ground_truth(x, x, 0, Metric::L2, &all), argument("k"), "k = 0");
    refused(index.search(x, 1, &none), argument("threads"), "threads = 0");
    refused(index.range_search(x, 1.0, &none), argument("threads"), "threads = 0");
    refused(evaluate::ground_truth(x, x, 1, Metric::L2, &none), argument("threads"), "threads = 0");
    let params = AddParams { threads: Some(0), ..AddParams::default() };
    refused(index.add(x, &params), argument("threads"), "threads = 0");
    let params = BuildParams { threads: Some(0), ..BuildParams::default() };
    refused(Index::build(x, &params), argument("threads"), "threads = 0");
    assert!(index.to_bytes().unwrap() == before);
    refused(evaluate::recall(&[1], 0, &[1], 1), argument("k"), "k = 0");
    refused(evaluate::recall(&[1], 1, &[1], 0), argument("k"), "k = 0");
    refused(evaluate::recall(&[1, 2, 3], 2, &[1, 2], 2), is_shape, "3 values do not make rows of 2");
    refused(evaluate::recall(&[1, 2], 2, &[1, 2, 3], 2), argument("truth"), "1.5 rows for 1 rows found");
}

#[test]
fn more_results_than_memory_holds_are_refused_before_any_work() {
    let x = f32s(1, &[1.0, 2.0, 3.0]);
    let index = Index::build(x, &BuildParams::default()).unwrap();
    let params = SearchParams::default();
    refused(index.search(x, usize::MAX, &params), is_memory, "of results");
    refused(index.search(x, usize::MAX / 3, &params), is_memory, "of results");
    refused(evaluate::ground_truth(x, x, usize::MAX / 24, Metric::L2, &params), is_memory, "of results");
}

#[test]
fn more_threads_than_cores_are_taken_as_all_of_them() {
    let x = f32s(1, &[1.0, 2.0, 3.0]);
    let threads = Some(usize::MAX);
    let index = Index::build(x, &BuildParams { threads, ..BuildParams::default() }).unwrap();
    let hits = index.search(x, 1, &SearchParams { threads, ..SearchParams::default() }).unwrap();
    assert_eq!(hits.ids, [0, 1, 2]);
}

#[test]
fn an_index_of_a_dtype_stays_one_of_it_after_a_failed_first_add() {
    // The first vectors decide how all are stored: only if they are taken.
    let mut index = Index::new(2, Metric::L2, Dtype::F16, Spec::FLAT).unwrap();
    let before = index.to_bytes().unwrap();
    let params = AddParams { ids: Some(&[1, 1]), ..AddParams::default() };
    let whole = Set::new(Dtype::F32, 2, [1.0, 2.0, 3.0, 4.0]);
    refused(index.add(whole.view(), &params), |e| matches!(e, Error::DuplicateId { .. }), "id 1 (row 1)");
    let fine = Set::new(Dtype::F32, 2, [1.0, 2f64.powi(-20) + 1.0]);
    refused(index.add(fine.view(), &AddParams::default()), is_inexact, "row 0 holds 1.0000009536743164");
    assert!(index.to_bytes().unwrap() == before);
}

#[test]
fn bytes_that_would_become_floats_stay_bytes_where_the_add_fails() {
    let mut rng = Rng(61);
    let values = Set::suited(Dtype::U8, 48, &low_rank(&mut rng, 5000, 48)).values;
    let base = Set::new(Dtype::F16, 48, values);
    let mut index = Index::build(base.view(), &BuildParams::default()).unwrap();
    expect_codes(&index, "bytes");
    let before = index.to_bytes().unwrap();
    // No byte, so that all become f16; then no f16.
    let mut bad = vec![0.5; 48];
    bad.extend([1.0 + 2f64.powi(-20); 48]);
    let bad = Set::new(Dtype::F32, 48, bad);
    refused(index.add(bad.view(), &AddParams::default()), is_inexact, "row 1 holds 1.0000009536743164");
    assert!(index.to_bytes().unwrap() == before);
}

#[test]
fn a_file_that_cannot_be_written_or_read_is_the_systems_error() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::build(f32s(1, &[1.0]), &BuildParams::default()).unwrap();
    let before = index.to_bytes().unwrap();
    let is_io = |error: &Error| matches!(error, Error::Io { .. });
    refused(index.save(dir.path().join("missing/x")), is_io, "missing/x");
    refused(index.save(dir.path()), is_io, "cannot write");
    assert!(index.to_bytes().unwrap() == before);
    for mmap in [true, false] {
        refused(Index::open(dir.path().join("absent"), mmap), is_io, "absent");
        refused(Index::open(dir.path(), mmap), is_io, "cannot open");
        let foreign = dir.path().join("foreign");
        std::fs::write(&foreign, b"PK\x03\x04 and so on").unwrap();
        let is_format = |error: &Error| matches!(error, Error::Format { .. });
        refused(Index::open(&foreign, mmap), is_format, "not a Steep index: it is a zip");
    }
}
