//! Codes of several bits: against the products that they stand for.

use super::{Rng, config};
use crate::kernels::fastscan::{BLOCK, PAIR};
use crate::kernels::planes::{PlaneQuery, SLACK, WHOLE, pack, unpack};
use crate::kernels::{Isa, Kernel, Simd};
use proptest::prelude::*;

struct Dot<'a>(&'a [f32], (&'a [[u8; BLOCK]], usize, f32), &'a [u8], usize);

impl Kernel for Dot<'_> {
    type Out = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let Self(query, top, row, e) = self;
        let mut planes = PlaneQuery::default();
        planes.set(query);
        match e {
            0 => planes.dot::<S, 0>(s, top, row),
            1 => planes.dot::<S, 1>(s, top, row),
            2 => planes.dot::<S, 2>(s, top, row),
            3 => planes.dot::<S, 3>(s, top, row),
            4 => planes.dot::<S, 4>(s, top, row),
            5 => planes.dot::<S, 5>(s, top, row),
            6 => planes.dot::<S, 6>(s, top, row),
            7 => planes.dot::<S, 7>(s, top, row),
            _ => planes.dot::<S, WHOLE>(s, top, row),
        }
    }
}

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn codes_of_every_width_and_depth_give_the_products_of_their_values(
        seed: u64, pairs in 1usize..70, e in 0..=WHOLE, lane in 0..BLOCK, scale in -20i32..20,
    ) {
        let mut rng = Rng(seed);
        let width = pairs * PAIR;
        let codes: Vec<[u8; BLOCK]> = (0..pairs).map(|_| std::array::from_fn(|_| rng.next() as u8)).collect();
        // All ones in some cases, where sums are largest.
        let all = seed.is_multiple_of(5);
        // With all bits in the row, those of the block are not looked at.
        let bits = if e == WHOLE { WHOLE } else { e + 1 };
        let top = |j: usize| if e == WHOLE { 0 } else { codes[j / PAIR][lane] >> (j % PAIR) & 1 };
        let mut low = || if all { ((1u32 << e) - 1) as u8 } else { rng.next() as u8 & ((1u32 << e) - 1) as u8 };
        let high: Vec<u8> = (0..width).map(|j| top(j).checked_shl(e as u32).unwrap_or(0)).collect();
        let u: Vec<u8> = high.iter().map(|high| high | low()).collect();
        let mut row = vec![0; e * pairs];
        pack(&u, e, &mut row);
        let mut back = high.clone();
        unpack(&row, e, &mut back);
        prop_assert_eq!(&back, &u);
        row.extend([0xA5; SLACK]);
        let size = 2f32.powi(scale);
        let query: Vec<f32> = (0..width).map(|_| if all { size } else { rng.unit() as f32 * size }).collect();
        let sum = |values: &dyn Fn(usize) -> f64| -> f64 { query.iter().enumerate().map(|(j, &q)| values(j) * f64::from(q)).sum() };
        let tops = sum(&|j| f64::from(top(j)) - 0.5);
        let center = f64::from((1u32 << bits) - 1) / 2.0;
        let want = sum(&|j| f64::from(u[j]) - center);
        let reach = query.iter().fold(0f32, |reach, v| reach.max(v.abs()));
        // Half an integer of the query a coordinate, and what f32 rounds.
        let most: f64 = query.iter().map(|&q| f64::from(q.abs())).sum::<f64>() * f64::from(1u32 << e);
        let slack = f64::from(reach) / 32000.0 * 0.51 * width as f64 * f64::from(1u32 << e) + 1e-6 * most;
        for isa in Isa::available() {
            let got = f64::from(isa.run(Dot(&query, (&codes, lane, tops as f32), &row, e)));
            prop_assert!((got - want).abs() <= slack, "{}: {got}, not {want} ± {slack}", isa.name());
        }
    }
}
