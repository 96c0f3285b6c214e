//! A sign and up to eight more bits of each coordinate, of what a vector is off from a centre: Faiss's RaBitQ (Gao, Long 2024; Gao and
//! others 2025).
//!
//! ```text
//! [signs, a bit each] [‖r‖², scale]                          of one bit; under ip ‖r‖² − ‖x‖² is the first
//! [signs, a bit each] [‖r‖², scale, error]
//! [further bits, the lowest first] [add, rescale]            of more
//! ```

use super::estimate::Estimate;
use super::{Codec, Scorer, bits};
use crate::error::{Error, Result};
use crate::metric::Metric;

/// Steps beyond the largest level that are looked at for the scale of a vector.
const BEYOND: f32 = 10.0;
/// By number of further bits: from where on, as a share of the end, scales are looked at.
const FROM: [f32; 9] = [0.0, 0.15, 0.20, 0.52, 0.59, 0.71, 0.75, 0.77, 0.81];
/// What is added before levels are cut to whole numbers.
const EDGE: f64 = 1e-5;
/// The deviations that an estimate may be off by the signs alone.
const DEVIATIONS: f32 = 1.9;
/// Bytes of the factors of the signs alone, with an error beside them, and of further bits.
const FACTORS: usize = 8;
const WITH_ERROR: usize = 12;

/// How a query is rounded where codes have one bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaBitQuery {
    /// Bits of a query's coordinate, 1 to 8; 0 for a query as it is.
    pub bits: usize,
    /// A range around zero of as many deviations as suits normal coordinates, in place of the least to the greatest.
    pub centered: bool,
}

/// A RaBitQ quantizer.
pub struct RaBitQ {
    dim: usize,
    metric: Metric,
    bits: usize,
    query: RaBitQuery,
    center: Vec<f32>,
}

impl RaBitQ {
    /// Of `bits` bits a coordinate. `center` is what vectors are off from where they are in no list; none for the origin.
    ///
    /// # Errors
    /// [`Error::Argument`] for bits beyond 1 to 9, a query's beyond 8, or another metric than l2 and ip; [`Error::Dimension`] for a centre
    /// of another length.
    pub fn new(
        dim: usize,
        metric: Metric,
        bits: usize,
        query: RaBitQuery,
        center: Option<&[f32]>,
    ) -> Result<Self> {
        super::check_dim(dim)?;
        if !(1..=9).contains(&bits) {
            return Err(Error::argument("nb_bits", bits, "1 to 9"));
        }
        if query.bits > 8 {
            return Err(Error::argument("qb", query.bits, "0 to 8"));
        }
        if metric == Metric::Cosine {
            return Err(Error::argument("metric", "cosine", "\"l2\" or \"ip\""));
        }
        let center = center.unwrap_or_default().to_vec();
        if !center.is_empty() && center.len() != dim {
            return Err(Error::Dimension { what: "centroid", expected: dim, got: center.len() });
        }
        Ok(Self { dim, metric, bits, query, center })
    }

    /// The metric that codes are for.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Bits of a coordinate.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// How queries are rounded.
    pub fn query(&self) -> RaBitQuery {
        self.query
    }

    /// What vectors are off from; empty for the origin.
    pub fn center(&self) -> &[f32] {
        &self.center
    }

    /// Bytes of the signs.
    pub(super) fn signs(&self) -> usize {
        self.dim.div_ceil(8)
    }

    /// Where the further bits begin, and their bytes.
    pub(super) fn further(&self) -> (usize, usize) {
        (self.signs() + WITH_ERROR, (self.dim * (self.bits - 1)).div_ceil(8))
    }

    /// Codes the residual of a vector that is `x` by itself. Sums are taken in order, as there: the same codes.
    fn encode_row(&self, residual: &[f32], x: &[f32], center: &[f32], code: &mut [u8]) {
        let signs = self.signs();
        bits::pack(residual.iter().map(|&r| u32::from(r > 0.0)), 1, &mut code[..signs]);
        let factors = self.factors(residual, x);
        let kept = if self.bits == 1 { FACTORS } else { WITH_ERROR };
        put(&mut code[signs..][..kept], &factors);
        if self.bits > 1 {
            let (from, len) = self.further();
            let (levels, factors) = self.levels(residual, center);
            let (packed, rest) = code[from..].split_at_mut(len);
            bits::pack(levels.into_iter(), self.bits - 1, packed);
            put(rest, &factors);
        }
    }

    /// ‖r‖² (less ‖x‖² under ip), the scale of the signs, and what an estimate by them is off at most.
    fn factors(&self, residual: &[f32], x: &[f32]) -> [f32; 3] {
        let (mut square, mut whole, mut sum) = (0f32, 0f32, 0f32);
        for (&r, &x) in residual.iter().zip(x) {
            square += r * r;
            whole += x * x;
            sum += r.abs();
        }
        let dim = self.dim as f32;
        let norm = square.sqrt();
        let unit = if square < f32::EPSILON { 1.0 } else { 1.0 / norm };
        let along = sum * unit * (1.0 / dim.sqrt());
        let inverse = if along.abs() < f32::EPSILON { 1.0 } else { 1.0 / along };
        let mut error = 0.0;
        let half = 0.5 * sum;
        if half.abs() > f32::EPSILON {
            let ratio = square * (dim * 0.25) / (half * half);
            if ratio > 1.0 {
                let freedom = (self.dim - 1).max(1) as f32;
                error = norm * DEVIATIONS * ((ratio - 1.0) / freedom).sqrt();
            }
        }
        match self.metric {
            Metric::L2 => [square, inverse * norm, 2.0 * error],
            _ => [square - whole, inverse * norm, error],
        }
    }

    /// The further bits of each coordinate, and what to add and to rescale by.
    fn levels(&self, residual: &[f32], center: &[f32]) -> (Vec<u32>, [f32; 2]) {
        let extra = self.bits - 1;
        let top = (1 << extra) - 1;
        // There its last bit depends on the processor.
        let square: f64 = residual.iter().map(|&r| f64::from(r) * f64::from(r)).sum();
        let norm = (square as f32).sqrt();
        if norm < 1e-10 {
            return (vec![0; self.dim], [0.0; 2]);
        }
        let sizes: Vec<f32> = residual.iter().map(|r| (r / norm).abs()).collect();
        let scale = best_scale(&sizes, extra);
        let mut along = 0f64;
        let levels = sizes.iter().zip(residual).map(|(&size, &r)| {
            let level = ((f64::from(scale * size) + EDGE) as i32).min(top);
            along += (f64::from(level) + 0.5) * f64::from(size);
            (if r < 0.0 { !level & top } else { level }) as u32
        });
        let levels = levels.collect();
        let inverse = (1.0 / along) as f32;
        let inverse = if inverse.is_normal() { inverse } else { 1.0 };
        let factors = match self.metric {
            Metric::L2 => [norm * norm, inverse * -2.0 * norm],
            _ => [residual.iter().zip(center).map(|(r, c)| r * c).sum(), inverse * norm],
        };
        (levels, factors)
    }
}

/// The scale by which levels of `extra` bits have most of the direction of coordinates of these `sizes`.
///
/// As the scale grows, one coordinate after the other reaches its next level. After each the cosine is taken, in the same steps and the
/// same precision as there, so that the same scale is found.
fn best_scale(sizes: &[f32], extra: usize) -> f32 {
    let top = (1u32 << extra) - 1;
    let largest = sizes.iter().copied().fold(0f32, f32::max);
    let end = (top as f32 + BEYOND) / largest;
    let begin = end * FROM[extra];
    let mut levels: Vec<u32> =
        sizes.iter().map(|size| (f64::from(begin * size) + EDGE) as i32 as u32).collect();
    let (mut square, mut along) = (sizes.len() as f32 * 0.25, 0f32);
    for (&level, size) in levels.iter().zip(sizes) {
        square += (level * level + level) as f32;
        along += (level as f32 + 0.5) * size;
    }
    // When which coordinate reaches its next level: numbers that are not negative are in the order of their bits.
    let mut events = Vec::new();
    for ((at, &level), &size) in (0u64..).zip(&levels).zip(sizes) {
        let inverse = 1.0 / size;
        // The first is looked at in any case, as there.
        for next in level + 1..=top.max(level + 1) {
            let when = next as f32 * inverse;
            if when >= end || when.is_nan() {
                break;
            }
            events.push(u64::from(when.to_bits()) << 32 | at);
        }
    }
    events.sort_unstable();
    let mut inverse = 1.0 / square.sqrt();
    let (mut best, mut scale) = (0f32, 0f32);
    for event in events {
        let at = (event & 0xFFFF_FFFF) as usize;
        levels[at] += 1;
        let more = 2.0 * levels[at] as f32;
        square += more;
        along += sizes[at];
        let before = square - more;
        inverse *= 1.0 - 0.5 * more / (before + more * 0.5);
        let cosine = along * inverse;
        if cosine > best {
            (best, scale) = (cosine, f32::from_bits((event >> 32) as u32));
        }
    }
    scale
}

fn put(bytes: &mut [u8], factors: &[f32]) {
    for (bytes, factor) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(factors) {
        *bytes = factor.to_le_bytes();
    }
}

/// The factor that begins at byte `at`.
#[inline(always)]
pub(super) fn factor(code: &[u8], at: usize) -> f32 {
    code[at..].first_chunk().map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
}

impl Codec for RaBitQ {
    fn dim(&self) -> usize {
        self.dim
    }

    fn code_size(&self) -> usize {
        if self.bits == 1 {
            return self.signs() + FACTORS;
        }
        let (from, len) = self.further();
        from + len + FACTORS
    }

    fn encode(&self, x: &[f32], centers: Option<&[f32]>, codes: &mut [u8]) {
        let zeros = vec![0.0; self.dim];
        let mut other = vec![0.0; self.dim];
        let codes = codes.chunks_exact_mut(self.code_size());
        for ((at, x), code) in x.chunks_exact(self.dim).enumerate().zip(codes) {
            if let Some(centers) = centers {
                let center = &centers[at * self.dim..][..self.dim];
                other.iter_mut().zip(x).zip(center).for_each(|((o, x), c)| *o = x + c);
                self.encode_row(x, &other, center, code);
                continue;
            }
            let center = if self.center.is_empty() { &zeros } else { &self.center };
            other.iter_mut().zip(x).zip(center).for_each(|((o, x), c)| *o = x - c);
            self.encode_row(&other, x, center, code);
        }
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        let unit = 1.0 / (self.dim as f32).sqrt();
        for (x, code) in x.chunks_exact_mut(self.dim).zip(codes.chunks_exact(self.code_size())) {
            let scale = factor(code, self.signs() + 4);
            for (x, sign) in x.iter_mut().zip(bits::unpack(code, 1)) {
                *x = (sign as f32 - 0.5) * scale * 2.0 * unit;
            }
            x.iter_mut().zip(&self.center).for_each(|(x, c)| *x += c);
        }
    }

    fn scorer<'a>(&'a self, _: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        // Codes are for their own metric.
        Box::new(Estimate::new(self, query))
    }
}
