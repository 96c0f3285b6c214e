//! What is done with vectors before anything else, stored and asked ones alike.

use std::sync::Mutex;

use super::Turn;
use super::matrix::Matrix;
use super::projection::{Projection, columns};
use super::rotation::Rotation;
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::distance::squared_norm;
use crate::metric::Metric;
use crate::random::Random;
use crate::storage::Buffer;
use crate::threads::{self, Monitor};
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Vectors that directions are learned from, at most.
const SAMPLE: usize = 8192;
/// Vectors that a thread takes at a time.
const PART: usize = 96;
/// The variance of a whitened direction is at least this part of the largest one's: what does not vary is not made to.
const LEAST: f64 = 1e-9;
/// The largest dimension of what is learned from a covariance of d² numbers.
const MOST: usize = 4096;

/// Something that is done with every vector. The words in quotes are those of a [`Spec`](crate::Spec).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// `"norm"`: x/‖x‖; zeros stay.
    Norm,
    /// `"rotate"`: a random rotation.
    Rotate,
    /// `"pca64"`, `"pcaw64"`: the directions in which the first vectors that were added vary most, about their mean under l2 and about
    /// zero otherwise, so that inner products stay; of equal variance, where whitened.
    Pca {
        /// Directions; as many as there are coordinates where nothing is said.
        dim: Option<usize>,
        /// With the variance of each made 1.
        whiten: bool,
    },
    /// `"opq16"`, `"opq16_64"`: the same directions, dealt out to so many groups that the variances of each multiply to about the same
    /// (the parametric solution of optimised product quantisation: Ge and others 2013, algorithm 2).
    Opq {
        /// Groups.
        parts: usize,
        /// Directions, a multiple of the groups; as many as there may be where nothing is said.
        dim: Option<usize>,
    },
}

impl Transform {
    /// Coordinates of what vectors of `dim` coordinates become.
    ///
    /// # Errors
    /// [`Error::Argument`] where they cannot become that.
    fn width(self, dim: usize) -> Result<usize> {
        let wrong = |expected| Err(Error::argument("spec", format!("{self} of {dim} dimensions"), expected));
        let (wanted, parts) = match self {
            Self::Norm | Self::Rotate => return Ok(dim),
            Self::Pca { dim: wanted, .. } => (wanted.unwrap_or(dim), 1),
            Self::Opq { parts, dim: wanted } => (wanted.unwrap_or(dim / parts * parts), parts),
        };
        match wanted {
            _ if dim > MOST => wrong("at most 4,096 dimensions to learn directions of"),
            wanted if wanted > dim => wrong("at most as many directions as there are dimensions"),
            wanted if wanted == 0 || wanted % parts > 0 => wrong("a multiple of the groups as directions"),
            wanted => Ok(wanted),
        }
    }
}

/// A few of them, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transforms([Option<Transform>; Transforms::MOST]);

impl Transforms {
    /// How many there can be.
    pub const MOST: usize = 4;
    /// None.
    pub const NONE: Self = Self([None; Self::MOST]);

    /// One more; nothing where there are [`Transforms::MOST`].
    #[must_use]
    pub fn and(mut self, next: Transform) -> Option<Self> {
        *self.0.iter_mut().find(|place| place.is_none())? = Some(next);
        Some(self)
    }

    /// First to last.
    pub fn iter(&self) -> impl Iterator<Item = Transform> {
        self.0.into_iter().flatten()
    }

    /// True where vectors stay as they are.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Coordinates of what vectors of `dim` coordinates become.
    ///
    /// # Errors
    /// [`Error::Argument`] where they cannot become that.
    pub(crate) fn width(&self, dim: usize) -> Result<usize> {
        self.iter().try_fold(dim, |dim, transform| transform.width(dim))
    }
}

/// Transforms that have learned what they needed.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Coordinates of what comes out.
    width: usize,
    links: Vec<Link>,
}

#[derive(Clone, Debug)]
enum Link {
    Norm { dim: usize },
    Rotation(Rotation),
    Affine(Affine),
}

/// y = P(x − μ).
#[derive(Clone, Debug)]
struct Affine {
    mean: Vec<f32>,
    rows: Vec<f32>,
    matrix: Matrix<f32>,
}

impl Affine {
    fn new(mean: Vec<f32>, rows: Vec<f32>) -> Self {
        Self { matrix: Matrix::new(&rows, mean.len()), mean, rows }
    }
}

impl Chain {
    /// Learns from `vectors`.
    ///
    /// # Errors
    /// [`Error::Argument`] where vectors of their dimension cannot become that, [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn train(
        transforms: Transforms,
        vectors: Vectors,
        metric: Metric,
        seed: u64,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let chosen = Random(seed).choose(SAMPLE.min(vectors.len()), vectors.len());
        let chosen = vectors.gathered(&chosen)?;
        let mut values = Vec::new();
        extend(&mut values, Vectors::from_bytes(chosen.bytes(), vectors.dtype(), vectors.dim())?);
        let mut made = Self { width: vectors.dim(), links: Vec::new() };
        for (at, transform) in (0u64..).zip(transforms.iter()) {
            let width = transform.width(made.width)?;
            let (sample, seed) = ((&values[..], made.width), seed ^ at);
            let link = match transform {
                Transform::Norm => Link::Norm { dim: width },
                Transform::Rotate => Link::Rotation(Rotation::new(width, seed)),
                Transform::Pca { whiten, .. } => {
                    let (affine, variances) = directions(sample, width, metric, seed, monitor)?;
                    Link::Affine(if whiten { whitened(affine, &variances) } else { affine })
                }
                Transform::Opq { parts, .. } => {
                    let (affine, variances) = directions(sample, width, metric, seed, monitor)?;
                    Link::Affine(dealt(affine, &variances, parts))
                }
            };
            link.apply(Isa::active(), &mut values, &mut Vec::new());
            made.links.push(link);
            made.width = width;
        }
        Ok(made)
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        let bytes = self.links.iter().map(|link| match link {
            Link::Norm { .. } => 0,
            Link::Rotation(rotation) => rotation.bytes(),
            Link::Affine(Affine { mean, rows, matrix }) => (mean.len() + rows.len()) * 4 + matrix.bytes(),
        });
        bytes.sum()
    }

    /// What `vectors` become, one after the other.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn apply(&self, vectors: Vectors, threads: usize, monitor: Option<&dyn Monitor>) -> Result<Buffer> {
        let isa = Isa::active();
        let mut out = Buffer::new();
        out.lengthen("transformed vectors", vectors.len() * self.width * size_of::<f32>())?;
        let all: &mut [f32] = bytemuck::cast_slice_mut(out.bytes_mut("transformed vectors")?);
        let parts: Vec<Mutex<&mut [f32]>> = all.chunks_mut(PART * self.width).map(Mutex::new).collect();
        threads::run(threads, monitor, "transform", (parts.len(), vectors.len() as u64), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let rows = at * PART..at * PART + part.len() / self.width;
            let (mut values, mut spare) = (Vec::new(), Vec::new());
            extend(&mut values, vectors.rows(rows.clone()));
            self.links.iter().for_each(|link| link.apply(isa, &mut values, &mut spare));
            part.copy_from_slice(&values);
            worker.advance(rows.len() as u64);
            Ok(())
        })?;
        drop(parts);
        Ok(out)
    }

    /// What each has learned, and nothing of those that learn nothing: what [`Chain::restore`] makes it of again.
    pub fn state(&self) -> Vec<[&[f32]; 2]> {
        let learned = self.links.iter().filter_map(|link| match link {
            Link::Affine(affine) => Some([&affine.mean[..], &affine.rows[..]]),
            Link::Norm { .. } | Link::Rotation(_) => None,
        });
        learned.collect()
    }

    /// From what [`Chain::state`] gave: `read` is asked for so many values of a mean and of rows, in the same order.
    ///
    /// # Errors
    /// As [`Transforms::width`], and those of `read`.
    pub fn restore(
        transforms: Transforms,
        dim: usize,
        seed: u64,
        mut read: impl FnMut(usize, usize) -> Result<(Vec<f32>, Vec<f32>)>,
    ) -> Result<Self> {
        let mut made = Self { width: dim, links: Vec::new() };
        for (at, transform) in (0u64..).zip(transforms.iter()) {
            let width = transform.width(made.width)?;
            made.links.push(match transform {
                Transform::Norm => Link::Norm { dim: width },
                Transform::Rotate => Link::Rotation(Rotation::new(width, seed ^ at)),
                Transform::Pca { .. } | Transform::Opq { .. } => {
                    let (mean, rows) = read(made.width, width)?;
                    Link::Affine(Affine::new(mean, rows))
                }
            });
            made.width = width;
        }
        Ok(made)
    }
}

impl Link {
    /// Makes `values` what it makes of them; `spare` is memory to work in.
    fn apply(&self, isa: Isa, values: &mut Vec<f32>, spare: &mut Vec<f32>) {
        match self {
            Self::Norm { dim } => {
                for vector in values.chunks_exact_mut(*dim) {
                    let norm = squared_norm(vector).sqrt();
                    let scale = if norm > 0.0 { 1.0 / norm } else { 1.0 };
                    vector.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
                }
            }
            Self::Rotation(rotation) => rotation.apply(isa, values),
            Self::Affine(Affine { mean, rows, matrix }) => {
                for vector in values.chunks_exact_mut(mean.len()) {
                    vector.iter_mut().zip(mean).for_each(|(v, mean)| *v -= mean);
                }
                let width = rows.len() / mean.len();
                spare.clear();
                spare.resize(values.len() / mean.len() * width, 0.0);
                matrix.turn(isa, values, spare, width);
                std::mem::swap(values, spare);
            }
        }
    }
}

/// The `width` directions in which a sample varies most, and its variance in each.
fn directions(
    (values, dim): (&[f32], usize),
    width: usize,
    metric: Metric,
    seed: u64,
    monitor: Option<&dyn Monitor>,
) -> Result<(Affine, Vec<f64>)> {
    let sample = Vectors::new(values, dim)?;
    let mut columns = columns(sample, 0..sample.len(), metric);
    let projection = match metric {
        Metric::L2 => Projection::train(&mut columns, width, seed, monitor)?,
        _ => Projection::train_about(vec![0.0; dim], &mut columns, width, seed, monitor)?,
    };
    let heads = projection.apply(&columns);
    let variances = heads.row_iter().map(|row| row.norm_squared() / sample.len().max(1) as f64).collect();
    Ok((Affine::new(projection.mean().to_vec(), projection.rows().to_vec()), variances))
}

/// With each direction in units of its deviation.
fn whitened(affine: Affine, variances: &[f64]) -> Affine {
    let least = variances.iter().fold(0.0, |most: f64, v| most.max(*v)) * LEAST;
    let Affine { mean, mut rows, .. } = affine;
    for (row, variance) in rows.chunks_exact_mut(mean.len()).zip(variances) {
        let deviation = variance.max(least).sqrt();
        let scale = if deviation > 0.0 { 1.0 / deviation } else { 1.0 };
        row.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
    }
    Affine::new(mean, rows)
}

/// With the directions dealt out: each, from the one of the largest variance on, to the group whose variances multiply to the least
/// so far, of those that are not full.
fn dealt(affine: Affine, variances: &[f64], parts: usize) -> Affine {
    let share = variances.len() / parts;
    let least = variances.iter().fold(0.0, |most: f64, v| most.max(*v)) * LEAST + f64::MIN_POSITIVE;
    // Of all variances in units of the least, a product grows with each factor.
    let logs = variances.iter().map(|v| (v.max(least) / least).ln());
    let mut groups: Vec<(f64, Vec<usize>)> = vec![(0.0, Vec::new()); parts];
    for (at, log) in logs.enumerate() {
        let open = groups.iter_mut().filter(|(_, group)| group.len() < share);
        if let Some((sum, group)) = open.min_by(|a, b| a.0.total_cmp(&b.0)) {
            *sum += log;
            group.push(at);
        }
    }
    let dim = affine.mean.len();
    let order = groups.into_iter().flat_map(|(_, group)| group);
    let rows = order.flat_map(|at| affine.rows[at * dim..][..dim].iter().copied()).collect();
    Affine::new(affine.mean, rows)
}

/// Appends all coordinates of `vectors`.
fn extend(values: &mut Vec<f32>, vectors: Vectors) {
    struct Extend<'a>(&'a mut Vec<f32>, Vectors<'a>);
    impl DtypeVisitor for Extend<'_> {
        type Out = ();
        fn visit<E: Element>(self) {
            let all = self.1.as_slice::<E>().unwrap_or_default();
            self.0.extend(all.iter().map(|v| v.to_f64() as f32));
        }
    }
    vectors.dtype().visit(Extend(values, vectors));
}
