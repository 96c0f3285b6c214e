//! Exact search: every vector is looked at, most of them only through their codes.
//!
//! Codes change no result, so whether and how wide they are made is a question of cost alone. [`fit`] answers it from a
//! sample: the time of a query for k of n vectors is about
//!
//! ```text
//! n · ((H + 12) · tile  +  f(H, k) · (START + row bytes · BYTE))                                            panels alone
//! n · ((H + 12) · tile  +  f(H, k) · (FINE_START + W · FINE_BYTE)  +  g(W, k) · (START + row bytes · BYTE))   fine codes too
//! ```
//!
//! where f(H, k) and g(W, k) are the parts of the vectors that H leading directions in seven bits, W in eight, cannot rule out.
//! Without codes it is a tile over all d coordinates.
//!
//! Few neighbours want few directions, many want more: for each W the panels get the widths of least cost for k = 30 and for
//! k = 1,000 as their two levels, and of all W the one with the least product of both costs is taken. Panels and fine codes
//! together have 0.3 × the row's bytes.

use nalgebra::DMatrix;

use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::fine;
use crate::metric::Metric;
use crate::quantizer::HeadCodes;
use crate::rows::Rows;
use crate::threads::{self, Monitor};
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
/// The k's that the levels are chosen for.
const KS: [usize; 2] = [30, 1000];
/// Nanoseconds of an exact distance: its start, and each byte of its row, which mostly has to come from beyond L2. Set so that
/// whole searches come out fastest on an AVX2 machine; only their ratios to [`tiles`] matter, and no result depends on them.
const START: f64 = 6.0;
const BYTE: f64 = 0.07;
/// Nanoseconds of a second look: its start, and each code.
const FINE_START: f64 = 6.0;
const FINE_BYTE: f64 = 0.03;
/// Vectors kept in all over those that the final bound keeps, roughly: the bound is loose at first.
const EARLY: f64 = 1.6;

/// Nanoseconds of one coordinate of one vector and query in the tile over codes, bytes and floats.
fn tiles(isa: Isa) -> [f64; 3] {
    match isa.name() {
        // From VPDPBUSD at 70 % of 369 GMAC/s and FMA at 70 % of 88; to be measured on such a machine.
        "avx512" => [0.004, 0.004, 0.016],
        _ => [0.010, 0.014, 0.021],
    }
}

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
    // The projection itself is part of the bytes: so many rows of d floats over n vectors.
    let shared = |directions: usize| ((directions + 2) * dim * 4) as f64 / n as f64;
    let fits = |width: usize, levels, fine: usize| {
        let bytes = HeadCodes::bytes_per_vector(width, levels, fine) as f64 + shared(width.max(fine));
        bytes <= 0.3 * row_bytes as f64 && (fine == 0 || fine >= width)
    };
    let most = DIRECTIONS.min(dim);
    let widths = || (1..=most / HeadCodes::STEP).map(|steps| steps * HeadCodes::STEP);
    let Some(widest) = widths().filter(|&w| fits(w, 1, 0)).max().filter(|_| n >= SMALL && dim <= WIDE) else {
        return Ok(None);
    };
    // The covariance costs m·d² products: fewer vectors where they are long.
    let count = ((1usize << 33) / (dim * dim)).clamp(512, SAMPLE);
    let mut columns = sample(rows.view(), count, metric);
    let all = Projection::train(&mut columns, widest, seed, monitor)?;
    let costs = Costs::measure(&columns, &all, rows, metric, monitor)?;
    // The second look is at whole steps of its kernel, or at every direction there is.
    let fines = (0..).map(|steps| steps * fine::STEP).take_while(|&w| w < widest).chain([widest]);
    let plans = fines.filter_map(|fine| {
        let few = costs.cheapest(KS[0], fine, widths().filter(|&w| fits(w, 1, fine)))?;
        let many = costs.cheapest(KS[1], fine, widths().filter(|&w| w > few && fits(w, 2, fine)));
        let cost = costs.of(few, fine, KS[0]) * costs.of(many.unwrap_or(few), fine, KS[1]);
        Some((cost, few, many, fine))
    });
    let Some((_, few, many, fine)) = plans.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Ok(None);
    };
    let pays = |width, k| costs.of(width, fine, k) <= costs.raw;
    let levels: Vec<(usize, usize)> = match many {
        Some(many) => vec![
            (few, costs.most(|k| pays(few, k) && costs.of(few, fine, k) <= costs.of(many, fine, k))),
            (many, costs.most(|k| pays(many, k))),
        ],
        None => vec![(few, costs.most(|k| pays(few, k)))],
    };
    let mut turned: Vec<usize> = levels.iter().map(|level| level.0).collect();
    let width = turned[turned.len() - 1];
    turned.extend((fine > width).then_some(fine));
    let projection = all.narrowed(width.max(fine)).mixed(&turned, seed);
    let heads = projection.apply(&columns);
    // One vector in a thousand may lie outside the codes: it is then never ruled out by the panels, and all others are coded
    // finer.
    let mut reaches: Vec<f64> = heads.column_iter().map(|head| head.rows(0, width).amax()).collect();
    let reach = quantile(&mut reaches, 0.999);
    let fine_reaches: Vec<f64> = heads
        .row_iter()
        .map(|row| quantile(&mut row.iter().map(|v| v.abs()).collect::<Vec<f64>>(), 0.9999))
        .collect();
    let mut codes = HeadCodes::new(metric, projection, reach, &levels, (fine > 0).then_some(&*fine_reaches));
    codes.extend(rows.view(), threads, monitor)?;
    Ok(Some(codes))
}

/// The value that a part `part` of `values` does not exceed.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    let at = ((values.len() - 1) as f64 * part) as usize;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

/// What a query costs, in nanoseconds a vector, measured on a sample.
struct Costs {
    n: usize,
    /// Without codes.
    raw: f64,
    /// A coordinate of a code.
    tile: f64,
    /// An exact distance.
    exact: f64,
    /// The k's that were measured, and for each and each multiple of [`HeadCodes::STEP`] the parts of the vectors that the panels
    /// and that fine codes keep.
    kept: Vec<(usize, Vec<[f64; 2]>)>,
}

impl Costs {
    /// `columns` is the centred sample, `all` the directions to choose from.
    fn measure(
        columns: &DMatrix<f64>,
        all: &Projection,
        rows: &Rows,
        metric: Metric,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let (n, m, dim) = (rows.len(), columns.ncols(), rows.dim() as f64);
        let [tile, bytes, floats] = tiles(Isa::active());
        let coordinate = match rows.stored() {
            Dtype::U8 | Dtype::I8 if metric != Metric::Cosine => bytes,
            _ => floats,
        };
        let probes = PROBES.min(m / 2);
        let queries = columns.columns_with_step(0, probes, (m / probes).saturating_sub(1)).clone_owned();
        let products = queries.transpose() * columns;
        let norms: Vec<f64> = columns.column_iter().map(|x| x.norm_squared()).collect();
        let query_norms: Vec<f64> = queries.column_iter().map(|q| q.norm_squared()).collect();
        // Under every metric the question is how small b·‖x‖² − ⟨q,x⟩ is, with b = ½ for l2.
        let b = if metric == Metric::L2 { 0.5 } else { 0.0 };
        let ks: Vec<usize> = (0..)
            .map(|i| 10usize.saturating_mul(3usize.saturating_pow(i)))
            .take_while(|&k| k < n / 8)
            .collect();
        // The k-th best of n vectors is about as good as the (k·m/n)-th of m. With fewer than one of them, the count of
        // those that are kept comes out too high, and the codes a little too wide.
        let bests: Vec<Vec<f64>> = (0..probes)
            .map(|p| {
                let mut values: Vec<f64> = (0..m).map(|i| b * norms[i] - products[(p, i)]).collect();
                values.sort_unstable_by(f64::total_cmp);
                // The probe itself is among them.
                ks.iter().map(|k| values[(k * m / n).clamp(1, m - 1)]).collect()
            })
            .collect();
        let (heads, query_heads) = (all.apply(columns), all.apply(&queries));
        let mut kept: Vec<(usize, Vec<[f64; 2]>)> = ks.iter().map(|&k| (k, Vec::new())).collect();
        for width in (1..=all.width() / HeadCodes::STEP).map(|steps| steps * HeadCodes::STEP) {
            threads::pause(monitor, "measure", width as u64, all.width() as u64)?;
            let (heads, query_heads) = (heads.rows(0, width), query_heads.rows(0, width));
            let bounds = query_heads.transpose() * heads;
            let tails: Vec<f64> = heads
                .column_iter()
                .zip(&norms)
                .map(|(y, x)| (x - y.norm_squared()).max(0.0).sqrt())
                .collect();
            let mut counts = vec![[0usize; 2]; ks.len()];
            for p in 0..probes {
                let head = query_heads.column(p).norm();
                let tail = (query_norms[p] - head * head).max(0.0).sqrt();
                for i in 0..m {
                    let least = b * norms[i] - bounds[(p, i)] - tail * tails[i];
                    // What rounding costs: about 3 % of the heads' product with seven bits on both sides, 1 % with eight
                    // on one (see `quantizer`).
                    let product = head * norms[i].sqrt();
                    let least = [least - 0.03 * product, least - 0.01 * product];
                    for (count, best) in counts.iter_mut().zip(&bests[p]) {
                        count[0] += usize::from(least[0] <= *best);
                        count[1] += usize::from(least[1] <= *best);
                    }
                }
            }
            for ((_, kept), count) in kept.iter_mut().zip(counts) {
                kept.push(count.map(|count| count as f64 / (probes * m) as f64));
            }
        }
        let exact = START + dim * rows.stored().size() as f64 * BYTE;
        Ok(Self { n, raw: (dim + 12.0) * coordinate, tile, exact, kept })
    }

    /// A search for `k` with panels of `width`, and fine codes of `fine` coordinates if that is not 0.
    fn of(&self, width: usize, fine: usize, k: usize) -> f64 {
        let kept = |width: usize, stage: usize| {
            let kept = self.kept.iter().rev().find(|(at, _)| *at <= k);
            kept.map_or(1.0, |(_, kept)| EARLY * kept[width / HeadCodes::STEP - 1][stage])
        };
        let first = (width as f64 + 12.0) * self.tile;
        match fine {
            0 => first + kept(width, 0) * self.exact,
            _ => first + kept(width, 0) * (FINE_START + fine as f64 * FINE_BYTE) + kept(fine, 1) * self.exact,
        }
    }

    /// The width of panels of least cost for `k`, `None` where no codes cost least.
    fn cheapest(&self, k: usize, fine: usize, widths: impl Iterator<Item = usize>) -> Option<usize> {
        let costs = widths.map(|width| (width, self.of(width, fine, k))).filter(|&(_, cost)| cost < self.raw);
        costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(width, _)| width)
    }

    /// The largest k up to which `good` holds.
    fn most(&self, good: impl Fn(usize) -> bool) -> usize {
        let bad = self.kept.iter().map(|(k, _)| *k).find(|&k| !good(k));
        bad.map_or(self.n, |k| k.saturating_sub(1))
    }
}
