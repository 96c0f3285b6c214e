//! Vectors in other coordinates.
//!
//! A [`Projection`] is what codes and graphs learn for themselves: where vectors differ most. A [`Chain`] is what the user asks for
//! before anything else is done with vectors: normalised, rotated, reduced, whitened, balanced.

mod chain;
mod matrix;
mod projection;
mod rotation;

pub(crate) use chain::Chain;
pub use chain::{Transform, Transforms};
pub(crate) use matrix::Matrix;
pub use projection::{Projection, Split};
pub(crate) use projection::{columns, sample};
pub(crate) use rotation::hadamard;
