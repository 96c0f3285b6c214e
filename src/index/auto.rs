//! What `auto` means for some vectors: exact search where that answers as fast as a graph would.
//!
//! Exact search looks at every vector; how many a graph must look at depends more on how hard neighbours are to tell apart than on
//! how many vectors there are. That is β, half the intrinsic dimension: the number of vectors within a squared distance grows as its power
//! β. Times of a query in µs, one thread, batches, k = 10, the graph at a recall of 0.95, with AVX-512 and with AVX2 (2026-11-28, AMD EPYC of
//! the Zen 5 kind; where the figures are from: docs/performance.md 25):
//!
//! ```text
//!                                              β     exact        graph        modelled
//! 100,000 × 16   normal                       7.2    23   34     12   11       27    10
//! 100,000 × 128  normal in 16 dimensions      7.2    44   47      8    8       74    10
//! 100,000 × 384  texts (minilm-dev)           8.9   119  164      9   10      181    17
//! 100,000 × 128  images (sift-dev)            9.9    55   67     10    9       74    22
//! 100,000 × 256  normal in 32 dimensions     11.8    59   66     27   26      128    36
//! 100,000 × 32   normal                      12.4    27   36     40   34       34    41
//! 400,000 × 32   normal                      12.7    89  120     66   57      134    75
//!  20,000 × 64   normal                      17.2    11   16     53   46        9    53
//! 100,000 × 64   normal                      19.0    37   56    138  124       47   131
//! 100,000 × 128  normal                      29.7    62  103    403  376       74   453
//! ```
//!
//! The model, which is the same for all processors, so that an index does not depend on where it was built:
//!
//! ```text
//! exact   n (d + 48) · 4.2 ps          graph   1.5 µs + 16 µs · (β/9)^2.8 · (n / 100,000)^0.4
//! ```
//!
//! Below 16,000 vectors exact search takes longer than modelled by some microseconds, so that the choice is exact search a little longer
//! than it need be. One query a call takes a graph a tenth to a third longer, exact search two to ten times as long.

use super::Kind;
use crate::error::Result;
use crate::ids::Ids;
use crate::metric::Metric;
use crate::search::{List, SearchParams, Searched};
use crate::storage::Buffer;
use crate::threads::Monitor;
use crate::vectors::Vectors;

/// Vectors whose neighbours tell β.
const SAMPLE: usize = 64;
/// The neighbours that tell it.
const NEAREST: usize = 10;
const FARTHER: usize = 64;
/// The least β there is: where a graph is not faster even with that, nothing needs to be measured.
const LEAST: f64 = 4.0;

/// Microseconds of exact search.
fn exact(len: usize, dim: usize) -> f64 {
    len as f64 * (dim + 48) as f64 * 4.2e-6
}

/// Microseconds of a search along a graph.
fn graph(len: usize, beta: f64) -> f64 {
    1.5 + 16.0 * (beta / 9.0).powf(2.8) * (len as f64 / 1e5).powf(0.4)
}

/// The kind of index for `rows`: exact search, or a graph.
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub(super) fn choose(
    rows: Vectors,
    metric: Metric,
    threads: usize,
    monitor: Option<&dyn Monitor>,
) -> Result<Kind> {
    let (len, dim) = (rows.len(), rows.dim());
    let faster = |beta: f64| graph(len, beta) < exact(len, dim);
    let walked = dim <= Kind::MAX_GRAPH_DIM && len > FARTHER && faster(LEAST);
    Ok(match walked && faster(beta(rows, metric, threads, monitor)?) {
        true => Kind::Graph { degree: Kind::DEGREE, sq8: None },
        false => Kind::Flat,
    })
}

/// β in the median of some vectors: ln(64 / 10) / ln(the ratio of the squared distances of their 64th and 10th nearest).
fn beta(rows: Vectors, metric: Metric, threads: usize, monitor: Option<&dyn Monitor>) -> Result<f64> {
    // Inner products are no distances; those of the vectors tell as much.
    let metric = if metric == Metric::InnerProduct { Metric::L2 } else { metric };
    let row = rows.row_bytes();
    let count = SAMPLE.min(rows.len());
    let mut sample = Buffer::new();
    for at in (0..count).map(|i| i * rows.len() / count) {
        sample.extend("sample", &rows.bytes()[at * row..][..row])?;
    }
    let queries = Vectors::from_bytes(sample.bytes(), rows.dtype(), rows.dim())?;
    let searched = Searched::of_rows(metric, List { rows, ids: &Ids::Rows });
    let params = SearchParams { threads: Some(threads), monitor, ..SearchParams::default() };
    // The vector itself is among them.
    let k = FARTHER + 1;
    let hits = searched.nearest(queries, k, &params)?;
    let found = hits.distances.chunks_exact(k).filter_map(|distances| {
        let (near, far) = (f64::from(distances[NEAREST]), f64::from(distances[FARTHER]));
        (near > 0.0 && far.is_finite()).then(|| (FARTHER as f64 / NEAREST as f64).ln() / (far / near).ln())
    });
    let mut found: Vec<f64> = found.collect();
    found.sort_unstable_by(f64::total_cmp);
    Ok(found.get(found.len() / 2).copied().unwrap_or(LEAST))
}
