//! Every matrix on every instruction set against products in f64.

use half::bf16;
use nalgebra::DMatrix;
use proptest::prelude::*;

use super::{Matrix, Projection, RoundedMatrix, Turn, square};
use crate::kernels::Isa;
use crate::random::Random;

/// How far each coordinate of Px is from what `turn` makes of it, in parts of |p||x|, at most and in the mean square; coordinates
/// beyond those of P must be zero.
fn errors(turn: &dyn Turn, (rows, dims): (&[f32], usize), values: &[f32], stride: usize) -> (f64, f64) {
    let count = rows.len() / dims;
    let (mut most, mut squares, mut all) = (0f64, 0.0, 0.0);
    for isa in Isa::available() {
        let mut out = vec![f32::NAN; values.len() / dims * stride];
        turn.turn(isa, values, &mut out, stride);
        for (x, y) in values.chunks_exact(dims).zip(out.chunks_exact(stride)) {
            for (p, &y) in rows.chunks_exact(dims).zip(y) {
                let product = |a: &[f32], b: &[f32]| -> f64 {
                    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let size = (product(p, p) * product(x, x)).sqrt().max(f64::MIN_POSITIVE);
                let error = (f64::from(y) - product(p, x)).abs() / size;
                assert!(error.is_finite(), "{} of {p:?} and {x:?}", isa.name());
                most = most.max(error);
                squares += error * error;
                all += 1.0;
            }
            assert!(y[count..].iter().all(|&v| v == 0.0), "{}: {:?}", isa.name(), &y[count..]);
        }
    }
    (most, (squares / f64::max(all, 1.0)).sqrt())
}

proptest! {
    #[test]
    fn with_an_axis_rows_are_orthonormal_and_hold_it_whole(
        (dim, width) in (1usize..40).prop_flat_map(|dim| (Just(dim), 1..=dim)),
        at in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let mut sample = DMatrix::from_fn(dim, 50, |_, _| random.unit());
        let axis = at.index(dim);
        let before = Projection::train(&mut sample, width, seed, None).unwrap();
        let after = before.clone().with_axis(axis);
        prop_assert_eq!(after.width(), width);
        prop_assert!(after.defect() < 1e-3);
        let held: f32 = after.rows().chunks_exact(dim).map(|row| row[axis] * row[axis]).sum();
        prop_assert!((held - 1.0).abs() < 1e-4, "{}", held);
        let others = (width - 1) * dim;
        prop_assert_eq!(&after.rows()[..others], &before.rows()[..others]);
    }

    #[test]
    fn what_a_matrix_makes_of_a_vector_is_as_near_as_its_values_are_precise(
        (dims, count, vectors) in (1usize..80, 1usize..150, 0usize..24),
        size in prop::sample::select(vec![1e-6f32, 1.0, 1e12]),
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let mut draw = |n: usize, size: f32| -> Vec<f32> { (0..n).map(|_| (random.unit() as f32 - 0.3) * size).collect() };
        let (rows, mut values) = (draw(count * dims, 1.0), draw(vectors * dims, size));
        // One that is nothing, and one that is all in one place.
        values.iter_mut().take(dims).for_each(|v| *v = 0.0);
        values.iter_mut().skip(dims).take(dims).skip(1).for_each(|v| *v = 0.0);
        let stride = count.next_multiple_of(8);
        let rows = (&rows[..], dims);
        let (most, _) = errors(&Matrix::<f32>::new(rows.0, dims), rows, &values, stride);
        prop_assert!(most < 1e-5, "f32: {}", most);
        let (most, _) = errors(&Matrix::<bf16>::new(rows.0, dims), rows, &values, stride);
        prop_assert!(most < 5e-3, "bf16: {}", most);
        // Half a step on both sides, all of them in the worst direction: of uniform values a part of √3/127 and one of √3/255.
        let (most, _) = errors(&RoundedMatrix::new(rows.0, dims), rows, &values, stride);
        prop_assert!(most < 0.05, "bytes: {}", most);
    }
}

#[test]
fn a_matrix_of_bytes_is_off_by_less_than_a_hundredth_of_vectors_that_vary_alike() {
    let mut random = Random(7);
    let mut normal = |n: usize| -> Vec<f32> {
        (0..n).map(|_| (0..12).map(|_| random.unit() as f32).sum::<f32>() - 6.0).collect()
    };
    let dims = 384;
    let (rows, values) = (normal(48 * dims), normal(20 * dims));
    let (_, deviation) = errors(&RoundedMatrix::new(&rows, dims), (&rows, dims), &values, 48);
    // Of each row's products with the vectors, 1/√dims of |p||x| is what they are in the mean square.
    let part = deviation * (dims as f64).sqrt();
    assert!(part > 0.001 && part < 0.01, "{part}");
}

#[test]
fn the_widest_matrix_of_bytes_does_not_overflow() {
    let dims = crate::vectors::MAX_DIM;
    let rows: Vec<f32> = (0..2 * dims).map(|i| if i < dims { 1.0 } else { (i % 2) as f32 }).collect();
    let values = vec![1e6; dims];
    let (most, _) = errors(&RoundedMatrix::new(&rows, dims), (&rows, dims), &values, 8);
    assert!(most < 0.01, "{most}");
}

proptest! {
    /// Whatever the size of the data, and where it lies.
    #[test]
    fn heads_are_off_by_no_more_than_the_defect_allows_and_tails_are_never_too_short(
        (dims, part, count) in (1usize..90, 0f64..1.0, 1usize..5),
        size in prop::sample::select(vec![1e-30, 1e-3, 1.0, 1e30]),
        offset in prop::sample::select(vec![0.0, 1.0, 1e4]),
        seed in 0u64..1000,
    ) {
        let mut random = Random(seed);
        let mut numbers = |rows, columns| DMatrix::from_fn(rows, columns, |_, _| random.unit() - 0.5);
        let width = 1 + (part * (dims - 1) as f64) as usize;
        let rows: Vec<f32> = numbers(dims, width).qr().q().iter().map(|&v| v as f32).collect();
        let mean: Vec<f32> = numbers(dims, 1).iter().map(|v| ((v + offset) * size) as f32).collect();
        let columns = numbers(dims, count).map(|v| (v + offset) * size);
        let projection = Projection::new(mean.clone(), rows.clone());
        let mut seen = 0;
        projection.split(&mut columns.clone(), true, |i, x| {
            let centred: Vec<f64> = columns.column(i).iter().zip(&mean).map(|(v, m)| v - f64::from(*m)).collect();
            let rows = rows.chunks_exact(dims);
            let head: Vec<f64> = rows.map(|p| p.iter().zip(&centred).map(|(p, v)| f64::from(*p) * v).sum()).collect();
            let errors: Vec<f64> = head.iter().zip(x.head).map(|(a, b)| a - b).collect();
            assert!(square(&errors).sqrt() <= projection.defect() / 2.0 * x.norm.sqrt());
            assert!((x.norm - square(&centred)).abs() <= 1e-12 * x.norm);
            assert!(x.tail(width).powi(2) >= (1.0 - 1e-9) * (x.norm - square(&head)));
            seen += 1;
        });
        prop_assert_eq!(seen, count);
    }
}

/// By rounds where few are wanted, all at once otherwise.
#[test]
fn leading_directions_hold_nearly_as_much_as_any_and_all_of_it_where_nearly_all_are_wanted() {
    for (dim, width, least) in [(40, 36, 1.0 - 1e-6), (540, 16, 0.98)] {
        let mut random = Random(3);
        // Deviations that fall slowly, along axes of no order.
        let deviation = |j: usize| 1.0 / (1.0 + (j * 7 % dim) as f64).sqrt();
        let mut sample = DMatrix::from_fn(dim, 700, |j, _| (random.unit() - 0.5) * deviation(j));
        let projection = Projection::train(&mut sample, width, 9, None).unwrap();
        let mut singular: Vec<f64> = sample.singular_values().iter().map(|s| s * s).collect();
        singular.sort_unstable_by(|a, b| b.total_cmp(a));
        let best: f64 = singular[..width].iter().sum();
        let held = projection.apply(&sample).norm_squared();
        assert!(held <= best * (1.0 + 1e-6) && held >= least * best, "{dim}: {held} of {best}");
        assert!(projection.defect() < 2e-4, "{dim}: {}", projection.defect());
    }
}
