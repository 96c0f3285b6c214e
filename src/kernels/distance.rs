//! Exact distances from one query to a list of rows: the documented formula, summed in f64.
//!
//! ```text
//! l2      f32( Σ (qⱼ − xⱼ)² )
//! ip      f32( −Σ qⱼxⱼ )
//! cosine  f32( 1 − Σ qⱼxⱼ / √(Σ qⱼ² · Σ xⱼ²) )
//! ```
//!
//! Those of other metrics: [`formulas`], [`hamming`].
//!
//! Rows are read in their own type and widened in registers, eight at a time. Where query and rows are both
//! u8 (or both i8) the sums are taken in integers, which is the same number: every partial sum is below 2⁵³.
//!
//! Why f64 and not f32 for floats: on rows that come from memory the sum costs nothing (a row of 512 bytes
//! takes longer to arrive than 128 widened multiply-adds take to run), and the answer then does not depend
//! on the instruction set, on the length, or on how far the data is from the origin.

use std::ops::RangeInclusive;

use super::{Isa, Kernel, Simd, Widen, formulas, hamming};
use crate::metric::Metric;
use crate::vectors::{Dtype, DtypeVisitor, Element, Vectors};

/// Elements of a float kernel's step.
const STEP: usize = 8;
/// Elements of an integer kernel's step.
const BYTE_STEP: usize = 32;

/// Independent accumulators of the sums, 8 × f64 each (two registers of AVX2): additions wait for each other. Where there are two sums, each
/// has half of them.
const ACCS: usize = 4;
/// Bytes of rows that are on their way while one is computed.
const AHEAD: usize = 1024;

/// One query, made ready once for any number of rows of one type.
#[derive(Clone, Debug)]
pub struct Query {
    metric: Metric,
    dim: usize,
    /// Which of the two below the kernel reads; both are padded with zeros to whole steps.
    form: Form,
    wide: Vec<f64>,
    bytes: Vec<u8>,
    /// Σ qⱼ².
    norm: f64,
}

/// The type of a query's coordinates.
#[derive(Clone, Copy, Debug)]
enum Form {
    F64,
    U8,
    I8,
    Bits,
}

impl Default for Query {
    /// A query without coordinates, to be [set](Query::set).
    fn default() -> Self {
        let (wide, bytes) = (Vec::new(), Vec::new());
        Self { metric: Metric::L2, dim: 0, form: Form::F64, wide, bytes, norm: 0.0 }
    }
}

impl Query {
    /// Row `row` of `queries`, for rows of type `dtype`.
    pub fn new(metric: Metric, queries: Vectors, row: usize, dtype: Dtype) -> Self {
        let mut query = Self::default();
        query.set(metric, queries, row, dtype);
        query
    }

    /// Becomes row `row` of `queries`, for rows of type `dtype`; what it was before leaves its memory.
    pub fn set(&mut self, metric: Metric, queries: Vectors, row: usize, dtype: Dtype) {
        let one = queries.rows(row..row + 1);
        let Self { wide, bytes, .. } = self;
        wide.clear();
        bytes.clear();
        (self.metric, self.dim) = (metric, one.dim());
        if metric == Metric::Hamming {
            bytes.extend(one.bytes());
            (self.form, self.norm) = (Form::Bits, 0.0);
            return;
        }
        let (integers, low, high) = match dtype {
            Dtype::U8 if metric.is_of_products() => (Form::U8, 0.0, 255.0),
            Dtype::I8 if metric.is_of_products() => (Form::I8, -128.0, 127.0),
            _ => (Form::F64, f64::INFINITY, f64::NEG_INFINITY),
        };
        let same = one.dtype() == dtype && !matches!(integers, Form::F64);
        let fits;
        (self.norm, fits) = one.dtype().visit(Widened { one, range: low..=high, wide });
        // Float queries over integer rows are integers more often than not: images, histograms, their files.
        self.form = if same || fits { integers } else { Form::F64 };
        match self.form {
            Form::F64 | Form::Bits => {}
            _ if same => bytes.extend(one.bytes()),
            Form::U8 => bytes.extend(wide[..one.dim()].iter().map(|&v| v as u8)),
            Form::I8 => bytes.extend(wide[..one.dim()].iter().map(|&v| v as i8 as u8)),
        }
        bytes.resize(bytes.len().next_multiple_of(BYTE_STEP), 0);
    }

    /// Σ qⱼ².
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// Appends to `out` the distances to the rows `list` of `rows`, which are of the type given to
    /// [`Query::new`] and of the query's dimension.
    pub fn distances(&self, isa: Isa, rows: Vectors, list: &[u32], out: &mut Vec<f32>) {
        assert_eq!(rows.dim(), self.dim, "rows and query have the same dimension");
        match self.form {
            Form::Bits => hamming::distances(isa, &self.bytes, rows.bytes(), list, out),
            Form::F64 if !self.metric.is_of_products() => {
                formulas::distances(isa, self.metric, (&self.wide, self.dim), rows, list, out);
            }
            Form::U8 => self.dispatch(isa, Bytes(&self.bytes[..]), rows, list, out),
            Form::I8 => {
                self.dispatch(isa, Bytes(bytemuck::cast_slice::<u8, i8>(&self.bytes)), rows, list, out)
            }
            Form::F64 => {
                struct Wide<'a> {
                    q: &'a Query,
                    isa: Isa,
                    query: &'a [f64],
                    rows: Vectors<'a>,
                    list: &'a [u32],
                    out: &'a mut Vec<f32>,
                }
                impl DtypeVisitor for Wide<'_> {
                    type Out = ();
                    fn visit<E: Element>(self) {
                        let operand = Wider { query: self.query, row: std::marker::PhantomData::<E> };
                        self.q.dispatch(self.isa, operand, self.rows, self.list, self.out);
                    }
                }
                rows.dtype().visit(Wide { q: self, isa, query: &self.wide, rows, list, out });
            }
        }
    }

    fn dispatch<O: Operand>(&self, isa: Isa, operand: O, rows: Vectors, list: &[u32], out: &mut Vec<f32>) {
        let Some(rows) = rows.as_slice::<O::Row>() else {
            panic!("rows of the type the query was made for");
        };
        let kernel = Distances { query: self, operand, rows, list, out };
        match self.metric {
            Metric::L2 => isa.run(Formula::<_, L2>(kernel, L2)),
            Metric::Cosine => isa.run(Formula(kernel, Cosine)),
            _ => isa.run(Formula(kernel, InnerProduct)),
        }
    }
}

/// Makes `wide`, which is empty, the values of the one vector `one`, padded with zeros to whole steps. Their Σ xⱼ², and whether all of them
/// are integers of `range`.
struct Widened<'a> {
    one: Vectors<'a>,
    range: RangeInclusive<f64>,
    wide: &'a mut Vec<f64>,
}

impl DtypeVisitor for Widened<'_> {
    type Out = (f64, bool);
    fn visit<E: Element>(self) -> (f64, bool) {
        struct Run<'a, E>(&'a [E], RangeInclusive<f64>, &'a mut Vec<f64>);
        impl<E: Element> Kernel for Run<'_, E> {
            type Out = (f64, bool);
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> (f64, bool) {
                let Self(values, range, wide) = self;
                wide.resize(values.len().next_multiple_of(STEP), 0.0);
                let (low, high, mut fits) = (*range.start(), *range.end(), true);
                for (wide, v) in wide.iter_mut().zip(values) {
                    let v = v.to_f64();
                    fits &= v.trunc() == v && low <= v && v <= high;
                    *wide = v;
                }
                (squared_norm(values), fits)
            }
        }
        Isa::active().run(Run(self.one.as_slice::<E>().unwrap_or_default(), self.range, self.wide))
    }
}

/// Σ xⱼ² of one row, in f64.
#[inline(always)]
pub fn squared_norm<E: Element>(row: &[E]) -> f64 {
    const SUMS: usize = 8;
    let (groups, rest) = row.as_chunks::<SUMS>();
    let mut sums = [0.0; SUMS];
    for group in groups {
        for (sum, v) in sums.iter_mut().zip(group) {
            *sum += v.to_f64() * v.to_f64();
        }
    }
    sums.into_iter().chain(rest.iter().map(|v| v.to_f64() * v.to_f64())).sum()
}

/// How the pairs of one query type and one row type are summed.
trait Operand: Copy {
    type Query: Copy;
    type Row: Element;
    type Acc<S: Simd>: Copy;
    const STEP: usize;
    /// The query, padded with zeros to whole steps.
    fn query(&self) -> &[Self::Query];
    fn zero<S: Simd>(s: S) -> Self::Acc<S>;
    /// acc + Σ (q − x)² over one step of the query and of the row.
    fn square<S: Simd>(s: S, acc: Self::Acc<S>, q: &[Self::Query], x: &[Self::Row]) -> Self::Acc<S>;
    /// acc + Σ q·x.
    fn dot<S: Simd>(s: S, acc: Self::Acc<S>, q: &[Self::Query], x: &[Self::Row]) -> Self::Acc<S>;
    /// acc + Σ x².
    fn norm<S: Simd>(s: S, acc: Self::Acc<S>, x: &[Self::Row]) -> Self::Acc<S>;
    /// a + b.
    fn join<S: Simd>(s: S, a: Self::Acc<S>, b: Self::Acc<S>) -> Self::Acc<S>;
    fn sum<S: Simd>(s: S, acc: Self::Acc<S>) -> f64;
}

/// An f64 query over rows of any type.
#[derive(Clone, Copy)]
struct Wider<'a, E> {
    query: &'a [f64],
    row: std::marker::PhantomData<E>,
}

#[inline(always)]
fn eight<T>(v: &[T]) -> &[T; STEP] {
    v.first_chunk().expect("a whole step")
}

impl<E: Element> Operand for Wider<'_, E> {
    type Query = f64;
    type Row = E;
    type Acc<S: Simd> = S::F64;
    const STEP: usize = STEP;
    fn query(&self) -> &[f64] {
        self.query
    }
    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::F64 {
        s.zero_f64()
    }
    #[inline(always)]
    fn square<S: Simd>(s: S, acc: S::F64, q: &[f64], x: &[E]) -> S::F64 {
        let d = s.sub_f64(s.load_f64(eight(q)), Widen::widen(s, eight(x)));
        s.mul_add_f64(d, d, acc)
    }
    #[inline(always)]
    fn dot<S: Simd>(s: S, acc: S::F64, q: &[f64], x: &[E]) -> S::F64 {
        s.mul_add_f64(s.load_f64(eight(q)), Widen::widen(s, eight(x)), acc)
    }
    #[inline(always)]
    fn norm<S: Simd>(s: S, acc: S::F64, x: &[E]) -> S::F64 {
        let x = Widen::widen(s, eight(x));
        s.mul_add_f64(x, x, acc)
    }
    #[inline(always)]
    fn join<S: Simd>(s: S, a: S::F64, b: S::F64) -> S::F64 {
        s.add_f64(a, b)
    }
    #[inline(always)]
    fn sum<S: Simd>(s: S, acc: S::F64) -> f64 {
        s.sum_f64(acc)
    }
}

/// Query and rows of the same byte type.
#[derive(Clone, Copy)]
struct Bytes<'a, E>(&'a [E]);

macro_rules! bytes {
    ($type:ty, $square:ident, $dot:ident) => {
        impl Operand for Bytes<'_, $type> {
            type Query = $type;
            type Row = $type;
            type Acc<S: Simd> = S::I32;
            const STEP: usize = BYTE_STEP;
            fn query(&self) -> &[$type] {
                self.0
            }
            #[inline(always)]
            fn zero<S: Simd>(s: S) -> S::I32 {
                s.zero_i32()
            }
            #[inline(always)]
            fn square<S: Simd>(s: S, acc: S::I32, q: &[$type], x: &[$type]) -> S::I32 {
                s.$square(acc, thirty_two(q), thirty_two(x))
            }
            #[inline(always)]
            fn dot<S: Simd>(s: S, acc: S::I32, q: &[$type], x: &[$type]) -> S::I32 {
                s.$dot(acc, thirty_two(q), thirty_two(x))
            }
            #[inline(always)]
            fn norm<S: Simd>(s: S, acc: S::I32, x: &[$type]) -> S::I32 {
                s.$dot(acc, thirty_two(x), thirty_two(x))
            }
            #[inline(always)]
            fn join<S: Simd>(s: S, a: S::I32, b: S::I32) -> S::I32 {
                s.add_i32(a, b)
            }
            #[inline(always)]
            fn sum<S: Simd>(s: S, acc: S::I32) -> f64 {
                // The lanes of all hold at most 2·255²·65,536/32 < 2²⁸ together: only their sum needs 64 bits.
                s.sum_i32(acc) as f64
            }
        }
    };
}
bytes!(u8, square_u8, dot_u8);
bytes!(i8, square_i8, dot_i8);

#[inline(always)]
fn thirty_two<T>(v: &[T]) -> &[T; BYTE_STEP] {
    v.first_chunk().expect("a whole step")
}

/// A metric's sums and what becomes of them.
trait Sums: Copy {
    /// Adds one step to the two sums.
    fn step<S: Simd, O: Operand>(s: S, sums: [O::Acc<S>; 2], q: &[O::Query], x: &[O::Row]) -> [O::Acc<S>; 2];
    /// True where the second sum is in use.
    const TWO: bool = false;
    fn distance(query_norm: f64, sums: [f64; 2]) -> f64;
}

#[derive(Clone, Copy)]
struct L2;
#[derive(Clone, Copy)]
struct InnerProduct;
#[derive(Clone, Copy)]
struct Cosine;

impl Sums for L2 {
    #[inline(always)]
    fn step<S: Simd, O: Operand>(s: S, a: [O::Acc<S>; 2], q: &[O::Query], x: &[O::Row]) -> [O::Acc<S>; 2] {
        [O::square(s, a[0], q, x), a[1]]
    }
    #[inline(always)]
    fn distance(_: f64, sums: [f64; 2]) -> f64 {
        sums[0]
    }
}

impl Sums for InnerProduct {
    #[inline(always)]
    fn step<S: Simd, O: Operand>(s: S, a: [O::Acc<S>; 2], q: &[O::Query], x: &[O::Row]) -> [O::Acc<S>; 2] {
        [O::dot(s, a[0], q, x), a[1]]
    }
    #[inline(always)]
    fn distance(_: f64, sums: [f64; 2]) -> f64 {
        // 0 − x, not −x: an inner product of nothing is 0, not −0.
        0.0 - sums[0]
    }
}

impl Sums for Cosine {
    const TWO: bool = true;
    #[inline(always)]
    fn step<S: Simd, O: Operand>(s: S, a: [O::Acc<S>; 2], q: &[O::Query], x: &[O::Row]) -> [O::Acc<S>; 2] {
        [O::dot(s, a[0], q, x), O::norm(s, a[1], x)]
    }
    #[inline(always)]
    fn distance(query_norm: f64, sums: [f64; 2]) -> f64 {
        1.0 - sums[0] / (query_norm * sums[1]).sqrt()
    }
}

struct Distances<'a, O: Operand> {
    query: &'a Query,
    operand: O,
    rows: &'a [O::Row],
    list: &'a [u32],
    out: &'a mut Vec<f32>,
}

struct Formula<'a, O: Operand, M>(Distances<'a, O>, M);

impl<O: Operand, M: Sums> Kernel for Formula<'_, O, M> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Distances { query, operand, rows, list, out } = self.0;
        out.reserve(list.len());
        // Rows come from anywhere in a block, so the hardware does not guess the next one: about a kilobyte of them is
        // asked for ahead, or one that is longer.
        let ahead = (AHEAD / (query.dim * size_of::<O::Row>())).max(1);
        let prefetch = |at: usize| {
            if let Some(&row) = list.get(at) {
                let row = bytemuck::cast_slice::<O::Row, u8>(&rows[row as usize * query.dim..][..query.dim]);
                row.chunks(64).for_each(|line| s.prefetch(line));
            }
        };
        (0..ahead).for_each(prefetch);
        for (i, &row) in list.iter().enumerate() {
            prefetch(i + ahead);
            let row = &rows[row as usize * query.dim..][..query.dim];
            out.push(M::distance(query.norm, sums::<S, O, M>(s, operand.query(), row)) as f32);
        }
    }
}

/// A row's sums.
#[inline(always)]
fn sums<S: Simd, O: Operand, M: Sums>(s: S, query: &[O::Query], row: &[O::Row]) -> [f64; 2] {
    if M::TWO {
        sums_by::<S, O, M, { ACCS / 2 }>(s, query, row)
    } else {
        sums_by::<S, O, M, ACCS>(s, query, row)
    }
}

/// A row's sums, by `N` accumulators each.
#[inline(always)]
fn sums_by<S: Simd, O: Operand, M: Sums, const N: usize>(
    s: S,
    query: &[O::Query],
    row: &[O::Row],
) -> [f64; 2] {
    let mut accs = [[O::zero(s); 2]; N];
    let stride = O::STEP * N;
    let mut groups = row.chunks_exact(stride);
    let mut query_groups = query.chunks_exact(stride);
    for (x, q) in (&mut groups).zip(&mut query_groups) {
        for i in 0..N {
            accs[i] = M::step::<S, O>(s, accs[i], &q[i * O::STEP..], &x[i * O::STEP..]);
        }
    }
    let query = &query[row.len() - groups.remainder().len()..];
    let mut steps = groups.remainder().chunks_exact(O::STEP);
    for (x, q) in (&mut steps).zip(query.chunks_exact(O::STEP)) {
        accs[0] = M::step::<S, O>(s, accs[0], q, x);
    }
    let rest = steps.remainder();
    if !rest.is_empty() {
        // Zeros on both sides add nothing to any of the sums.
        let mut last = [<O::Row as bytemuck::Zeroable>::zeroed(); BYTE_STEP];
        last[..rest.len()].copy_from_slice(rest);
        accs[0] = M::step::<S, O>(s, accs[0], &query[query.len() - O::STEP..], &last[..O::STEP]);
    }
    // In pairs, then pairs of these.
    let mut len = N;
    while len > 1 {
        len /= 2;
        for i in 0..len {
            for sum in 0..2 {
                accs[i][sum] = O::join(s, accs[i][sum], accs[i + len][sum]);
            }
        }
    }
    let [a, b] = accs[0];
    [O::sum(s, a), if M::TWO { O::sum(s, b) } else { 0.0 }]
}
