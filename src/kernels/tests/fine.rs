//! Lists of rows of codes.

use half::bf16;
use proptest::prelude::*;

use super::{Rng, config};
use crate::kernels::Isa;
use crate::kernels::fine::{CODE_MAX, FineQuery, FineRows, QUERY_MAX, STEP, WIDEST};
use crate::kernels::tile::Bound;

struct World {
    stride: usize,
    codes: Vec<i8>,
    a: Vec<bf16>,
    factors: Vec<[bf16; 2]>,
    query: FineQuery,
}

impl World {
    fn new(rng: &mut Rng, rows: usize, steps: usize, extreme: bool) -> Self {
        let stride = steps * STEP;
        let code = |rng: &mut Rng, most: i32| {
            let most = i64::from(most);
            if extreme { most * rng.int(0, 1) * 2 - most } else { rng.int(-most, most) }
        };
        let factor = |rng: &mut Rng| bf16::from_f64(rng.int(0, 1 << 20) as f64);
        let bound = Bound {
            beta: -(rng.int(0, 300) as f64),
            tau: rng.int(0, 300) as f64,
            origin: rng.unit() * 1e8 * steps as f64,
            slope: 1e7,
        };
        Self {
            stride,
            codes: (0..rows * stride).map(|_| code(rng, CODE_MAX) as i8).collect(),
            a: (0..rows).map(|_| factor(rng)).collect(),
            factors: (0..rows).map(|_| [factor(rng), factor(rng)]).collect(),
            query: FineQuery {
                codes: (0..stride).map(|_| code(rng, QUERY_MAX) as i16).collect(),
                bound,
                epsilon: rng.int(0, 300) as f64,
            },
        }
    }

    fn rows(&self) -> FineRows<'_> {
        FineRows { stride: self.stride, codes: &self.codes, a: &self.a, factors: &self.factors }
    }

    /// How far row `row` is above the threshold for `distance`, and how far f32 may be off.
    fn margin(&self, row: usize, distance: f32) -> (f64, f64) {
        let sum: i64 = self.codes[row * self.stride..][..self.stride]
            .iter()
            .zip(&self.query.codes)
            .map(|(&c, &k)| i64::from(c) * i64::from(k))
            .sum();
        let (bound, [t, e]) = (&self.query.bound, self.factors[row].map(f64::from));
        let terms = [sum as f64, bound.beta * f64::from(self.a[row]), bound.tau * t, self.query.epsilon * e];
        let threshold = bound.origin - bound.slope * f64::from(distance);
        let size = terms.iter().map(|v| v.abs()).sum::<f64>() + threshold.abs();
        // Four roundings of sums, one of the threshold, and the step from `distance` to the next f32.
        (terms.iter().sum::<f64>() - threshold, size * 8.0 * f64::from(f32::EPSILON))
    }
}

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn rows_that_may_be_near_enough_stay_in_order(
        seed: u64, rows in 1usize..60, steps in 1..=WIDEST / STEP, extreme: bool, distance in -40f32..40.0,
    ) {
        let mut rng = Rng(seed);
        let world = World::new(&mut rng, rows, steps, extreme);
        let list: Vec<u32> = (0..rows as u32).filter(|_| rng.int(0, 3) > 0).collect();
        for isa in Isa::available() {
            let mut kept = list.clone();
            world.query.refine(isa, world.rows(), distance, &mut kept);
            let mut left = kept.iter().peekable();
            for row in &list {
                let (margin, slack) = world.margin(*row as usize, distance);
                let is_kept = left.next_if(|kept| *kept == row).is_some();
                prop_assert!(margin.abs() <= slack || is_kept == (margin > 0.0), "{}: row {} {} {}", isa.name(), row, margin, slack);
            }
            prop_assert!(left.next().is_none(), "{}: {:?} of {:?}", isa.name(), kept, list);
        }
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    for isa in Isa::available() {
        for sign in [1, -1] {
            let mut world = World::new(&mut Rng(5), 5, WIDEST / STEP, false);
            world.codes.fill(CODE_MAX as i8);
            world.query.codes.fill((sign * QUERY_MAX) as i16);
            world.query.bound = Bound { beta: 0.0, tau: 0.0, origin: 0.0, slope: 0.0 };
            world.query.epsilon = 0.0;
            let mut list = vec![0, 1, 2, 3, 4];
            world.query.refine(isa, world.rows(), 0.0, &mut list);
            assert_eq!(list.len(), if sign > 0 { 5 } else { 0 }, "{}", isa.name());
        }
    }
}

#[test]
fn what_proves_nothing_keeps_all() {
    let list: Vec<u32> = (0..7).collect();
    for isa in Isa::available() {
        for case in 0..5 {
            let mut world = World::new(&mut Rng(6), 7, 2, false);
            world.query.bound.origin = 1e20;
            match case {
                0 => world.query.bound.origin = f64::NAN,
                1 => world.query.epsilon = 1e16,
                2 => world.query.bound.tau = 1e16,
                3 => world.factors.fill([bf16::ZERO, bf16::INFINITY]),
                _ => world.factors.fill([bf16::NAN, bf16::ZERO]),
            }
            let mut kept = list.clone();
            world.query.refine(isa, world.rows(), 1.0, &mut kept);
            assert_eq!(kept, list, "{} case {case}", isa.name());
        }
    }
}
