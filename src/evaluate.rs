//! How good is an answer? The truth, and how much of it was found.

use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::metric::Metric;
use crate::search::{Hits, List, SearchParams, Searched};
use crate::vectors::Vectors;

/// The `k` nearest of `vectors` to each query, exactly, without an index: what [`Index::search`](crate::Index::search)
/// of a flat index returns, with row numbers for ids.
///
/// # Errors
/// As [`Index::search`](crate::Index::search), for the vectors too.
pub fn ground_truth(
    vectors: Vectors,
    queries: Vectors,
    k: usize,
    metric: Metric,
    params: &SearchParams,
) -> Result<Hits> {
    let (vectors, queries) = (metric.read(vectors)?, metric.read(queries)?);
    metric.check_values("vectors", vectors)?;
    Searched::of_rows(metric, List { rows: vectors, ids: &Ids::Rows }).nearest(queries, k, params)
}

/// Recall: the part of the true ids that were found, over all queries. `found` is nq × `found_k`, `truth` nq × `truth_k`;
/// the first min(`found_k`, `truth_k`) columns of both count, and −1 counts on neither side. 1 where there is no truth.
///
/// ```
/// assert_eq!(steep::evaluate::recall(&[1, 2, 5, 6], 2, &[2, 3, 5, 6], 2)?, 0.75);
/// # Ok::<(), steep::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] where a k is 0 or the two sides have different numbers of rows, [`Error::Shape`] where the found ids
/// are not whole rows.
pub fn recall(found: &[i64], found_k: usize, truth: &[i64], truth_k: usize) -> Result<f64> {
    if found_k == 0 || truth_k == 0 {
        return Err(Error::argument("k", 0, "at least 1"));
    }
    if !found.len().is_multiple_of(found_k) {
        return Err(Error::Shape { len: found.len(), dim: found_k });
    }
    if truth.len() != found.len() / found_k * truth_k {
        let rows =
            format!("{} rows for {} rows found", truth.len() as f64 / truth_k as f64, found.len() / found_k);
        return Err(Error::argument("truth", rows, "as many rows of true ids as of found ones"));
    }
    let k = found_k.min(truth_k);
    let (mut right, mut all) = (0usize, 0usize);
    for (found, truth) in found.chunks_exact(found_k).zip(truth.chunks_exact(truth_k)) {
        let mut truth: Vec<i64> = truth[..k].iter().copied().filter(|&id| id != -1).collect();
        all += truth.len();
        truth.sort_unstable();
        let mut found: Vec<i64> = found[..k].to_vec();
        found.sort_unstable();
        found.dedup();
        right += found.iter().filter(|id| truth.binary_search(id).is_ok()).count();
    }
    Ok(if all == 0 { 1.0 } else { right as f64 / all as f64 })
}
