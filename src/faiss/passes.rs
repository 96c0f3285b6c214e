//! When does it pay to make what rules vectors out? Once searching without it has cost about as much as making it: then what was lost by
//! waiting, or by making it for nothing, is no more than that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::kernels::{Isa, Kernel, Simd};
use crate::search::PACKED;

/// As many passes over all vectors take about as long as rounding them; of fewer vectors, what a search costs once matters more.
const SOME: u64 = 8;
const SEVERAL: usize = 4096;
/// The same of codes; and how many passes over one vector what is learned before the first code takes.
const MANY: u64 = 100;
const LEARNING: u64 = 3_000_000;
/// What queries that share a pass cost more than one that has it for itself, for vectors are packed for them.
const SHARED: u64 = 2;
/// Queries that codes spare as much as a pass where vectors are rounded or bytes: where a tile over bytes takes longer than one over
/// codes, and where it does not.
const AS_MUCH: [u64; 2] = [25, 100];

/// What was done without codes.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// Passes over the vectors as they are, were none rounded.
    whole: AtomicU64,
    queries: AtomicU64,
}

impl Passes {
    /// Counts a call of so many queries.
    pub fn add(&self, queries: usize) {
        self.whole.fetch_add(passes(queries), Relaxed);
        self.queries.fetch_add(queries as u64, Relaxed);
    }

    /// True where they pay for `n` vectors rounded to bytes: a quarter of the vectors' bytes is read.
    pub fn pay_for_rounding(&self, n: usize) -> bool {
        n >= SEVERAL && self.whole.load(Relaxed) >= SOME
    }

    /// True where they pay for codes of `n` vectors, or a call of so many queries will: vectors that are `rounded` until then, or bytes.
    pub fn pay_for_codes(&self, n: usize, queries: usize, rounded: bool) -> bool {
        let many = MANY + LEARNING / (n as u64).max(1);
        let (before, now) = match rounded {
            true => (self.queries.load(Relaxed) / as_much(), queries as u64 / as_much()),
            false => (self.whole.load(Relaxed), passes(queries)),
        };
        before >= many || now >= many * 3 / 2
    }
}

fn passes(queries: usize) -> u64 {
    let queries = queries as u64;
    queries.min(SHARED) * queries.div_ceil(PACKED as u64) + queries / as_much()
}

fn as_much() -> u64 {
    struct AsCodes;
    impl Kernel for AsCodes {
        type Out = bool;
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> bool {
            S::BYTES_AS_CODES
        }
    }
    AS_MUCH[usize::from(Isa::active().run(AsCodes))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_pay_after_many_queries_or_for_many_at_once_and_bytes_before() {
        let passes = Passes::default();
        assert!(!passes.pay_for_rounding(100_000));
        (0..SOME).for_each(|_| passes.add(1));
        assert!(passes.pay_for_rounding(100_000) && !passes.pay_for_rounding(100));
        for rounded in [true, false] {
            assert!(
                !passes.pay_for_codes(100_000, 1, rounded) && passes.pay_for_codes(100_000, 1 << 20, rounded)
            );
        }
        (0..MANY + 30).for_each(|_| passes.add(1));
        assert!(passes.pay_for_codes(100_000, 1, false) && !passes.pay_for_codes(100_000, 1, true));
        assert!(!passes.pay_for_codes(10_000, 1, false), "a pass is short, and learning takes as long");
        (0..AS_MUCH[1] * MANY * 2).for_each(|_| passes.add(1));
        assert!(passes.pay_for_codes(100_000, 1, true));
    }
}
