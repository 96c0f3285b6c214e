//! Bits that differ: against a loop over bits.

use super::{Rng, config};
use crate::kernels::hamming::{LONGEST, Planes, all, distances, within};
use crate::kernels::{Isa, Kernel, Simd};
use proptest::prelude::*;

/// One bit after the other.
fn far(a: &[u8], b: &[u8]) -> u32 {
    let bits = |v: &[u8]| -> Vec<bool> {
        v.iter().flat_map(|&byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect()
    };
    bits(a).into_iter().zip(bits(b)).map(|(a, b)| u32::from(a != b)).sum()
}

/// Holds every way of counting against the loop.
fn check(bytes: usize, rows: usize, queries: usize, seed: u64) {
    let mut rng = Rng(seed);
    // Some rows and queries are all ones or zeros, so that the largest sums are met.
    let mut vectors = |count: usize| -> Vec<u8> {
        let fill = |rng: &mut Rng| [None, None, None, Some(0), Some(255)][rng.int(0, 4) as usize];
        let fills: Vec<Option<u8>> = (0..count).map(|_| fill(&mut rng)).collect();
        fills
            .into_iter()
            .flat_map(|fill| (0..bytes).map(|_| fill.unwrap_or(rng.next() as u8)).collect::<Vec<_>>())
            .collect()
    };
    let (rows, queries) = (vectors(rows), vectors(queries));
    let truth: Vec<Vec<u32>> = queries
        .chunks_exact(bytes)
        .map(|query| rows.chunks_exact(bytes).map(|row| far(query, row)).collect())
        .collect();
    // A limit that is a distance, one just below it, none, and all.
    let limits: Vec<i32> = truth
        .iter()
        .map(|far| match (far.first(), rng.int(0, 3)) {
            (Some(&far), 0) => far as i32,
            (Some(&far), 1) => far as i32 - 1,
            (_, 2) => i32::MIN,
            _ => i32::MAX,
        })
        .collect();
    let near = |query: usize| -> Vec<u32> {
        let near = |row: &u32| i64::from(truth[query][*row as usize]) <= i64::from(limits[query]);
        (0..truth[query].len() as u32).filter(near).collect()
    };
    for isa in Isa::available() {
        for (at, query) in queries.chunks_exact(bytes).enumerate() {
            let list: Vec<u32> = (0..truth[at].len() as u32).rev().collect();
            let mut out = Vec::new();
            distances(isa, query, &rows, &list, &mut out);
            let want: Vec<f32> = truth[at].iter().rev().map(|&far| far as f32).collect();
            assert_eq!(out, want, "{} {bytes} bytes", isa.name());
            let mut every = vec![f32::NAN; truth[at].len()];
            all(isa, query, &rows, &mut every);
            assert_eq!(every, want.iter().rev().copied().collect::<Vec<_>>(), "{} {bytes} bytes", isa.name());
            if let Ok(limit) = u32::try_from(limits[at]) {
                let mut list = Vec::new();
                within(isa, query, &rows, limit, &mut list);
                assert_eq!(list, near(at), "{} {bytes} bytes, limit {limit}", isa.name());
            }
        }
        let (mut planes, mut lists) = (Planes::default(), vec![Vec::new(); truth.len()]);
        // What was in the planes before leaves nothing.
        planes.set(&vec![0xA5; bytes * 300], bytes);
        planes.set(&rows, bytes);
        planes.within(isa, &queries, &limits, &mut lists);
        for (query, list) in lists.into_iter().enumerate() {
            assert_eq!(list, near(query), "{} {bytes} bytes, limit {}", isa.name(), limits[query]);
        }
    }
}

proptest! {
    #![proptest_config(config(64))]
    #[test]
    fn every_way_of_counting_agrees_with_the_bits(bytes in 1usize..70, rows in 0usize..300, queries in 0usize..6, seed: u64) {
        check(bytes, rows, queries, seed);
    }

    #[test]
    fn what_bytes_are_added_up_of_is_told_apart_by_any_limit(seed: u64, rounds in 0usize..257) {
        struct Sums<'a>(&'a [u8; 32], &'a [u8; 16], usize, u16);
        impl Kernel for Sums<'_> {
            type Out = u32;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> u32 {
                let entries = s.add_entries(s.zero_bytes(), self.0, self.1);
                let mut sums = s.zero_sums();
                for _ in 0..self.2 {
                    sums = s.add_bytes(sums, entries);
                }
                s.at_most(sums, self.3)
            }
        }
        let mut rng = Rng(seed);
        let nibbles: [u8; 32] = std::array::from_fn(|_| rng.int(0, 15) as u8);
        let table: [u8; 16] = std::array::from_fn(|_| rng.next() as u8);
        let sums = nibbles.map(|nibble| u32::from(table[usize::from(nibble)]) * rounds as u32);
        for limit in [sums[0], sums[31].saturating_sub(1), 0, 65_535] {
            let want = (0..32).fold(0, |mask, i| mask | u32::from(sums[i] <= limit) << i);
            for isa in Isa::available() {
                prop_assert_eq!(isa.run(Sums(&nibbles, &table, rounds, limit as u16)), want, "{} {}", isa.name(), limit);
            }
        }
    }
}

#[test]
fn rows_of_any_length_are_counted() {
    for bytes in [1, 8, 16, 31, 32, 33, 62, 63, 64, 96, 128, 1024, LONGEST] {
        check(bytes, if bytes > 200 { 5 } else { 140 }, 3, bytes as u64);
    }
}
