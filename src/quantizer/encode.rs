//! How vectors become codes, a vector at a time, in parts that threads write each on their own.
//!
//! Whatever is written, the errors are those of what was written: the bounds hold.

use half::bf16;

use super::fine::FinePart;
use crate::kernels::simd::{Kernel, Simd};
use crate::kernels::tile::{Line, PANEL};
use crate::transform::Split;

/// The code of a zero coordinate.
pub(super) const ZERO: i32 = 64;
/// Numbers that are folded side by side.
const LANES: usize = 8;
/// Added to a number below 2⁵¹, it leaves the nearest whole one in the lowest bits: conversions that mind NaN are no vector instructions.
const ROUND: f64 = 1.5 * (1u64 << 52) as f64;

/// What one thread encodes.
pub(super) struct Part<'a> {
    pub lines: &'a mut [Line],
    pub half_norms: &'a mut [bf16],
    /// Of each level.
    pub tails: Vec<&'a mut [bf16]>,
    /// The largest error and head of each level.
    pub largest: Vec<(f64, f64)>,
    pub fine: Option<FinePart<'a>>,
}

/// Writes vector `at` of the part, in codes `step` apart; `codes` is memory for them.
pub(super) struct Encode<'a, 'p> {
    pub part: &'a mut Part<'p>,
    pub at: usize,
    pub x: Split<'a>,
    pub step: f64,
    pub widths: &'a [usize],
    pub codes: &'a mut [i32],
}

impl Kernel for Encode<'_, '_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { part, at, x, step, widths, codes } = self;
        round(x.head, step, ZERO - 1, codes);
        let (panel, lane, steps) = (at / PANEL, at % PANEL, codes.len() / 4);
        let lines = &mut part.lines[panel * steps..][..steps];
        for (line, four) in lines.iter_mut().zip(codes.as_chunks::<4>().0) {
            line.0[lane * 4..][..4].copy_from_slice(&four.map(|c| (c + ZERO) as u8));
        }
        part.half_norms[at] = below(x.norm / 2.0 / (step * step));
        for ((&width, tails), largest) in widths.iter().zip(&mut part.tails).zip(&mut part.largest) {
            tails[at] = if farthest(&x.head[..width], step, codes) > 0.500_001 {
                // A coordinate was cut off by more than rounding.
                bf16::INFINITY
            } else {
                let (error, head) = lengths(&x.head[..width], step, codes);
                *largest = (largest.0.max(error), largest.1.max(head));
                above(x.tail(width) / step)
            };
        }
        if let Some(fine) = &mut part.fine {
            fine.encode(at, &x);
        }
    }
}

/// The largest bf16 that is not above `value`, which is not negative.
#[inline(always)]
fn below(value: f64) -> bf16 {
    bf16::from_bits((((value as f32).next_down().max(0.0)).to_bits() >> 16) as u16)
}

/// A bf16 that is not below `value`, which is not negative.
#[inline(always)]
pub(super) fn above(value: f64) -> bf16 {
    // One more than the truncated bits; the largest finite value becomes ∞, as it should.
    bf16::from_bits((((value as f32).next_up()).to_bits() >> 16) as u16 + 1)
}

/// The whole number that is nearest to `value`, cut to ±limit.
#[inline(always)]
pub(super) fn nearest(value: f64, limit: f64) -> i32 {
    let value = if value > limit { limit } else { value };
    let value = if value >= -limit { value } else { -limit };
    (value + ROUND).to_bits() as i32
}

/// Writes the nearest of v/step, cut to ±limit.
#[inline(always)]
pub(super) fn round(values: &[f64], step: f64, limit: i32, codes: &mut [i32]) {
    let (scale, limit) = (1.0 / step, f64::from(limit));
    for (v, code) in values.iter().zip(codes) {
        *code = nearest(v * scale, limit);
    }
}

/// How many steps the coordinate that is farthest from its code is away.
#[inline(always)]
fn farthest(values: &[f64], step: f64, codes: &[i32]) -> f64 {
    let scale = 1.0 / step;
    let off = |(v, &c): (&f64, &i32)| (v * scale - f64::from(c)).abs();
    fold(values, codes, |most, at| if off(at) > most { off(at) } else { most }, f64::max)
}

/// ‖v − step·code‖ and ‖step·code‖.
#[inline(always)]
pub(super) fn lengths(values: &[f64], step: f64, codes: &[i32]) -> (f64, f64) {
    let error = |(v, &c): (&f64, &i32)| v - step * f64::from(c);
    let head = |(_, &c): (&f64, &i32)| step * f64::from(c);
    let add = |a, b| a + b;
    let errors = fold(values, codes, |sum, at| sum + error(at) * error(at), add);
    let heads = fold(values, codes, |sum, at| sum + head(at) * head(at), add);
    (errors.sqrt(), heads.sqrt())
}

/// Folds pairs of `a` and `b`, as far as both go, [`LANES`] side by side: one after the other waits for the one before.
#[inline(always)]
pub(super) fn fold<A, B>(
    a: &[A],
    b: &[B],
    each: impl Fn(f64, (&A, &B)) -> f64,
    both: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut lanes = [0.0; LANES];
    let len = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..len].as_chunks::<LANES>(), b[..len].as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] = each(lanes[i], (&a[i], &b[i]));
        }
    }
    for at in a_rest.iter().zip(b_rest) {
        lanes[0] = each(lanes[0], at);
    }
    let mut all = lanes[0];
    for lane in &lanes[1..] {
        all = both(all, *lane);
    }
    all
}
