//! In which coordinates? The few directions that carry most of the data's variance come first.
//!
//! A projection on H orthonormal rows P splits a centred vector into a *head* y = P(x − μ) and a *tail* of which
//! only the length is kept. Both together bound an inner product from above:
//!
//! ```text
//! ⟨q,x⟩ ≤ ⟨y_q, y_x⟩ + ‖tail_q‖·‖tail_x‖                           (Cauchy–Schwarz)
//! ```
//!
//! The rows are the leading eigenvectors of a sample's covariance, found by subspace iteration (Halko,
//! Martinsson, Tropp 2011, algorithm 4.4) with a Rayleigh–Ritz step. They need not be exact: any orthonormal
//! rows give a valid bound, better ones a tighter one. Rounded to f32 they are orthonormal up to `defect`,
//! which the bound accounts for.
//!
//! Heads are computed in f32, coordinates scaled by a power of two to the size of 1. A sum of d products, in two sums that are added
//! in the end, is then off by at most γ‖pⱼ‖‖x‖, γ = (d/2 + 8)·2⁻²⁴ (Higham 2002, §3.1; the 8 pays for the rounding of the coordinates),
//! a head by ρ‖x‖, ρ = √H·γ, and inner products and squared lengths of heads by a part of 2ρ + ρ² of those of the vectors: as much as
//! if rows were not orthonormal by so much more.

use nalgebra::{DMatrix, SymmetricEigen};

use super::{Matrix, Turn};
use crate::error::Result;
use crate::kernels::Isa;
use crate::metric::Metric;
use crate::random::Random;
use crate::threads::{self, Monitor};
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// A centre and orthonormal directions.
#[derive(Clone, Debug)]
pub struct Projection {
    /// μ, d values: the centre of the data.
    mean: Vec<f32>,
    /// P, H × d, row after row, the direction of the largest variance first.
    rows: Vec<f32>,
    /// P as it is multiplied with.
    turn: Matrix<f32>,
    /// An upper bound of ‖PPᵀ − I‖ and of what rounding adds to it.
    defect: f64,
}

/// Columns that are multiplied at a time.
const TOGETHER: usize = 192;

/// A vector's head, and what bounds the rest.
pub struct Split<'a> {
    /// y, H values.
    pub head: &'a [f64],
    /// ‖x − μ‖².
    pub norm: f64,
    defect: f64,
}

impl Split<'_> {
    /// An upper bound of the length of what the first `width` coordinates leave out.
    #[inline(always)]
    pub fn tail(&self, width: usize) -> f64 {
        // P is orthonormal up to `defect`, and so is Pythagoras.
        let head = square(&self.head[..width]);
        ((self.norm - head).max(0.0) + (self.defect + 1e-12) * self.norm).sqrt()
    }
}

impl Projection {
    /// Learns at most `width` directions from `sample`, d × m, one vector a column, about their mean. The columns are centred in place.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn train(
        sample: &mut DMatrix<f64>,
        width: usize,
        seed: u64,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let mean = sample.column_mean().iter().map(|&v| v as f32).collect();
        Self::train_about(mean, sample, width, seed, monitor)
    }

    /// The same, about any point.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn train_about(
        mean: Vec<f32>,
        sample: &mut DMatrix<f64>,
        width: usize,
        seed: u64,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        const ROUNDS: u64 = 4;
        let (dim, count) = sample.shape();
        center(sample, &mean);
        let mut covariance = DMatrix::zeros(dim, dim);
        // In parts, so that a monitor is heard.
        for from in (0..count).step_by(256) {
            threads::pause(monitor, "train", from as u64, count as u64)?;
            let part = sample.columns(from, 256.min(count - from));
            covariance.gemm(1.0 / count as f64, &part, &part.transpose(), 1.0);
        }
        // A few directions more than asked for make the last ones converge.
        let mut basis = random(dim, (width + 8).min(dim), seed);
        if basis.ncols() < dim {
            for round in 0..ROUNDS {
                threads::pause(monitor, "train", round, ROUNDS)?;
                basis = (&covariance * basis).qr().q();
            }
        } else {
            basis = DMatrix::identity(dim, dim);
        }
        threads::pause(monitor, "train", ROUNDS, ROUNDS)?;
        let ritz = SymmetricEigen::new(basis.transpose() * &covariance * &basis);
        let mut order: Vec<usize> = (0..basis.ncols()).collect();
        order.sort_by(|&a, &b| ritz.eigenvalues[b].total_cmp(&ritz.eigenvalues[a]));
        order.truncate(width);
        let leading = basis * ritz.eigenvectors.select_columns(&order);
        let rows = leading.iter().map(|&v| v as f32).collect();
        Ok(Self::new(mean, rows))
    }

    /// From stored values: `mean` of d values, `rows` of H × d.
    pub fn new(mean: Vec<f32>, rows: Vec<f32>) -> Self {
        let width = rows.len() / mean.len();
        let matrix = DMatrix::from_row_iterator(width, mean.len(), rows.iter().map(|&v| f64::from(v)));
        let turn = Matrix::new(&rows, mean.len());
        let mut gram = &matrix * matrix.transpose();
        gram.fill_diagonal(0.0);
        let squares = matrix.row_iter().map(|r| (r.norm_squared() - 1.0).abs());
        // The largest absolute row sum bounds the spectral norm.
        let defect = gram.row_iter().zip(squares).map(|(r, d)| r.iter().map(|v| v.abs()).sum::<f64>() + d);
        let gamma = (mean.len() as f64 / 2.0 + 8.0) * 2f64.powi(-24);
        let rho = (width as f64).sqrt() * gamma;
        let defect = defect.fold(1e-12, f64::max) + 2.0 * rho + 3.0 * rho * rho;
        Self { mean, rows, turn, defect }
    }

    /// H.
    pub fn width(&self) -> usize {
        self.rows.len() / self.mean.len()
    }

    /// P in f64.
    fn matrix(&self) -> DMatrix<f64> {
        let rows = self.rows.iter().map(|&v| f64::from(v));
        DMatrix::from_row_iterator(self.width(), self.mean.len(), rows)
    }

    /// μ.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// P, row after row.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// An upper bound of ‖PPᵀ − I‖, as heads are computed.
    pub fn defect(&self) -> f64 {
        self.defect
    }

    /// The first `width` directions only.
    pub fn narrowed(&self, width: usize) -> Self {
        Self::new(self.mean.clone(), self.rows[..width * self.mean.len()].to_vec())
    }

    /// The same directions but the last, in whose place is what the others leave of coordinate `axis`, so that all together hold it whole.
    pub fn with_axis(mut self, axis: usize) -> Self {
        let dim = self.mean.len();
        let Some(last) = self.width().checked_sub(1) else { return self };
        let mut left = vec![0f64; dim];
        left[axis] = 1.0;
        for row in self.rows[..last * dim].chunks_exact(dim) {
            let part = f64::from(row[axis]);
            left.iter_mut().zip(row).for_each(|(left, &v)| *left -= part * f64::from(v));
        }
        let length = square(&left).sqrt();
        // What is next to nothing has no direction that could be told.
        if length > 1e-3 {
            let to = &mut self.rows[last * dim..];
            to.iter_mut().zip(&left).for_each(|(to, v)| *to = (v / length) as f32);
            return Self::new(self.mean, self.rows);
        }
        self
    }

    /// The same directions, turned at random among themselves: first those up to `widths[0]`, then from there to
    /// `widths[1]` and so on. They then carry equal variance, and codes of one step for all lose least.
    pub fn mixed(&self, widths: &[usize], seed: u64) -> Self {
        let matrix = self.matrix();
        let mut mixed = matrix.clone();
        let mut from = 0;
        for &to in widths {
            let turn = random(to - from, to - from, seed).qr().q();
            mixed.rows_mut(from, to - from).copy_from(&(turn * matrix.rows(from, to - from)));
            from = to;
        }
        Self::new(self.mean.clone(), mixed.transpose().iter().map(|&v| v as f32).collect())
    }

    /// Centres columns in place.
    pub fn center(&self, columns: &mut DMatrix<f64>) {
        center(columns, &self.mean);
    }

    /// The heads of centred columns, one a column.
    pub fn apply(&self, columns: &DMatrix<f64>) -> DMatrix<f64> {
        self.matrix() * columns
    }

    /// Calls `each` with every column's number and [`Split`]. Columns are centred in place where `centred`.
    pub fn split(&self, columns: &mut DMatrix<f64>, centred: bool, mut each: impl FnMut(usize, Split)) {
        if centred {
            center(columns, &self.mean);
        }
        let (isa, dim, width) = (Isa::active(), self.mean.len(), self.width());
        let (mut values, mut units) = (Vec::new(), Vec::new());
        let (mut heads, mut head) = (Vec::new(), vec![0.0; width]);
        for (part, columns) in columns.as_slice().chunks(TOGETHER * dim).enumerate() {
            values.clear();
            units.clear();
            for x in columns.chunks_exact(dim) {
                let unit = unit(x);
                units.push(unit);
                values.extend(x.iter().map(|v| (v * (1.0 / unit)) as f32));
            }
            heads.clear();
            heads.resize(units.len() * width, 0.0);
            self.turn.turn(isa, &values, &mut heads, width);
            let heads = heads.chunks_exact(width);
            for (i, ((x, y), unit)) in columns.chunks_exact(dim).zip(heads).zip(&units).enumerate() {
                head.iter_mut().zip(y).for_each(|(head, &y)| *head = f64::from(y) * unit);
                each(part * TOGETHER + i, Split { head: &head, norm: square(x), defect: self.defect });
            }
        }
    }
}

/// Σ xⱼ², in sums side by side: one after the other waits for the one before.
#[inline(always)]
pub(crate) fn square(x: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (groups, rest) = x.as_chunks::<LANES>();
    for group in groups {
        for (sum, v) in sums.iter_mut().zip(group) {
            *sum += v * v;
        }
    }
    sums.into_iter().chain(rest.iter().map(|v| v * v)).sum()
}

/// A power of two of the size of the largest coordinate.
fn unit(x: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut reaches = [0f64; LANES];
    let (groups, rest) = x.as_chunks::<LANES>();
    for group in groups {
        for (reach, v) in reaches.iter_mut().zip(group) {
            *reach = if v.abs() > *reach { v.abs() } else { *reach };
        }
    }
    let reach = reaches.iter().chain(rest).fold(0f64, |reach, v| reach.max(v.abs()));
    if reach > 0.0 && reach.is_finite() { 2f64.powi(reach.log2().ceil() as i32) } else { 1.0 }
}

/// Rows `rows` of `vectors` as the columns of an f64 matrix, of unit length under cosine.
pub(crate) fn columns<R>(vectors: Vectors, rows: R, metric: Metric) -> DMatrix<f64>
where
    R: ExactSizeIterator<Item = usize>,
{
    struct Columns<'a, R>(Vectors<'a>, R);
    impl<R: ExactSizeIterator<Item = usize>> DtypeVisitor for Columns<'_, R> {
        type Out = DMatrix<f64>;
        fn visit<E: Element>(self) -> DMatrix<f64> {
            let dim = self.0.dim();
            let values = self.0.as_slice::<E>().unwrap_or_default();
            let mut columns = DMatrix::zeros(dim, self.1.len());
            for (column, row) in columns.as_mut_slice().chunks_exact_mut(dim).zip(self.1) {
                column.iter_mut().zip(&values[row * dim..][..dim]).for_each(|(to, v)| *to = v.to_f64());
            }
            columns
        }
    }
    let mut columns = vectors.dtype().visit(Columns(vectors, rows));
    if metric == Metric::Cosine {
        for column in columns.as_mut_slice().chunks_exact_mut(vectors.dim()) {
            let norm = square(column).sqrt();
            if norm > 0.0 {
                column.iter_mut().for_each(|v| *v /= norm);
            }
        }
    }
    columns
}

/// At most `count` rows of `vectors`, evenly spread, as [`columns`].
pub(crate) fn sample(vectors: Vectors, count: usize, metric: Metric) -> DMatrix<f64> {
    let count = count.min(vectors.len());
    columns(vectors, (0..count).map(|i| i * vectors.len() / count), metric)
}

fn center(columns: &mut DMatrix<f64>, mean: &[f32]) {
    for column in columns.as_mut_slice().chunks_exact_mut(mean.len()) {
        column.iter_mut().zip(mean).for_each(|(v, &mean)| *v -= f64::from(mean));
    }
}

/// Numbers between −½ and ½: a start that no data is orthogonal to.
fn random(rows: usize, columns: usize, seed: u64) -> DMatrix<f64> {
    let mut random = Random(seed);
    DMatrix::from_fn(rows, columns, |_, _| random.unit() - 0.5)
}
