//! From where to where do coordinates go? The ranges that [`Scalar`](super::Scalar) codes divide.

use super::Layout;
use crate::error::{Error, Result};
use crate::kernels::{Isa, Kernel, Simd};
use crate::threads::{self, Monitor};

/// How a range is found; the argument of each is Faiss's `rangestat_arg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeStat {
    /// From the least to the greatest value, widened by `arg` of that on both sides.
    MinMax,
    /// `arg` deviations around the mean.
    MeanStd,
    /// From the quantile `arg` to the quantile 1 − `arg`.
    Quantiles,
    /// Of least squared error.
    Optim,
}

impl RangeStat {
    /// By Faiss's number.
    ///
    /// # Errors
    /// [`Error::Argument`] for another.
    pub fn from_number(number: usize) -> Result<Self> {
        [Self::MinMax, Self::MeanStd, Self::Quantiles, Self::Optim]
            .get(number)
            .copied()
            .ok_or_else(|| Error::argument("rangestat", number, "0 (RS_minmax) to 3 (RS_optim)"))
    }
}

/// Rounds of [`RangeStat::Optim`], and how many of them the same error ends.
const ROUNDS: usize = 2000;
const SAME: usize = 16;

/// What codes of `layout` need to know of vectors like `x`: the low end and the width of the range, of all coordinates or of each
/// (all low ends first); nothing for layouts that need nothing.
///
/// # Errors
/// [`Error::Shape`] where `x` is not whole rows; [`Error::Argument`] where there are none, or `threads` is 0; [`Error::Interrupted`].
pub fn train_ranges(
    x: &[f32],
    dim: usize,
    layout: Layout,
    (stat, arg): (RangeStat, f32),
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    super::check_dim(dim)?;
    if !x.len().is_multiple_of(dim) {
        return Err(Error::Shape { len: x.len(), dim });
    }
    let levels = 1 << layout.bits().min(8);
    match layout.trained(dim) {
        0 => return Ok(Vec::new()),
        _ if x.is_empty() => return Err(Error::argument("vectors", 0, "at least one to train on")),
        2 if layout.uniform() => return Ok(range(x.to_vec(), levels, stat, arg).to_vec()),
        _ => {}
    }
    let (lows, widths) = match stat {
        RangeStat::MinMax => extremes(x, dim, arg),
        _ => {
            let found = (0..dim).map(|_| std::sync::Mutex::new([0f32; 2])).collect::<Vec<_>>();
            let work = (dim, dim as u64);
            threads::run(threads::resolve(threads)?, monitor, "train", work, |at, worker| {
                let mut column: Vec<f32> = x.iter().skip(at).step_by(dim).copied().collect();
                // There the first vector is taken for zeros; without that ranges would be others for the same vectors.
                column[0] = 0.0;
                let range = range(column, levels, stat, arg);
                *found[at].lock().map_err(|_| Error::Interrupted)? = range;
                worker.advance(1);
                Ok(())
            })?;
            let found = found.into_iter().map(|range| range.into_inner().map_err(|_| Error::Interrupted));
            found
                .map(|range| range.map(|[low, width]| (low, width)))
                .collect::<Result<(Vec<f32>, Vec<f32>)>>()?
        }
    };
    Ok([lows, widths].concat())
}

/// [`RangeStat::MinMax`] of each coordinate, in one pass.
fn extremes(x: &[f32], dim: usize, arg: f32) -> (Vec<f32>, Vec<f32>) {
    struct Rows<'a>(&'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Kernel for Rows<'_> {
        type Out = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            let Self(x, lows, highs) = self;
            for row in x.chunks_exact(lows.len()) {
                for ((low, high), &v) in lows.iter_mut().zip(&mut *highs).zip(row) {
                    *low = if v < *low { v } else { *low };
                    *high = if v > *high { v } else { *high };
                }
            }
        }
    }
    let (mut lows, mut highs) = (x[..dim].to_vec(), x[..dim].to_vec());
    Isa::active().run(Rows(x, &mut lows, &mut highs));
    for (low, high) in lows.iter_mut().zip(&mut highs) {
        [*low, *high] = widened([*low, *high], arg);
    }
    (lows, highs)
}

/// Low end and width of the range, `arg` of its width longer on both sides.
fn widened([low, high]: [f32; 2], arg: f32) -> [f32; 2] {
    let more = (high - low) * arg;
    let (low, high) = (low - more, high + more);
    [low, high - low]
}

/// Low end and width of the range of `values`, of which there are some.
fn range(mut values: Vec<f32>, levels: usize, stat: RangeStat, arg: f32) -> [f32; 2] {
    let count = values.len();
    match stat {
        RangeStat::MinMax => widened(ends(&values), arg),
        RangeStat::MeanStd => {
            let (mut sum, mut squares) = (0f64, 0f64);
            for &v in &values {
                sum += f64::from(v);
                squares += f64::from(v * v);
            }
            let mean = (sum / count as f64) as f32;
            let variance = (squares / count as f64 - f64::from(mean * mean)) as f32;
            let deviation = if variance <= 0.0 { 1.0 } else { variance.sqrt() };
            let (low, high) = (mean - deviation * arg, mean + deviation * arg);
            [low, high - low]
        }
        RangeStat::Quantiles => {
            let cut = (arg * count as f32) as usize;
            let cut = if cut > count.saturating_sub(cut) { count / 2 } else { cut };
            // Where the cut is a half of an even number, the ends pass each other: that is how it is there.
            let mut at = |rank: usize| *values.select_nth_unstable_by(rank, f32::total_cmp).1;
            let (low, high) = (at(cut.min(count - 1)), at((count - 1).saturating_sub(cut)));
            [low, high - low]
        }
        RangeStat::Optim => fitted(&values, levels),
    }
}

fn ends(values: &[f32]) -> [f32; 2] {
    values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &v| {
        [if v < low { v } else { low }, if v > high { v } else { high }]
    })
}

/// The levels b, a + b, 2a + b … of least squared error: the nearest level of each value, and then the line that fits them best, again
/// and again. In f32, and summed in order, for ranges that are the same as Faiss's.
fn fitted(values: &[f32], levels: usize) -> [f32; 2] {
    let (top, count) = ((levels - 1) as f32, values.len() as f32);
    let [low, high] = ends(values);
    let (mut a, mut b) = ((high - low) / top, low);
    let all = values.iter().fold(0f32, |sum, v| sum + v);
    let (mut last, mut same) = (-1f32, 0);
    for _ in 0..ROUNDS {
        let (mut level_sum, mut level_squares, mut along, mut error) = (0f32, 0f32, 0f32, 0f32);
        for &v in values {
            let level = (f64::from((v - b) / a) + 0.5).floor() as f32;
            let level = if level < 0.0 { 0.0 } else { level };
            let level = if level >= levels as f32 { top } else { level };
            let off = v - (level * a + b);
            error += off * off;
            level_sum += level;
            level_squares += level * level;
            along += level * v;
        }
        if error == last {
            same += 1;
            if same == SAME {
                break;
            }
        } else {
            (last, same) = (error, 0);
        }
        let determinant = level_sum * level_sum - level_squares * count;
        b = (level_sum * along - level_squares * all) / determinant;
        a = (level_sum * all - count * along) / determinant;
    }
    [b, (b + a * top) - b]
}
