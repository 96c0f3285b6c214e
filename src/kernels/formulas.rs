//! Exact distances that no products tell: the documented formulas of the metrics beside l2, ip and cosine, summed in f64.
//!
//! One loop as in [`distance`](super::distance); a formula is what one step of eight coordinates adds to two sums, and what becomes of
//! these. Coordinates of 0 on both sides, which fill the last step, add nothing to any of them but the count of those that are there.

use super::{Isa, Kernel, Simd, Widen};
use crate::metric::Metric;
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Coordinates of a step.
const STEP: usize = 8;
/// Independent accumulators of each sum.
const ACCS: usize = 2;
/// The largest whole exponent that is multiplied out.
const WHOLE: f32 = 8.0;

/// Appends to `out` the distances of `query`, its coordinates filled up with zeros to whole steps and how many they are, to the rows
/// `list` of `rows`.
pub fn distances(
    isa: Isa,
    metric: Metric,
    query: (&[f64], usize),
    rows: Vectors,
    list: &[u32],
    out: &mut Vec<f32>,
) {
    struct Typed<'a>(Isa, Metric, (&'a [f64], usize), Vectors<'a>, &'a [u32], &'a mut Vec<f32>);
    impl DtypeVisitor for Typed<'_> {
        type Out = ();
        fn visit<E: Element>(self) {
            let Self(isa, metric, (query, dim), rows, list, out) = self;
            let rows = rows.as_slice::<E>().unwrap_or_default();
            let list = List { query, dim, rows, list, out };
            match metric {
                Metric::L1 => isa.run(Formula(list, L1)),
                Metric::Linf => isa.run(Formula(list, Linf)),
                Metric::Lp(power) => {
                    let p = power.get();
                    match p.fract() == 0.0 && p <= WHOLE {
                        true => isa.run(Formula(list, Whole(p as u32))),
                        false => isa.run(Formula(list, Lp(p.into()))),
                    }
                }
                Metric::Canberra => isa.run(Formula(list, Canberra)),
                Metric::BrayCurtis => isa.run(Formula(list, BrayCurtis)),
                Metric::JensenShannon => isa.run(Formula(list, JensenShannon)),
                Metric::Jaccard => isa.run(Formula(list, Jaccard)),
                Metric::NanEuclidean => isa.run(Formula(list, NanEuclidean)),
                Metric::Gower => isa.run(Formula(list, Gower)),
                Metric::L2 | Metric::InnerProduct | Metric::Cosine | Metric::Hamming => {}
            }
        }
    }
    rows.dtype().visit(Typed(isa, metric, query, rows, list, out));
}

/// A metric's sums and what becomes of them.
trait Sums: Copy {
    /// What a step adds to the two.
    fn step<S: Simd>(self, s: S, sums: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2];

    /// One accumulator of two.
    #[inline(always)]
    fn join<S: Simd>(s: S, a: S::F64, b: S::F64) -> S::F64 {
        s.add_f64(a, b)
    }

    /// One number of an accumulator.
    #[inline(always)]
    fn total<S: Simd>(s: S, a: S::F64) -> f64 {
        s.sum_f64(a)
    }

    /// Of vectors of `dim` coordinates, beside which there were so many zeros.
    fn distance(sums: [f64; 2], dim: f64, zeros: f64) -> f64;
}

struct List<'a, E> {
    query: &'a [f64],
    dim: usize,
    rows: &'a [E],
    list: &'a [u32],
    out: &'a mut Vec<f32>,
}

struct Formula<'a, E, M>(List<'a, E>, M);

impl<E: Element, M: Sums> Kernel for Formula<'_, E, M> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(List { query, dim, rows, list, out }, metric) = self;
        out.reserve(list.len());
        let zeros = (query.len() - dim) as f64;
        for &row in list {
            let sums = sums(s, metric, query, &rows[row as usize * dim..][..dim]);
            // 0 + x, for a sum of nothing is 0, not −0.
            out.push(0.0 + M::distance(sums, dim as f64, zeros) as f32);
        }
    }
}

#[inline(always)]
fn sums<S: Simd, E: Element, M: Sums>(s: S, metric: M, query: &[f64], row: &[E]) -> [f64; 2] {
    let mut accs = [[s.zero_f64(); 2]; ACCS];
    let (steps, rest) = row.as_chunks::<STEP>();
    let (query, _) = query.as_chunks::<STEP>();
    let (pairs, single) = steps.as_chunks::<ACCS>();
    let (query_pairs, _) = query.as_chunks::<ACCS>();
    for (x, q) in pairs.iter().zip(query_pairs) {
        for i in 0..ACCS {
            accs[i] = metric.step(s, accs[i], s.load_f64(&q[i]), Widen::widen(s, &x[i]));
        }
    }
    let mut query = query[pairs.len() * ACCS..].iter();
    for (x, q) in single.iter().zip(&mut query) {
        accs[0] = metric.step(s, accs[0], s.load_f64(q), Widen::widen(s, x));
    }
    if let (Some(q), false) = (query.next(), rest.is_empty()) {
        let mut last = [E::zeroed(); STEP];
        last[..rest.len()].copy_from_slice(rest);
        accs[1] = metric.step(s, accs[1], s.load_f64(q), Widen::widen(s, &last));
    }
    let [a, b] = accs;
    [M::total(s, M::join(s, a[0], b[0])), M::total(s, M::join(s, a[1], b[1]))]
}

#[derive(Clone, Copy)]
struct L1;

impl Sums for L1 {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        [s.add_f64(sum, s.abs_f64(s.sub_f64(q, x))), other]
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        sums[0]
    }
}

#[derive(Clone, Copy)]
struct Linf;

impl Sums for Linf {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [most, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        [s.max_f64(most, s.abs_f64(s.sub_f64(q, x))), other]
    }
    #[inline(always)]
    fn join<S: Simd>(s: S, a: S::F64, b: S::F64) -> S::F64 {
        s.max_f64(a, b)
    }
    #[inline(always)]
    fn total<S: Simd>(s: S, a: S::F64) -> f64 {
        s.lanes_f64(a).into_iter().fold(0.0, f64::max)
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        sums[0]
    }
}

/// A whole exponent.
#[derive(Clone, Copy)]
struct Whole(u32);

impl Sums for Whole {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        let far = s.abs_f64(s.sub_f64(q, x));
        let mut power = far;
        for _ in 1..self.0 {
            power = s.mul_add_f64(power, far, s.zero_f64());
        }
        [s.add_f64(sum, power), other]
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        sums[0]
    }
}

/// Any exponent.
#[derive(Clone, Copy)]
struct Lp(f64);

impl Sums for Lp {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        let far = s.lanes_f64(s.abs_f64(s.sub_f64(q, x)));
        [s.add_f64(sum, s.load_f64(&powers(&far, self.0))), other]
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        sums[0]
    }
}

#[derive(Clone, Copy)]
struct Canberra;

impl Sums for Canberra {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        // Sums of f32 are far above the least f64, which makes 0/0 a 0.
        let least = s.load_f64(&[f64::MIN_POSITIVE; STEP]);
        let size = s.max_f64(s.add_f64(s.abs_f64(q), s.abs_f64(x)), least);
        [s.add_f64(sum, s.div_f64(s.abs_f64(s.sub_f64(q, x)), size)), other]
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        sums[0]
    }
}

#[derive(Clone, Copy)]
struct BrayCurtis;

impl Sums for BrayCurtis {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [apart, size]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        [s.add_f64(apart, s.abs_f64(s.sub_f64(q, x))), s.add_f64(size, s.abs_f64(s.add_f64(q, x)))]
    }
    #[inline(always)]
    fn distance([apart, size]: [f64; 2], _: f64, _: f64) -> f64 {
        apart / size
    }
}

#[derive(Clone, Copy)]
struct JensenShannon;

impl Sums for JensenShannon {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, other]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        // A ratio of signs that differ is below 0, and has no logarithm; 0 and 0/0 have one that counts nothing.
        let mean = s.mul_add_f64(s.load_f64(&[0.5; STEP]), s.add_f64(q, x), s.zero_f64());
        let from_q = logarithms(&s.lanes_f64(s.div_f64(q, mean)));
        let from_x = logarithms(&s.lanes_f64(s.div_f64(x, mean)));
        [s.mul_add_f64(q, s.load_f64(&from_q), s.mul_add_f64(x, s.load_f64(&from_x), sum)), other]
    }
    #[inline(always)]
    fn distance(sums: [f64; 2], _: f64, _: f64) -> f64 {
        0.5 * sums[0]
    }
}

#[derive(Clone, Copy)]
struct Jaccard;

impl Sums for Jaccard {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [least, most]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        [s.add_f64(least, s.min_f64(q, x)), s.add_f64(most, s.max_f64(q, x))]
    }
    #[inline(always)]
    fn distance([least, most]: [f64; 2], _: f64, _: f64) -> f64 {
        -(least / most)
    }
}

#[derive(Clone, Copy)]
struct NanEuclidean;

impl Sums for NanEuclidean {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, count]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        let (mut squares, mut there) = (s.lanes_f64(s.sub_f64(q, x)), [0.0; STEP]);
        for i in 0..STEP {
            let missing = squares[i].is_nan();
            there[i] = if missing { 0.0 } else { 1.0 };
            squares[i] = if missing { 0.0 } else { squares[i] * squares[i] };
        }
        [s.add_f64(sum, s.load_f64(&squares)), s.add_f64(count, s.load_f64(&there))]
    }
    #[inline(always)]
    fn distance([sum, count]: [f64; 2], dim: f64, zeros: f64) -> f64 {
        dim / (count - zeros) * sum
    }
}

#[derive(Clone, Copy)]
struct Gower;

impl Sums for Gower {
    #[inline(always)]
    fn step<S: Simd>(self, s: S, [sum, count]: [S::F64; 2], q: S::F64, x: S::F64) -> [S::F64; 2] {
        let (q, x) = (s.lanes_f64(q), s.lanes_f64(x));
        let (mut apart, mut there) = ([0.0; STEP], [0.0; STEP]);
        for i in 0..STEP {
            let missing = q[i].is_nan() | x[i].is_nan();
            let numbers = (q[i] >= 0.0) & (x[i] >= 0.0) & (q[i] <= 1.0) & (x[i] <= 1.0);
            let names = (q[i] < 0.0) & (x[i] < 0.0);
            let unlike = if q[i] == x[i] { 0.0 } else { 1.0 };
            let other = if names { unlike } else { f64::NAN };
            let far = if numbers { (q[i] - x[i]).abs() } else { other };
            apart[i] = if missing { 0.0 } else { far };
            there[i] = if missing { 0.0 } else { 1.0 };
        }
        [s.add_f64(sum, s.load_f64(&apart)), s.add_f64(count, s.load_f64(&there))]
    }
    #[inline(always)]
    fn distance([sum, count]: [f64; 2], _: f64, zeros: f64) -> f64 {
        sum / (count - zeros)
    }
}

/// The natural logarithm of each, to 2⁻⁵⁰ of it; NaN of what is below 0, something finite of 0 and NaN.
#[inline(always)]
fn logarithms(values: &[f64; STEP]) -> [f64; STEP] {
    const LN_2: f64 = std::f64::consts::LN_2;
    let mut out = [0.0; STEP];
    for i in 0..STEP {
        let (significand, exponent) = split(values[i]);
        let positive = 2.0 * artanh(significand) + exponent * LN_2;
        out[i] = if values[i] < 0.0 { f64::NAN } else { positive };
    }
    out
}

/// Each to the power `p`, to 2⁻⁴⁰ of it; of values at least 0. Beyond 2^±1000 it is that.
#[inline(always)]
fn powers(values: &[f64; STEP], p: f64) -> [f64; STEP] {
    /// Added to a number it rounds it to a whole one, which its lowest bits then are.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// 1/n! for n from 13 down.
    const TERMS: [f64; 14] = {
        let mut terms = [1.0; 14];
        let (mut n, mut factorial) = (1, 1.0);
        while n < 14 {
            factorial *= n as f64;
            terms[13 - n] = 1.0 / factorial;
            n += 1;
        }
        terms
    };
    let mut out = [0.0; STEP];
    for i in 0..STEP {
        let (significand, exponent) = split(values[i]);
        let logarithm = 2.0 * std::f64::consts::LOG2_E * artanh(significand) + exponent;
        let scaled = (p * logarithm).clamp(-1000.0, 1000.0);
        let whole = scaled + ROUND;
        let rest = (scaled - (whole - ROUND)) * std::f64::consts::LN_2;
        let mut power = TERMS[0];
        for term in &TERMS[1..] {
            power = power * rest + term;
        }
        let scale = f64::from_bits(whole.to_bits().wrapping_add(1023) << 52);
        out[i] = if values[i] == 0.0 { 0.0 } else { power * scale };
    }
    out
}

/// v = m · 2ᵉ with m from √½ to √2: (m − 1) / (m + 1), and e.
#[inline(always)]
fn split(v: f64) -> (f64, f64) {
    /// Its lowest bits can be an exponent's.
    const WIDE: u64 = 0x4330_0000_0000_0000;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const FRACTION: u64 = 0x000F_FFFF_FFFF_FFFF;
    let bits = v.to_bits();
    let exponent = f64::from_bits(bits >> 52 | WIDE) - (f64::from_bits(WIDE) + 1023.0);
    let m = f64::from_bits(bits & FRACTION | ONE);
    let large = m > std::f64::consts::SQRT_2;
    let m = if large { 0.5 * m } else { m };
    ((m - 1.0) / (m + 1.0), if large { exponent + 1.0 } else { exponent })
}

/// artanh s, for |s| at most 0.172.
#[inline(always)]
fn artanh(s: f64) -> f64 {
    /// 1/(2n + 1) for n from 10 down.
    const TERMS: [f64; 11] = {
        let mut terms = [1.0; 11];
        let mut n = 0;
        while n < 11 {
            terms[10 - n] = 1.0 / (2 * n + 1) as f64;
            n += 1;
        }
        terms
    };
    let square = s * s;
    let mut sum = TERMS[0];
    for term in &TERMS[1..] {
        sum = sum * square + term;
    }
    s * sum
}
