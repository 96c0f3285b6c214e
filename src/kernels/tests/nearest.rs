//! Rows of signed bytes against the plain sum.

use proptest::prelude::*;

use super::super::nearest::{Nearest, rows_of};
use super::super::{Isa, squares};
use super::{Rng, config};

fn rows(len: usize, width: usize, size: i64, seed: u64) -> Vec<i8> {
    let mut rng = Rng(seed);
    (0..len * width).map(|_| rng.int(-size, size - 1) as i8).collect()
}

fn square(a: &[i8], b: &[i8]) -> u32 {
    a.iter().zip(b).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2) as u32).sum()
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn squares_are_exact(steps in 1usize..20, seed: u64) {
        let width = steps * squares::STEP;
        let rows = rows(9, width, 128, seed);
        let row = |i: usize| &rows[i * width..][..width];
        let list = [8, 1, 0, 3, 3, 7, 4];
        for isa in Isa::available() {
            let mut out = vec![1; 9];
            squares::to_list(isa, row(2), &rows, &list, &mut out);
            prop_assert_eq!(&out, &list.map(|i| square(row(2), row(i as usize))));
            // More than all of them, and what is between them.
            for before in [u32::MAX, square(row(2), row(4))] {
                let mut least = vec![before; 9];
                squares::lower(isa, row(2), &rows, &list, &mut least);
                for (i, &least) in least.iter().enumerate() {
                    let lowered = list.contains(&(i as u32));
                    prop_assert_eq!(least, if lowered { square(row(2), row(i)).min(before) } else { before });
                }
            }
            prop_assert_eq!(squares::between(isa, row(4), row(5)), square(row(4), row(5)));
        }
    }

    #[test]
    fn the_nearest_are_those_of_the_plain_order(
        len in prop_oneof![3 => 1usize..300, 1 => 1000usize..2200, 1 => 1023usize..1026], queries in 1usize..12,
        k in prop_oneof![4 => 0usize..40, 1 => 40usize..250, 1 => 1000usize..1300], steps in 1usize..33,
        size in prop_oneof![1i64..17, 1i64..129], seed: u64,
    ) {
        let width = 4 * steps;
        let (vectors, queries) = (rows(len, width, size, seed), rows(queries, width, size, seed ^ 1));
        // What was searched before leaves no trace.
        let mut nearest = Nearest::default();
        for isa in Isa::available() {
            let other = rows(40, 64, 128, 3);
            nearest.load(isa, (40, 64), rows_of(&other, 64));
            nearest.search(isa, (7, 3), rows_of(&other, 64), |_, list| assert_eq!(list.len(), 3));
            nearest.load(isa, (len, width), rows_of(&vectors, width));
            let mut asked_for = 0;
            let row = rows_of(&queries, width);
            nearest.search(isa, (queries.len() / width, k), &row, |asked, list| {
                assert_eq!(asked.at, asked_for);
                asked_for += 1;
                let (query, scale) = fitted(row(asked.at));
                let told: Vec<f64> = vectors.chunks_exact(width).map(|x| told(&query, scale, x)).collect();
                let mut order: Vec<usize> = (0..len).collect();
                order.sort_by(|&i, &j| told[j].total_cmp(&told[i]).then(i.cmp(&j)));
                order.truncate(k);
                let mut found: Vec<usize> = list.iter().map(|found| found.1 as usize).collect();
                found.sort_by(|&i, &j| told[j].total_cmp(&told[i]).then(i.cmp(&j)));
                // Norms are told to 16 bits, which is all of them where coordinates are small.
                let slack = if size <= 16 { 0.0 } else { 64.0 * 64.5 * width as f64 * 2f64.powi(-14) };
                if slack == 0.0 {
                    assert_eq!(&found, &order, "{}", isa.name());
                }
                assert_eq!(found.len(), order.len());
                for (&(value, i), at) in list.iter().zip(0..) {
                    let (want, square) = (told[i as usize], squared(row(asked.at), &vectors[i as usize * width..][..width]));
                    assert!((f64::from(value) - want).abs() <= slack, "{}: {value}, not {want}", isa.name());
                    assert!(told[found[at]] >= told[order[at]] - 2.0 * slack, "{}: too far", isa.name());
                    if scale == 1.0 {
                        assert!((f64::from(asked.squared(value)) - square).abs() <= 4.0 * slack, "{}", isa.name());
                    }
                }
            });
            prop_assert_eq!(asked_for, queries.len() / width);
        }
    }
}

/// φq and φ: no more than 258 of one sign may meet in a lane, which has two of every four coordinates of 32.
fn fitted(q: &[i8]) -> (Vec<f64>, f64) {
    let mut most = 0;
    for part in q.chunks(32) {
        for lane in 0..2 {
            let meet =
                || part.iter().enumerate().filter(|(j, _)| j / 2 % 2 == lane).map(|(_, &v)| i32::from(v));
            most =
                most.max(meet().filter(|&v| v > 0).sum::<i32>()).max(-meet().filter(|&v| v < 0).sum::<i32>());
        }
    }
    let mut scale = 1f32;
    if most > 258 || q.contains(&-128) {
        scale = (250.0 / most as f32).min(127.0 / 128.0);
    }
    (q.iter().map(|&v| f64::from((f32::from(v) * scale).round_ties_even())).collect(), scale.into())
}

/// Σ c·φq / φ − Σ c(c + ½).
fn told(q: &[f64], scale: f64, x: &[i8]) -> f64 {
    let c = x.iter().map(|&x| (f64::from(x) / 2.0).floor());
    c.zip(q).map(|(c, q)| c * q / scale - c * (c + 0.5)).sum()
}

/// ‖q − x̃‖² less what rounding adds to it in the mean, not below 0.
fn squared(q: &[i8], x: &[i8]) -> f64 {
    let off = |(&q, &x): (&i8, &i8)| f64::from(q) - 2.0 * (f64::from(x) / 2.0).floor() - 0.5;
    (q.iter().zip(x).map(off).map(|v| v * v).sum::<f64>() - q.len() as f64 / 4.0).max(0.0)
}

#[test]
fn the_largest_distance_is_no_overflow() {
    let width = 65_536;
    for isa in Isa::available() {
        let (low, high) = (vec![-128; width], vec![127; width]);
        let square = 65_536 * 255 * 255;
        assert_eq!(squares::between(isa, &low, &high), square);
        let mut least = [u32::MAX; 5];
        squares::lower(isa, &low, &high.repeat(5), &[4, 0, 3, 1, 2], &mut least);
        assert_eq!(least, [square; 5]);
    }
}
