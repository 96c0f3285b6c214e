//! Vectors that are added later are found as if they had been there from the start.

use steep::{AddParams, BuildParams, Dtype, Error, Index, Metric, SearchParams, Spec};

use crate::common::data::{Rng, Set, low_rank, whole};
use crate::common::oracle::{Truth, check, codes, exact, expect_codes};

const CODED: usize = 4096 + 107;

fn stored(index: &Index) -> String {
    index.info().into_iter().find(|(name, _)| *name == "stored dtype").unwrap().1
}

fn add(index: &mut Index, vectors: &Set) {
    index.add(vectors.view(), &AddParams::default()).unwrap();
}

#[test]
fn pieces_of_any_size_answer_as_one_build_does() {
    let mut rng = Rng(21);
    // Sizes that end within a panel and at its end, and that make codes be chosen anew, extended, left out.
    let pieces = [0, 1, 2, 13, 16, 1000, 3063, 1, 15, 17, 2000, 0, 300, 12_000];
    let values = low_rank(&mut rng, pieces.iter().sum(), 48);
    let asked = low_rank(&mut rng, 9, 48);
    for (metric, dtype) in
        [(Metric::L2, Dtype::F32), (Metric::InnerProduct, Dtype::U8), (Metric::Cosine, Dtype::Bf16)]
    {
        let (base, queries) = (Set::suited(dtype, 48, &values), Set::suited(dtype, 48, &asked));
        for spec in [Spec::FLAT, Spec::FLAT_RAW] {
            let mut index = Index::new(48, metric, dtype, spec).unwrap();
            let mut n = 0;
            for piece in pieces {
                add(&mut index, &base.rows(n..n + piece));
                n += piece;
                let truth = Truth::new(metric, &base.rows(0..n), None, &queries);
                check(&index, &queries, &truth, 9, 10, &format!("{n} vectors"));
                check(&index, &queries, &truth, 1, 3, &format!("{n} vectors"));
            }
            match spec {
                Spec::FLAT_RAW => assert_eq!(codes(&index), "none"),
                _ => expect_codes(&index, "pieces"),
            }
        }
    }
}

#[test]
fn vectors_unlike_those_that_codes_were_made_for_are_found() {
    let mut rng = Rng(22);
    let values = low_rank(&mut rng, CODED, 48);
    // Elsewhere, in other directions, and a million times as long.
    let later = low_rank(&mut rng, 300, 48);
    for (factor, shift) in [(1.0, 1000.0), (1.0, 0.0), (2f64.powi(20), 0.0), (2f64.powi(-20), 0.0)] {
        let later: Vec<f64> = later.iter().map(|v| v * factor + shift).collect();
        let all = Set::new(Dtype::F32, 48, values.iter().chain(&later).copied());
        let asked = values[..48 * 5].iter().chain(&later[..48 * 5]).copied();
        let queries = Set::new(Dtype::F32, 48, asked);
        for metric in Metric::PRODUCTS {
            let params = BuildParams { metric, spec: Spec::FLAT, ..BuildParams::default() };
            let mut index = Index::build(all.view().rows(0..CODED), &params).unwrap();
            expect_codes(&index, "unlike");
            index.add(all.view().rows(CODED..all.len()), &AddParams::default()).unwrap();
            let truth = Truth::new(metric, &all, None, &queries);
            for (batch, k) in [(10, 1), (10, 10), (10, 400), (1, 10)] {
                check(&index, &queries, &truth, batch, k, &format!("× {factor} + {shift}"));
            }
        }
    }
}

#[test]
fn whole_numbers_kept_as_bytes_become_floats_again_where_one_is_not() {
    let mut rng = Rng(23);
    for (n, metric) in [50, CODED].into_iter().flat_map(|n| Metric::PRODUCTS.map(|metric| (n, metric))) {
        let bytes: Vec<f64> = Set::suited(Dtype::U8, 32, &low_rank(&mut rng, n, 32)).values;
        for dtype in [Dtype::F32, Dtype::F16] {
            for other in [0.5, -1.0, 256.0] {
                let mut all = bytes.clone();
                all.extend(whole(&mut rng, 20, 32, 200));
                let at = all.len() - 7;
                all[at] = other;
                let all = Set::new(dtype, 32, all);
                let queries = all.rows(n - 4..n + 20);
                let params = BuildParams { metric, spec: Spec::FLAT, ..BuildParams::default() };
                let mut index = Index::build(all.view().rows(0..n), &params).unwrap();
                assert_eq!((stored(&index), index.dtype()), ("u8".into(), dtype));
                index.add(all.view().rows(n..n + 20), &AddParams::default()).unwrap();
                assert_eq!((stored(&index), index.dtype()), (dtype.to_string(), dtype));
                let truth = Truth::new(metric, &all, None, &queries);
                check(&index, &queries, &truth, queries.len(), 10, &format!("{other} after bytes"));
                check(&index, &queries, &truth, 2, 10, &format!("{other} after bytes"));
            }
        }
    }
}

#[test]
fn another_type_is_taken_where_it_fits_exactly_and_refused_whole_where_not() {
    // The index's type, the added type, what fits and what does not.
    let cases = [
        (Dtype::F16, Dtype::F32, 0.5, 1.0 + 2f64.powi(-12), "holds 1.000244140625 at column 1, which f16"),
        (Dtype::Bf16, Dtype::F16, 0.5, 1.0 + 2f64.powi(-9), "holds 1.001953125 at column 1, which bf16"),
        (
            Dtype::U8,
            Dtype::F32,
            255.0,
            255.5,
            "row 1 holds 255.5 at column 1, which u8 does not hold exactly",
        ),
        (Dtype::U8, Dtype::I8, 127.0, -1.0, "holds -1 at column 1, which u8"),
        (Dtype::I8, Dtype::U8, 127.0, 128.0, "holds 128 at column 1, which i8"),
        (Dtype::I8, Dtype::Bf16, -128.0, -130.0, "holds -130 at column 1, which i8"),
        (Dtype::F32, Dtype::F16, 0.25, f64::NAN, "holds NaN at column 1"),
    ];
    for (dtype, other, good, bad, expected) in cases {
        let base = Set::new(dtype, 2, [1.0, 2.0, 3.0, 4.0]);
        let mut index = Index::build(base.view(), &exact()).unwrap();
        let before = index.to_bytes().unwrap();
        let refused = index.add(Set::new(other, 2, [1.0, 1.0, 1.0, bad]).view(), &AddParams::default());
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Inexact { row: 1, column: 1, .. } | Error::NotFinite { row: 1, .. }));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(index.to_bytes().unwrap() == before, "{dtype} changed by {other}");

        add(&mut index, &Set::new(other, 2, [good, 0.0]));
        let hits =
            index.search(Set::new(Dtype::F32, 2, [good, 0.0]).view(), 1, &SearchParams::default()).unwrap();
        assert_eq!((hits.ids[0], hits.distances[0]), (2, 0.0), "{dtype} with {other}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_row_and_column_however_far_it_lies() {
    // Values are converted some ten thousand at a time; rows do not end where such a piece does.
    let (rows, dim) = (3000, 77);
    for at in [0, dim - 1, dim, 65_535, 65_536, 131_072 + 5, rows * dim - 1] {
        for metric in [Metric::L2, Metric::Cosine] {
            let mut values = vec![7.0; rows * dim];
            values[at] = 300.0;
            let mut index = Index::new(dim, metric, Dtype::U8, Spec::AUTO).unwrap();
            let added = index.add(Set::new(Dtype::F32, dim, values).view(), &AddParams::default());
            let place = (at / dim, at % dim);
            assert!(
                matches!(added, Err(Error::Inexact { row, column, value: 300.0, .. }) if (row, column) == place),
                "{added:?} for {place:?}"
            );
            assert!(index.is_empty());
        }
    }
}

#[test]
fn ids_go_on_from_the_largest() {
    let x = Set::new(Dtype::F32, 1, [0.0, 1.0, 2.0]);
    let params = BuildParams { ids: Some(&[7, 100, 3]), ..exact() };
    let mut index = Index::build(x.view(), &params).unwrap();
    add(&mut index, &Set::new(Dtype::F32, 1, [3.0, 4.0]));
    let given = Set::new(Dtype::F32, 1, [5.0]);
    index.add(given.view(), &AddParams { ids: Some(&[1 << 63]), ..AddParams::default() }).unwrap();
    add(&mut index, &given);
    let ids: Vec<u64> = (0..index.len()).map(|row| index.id(row)).collect();
    assert_eq!(ids, [7, 100, 3, 101, 102, 1 << 63, (1 << 63) + 1]);
    // As i64 in the results, with the same bits.
    let hits = index.search(given.view(), 1, &SearchParams::default()).unwrap();
    assert_eq!(hits.ids, [i64::MIN]);
}
