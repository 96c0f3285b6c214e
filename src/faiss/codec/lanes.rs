//! What are sixteen coordinates in bytes? And a query's sums over them, several codes at a time.
//!
//! A coordinate is v·s + b for the v that lies in the bytes. Nothing is decoded: s and b go into the query,
//!
//! ```text
//! l2   Σ (q − b − s·v)²       two multiply-adds a coordinate
//! ip   Σ (q·s)·v + Σ q·b      one
//! ```

use std::marker::PhantomData;

use bytemuck::Pod;

use super::{Residual, Scorer};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Coordinates of a group.
pub(super) const LANES: usize = 16;
/// Codes whose sums are taken side by side.
pub(super) const ABREAST: usize = 4;
/// Codes that are asked for ahead, where they lie apart.
const AHEAD: usize = 8;
/// Bytes before which codes are asked for, where they lie one after the other: a processor's own foresight ends with the page.
const BEFORE: usize = 2048;

/// How coordinates lie in bytes, which need not be aligned.
pub(super) trait Lanes: Send + Sync + 'static {
    /// Sixteen of them.
    type Code: Pod;
    /// Their values.
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32;
}

/// Four bytes each.
pub(super) struct F32;
/// Two bytes each.
pub(super) struct F16;
/// Two bytes each.
pub(super) struct Bf16;
/// One byte each.
pub(super) struct U8;
/// So many bits each, the lowest first.
pub(super) struct Bits<const B: usize>;

impl Lanes for F32 {
    type Code = [u8; 4 * LANES];
    #[inline(always)]
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
        s.read_f32(code)
    }
}

impl Lanes for F16 {
    type Code = [u8; 2 * LANES];
    #[inline(always)]
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
        s.read_f16(code)
    }
}

impl Lanes for Bf16 {
    type Code = [u8; 2 * LANES];
    #[inline(always)]
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
        s.read_bf16(code)
    }
}

impl Lanes for U8 {
    type Code = [u8; LANES];
    #[inline(always)]
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
        s.read_u8(code)
    }
}

/// The number of the first `B` bytes, 1 to 7. In pieces that processors read: a copy to eight bytes would be waited for.
#[inline(always)]
fn word<const B: usize>(bytes: &[u8]) -> u64 {
    let (mut word, mut at) = (0, 0);
    if B >= 4 {
        word = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        at = 4;
    }
    if B % 4 >= 2 {
        word |= u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])) << (8 * at);
        at += 2;
    }
    if B % 2 == 1 {
        word |= u64::from(bytes[at]) << (8 * at);
    }
    word
}

macro_rules! bits {
    ($($bits:literal),*) => {$(
        impl Lanes for Bits<$bits> {
            type Code = [u8; 2 * $bits];
            #[inline(always)]
            fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
                let (low, high) = code.split_at($bits);
                s.spread::<$bits>([word::<$bits>(low), word::<$bits>(high)])
            }
        }
    )*};
}
bits!(1, 2, 3, 4, 5, 6, 7);

impl Lanes for Bits<8> {
    type Code = [u8; LANES];
    #[inline(always)]
    fn load<S: Simd>(s: S, code: &Self::Code) -> S::F32 {
        s.read_u8(code)
    }
}

/// What becomes of codes, some at a time.
pub(super) trait Judge {
    /// Distances of `codes`, each of the codec's size.
    fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N];
}

/// The loop over codes: all of them, or those of a list.
pub(super) struct Walk<'a, J> {
    pub judge: &'a J,
    pub codes: &'a [u8],
    pub size: usize,
    pub list: Option<&'a [u32]>,
    pub out: &'a mut [f32],
}

impl<J: Judge> Walk<'_, J> {
    /// Runs it on the instruction set in use.
    pub fn go(self) {
        Isa::active().run(self);
    }

    #[inline(always)]
    fn code(&self, at: usize) -> &[u8] {
        let row = self.list.map_or(at, |list| list[at] as usize);
        &self.codes[row * self.size..][..self.size]
    }
}

impl<J: Judge> Kernel for Walk<'_, J> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (count, mut at) = (self.out.len(), 0);
        while at + ABREAST <= count {
            if self.list.is_some() {
                for next in at + AHEAD..(at + AHEAD + ABREAST).min(count) {
                    self.code(next).chunks(64).take(8).for_each(|line| s.prefetch(line));
                }
            } else if let Some(bytes) =
                self.codes.get(at * self.size + BEFORE..).and_then(|next| next.get(..ABREAST * self.size))
            {
                bytes.chunks(64).for_each(|line| s.prefetch(line));
            }
            let codes = [self.code(at), self.code(at + 1), self.code(at + 2), self.code(at + 3)];
            let distances: [f32; ABREAST] = self.judge.judge(s, codes);
            self.out[at..at + ABREAST].copy_from_slice(&distances);
            at += ABREAST;
        }
        while at < count {
            [self.out[at]] = self.judge.judge(s, [self.code(at)]);
            at += 1;
        }
    }
}

/// The sum of each of a few accumulators' lanes, the same whatever is beside it.
#[inline(always)]
pub(super) fn totals<S: Simd, const N: usize>(s: S, accs: [S::F32; N]) -> [f32; N] {
    let mut four = [s.zero_f32(); ABREAST];
    four[..N].copy_from_slice(&accs);
    let four = s.totals_f32(four);
    let mut totals = [0.0; N];
    totals.copy_from_slice(&four[..N]);
    totals
}

/// How one coordinate of sixteen vectors is added to a sum.
trait Form {
    fn add<S: Simd>(s: S, acc: S::F32, v: S::F32, term: S::F32, scale: S::F32) -> S::F32;
}

/// (term + scale·v)²
struct Scaled;
/// (term − v)²
struct Plain;
/// term·v
struct Dot;

impl Form for Scaled {
    #[inline(always)]
    fn add<S: Simd>(s: S, acc: S::F32, v: S::F32, term: S::F32, scale: S::F32) -> S::F32 {
        let off = s.mul_add_f32(v, scale, term);
        s.mul_add_f32(off, off, acc)
    }
}

impl Form for Plain {
    #[inline(always)]
    fn add<S: Simd>(s: S, acc: S::F32, v: S::F32, term: S::F32, _: S::F32) -> S::F32 {
        let off = s.mul_add_f32(v, s.splat_f32(-1.0), term);
        s.mul_add_f32(off, off, acc)
    }
}

impl Form for Dot {
    #[inline(always)]
    fn add<S: Simd>(s: S, acc: S::F32, v: S::F32, term: S::F32, _: S::F32) -> S::F32 {
        s.mul_add_f32(v, term, acc)
    }
}

/// Codes whose coordinates are v·s + b.
#[derive(Clone, Copy)]
pub(super) struct Coordinates<'a> {
    /// Bytes of a code.
    pub size: usize,
    /// s of each; none where all are 1.
    pub scales: &'a [f32],
    /// b of each; none where all are 0.
    pub biases: &'a [f32],
}

/// One query against such codes.
pub(super) struct LinearScorer<'a, L> {
    codes: Coordinates<'a>,
    metric: Metric,
    query: &'a [f32],
    weights: Weights,
    lanes: PhantomData<L>,
}

/// What the query is to codes in the list that it is in.
#[derive(Default)]
struct Weights {
    terms: Vec<[f32; LANES]>,
    scales: Vec<[f32; LANES]>,
    /// Whole groups; what is beyond is in one more, which may overlap the last of them with terms of 0.
    whole: usize,
    rest: Rest,
    offset: f32,
}

/// Where coordinates beyond whole groups are read.
#[derive(Clone, Copy, Default, PartialEq)]
enum Rest {
    #[default]
    None,
    /// The last bytes that a group is long.
    Last,
    /// A copy that is filled with zeros.
    Copy,
}

impl Weights {
    /// Makes groups of `terms` and `scales` of each coordinate, for codes of `size` bytes, `group` bytes to sixteen coordinates.
    fn set(&mut self, dim: usize, (size, group): (usize, usize), of: impl Fn(usize) -> (f32, f32)) {
        self.whole = dim / LANES;
        let overlap = size.saturating_sub(group) * LANES;
        self.rest = match dim % LANES {
            0 => Rest::None,
            _ if size >= group && overlap.is_multiple_of(group) => Rest::Last,
            _ => Rest::Copy,
        };
        let groups = dim.div_ceil(LANES);
        for (lines, second) in [(&mut self.terms, false), (&mut self.scales, true)] {
            lines.clear();
            lines.resize(groups, [0.0; LANES]);
            let from = if self.rest == Rest::Last { overlap / group } else { self.whole * LANES };
            for j in 0..dim {
                let (line, lane) =
                    if j < self.whole * LANES { (j / LANES, j % LANES) } else { (self.whole, j - from) };
                let (term, scale) = of(j);
                lines[line][lane] = if second { scale } else { term };
            }
        }
    }

    #[inline(always)]
    fn sums<S: Simd, L: Lanes, F: Form, R: Form, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
        let group = size_of::<L::Code>();
        let mut rows: [&[L::Code]; N] = [&[]; N];
        for n in 0..N {
            rows[n] = bytemuck::cast_slice(&codes[n][..self.whole * group]);
        }
        let (terms, scales) = (&self.terms[..self.whole], &self.scales[..self.whole]);
        let mut accs = [s.zero_f32(); N];
        for g in 0..terms.len() {
            let (term, scale) = (s.load_f32(&terms[g]), s.load_f32(&scales[g]));
            for n in 0..N {
                accs[n] = F::add(s, accs[n], L::load(s, &rows[n][g]), term, scale);
            }
        }
        if self.rest != Rest::None {
            let (term, scale) = (s.load_f32(&self.terms[self.whole]), s.load_f32(&self.scales[self.whole]));
            for n in 0..N {
                let mut last = <L::Code as bytemuck::Zeroable>::zeroed();
                let bytes = bytemuck::bytes_of_mut(&mut last);
                if self.rest == Rest::Last {
                    bytes.copy_from_slice(&codes[n][codes[n].len() - group..]);
                } else {
                    let rest = &codes[n][self.whole * group..];
                    bytes[..rest.len()].copy_from_slice(rest);
                }
                accs[n] = R::add(s, accs[n], L::load(s, &last), term, scale);
            }
        }
        let mut sums = totals(s, accs);
        for n in 0..N {
            sums[n] += self.offset;
        }
        sums
    }
}

impl<'a, L: Lanes> LinearScorer<'a, L> {
    pub fn new(codes: Coordinates<'a>, metric: Metric, query: &'a [f32]) -> Self {
        Self { codes, metric, query, weights: Weights::default(), lanes: PhantomData }
    }

    fn walk(&self, codes: &[u8], list: Option<&[u32]>, out: &mut [f32]) {
        Walk { judge: self, codes, size: self.codes.size, list, out }.go();
    }
}

impl<L: Lanes> Judge for LinearScorer<'_, L> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
        if self.metric != Metric::L2 {
            self.weights.sums::<S, L, Dot, Dot, N>(s, codes)
        } else if self.codes.scales.is_empty() {
            // Where groups overlap, what is counted already is scaled to nothing.
            self.weights.sums::<S, L, Plain, Scaled, N>(s, codes)
        } else {
            self.weights.sums::<S, L, Scaled, Scaled, N>(s, codes)
        }
    }
}

impl<L: Lanes> Scorer for LinearScorer<'_, L> {
    fn enter(&mut self, list: Option<Residual>) {
        let Self { query, weights, codes: Coordinates { size, scales, biases }, .. } = self;
        let scale = |j: usize| scales.get(j).copied().unwrap_or(1.0);
        let bias = |j: usize| biases.get(j).copied().unwrap_or(0.0);
        let layout = (*size, size_of::<L::Code>());
        if self.metric == Metric::L2 {
            let center = list.map_or(&[][..], |list| list.center);
            let center = |j: usize| center.get(j).copied().unwrap_or(0.0);
            weights.set(query.len(), layout, |j| (query[j] - center(j) - bias(j), -scale(j)));
            return;
        }
        // The list changes nothing but what is added: its terms stay.
        if weights.terms.is_empty() {
            weights.set(query.len(), layout, |j| (-query[j] * scale(j), 0.0));
        }
        let along: f32 = (0..query.len()).map(|j| query[j] * bias(j)).sum();
        weights.offset = 0.0 - along - list.map_or(0.0, |list| list.coarse);
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        self.walk(codes, None, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        self.walk(codes, Some(rows), out);
    }
}
