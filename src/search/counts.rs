//! Which rows are near enough, without a tile? Bits are counted exactly, for one query after the other or for many at once; the sums of rows
//! of f32 are taken in f32, which is off by little: under l1 always, under l2, ip and cosine for queries that are too few for a tile.

use std::ops::Range;

use super::screen::{Screened, Screening};
use crate::kernels::Isa;
use crate::kernels::hamming::{self, LONGEST, Planes};
use crate::kernels::within::{Sums, Within};
use crate::metric::Metric;
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

/// Some queries and the rows of f32 they are screened against.
pub(crate) struct SumScreen<'a> {
    isa: Isa,
    dim: usize,
    rows: &'a [f32],
    queries: Vec<Within>,
    distances: Vec<f32>,
    wanted: usize,
    sums: Sums,
}

impl<'a> SumScreen<'a> {
    /// For the `wanted` nearest of each query, where there is such a number. Nothing where rows are of another type: their exact sums are
    /// the faster ones.
    pub fn new(
        isa: Isa,
        metric: Metric,
        rows: Vectors<'a>,
        queries: Vectors,
        wanted: Option<usize>,
    ) -> Option<Self> {
        /// As f32, which holds the values of every type.
        struct Floats<'a>(Vectors<'a>);
        impl DtypeVisitor for Floats<'_> {
            type Out = Vec<f32>;
            fn visit<E: Element>(self) -> Vec<f32> {
                let values = self.0.as_slice::<E>().unwrap_or_default();
                values.iter().map(|v| v.to_f64() as f32).collect()
            }
        }
        let (dim, rows) = (rows.dim(), rows.as_slice()?);
        let queries: Option<Vec<_>> = (0..queries.len())
            .map(|query| queries.rows(query..query + 1))
            .map(|query| Within::new(metric, query.dtype().visit(Floats(query))))
            .collect();
        let queries = queries?;
        let (distances, wanted) = (vec![f32::INFINITY; queries.len()], wanted.unwrap_or(usize::MAX));
        Some(Self { isa, dim, rows, queries, distances, wanted, sums: Sums::default() })
    }
}

impl Screening for SumScreen<'_> {
    fn group(&self) -> usize {
        self.queries.len().max(1)
    }

    fn block(&mut self, range: Range<usize>) -> impl Screened {
        let rows = &self.rows[range.start * self.dim..range.end * self.dim];
        SumBlock { count: range.len(), rows, screen: self }
    }
}

struct SumBlock<'s, 'a> {
    count: usize,
    rows: &'a [f32],
    screen: &'s mut SumScreen<'a>,
}

impl Screened for SumBlock<'_, '_> {
    fn aim(&mut self, query: usize, distance: f32) {
        self.screen.distances[query] = distance;
    }

    fn keep(&mut self, _group: usize, lists: &mut [Vec<u32>]) {
        let Self { count, rows, screen: SumScreen { isa, queries, distances, wanted, sums, .. } } = self;
        for ((query, &distance), list) in queries.iter().zip(&*distances).zip(lists) {
            query.measure(*isa, rows, sums);
            // Nothing is known yet: the k-th is no farther than here.
            let unknown = distance == f32::INFINITY && (1..=*count).contains(wanted);
            let distance = if unknown { query.reach(sums, *wanted) } else { distance };
            query.keep(*isa, sums, distance, list);
        }
    }
}
