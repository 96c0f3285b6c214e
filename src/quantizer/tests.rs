//! What every code promises.

use super::*;
use crate::random::Random;

const WIDTH: usize = 64;
const COUNT: usize = 2000;

/// Normal vectors whose coordinates have these deviations.
fn normal(random: &mut Random, deviations: &[f32]) -> Vec<f32> {
    let mut one = || (0..12).map(|_| random.unit() - 0.5).sum::<f64>() as f32;
    (0..COUNT).flat_map(|_| deviations.iter().map(|d| d * one()).collect::<Vec<f32>>()).collect()
}

/// Lengths, the same code for the same vector, and estimates that are right in the mean and as far off as is said.
fn keeps_its_promises(coding: Coding, deviations: &[f32]) {
    let mut random = Random(1);
    let residuals = normal(&mut random, deviations);
    let centers = normal(&mut random, &[2.0; WIDTH]);
    let offsets = normal(&mut random, &[1.0; WIDTH]);
    let made = coding.train(&residuals, WIDTH, (1, 1, None)).unwrap();
    let name = made.name();
    assert_eq!(made.width(), WIDTH);
    let again = coding.restore(WIDTH, made.nibbles(), &made.state()).unwrap();
    let (pairs, planes) = (made.pairs(), made.pairs() * made.extra());
    let mut errors = [(0.0, 0.0); 2];
    let rows = residuals.chunks(WIDTH).zip(centers.chunks(WIDTH)).zip(offsets.chunks(WIDTH));
    for ((residual, center), offset) in rows {
        let code = |by: &dyn Quantizer| {
            let (mut nibbles, mut rest) = (vec![0; pairs], vec![0; planes]);
            let factors =
                by.encode(Isa::active(), residual, center, Code { nibbles: &mut nibbles, planes: &mut rest });
            (nibbles, rest, factors)
        };
        let (nibbles, rest, factors) = code(&*made);
        assert_eq!(code(&*again), (nibbles.clone(), rest.clone(), factors), "{name}");
        let mut x = vec![0.0; WIDTH];
        made.decode(&nibbles, &rest, &mut x);
        let signs: Vec<f32> = x.iter().map(|x| x.signum() / 2.0).collect();
        let top = if made.extra() > 0 { &signs } else { &x };
        let length = dot(offset, offset).sqrt();
        for (level, x) in [top, &x].into_iter().enumerate() {
            let Factors { add, rescale } = factors[level];
            // Of the distance, what is left without the query: ‖r‖².
            let square = add + rescale * dot(x, center);
            assert!(
                (square - dot(residual, residual)).abs() < 1e-3 * (add.abs() + square),
                "{name}: {square}"
            );
            let error = (dot(x, offset) - dot(residual, offset) * -2.0 / rescale) / length;
            errors[level].0 += f64::from(error);
            errors[level].1 += f64::from(error).powi(2);
        }
    }
    for ((sum, squares), said) in errors.into_iter().zip(made.deviations()) {
        let (mean, deviation) = (sum / COUNT as f64, (squares / COUNT as f64).sqrt());
        assert!(mean.abs() < 4.0 * deviation / (COUNT as f64).sqrt(), "{name}: {mean} ± {deviation}");
        let ratio = deviation / f64::from(said);
        assert!((0.75..1.25).contains(&ratio), "{name}: {deviation}, not {said}");
    }
}

#[test]
fn bits_keep_their_promises() {
    for bits in 1..=8 {
        keeps_its_promises(Coding::Rabitq { bits }, &[10.0; WIDTH]);
    }
}

#[test]
fn nibbles_keep_their_promises() {
    let falling: Vec<f32> = (0..WIDTH).map(|j| 30.0 / (j + 1) as f32).collect();
    for nibbles in [1, 7, 16, 32, WIDTH, Product::MOST] {
        keeps_its_promises(Coding::Product { nibbles }, &falling);
    }
    keeps_its_promises(Coding::Product { nibbles: 20 }, &[10.0; WIDTH]);
}

#[test]
fn more_bits_and_more_nibbles_leave_less_open() {
    let residuals = normal(&mut Random(2), &[10.0; WIDTH]);
    let cosine = |coding: Coding| {
        let made = coding.train(&residuals, WIDTH, (1, 1, None)).unwrap();
        let sum: f32 = residuals
            .chunks(WIDTH)
            .map(|residual| {
                let (mut nibbles, mut rest) = (vec![0; made.pairs()], vec![0; made.pairs() * made.extra()]);
                made.encode(
                    Isa::active(),
                    residual,
                    residual,
                    Code { nibbles: &mut nibbles, planes: &mut rest },
                );
                let mut x = vec![0.0; WIDTH];
                made.decode(&nibbles, &rest, &mut x);
                dot(&x, residual) / (dot(&x, &x) * dot(residual, residual)).sqrt()
            })
            .sum();
        sum / COUNT as f32
    };
    // As research has it: 0.80, 0.94, 0.982, 0.995, 0.9985 … 0.99996.
    let floors = [0.79, 0.93, 0.98, 0.994, 0.998, 0.9994, 0.9998, 0.99994];
    for (bits, floor) in (1..).zip(floors) {
        let got = cosine(Coding::Rabitq { bits });
        assert!(got >= floor, "{bits} bits: {got}");
    }
    // One bit a coordinate of vectors without any structure, in parts of four; and two, in parts of two.
    let [one, two] = [16, 32].map(|nibbles| cosine(Coding::Product { nibbles }));
    assert!(one > 0.8 && two > 0.94, "{one}, {two}");
}
