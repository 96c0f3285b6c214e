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
                    match p {
                        0.0 => list.out.resize(list.out.len() + list.list.len(), dim as f32),
                        _ if p.fract() == 0.0 && p <= WHOLE => isa.run(Formula(list, Whole(p as u32))),
                        _ => isa.run(Formula(list, Lp(p.into()))),
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
        [s.add_f64(sum, powers(s, s.abs_f64(s.sub_f64(q, x)), self.0)), other]
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
        let (from_q, from_x) = (logarithms(s, s.div_f64(q, mean)), logarithms(s, s.div_f64(x, mean)));
        [s.mul_add_f64(q, from_q, s.mul_add_f64(x, from_x, sum)), other]
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
        let [apart, there] = s.known_f64(s.sub_f64(q, x));
        [s.mul_add_f64(apart, apart, sum), s.add_f64(count, there)]
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
fn logarithms<S: Simd>(s: S, values: S::F64) -> S::F64 {
    let (significands, exponents) = split(s, values);
    let ln_2 = s.load_f64(&[std::f64::consts::LN_2; STEP]);
    let all = s.lanes_f64(s.mul_add_f64(exponents, ln_2, artanh(s, significands, 2.0)));
    let (values, mut out) = (s.lanes_f64(values), [0.0; STEP]);
    for i in 0..STEP {
        out[i] = if values[i] < 0.0 { f64::NAN } else { all[i] };
    }
    s.load_f64(&out)
}

/// Each to the power `p`, to 2⁻⁴⁰ of it; of values at least 0. Beyond 2^±1000 it is that.
#[inline(always)]
fn powers<S: Simd>(s: S, values: S::F64, p: f64) -> S::F64 {
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
    let all = |v: f64| [v; STEP];
    let (significands, exponents) = split(s, values);
    let logarithms = s.add_f64(exponents, artanh(s, significands, 2.0 * std::f64::consts::LOG2_E));
    let scaled = s.mul_add_f64(s.load_f64(&all(p)), logarithms, s.zero_f64());
    let scaled = s.max_f64(s.min_f64(scaled, s.load_f64(&all(1000.0))), s.load_f64(&all(-1000.0)));
    let whole = s.add_f64(scaled, s.load_f64(&all(ROUND)));
    let rest = s.sub_f64(scaled, s.sub_f64(whole, s.load_f64(&all(ROUND))));
    let rest = s.mul_add_f64(rest, s.load_f64(&all(std::f64::consts::LN_2)), s.zero_f64());
    let (values, whole, mut scale) = (s.lanes_f64(values), s.lanes_f64(whole), [0.0; STEP]);
    for i in 0..STEP {
        let two = f64::from_bits(whole[i].to_bits().wrapping_add(1023) << 52);
        scale[i] = if values[i] == 0.0 { 0.0 } else { two };
    }
    s.mul_add_f64(horner(s, rest, &TERMS), s.load_f64(&scale), s.zero_f64())
}

/// v = m · 2ᵉ with m from √½ to √2: (m − 1) / (m + 1), and e.
#[inline(always)]
fn split<S: Simd>(s: S, values: S::F64) -> (S::F64, S::F64) {
    /// Its lowest bits can be an exponent's.
    const WIDE: u64 = 0x4330_0000_0000_0000;
    const ONE: u64 = 0x3FF0_0000_0000_0000;
    const FRACTION: u64 = 0x000F_FFFF_FFFF_FFFF;
    /// From the exponent of 1 to √2 counts as that.
    const HALF: u64 = ONE - 0x3FE6_A09E_667F_3BCD;
    let values = s.lanes_f64(values);
    let (mut significands, mut exponents) = ([0.0; STEP], [0.0; STEP]);
    for i in 0..STEP {
        // Raised so that the exponent counts from √½ on.
        let raised = values[i].to_bits().wrapping_add(HALF);
        exponents[i] = f64::from_bits(raised >> 52 | WIDE);
        significands[i] = f64::from_bits((raised & FRACTION) + (ONE - HALF));
    }
    let (m, one) = (s.load_f64(&significands), s.load_f64(&[1.0; STEP]));
    let zero = s.load_f64(&[f64::from_bits(WIDE) + 1023.0; STEP]);
    (s.div_f64(s.sub_f64(m, one), s.add_f64(m, one)), s.sub_f64(s.load_f64(&exponents), zero))
}

/// `factor` · artanh v, for |v| at most 0.172.
#[inline(always)]
fn artanh<S: Simd>(s: S, values: S::F64, factor: f64) -> S::F64 {
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
    let zero = s.zero_f64();
    let sum = horner(s, s.mul_add_f64(values, values, zero), &TERMS);
    s.mul_add_f64(sum, s.mul_add_f64(values, s.load_f64(&[factor; STEP]), zero), zero)
}

/// The polynomial of these coefficients, the highest first.
#[inline(always)]
fn horner<S: Simd, const N: usize>(s: S, values: S::F64, terms: &[f64; N]) -> S::F64 {
    let mut sum = s.zero_f64();
    for &term in terms {
        sum = s.mul_add_f64(sum, values, s.load_f64(&[term; STEP]));
    }
    sum
}
