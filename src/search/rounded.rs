//! Rows of any type, rounded to a byte a coordinate, as they are met or once: a tile over bytes multiplies several times as fast as one over
//! floats, and few rows are so near that rounding hides what they are.
//!
//! In units of a step s around a centre c, a row is y = (x − c)/s = k + e with k of bytes, and a query y_q = u·p + f with p of bytes.
//!
//! ```text
//! ⟨y_q,y⟩ = u⟨p,k⟩ + u⟨p,e⟩ + ⟨f,y⟩ ≤ u·Σ pⱼkⱼ + ‖up‖‖e‖ + ‖f‖‖y‖ ≤ u·Σ pⱼkⱼ + max(‖up‖, 2⁷‖f‖) · t,   t = ‖e‖ + 2⁻⁷‖y‖
//! l2      ‖x_q − x‖² ≤ D  ⇔  ⟨y_q,y⟩ − ‖y‖²/2 ≥ (‖y_q‖² − D/s²)/2
//! ip      ⟨q,x⟩ ≥ −D      ⇔  ⟨q,y⟩ ≥ −(D + ⟨q,c⟩)/s                  the query is not centred; cosine: of unit length, as the rows are
//! ```
//!
//! The 2⁷ is about what ‖up‖ is to ‖f‖ where the largest of a query's coordinates is three or four times the usual one. Bytes lie from 0
//! on: 128·Σp is added to both sides. Sums of a row's d squares are off by less than γ = (d + 16)·2⁻²⁴ of them (Higham 2002, §3.1), and
//! a coordinate by 2⁻²³ of itself; a row with a sum too large for f32 has t = ∞ and is always kept.

use std::ops::Range;

use super::bytes::{Packed, interleave};
use super::screen::{Screen, Source};
use crate::error::Result;
use crate::kernels::distance::squared_norm;
use crate::kernels::simd::ROUND;
use crate::kernels::tile::{self, Bound, Bytes, Line, Operand, PANEL, Panels, QueryTile};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::transform::{columns, sample};
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Rows that tell the centre and the step.
const SAMPLE: usize = 64;
/// Rows that are rounded before the monitor is asked: whole panels.
const PART_ROWS: usize = 1024 * PANEL;
/// The largest code, of rows and of queries.
const MOST: f32 = 127.0;
/// 2⁷, the greater part that a query's own rounding has in t.
const PART: f64 = 128.0;
/// The shortest unit of a query, in steps: one nearer to the centre is as near as this.
const LEAST: f64 = 1e-9;
/// Squares of rows below this leave no sum of the test infinite.
const LARGEST: f32 = 1e30;
/// More than squares that are too small for f32 come to, as a length.
const TINY: f32 = 1e-9;
/// Coordinates of a register.
const LANES: usize = 16;
/// What a row's length has in t, a little more than 1 in [`PART`]: its coordinates are rounded before they are told.
const OF_LENGTH: f32 = 0.007_812_5 + 2.4e-7;

/// How rows become codes.
struct Rounding {
    metric: Metric,
    dim: usize,
    /// c and zeros, up to whole registers.
    center: Vec<[f32; LANES]>,
    /// 1/s.
    inverse: f32,
    /// γ.
    gamma: f64,
}

/// Rows that are rounded as they are met.
pub(crate) struct RoundedRows<'a> {
    isa: Isa,
    rows: Vectors<'a>,
    rounding: Rounding,
    packed: Packed,
    codes: Vec<[u8; LANES]>,
}

/// Screens rows of any type under l2, ip or cosine.
pub(crate) fn rounded<'a>(
    isa: Isa,
    metric: Metric,
    rows: Vectors<'a>,
    queries: Vectors,
) -> Screen<'a, RoundedRows<'a>> {
    let rounding = Rounding::learned(metric, rows);
    let (tile, bounds) = rounding.queries(isa, queries);
    let codes = rounding.panel();
    Screen::new(isa, RoundedRows { isa, rows, rounding, packed: Packed::default(), codes }, tile, bounds)
}

impl Source for RoundedRows<'_> {
    type Operand = Bytes;
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, f32> {
        let Self { isa, rows, rounding, packed, codes } = self;
        let rows = rows.rows(range);
        packed.clear(rows.len(), rows.dim().div_ceil(Bytes::WIDTH));
        rows.dtype().visit(Pack { isa: *isa, rows, first: 0, rounding, codes, packed });
        self.packed.panels()
    }
}

/// All rows there are, rounded once.
pub(crate) struct Rounded {
    rounding: Rounding,
    len: usize,
    packed: Packed,
}

impl Rounded {
    /// Of rows that are searched under l2, ip or cosine; nothing where there is no memory for them.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(metric: Metric, rows: Vectors, monitor: Option<&dyn Monitor>) -> Result<Option<Self>> {
        let rounding = Rounding::learned(metric, rows);
        let mut new = Self { rounding, len: 0, packed: Packed::default() };
        Ok(new.extend(rows, monitor)?.then_some(new))
    }

    /// Takes `rows` in, the first of which it has; false where there is no memory for them. Then, and after an error, it is of no use.
    ///
    /// # Errors
    /// As [`Rounded::new`].
    pub fn extend(&mut self, rows: Vectors, monitor: Option<&dyn Monitor>) -> Result<bool> {
        let Self { rounding, len, packed } = self;
        if !packed.lengthen(rows.len(), rows.dim().div_ceil(Bytes::WIDTH)) {
            return Ok(false);
        }
        let (codes, isa, total) = (&mut rounding.panel(), Isa::active(), rows.len());
        // The last panel may have had room.
        for at in (*len / PANEL * PANEL..total).step_by(PART_ROWS) {
            threads::pause(monitor, "round", at as u64, total as u64)?;
            let (rows, first) = (rows.rows(at..(at + PART_ROWS).min(total)), at / PANEL);
            rows.dtype().visit(Pack { isa, rows, first, rounding, codes, packed });
        }
        *len = total;
        Ok(true)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.packed.bytes()
    }

    /// Screens the rows.
    pub fn screen(&self, isa: Isa, queries: Vectors) -> Screen<'_, Stored<'_>> {
        let (tile, bounds) = self.rounding.queries(isa, queries);
        Screen::new(isa, Stored(self), tile, bounds)
    }
}

/// Rows that were rounded before.
pub(crate) struct Stored<'a>(&'a Rounded);

impl Source for Stored<'_> {
    type Operand = Bytes;

    fn code_bytes(&self) -> Option<usize> {
        Some(self.0.rounding.dim)
    }

    fn panels(&mut self, range: Range<usize>) -> Panels<'_, f32> {
        self.0.packed.some(range.start / PANEL..range.end.div_ceil(PANEL))
    }
}

impl Rounding {
    /// From some of the rows: any centre and any step give a valid bound, and a few rows tell good ones.
    fn learned(metric: Metric, rows: Vectors) -> Self {
        let dim = rows.dim();
        let few = sample(rows, SAMPLE, metric);
        let mut center = vec![[0f32; LANES]; dim.div_ceil(LANES)];
        for (center, mean) in center.as_flattened_mut().iter_mut().zip(few.column_mean().iter()) {
            *center = *mean as f32;
        }
        let apart = few.column_iter().flat_map(|x| x.into_iter().zip(center.as_flattened()));
        let reach = apart.fold(0f64, |reach, (v, &c)| reach.max((v - f64::from(c)).abs()));
        let inverse = (f64::from(MOST) / reach) as f32;
        let inverse = if inverse.is_normal() { inverse } else { 1.0 };
        let gamma = (dim as f64 + 16.0) * 2f64.powi(-24);
        Self { metric, dim, center, inverse, gamma }
    }

    /// Room for the codes of a panel's rows, one after the other.
    fn panel(&self) -> Vec<[u8; LANES]> {
        vec![[0; LANES]; PANEL * self.center.len()]
    }

    /// Queries, and what each asks of a row.
    fn queries(&self, isa: Isa, queries: Vectors) -> (QueryTile<Bytes>, Vec<Bound>) {
        let Self { metric, dim, .. } = *self;
        let (center, step) = (self.center.as_flattened(), 1.0 / f64::from(self.inverse));
        let mut columns = columns(queries, 0..queries.len(), metric);
        // Sums and terms of the test are rounded to 24 bits, four times at most.
        let lost = 256.0 * 128.0 * dim as f64 * 2f64.powi(-22);
        let (less, more) = (1.0 - 2f64.powi(-20), 1.0 + 2f64.powi(-20));
        let mut codes = Vec::with_capacity(queries.len() * dim.next_multiple_of(Bytes::WIDTH));
        let mut bounds = Vec::with_capacity(queries.len());
        for mut q in columns.column_iter_mut() {
            let squares = metric == Metric::L2;
            let (mut along, mut square) = (0.0, 0.0);
            for (v, &c) in q.iter_mut().zip(center) {
                along += *v * f64::from(c);
                square += *v * *v;
                if squares {
                    *v = (*v - f64::from(c)) / step;
                }
            }
            let unit = q.amax() / f64::from(MOST);
            let unit = unit.max(if squares { LEAST } else { f64::MIN_POSITIVE });
            let (mut norm, mut rounded, mut left, mut sum) = (0.0, 0.0, 0.0, 0.0);
            for v in q.iter() {
                // A centre that is no number leaves codes of anything, and a bound that keeps every row.
                let code = (v / unit).round().clamp(f64::from(-MOST), f64::from(MOST));
                let part = unit * code;
                norm += v * v;
                rounded += part * part;
                left += (v - part) * (v - part);
                sum += code;
                codes.push(code as i16);
            }
            codes.resize(codes.len().next_multiple_of(Bytes::WIDTH), 0);
            let tau = more * rounded.sqrt().max(PART * left.sqrt()) / unit;
            let origin = 128.0 * sum - lost;
            // Rounding of what is told in f64.
            let tiny = 2f64.powi(-40);
            bounds.push(match metric {
                Metric::L2 => Bound {
                    beta: -less / unit,
                    tau,
                    origin: origin + norm * (1.0 - tiny) / (2.0 * unit),
                    slope: (1.0 + tiny) / (2.0 * unit * step * step),
                },
                _ => {
                    let whole = if metric == Metric::Cosine { 1.0 } else { 0.0 };
                    let length = center.iter().map(|&c| f64::from(c) * f64::from(c)).sum::<f64>().sqrt();
                    let along = along + tiny * (whole + square.sqrt() * length);
                    Bound {
                        beta: 0.0,
                        tau,
                        origin: origin + (whole - along) / (unit * step),
                        slope: (1.0 + tiny) / (unit * step),
                    }
                }
            });
        }
        let stride = dim.next_multiple_of(Bytes::WIDTH);
        let tile = QueryTile::new(isa, queries.len(), stride / Bytes::WIDTH, |query, step| {
            let codes = codes[query * stride + step * Bytes::WIDTH..].first_chunk();
            tile::pack_bytes(isa, *codes.expect("whole steps"))
        });
        (tile, bounds)
    }
}

/// Rounds rows, and packs them from panel `first` on.
struct Pack<'a> {
    isa: Isa,
    rows: Vectors<'a>,
    first: usize,
    rounding: &'a Rounding,
    codes: &'a mut [[u8; LANES]],
    packed: &'a mut Packed,
}

impl DtypeVisitor for Pack<'_> {
    type Out = ();
    fn visit<E: Element>(self) {
        let Self { isa, rows, first, rounding, codes, packed } = self;
        let values = rows.as_slice::<E>().unwrap_or_default();
        for (rows, (lines, a, t)) in values.chunks(PANEL * rows.dim()).zip(packed.places(first)) {
            isa.run(Panel { rounding, rows, codes, lines, a, t });
        }
    }
}

/// The rows of one panel, at most.
struct Panel<'a, E> {
    rounding: &'a Rounding,
    rows: &'a [E],
    codes: &'a mut [[u8; LANES]],
    lines: &'a mut [Line],
    a: &'a mut [f32; PANEL],
    t: &'a mut [f32; PANEL],
}

impl<E: Element> Kernel for Panel<'_, E> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { rounding, rows, codes, lines, a, t } = self;
        let Rounding { metric, dim, center, inverse, gamma } = rounding;
        let (registers, unit, gamma) = (center.len(), *metric == Metric::Cosine, *gamma as f32);
        let parts = rows.chunks_exact(*dim).zip(codes.chunks_exact_mut(registers));
        for (lane, (row, codes)) in parts.enumerate() {
            let scale = if unit { (1.0 / squared_norm(row).sqrt()) as f32 } else { 1.0 };
            // A row of zeros has no direction, and is as near to all.
            let scale =
                if scale == f32::INFINITY && row.iter().all(|v| v.to_f64() == 0.0) { 1.0 } else { scale };
            let (mut squares, mut errors) = ([0f32; LANES], [0f32; LANES]);
            let (whole, rest) = row.as_chunks::<LANES>();
            for ((row, center), codes) in whole.iter().zip(center).zip(&mut *codes) {
                let mut values = [0f32; LANES];
                for i in 0..LANES {
                    values[i] = row[i].to_f64() as f32;
                }
                round(&values, center, (scale, *inverse), codes, &mut squares, &mut errors);
            }
            if !rest.is_empty() {
                let mut values = [0f32; LANES];
                for (value, v) in values.iter_mut().zip(rest) {
                    *value = v.to_f64() as f32;
                }
                let last = registers - 1;
                round(&values, &center[last], (scale, *inverse), &mut codes[last], &mut squares, &mut errors);
            }
            let (square, error) = (squares.into_iter().sum::<f32>(), errors.into_iter().sum::<f32>());
            let more = 1.0 + gamma;
            let own = if unit { 2.0 * gamma * *inverse } else { 0.0 };
            let told = more * (error.sqrt() + square.sqrt() * OF_LENGTH) + own + TINY;
            // Not so of a NaN.
            let fits = square < LARGEST;
            a[lane] = if fits { square * 0.5 * (1.0 - gamma) } else { 0.0 };
            t[lane] = if fits { told } else { f32::INFINITY };
        }
        interleave(codes.as_flattened(), lines);
    }
}

/// Codes of some coordinates, and what is added to Σ yⱼ² and Σ eⱼ².
#[inline(always)]
fn round(
    values: &[f32; LANES],
    center: &[f32; LANES],
    (scale, inverse): (f32, f32),
    codes: &mut [u8; LANES],
    squares: &mut [f32; LANES],
    errors: &mut [f32; LANES],
) {
    for i in 0..LANES {
        let y = (values[i] * scale - center[i]) * inverse;
        // Whatever the code, what is told is true of it.
        let low = if y < MOST { y } else { MOST };
        let near = if low > -MOST { low } else { -MOST };
        let code = near + ROUND;
        let e = y - (code - ROUND);
        codes[i] = code.to_bits() as u8 ^ 128;
        squares[i] += y * y;
        errors[i] += e * e;
    }
}

#[cfg(test)]
mod tests {
    use super::super::screen::{Screened, Screening};
    use super::*;
    use crate::kernels::distance::Query;
    use crate::random::Random;

    /// How far all rows are from each query.
    fn distances(isa: Isa, metric: Metric, rows: Vectors, queries: Vectors) -> Vec<Vec<f32>> {
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let of = |query| {
            let mut out = Vec::new();
            Query::new(metric, queries, query, rows.dtype()).distances(isa, rows, &all, &mut out);
            out
        };
        (0..queries.len()).map(of).collect()
    }

    /// What `screen` keeps of the first `count` rows, which are one block, for each query within its distance.
    fn kept(screen: &mut impl Screening, count: usize, distances: &[f32]) -> Vec<Vec<u32>> {
        let group = screen.group();
        let mut block = screen.block(0..count);
        distances.iter().enumerate().for_each(|(query, &distance)| block.aim(query, distance));
        let mut all = Vec::new();
        for at in 0..distances.len().div_ceil(group) {
            let mut lists = vec![Vec::new(); group];
            block.keep(at, &mut lists);
            all.extend(lists);
        }
        all.truncate(distances.len());
        all
    }

    const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

    #[test]
    fn no_row_is_ruled_out_that_is_as_near_as_asked_for() {
        const COUNT: usize = 75;
        let mut random = Random(3);
        for at in 0..45 {
            let (dim, kind) = ([2, 16, 33, 100, 770][at / 9], at % 9);
            let mut rows = random.values(COUNT * dim, kind);
            rows[30 * dim..31 * dim].fill(0.0);
            let mut asked = random.values(5 * dim, kind);
            asked.extend(&rows[30 * dim..32 * dim]);
            asked.extend(random.values(dim, (kind + 1) % 7));
            let (rows, queries) = (Vectors::new(&rows, dim).unwrap(), Vectors::new(&asked, dim).unwrap());
            for metric in METRICS {
                for isa in Isa::available() {
                    let mut screen = rounded(isa, metric, rows, queries);
                    let distances = distances(isa, metric, rows, queries);
                    for row in 0..COUNT {
                        let near: Vec<f32> = distances.iter().map(|of| of[row]).collect();
                        for (query, list) in kept(&mut screen, COUNT, &near).iter().enumerate() {
                            let held = near[query].is_nan() || list.contains(&(row as u32));
                            assert!(held, "{dim} {kind} {metric} {query} {row} {}", isa.name());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn few_rows_are_kept_that_are_not_as_near_as_asked_for() {
        const COUNT: usize = 1000;
        for (dim, kind) in [(32, 0), (384, 0), (384, 1), (384, 3)] {
            let mut random = Random(4);
            let (rows, asked) = (random.values(COUNT * dim, kind), random.values(6 * dim, kind));
            let (rows, queries) = (Vectors::new(&rows, dim).unwrap(), Vectors::new(&asked, dim).unwrap());
            for metric in METRICS {
                for isa in Isa::available() {
                    let tenth = |mut of: Vec<f32>| *of.select_nth_unstable_by(9, f32::total_cmp).1;
                    let near: Vec<f32> =
                        distances(isa, metric, rows, queries).into_iter().map(tenth).collect();
                    for list in kept(&mut rounded(isa, metric, rows, queries), COUNT, &near) {
                        let few = list.len() < COUNT / 10;
                        assert!(few, "{dim} {kind} {metric} {} {}", list.len(), isa.name());
                    }
                }
            }
        }
    }
}
