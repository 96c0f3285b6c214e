//! What can one core multiply and add? The operations of the tile alone: no reduction, nothing beyond L1.

use std::hint::black_box;
use std::time::{Duration, Instant};

use steep::kernels::{Isa, Kernel, Simd};

/// The instruction sets that this processor has, of two forms of one the better.
pub fn sets() -> Vec<Isa> {
    let mut sets = Isa::available();
    sets.dedup_by_key(|isa| isa.name());
    sets
}

/// An operation that a tile is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// [`Simd::mul_add_f32`].
    Floats,
    /// [`Simd::dot_bytes`].
    Bytes,
    /// [`Simd::dot_codes`].
    Codes,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Floats => "floats",
            Self::Bytes => "bytes",
            Self::Codes => "codes",
        }
    }
}

/// The best time of one call to `work`, over a quarter of a second and at least five calls.
pub fn best(mut work: impl FnMut()) -> f64 {
    let (start, mut best, mut calls) = (Instant::now(), Duration::MAX, 0);
    while calls < 5 || start.elapsed() < Duration::from_millis(250) {
        let call = Instant::now();
        work();
        best = best.min(call.elapsed());
        calls += 1;
    }
    best.as_secs_f64()
}

/// Multiply-adds a second, in units of 10⁹: the best over numbers of accumulators, as too few wait for each other and
/// too many leave the registers.
pub fn gmacs(isa: Isa, operation: Operation) -> f64 {
    const ROUNDS: usize = 2000;
    let lanes = match operation {
        Operation::Floats => 16,
        Operation::Bytes => 64,
        Operation::Codes => 64,
    };
    let rate = |n: usize, steps: usize, seconds: f64| (lanes * n * steps * ROUNDS) as f64 / seconds / 1e9;
    macro_rules! best_of {
        ($($n:literal)*) => {[$({
            let work = || { isa.run(Multiply::<$n> { operation, rounds: ROUNDS }); };
            rate($n, STEPS, best(work))
        }),*]};
    }
    best_of!(1 2 4 5 6 8 10 12 16 20 24).into_iter().fold(0.0, f64::max)
}

/// Steps of data, 4 KiB of lines: read again and again from L1.
const STEPS: usize = 32;

struct Multiply<const N: usize> {
    operation: Operation,
    rounds: usize,
}

impl<const N: usize> Kernel for Multiply<N> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.operation {
            Operation::Floats => {
                // No memory at all. |acc| stays below 2, and no multiplication can be moved out of the loop.
                let (half, one) = (s.splat_f32(black_box(0.5)), s.splat_f32(black_box(1.0)));
                let mut acc = [s.zero_f32(); N];
                for _ in 0..self.rounds * STEPS {
                    for i in 0..N {
                        acc[i] = s.mul_add_f32(acc[i], half, one);
                    }
                }
                for i in 0..N {
                    black_box(s.lanes_f32(acc[i]));
                }
            }
            Operation::Bytes => {
                // As in the tile: one line for all queries, and each query's coordinates from L1.
                let x = black_box([[1u8; 64]; STEPS]);
                let q = black_box([[[0x0101_0101i32; 2]; N]; STEPS]);
                let mut acc = [s.zero_i32(); N];
                for _ in 0..self.rounds {
                    for step in 0..STEPS {
                        for i in 0..N {
                            acc[i] = s.dot_bytes(acc[i], &x[step], &q[step][i]);
                        }
                    }
                }
                for i in 0..N {
                    black_box(s.sum_i32(acc[i]));
                }
            }
            Operation::Codes => {
                let x = black_box([[1u8; 64]; STEPS]);
                let q = black_box([[0x0101_0101i32; N]; STEPS]);
                let mut acc = [s.zero_codes(); N];
                for _ in 0..self.rounds {
                    for step in 0..STEPS {
                        for i in 0..N {
                            acc[i] = s.dot_codes(acc[i], &x[step], q[step][i]);
                        }
                    }
                }
                for i in 0..N {
                    black_box(s.sum_i32(s.widen_codes(acc[i])));
                }
            }
        }
    }
}
