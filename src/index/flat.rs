//! Exact search: every vector is looked at, most of them only through their codes.
//!
//! Codes change no result, so whether and how wide they are made is a question of cost alone. [`fit`] answers it from a
//! sample: the time of a query over n vectors is about
//!
//! ```text
//! n · ((H + 12) · TILE  +  f(H) · (START + row bytes · BYTE))
//! ```
//!
//! where f(H) is the part of the vectors that H leading directions cannot rule out. Without codes it is a tile over all
//! d coordinates. The widest H is what 0.3 × the row's bytes hold.

use nalgebra::DMatrix;

use crate::error::Result;
use crate::metric::Metric;
use crate::quantizer::HeadCodes;
use crate::rows::Rows;
use crate::threads::Monitor;
use crate::transform::{Projection, sample};
use crate::vectors::Dtype;

/// Vectors below which a scan of the rows is as fast as anything.
const SMALL: usize = 4096;
/// Dimensions above which learning directions costs more than it brings.
const WIDE: usize = 4096;
/// Directions at most.
const DIRECTIONS: usize = 384;
/// Vectors that the directions are learned from.
const SAMPLE: usize = 8192;
/// Vectors that stand for queries when f(H) is measured.
const PROBES: usize = 64;
/// The k that the width is chosen for: the geometric middle of 10 and 100.
const K: usize = 30;
/// Nanoseconds, measured (`cargo bench --bench kernels`); only their ratios matter. A coordinate of one vector and query
/// in the tile over codes, over bytes and over floats; an exact distance's start and each byte of its row.
const TILE: f64 = 0.010;
const BYTES_TILE: f64 = 0.014;
const FLOATS_TILE: f64 = 0.021;
/// Vectors kept in all over those that the final bound keeps: the bound is loose at first.
const EARLY: f64 = 1.6;
const START: f64 = 6.0;
const BYTE: f64 = 0.06;

/// Codes for `rows`, where they pay.
///
/// # Errors
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted).
pub(crate) fn fit(
    rows: &Rows,
    metric: Metric,
    seed: u64,
    threads: usize,
    monitor: Option<&dyn Monitor>,
) -> Result<Option<HeadCodes>> {
    let (n, dim) = (rows.len(), rows.dim());
    let row_bytes = dim * rows.stored().size();
    // The projection itself is part of the bytes: H + 1 rows of d floats over n vectors.
    let budget = |width: usize| {
        HeadCodes::bytes_per_vector(width) as f64 + ((width + 1) * dim * 4) as f64 / n as f64 <= 0.3 * row_bytes as f64
    };
    let widest = (1..=DIRECTIONS.min(dim) / HeadCodes::STEP).map(|s| s * HeadCodes::STEP).filter(|&w| budget(w)).max();
    let Some(widest) = widest.filter(|_| n >= SMALL && dim <= WIDE) else { return Ok(None) };
    // The covariance costs m·d² products: fewer vectors where they are long.
    let most = ((1usize << 34) / (dim * dim)).clamp(512, SAMPLE);
    let mut columns = sample(rows.view(), most, metric);
    let all = Projection::train(&mut columns, widest, seed);
    let Some(width) = cheapest_width(&columns, &all, rows, metric, n) else { return Ok(None) };
    let projection = all.narrowed(width).mixed(seed);
    let heads = projection.apply(&columns);
    let mut reaches: Vec<f64> = heads.column_iter().map(|head| head.amax()).collect();
    reaches.sort_unstable_by(f64::total_cmp);
    // One vector in a thousand may lie outside the codes: it is then never ruled out, and all others are coded finer.
    let reach = reaches[(reaches.len() - 1) * 999 / 1000];
    let mut codes = HeadCodes::new(metric, projection, reach);
    codes.extend(rows.view(), threads, monitor)?;
    Ok(Some(codes))
}

/// The width H of least cost, `None` where no codes cost least. `columns` is the centred sample.
fn cheapest_width(columns: &DMatrix<f64>, all: &Projection, rows: &Rows, metric: Metric, n: usize) -> Option<usize> {
    let dim = rows.dim() as f64;
    let row_bytes = dim * rows.stored().size() as f64;
    let tile = match rows.stored() {
        Dtype::U8 | Dtype::I8 if metric != Metric::Cosine => BYTES_TILE,
        _ => FLOATS_TILE,
    };
    let raw = (dim + 12.0) * tile;
    let probes = PROBES.min(columns.ncols() / 2);
    let queries = columns.columns_with_step(0, probes, (columns.ncols() / probes).saturating_sub(1));
    let products = queries.transpose() * columns;
    let norms: Vec<f64> = columns.column_iter().map(|x| x.norm_squared()).collect();
    let query_norms: Vec<f64> = queries.column_iter().map(|q| q.norm_squared()).collect();
    // Under every metric the question is how large ⟨q,x⟩ − b·‖x‖² is, with b = ½ for l2.
    let b = if metric == Metric::L2 { 0.5 } else { 0.0 };
    // The k-th best of n vectors is about as good as the best of n/k. With fewer in the sample, the count of those
    // that are kept comes out too high, and the codes a little too wide.
    let rank = (K * columns.ncols() / n).max(1);
    let best: Vec<f64> = (0..probes)
        .map(|p| {
            let mut values: Vec<f64> = (0..norms.len()).map(|i| b * norms[i] - products[(p, i)]).collect();
            // The probe itself is among them.
            *values.select_nth_unstable_by(rank, f64::total_cmp).1
        })
        .collect();
    let heads = all.apply(columns);
    let query_heads = all.apply(&queries.clone_owned());
    let kept = |width: usize| {
        let (heads, query_heads) = (heads.rows(0, width), query_heads.rows(0, width));
        let bounds = query_heads.transpose() * heads;
        let tails: Vec<f64> =
            heads.column_iter().zip(&norms).map(|(y, x)| (x - y.norm_squared()).max(0.0).sqrt()).collect();
        let kept: usize = (0..probes)
            .map(|p| {
                let head = query_heads.column(p).norm();
                let tail = (query_norms[p] - head * head).max(0.0).sqrt();
                // What seven bits cost: about 3 % of the heads' product (see `quantizer/head.rs`).
                let may = |i: usize| bounds[(p, i)] + tail * tails[i] + 0.03 * head * (norms[i].sqrt());
                (0..norms.len()).filter(|&i| b * norms[i] - may(i) <= best[p]).count()
            })
            .sum();
        kept as f64 / (probes * norms.len()) as f64
    };
    let exact = START + row_bytes * BYTE;
    let cost = |width: usize| (width as f64 + 12.0) * TILE + EARLY * kept(width) * exact;
    (1..=all.width() / HeadCodes::STEP)
        .map(|steps| steps * HeadCodes::STEP)
        // Every eighth width beyond the first few: the cost is flat around its least.
        .filter(|&w| w <= 64 || w % 32 == 0 || w == all.width())
        .map(|w| (w, cost(w)))
        .filter(|&(_, cost)| cost < raw)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(width, _)| width)
}
