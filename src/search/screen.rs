//! Which vectors are worth an exact distance? A tile over bounds answers for blocks of vectors and groups of queries.
//!
//! Three sources of panels, one test (see [`tile`](crate::kernels::tile)):
//!
//! * [`HeadCodes`]: stored codes, a fraction of the bytes; an upper bound of the inner product.
//! * [`ByteRows`](super::bytes::ByteRows): rows of u8 or i8 against integer queries, packed as they are met; the test is exact.
//! * [`RoundedRows`](super::rounded::RoundedRows): rows of any type, rounded to a byte a coordinate, as they are met or once; an upper bound.

use std::ops::Range;

use half::bf16;

use crate::kernels::Isa;
use crate::kernels::fine::FineQuery;
use crate::kernels::tile::{self, Bound, Codes, Hit, Operand, Panels, QueryTile};
use crate::quantizer::{HeadCodes, HeadQueries};

/// Where panels come from.
pub(crate) trait Source {
    /// What their tile multiplies.
    type Operand: Operand;

    /// See [`Screening::code_bytes`].
    fn code_bytes(&self) -> Option<usize> {
        None
    }

    /// The panels of vectors `range`, which begins at a multiple of [`tile::PANEL`].
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, <Self::Operand as Operand>::Factor>;
}

/// What rules vectors out for some queries, a block of vectors at a time.
pub(crate) trait Screening {
    /// Queries that are judged together.
    fn group(&self) -> usize;

    /// Bytes of a vector's codes, where most vectors are judged by these alone.
    fn code_bytes(&self) -> Option<usize> {
        None
    }

    /// Makes vectors `range` ready, which begins at a multiple of [`tile::PANEL`].
    fn block(&mut self, range: Range<usize>) -> impl Screened;
}

/// A block of vectors, ready to be screened.
pub(crate) trait Screened {
    /// Lets query `query` keep what may be as near as `distance`.
    fn aim(&mut self, query: usize, distance: f32);

    /// Appends to `lists[i]` the vectors, counted from the block's first, that query i of group `group` keeps.
    fn keep(&mut self, group: usize, lists: &mut [Vec<u32>]);

    /// Takes from `list`, which query `query` kept, what a second look shows to be farther than `distance`.
    fn refine(&self, _query: usize, _distance: f32, _list: &mut Vec<u32>) {}
}

/// Some queries and the vectors they are screened against, by a tile.
pub(crate) struct Screen<'a, S: Source> {
    isa: Isa,
    source: S,
    tile: QueryTile<S::Operand>,
    bounds: Vec<Bound>,
    second: Option<Second<'a>>,
    hits: Vec<Hit>,
}

/// A second look at what the tile keeps.
struct Second<'a> {
    codes: &'a HeadCodes,
    queries: Vec<&'a FineQuery>,
}

impl<S: Source> Screen<'_, S> {
    /// Screens by `source` the queries of `tile`, each with its bound.
    pub fn new(isa: Isa, source: S, tile: QueryTile<S::Operand>, bounds: Vec<Bound>) -> Self {
        Self { isa, source, tile, bounds, second: None, hits: Vec::new() }
    }
}

impl<S: Source> Screening for Screen<'_, S> {
    fn group(&self) -> usize {
        self.tile.group()
    }

    /// Those that get a second look.
    fn code_bytes(&self) -> Option<usize> {
        self.second.as_ref().map(|second| second.codes.row_bytes()).or(self.source.code_bytes())
    }

    fn block(&mut self, range: Range<usize>) -> impl Screened {
        Block {
            isa: self.isa,
            first: range.start,
            panels: self.source.panels(range),
            tile: &mut self.tile,
            bounds: &self.bounds,
            second: self.second.as_ref(),
            hits: &mut self.hits,
        }
    }
}

/// A block of vectors, ready for the tile.
struct Block<'s, O: Operand> {
    isa: Isa,
    first: usize,
    panels: Panels<'s, O::Factor>,
    tile: &'s mut QueryTile<O>,
    bounds: &'s [Bound],
    second: Option<&'s Second<'s>>,
    hits: &'s mut Vec<Hit>,
}

impl<O: Operand> Screened for Block<'_, O> {
    fn aim(&mut self, query: usize, distance: f32) {
        self.tile.set_test(query, self.bounds[query].test(distance));
    }

    fn keep(&mut self, group: usize, lists: &mut [Vec<u32>]) {
        tile::keep(self.isa, self.tile, group, self.panels, lists, self.hits);
    }

    fn refine(&self, query: usize, distance: f32, list: &mut Vec<u32>) {
        if let Some(second) = self.second {
            second.codes.refine(self.isa, second.queries[query], self.first, distance, list);
        }
    }
}

/// Stored codes at one of their levels.
pub(crate) struct Coded<'a> {
    codes: &'a HeadCodes,
    level: usize,
}

impl Source for Coded<'_> {
    type Operand = Codes;
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, bf16> {
        self.codes.panels(self.level, range)
    }
}

/// Screens the queries `rows` against stored codes at level `level`.
pub(crate) fn codes<'a>(
    isa: Isa,
    codes: &'a HeadCodes,
    level: usize,
    queries: &'a HeadQueries,
    rows: &[u32],
) -> Screen<'a, Coded<'a>> {
    let bounds = rows.iter().map(|&row| codes.bound(level, queries.head(row))).collect();
    let fine: Option<Vec<&FineQuery>> = rows.iter().map(|&row| queries.fine(row)).collect();
    let second = fine.map(|queries| Second { codes, queries });
    let tile = queries.tile(isa, rows);
    Screen { isa, source: Coded { codes, level }, tile, bounds, second, hits: Vec::new() }
}
