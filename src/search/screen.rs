//! Which vectors are worth an exact distance? A tile over bounds answers for blocks of vectors and groups of queries.
//!
//! Three sources of panels, one test (see [`tile`](crate::kernels::tile)):
//!
//! * [`HeadCodes`]: stored codes, a fraction of the bytes; an upper bound of the inner product.
//! * [`ByteRows`]: rows of u8 or i8 against integer queries, packed as they are met; the test is exact.
//! * [`RoundedRows`](super::rounded::RoundedRows): rows of any type, rounded to a byte a coordinate as they are met; an upper bound.

use std::ops::Range;

use half::bf16;

use crate::kernels::Isa;
use crate::kernels::fine::FineQuery;
use crate::kernels::tile::{self, Bound, Bytes, Codes, Hit, Line, Operand, PANEL, Panels, QueryTile};
use crate::metric::Metric;
use crate::quantizer::{HeadCodes, HeadQueries};
use crate::transform::columns;
use crate::vectors::{Dtype, DtypeVisitor, Element, Vectors};

/// Where panels come from.
pub(crate) trait Source {
    /// What their tile multiplies.
    type Operand: Operand;
    /// The panels of vectors `range`, which begins at a multiple of [`PANEL`].
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

    /// Makes vectors `range` ready, which begins at a multiple of [`PANEL`].
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
        self.second.as_ref().map(|second| second.codes.row_bytes())
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

/// Buffers that panels are packed into, block after block.
#[derive(Default)]
pub(super) struct Packed {
    pub lines: Vec<Line>,
    pub a: Vec<[f32; PANEL]>,
    pub t: Vec<[f32; PANEL]>,
}

impl Packed {
    /// Room for `vectors` of `lines` lines a panel, zeroed.
    pub fn clear(&mut self, vectors: usize, lines: usize) {
        let panels = vectors.div_ceil(PANEL);
        self.lines.clear();
        self.lines.resize(panels * lines, Line([0; 64]));
        for factors in [&mut self.a, &mut self.t] {
            factors.clear();
            factors.resize(panels, [0.0; PANEL]);
        }
    }

    pub fn panels(&self) -> Panels<'_, f32> {
        let stride = self.lines.len() / self.a.len().max(1);
        Panels { lines: &self.lines, stride, a: &self.a, t: &self.t }
    }
}

/// Rows of bytes. With x the row (i8 rows raised by 128 to be unsigned) and q the query (u8 queries lowered by
/// 128 to be signed),
///
/// ```text
/// u8   ⟨q,x⟩ = Σ xⱼ(qⱼ−128) + 128·Σ xⱼ      t = Σ xⱼ, τ = 128
/// i8   ⟨q,x⟩ = Σ (xⱼ+128)qⱼ − 128·Σ qⱼ      the last term belongs to the query
/// l2   ‖q−x‖² ≤ D  ⇔  ⟨q,x⟩ − ‖x‖²/2 ≥ (‖q‖² − D)/2      a = ‖x‖²/2, β = −1
/// ```
pub(crate) struct ByteRows<'a> {
    rows: Vectors<'a>,
    packed: Packed,
}

/// Screens rows of u8 or i8 under l2 or ip against queries whose coordinates are integers of the rows' type; `None`
/// where that is not so.
pub(crate) fn bytes<'a>(
    isa: Isa,
    metric: Metric,
    rows: Vectors<'a>,
    queries: Vectors,
) -> Option<Screen<'a, ByteRows<'a>>> {
    let (low, high, shift) = match rows.dtype() {
        Dtype::U8 => (0.0, 255.0, 128),
        Dtype::I8 => (-128.0, 127.0, 0),
        _ => return None,
    };
    let columns = columns(queries, 0..queries.len(), Metric::InnerProduct);
    let integers = columns.iter().all(|v| v.fract() == 0.0 && (low..=high).contains(v));
    if metric == Metric::Cosine || !integers {
        return None;
    }
    let dim = rows.dim();
    let coordinate = |query: usize, j: usize| if j < dim { columns[(j, query)] as i16 - shift } else { 0 };
    let tile = QueryTile::new(isa, queries.len(), dim.div_ceil(Bytes::WIDTH), |query, step| {
        tile::pack_bytes(isa, std::array::from_fn(|j| coordinate(query, step * Bytes::WIDTH + j)))
    });
    let tau = f64::from(shift);
    let bounds = columns.column_iter().map(|q| {
        let norm = q.norm_squared();
        // ‖x‖, Σx and the sums themselves are below this; the test rounds each to 24 bits, four times at most.
        let terms = 2.0 * 256.0 * 256.0 * dim as f64;
        let offset = if shift == 0 { 128.0 * q.sum() } else { 0.0 } - terms * 2f64.powi(-22);
        match metric {
            Metric::L2 => Bound { beta: -1.0, tau, origin: norm / 2.0 + offset, slope: 0.5 },
            _ => Bound { beta: 0.0, tau, origin: offset, slope: 1.0 },
        }
    });
    let bounds = bounds.collect();
    Some(Screen::new(isa, ByteRows { rows, packed: Packed::default() }, tile, bounds))
}

impl Source for ByteRows<'_> {
    type Operand = Bytes;
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, f32> {
        struct Pack<'a>(Vectors<'a>, &'a mut Packed);
        impl DtypeVisitor for Pack<'_> {
            type Out = ();
            fn visit<E: Element>(self) {
                let Self(rows, packed) = self;
                let steps = rows.dim().div_ceil(Bytes::WIDTH);
                packed.clear(rows.len(), steps);
                let raise = if E::DTYPE == Dtype::I8 { 128 } else { 0 };
                let values = rows.as_slice::<E>().unwrap_or_default();
                for (i, row) in values.chunks_exact(rows.dim()).enumerate() {
                    let (panel, lane) = (i / PANEL, i % PANEL);
                    let (mut sum, mut norm) = (0i64, 0i64);
                    for (step, four) in row.chunks(Bytes::WIDTH).enumerate() {
                        let line = &mut packed.lines[panel * steps + step].0[lane * Bytes::WIDTH..];
                        for (v, byte) in four.iter().zip(line) {
                            let v = v.to_f64() as i64;
                            *byte = (v + raise) as u8;
                            sum += v;
                            norm += v * v;
                        }
                    }
                    packed.a[panel][lane] = (norm as f64 / 2.0) as f32;
                    packed.t[panel][lane] = sum as f32;
                }
            }
        }
        let rows = self.rows.rows(range);
        rows.dtype().visit(Pack(rows, &mut self.packed));
        self.packed.panels()
    }
}
