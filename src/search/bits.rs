//! Which rows of bits are near enough? Counted exactly, for one query after the other or for many at once.

use std::ops::Range;

use super::screen::{Screened, Screening};
use crate::kernels::Isa;
use crate::kernels::hamming::{self, LONGEST, Planes};
use crate::vectors::Vectors;

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
