//! Which rows are near enough where no products tell? Bits are counted exactly, for one query after the other or for many at once; sums of
//! |qⱼ − xⱼ| are taken in f32, which is off by little.

use std::ops::Range;

use super::screen::{Screened, Screening};
use crate::kernels::Isa;
use crate::kernels::formulas::may_be_within;
use crate::kernels::hamming::{self, LONGEST, Planes};
use crate::vectors::{DtypeVisitor, Element, Vectors};

/// Rows below which turning a block costs more than it saves.
const TURNED: usize = 64;

/// Some queries and the rows of bits they are screened against.
pub(crate) struct BitScreen<'a> {
    isa: Isa,
    rows: Vectors<'a>,
    queries: Vectors<'a>,
    /// The largest distance of interest to each query; below 0 where there is none.
    limits: Vec<i32>,
    /// True where blocks are turned.
    many: bool,
    planes: Planes,
}

impl<'a> BitScreen<'a> {
    /// Blocks are turned where there are `few` queries at least.
    pub fn new(isa: Isa, rows: Vectors<'a>, queries: Vectors<'a>, few: usize) -> Self {
        let many = queries.len() >= few && rows.row_bytes() <= LONGEST;
        Self { isa, rows, queries, limits: vec![i32::MAX; queries.len()], many, planes: Planes::default() }
    }
}

impl Screening for BitScreen<'_> {
    fn group(&self) -> usize {
        self.queries.len().max(1)
    }

    fn block(&mut self, range: Range<usize>) -> impl Screened {
        let turned = self.many && range.len() >= TURNED;
        let rows = self.rows.rows(range);
        if turned {
            self.planes.set(rows.bytes(), rows.row_bytes());
        }
        BitBlock {
            isa: self.isa,
            rows,
            planes: turned.then_some(&self.planes),
            queries: self.queries,
            limits: &mut self.limits,
        }
    }
}

struct BitBlock<'s> {
    isa: Isa,
    rows: Vectors<'s>,
    planes: Option<&'s Planes>,
    queries: Vectors<'s>,
    limits: &'s mut [i32],
}

impl Screened for BitBlock<'_> {
    fn aim(&mut self, query: usize, distance: f32) {
        // A cast keeps what is beyond the integers at their ends.
        self.limits[query] = distance.floor() as i32;
    }

    fn keep(&mut self, _group: usize, lists: &mut [Vec<u32>]) {
        if let Some(planes) = self.planes {
            return planes.within(self.isa, self.queries.bytes(), self.limits, lists);
        }
        let queries = self.queries.bytes().chunks_exact(self.queries.row_bytes());
        for ((query, limit), list) in queries.zip(&*self.limits).zip(lists) {
            if let Ok(limit) = u32::try_from(*limit) {
                hamming::within(self.isa, query, self.rows.bytes(), limit, list);
            }
        }
    }
}

/// Some queries and the rows of f32 they are screened against under l1.
pub(crate) struct SumScreen<'a> {
    isa: Isa,
    dim: usize,
    rows: &'a [f32],
    /// As f32, which holds the values of every type.
    queries: Vec<f32>,
    limits: Vec<f32>,
}

impl<'a> SumScreen<'a> {
    /// Nothing where rows are of another type: their exact sums are the faster ones.
    pub fn new(isa: Isa, rows: Vectors<'a>, queries: Vectors) -> Option<Self> {
        struct Floats<'a>(Vectors<'a>);
        impl DtypeVisitor for Floats<'_> {
            type Out = Vec<f32>;
            fn visit<E: Element>(self) -> Vec<f32> {
                let values = self.0.as_slice::<E>().unwrap_or_default();
                values.iter().map(|v| v.to_f64() as f32).collect()
            }
        }
        let (dim, limits) = (rows.dim(), vec![f32::INFINITY; queries.len()]);
        let rows = rows.as_slice()?;
        Some(Self { isa, dim, rows, queries: queries.dtype().visit(Floats(queries)), limits })
    }
}

impl Screening for SumScreen<'_> {
    fn group(&self) -> usize {
        self.limits.len().max(1)
    }

    fn block(&mut self, range: Range<usize>) -> impl Screened {
        let Self { isa, dim, rows, ref queries, ref mut limits } = *self;
        SumBlock { isa, dim, rows: &rows[range.start * dim..range.end * dim], queries, limits }
    }
}

struct SumBlock<'s> {
    isa: Isa,
    dim: usize,
    rows: &'s [f32],
    queries: &'s [f32],
    limits: &'s mut [f32],
}

impl Screened for SumBlock<'_> {
    fn aim(&mut self, query: usize, distance: f32) {
        self.limits[query] = distance;
    }

    fn keep(&mut self, _group: usize, lists: &mut [Vec<u32>]) {
        for ((query, &limit), list) in self.queries.chunks_exact(self.dim).zip(&*self.limits).zip(lists) {
            may_be_within(self.isa, query, self.rows, limit, list);
        }
    }
}
