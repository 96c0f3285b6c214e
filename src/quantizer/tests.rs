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
fn keeps_its_promises(coding: Coding, refined: bool, deviations: &[f32]) {
    let mut random = Random(1);
    let residuals = normal(&mut random, deviations);
    let centers = normal(&mut random, &[2.0; WIDTH]);
    let offsets = normal(&mut random, &[1.0; WIDTH]);
    let made = coding.train(refined, &residuals, WIDTH, (1, 1, None)).unwrap();
    let name = made.name();
    assert_eq!(made.width(), WIDTH);
    let again = coding.restore(refined, WIDTH, made.nibbles(), &made.state()).unwrap();
    let (pairs, planes) = (made.pairs(), made.planes());
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
        let length = dot(offset, offset).sqrt();
        for (level, planes) in [&[][..], &rest].into_iter().enumerate() {
            let mut x = vec![0.0; WIDTH];
            made.decode(&nibbles, planes, &mut x);
            let Factors { add, rescale } = factors[level];
            // Of the distance, what is left without the query: ‖r‖².
            let square = add + rescale * dot(&x, center);
            assert!(
                (square - dot(residual, residual)).abs() < 1e-3 * (add.abs() + square),
                "{name}: {square}"
            );
            let error = (dot(&x, offset) - dot(residual, offset) * -2.0 / rescale) / length;
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

const STEPS: [Step; 3] = [Step::Rabitq, Step::Lvq, Step::Sq];

#[test]
fn bits_keep_their_promises() {
    for bits in 1..=8 {
        for step in STEPS {
            keeps_its_promises(Coding::Scalar { step, bits }, false, &[10.0; WIDTH]);
        }
    }
}

#[test]
fn nibbles_and_bytes_keep_their_promises() {
    let falling: Vec<f32> = (0..WIDTH).map(|j| 30.0 / (j + 1) as f32).collect();
    for parts in [1, 7, 16, 32, WIDTH, Product::MOST] {
        keeps_its_promises(Coding::Product { parts, bits: 4 }, false, &falling);
    }
    for parts in [4, 7, 16] {
        keeps_its_promises(Coding::Product { parts, bits: 8 }, false, &falling);
    }
    for bits in [4, 8] {
        keeps_its_promises(Coding::Product { parts: 20, bits }, false, &[10.0; WIDTH]);
    }
}

#[test]
fn refined_nibbles_keep_the_promises_of_both() {
    keeps_its_promises(Coding::Product { parts: 20, bits: 4 }, true, &[10.0; WIDTH]);
    keeps_its_promises(Coding::Scalar { step: Step::Rabitq, bits: 1 }, true, &[10.0; WIDTH]);
}

/// By the reach of each vector, no coordinate is off by more than half a step, and a step is what two levels are apart.
#[test]
fn locally_adapted_levels_are_at_most_half_a_step_off() {
    let residuals = normal(&mut Random(3), &[10.0; WIDTH]);
    for bits in 2..=8 {
        let made =
            Coding::Scalar { step: Step::Lvq, bits }.train(false, &residuals, WIDTH, (1, 1, None)).unwrap();
        for residual in residuals.chunks(WIDTH) {
            let (mut nibbles, mut planes) = (vec![0; made.pairs()], vec![0; made.planes()]);
            let code = Code { nibbles: &mut nibbles, planes: &mut planes };
            made.encode(Isa::active(), residual, residual, code);
            let mut x = vec![0.0; WIDTH];
            made.decode(&nibbles, &planes, &mut x);
            let reach = residual.iter().fold(0f32, |most, r| most.max(r.abs()));
            let step = reach / (1 << (bits - 1)) as f32;
            let off = residual.iter().zip(&x).map(|(r, x)| (r - x * step).abs()).fold(0f32, f32::max);
            assert!(off <= step * 0.500_1, "{bits} bits: {off} of a step of {step}");
        }
    }
}

#[test]
fn more_bits_and_more_nibbles_leave_less_open() {
    let residuals = normal(&mut Random(2), &[10.0; WIDTH]);
    let cosine = |coding: Coding| {
        let made = coding.train(false, &residuals, WIDTH, (1, 1, None)).unwrap();
        let sum: f32 = residuals
            .chunks(WIDTH)
            .map(|residual| {
                let (mut nibbles, mut rest) = (vec![0; made.pairs()], vec![0; made.planes()]);
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
    // As research has it: 0.80, 0.94, 0.982, 0.995, 0.9985 … 0.99996; levels that suit any vector, or one's reach, lose some.
    let floors = [0.79, 0.93, 0.98, 0.994, 0.998, 0.9994, 0.9998, 0.99994];
    for (bits, floor) in (1..).zip(floors) {
        for (step, lost) in STEPS.into_iter().zip([1.0, 4.0, 1.6]) {
            let got = cosine(Coding::Scalar { step, bits });
            assert!(got >= 1.0 - (1.0 - floor) * lost, "{step:?}, {bits} bits: {got}");
        }
    }
    // One bit a coordinate of vectors without any structure, in parts of four; and two, in parts of two. Bytes see twice as many
    // coordinates together.
    let [one, two] = [16, 32].map(|parts| cosine(Coding::Product { parts, bits: 4 }));
    assert!(one > 0.8 && two > 0.94, "{one}, {two}");
    let [same, more] = [8, 16].map(|parts| cosine(Coding::Product { parts, bits: 8 }));
    assert!(same > one && more > two, "{same} after {one}, {more} after {two}");
}
