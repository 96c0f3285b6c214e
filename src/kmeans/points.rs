//! What is clustered: rows, and what each of them counts.

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::kernels::distance::squared_norm;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::storage::filled;
use crate::threads;
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Rows that a thread measures at a time.
const PART: usize = 1024;

/// Vectors, weighted.
pub(super) struct Points<'a> {
    pub rows: Vectors<'a>,
    /// l2, or cosine for both kinds of directions.
    pub metric: Metric,
    /// For each row what its distance counts: w, under ip w·‖x‖. None where all count 1.
    weights: Option<Vec<f64>>,
    /// For each row what it is multiplied by before it is added to a mean: w, under cosine w/‖x‖. None where all are 1.
    factors: Option<Vec<f64>>,
    /// What is added to each distance under cosine to become the user's: −1 under ip, whose distances are −cos.
    offset: f64,
}

impl<'a> Points<'a> {
    /// `rows`, each of which counts what `weights` says, or 1.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(rows: Vectors<'a>, metric: Metric, weights: Option<&[f32]>, threads: usize) -> Result<Self> {
        let given = weights.map(|weights| weights.iter().map(|&w| f64::from(w)).collect::<Vec<f64>>());
        let lengths = |invert: bool| -> Result<Option<Vec<f64>>> {
            let mut lengths = lengths(rows, threads)?;
            if invert {
                lengths.iter_mut().for_each(|v| *v = 1.0 / *v);
            }
            if let Some(given) = &given {
                lengths.iter_mut().zip(given).for_each(|(v, w)| *v *= w);
            }
            Ok(Some(lengths))
        };
        let (weights, factors) = match metric {
            Metric::L2 => (given.clone(), given),
            Metric::Cosine => (given.clone(), lengths(true)?),
            _ => (lengths(false)?, given),
        };
        let offset = if metric == Metric::InnerProduct { -1.0 } else { 0.0 };
        let metric = if metric == Metric::L2 { Metric::L2 } else { Metric::Cosine };
        Ok(Self { rows, metric, weights, factors, offset })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the distance of row `i` counts.
    pub fn weight(&self, i: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[i])
    }

    /// What row `i` is multiplied by in a mean.
    pub fn factor(&self, i: usize) -> f64 {
        self.factors.as_ref().map_or(1.0, |factors| factors[i])
    }

    /// What row `i` at `distance` adds to the objective.
    pub fn cost(&self, i: usize, distance: f32) -> f64 {
        match self.weight(i) {
            0.0 => 0.0,
            weight => weight * (f64::from(distance) + self.offset),
        }
    }
}

/// ‖x‖ of every row.
fn lengths(rows: Vectors, threads: usize) -> Result<Vec<f64>> {
    let mut lengths = filled("lengths", rows.len(), 0.0)?;
    let parts: Vec<_> = lengths.chunks_mut(PART).map(Mutex::new).collect();
    threads::run(threads, None, "measure", (parts.len(), rows.len() as u64), |at, _| {
        let out = &mut **parts[at].lock().map_err(|_| Error::Interrupted)?;
        let first = at * PART;
        rows.dtype().visit(Lengths { rows: rows.rows(first..first + out.len()), out });
        Ok(())
    })?;
    drop(parts);
    Ok(lengths)
}

struct Lengths<'a> {
    rows: Vectors<'a>,
    out: &'a mut [f64],
}

impl DtypeVisitor for Lengths<'_> {
    type Out = ();
    fn visit<E: Element>(self) {
        struct Run<'a, E>(&'a [E], usize, &'a mut [f64]);
        impl<E: Element> Kernel for Run<'_, E> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(values, dim, out) = self;
                for (length, row) in out.iter_mut().zip(values.chunks_exact(dim)) {
                    *length = squared_norm(row).sqrt();
                }
            }
        }
        Isa::active().run(Run(self.rows.as_slice::<E>().unwrap_or_default(), self.rows.dim(), self.out));
    }
}
