//! Table look-up: against the products that it stands for.

use half::bf16;

use super::{Rng, config};
use crate::kernels::fastscan::{BLOCK, BlockFactors, PAIR, Tables};
use crate::kernels::simd::ENTRY_LIMIT;
use crate::kernels::{Isa, Kernel, Simd};
use proptest::prelude::*;

/// The sums of some look-ups of two lines of codes, one after the other, and of as many of both at once, as floats.
struct LookUp<'a>(&'a [[u8; 32]; 2], &'a [[[u8; 16]; 2]; 2], [usize; 3]);

impl Kernel for LookUp<'_> {
    type Out = [[f32; 16]; 2];
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [[f32; 16]; 2] {
        let mut sums = s.zero_sums();
        for line in 0..2 {
            for _ in 0..self.2[line] {
                sums = s.look_up(sums, &self.0[line], &self.1[line]);
            }
        }
        for _ in 0..self.2[2] {
            sums = s.look_up_some(sums, self.0, self.1);
        }
        let [low, high] = s.sums_f32(sums);
        [s.lanes_f32(low), s.lanes_f32(high)]
    }
}

struct Estimate<'a>(&'a [f32], &'a [[u8; BLOCK]], &'a BlockFactors, (f32, f32));

impl Kernel for Estimate<'_> {
    type Out = [[f32; 16]; 2];
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [[f32; 16]; 2] {
        let mut tables = Tables::default();
        tables.set(s, self.0);
        let (center, lift) = self.3;
        let [low, high] = self.2.estimates(s, tables.dots(s, self.1, lift, &[]), center);
        [s.lanes_f32(low), s.lanes_f32(high)]
    }
}

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn look_up_adds_the_entries_of_both_halves_without_overflow(
        seed: u64, rounds in (0usize..90, 0usize..90).prop_map(|(a, b)| [a, b, (257 - a - b) / 2]),
    ) {
        let mut rng = Rng(seed);
        let limit = i64::from(ENTRY_LIMIT);
        let codes: [[u8; 32]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| rng.next() as u8));
        // The largest entries in half of the cases.
        let mut entry = || if seed & 1 == 0 { ENTRY_LIMIT } else { rng.int(0, limit) as u8 };
        let tables: [[[u8; 16]; 2]; 2] =
            std::array::from_fn(|_| std::array::from_fn(|_| std::array::from_fn(|_| entry())));
        for isa in Isa::available() {
            let sums = isa.run(LookUp(&codes, &tables, rounds));
            for (i, sum) in sums.into_iter().flatten().enumerate() {
                let of = |line: usize| {
                    let [low, high] = tables[line];
                    let code = codes[line][i];
                    let one = u32::from(low[usize::from(code & 15)]) + u32::from(high[usize::from(code >> 4)]);
                    one * (rounds[line] + rounds[2]) as u32
                };
                prop_assert_eq!(sum, (of(0) + of(1)) as f32, "{} vector {}", isa.name(), i);
            }
        }
    }

    #[test]
    fn tables_of_any_sums_give_their_totals_but_for_the_tables_steps(seed: u64, nibbles in 1usize..130, scale in -12i32..12) {
        struct Totals<'a>(&'a [[f32; 16]], &'a [[u8; BLOCK]]);
        impl Kernel for Totals<'_> {
            type Out = [[f32; 16]; 2];
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> [[f32; 16]; 2] {
                let mut tables = Tables::default();
                tables.set_sums(self.0);
                let [low, high] = tables.dots(s, self.1, 0.0, &[]);
                [s.lanes_f32(low), s.lanes_f32(high)]
            }
        }
        let mut rng = Rng(seed);
        let size = 2f32.powi(scale);
        let sums: Vec<[f32; 16]> = (0..nibbles).map(|_| std::array::from_fn(|_| rng.unit() as f32 * size)).collect();
        let codes: Vec<[u8; BLOCK]> = (0..nibbles.div_ceil(2)).map(|_| std::array::from_fn(|_| rng.next() as u8)).collect();
        let span = |sums: &[f32; 16]| sums.iter().fold(f32::MIN, |a, &b| a.max(b)) - sums.iter().fold(f32::MAX, |a, &b| a.min(b));
        let step = f64::from(sums.iter().map(span).fold(0f32, f32::max)) / f64::from(ENTRY_LIMIT);
        for isa in Isa::available() {
            for (i, got) in isa.run(Totals(&sums, &codes)).into_iter().flatten().enumerate() {
                let nibble = |m: usize| usize::from(codes[m / 2][i] >> (m % 2 * 4) & 15);
                let want: f64 = sums.iter().enumerate().map(|(m, sums)| f64::from(sums[nibble(m)])).sum();
                let slack = 0.51 * step * nibbles as f64 + 1e-5 * f64::from(size) * nibbles as f64;
                prop_assert!((f64::from(got) - want).abs() <= slack, "{} vector {i}: {got}, not {want}", isa.name());
            }
        }
    }

    #[test]
    fn estimates_are_the_sums_of_the_products_but_for_the_tables_steps(
        seed: u64, pairs in 1usize..65, scale in -12i32..12, shape in 0u8..4,
    ) {
        let mut rng = Rng(seed);
        let size = 2f32.powi(scale);
        let query: Vec<f32> = (0..pairs * PAIR)
            .map(|j| match shape {
                0 => rng.unit() as f32 * size,
                1 if j == 3 => -size,
                1 => 0.0,
                2 => size,
                _ => 0.0,
            })
            .collect();
        let codes: Vec<[u8; BLOCK]> = (0..pairs).map(|_| std::array::from_fn(|_| rng.next() as u8)).collect();
        let mut factors = || -> [[bf16; 16]; 2] {
            std::array::from_fn(|_| std::array::from_fn(|_| bf16::from_f64(rng.unit() * 100.0)))
        };
        let (add, rescale) = (factors(), factors());
        let (center, lift) = (size * 3.0, size * 0.5);
        let half: f64 = query.iter().map(|&q| f64::from(q)).sum::<f64>() / 2.0;
        // The widest table of four coordinates sets the step.
        let spans = query.chunks(4).map(|four| four.iter().map(|q| f64::from(q.abs())).sum::<f64>());
        let step = spans.fold(0.0, f64::max) / f64::from(ENTRY_LIMIT - 1);
        for isa in Isa::available() {
            let estimates = isa.run(Estimate(&query, &codes, &BlockFactors { add, rescale }, (center, lift)));
            for (i, estimate) in estimates.into_iter().flatten().enumerate() {
                let bit = |j: usize| codes[j / PAIR][i] >> (j % PAIR) & 1 == 1;
                let sum: f64 = query.iter().enumerate().filter(|(j, _)| bit(*j)).map(|(_, q)| f64::from(*q)).sum();
                let (add, rescale) = (add[i / 16][i % 16].to_f64(), rescale[i / 16][i % 16].to_f64());
                let want = f64::from(center) + add + rescale * (sum - half + f64::from(lift));
                // Half a step a table, and what the coordinates lose as integers.
                let slack = rescale.abs() * 0.6 * step * (2 * pairs) as f64 + 1e-4 * (want.abs() + add.abs() + f64::from(center))
                    + 1e-4 * rescale.abs() * half.abs();
                prop_assert!(
                    (f64::from(estimate) - want).abs() <= slack,
                    "{} vector {i}: {estimate}, not {want} ± {slack}", isa.name()
                );
            }
        }
    }
}
