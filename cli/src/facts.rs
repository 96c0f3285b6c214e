//! What is this index? The facts that every command states in the same words and fields.

use std::fmt;

use serde::Serialize;
use steep::Index;

use crate::figures::{grouped, rounded, size};

/// An index in a few numbers.
#[derive(Serialize)]
pub struct Facts {
    vectors: usize,
    dim: usize,
    dtype: &'static str,
    metric: String,
    spec: String,
    /// Of all parts: vectors, codes, graph, ids.
    bytes: u64,
    bytes_per_vector: f64,
}

impl Facts {
    /// The facts of `index`.
    pub fn of(index: &Index) -> Self {
        let bytes = index.bytes().iter().map(|(_, bytes)| bytes).sum();
        Self {
            vectors: index.len(),
            dim: index.dim(),
            dtype: index.dtype().name(),
            metric: index.metric().to_string(),
            spec: index.spec().to_string(),
            bytes,
            bytes_per_vector: bytes as f64 / index.len().max(1) as f64,
        }
    }

    /// Number of vectors.
    pub fn vectors(&self) -> usize {
        self.vectors
    }

    /// Bytes of all parts, a vector.
    pub fn bytes_per_vector(&self) -> f64 {
        self.bytes_per_vector
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dim, dtype, metric, spec, .. } = self;
        let n = grouped(self.vectors as u64);
        writeln!(f, "{n} vectors of {dim} dimensions ({dtype}), metric {metric}, spec {spec}")?;
        write!(f, "{}, {} bytes per vector", size(self.bytes), rounded(self.bytes_per_vector))
    }
}

/// True where a search compares every vector with the query, and so is exact: what has no graph, whatever its spec.
pub fn is_exhaustive(index: &Index) -> bool {
    !index.bytes().iter().any(|(part, bytes)| *part == "graph" && *bytes > 0)
}
