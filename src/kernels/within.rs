//! Which rows of f32 may be as near to one query as a distance? Told by sums in f32, as fast as rows arrive; exact distances tell which of
//! them are.
//!
//! Sums of d terms in f32, in any order, are off by less than γ = (d + 16) · 2⁻²⁴ times what the magnitudes of the terms come to
//! (Higham 2002, §3.1; the 16 pay for the rounding of differences, of the limit and of the test). A row is kept where
//!
//! ```text
//! l1, l2   Σ ≤ D (1 + γ)                       no term is below 0
//! ip       Σ qⱼxⱼ + γ‖q‖‖x‖ ≥ −D               Σ |qⱼxⱼ| ≤ ‖q‖‖x‖
//! cosine   Σ qⱼxⱼ ≥ (1 − D − 4γ) ‖q‖‖x‖
//! ```
//!
//! or where a sum is too large for f32. What is too small for it is lost in each term: a little is added to every limit.

use super::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Coordinates of a register.
const LANES: usize = 16;
/// Rows whose sums are taken side by side.
const ABREAST: usize = 4;
/// Sums of products with a query shorter than this do not overflow beside rows whose squares do not.
const LARGEST: f64 = 1e15;

/// Rows whose k-th nearest is told, at least, where there are so many.
const FEW: usize = 128;

/// One query, ready for any number of rows.
#[derive(Clone, Debug)]
pub struct Within {
    metric: Metric,
    query: Vec<f32>,
    /// ‖q‖.
    norm: f64,
}

/// What is told of some rows.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// What is compared: more is nearer.
    told: Vec<f32>,
    /// ‖x‖² beside it, where that matters; 0 elsewhere.
    squares: Vec<f32>,
}

impl Within {
    /// `None` under a metric without such sums.
    pub fn new(metric: Metric, query: Vec<f32>) -> Option<Self> {
        if !(metric.is_of_products() || metric == Metric::L1) {
            return None;
        }
        let norm = query.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        Some(Self { metric, query, norm })
    }

    /// Makes `sums` those of `rows`.
    pub fn measure(&self, isa: Isa, rows: &[f32], sums: &mut Sums) {
        let Sums { told, squares } = sums;
        for values in [&mut *told, &mut *squares] {
            values.clear();
            values.resize(rows.len() / self.query.len(), 0.0);
        }
        let rows = Rows { query: &self.query, rows, told, squares };
        match self.metric {
            Metric::L1 => isa.run(Summed(rows, Apart)),
            Metric::L2 => isa.run(Summed(rows, Squares)),
            _ => isa.run(Summed(rows, Products)),
        }
    }

    /// Appends to `near` the numbers of the rows that may be no farther than `distance`.
    pub fn keep(&self, isa: Isa, sums: &Sums, distance: f32, near: &mut Vec<u32>) {
        let (dim, distance, gamma) = (self.query.len() as f64, f64::from(distance), self.gamma());
        // Squares below 2⁻¹⁴⁹ vanish: a norm is off by √d · 2⁻⁷⁴ at most.
        let lost = dim * 2f64.powi(-140) + 4.0 * self.norm * dim.sqrt() * 2f64.powi(-74);
        let (slope, least) = match self.metric {
            Metric::InnerProduct => (gamma * self.norm, -distance - distance.abs() * gamma - lost),
            Metric::Cosine => ((distance + 4.0 * gamma - 1.0) * self.norm, -lost),
            _ => (0.0, -distance * (1.0 + gamma) - lost),
        };
        // So long a query keeps everything.
        let least = if self.is_of_products() && self.norm >= LARGEST { f64::NAN } else { least };
        isa.run(Near { sums, slope: slope as f32, least: (least as f32).next_down(), near });
    }

    /// What the `k` nearest are no farther than, 1 or more of as many rows or more; infinite where f32 does not tell.
    pub fn reach(&self, sums: &Sums, k: usize) -> f32 {
        let (gamma, norm, products) = (self.gamma() as f32, self.norm as f32, self.is_of_products());
        if products && !(1.0 / LARGEST..LARGEST).contains(&self.norm) {
            return f32::INFINITY;
        }
        // A part of many is enough: to part all of them takes longer than to look at what it leaves.
        let few = (sums.told.len() / 4).max(FEW).max(k.saturating_mul(4)).min(sums.told.len());
        let each = sums.told[..few].iter().zip(&sums.squares).map(|(&told, &square)| {
            let length = norm * square.sqrt();
            let reach = match self.metric {
                Metric::InnerProduct => 2.0 * gamma * length - told,
                Metric::Cosine => 1.0 + 8.0 * gamma - told / length,
                _ => (1.0 + 2.0 * gamma) * -told,
            };
            // Of normal numbers no more than γ was lost.
            if told.is_normal() && (square.is_normal() || !products) { reach } else { f32::INFINITY }
        });
        let mut reaches: Vec<f32> = each.collect();
        *reaches.select_nth_unstable_by(k - 1, f32::total_cmp).1
    }

    /// True where terms may be below 0.
    fn is_of_products(&self) -> bool {
        matches!(self.metric, Metric::InnerProduct | Metric::Cosine)
    }

    /// γ.
    fn gamma(&self) -> f64 {
        (self.query.len() as f64 + 16.0) * 2f64.powi(-24)
    }
}

/// What is summed of sixteen coordinates of a query and of a row.
trait Terms: Copy {
    /// True where there is a second sum.
    const TWO: bool;
    fn add<S: Simd>(s: S, sums: [S::F32; 2], q: S::F32, x: S::F32) -> [S::F32; 2];
    /// The first sum as it is compared.
    fn told(sum: f32) -> f32;
}

/// |qⱼ − xⱼ|
#[derive(Clone, Copy)]
struct Apart;
/// (qⱼ − xⱼ)²
#[derive(Clone, Copy)]
struct Squares;
/// qⱼxⱼ and xⱼ²
#[derive(Clone, Copy)]
struct Products;

impl Terms for Apart {
    const TWO: bool = false;
    #[inline(always)]
    fn add<S: Simd>(s: S, [sum, none]: [S::F32; 2], q: S::F32, x: S::F32) -> [S::F32; 2] {
        [s.add_apart_f32(sum, q, x), none]
    }
    #[inline(always)]
    fn told(sum: f32) -> f32 {
        -sum
    }
}

impl Terms for Squares {
    const TWO: bool = false;
    #[inline(always)]
    fn add<S: Simd>(s: S, [sum, none]: [S::F32; 2], q: S::F32, x: S::F32) -> [S::F32; 2] {
        let apart = s.mul_add_f32(x, s.splat_f32(-1.0), q);
        [s.mul_add_f32(apart, apart, sum), none]
    }
    #[inline(always)]
    fn told(sum: f32) -> f32 {
        -sum
    }
}

impl Terms for Products {
    const TWO: bool = true;
    #[inline(always)]
    fn add<S: Simd>(s: S, [dot, square]: [S::F32; 2], q: S::F32, x: S::F32) -> [S::F32; 2] {
        [s.mul_add_f32(q, x, dot), s.mul_add_f32(x, x, square)]
    }
    #[inline(always)]
    fn told(sum: f32) -> f32 {
        sum
    }
}

struct Rows<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    told: &'a mut [f32],
    squares: &'a mut [f32],
}

struct Summed<'a, T>(Rows<'a>, T);

impl<T: Terms> Kernel for Summed<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(Rows { query, rows, told, squares }, _) = self;
        let dim = query.len();
        let query = query_groups(query);
        let (tolds, told) = told.as_chunks_mut::<ABREAST>();
        let (squares, square) = squares.as_chunks_mut();
        let groups = rows.chunks_exact(ABREAST * dim);
        let rest = groups.remainder();
        for ((rows, told), squares) in groups.zip(tolds).zip(squares) {
            let rows = std::array::from_fn(|i| &rows[i * dim..][..dim]);
            [*told, *squares] = totals::<S, T, ABREAST>(s, (query.0, &query.1), rows);
        }
        for ((row, told), square) in rest.chunks_exact(dim).zip(told).zip(square) {
            [[*told, ..], [*square, ..]] = totals::<S, T, 1>(s, (query.0, &query.1), [row]);
        }
    }
}

/// The rows of which told + slope · √square is not below the least, NaN among them; and those whose square is too large to tell anything.
struct Near<'a> {
    sums: &'a Sums,
    slope: f32,
    least: f32,
    near: &'a mut Vec<u32>,
}

impl Kernel for Near<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { sums, slope, least, near } = self;
        let least = s.splat_f32(least);
        for (at, (told, squares)) in sums.told.chunks(LANES).zip(sums.squares.chunks(LANES)).enumerate() {
            let mut compared = [f32::NEG_INFINITY; LANES];
            for (compared, (told, square)) in compared.iter_mut().zip(told.iter().zip(squares)) {
                let told = told + slope * square.sqrt();
                *compared = if *square < f32::INFINITY { told } else { f32::NAN };
            }
            let mut kept = s.not_less_f32(s.load_f32(&compared), least);
            while kept != 0 {
                let bit = kept.trailing_zeros();
                kept &= !(S::LANE_BITS << bit);
                let lane = usize::from(S::LANE_OF_BIT[bit as usize]);
                // Beyond the last row nothing is kept, unless everything is.
                if lane < told.len() {
                    near.push((at * LANES + lane) as u32);
                }
            }
        }
    }
}

/// Whole groups of a query's coordinates, and what is left, filled up with zeros.
#[inline(always)]
fn query_groups(query: &[f32]) -> (&[[f32; LANES]], [f32; LANES]) {
    let (groups, rest) = query.as_chunks();
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    (groups, last)
}

/// Both sums of each of `rows`; those of more rows than there are mean nothing.
#[inline(always)]
fn totals<S: Simd, T: Terms, const N: usize>(
    s: S,
    (query, last): (&[[f32; LANES]], &[f32; LANES]),
    rows: [&[f32]; N],
) -> [[f32; ABREAST]; 2] {
    let zero = s.zero_f32();
    let mut sums = [[zero; 2]; ABREAST];
    let parts: [&[[f32; LANES]]; N] = rows.map(|row| &row.as_chunks().0[..query.len()]);
    for (g, q) in query.iter().enumerate() {
        let q = s.load_f32(q);
        for n in 0..N {
            sums[n] = T::add(s, sums[n], q, s.load_f32(&parts[n][g]));
        }
    }
    if rows[0].len() > query.len() * LANES {
        let q = s.load_f32(last);
        for n in 0..N {
            let rest = &rows[n][query.len() * LANES..];
            let mut x = [0.0; LANES];
            x[..rest.len()].copy_from_slice(rest);
            sums[n] = T::add(s, sums[n], q, s.load_f32(&x));
        }
    }
    let second = if T::TWO { s.totals_f32(sums.map(|sums| sums[1])) } else { [0.0; ABREAST] };
    [s.totals_f32(sums.map(|sums| sums[0])).map(T::told), second]
}
