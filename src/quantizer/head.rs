//! Which vectors cannot be an answer? Seven bits for each leading coordinate, and a bound of what they leave out.
//!
//! A vector is projected on H directions ([`Projection`]); its head y is stored as codes c = round(y/s), |c| ≤ 64,
//! 16 vectors to a panel of the [tile](crate::kernels::tile), with two bf16: a = ‖x‖²/2 rounded down and t = ‖tail‖ rounded up, both in units of s. With a
//! query's codes k and step s_q, u = s·s_q, and the rounding errors e = ‖y − s·c‖,
//!
//! ```text
//! ⟨q,x⟩ = ⟨ŷ_q,ŷ_x⟩ + ⟨y_q−ŷ_q, ŷ_x⟩ + ⟨y_q, y_x−ŷ_x⟩ + ⟨tails⟩
//!       ≤ u·Σ kⱼcⱼ  +  e_q·‖ŷ_x‖     +  ‖y_q‖·e_x      + t_q·t_x
//! ```
//!
//! so that for L2 a vector can be as near as D only if
//!
//! ```text
//! Σ kⱼcⱼ − a/u + (t_q/u)·t ≥ ((‖q‖² − D)/2 − C)/u,      C = e_q·max‖ŷ_x‖ + ‖y_q‖·max e_x
//! ```
//!
//! and for inner product and cosine the same without a. This is [`Test`]: Σ + β·a + τ·t ≥ T. Vectors of which a
//! coordinate does not fit the codes have t = ∞: they are never ruled out, and so do not widen max e_x for the others.
//!
//! Heads are computed in f32, and what that rounds counts as defect of the projection; all else is computed in f64 from them and from
//! the vectors as they are stored. The rounding of the f32 test itself is paid for with a margin of 2⁻²⁰ of its terms.

use std::ops::Range;
use std::sync::Mutex;

use half::bf16;
use nalgebra::{DMatrix, DVector};

use super::encode::{Encode, Part, ZERO, lengths, round};
use super::fine::{FineCodes, Terms};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::fine::FineQuery;
use crate::kernels::simd::{CODE_LIMIT, Kernel, Simd};
use crate::kernels::tile::{Bound, Codes, Line, Operand, PANEL, Panels, QueryTile};
use crate::metric::Metric;
use crate::storage::Buffer;
use crate::threads::{self, Monitor};
use crate::transform::{Projection, Split, columns, square};
use crate::vectors::Vectors;

/// Vectors that a thread encodes at a time: whole panels.
const PART: usize = 16 * PANEL;
const STEP: usize = HeadCodes::STEP;

/// Codes of any number of vectors.
///
/// They are read at one of a few *levels*: the first coordinates only, which costs less and rules out less. A level has
/// tails and largest errors of its own; the codes are the same.
#[derive(Clone)]
pub struct HeadCodes {
    pub(super) metric: Metric,
    pub(super) projection: Projection,
    /// s: the distance between two codes.
    pub(super) step: f64,
    /// max ‖x − μ‖ over all vectors.
    pub(super) radius: f64,
    pub(super) len: usize,
    /// The narrowest first; the last one is as wide as the panels.
    pub(super) levels: Vec<Level>,
    /// Panels of H/4 lines.
    pub(super) lines: Buffer,
    /// a/s², 16 bf16 a panel.
    pub(super) half_norms: Buffer,
    /// Where there are bytes for them: codes of more directions, for what the panels cannot rule out.
    pub(super) fine: Option<FineCodes>,
}

/// The first coordinates of the codes.
#[derive(Clone)]
pub(super) struct Level {
    pub width: usize,
    /// The largest k that this level suits.
    pub most: usize,
    /// max e_x over the vectors that fit.
    pub error: f64,
    /// max ‖ŷ_x‖ over the vectors that fit.
    pub head: f64,
    /// t/s, 16 bf16 a panel.
    pub tails: Buffer,
}

impl HeadCodes {
    /// Coordinates of one step of the tile: the width is a multiple of it.
    pub const STEP: usize = 8;

    /// Bytes for each vector where the panels are `width` wide, have `levels` levels, and there are fine codes of `fine`
    /// coordinates (none where 0).
    pub fn bytes_per_vector(width: usize, levels: usize, fine: usize) -> usize {
        let fine = if fine > 0 { FineCodes::stride(fine) + size_of::<[bf16; 2]>() } else { 0 };
        width + (1 + levels) * size_of::<bf16>() + fine
    }

    /// An empty set of codes over the first of the directions `all`: panels with `levels`, pairs of a width and the largest k
    /// that it suits, both ascending, and fine codes of `fine` directions if that is not 0. `columns` are vectors such as
    /// are to be coded, as the projection has centred them.
    pub(crate) fn learned(
        metric: Metric,
        all: &Projection,
        levels: &[(usize, usize)],
        fine: usize,
        columns: &DMatrix<f64>,
        seed: u64,
    ) -> Self {
        let mut turned: Vec<usize> = levels.iter().map(|level| level.0).collect();
        let width = turned[turned.len() - 1];
        turned.extend((fine > width).then_some(fine));
        let projection = all.narrowed(width.max(fine)).mixed(&turned, seed);
        let heads = projection.apply(columns);
        // One vector in a thousand may lie outside the codes: it is then never ruled out by the panels, and all others are
        // coded finer.
        let mut reaches: Vec<f64> = heads.column_iter().map(|head| head.rows(0, width).amax()).collect();
        let reach = quantile(&mut reaches, 0.999);
        let fine_reaches: Vec<f64> = heads
            .row_iter()
            .map(|row| quantile(&mut row.iter().map(|v| v.abs()).collect::<Vec<f64>>(), 0.9999))
            .collect();
        Self::new(metric, projection, reach, levels, (fine > 0).then_some(&*fine_reaches))
    }

    /// An empty set of codes over `projection`, of which a head coordinate reaches up to `reach`. `levels` are pairs of a
    /// width and the largest k that it suits, both ascending.
    /// `fine` says how far each of the projection's coordinates reaches, where there are to be fine codes.
    pub fn new(
        metric: Metric,
        projection: Projection,
        reach: f64,
        levels: &[(usize, usize)],
        fine: Option<&[f64]>,
    ) -> Self {
        assert!(levels.iter().all(|(width, _)| width.is_multiple_of(STEP)), "whole steps of the tile");
        let widest = levels.last().map_or(0, |level| level.0);
        assert!(widest > 0 && widest <= projection.width(), "the last level is all of the panels");
        assert_eq!(fine.map_or(widest, <[f64]>::len), projection.width(), "fine codes of all directions");
        let step = if reach > 0.0 { reach / f64::from(ZERO - 1) } else { 1.0 };
        let level = |&(width, most)| Level { width, most, error: 0.0, head: 0.0, tails: Buffer::new() };
        Self {
            metric,
            projection,
            step,
            radius: 0.0,
            len: 0,
            levels: levels.iter().map(level).collect(),
            lines: Buffer::new(),
            half_norms: Buffer::new(),
            fine: fine.map(FineCodes::new),
        }
    }

    /// Forgets all vectors, of which those to come are no farther than `radius` from the centre: queries made for these
    /// codes stay good for them.
    pub fn clear(&mut self, radius: f64) {
        for level in &mut self.levels {
            level.tails.truncate(0);
            (level.error, level.head) = (0.0, 0.0);
        }
        if let Some(fine) = &mut self.fine {
            fine.truncate(0);
        }
        self.lines.truncate(0);
        self.half_norms.truncate(0);
        (self.len, self.radius) = (0, radius);
    }

    /// The level that suits a search for `k` vectors; `None` where looking at all is cheaper.
    pub fn level(&self, k: usize) -> Option<usize> {
        self.levels.iter().position(|level| k <= level.most)
    }

    /// The last level.
    pub fn finest(&self) -> usize {
        self.levels.len() - 1
    }

    /// The widths of the levels.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        self.levels.iter().map(|level| level.width)
    }

    /// H: coordinates of the panels.
    fn width(&self) -> usize {
        self.levels[self.finest()].width
    }

    /// W: coordinates of the fine codes, where there are any.
    pub fn fine_width(&self) -> Option<usize> {
        self.fine.as_ref().map(FineCodes::width)
    }

    /// Bytes of one vector's codes.
    pub fn row_bytes(&self) -> usize {
        self.width() + self.fine.as_ref().map_or(0, |fine| FineCodes::stride(fine.width()))
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        let projection = (self.projection.rows().len() + self.projection.mean().len()) * 4;
        let tails: usize = self.levels.iter().map(|level| level.tails.len()).sum();
        let fine = self.fine.as_ref().map_or(0, FineCodes::bytes);
        self.lines.len() + self.half_norms.len() + tails + projection + fine
    }

    /// Appends the codes of `vectors`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted); the codes are
    /// then as they were.
    pub fn extend(&mut self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<()> {
        let lengths = (self.lines.len(), self.half_norms.len());
        let done = self.append(vectors, threads, monitor);
        if done.is_err() {
            self.lines.truncate(lengths.0);
            self.half_norms.truncate(lengths.1);
            self.levels.iter_mut().for_each(|level| level.tails.truncate(lengths.1));
            if let Some(fine) = &mut self.fine {
                fine.truncate(self.len);
            }
            self.clear_rest();
        }
        done
    }

    /// Zeros the places after the last vector of the last panel, where a call that failed may have written.
    fn clear_rest(&mut self) {
        let (first, place) = (self.len / PANEL * self.width() / 4, self.len % PANEL);
        let factors = self.len * size_of::<bf16>();
        let tails = self.levels.iter_mut().map(|level| &mut level.tails);
        // A buffer that cannot be written to was not written to either.
        for bytes in tails.chain([&mut self.half_norms]).filter_map(|buffer| buffer.bytes_mut("codes").ok()) {
            bytes[factors..].fill(0);
        }
        if let Ok(bytes) = self.lines.bytes_mut("codes")
            && place > 0
        {
            let lines: &mut [Line] = bytemuck::cast_slice_mut(bytes);
            lines[first..].iter_mut().for_each(|line| line.0[place * 4..].fill(0));
        }
    }

    fn append(&mut self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<()> {
        let (old, new) = (self.len, self.len + vectors.len());
        let panels = new.div_ceil(PANEL);
        let width = self.width();
        self.lines.lengthen("codes", panels * PANEL * width)?;
        self.half_norms.lengthen("codes", panels * size_of::<[bf16; PANEL]>())?;
        for level in &mut self.levels {
            level.tails.lengthen("codes", panels * size_of::<[bf16; PANEL]>())?;
        }
        // From the panel that is not full yet on, in parts that threads write each on their own.
        let (first, steps) = (old / PANEL, width / 4);
        let lines: &mut [Line] = bytemuck::cast_slice_mut(self.lines.bytes_mut("codes")?);
        let half_norms: &mut [bf16] = bytemuck::cast_slice_mut(self.half_norms.bytes_mut("codes")?);
        let parts = lines[first * steps..].chunks_mut(PART / PANEL * steps);
        let parts = parts.zip(half_norms[first * PANEL..].chunks_mut(PART));
        let mut parts: Vec<Part> = parts
            .map(|(lines, half_norms)| Part {
                lines,
                half_norms,
                tails: Vec::new(),
                largest: Vec::new(),
                fine: None,
            })
            .collect();
        if let Some(fine) = &mut self.fine {
            let fine = fine.parts(new, first * PANEL, PART, self.step)?;
            parts.iter_mut().zip(fine).for_each(|(part, fine)| part.fine = Some(fine));
        }
        let widths: Vec<usize> = self.levels.iter().map(|level| level.width).collect();
        for level in &mut self.levels {
            let tails: &mut [bf16] = bytemuck::cast_slice_mut(level.tails.bytes_mut("codes")?);
            for (part, tails) in parts.iter_mut().zip(tails[first * PANEL..].chunks_mut(PART)) {
                part.tails.push(tails);
                part.largest.push((level.error, level.head));
            }
        }
        let parts: Vec<Mutex<Part>> = parts.into_iter().map(Mutex::new).collect();
        let isa = Isa::active();
        let (metric, projection, step) = (self.metric, &self.projection, self.step);
        let radius = Mutex::new(self.radius);
        let size = (parts.len(), vectors.len() as u64);
        threads::run(threads, monitor, "encode", size, |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let start = first * PANEL + at * PART;
            let rows = start.max(old)..(start + PART).min(new);
            let mut columns = columns(vectors, rows.start - old..rows.end - old, metric);
            let mut longest = 0f64;
            let mut codes = vec![0; width];
            projection.split(&mut columns, true, |i, x| {
                longest = longest.max(x.norm.sqrt());
                let at = rows.start - start + i;
                isa.run(Encode { part: &mut part, at, x, step, widths: &widths, codes: &mut codes });
            });
            let mut radius = radius.lock().map_err(|_| Error::Interrupted)?;
            *radius = radius.max(longest);
            worker.advance(rows.len() as u64);
            Ok(())
        })?;
        let mut largest = vec![(0f64, 0f64); widths.len()];
        for part in parts {
            let part = part.into_inner().map_err(|_| Error::Interrupted)?;
            for (all, one) in largest.iter_mut().zip(&part.largest) {
                *all = (all.0.max(one.0), all.1.max(one.1));
            }
        }
        for (level, largest) in self.levels.iter_mut().zip(largest) {
            (level.error, level.head) = (level.error.max(largest.0), level.head.max(largest.1));
        }
        self.radius = radius.into_inner().map_err(|_| Error::Interrupted)?;
        self.len = new;
        Ok(())
    }

    /// The codes of vectors `range`, which begins with a panel, at level `level`.
    pub fn panels(&self, level: usize, range: Range<usize>) -> Panels<'_, bf16> {
        let panels = range.start / PANEL..range.end.div_ceil(PANEL);
        let stride = self.width() / 4;
        Panels {
            lines: &self.lines.as_slice()[panels.start * stride..panels.end * stride],
            stride,
            a: &self.half_norms.as_slice()[panels.clone()],
            t: &self.levels[level].tails.as_slice()[panels],
        }
    }

    /// Takes from `list`, which are vectors counted from `first`, all that `query` shows to be farther than `distance`.
    pub fn refine(&self, isa: Isa, query: &FineQuery, first: usize, distance: f32, list: &mut Vec<u32>) {
        if let Some(fine) = &self.fine {
            query.refine(isa, fine.rows(self.half_norms.as_slice(), first), distance, list);
        }
    }

    /// `queries` as the codes meet them at level `level`: what is computed of them once, whatever codes come and go.
    pub fn queries(&self, isa: Isa, level: usize, queries: Vectors) -> HeadQueries {
        let width = self.levels[level].width;
        let mut columns = columns(queries, 0..queries.len(), self.metric);
        // ⟨q, μ⟩: what the centring of the vectors took from their inner products.
        let mean = self.projection.mean().iter().map(|&v| f64::from(v));
        let offsets = columns.tr_mul(&DVector::from_iterator(columns.nrows(), mean));
        let mut all = HeadQueries { width, codes: Vec::new(), heads: Vec::new(), fine: Vec::new() };
        self.projection.split(&mut columns, self.metric == Metric::L2, |i, q| {
            isa.run(Meet { codes: self, q, offset: offsets[i], all: &mut all });
        });
        all
    }

    /// What `query` asks of each vector that there is now.
    pub fn bound(&self, level: usize, query: &HeadQuery) -> Bound {
        let Level { error, head, .. } = self.levels[level];
        let slack = (query.error * head + query.length * error) / query.unit;
        Bound { origin: query.bound.origin - slack, ..query.bound }
    }

    /// What is asked of a vector, whatever the codes; `offset` = ⟨q, μ⟩.
    #[inline(always)]
    fn terms(&self, q: &Split, offset: f64) -> Terms {
        let (constant, slope) = match self.metric {
            Metric::L2 => (q.norm / 2.0, 0.5),
            Metric::Cosine => (1.0 - offset, 1.0),
            _ => (-offset, 1.0),
        };
        // P's defect, and the rounding of the f64 sums that both sides came from.
        let slack = (self.projection.defect() + 1e-9) * q.norm.sqrt() * self.radius;
        let halved = self.metric == Metric::L2;
        // Of 1 − ⟨q,μ⟩ little may be left, but each was rounded.
        let size = constant.abs() + offset.abs();
        Terms { constant, slope, halved, slack, size, radius: self.radius, unit: self.step }
    }

    /// Appends the query's codes; the rest of it.
    #[inline(always)]
    fn head(&self, width: usize, room: Room, q: &Split, terms: Terms, out: &mut Vec<i8>) -> HeadQuery {
        let y = &q.head[..width];
        let step = room.step(y);
        let mut codes = vec![0; width];
        round(y, step, i32::from(CODE_LIMIT), &mut codes);
        let (error, _) = lengths(y, step, &codes);
        let length = square(y).sqrt();
        let u = self.step * step;
        // Stored in units of s, so that nothing overflows where the data is large or small.
        let beta = if terms.halved { -self.step / step } else { 0.0 };
        let tau = q.tail(width) / step;
        let radius = self.radius / self.step;
        let (sum, sizes) = codes.iter().fold((0, 0), |(sum, sizes), &k| (sum + k, sizes + k.abs()));
        let rounded = f64::from(CODE_LIMIT) * f64::from(sizes)
            + (beta * radius * radius / 2.0).abs()
            + tau * radius
            + terms.size / u;
        let origin =
            (terms.constant - terms.slack) / u + f64::from(ZERO) * f64::from(sum) - rounded * 2f64.powi(-20);
        out.extend(codes.iter().map(|&k| k as i8));
        let bound = Bound { beta, tau, origin, slope: terms.slope / u };
        HeadQuery { bound, error, length, unit: u }
    }
}

/// Queries as the codes of one level meet them.
#[derive(Default)]
pub struct HeadQueries {
    width: usize,
    /// k, a row of `width` for each query.
    codes: Vec<i8>,
    heads: Vec<HeadQuery>,
    /// For [`HeadCodes::refine`]; none where there are no fine codes.
    fine: Vec<FineQuery>,
}

/// One query but for its codes.
pub struct HeadQuery {
    /// The bound if the codes had no errors.
    bound: Bound,
    /// e_q.
    error: f64,
    /// ‖y_q‖.
    length: f64,
    /// u.
    unit: f64,
}

impl HeadQueries {
    /// The queries `rows` in the form that the tile reads.
    pub fn tile(&self, isa: Isa, rows: &[u32]) -> QueryTile<Codes> {
        QueryTile::new(isa, rows.len(), self.width / Codes::WIDTH, |query, step| {
            let at = rows[query] as usize * self.width + step * Codes::WIDTH;
            let four: &[i8; Codes::WIDTH] = self.codes[at..].first_chunk().expect("whole steps");
            bytemuck::must_cast(*four)
        })
    }

    /// Query `row` but for its codes.
    pub fn head(&self, row: u32) -> &HeadQuery {
        &self.heads[row as usize]
    }

    /// Query `row` as [`HeadCodes::refine`] wants it, where there are fine codes.
    pub fn fine(&self, row: u32) -> Option<&FineQuery> {
        self.fine.get(row as usize)
    }
}

/// Appends a query as `codes` meet it.
struct Meet<'a> {
    codes: &'a HeadCodes,
    q: Split<'a>,
    offset: f64,
    all: &'a mut HeadQueries,
}

impl Kernel for Meet<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { codes, q, offset, all } = self;
        let terms = codes.terms(&q, offset);
        all.heads.push(codes.head(all.width, Room::of::<S>(), &q, terms, &mut all.codes));
        all.fine.extend(codes.fine.as_ref().map(|codes| codes.query(&q, terms)));
    }
}

/// What an instruction set takes of a query's codes.
#[derive(Clone, Copy)]
struct Room {
    /// Coordinates whose products are summed before they are widened.
    part: usize,
    /// [`Simd::CODE_SUM`].
    sum: f64,
}

impl Room {
    fn of<S: Simd>() -> Self {
        Self { part: S::CODE_LINES.saturating_mul(4), sum: S::CODE_SUM.into() }
    }

    /// The least step that codes of `y`, which are whole lines, may have.
    #[inline(always)]
    fn step(self, y: &[f64]) -> f64 {
        let (mut reaches, mut sum) = ([0f64; 4], 0f64);
        for part in y.chunks(self.part) {
            let (mut above, mut below) = ([0.0; 4], [0.0; 4]);
            for four in part.as_chunks::<4>().0 {
                for i in 0..4 {
                    let size = four[i].abs();
                    reaches[i] = if size > reaches[i] { size } else { reaches[i] };
                    above[i] += size + four[i];
                    below[i] += size - four[i];
                }
            }
            // Each has its own twice.
            for [a, b, c, d] in [above, below] {
                sum = sum.max((a + b) / 2.0).max((c + d) / 2.0);
            }
        }
        let reach = reaches.into_iter().fold(0.0, f64::max);
        // Rounding may add a half to each of the coordinates that meet.
        let rounded = self.part.min(y.len()).div_ceil(4) as f64;
        let step = (reach / f64::from(CODE_LIMIT)).max(sum / (self.sum - rounded));
        if step > 0.0 { step } else { 1.0 }
    }
}

/// The value that a part `part` of `values` does not exceed.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    let at = ((values.len() - 1) as f64 * part) as usize;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an instruction set takes.
    struct Taken;

    impl Kernel for Taken {
        type Out = Room;
        #[inline(always)]
        fn run<S: Simd>(self, _: S) -> Room {
            Room::of::<S>()
        }
    }

    #[test]
    fn codes_of_any_query_fit_the_lanes_that_sum_their_products() {
        let mut random = crate::random::Random(5);
        let mut any = |kind: usize| match kind {
            0 => 1.0,
            1 => -1.0,
            2 => random.unit() - 0.5,
            3 => (random.unit() - 0.5).powi(9),
            _ => random.unit(),
        };
        for (width, kind) in (1..12).flat_map(|steps| (0..5).map(move |kind| (steps * STEP, kind))) {
            let y: Vec<f64> = (0..width).map(|_| any(kind)).collect();
            let narrow = [Room { part: 32, sum: 258.0 }, Room { part: 8, sum: 130.0 }];
            for room in Isa::available().into_iter().map(|isa| isa.run(Taken)).chain(narrow) {
                let mut codes = vec![0; width];
                let step = room.step(&y);
                round(&y, step, i32::from(CODE_LIMIT), &mut codes);
                // None was cut off: the limit is within half a step of the largest.
                assert!(y.iter().zip(&codes).all(|(v, &k)| (v / step - f64::from(k)).abs() < 0.500_001));
                for part in codes.chunks(room.part) {
                    for (lane, sign) in [(0, 1), (0, -1), (1, 1), (1, -1)] {
                        let meet =
                            |(j, k): (usize, &i32)| if j / 2 % 2 == lane { (k * sign).max(0) } else { 0 };
                        let sum: i32 = part.iter().enumerate().map(meet).sum();
                        assert!(f64::from(sum) <= room.sum, "{width}, {kind}: {sum}");
                    }
                }
            }
        }
        assert_eq!(Room { part: 32, sum: 258.0 }.step(&[0.0; 32]), 1.0);
    }
}
