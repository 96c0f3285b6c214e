//! Whole numbers against whole numbers: sums of bytes, exact.

use super::lanes::{ABREAST, Judge, LinearScorer, U8, Walk};
use super::{Residual, Scorer};
use crate::kernels::Simd;
use crate::metric::Metric;

/// Bytes of a step.
const STEP: usize = 32;

/// One query of whole numbers, 0 to 255, against codes that are such.
pub(super) struct Whole<'a> {
    /// For lists of residuals, which are no whole numbers.
    other: LinearScorer<'a, U8>,
    in_list: bool,
    squares: bool,
    size: usize,
    steps: Vec<[u8; STEP]>,
}

impl<'a> Whole<'a> {
    /// `query` less `low`, where it is of whole numbers from `low` on; what was to score otherwise, where it is not.
    #[expect(clippy::result_large_err, reason = "what is handed back is what was handed in, once a query")]
    pub fn new(
        other: LinearScorer<'a, U8>,
        metric: Metric,
        query: &[f32],
        low: f32,
    ) -> Result<Self, LinearScorer<'a, U8>> {
        if query.iter().any(|&q| !(0.0..=255.0).contains(&(q - low)) || q.fract() != 0.0) {
            return Err(other);
        }
        let mut steps = vec![[0; STEP]; query.len().div_ceil(STEP)];
        steps.as_flattened_mut().iter_mut().zip(query).for_each(|(step, q)| *step = (q - low) as u8);
        Ok(Self { other, in_list: false, squares: metric == Metric::L2, size: query.len(), steps })
    }

    fn walk(&self, codes: &[u8], list: Option<&[u32]>, out: &mut [f32]) {
        Walk { judge: self, codes, size: self.size, list, out }.go();
    }
}

impl Judge for Whole<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
        let whole = self.size / STEP;
        let mut rows: [&[[u8; STEP]]; N] = [&[]; N];
        for n in 0..N {
            rows[n] = &codes[n].as_chunks::<STEP>().0[..whole];
        }
        let mut accs = [s.zero_i32(); ABREAST];
        for (at, step) in self.steps[..whole].iter().enumerate() {
            for n in 0..N {
                accs[n] = self.add(s, accs[n], &rows[n][at], step);
            }
        }
        if let Some(step) = self.steps.get(whole) {
            for n in 0..N {
                let rest = &codes[n][whole * STEP..];
                let mut last = [0; STEP];
                last[..rest.len()].copy_from_slice(rest);
                accs[n] = self.add(s, accs[n], &last, step);
            }
        }
        let sums = s.sums_i32(accs);
        let mut out = [0.0; N];
        for n in 0..N {
            // 0 − x, not −x: an inner product of nothing is 0, not −0.
            out[n] = if self.squares { sums[n] as u32 as f32 } else { 0.0 - sums[n] as u32 as f32 };
        }
        out
    }
}

impl Whole<'_> {
    #[inline(always)]
    fn add<S: Simd>(&self, s: S, acc: S::I32, code: &[u8; STEP], step: &[u8; STEP]) -> S::I32 {
        if self.squares { s.square_u8(acc, code, step) } else { s.dot_u8(acc, code, step) }
    }
}

impl Scorer for Whole<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        self.in_list = list.is_some();
        if self.in_list {
            self.other.enter(list);
        }
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        if self.in_list { self.other.score(codes, out) } else { self.walk(codes, None, out) }
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        if self.in_list { self.other.gather(codes, rows, out) } else { self.walk(codes, Some(rows), out) }
    }
}
