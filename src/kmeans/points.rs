//! What is clustered: rows, and what each of them counts.

use crate::kernels::distance::squared_norm;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::vectors::{DtypeVisitor, Element, Vectors};

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
    pub fn new(rows: Vectors<'a>, metric: Metric, weights: Option<&[f32]>) -> Self {
        let given = weights.map(|weights| weights.iter().map(|&w| f64::from(w)).collect::<Vec<f64>>());
        let lengths = |invert: bool| {
            let mut lengths = rows.dtype().visit(Lengths(rows));
            if invert {
                lengths.iter_mut().for_each(|v| *v = 1.0 / *v);
            }
            if let Some(given) = &given {
                lengths.iter_mut().zip(given).for_each(|(v, w)| *v *= w);
            }
            Some(lengths)
        };
        let (weights, factors) = match metric {
            Metric::L2 => (given.clone(), given),
            Metric::Cosine => (given.clone(), lengths(true)),
            _ => (lengths(false), given),
        };
        let offset = if metric == Metric::InnerProduct { -1.0 } else { 0.0 };
        let metric = if metric == Metric::L2 { Metric::L2 } else { Metric::Cosine };
        Self { rows, metric, weights, factors, offset }
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
struct Lengths<'a>(Vectors<'a>);

impl DtypeVisitor for Lengths<'_> {
    type Out = Vec<f64>;
    fn visit<E: Element>(self) -> Vec<f64> {
        let values = self.0.as_slice::<E>().unwrap_or_default();
        Isa::active().run(LengthsOf { values, dim: self.0.dim() })
    }
}

struct LengthsOf<'a, E> {
    values: &'a [E],
    dim: usize,
}

impl<E: Element> Kernel for LengthsOf<'_, E> {
    type Out = Vec<f64>;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<f64> {
        let mut lengths = Vec::with_capacity(self.values.len() / self.dim);
        for row in self.values.chunks_exact(self.dim) {
            lengths.push(squared_norm(row).sqrt());
        }
        lengths
    }
}
