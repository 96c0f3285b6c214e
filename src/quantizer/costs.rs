//! What do codes cost, and what do they save? The time of a query for k of n vectors is about
//!
//! ```text
//! n · (tile(H)  +  f(H, k) · (START + row bytes · BYTE))                                            panels alone
//! n · (tile(H)  +  f(H, k) · (FINE_START + W · FINE_BYTE)  +  g(W, k) · (START + row bytes · BYTE))   fine codes too
//! ```
//!
//! where f(H, k) and g(W, k) are the parts of the vectors that H leading directions in seven bits, W in eight, cannot rule out.
//! Without codes it is a tile over all d coordinates. f and g are measured on a sample.

use nalgebra::DMatrix;

use super::HeadCodes;
use crate::error::Result;
use crate::kernels::{Isa, fine};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::transform::Projection;
use crate::vectors::Dtype;

/// Nanoseconds of an exact distance: its start, and each byte of its row, which mostly has to come from beyond L2. Set so that
/// whole searches come out fastest on an AVX2 machine; only their ratios to [`tile`] matter, and no result depends on them.
const START: f64 = 6.0;
const BYTE: f64 = 0.07;
/// Nanoseconds of a second look: its start, and each code.
const FINE_START: f64 = 5.0;
const FINE_BYTE: f64 = 0.03;
/// Vectors kept in all over those that the final bound keeps in a search: the bound is loose at first.
const EARLY: f64 = 1.6;

/// What costs this much more than the least costs about the least: a sample tells no more.
const ABOUT: f64 = 1.03;

/// Nanoseconds of one vector and query in the tile over codes of `width` coordinates, by `cargo bench --bench kernels -- codes`.
fn tile(isa: Isa, width: usize) -> f64 {
    match isa.name() {
        "avx512" => 0.0027 * width as f64 + 0.1,
        // Sums are widened every 32 coordinates.
        _ => 0.0064 * width as f64 + 0.035 * width.div_ceil(32) as f64 + 0.128,
    }
}

/// Nanoseconds of one coordinate of one vector and query in a search by the tile over bytes or floats, rows made ready for it included.
fn tiles(isa: Isa) -> [f64; 2] {
    match isa.name() {
        "avx512" => [0.0051, 0.016],
        _ => [0.014, 0.021],
    }
}

/// The widths that panels can have, up to `most`.
pub(crate) fn widths(most: usize) -> impl Iterator<Item = usize> + Clone {
    (1..=most / HeadCodes::STEP).map(|steps| steps * HeadCodes::STEP)
}

/// The widths of fine codes up to `widest`: none, whole steps of the second look's kernel, and every direction there is.
pub(crate) fn fine_widths(widest: usize) -> impl Iterator<Item = usize> {
    (0..).map(|steps| steps * fine::STEP).take_while(move |&w| w < widest).chain([widest])
}

/// What a query costs, in nanoseconds a vector, measured on a sample.
pub(crate) struct Costs {
    /// Without codes.
    pub raw: f64,
    /// An exact distance.
    exact: f64,
    /// Vectors kept in all over those that the final bound keeps, roughly.
    pub early: f64,
    /// The k's that were measured, and for each and each multiple of [`HeadCodes::STEP`] the parts of the vectors that the panels
    /// and that fine codes keep.
    kept: Vec<(usize, Vec<[f64; 2]>)>,
}

impl Costs {
    /// For vectors of which `columns` are a sample and queries like `queries`, both as the projection has centred them; `all` are
    /// the directions to choose from. `ranks` are the k's of interest, each with the place that the k-th nearest of all has in
    /// the sample.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn measure(
        metric: Metric,
        dtype: Dtype,
        all: &Projection,
        (columns, queries): (&DMatrix<f64>, &DMatrix<f64>),
        ranks: &[(usize, usize)],
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let (m, probes, dim) = (columns.ncols(), queries.ncols(), columns.nrows() as f64);
        let [bytes, floats] = tiles(Isa::active());
        let coordinate = match dtype {
            Dtype::U8 | Dtype::I8 if metric != Metric::Cosine => bytes,
            _ => floats,
        };
        let products = queries.transpose() * columns;
        let norms: Vec<f64> = columns.column_iter().map(|x| x.norm_squared()).collect();
        let query_norms: Vec<f64> = queries.column_iter().map(|q| q.norm_squared()).collect();
        // In units in which no f32 overflows, whatever the size of the data.
        let largest = norms.iter().chain(&query_norms).fold(0f64, |largest, &norm| largest.max(norm));
        let unit = if largest > 0.0 { 1.0 / largest } else { 1.0 };
        // Under every metric the question is how small b·‖x‖² − ⟨q,x⟩ is, with b = ½ for l2.
        let b = if metric == Metric::L2 { 0.5 } else { 0.0 };
        let bests: Vec<Vec<f32>> = (0..probes)
            .map(|p| {
                let mut values: Vec<f64> = (0..m).map(|i| b * norms[i] - products[(p, i)]).collect();
                values.sort_unstable_by(f64::total_cmp);
                ranks.iter().map(|&(_, rank)| (unit * values[rank]) as f32).collect()
            })
            .collect();
        let (heads, query_heads) = (all.apply(columns), all.apply(queries));
        let mut kept: Vec<(usize, Vec<[f64; 2]>)> = ranks.iter().map(|&(k, _)| (k, Vec::new())).collect();
        // What the leading directions hold, of each vector (and query) and of each pair, grows with the width.
        let lengths: Vec<f64> = norms.iter().map(|norm| norm.sqrt()).collect();
        let (mut held, mut query_held) = (vec![0.0; m], vec![0.0; probes]);
        let (mut bounds, mut least) = (DMatrix::zeros(m, probes), Vec::with_capacity(m));
        for width in widths(all.width()) {
            threads::pause(monitor, "measure", width as u64, all.width() as u64)?;
            let step = |heads: &DMatrix<f64>, held: &mut [f64]| {
                let rows = heads.rows(width - HeadCodes::STEP, HeadCodes::STEP).clone_owned();
                held.iter_mut().zip(rows.column_iter()).for_each(|(held, y)| *held += y.norm_squared());
                rows
            };
            let (more, query_more) = (step(&heads, &mut held), step(&query_heads, &mut query_held));
            bounds.gemm(1.0, &more.transpose(), &query_more, 1.0);
            let tails: Vec<f64> = norms.iter().zip(&held).map(|(x, y)| (x - y).max(0.0).sqrt()).collect();
            let mut counts = vec![[0u32; 2]; ranks.len()];
            for (p, bounds) in bounds.column_iter().enumerate() {
                let head = query_held[p].sqrt();
                let tail = (query_norms[p] - query_held[p]).max(0.0).sqrt();
                // What rounding costs: about 3 % of the heads' product with seven bits on both sides, 1 % with eight on one
                // (see `quantizer`).
                for (stage, part) in [0.03, 0.01].into_iter().enumerate() {
                    let values = bounds.iter().zip(&tails).zip(norms.iter().zip(&lengths));
                    let values = values.map(|((bound, held_not), (norm, length))| {
                        (unit * (b * norm - bound - tail * held_not - part * head * length)) as f32
                    });
                    least.clear();
                    least.extend(values);
                    for (count, &best) in counts.iter_mut().zip(&bests[p]) {
                        count[stage] += least.iter().map(|&least| u32::from(least <= best)).sum::<u32>();
                    }
                }
            }
            for ((_, kept), count) in kept.iter_mut().zip(counts) {
                kept.push(count.map(|count| f64::from(count) / (probes * m) as f64));
            }
        }
        let exact = START + dtype.row_bytes(columns.nrows()) as f64 * BYTE;
        Ok(Self { raw: (dim + 12.0) * coordinate, exact, early: EARLY, kept })
    }

    /// A search for `k` with panels of `width`, and fine codes of `fine` coordinates if that is not 0.
    pub fn of(&self, width: usize, fine: usize, k: usize) -> f64 {
        let kept = |width: usize, stage: usize| {
            let kept = self.kept.iter().rev().find(|(at, _)| *at <= k);
            kept.map_or(1.0, |(_, kept)| self.early * kept[width / HeadCodes::STEP - 1][stage])
        };
        let first = tile(Isa::active(), width);
        match fine {
            0 => first + kept(width, 0) * self.exact,
            _ => first + kept(width, 0) * (FINE_START + fine as f64 * FINE_BYTE) + kept(fine, 1) * self.exact,
        }
    }

    /// The width of panels of least cost for `k`, `None` where no codes cost least. Of those that cost about the least it is the widest:
    /// too narrow costs more than too wide.
    pub fn cheapest(&self, k: usize, fine: usize, widths: impl Iterator<Item = usize>) -> Option<usize> {
        let costs = widths.map(|width| (width, self.of(width, fine, k))).filter(|&(_, cost)| cost < self.raw);
        let costs: Vec<(usize, f64)> = costs.collect();
        let least = costs.iter().fold(f64::INFINITY, |least, &(_, cost)| least.min(cost));
        costs.into_iter().filter(|&(_, cost)| cost <= ABOUT * least).map(|(width, _)| width).max()
    }

    /// The largest k of `n` up to which `good` holds.
    pub fn most(&self, n: usize, good: impl Fn(usize) -> bool) -> usize {
        let bad = self.kept.iter().map(|(k, _)| *k).find(|&k| !good(k));
        bad.map_or(n, |k| k.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn what_is_kept_does_not_depend_on_the_size_of_the_data() {
        let mut random = Random(5);
        // The first directions hold most.
        let base = DMatrix::from_fn(32, 300, |i, _| (random.unit() - 0.5) / (1.0 + i as f64));
        let kept = |scale: f64| {
            let mut columns = scale * &base;
            let all = Projection::train(&mut columns, 32, 1, None).unwrap();
            let queries = columns.columns_with_step(0, 10, 20).into_owned();
            let ranks = [(10, 1), (100, 30)];
            Costs::measure(Metric::L2, Dtype::F32, &all, (&columns, &queries), &ranks, None).unwrap().kept
        };
        let plain = kept(1.0);
        let [first, last] = [plain[0].1[0], plain[0].1[3]].map(|kept| kept[0]);
        assert!(last < 0.5 && last < first && first <= 1.0, "{plain:?}");
        for scale in [2f64.powi(-90), 2f64.powi(90)] {
            assert_eq!(kept(scale), plain);
        }
    }
}
