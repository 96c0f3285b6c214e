//! What `auto` means for so many vectors: exact search where that answers as fast as a graph would.
//!
//! Exact search looks at every coordinate of every vector, a graph hardly at more of them than before when there are more vectors. Time of a query in µs,
//! one thread, `python -m bench run --data sift-dev@4000 --engines steep-flat,steep-graph --threads 1 --queries 1000 --modes batch,single`
//! and so on (2026-11-23, AMD EPYC with AVX2; the graph at a recall@10 of 0.99; best of two rounds):
//!
//! ```text
//!                       batch           one a call
//! vectors          exact   graph      exact   graph
//!  1,000 × 128 u8     8      13         22      25
//!  4,000 × 128 u8    18      18         71      33
//! 16,000 × 128 u8    44      23         76      33
//!  1,000 × 384 f32   24      24        104      37
//!  4,000 × 384 f32   69      31        317      49
//! 16,000 × 384 f32  113      44        232      72
//! ```
//!
//! In batches, where exact search is at its best, both are even at 4,000 × 128 and 1,000 × 384: at about half a million coordinates, if what a
//! vector costs beside its coordinates counts as some dozens of them,
//!
//! ```text
//! n (d + 32) = 2¹⁹
//! ```

use super::Spec;

/// What a vector costs beside its coordinates, in coordinates.
const VECTOR: usize = 32;
/// Coordinates that are looked at as fast as a graph is walked.
const EVEN: usize = 1 << 19;

/// The kind of index for `len` vectors of `dim` dimensions: more of them never lead back to exact search.
pub(super) fn choose(len: usize, dim: usize) -> Spec {
    if dim > Spec::MAX_GRAPH_DIM || len.saturating_mul(dim + VECTOR) <= EVEN {
        Spec::Flat
    } else {
        Spec::Graph { degree: Spec::DEGREE }
    }
}
