//! Rows of signed bytes against the plain sum.

use proptest::prelude::*;

use super::super::nearest::Nearest;
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
        let list = [8, 1, 0, 3, 3, 7];
        for isa in Isa::available() {
            let mut out = vec![1; 9];
            squares::to_list(isa, row(2), &rows, &list, &mut out);
            prop_assert_eq!(&out, &list.map(|i| square(row(2), row(i as usize))));
            let mut least = vec![1000; 9];
            squares::lower(isa, row(2), &rows, &list, &mut least);
            for (i, &least) in least.iter().enumerate() {
                let lowered = list.contains(&(i as u32));
                prop_assert_eq!(least, if lowered { square(row(2), row(i)).min(1000) } else { 1000 });
            }
            prop_assert_eq!(squares::between(isa, row(4), row(5)), square(row(4), row(5)));
        }
    }

    #[test]
    fn the_nearest_are_those_of_the_plain_order(
        len in 1usize..300, queries in 1usize..12, k in 1usize..40, steps in 1usize..5, size in 1i64..129, seed: u64
    ) {
        let width = 32 * steps;
        let (vectors, queries) = (rows(len, width, size, seed), rows(queries, width, size, seed ^ 1));
        for isa in Isa::available() {
            let mut nearest = Nearest::default();
            nearest.load(&rows(40, 64, 128, 3), 64);
            nearest.load(&vectors, width);
            let mut asked = 0;
            nearest.search(isa, &queries, k, |query, list| {
                assert_eq!(query, asked);
                asked += 1;
                let query = &queries[query * width..][..width];
                let mut all: Vec<(u32, u32)> =
                    vectors.chunks_exact(width).enumerate().map(|(i, row)| (square(query, row), i as u32)).collect();
                all.sort_unstable();
                all.truncate(k);
                let mut found: Vec<(u32, u32)> =
                    list.iter().map(|&(_, i)| (square(query, &vectors[i as usize * width..][..width]), i)).collect();
                found.sort_unstable();
                assert_eq!(found, all);
            });
            prop_assert_eq!(asked, queries.len() / width);
        }
    }
}

#[test]
fn the_largest_distance_is_no_overflow() {
    let width = 65_536;
    for isa in Isa::available() {
        let (low, high) = (vec![-128; width], vec![127; width]);
        assert_eq!(squares::between(isa, &low, &high), 65_536 * 255 * 255);
    }
}
