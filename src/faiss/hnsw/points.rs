//! How far are nodes from a query? Whatever they are stored as.

use crate::error::{Error, Result};
use crate::faiss::codec::{Codec, Scorer};
use crate::kernels::distance::Query;
use crate::kernels::single::{self, Sum};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::vectors::{Dtype, DtypeVisitor, Element, Vectors};

/// Bytes of each row that are asked for before any of them is read.
const LINE: usize = 64;
const LINES: usize = 8;

/// What the nodes of a graph stand for. `metric` is not cosine where they are codes.
#[derive(Clone, Copy)]
pub enum Points<'a> {
    /// Vectors.
    Rows(Metric, Vectors<'a>),
    /// Codes of vectors, one after the other.
    Codes(Metric, &'a dyn Codec, &'a [u8]),
}

impl<'a> Points<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Self::Rows(_, rows) => rows.len(),
            Self::Codes(_, codec, codes) => codes.len() / codec.code_size().max(1),
        }
    }

    /// True where there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Coordinates of a vector.
    pub fn dim(self) -> usize {
        match self {
            Self::Rows(_, rows) => rows.dim(),
            Self::Codes(_, codec, _) => codec.dim(),
        }
    }

    /// What is near.
    pub fn metric(self) -> Metric {
        match self {
            Self::Rows(metric, _) | Self::Codes(metric, ..) => metric,
        }
    }

    pub(super) fn check(self, n: usize, queries: Vectors) -> Result<()> {
        if self.len() < n {
            return Err(Error::argument("vectors", self.len(), "as many as the graph has nodes"));
        }
        if queries.dim() != self.dim() {
            return Err(Error::Dimension { what: "queries", expected: self.dim(), got: queries.dim() });
        }
        if matches!(self, Self::Codes(..)) && queries.dtype() != Dtype::F32 {
            return Err(Error::argument("queries", queries.dtype(), "float32"));
        }
        Ok(())
    }

    /// What measures from the vector `at` of `queries`, which [`Points::check`] has seen. `memory` is lent to it.
    pub(super) fn ruler<'b>(self, queries: Vectors<'b>, at: usize, memory: &'b mut Query) -> Ruler<'b>
    where
        'a: 'b,
    {
        match self {
            Self::Rows(metric, rows) => {
                let sum = match metric {
                    Metric::L2 => Some(Sum::Squares),
                    Metric::InnerProduct => Some(Sum::Products),
                    _ => None,
                };
                if let (Some(sum), Some(floats), Some(queries)) = (sum, rows.as_slice(), queries.as_slice()) {
                    return Ruler::Floats(sum, &queries[at * rows.dim()..][..rows.dim()], floats);
                }
                memory.set(metric, queries, at, rows.dtype());
                Ruler::Rows(memory, rows)
            }
            Self::Codes(metric, codec, codes) => {
                let query = &queries.as_slice().unwrap_or_default()[at * codec.dim()..][..codec.dim()];
                let mut scorer = codec.scorer(metric, query);
                scorer.enter(None);
                Ruler::Codes(scorer, codes)
            }
        }
    }

    /// Replaces `to` by the vectors of `nodes`.
    pub(super) fn copy(self, nodes: &[u32], to: &mut Vec<f32>) {
        struct Copy<'a>(Vectors<'a>, &'a [u32], &'a mut Vec<f32>);
        impl DtypeVisitor for Copy<'_> {
            type Out = ();
            fn visit<E: Element>(self) {
                let Self(rows, nodes, to) = self;
                let all = rows.as_slice::<E>().unwrap_or_default();
                for &node in nodes {
                    let row = &all[node as usize * rows.dim()..][..rows.dim()];
                    to.extend(row.iter().map(|v| v.to_f64() as f32));
                }
            }
        }
        to.clear();
        match self {
            Self::Rows(_, rows) => rows.dtype().visit(Copy(rows, nodes, to)),
            Self::Codes(_, codec, codes) => {
                let (size, dim) = (codec.code_size(), codec.dim());
                to.resize(nodes.len() * dim, 0.0);
                for (&node, x) in nodes.iter().zip(to.chunks_exact_mut(dim)) {
                    codec.decode(&codes[node as usize * size..][..size], x);
                }
            }
        }
    }
}

/// One query's distances.
pub(super) enum Ruler<'a> {
    Rows(&'a Query, Vectors<'a>),
    Floats(Sum, &'a [f32], &'a [f32]),
    Codes(Box<dyn Scorer + 'a>, &'a [u8]),
}

impl Ruler<'_> {
    /// Replaces `out` by the distances of `nodes`.
    pub fn measure(&mut self, isa: Isa, nodes: &[u32], out: &mut Vec<f32>) {
        out.clear();
        match self {
            Self::Rows(query, rows) => {
                isa.run(Ask { bytes: rows.bytes(), size: rows.row_bytes(), nodes });
                query.distances(isa, *rows, nodes, out);
            }
            Self::Floats(sum, query, rows) => {
                isa.run(Ask { bytes: bytemuck::cast_slice(rows), size: size_of_val(*query), nodes });
                single::distances(isa, *sum, query, rows, nodes, out);
            }
            Self::Codes(scorer, codes) => {
                out.resize(nodes.len(), 0.0);
                scorer.gather(codes, nodes, out);
            }
        }
    }
}

/// Asks for the rows of `nodes`.
struct Ask<'a> {
    bytes: &'a [u8],
    size: usize,
    nodes: &'a [u32],
}

impl Kernel for Ask<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for &node in self.nodes {
            let row = &self.bytes[node as usize * self.size..][..self.size];
            for line in row.chunks(LINE).take(LINES) {
                s.prefetch(line);
            }
        }
    }
}
