//! Vectors of zeros and ones, a bit each: a code is a row of bits, the lowest of a byte first.
//!
//! The squared Euclidean distance of such vectors is how many of their bits differ, so that whatever holds codes of vectors holds bits.

use super::{Codec, Residual, Scorer};
use crate::error::Result;
use crate::kernels::{Isa, hamming};
use crate::metric::Metric;
use crate::vectors::Dtype;

/// A bit for each coordinate: whether it is above 0.
pub struct Binary {
    dim: usize,
}

impl Binary {
    /// Of vectors of `dim` bits.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where there are none, too many, or not whole bytes of them.
    pub fn new(dim: usize) -> Result<Self> {
        Dtype::B1.check_dim(dim)?;
        Ok(Self { dim })
    }
}

fn pack(x: &[f32], codes: &mut [u8]) {
    for (code, eight) in codes.iter_mut().zip(x.as_chunks::<8>().0) {
        *code = eight.iter().zip(0..).fold(0, |code, (v, bit)| code | u8::from(*v > 0.0) << bit);
    }
}

impl Codec for Binary {
    fn dim(&self) -> usize {
        self.dim
    }

    fn code_size(&self) -> usize {
        self.dim / 8
    }

    fn encode(&self, x: &[f32], _: Option<&[f32]>, codes: &mut [u8]) {
        pack(x, codes);
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        for (eight, code) in x.as_chunks_mut::<8>().0.iter_mut().zip(codes) {
            for (bit, v) in eight.iter_mut().enumerate() {
                *v = f32::from(code >> bit & 1);
            }
        }
    }

    fn scorer<'a>(&'a self, _: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        let mut packed = vec![0; self.code_size()];
        pack(query, &mut packed);
        Box::new(BitScorer { isa: Isa::active(), query: packed, distances: Vec::new() })
    }
}

/// A query's bits.
struct BitScorer {
    isa: Isa,
    query: Vec<u8>,
    distances: Vec<f32>,
}

impl Scorer for BitScorer {
    fn enter(&mut self, _: Option<Residual>) {}

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        hamming::all(self.isa, &self.query, codes, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        self.distances.clear();
        hamming::distances(self.isa, &self.query, codes, rows, &mut self.distances);
        out.copy_from_slice(&self.distances);
    }
}
