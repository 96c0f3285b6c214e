//! Where to look, when looking at everything takes too long: a graph in which near vectors are neighbours.

pub(crate) mod build;
mod file;
mod insert;
mod rows;
mod space;

use crate::error::Result;
use crate::metric::Metric;
use crate::threads::Monitor;
use crate::vectors::Vectors;

pub(crate) use build::NONE;
use rows::Rows;
pub(crate) use rows::{Row, STRIDE, View};
pub(crate) use space::Space;

/// A walkable graph over vectors that are stored elsewhere.
#[derive(Clone)]
pub(crate) struct Graph {
    pub space: Space,
    rows: Rows,
    /// Nodes; the rows after them are the entry.
    nodes: usize,
}

/// How a graph is made.
#[derive(Clone, Copy)]
pub(crate) struct GraphParams<'a> {
    pub metric: Metric,
    /// Neighbours of a node: a multiple of 32.
    pub degree: usize,
    pub seed: u64,
    pub threads: usize,
    pub monitor: Option<&'a dyn Monitor>,
}

impl Graph {
    /// A graph of `vectors`.
    pub fn build(vectors: Vectors, params: &GraphParams) -> Result<Self> {
        let GraphParams { metric, degree, seed, threads, monitor } = *params;
        let space = Space::train(vectors, metric, seed, monitor)?;
        let heads = space.encode(vectors, threads, monitor)?;
        let width = space.width();
        let made = build::build(
            build::Points { codes: &heads.codes, width: heads.stride },
            &build::BuildGraph { degree, seed, threads, monitor },
        )?;
        let rows = Rows::pack(degree, width, &heads, &made.neighbours, &made.entries, threads, monitor)?;
        Ok(Self { space, rows, nodes: vectors.len() })
    }

    /// True where vectors as long as those of `vectors` can be added: under ip, the space has an end.
    pub fn holds(&self, vectors: Vectors) -> bool {
        self.space.holds(vectors)
    }

    /// The rows in which walks begin.
    pub fn entry(&self) -> std::ops::Range<usize> {
        self.nodes..self.rows.len()
    }

    pub fn rows(&self) -> View<'_> {
        self.rows.view()
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        let (degree, width) = (self.rows.layout.degree, self.space.width());
        let (row, entry) = (self.rows.layout.size, self.entry().len() * degree);
        format!(
            "{degree} neighbours, each 1 bit of {width} directions; rows of {row} bytes; up to {entry} ways in"
        )
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.rows.buffer.len() + self.space.bytes()
    }
}
