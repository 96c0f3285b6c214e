//! Vectors as they are: four bytes a coordinate.

use super::lanes::{Coordinates, F32, LinearScorer};
use super::{Codec, Scorer};
use crate::error::Result;
use crate::metric::Metric;

/// Codes that are the vectors themselves.
pub struct Flat {
    dim: usize,
}

impl Flat {
    /// Of vectors of `dim` coordinates.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where there are none, or too many.
    pub fn new(dim: usize) -> Result<Self> {
        super::check_dim(dim)?;
        Ok(Self { dim })
    }
}

impl Codec for Flat {
    fn dim(&self) -> usize {
        self.dim
    }

    fn code_size(&self) -> usize {
        4 * self.dim
    }

    fn encode(&self, x: &[f32], _: Option<&[f32]>, codes: &mut [u8]) {
        for (code, v) in codes.as_chunks_mut::<4>().0.iter_mut().zip(x) {
            *code = v.to_le_bytes();
        }
    }

    fn is_plain(&self) -> bool {
        cfg!(target_endian = "little")
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        for (v, code) in x.iter_mut().zip(codes.as_chunks::<4>().0) {
            *v = f32::from_le_bytes(*code);
        }
    }

    fn scorer<'a>(&'a self, metric: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        let codes = Coordinates { size: self.code_size(), scales: &[], biases: &[] };
        Box::new(LinearScorer::<F32>::new(codes, metric, query))
    }
}
