//! Vectors in other coordinates.
//!
//! A [`Projection`] is what codes and graphs learn for themselves: where vectors differ most. A [`Chain`] is what the user asks for
//! before anything else is done with vectors: normalised, rotated, reduced, whitened, balanced.

mod chain;
mod matrix;
mod projection;
mod rotation;
mod rounded;
#[cfg(test)]
mod tests;

pub(crate) use chain::Chain;
pub use chain::{Transform, Transforms};
pub(crate) use matrix::Matrix;
pub use projection::{Projection, Split};
pub(crate) use projection::{columns, sample, square};
pub(crate) use rotation::hadamard;
pub(crate) use rounded::RoundedMatrix;

use crate::kernels::Isa;

/// What turns vectors, many at a time.
pub(crate) trait Turn: Send + Sync {
    /// Makes each row of `out`, of `stride` values, what becomes of a vector of `values`, followed by zeros.
    fn turn(&self, isa: Isa, values: &[f32], out: &mut [f32], stride: usize);
    /// Memory, in bytes.
    fn bytes(&self) -> usize;
}
