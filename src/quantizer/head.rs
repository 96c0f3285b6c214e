//! Which vectors cannot be an answer? Seven bits for each leading coordinate, and a bound of what they leave out.
//!
//! A vector is projected on H directions ([`Projection`]); its head y is stored as codes c = round(y/s), |c| ≤ 64,
//! 16 vectors to a panel of the [tile](crate::kernels::tile), with two bf16: a = ‖x‖²/2 rounded down and t = ‖tail‖ rounded up. With a
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
//! All numbers but the codes are computed in f64 from the vectors as they are stored; the rounding of the f32 test
//! itself is paid for with a margin of 2⁻²⁰ of its terms.

use std::sync::Mutex;

use half::bf16;

use crate::error::{Error, Result};
use crate::kernels::simd::{CODE_LIMIT, Kernel, Simd};
use crate::kernels::tile::{Bound, Codes, Line, PANEL, Panels, QueryTile};
use crate::kernels::Isa;
use crate::metric::Metric;
use crate::storage::Buffer;
use crate::threads::{self, Monitor};
use crate::transform::{Projection, Split, columns};
use crate::vectors::Vectors;

/// Vectors that a thread encodes at a time: whole panels.
const PART: usize = 16 * PANEL;
/// The code of a zero coordinate.
const ZERO: i32 = 64;
const STEP: usize = HeadCodes::STEP;

/// Codes of any number of vectors.
#[derive(Clone)]
pub struct HeadCodes {
    pub(super) metric: Metric,
    pub(super) projection: Projection,
    /// s: the distance between two codes.
    pub(super) step: f64,
    /// max e_x over the vectors that fit.
    pub(super) error: f64,
    /// max ‖ŷ_x‖ over the vectors that fit.
    pub(super) head: f64,
    /// max ‖x − μ‖ over all vectors.
    pub(super) radius: f64,
    pub(super) len: usize,
    /// Panels of H/4 lines.
    pub(super) lines: Buffer,
    /// a, 16 bf16 a panel.
    pub(super) half_norms: Buffer,
    /// t, 16 bf16 a panel.
    pub(super) tails: Buffer,
}

/// A query, ready for the tile.
struct HeadQuery {
    codes: Vec<i8>,
    bound: Bound,
}

impl HeadCodes {
    /// Coordinates of one step of the tile: the width is a multiple of it.
    pub const STEP: usize = 8;

    /// Bytes for each vector where the codes are `width` wide.
    pub fn bytes_per_vector(width: usize) -> usize {
        width + 2 * size_of::<bf16>()
    }

    /// An empty set of codes over `projection`, of which a head coordinate reaches up to `reach`.
    pub fn new(metric: Metric, projection: Projection, reach: f64) -> Self {
        assert!(projection.width().is_multiple_of(STEP), "whole steps of the tile");
        let step = if reach > 0.0 { reach / f64::from(ZERO - 1) } else { 1.0 };
        Self {
            metric,
            projection,
            step,
            error: 0.0,
            head: 0.0,
            radius: 0.0,
            len: 0,
            lines: Buffer::new(),
            half_norms: Buffer::new(),
            tails: Buffer::new(),
        }
    }

    /// Encoded vectors.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// H.
    pub fn width(&self) -> usize {
        self.projection.width()
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        let projection = (self.projection.rows().len() + self.projection.mean().len()) * 4;
        self.lines.len() + self.half_norms.len() + self.tails.len() + projection
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
            self.tails.truncate(lengths.1);
        }
        done
    }

    fn append(&mut self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<()> {
        let (old, new) = (self.len, self.len + vectors.len());
        let panels = new.div_ceil(PANEL);
        let width = self.width();
        grow(&mut self.lines, panels * PANEL * width)?;
        grow(&mut self.half_norms, panels * size_of::<[bf16; PANEL]>())?;
        grow(&mut self.tails, panels * size_of::<[bf16; PANEL]>())?;
        // From the panel that is not full yet on, in parts that threads write each on their own.
        let (first, steps) = (old / PANEL, width / 4);
        let lines: &mut [Line] = bytemuck::cast_slice_mut(self.lines.bytes_mut("codes")?);
        let half_norms: &mut [bf16] = bytemuck::cast_slice_mut(self.half_norms.bytes_mut("codes")?);
        let tails: &mut [bf16] = bytemuck::cast_slice_mut(self.tails.bytes_mut("codes")?);
        let parts = lines[first * steps..].chunks_mut(PART / PANEL * steps);
        let factors = half_norms[first * PANEL..].chunks_mut(PART).zip(tails[first * PANEL..].chunks_mut(PART));
        let parts: Vec<_> = parts.zip(factors).map(Mutex::new).collect();
        let (metric, projection, step) = (self.metric, &self.projection, self.step);
        let largest = Mutex::new((self.error, self.head, self.radius));
        let size = (parts.len(), vectors.len() as u64);
        threads::run(threads, monitor, "encode", size, |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let (lines, (half_norms, tails)) = &mut *part;
            let start = first * PANEL + at * PART;
            let rows = start.max(old)..(start + PART).min(new);
            let mut coded = vec![0i32; projection.width()];
            let (mut error, mut head, mut radius) = (0f64, 0f64, 0f64);
            let mut columns = columns(vectors, rows.start - old..rows.end - old, metric);
            projection.split(&mut columns, true, |i, x| {
                let at = rows.start - start + i;
                let outside = encode(x.head, step, ZERO - 1, &mut coded);
                for (j, &c) in coded.iter().enumerate() {
                    lines[at / PANEL * steps + j / 4].0[at % PANEL * 4 + j % 4] = (c + ZERO) as u8;
                }
                half_norms[at] = below(x.norm / 2.0);
                radius = radius.max(x.norm.sqrt());
                tails[at] = if outside {
                    bf16::INFINITY
                } else {
                    let lengths = lengths(x.head, step, &coded);
                    (error, head) = (error.max(lengths.0), head.max(lengths.1));
                    above(x.tail)
                };
            });
            let mut largest = largest.lock().map_err(|_| Error::Interrupted)?;
            *largest = (largest.0.max(error), largest.1.max(head), largest.2.max(radius));
            worker.advance(rows.len() as u64);
            Ok(())
        })?;
        drop(parts);
        (self.error, self.head, self.radius) = largest.into_inner().map_err(|_| Error::Interrupted)?;
        self.len = new;
        Ok(())
    }

    /// The codes of vectors `range`, which begins with a panel.
    pub fn panels(&self, range: std::ops::Range<usize>) -> Panels<'_, bf16> {
        let panels = range.start / PANEL..range.end.div_ceil(PANEL);
        let steps = self.width() / 4;
        Panels {
            lines: &self.lines.as_slice()[panels.start * steps..panels.end * steps],
            a: &self.half_norms.as_slice()[panels.clone()],
            t: &self.tails.as_slice()[panels],
        }
    }

    /// The queries in the form that the tile reads, with the bound of each.
    pub fn queries(&self, isa: Isa, queries: Vectors) -> (QueryTile<Codes>, Vec<Bound>) {
        let limit = isa.run(CodeMax);
        let centred = self.metric == Metric::L2;
        let mut ready = Vec::with_capacity(queries.len());
        let mut columns = columns(queries, 0..queries.len(), self.metric);
        // ⟨q, μ⟩: what the centring of the vectors took from their inner products.
        let mean = nalgebra::DVector::from_iterator(queries.dim(), self.projection.mean().iter().map(|&v| f64::from(v)));
        let offsets: Vec<f64> = columns.column_iter().map(|q| q.dot(&mean)).collect();
        self.projection.split(&mut columns, centred, |i, q| ready.push(self.query(limit, q, offsets[i])));
        let tile = QueryTile::new(isa, ready.len(), self.width() / STEP, |query, step| {
            let codes: [i8; STEP] = std::array::from_fn(|j| ready[query].codes[step * STEP + j]);
            bytemuck::must_cast(codes)
        });
        (tile, ready.into_iter().map(|q| q.bound).collect())
    }

    fn query(&self, limit: i32, q: Split, offset: f64) -> HeadQuery {
        let reach = q.head.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let step = if reach > 0.0 { reach / f64::from(limit) } else { 1.0 };
        let mut codes = vec![0; q.head.len()];
        encode(q.head, step, limit, &mut codes);
        let (error, _) = lengths(q.head, step, &codes);
        let head = q.head.iter().map(|v| v * v).sum::<f64>().sqrt();
        let u = self.step * step;
        // The last term: P's defect, and the rounding of the f64 sums that both sides came from.
        let norm = q.norm.sqrt();
        let slack = error * self.head + head * self.error + (self.projection.defect() + 1e-9) * norm * self.radius;
        let sum = f64::from(codes.iter().sum::<i32>());
        let (constant, slope) = match self.metric {
            Metric::L2 => (q.norm / 2.0, 0.5),
            Metric::InnerProduct => (-offset, 1.0),
            Metric::Cosine => (1.0 - offset, 1.0),
        };
        let beta = if self.metric == Metric::L2 { -1.0 / u } else { 0.0 };
        let tau = q.tail / u;
        let terms = f64::from(CODE_LIMIT) * codes.iter().map(|k| f64::from(k.abs())).sum::<f64>()
            + (beta * self.radius * self.radius / 2.0).abs()
            + tau * self.radius
            + (constant + offset.abs() + 1.0).abs() / u;
        let origin = (constant - slack) / u + f64::from(ZERO) * sum - terms * 2f64.powi(-20);
        let codes = codes.into_iter().map(|k| k as i8).collect();
        HeadQuery { codes, bound: Bound { beta, tau, origin, slope: slope / u } }
    }
}

struct CodeMax;

impl Kernel for CodeMax {
    type Out = i32;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> i32 {
        S::CODE_MAX
    }
}

/// Lengthens `buffer` to `len` bytes with zeros.
fn grow(buffer: &mut Buffer, len: usize) -> Result<()> {
    const ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    while buffer.len() < len {
        let more = (len - buffer.len()).min(ZEROS.len());
        buffer.extend("codes", &ZEROS[..more])?;
    }
    Ok(())
}

/// The largest bf16 that is not above `value`, which is not negative.
fn below(value: f64) -> bf16 {
    bf16::from_bits((((value as f32).next_down().max(0.0)).to_bits() >> 16) as u16)
}

/// A bf16 that is not below `value`, which is not negative.
fn above(value: f64) -> bf16 {
    // One more than the truncated bits; the largest finite value becomes ∞, as it should.
    bf16::from_bits((((value as f32).next_up()).to_bits() >> 16) as u16 + 1)
}

/// Writes round(v/step), cut to ±limit. True where something was cut off by more than rounding.
fn encode(values: &[f64], step: f64, limit: i32, codes: &mut [i32]) -> bool {
    let mut outside = false;
    for (v, code) in values.iter().zip(codes) {
        let exact = v / step;
        outside |= !(exact.abs() <= f64::from(limit) + 0.5);
        *code = (exact.round() as i32).clamp(-limit, limit);
    }
    outside
}

/// ‖v − step·code‖ and ‖step·code‖.
fn lengths(values: &[f64], step: f64, codes: &[i32]) -> (f64, f64) {
    let (mut error, mut head) = (0.0, 0.0);
    for (v, &code) in values.iter().zip(codes) {
        let coded = step * f64::from(code);
        error += (v - coded) * (v - coded);
        head += coded * coded;
    }
    (error.sqrt(), head.sqrt())
}
