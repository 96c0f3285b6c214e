//! Look-ups of bytes: against the sums that they choose.

use super::{Rng, config};
use crate::kernels::Isa;
use crate::kernels::fastscan::BLOCK;
use crate::kernels::lookup::{ByteTables, RoundedTables, VALUES};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn the_sums_of_whole_bytes_are_added_up(seed: u64, parts in 1usize..70, lane in 0..BLOCK, more in 0usize..40) {
        let mut rng = Rng(seed);
        let pairs = parts.div_ceil(2);
        let codes: Vec<[u8; BLOCK]> = (0..pairs).map(|_| std::array::from_fn(|_| rng.next() as u8)).collect();
        let row: Vec<u8> = (0..pairs + more).map(|_| rng.next() as u8).collect();
        let sums = (0..parts).map(|_| std::array::from_fn(|_| rng.unit() as f32)).collect();
        let tables = ByteTables { sums };
        prop_assert_eq!(ByteTables::size(parts), parts * VALUES * 4);
        let want: f64 = (0..parts)
            .map(|m| {
                let nibble = |byte: u8| if m % 2 == 0 { byte % 16 } else { byte / 16 };
                let value = nibble(codes[m / 2][lane]) * 16 + nibble(row[m / 2]);
                f64::from(tables.sums[m][usize::from(value)])
            })
            .sum();
        let got = f64::from(tables.dot(&codes, lane, &row));
        prop_assert!((got - want).abs() < 1e-6 * parts as f64, "{} is not {}", got, want);
    }

    #[test]
    fn sums_are_not_below_those_of_rounded_tables_nor_above_by_more_than_twice_the_slack(
        seed: u64,
        parts in prop_oneof![1usize..70, 200usize..300],
        count in 0usize..200,
        (scale, shift) in prop::sample::select(vec![(1f32, 0f32), (1e-3, -5.0), (1e6, 3.0), (0.0, 1.0)]),
        offset in -9f32..9.0,
    ) {
        let mut rng = Rng(seed);
        let codes: Vec<u8> = (0..count * parts).map(|_| rng.next() as u8).collect();
        let sums: Vec<[f32; VALUES]> =
            (0..parts).map(|_| std::array::from_fn(|_| rng.unit() as f32 * scale + shift)).collect();
        for isa in Isa::available() {
            let mut tables = RoundedTables::default();
            prop_assert!(tables.set(isa, &sums));
            let mut got = vec![0.0; count];
            tables.least(isa, &codes, offset, &mut got);
            for (code, got) in codes.chunks_exact(parts).zip(got) {
                let sum = code.iter().zip(&sums).map(|(&byte, sums)| f64::from(sums[usize::from(byte)]));
                let want = sum.sum::<f64>() + f64::from(offset);
                let slack = f64::from(tables.slack(offset));
                let above = want - f64::from(got);
                prop_assert!((0.0..=2.0 * slack).contains(&above), "{} {got}, not {want}, {slack}", isa.name());
            }
        }
    }

    #[test]
    fn tables_with_an_entry_that_is_no_number_are_not_rounded(seed: u64, entry in 0..VALUES, all: bool, value in prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY])) {
        let mut rng = Rng(seed);
        let sums: Vec<[f32; VALUES]> = (0..4).map(|part| std::array::from_fn(|at| if part == 2 && (all || at == entry) { value } else { rng.unit() as f32 })).collect();
        for isa in Isa::available() {
            prop_assert!(!RoundedTables::default().set(isa, &sums), "{}", isa.name());
        }
    }
}
