//! How far is what a [`RaBitQ`] code stands for? By the signs alone, the query as it is or rounded; or by all bits.
//!
//! Of several bits, the signs are looked at first: a code has what an estimate by them is off at most, by 1.9 deviations
//! (Gao and others 2025), of which half as many again are taken. All bits are read of what may be near by that.

use super::lanes::{ABREAST, Bits, Judge, LANES, Lanes, Walk, totals};
use super::rabitq::{RaBitQ, RaBitQuery, factor};
use super::{Codec, Residual, Scorer};
use crate::kernels::simd::{ROUND, ends};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Coordinates whose signs are taken together.
const WORD: usize = 64;
/// The range of normal coordinates that rounding to 1 to 8 bits serves best, in deviations.
const REACH: [f32; 8] = [0.79688, 1.49375, 2.05078, 2.50938, 2.91250, 3.26406, 3.59844, 3.91016];

/// What a code's own error is multiplied with: by itself it lost one of 200 neighbours of 24 dimensions.
const WIDER: f32 = 1.5;
/// How a query is rounded for the signs of codes of several bits.
const FINE: RaBitQuery = RaBitQuery { bits: 8, centered: false };

/// One query against codes of a [`RaBitQ`].
pub(super) struct Estimate<'a> {
    codec: &'a RaBitQ,
    query: &'a [f32],
    /// q − c, in groups.
    turned: Vec<[f32; LANES]>,
    /// The levels of the rounded q − c, beside each eight bytes of signs.
    levels: Vec<[u8; WORD]>,
    terms: Terms,
}

/// What does not depend on the code.
#[derive(Clone, Copy, Default)]
struct Terms {
    ip: bool,
    /// Where in a code factors begin: of the signs, and of further bits.
    factors: usize,
    further: usize,
    /// ‖q − c‖².
    base: f32,
    /// ‖q‖², under ip.
    norm: f32,
    /// By all bits: ‖q − c‖² or ⟨q,c⟩, and what is added to what they come to.
    all: f32,
    below: f32,
    /// What a code's own error is multiplied with; 0 where an estimate is what is asked for.
    error: f32,
    /// What ⟨signs, q − c⟩ is multiplied with, what the number of signs is, and what is added.
    scale: f32,
    count: f32,
    add: f32,
    /// What the sum of the levels whose sign is set is multiplied with, what the number of signs is, and what is added, before that.
    whole: [i32; 3],
    /// Under l2 1, 0 and 0, under ip ½, ‖q‖² and −∞: what an estimate is multiplied with, what it is less, and what it is not below.
    share: f32,
    less: f32,
    least: f32,
}

impl Terms {
    /// By ⟨signs, q − c⟩ over √d.
    #[inline(always)]
    fn by_signs(&self, code: &[u8], dot: f32) -> f32 {
        let square = factor(code, self.factors);
        let far = square + self.base - 2.0 * factor(code, self.factors + 4) * dot;
        let far = self.share * (far - self.less);
        // NaN stays: nothing is near a query that has one.
        let far = if far < self.least { self.least } else { far };
        if self.error == 0.0 { far } else { far - self.error * factor(code, self.factors + 8) }
    }

    #[inline(always)]
    fn by_all(&self, code: &[u8], dot: f32) -> f32 {
        let dot = dot + self.below;
        let far = self.all + factor(code, self.further) + factor(code, self.further + 4) * dot;
        let far = if self.ip { 0.0 - far } else { far };
        if far < self.least { self.least } else { far }
    }
}

/// ⟨a,b⟩ and the sum of `a`.
#[inline(always)]
fn sums(a: &[f32], b: &[f32]) -> [f32; 2] {
    // Side by side: one sum after the other waits for the one before.
    let mut lanes = [[0f32; LANES]; 2];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            lanes[0][i] += a * b;
            lanes[1][i] += a;
        }
    }
    lanes.map(|lanes| lanes.into_iter().sum())
}

impl<'a> Estimate<'a> {
    pub fn new(codec: &'a RaBitQ, query: &'a [f32]) -> Self {
        let (turned, levels) = (Vec::new(), Vec::new());
        let terms = Terms { norm: sums(query, query)[0], ..Terms::default() };
        Self { codec, query, turned, levels, terms }
    }

    /// By the signs.
    fn by_signs(&self, codes: &[u8], list: Option<&[u32]>, out: &mut [f32]) {
        let (codec, terms, size) = (self.codec, self.terms, self.codec.code_size());
        if self.rounding().bits == 0 {
            let judge = Signs { turned: &self.turned, terms };
            return Walk { judge: &judge, codes, size, list, out }.go();
        }
        let judge = Rounded { levels: &self.levels, signs: codec.signs(), terms };
        Walk { judge: &judge, codes, size, list, out }.go();
    }

    /// By all bits, of those at `rows`.
    fn by_all(&self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        let (terms, size, from) = (self.terms, self.codec.code_size(), self.codec.further().0);
        macro_rules! go {
            ($($extra:literal),*) => {
                match self.codec.bits() - 1 {
                    $($extra => {
                        let judge = All::<$extra> { turned: &self.turned, from, terms };
                        Walk { judge: &judge, codes, size, list: Some(rows), out }.go();
                    })*
                    _ => self.by_signs(codes, Some(rows), out),
                }
            };
        }
        go!(1, 2, 3, 4, 5, 6, 7, 8);
    }

    /// How q − c is rounded for the signs.
    fn rounding(&self) -> RaBitQuery {
        if self.is_below() { FINE } else { self.codec.query() }
    }

    /// Rounds q − c, whose squared length is `square`.
    #[inline(always)]
    fn round(&mut self, square: f32) {
        let (dim, query) = (self.query.len(), self.rounding());
        let turned = &self.turned.as_flattened()[..dim];
        let (low, high) = if query.centered {
            let reach = REACH[query.bits - 1] * (square / dim as f32).sqrt();
            (-reach, reach)
        } else {
            ends(turned)
        };
        let top = (1u32 << query.bits) - 1;
        let step = (high - low) / top as f32;
        let inverse = 1.0 / step;
        self.levels.clear();
        self.levels.resize(dim.div_ceil(WORD), [0; WORD]);
        // A range of no width has no steps: all are at its low end.
        let turned = if inverse.is_finite() { turned } else { &[] };
        let highest = top as f32;
        for (level, v) in self.levels.as_flattened_mut().iter_mut().zip(turned) {
            let at = (v - low) * inverse;
            let even = (at + ROUND) - ROUND;
            // What is in the middle of two belongs to the upper one.
            let near = if at - even == 0.5 { even + 1.0 } else { even };
            let near = if near > 0.0 { near } else { 0.0 };
            *level = (if near < highest { near } else { highest } + ROUND).to_bits() as u8;
        }
        let levels = &self.levels.as_flattened()[..dim];
        let mut total = 0;
        for &level in levels {
            total += u32::from(level);
        }
        let unit = 1.0 / (dim as f32).sqrt();
        if query.centered {
            // Odd numbers −top … top: each bit of the code that is unlike one of the query's takes twice its worth away.
            let squares: i64 = levels.iter().map(|&v| (2 * i64::from(v) - i64::from(top)).pow(2)).sum();
            let all = i64::from(top) * dim as i64 - 2 * i64::from(total);
            self.terms.whole = [4, -2 * top as i32, all as i32];
            self.terms.scale = (square / (squares * dim as i64) as f32).sqrt();
            self.terms.add = 0.0;
            return;
        }
        self.terms.scale = 2.0 * step * unit;
        self.terms.count = 2.0 * low * unit;
        self.terms.add = 0.0 - unit * (step * total as f32 + dim as f32 * low);
    }
}

impl Estimate<'_> {
    #[inline(always)]
    fn set(&mut self, list: Option<Residual>) {
        let (codec, dim) = (self.codec, self.query.len());
        let center = list.map_or(codec.center(), |list| list.center);
        self.turned.clear();
        self.turned.resize(dim.div_ceil(LANES), [0.0; LANES]);
        let turned = &mut self.turned.as_flattened_mut()[..dim];
        turned.copy_from_slice(self.query);
        for (turned, center) in turned.iter_mut().zip(center) {
            *turned -= center;
        }
        let [square, total] = sums(turned, turned);
        let (further, len) = codec.further();
        let unit = 1.0 / (dim as f32).sqrt();
        let (ip, norm) = (codec.metric() != Metric::L2, self.terms.norm);
        self.terms = Terms {
            ip,
            factors: codec.signs(),
            further: further + len,
            base: square,
            norm,
            scale: 2.0 * unit,
            add: 0.0 - total * unit,
            whole: [1, 0, 0],
            share: if ip { 0.5 } else { 1.0 },
            less: if ip { norm } else { 0.0 },
            least: if ip { f32::NEG_INFINITY } else { 0.0 },
            ..Terms::default()
        };
        if codec.bits() > 1 {
            // Levels stand for what is in their middle: so much less, whatever they are.
            self.terms.below = total * (0.5 - (1u32 << (codec.bits() - 1)) as f32);
            self.terms.all = square;
            if self.terms.ip {
                self.terms.all = sums(self.query, center)[0];
            }
            self.terms.error = WIDER * square.sqrt();
        }
        if self.rounding().bits > 0 {
            self.round(square);
        }
    }
}

impl Scorer for Estimate<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        struct Set<'a, 'b>(&'a mut Estimate<'b>, Option<Residual<'a>>);
        impl Kernel for Set<'_, '_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                self.0.set(self.1);
            }
        }
        Isa::active().run(Set(self, list));
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        self.by_signs(codes, None, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        self.by_all(codes, rows, out);
    }

    fn is_below(&self) -> bool {
        self.codec.bits() > 1
    }
}

/// By the signs, the query as it is.
struct Signs<'a> {
    turned: &'a [[f32; LANES]],
    terms: Terms,
}

impl Judge for Signs<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
        let mut accs = [s.zero_f32(); N];
        for (group, turned) in self.turned.iter().enumerate() {
            let turned = s.load_f32(turned);
            for n in 0..N {
                let signs = Bits::<1>::load(s, &part(&codes[n][..self.terms.factors], group));
                accs[n] = s.mul_add_f32(signs, turned, accs[n]);
            }
        }
        let mut out = totals(s, accs);
        for n in 0..N {
            out[n] = self.terms.by_signs(codes[n], self.terms.scale * out[n] + self.terms.add);
        }
        out
    }
}

/// Bytes of group `at`, zeros where there are none any more.
#[inline(always)]
fn part<const B: usize>(bytes: &[u8], at: usize) -> [u8; B] {
    let bytes = &bytes[B * at..];
    bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut last = [0; B];
        last[..bytes.len()].copy_from_slice(bytes);
        last
    })
}

/// By the signs, the query rounded.
struct Rounded<'a> {
    levels: &'a [[u8; WORD]],
    signs: usize,
    terms: Terms,
}

impl Judge for Rounded<'_> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
        let Terms { scale, count, add, whole: [each, one, all], .. } = self.terms;
        let (mut accs, mut set) = ([s.zero_i32(); ABREAST], [0; N]);
        let whole = self.signs / (WORD / 8);
        let mut rows: [&[[u8; WORD / 8]]; N] = [&[]; N];
        for n in 0..N {
            rows[n] = &codes[n][..self.signs].as_chunks().0[..whole];
        }
        for (at, levels) in self.levels[..whole].iter().enumerate() {
            for n in 0..N {
                accs[n] = s.add_where(accs[n], &rows[n][at], levels);
                set[n] += u64::from_le_bytes(rows[n][at]).count_ones();
            }
        }
        if let Some(levels) = self.levels.get(whole) {
            for n in 0..N {
                let signs = part(&codes[n][..self.signs], whole);
                accs[n] = s.add_where(accs[n], &signs, levels);
                set[n] += u64::from_le_bytes(signs).count_ones();
            }
        }
        let (sums, mut out) = (s.sums_i32(accs), [0.0; N]);
        for n in 0..N {
            let set = set[n] as i32;
            let sum = each * sums[n] + one * set + all;
            out[n] = self.terms.by_signs(codes[n], scale * sum as f32 + count * set as f32 + add);
        }
        out
    }
}

/// By all bits, `E` of them beside the sign.
struct All<'a, const E: usize> {
    turned: &'a [[f32; LANES]],
    from: usize,
    terms: Terms,
}

macro_rules! all {
    ($($extra:literal),*) => {$(
        impl Judge for All<'_, $extra> {
            #[inline(always)]
            fn judge<S: Simd, const N: usize>(&self, s: S, codes: [&[u8]; N]) -> [f32; N] {
                let sign = s.splat_f32((1 << $extra) as f32);
                let mut accs = [s.zero_f32(); N];
                for (group, turned) in self.turned.iter().enumerate() {
                    let turned = s.load_f32(turned);
                    for n in 0..N {
                        let signs = Bits::<1>::load(s, &part(&codes[n][..self.terms.factors], group));
                        let further = &codes[n][self.from..self.terms.further];
                        let further = Bits::<$extra>::load(s, &part(further, group));
                        accs[n] = s.mul_add_f32(s.mul_add_f32(signs, sign, further), turned, accs[n]);
                    }
                }
                let mut out = totals(s, accs);
                for n in 0..N {
                    out[n] = self.terms.by_all(codes[n], out[n]);
                }
                out
            }
        }
    )*};
}
all!(1, 2, 3, 4, 5, 6, 7, 8);
