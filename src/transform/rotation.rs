//! A random rotation in O(d log d): signs at random and Hadamard transforms in turn (Ailon, Chazelle 2009).
//!
//! Where d is no power of two the transforms take the first and the last p = 2^⌊log₂ d⌋ coordinates in turn, with steps between them
//! that mix the two halves of the vector. Each of the steps is orthogonal, and so is all of it, up to the rounding of f32.

use crate::kernels::{Isa, Kernel, Simd};
use crate::random::Random;

/// Rounds of signs, a transform and a mixing step.
const ROUNDS: usize = 6;

/// A rotation, the same for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    dim: usize,
    /// ±1/√p of each coordinate that is transformed, ±1 of the others, of each round.
    factors: Vec<f32>,
}

impl Rotation {
    pub fn new(dim: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let scale = 1.0 / (power(dim) as f32).sqrt();
        let factors = (0..ROUNDS).flat_map(|round| {
            let share = share(dim, round);
            (0..dim).map(move |at| if share.contains(&at) { scale } else { 1.0 })
        });
        let factors = factors.map(|factor| if random.next() >> 63 == 0 { factor } else { -factor });
        Self { dim, factors: factors.collect() }
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.factors.len() * size_of::<f32>()
    }

    /// Turns each vector of `values` in place.
    pub fn apply(&self, isa: Isa, values: &mut [f32]) {
        struct Turn<'a>(&'a Rotation, &'a mut [f32]);
        impl Kernel for Turn<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                self.1.chunks_exact_mut(self.0.dim).for_each(|vector| self.0.turn(vector));
            }
        }
        isa.run(Turn(self, values));
    }

    #[inline(always)]
    fn turn(&self, vector: &mut [f32]) {
        for (round, factors) in self.factors.chunks_exact(self.dim).enumerate() {
            for (v, factor) in vector.iter_mut().zip(factors) {
                *v *= factor;
            }
            hadamard(&mut vector[share(self.dim, round)]);
            if !self.dim.is_power_of_two() {
                let (low, high) = vector.split_at_mut(self.dim / 2);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (
                        (*a + *b) * std::f32::consts::FRAC_1_SQRT_2,
                        (*a - *b) * std::f32::consts::FRAC_1_SQRT_2,
                    );
                }
            }
        }
    }
}

/// p.
fn power(dim: usize) -> usize {
    1 << dim.ilog2()
}

/// The coordinates that a round transforms.
fn share(dim: usize, round: usize) -> std::ops::Range<usize> {
    let from = if round.is_multiple_of(2) { 0 } else { dim - power(dim) };
    from..from + power(dim)
}

/// The Hadamard transform of a power of two of values, times its square root.
#[inline(always)]
pub(crate) fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a basis too: no coordinate of what one direction becomes holds much of it.
    #[test]
    fn it_is_a_rotation_that_spreads_every_direction_over_all_coordinates() {
        for dim in [1, 2, 3, 7, 64, 100, 129, 255, 768] {
            let rotation = Rotation::new(dim, 7);
            let mut basis = vec![0f32; dim * dim];
            basis.iter_mut().step_by(dim + 1).for_each(|v| *v = 1.0);
            rotation.apply(Isa::active(), &mut basis);
            let rows: Vec<&[f32]> = basis.chunks_exact(dim).collect();
            for (i, a) in rows.iter().enumerate() {
                for (j, b) in rows.iter().enumerate().take(i + 1) {
                    let dot: f64 = a.iter().zip(*b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let want = f64::from(u8::from(i == j));
                    assert!((dot - want).abs() < 1e-5, "{dim}: ⟨{i},{j}⟩ = {dot}");
                }
                let largest = a.iter().fold(0f32, |most, v| most.max(v.abs()));
                assert!(dim < 64 || largest < 7.0 / (dim as f32).sqrt(), "{dim}: {largest}");
            }
        }
    }
}
