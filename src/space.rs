//! One Euclidean space for every metric: what graphs are made of and walked in, and what residuals are taken in.
//!
//! ```text
//! l2       x
//! cosine   x/‖x‖
//! ip       (x, √(M² − ‖x‖²)),  M the longest vector's length;  the query is (q, 0) · M/‖q‖
//! ```
//!
//! In all three the nearest point of the space is the nearest vector (for ip: Bachrach and others 2014). A point is its head
//! under a [`Projection`] whose directions are turned at random, coded in a signed byte a coordinate by one step for all, and
//! the squared length of its tail: distances between points are those of the heads plus both tails, as if tails were
//! at right angles. What that leaves out is made good by exact distances in the end.

use std::sync::Arc;

use half::bf16;
use nalgebra::DMatrix;

use crate::error::Result;
use crate::kernels::distance::squared_norm;
use crate::kernels::simd::nearest_byte;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::quantizer::dot;
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::transform::{Matrix, Projection, RoundedMatrix, Turn, columns, sample};
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Coordinates of a head are a multiple of this: a byte of the neighbours' codes.
pub(crate) const STEP: usize = crate::kernels::fastscan::PAIR;
/// Points are stored in a multiple of so many bytes.
pub(crate) const STRIDE: usize = 32;
/// Heads are learned from at most so many vectors.
const SAMPLE: usize = 8192;
/// Pairs of vectors from which that is learned, at most.
const PAIRS: usize = 512;
/// Vectors encoded at a time.
const PART: usize = 256;
/// A query's coordinates reach so many steps at most.
const FARTHEST: f64 = 1e24;
/// Which directions a space has.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// The part of what tells a vector from its nearest that heads hold, where they may be wide enough.
    pub held: f64,
    /// Coordinates of a head at most.
    pub widest: usize,
    pub precision: Precision,
}

/// What P is rounded to: a single query reads all of it.
#[derive(Clone, Copy)]
pub(crate) enum Precision {
    /// Bytes, where what is found gets its exact distance.
    Byte,
    /// bf16, where codes tell distances.
    Half,
}

/// How vectors become points.
#[derive(Clone)]
pub(crate) struct Space {
    pub(crate) metric: Metric,
    /// M.
    pub(crate) longest: f64,
    pub(crate) projection: Projection,
    /// The distance between two codes.
    pub(crate) step: f64,
    /// P.
    turn: Arc<dyn Turn>,
}

/// Points: `stride` bytes each, of which the head is the first and zeros the rest, and the squared lengths of their tails, all
/// in units of the step.
#[derive(Clone, Default)]
pub(crate) struct Heads {
    pub codes: Vec<i8>,
    pub stride: usize,
    pub tails: Vec<f32>,
}

impl Heads {
    /// The points `order`, in this order.
    pub fn in_order(&self, order: &[u32]) -> Result<Self> {
        let mut codes = filled("points", order.len() * self.stride, 0)?;
        for (to, &id) in codes.chunks_exact_mut(self.stride).zip(order) {
            to.copy_from_slice(&self.codes[id as usize * self.stride..][..self.stride]);
        }
        let tails = order.iter().map(|&id| self.tails[id as usize]).collect();
        Ok(Self { codes, stride: self.stride, tails })
    }
}

impl Space {
    /// Learns from a sample of `vectors`.
    pub fn train(
        vectors: Vectors,
        metric: Metric,
        wanted: Wanted,
        seed: u64,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let dim = vectors.dim();
        let longest = match metric {
            Metric::InnerProduct => longest(vectors),
            _ => 0.0,
        };
        let most = ((1usize << 33) / (dim * dim)).clamp(512, SAMPLE);
        let mut columns = lifted(sample(vectors, most, metric), metric, longest);
        let dims = columns.nrows();
        let widest = dims.next_multiple_of(STEP).min(wanted.widest);
        let mut projection = Projection::train(&mut columns, widest.min(dims), seed, monitor)?;
        let width = holding(&projection, &columns, wanted.held);
        // Turned at random among themselves, so that all carry the same.
        let width = width.min(projection.width());
        projection = projection.narrowed(width);
        if metric == Metric::InnerProduct {
            // Points differ little along the coordinate that is added, but queries are far from them: what heads left out of it would
            // count in full.
            projection = projection.with_axis(dims - 1);
        }
        projection = projection.mixed(&[width], seed);
        let heads = projection.apply(&columns);
        let mut reaches: Vec<f64> = heads.iter().map(|v| v.abs()).collect();
        // One coordinate in ten thousand may be cut off: all others are coded finer.
        let most = reaches.len().saturating_sub(1) * 9999 / 10_000;
        let reach = match most < reaches.len() {
            true => *reaches.select_nth_unstable_by(most, f64::total_cmp).1,
            false => 0.0,
        };
        let step = if reach > 0.0 { reach / 127.0 } else { 1.0 };
        Ok(Self::new(metric, longest, projection, step, wanted.precision))
    }

    pub fn new(
        metric: Metric,
        longest: f64,
        projection: Projection,
        step: f64,
        precision: Precision,
    ) -> Self {
        let (rows, dims) = (projection.rows(), projection.mean().len());
        let turn: Arc<dyn Turn> = match precision {
            Precision::Byte => Arc::new(RoundedMatrix::new(rows, dims)),
            Precision::Half => Arc::new(Matrix::<bf16>::new(rows, dims)),
        };
        Self { metric, longest, projection, step, turn }
    }

    /// True where `vectors` are not much longer than those that the space was made for.
    pub fn holds(&self, vectors: Vectors) -> bool {
        self.metric != Metric::InnerProduct || longest(vectors) <= 1.05 * self.longest
    }

    /// Coordinates of a head, padded to whole steps.
    pub fn width(&self) -> usize {
        self.projection.width().next_multiple_of(STEP)
    }

    /// The factor and the summand that make a metric's distance from a query, of the squared length `norm`, a squared distance of
    /// points, in units of the step.
    pub fn units(&self, norm: f64) -> (f64, f64) {
        let unit = 1.0 / (self.step * self.step);
        match self.metric {
            Metric::L2 => (unit, 0.0),
            Metric::Cosine => (2.0 * unit, 0.0),
            _ => (2.0 * unit * self.longest / norm.sqrt(), 2.0 * unit * self.longest * self.longest),
        }
    }

    /// The summand and the factor that make a squared distance of points, less that of the query's, the metric's distance. The
    /// query is of the squared length `norm`, and `values` is where it is in the space.
    pub fn told(&self, norm: f64, values: &[f32]) -> (f64, f64) {
        let whole = squared_norm(values);
        let (unit, rest) = self.units(norm);
        (whole - rest, 1.0 / unit)
    }

    pub fn bytes(&self) -> usize {
        self.turn.bytes() + (self.projection.rows().len() + self.projection.mean().len()) * 4
    }

    /// The points of `vectors`.
    pub fn encode(&self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<Heads> {
        let stride = self.width().next_multiple_of(STRIDE);
        let n = vectors.len();
        let mut heads =
            Heads { codes: filled("points", n * stride, 0)?, stride, tails: filled("points", n, 0.0)? };
        let parts: Vec<_> = heads.codes.chunks_mut(PART * stride).zip(heads.tails.chunks_mut(PART)).collect();
        let parts: Vec<_> = parts.into_iter().map(std::sync::Mutex::new).collect();
        threads::run(threads, monitor, "encode", (parts.len(), n as u64), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| crate::Error::Interrupted)?;
            let (codes, tails) = &mut *part;
            let rows = at * PART..at * PART + tails.len();
            let mut columns = lifted(columns(vectors, rows.clone(), self.metric), self.metric, self.longest);
            let scale = 1.0 / self.step;
            self.projection.split(&mut columns, true, |i, x| {
                for (code, v) in codes[i * stride..].iter_mut().zip(x.head) {
                    *code = nearest_byte((v * scale) as f32);
                }
                tails[i] = (x.tail(x.head.len()).powi(2) * scale * scale) as f32;
            });
            self.take_off(vectors.rows(rows), tails);
            worker.advance(tails.len() as u64);
            Ok(())
        })?;
        drop(parts);
        Ok(heads)
    }

    /// Takes off the `tails` what vectors longer than M lack in the last coordinate under ip.
    fn take_off(&self, vectors: Vectors, tails: &mut [f32]) {
        if self.metric == Metric::InnerProduct {
            let (most, unit) = (self.longest * self.longest, self.step * self.step);
            squares(vectors, |i, square| tails[i] -= ((square - most).max(0.0) / unit) as f32);
        }
    }

    /// Replaces `heads` by those of `vectors`, [`Space::width`] values each, and `tails` by the squared lengths of their tails, in
    /// units of the step. `values` is memory to work in. As [`Space::encode`], in f32 and not rounded to bytes, but as precise as P.
    pub fn points(
        &self,
        isa: Isa,
        vectors: Vectors,
        values: &mut Vec<f32>,
        heads: &mut Vec<f32>,
        tails: &mut Vec<f32>,
    ) {
        self.place(isa, vectors, Role::Stored, values, heads);
        let dims = self.projection.mean().len();
        let square = |values: &[f32]| dot(values, values);
        tails.clear();
        tails.extend(
            values
                .chunks_exact(dims)
                .zip(heads.chunks_exact(self.width()))
                .map(|(all, head)| (square(all) - square(head)).max(0.0)),
        );
        self.take_off(vectors, tails);
    }

    /// Replaces `heads` by those of `queries`, [`Space::width`] values each, in units of the step. `values` is memory to work in.
    pub fn heads(&self, isa: Isa, queries: Vectors, values: &mut Vec<f32>, heads: &mut Vec<f32>) {
        self.place(isa, queries, Role::Asked, values, heads);
    }

    fn place(&self, isa: Isa, vectors: Vectors, role: Role, values: &mut Vec<f32>, heads: &mut Vec<f32>) {
        values.clear();
        values.resize(vectors.len() * self.projection.mean().len(), 0.0);
        vectors.dtype().visit(Place { space: self, isa, vectors, role, values });
        heads.clear();
        heads.resize(vectors.len() * self.width(), 0.0);
        self.turn.turn(isa, values, heads, self.width());
    }

    /// Where `vector` is in the space, from its centre and in units of the step: numbers that f32 holds whatever the size of the
    /// data. Inlined into a kernel, so that its instructions are used.
    #[inline(always)]
    fn point<E: Element>(&self, vector: &[E], role: Role, values: &mut [f32]) {
        let scale = match (self.metric, role) {
            // What is so far off that it could overflow is brought nearer: its order of the vectors stays.
            (Metric::L2, _) => (FARTHEST * self.step / reach(vector)).min(1.0),
            (Metric::Cosine, _) => 1.0 / squared_norm(vector).sqrt(),
            (_, Role::Asked) => self.longest / squared_norm(vector).sqrt(),
            (_, Role::Stored) => 1.0,
        };
        let scale = if scale.is_finite() { scale } else { 1.0 };
        let (mean, unit) = (self.projection.mean(), 1.0 / self.step);
        for ((value, v), &mean) in values.iter_mut().zip(vector).zip(mean) {
            *value = ((v.to_f64() * scale - f64::from(mean)) * unit) as f32;
        }
        // Under ip there is one coordinate more, which is zero in a query.
        if let [.., last] = values
            && let [.., mean] = mean
            && self.metric == Metric::InnerProduct
        {
            let rest = match role {
                Role::Stored => (self.longest * self.longest - squared_norm(vector)).max(0.0).sqrt(),
                Role::Asked => 0.0,
            };
            *last = ((rest - f64::from(*mean)) * unit) as f32;
        }
    }
}

/// The largest magnitude of a coordinate, NaN left aside.
#[inline(always)]
fn reach<E: Element>(vector: &[E]) -> f64 {
    // Side by side, which registers compare whole.
    let mut reaches = [0f64; STEP];
    let (groups, rest) = vector.as_chunks::<STEP>();
    for group in groups {
        for (reach, v) in reaches.iter_mut().zip(group) {
            let v = v.to_f64().abs();
            *reach = if v > *reach { v } else { *reach };
        }
    }
    reaches.into_iter().chain(rest.iter().map(|v| v.to_f64().abs())).fold(0.0, f64::max)
}

/// Where vectors are in a space.
struct Place<'a> {
    space: &'a Space,
    isa: Isa,
    vectors: Vectors<'a>,
    role: Role,
    values: &'a mut [f32],
}

impl DtypeVisitor for Place<'_> {
    type Out = ();
    fn visit<E: Element>(self) {
        struct Points<'a, E>(Place<'a>, &'a [E]);
        impl<E: Element> Kernel for Points<'_, E> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(Place { space, vectors, role, values, .. }, all) = self;
                let dims = space.projection.mean().len();
                for (vector, values) in all.chunks_exact(vectors.dim()).zip(values.chunks_exact_mut(dims)) {
                    space.point(vector, role, values);
                }
            }
        }
        let all = self.vectors.as_slice::<E>().unwrap_or_default();
        self.isa.run(Points(self, all));
    }
}

/// What a vector is in a search.
#[derive(Clone, Copy)]
enum Role {
    Stored,
    Asked,
}

/// Calls `each` with the number and the squared length of every vector.
pub(crate) fn squares(vectors: Vectors, each: impl FnMut(usize, f64)) {
    struct Squares<'a, F>(Vectors<'a>, F);
    impl<F: FnMut(usize, f64)> DtypeVisitor for Squares<'_, F> {
        type Out = ();
        fn visit<E: Element>(mut self) {
            let values = self.0.as_slice::<E>().unwrap_or_default();
            values.chunks_exact(self.0.dim()).enumerate().for_each(|(i, v)| self.1(i, squared_norm(v)));
        }
    }
    vectors.dtype().visit(Squares(vectors, each));
}

/// The length of the longest vector.
fn longest(vectors: Vectors) -> f64 {
    let mut longest = 0f64;
    squares(vectors, |_, square| longest = longest.max(square));
    longest.sqrt()
}

/// Columns with the coordinate that ip needs.
fn lifted(columns: DMatrix<f64>, metric: Metric, longest: f64) -> DMatrix<f64> {
    if metric != Metric::InnerProduct {
        return columns;
    }
    let (dim, count) = columns.shape();
    let mut lifted = columns.insert_row(dim, 0.0);
    for i in 0..count {
        let rest = longest * longest - lifted.column(i).norm_squared();
        lifted[(dim, i)] = rest.max(0.0).sqrt();
    }
    lifted
}

/// The fewest steps of leading directions that hold `part` of what tells a vector from its nearest. That is not the variance: of
/// clusters, the variance is how they lie to each other.
fn holding(projection: &Projection, columns: &DMatrix<f64>, part: f64) -> usize {
    let heads = projection.apply(columns);
    let norms: Vec<f64> = heads.column_iter().map(|head| head.norm_squared()).collect();
    let step = heads.ncols().div_ceil(PAIRS).max(1);
    let some: Vec<usize> = (0..heads.ncols()).step_by(step).collect();
    let products = heads.select_columns(&some).transpose() * &heads;
    let mut held = vec![0.0; heads.nrows()];
    let mut all = 0.0;
    for (row, &i) in products.row_iter().zip(&some) {
        // Copies of a vector are told from it by nothing.
        let least = 1e-9 * norms[i];
        let distances = row.iter().enumerate().map(|(j, product)| (norms[i] + norms[j] - 2.0 * product, j));
        let near = distances.filter(|&(d, j)| j != i && d > least).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, j)) = near else { continue };
        let distance = columns.column(i).metric_distance(&columns.column(j)).powi(2);
        all += 1.0;
        for (held, (a, b)) in held.iter_mut().zip(heads.column(i).iter().zip(heads.column(j).iter())) {
            *held += (a - b).powi(2) / distance;
        }
    }
    let mut sum = 0.0;
    let enough = held.iter().position(|held| {
        sum += held;
        sum >= part * all
    });
    enough.map_or(heads.nrows(), |last| (last + 1).next_multiple_of(STEP).min(heads.nrows()))
}
