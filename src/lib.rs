//! Steep.
#![deny(unsafe_code)]
pub mod error;
pub mod kernels;
pub mod metric;
pub mod vectors;
pub use error::{Error, Result};
pub use metric::Metric;
pub use vectors::{Dtype, Vectors};
