//! Look-ups of bytes: against the sums that they choose.

use super::{Rng, config};
use crate::kernels::fastscan::BLOCK;
use crate::kernels::lookup::{ByteTables, VALUES};
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
}
