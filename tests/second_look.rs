//! Data whose rows are long and whose variance falls slowly gets fine codes beside the panels: they change no answer.

use steep::{AddParams, BuildParams, Dtype, Index, Metric, Spec};

use crate::common::data::{Rng, Set, decaying};
use crate::common::oracle::{Truth, check, expect_fine_codes};

const CODED: usize = 4096 + 107;
const DIM: usize = 320;

#[test]
fn every_metric_and_type_agrees_with_the_oracle() {
    let mut rng = Rng(91);
    let values = decaying(&mut rng, CODED, DIM, 0.8);
    let asked = decaying(&mut rng, 30, DIM, 0.8);
    for metric in Metric::PRODUCTS {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let (base, queries) = (Set::suited(dtype, DIM, &values), Set::suited(Dtype::F32, DIM, &asked));
            let params = BuildParams { metric, spec: Spec::FLAT, ..BuildParams::default() };
            let index = Index::build(base.view(), &params).unwrap();
            // Rows half as long leave less room, and the panels alone may do as well.
            if dtype == Dtype::F32 {
                expect_fine_codes(&index, dtype.name());
            }
            let bytes: u64 = index.bytes().iter().map(|(_, bytes)| bytes).sum();
            assert!(
                bytes as f64 <= 1.3 * (CODED * DIM * dtype.size()) as f64,
                "{metric} {dtype}: {bytes} bytes"
            );
            let truth = Truth::new(metric, &base, None, &queries);
            for (batch, k) in [(30, 1), (30, 10), (9, 100), (9, 500), (1, 10), (1, 100)] {
                check(&index, &queries, &truth, batch, k, dtype.name());
            }
        }
    }
}

#[test]
fn vectors_that_the_codes_do_not_hold_are_found() {
    let mut rng = Rng(92);
    let values = decaying(&mut rng, CODED, DIM, 0.8);
    let later = decaying(&mut rng, 100, DIM, 0.8);
    // Last coordinates first: what the codes' steps are finest for is what these have most of.
    let turned: Vec<f64> = later.chunks(DIM).flat_map(|row| row.iter().rev().copied()).collect();
    for (factor, shift) in
        [(1.0, 1000.0), (1.0, 0.0), (2f64.powi(20), 0.0), (2f64.powi(-20), 0.0), (0.0, 1.0)]
    {
        let later: Vec<f64> = turned.iter().map(|v| v * factor + shift).collect();
        let all = Set::new(Dtype::F32, DIM, values.iter().chain(&later).copied());
        let asked = values[..DIM * 5].iter().chain(&later[..DIM * 5]).copied();
        let queries = Set::new(Dtype::F32, DIM, asked);
        for metric in Metric::PRODUCTS {
            let params = BuildParams { metric, spec: Spec::FLAT, ..BuildParams::default() };
            let mut index = Index::build(all.view().rows(0..CODED), &params).unwrap();
            expect_fine_codes(&index, "unlike");
            index.add(all.view().rows(CODED..CODED + 3), &AddParams::default()).unwrap();
            index.add(all.view().rows(CODED + 3..all.len()), &AddParams::default()).unwrap();
            let truth = Truth::new(metric, &all, None, &queries);
            for (batch, k) in [(10, 1), (10, 10), (10, 300), (1, 10)] {
                check(&index, &queries, &truth, batch, k, &format!("× {factor} + {shift}"));
            }
        }
    }
}

#[test]
fn pieces_in_any_order_answer_as_one_build_does() {
    let mut rng = Rng(93);
    let pieces = [CODED, 1, 2, 13, 300, 16];
    let mut values = decaying(&mut rng, pieces.iter().sum(), DIM, 0.8);
    // Sorted by their first coordinate: the first vectors are no even part of all.
    let mut rows: Vec<&mut [f64]> = values.chunks_mut(DIM).collect();
    rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let values: Vec<f64> = rows.into_iter().flat_map(|row| row.iter().copied()).collect();
    let base = Set::new(Dtype::F32, DIM, values);
    let queries = base.rows(0..40);
    let mut index = Index::new(DIM, Metric::L2, Dtype::F32, Spec::FLAT).unwrap();
    let mut n = 0;
    for piece in pieces {
        index.add(base.view().rows(n..n + piece), &AddParams::default()).unwrap();
        n += piece;
        expect_fine_codes(&index, "pieces");
        let truth = Truth::new(Metric::L2, &base.rows(0..n), None, &queries);
        for (batch, k) in [(40, 10), (40, 200), (1, 3)] {
            check(&index, &queries, &truth, batch, k, &format!("{n} vectors"));
        }
    }
}
