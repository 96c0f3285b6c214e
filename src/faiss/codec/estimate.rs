//! How far is what a [`RaBitQ`] code stands for? By the signs alone, the query as it is or rounded; or by all bits.

use super::lanes::{Bits, Judge, LANES, Lanes, Walk, totals};
use super::rabitq::{RaBitQ, factor};
use super::{Codec, Residual, Scorer};
use crate::kernels::Simd;
use crate::metric::Metric;

/// The range of normal coordinates that rounding to 1 to 8 bits serves best, in deviations.
const REACH: [f32; 8] = [0.79688, 1.49375, 2.05078, 2.50938, 2.91250, 3.26406, 3.59844, 3.91016];

/// One query against codes of a [`RaBitQ`].
pub(super) struct Estimate<'a> {
    codec: &'a RaBitQ,
    query: &'a [f32],
    /// q − c, in groups.
    turned: Vec<[f32; LANES]>,
    /// The bits of the rounded q − c: of each eight bytes of coordinates' signs the lowest bits, then the next …
    planes: Vec<u64>,
    terms: Terms,
}

/// What does not depend on the code.
#[derive(Clone, Copy, Default)]
struct Terms {
    ip: bool,
    /// Where in a code factors begin: of the signs, and of further bits.
    factors: usize,
    further: usize,
    /// ‖q − c‖²; ⟨q,c⟩ by all bits under ip.
    base: f32,
    /// ‖q‖², under ip.
    norm: f32,
    /// What ⟨signs, q − c⟩ is multiplied with, what the number of signs is, and what is added.
    scale: f32,
    count: f32,
    add: f32,
}

impl Terms {
    /// By ⟨signs, q − c⟩ over √d.
    #[inline(always)]
    fn by_signs(&self, code: &[u8], dot: f32) -> f32 {
        let square = factor(code, self.factors);
        let far = square + self.base - 2.0 * factor(code, self.factors + 4) * dot;
        if self.ip { 0.5 * (far - self.norm) } else { at_least_0(far) }
    }

    #[inline(always)]
    fn by_all(&self, code: &[u8], dot: f32) -> f32 {
        let far = self.base + factor(code, self.further) + factor(code, self.further + 4) * dot;
        if self.ip { 0.0 - far } else { at_least_0(far) }
    }
}

/// NaN stays: nothing is near a query that has one.
#[inline(always)]
fn at_least_0(v: f32) -> f32 {
    if v < 0.0 { 0.0 } else { v }
}

impl<'a> Estimate<'a> {
    pub fn new(codec: &'a RaBitQ, query: &'a [f32]) -> Self {
        let (turned, planes) = (Vec::new(), Vec::new());
        Self { codec, query, turned, planes, terms: Terms::default() }
    }

    fn walk(&self, codes: &[u8], list: Option<&[u32]>, out: &mut [f32]) {
        let (codec, terms) = (self.codec, self.terms);
        let (size, from, bits) = (codec.code_size(), codec.further().0, codec.query().bits);
        macro_rules! go {
            ($judge:expr) => {
                Walk { judge: &$judge, codes, size, list, out }.go()
            };
        }
        macro_rules! all {
            ($extra:literal) => {
                go!(All::<$extra> { turned: &self.turned, from, terms })
            };
        }
        macro_rules! rounded {
            ($bits:literal) => {{
                let (planes, centered) = (self.planes.as_chunks::<$bits>().0, codec.query().centered);
                go!(Rounded::<$bits> { planes, centered, signs: codec.signs(), terms })
            }};
        }
        match (codec.bits() - 1, bits) {
            (0, 1) => rounded!(1),
            (0, 2) => rounded!(2),
            (0, 3) => rounded!(3),
            (0, 4) => rounded!(4),
            (0, 5) => rounded!(5),
            (0, 6) => rounded!(6),
            (0, 7) => rounded!(7),
            (0, 8) => rounded!(8),
            (1, _) => all!(1),
            (2, _) => all!(2),
            (3, _) => all!(3),
            (4, _) => all!(4),
            (5, _) => all!(5),
            (6, _) => all!(6),
            (7, _) => all!(7),
            (8, _) => all!(8),
            _ => go!(Signs { turned: &self.turned, terms }),
        }
    }

    /// Rounds q − c, whose squared length is `square`.
    fn round(&mut self, square: f32) {
        let (dim, query) = (self.query.len(), self.codec.query());
        let turned = &self.turned.as_flattened()[..dim];
        let (low, high) = if query.centered {
            let reach = REACH[query.bits - 1] * (square / dim as f32).sqrt();
            (-reach, reach)
        } else {
            let ends = (f32::INFINITY, f32::NEG_INFINITY);
            turned.iter().fold(ends, |(low, high), &v| (low.min(v), high.max(v)))
        };
        let top = (1u32 << query.bits) - 1;
        let step = (high - low) / top as f32;
        let inverse = 1.0 / step;
        let words = dim.div_ceil(64);
        self.planes.clear();
        self.planes.resize(words * query.bits, 0);
        let (mut total, mut squares) = (0u64, 0i64);
        for (j, &v) in turned.iter().enumerate() {
            // A range of no width has no steps: all are at its low end.
            let level = ((v - low) * inverse).round().clamp(0.0, top as f32) as u32;
            total += u64::from(level);
            let odd = 2 * i64::from(level) - i64::from(top);
            squares += odd * odd;
            let planes = &mut self.planes[j / 64 * query.bits..][..query.bits];
            for (bit, plane) in planes.iter_mut().enumerate() {
                *plane |= u64::from(level >> bit & 1) << (j % 64);
            }
        }
        let unit = 1.0 / (dim as f32).sqrt();
        if query.centered {
            // Odd numbers −top … top: each bit of the code that is unlike one of the query's takes twice its worth away.
            self.terms.scale = (square / (squares * dim as i64) as f32).sqrt();
            self.terms.add = (i64::from(top) * dim as i64) as f32;
            return;
        }
        self.terms.scale = 2.0 * step * unit;
        self.terms.count = 2.0 * low * unit;
        self.terms.add = 0.0 - unit * (step * total as f32 + dim as f32 * low);
    }
}

impl Scorer for Estimate<'_> {
    fn enter(&mut self, list: Option<Residual>) {
        let (codec, dim) = (self.codec, self.query.len());
        let center = list.map_or(codec.center(), |list| list.center);
        self.turned.clear();
        self.turned.resize(dim.div_ceil(LANES), [0.0; LANES]);
        let turned = &mut self.turned.as_flattened_mut()[..dim];
        turned.copy_from_slice(self.query);
        turned.iter_mut().zip(center).for_each(|(t, c)| *t -= c);
        let square: f32 = turned.iter().map(|t| t * t).sum();
        let total: f32 = turned.iter().sum();
        let (further, len) = codec.further();
        let unit = 1.0 / (dim as f32).sqrt();
        self.terms = Terms {
            ip: codec.metric() != Metric::L2,
            factors: codec.signs(),
            further: further + len,
            base: square,
            norm: self.query.iter().map(|q| q * q).sum(),
            scale: 2.0 * unit,
            count: 0.0,
            add: 0.0 - total * unit,
        };
        if codec.bits() > 1 {
            // Levels stand for what is in their middle: so much less, whatever they are.
            self.terms.add = total * (0.5 - (1u32 << (codec.bits() - 1)) as f32);
            if self.terms.ip {
                self.terms.base = self.query.iter().zip(center).map(|(q, c)| q * c).sum();
            }
        } else if codec.query().bits > 0 {
            self.round(square);
        }
    }

    fn score(&mut self, codes: &[u8], out: &mut [f32]) {
        self.walk(codes, None, out);
    }

    fn gather(&mut self, codes: &[u8], rows: &[u32], out: &mut [f32]) {
        self.walk(codes, Some(rows), out);
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

/// By the signs, the query rounded to `Q` bits.
struct Rounded<'a, const Q: usize> {
    planes: &'a [[u64; Q]],
    centered: bool,
    signs: usize,
    terms: Terms,
}

impl<const Q: usize> Rounded<'_, Q> {
    /// Σ 2ᵇ · bits of plane b and the code that are both set, or unlike; and bits of the code.
    #[inline(always)]
    fn counts(&self, code: &[u8]) -> (u32, u32) {
        let (words, rest) = code[..self.signs].as_chunks::<8>();
        let (planes, last) = self.planes.split_at(words.len());
        let (mut sums, mut set) = ([0; Q], 0);
        let mut count = |word: u64, planes: &[u64; Q]| {
            set += word.count_ones();
            for bit in 0..Q {
                let common = if self.centered { planes[bit] ^ word } else { planes[bit] & word };
                sums[bit] += common.count_ones();
            }
        };
        for (word, planes) in words.iter().zip(planes) {
            count(u64::from_le_bytes(*word), planes);
        }
        if let [planes] = last {
            count(u64::from_le_bytes(part(rest, 0)), planes);
        }
        ((0..Q).map(|bit| sums[bit] << bit).sum(), set)
    }
}

impl<const Q: usize> Judge for Rounded<'_, Q> {
    #[inline(always)]
    fn judge<S: Simd, const N: usize>(&self, _: S, codes: [&[u8]; N]) -> [f32; N] {
        let Terms { scale, count, add, .. } = self.terms;
        let mut out = [0.0; N];
        for n in 0..N {
            let (sum, set) = self.counts(codes[n]);
            let dot = if self.centered {
                (add - 2.0 * sum as f32) * scale
            } else {
                scale * sum as f32 + count * set as f32 + add
            };
            out[n] = self.terms.by_signs(codes[n], dot);
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
                    out[n] = self.terms.by_all(codes[n], out[n] + self.terms.add);
                }
                out
            }
        }
    )*};
}
all!(1, 2, 3, 4, 5, 6, 7, 8);
