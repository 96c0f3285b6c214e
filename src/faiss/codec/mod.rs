//! What do the bytes of a code mean? One codec for each layout of Faiss's.

mod batch;
mod binary;
mod bits;
mod books;
mod estimate;
mod fastscan;
mod flat;
mod lanes;
mod lookup;
mod product;
mod rabitq;
mod ranges;
mod scalar;
#[cfg(test)]
mod tests;
mod whole;

use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::vectors::MAX_DIM;

pub use batch::{decode, distances, encode};
pub use binary::Binary;
pub use books::{BookParams, train_books};
pub use fastscan::FastScan;
pub use flat::Flat;
pub use product::Product;
pub use rabitq::{RaBitQ, RaBitQuery};
pub use ranges::{RangeStat, train_ranges};
pub use scalar::{Layout, Scalar};

/// Vectors in, codes out, and how far codes are from a query.
///
/// Vectors are f32, row after row; codes are [`Codec::code_size`] bytes each, one after the other. Lengths are checked by callers.
pub trait Codec: Send + Sync {
    /// Coordinates of a vector.
    fn dim(&self) -> usize;
    /// Bytes of a code.
    fn code_size(&self) -> usize;
    /// Vectors whose codes lie together, byte beside byte: the first byte of each, then the second of each, and so on. One where a
    /// code's bytes lie together. The scorer reads codes as they lie, whole blocks.
    fn block(&self) -> usize {
        1
    }
    /// Codes `x`, which are whole rows, on the calling thread. `centers` are taken off by the caller; those codecs that need
    /// them besides (RaBitQ's factors are about residuals *and* their centre) get one a row.
    fn encode(&self, x: &[f32], centers: Option<&[f32]>, codes: &mut [u8]);
    /// True where codes are vectors as they lie in memory.
    fn is_plain(&self) -> bool {
        false
    }
    /// The vectors (or residuals) that codes stand for.
    fn decode(&self, codes: &[u8], x: &mut [f32]);
    /// What the list's `center` and each of its `codes` add to the distance whatever the query, which scorers leave out in a list; `None`
    /// where there is no such thing: then nobody looks for the codes.
    fn terms(&self, _metric: Metric, _center: &[f32], _codes: &dyn Fn() -> Vec<u8>) -> Option<Vec<f32>> {
        None
    }
    /// What a scorer reads for every code, in bytes: some scorers at a time should fit a cache.
    fn scorer_bytes(&self) -> usize {
        0
    }
    /// What turns codes into distances from `query`; made once a query. `metric` is l2 or ip.
    fn scorer<'a>(&'a self, metric: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a>;
}

/// The list that codes lie in, where they are of residuals.
#[derive(Clone, Copy)]
pub struct Residual<'a> {
    /// Its centre.
    pub center: &'a [f32],
    /// ‖q − c‖² under l2, ⟨q,c⟩ under ip.
    pub coarse: f32,
}

/// One query against codes. Distances are smaller for what is nearer: squared Euclidean under l2, −⟨q,x⟩ under ip; in a list less
/// [`Codec::terms`].
pub trait Scorer {
    /// The codes that follow lie in this list; `None` where they are of whole vectors. Told before anything is asked.
    fn enter(&mut self, list: Option<Residual>);
    /// What distances are not below, of codes that lie one after the other: `out.len()` of them. The distances themselves where
    /// [`Scorer::is_below`] is false.
    fn score(&mut self, codes: &[u8], out: &mut [f32]);
    /// Distances of the codes at `rows` of all `codes`.
    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]);
    /// Whether the last [`Scorer::score`] told only what distances are not below.
    fn is_below(&self) -> bool {
        false
    }
}

/// Refuses vectors without coordinates, and with more than any index has.
fn check_dim(dim: usize) -> Result<()> {
    if (1..=MAX_DIM).contains(&dim) { Ok(()) } else { Err(Error::argument("dim", dim, "1 to 65536")) }
}
