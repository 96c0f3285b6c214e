//! Exact search: every vector is looked at, most of them only through their codes.
//!
//! Codes change no result, so whether and how wide they are made is a question of [cost](crate::quantizer::Costs) alone.
//!
//! Few neighbours want few directions, many want more: for each W the panels get the widths of least cost for k = 30 and for
//! k = 1,000 as their two levels, and of all W the one with the least product of both costs is taken. Panels and fine codes
//! together have 0.3 × the row's bytes.

use crate::error::Result;
use crate::metric::Metric;
use crate::quantizer::{Costs, HeadCodes, fine_widths, widths};
use crate::rows::Rows;
use crate::threads::Monitor;
use crate::transform::{Projection, sample};

/// Vectors below which a scan of the rows is as fast as anything.
const SMALL: usize = 4096;
/// Dimensions above which learning directions costs more than it brings.
const WIDE: usize = 4096;
/// Directions at most.
const DIRECTIONS: usize = 384;
/// Vectors that the directions are learned from; f(H) is measured on half as many.
const SAMPLE: usize = 8192;
/// Vectors that stand for queries when f(H) is measured.
const PROBES: usize = 32;
/// The k's that the levels are chosen for.
const KS: [usize; 2] = [30, 1000];

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
    if !metric.is_of_products() {
        return Ok(None);
    }
    let (n, dim) = (rows.len(), rows.dim());
    let row_bytes = rows.stored().row_bytes(dim);
    // The projection itself is part of the bytes: so many rows of d floats over n vectors.
    let shared = |directions: usize| ((directions + 2) * dim * 4) as f64 / n as f64;
    let fits = |width: usize, levels, fine: usize| {
        let bytes = HeadCodes::bytes_per_vector(width, levels, fine) as f64 + shared(width.max(fine));
        bytes <= 0.3 * row_bytes as f64 && (fine == 0 || fine >= width)
    };
    let most = DIRECTIONS.min(dim);
    let Some(widest) = widths(most).filter(|&w| fits(w, 1, 0)).max().filter(|_| n >= SMALL && dim <= WIDE)
    else {
        return Ok(None);
    };
    // The covariance costs m·d² products: fewer vectors where they are long.
    let count = ((1usize << 33) / (dim * dim)).clamp(512, SAMPLE);
    let some = sample(rows.view(), count / 2 * 3, metric);
    // Of three the first, which no direction is learned from: those suit what they come from better than other vectors.
    let mut columns = some.columns_with_step(0, some.ncols() / 3, 2).into_owned();
    let mut learned = some.remove_columns_at(&(0..columns.ncols()).map(|i| 3 * i).collect::<Vec<_>>());
    let all = Projection::train(&mut learned, widest, seed, monitor)?;
    all.center(&mut columns);
    let (m, probes) = (columns.ncols(), PROBES.min(columns.ncols() / 2));
    let queries = columns.columns_with_step(0, probes, (m / probes).saturating_sub(1)).clone_owned();
    // The k-th best of n vectors is about as good as the (k·m/n)-th of m. With fewer than one of them, the count of
    // those that are kept comes out too high, and the codes a little too wide. The query itself is among them.
    let ks = (0..).map(|i| 10usize.saturating_mul(3usize.saturating_pow(i))).take_while(|&k| k < n / 8);
    let ranks: Vec<(usize, usize)> = ks.map(|k| (k, (k * m / n).clamp(1, m - 1))).collect();
    let costs = Costs::measure(metric, rows.stored(), &all, (&columns, &queries), &ranks, monitor)?;
    let plans = fine_widths(widest).filter_map(|fine| {
        let few = costs.cheapest(KS[0], fine, widths(most).filter(|&w| fits(w, 1, fine)))?;
        let many = costs.cheapest(KS[1], fine, widths(most).filter(|&w| w > few && fits(w, 2, fine)));
        let cost = costs.of(few, fine, KS[0]) * costs.of(many.unwrap_or(few), fine, KS[1]);
        Some((cost, few, many, fine))
    });
    let Some((_, few, many, fine)) = plans.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Ok(None);
    };
    let pays = |width, k| costs.of(width, fine, k) <= costs.raw;
    let levels: Vec<(usize, usize)> = match many {
        Some(many) => vec![
            (few, costs.most(n, |k| pays(few, k) && costs.of(few, fine, k) <= costs.of(many, fine, k))),
            (many, costs.most(n, |k| pays(many, k))),
        ],
        None => vec![(few, costs.most(n, |k| pays(few, k)))],
    };
    let mut codes = HeadCodes::learned(metric, &all, &levels, fine, &columns, seed);
    codes.extend(rows.view(), threads, monitor)?;
    Ok(Some(codes))
}
