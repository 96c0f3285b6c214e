//! Which vectors are worth an exact distance? A tile over bounds answers for blocks of vectors and groups of queries.
//!
//! Three sources of panels, one test (see [`tile`](crate::kernels::tile)):
//!
//! * [`HeadCodes`]: stored codes, a fraction of the bytes; an upper bound of the inner product.
//! * [`ByteRows`]: rows of u8 or i8 against integer queries, packed as they are met; the test is exact.
//! * [`FloatRows`]: rows of any type as f32, packed as they are met; exact up to the rounding of f32.

use std::ops::Range;

use half::bf16;

use crate::kernels::distance::squared_norm;
use crate::kernels::fine::FineQuery;
use crate::kernels::tile::{self, Bound, Bytes, Codes, Floats, Hit, Line, Operand, PANEL, Panels, QueryTile};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::quantizer::{HeadCodes, HeadQueries};
use crate::transform::{columns, sample};
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
struct Packed {
    lines: Vec<Line>,
    a: Vec<[f32; PANEL]>,
    t: Vec<[f32; PANEL]>,
}

impl Packed {
    /// Room for `vectors` of `lines` lines a panel, zeroed.
    fn clear(&mut self, vectors: usize, lines: usize) {
        let panels = vectors.div_ceil(PANEL);
        self.lines.clear();
        self.lines.resize(panels * lines, Line([0; 64]));
        for factors in [&mut self.a, &mut self.t] {
            factors.clear();
            factors.resize(panels, [0.0; PANEL]);
        }
    }

    fn panels(&self) -> Panels<'_, f32> {
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
    Some(Screen {
        isa,
        source: ByteRows { rows, packed: Packed::default() },
        tile,
        bounds,
        second: None,
        hits: Vec::new(),
    })
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

/// Sums of products of vectors shorter than this do not overflow f32.
const LARGEST: f64 = 1e15;

/// Rows of any type as f32: centred under l2, of unit length under cosine, scaled to the size of 1.
///
/// A sum of d products in f32 is off by at most γ‖q‖‖x‖, γ = (d+8)·2⁻²⁴ (Higham 2002, §3.1; the 8 pays for the rounding
/// of the coordinates and of the test): t = ‖x‖ and τ = γ‖q‖. A row so long that a
/// sum could overflow has t = ∞ and is always kept; so long a query keeps everything.
pub(crate) struct FloatRows<'a> {
    rows: Vectors<'a>,
    metric: Metric,
    isa: Isa,
    center: Vec<f64>,
    scale: f64,
    packed: Packed,
    values: Vec<f32>,
}

/// Screens rows of any type under any metric.
pub(crate) fn floats<'a>(
    isa: Isa,
    metric: Metric,
    rows: Vectors<'a>,
    queries: Vectors,
) -> Screen<'a, FloatRows<'a>> {
    let dim = rows.dim();
    // Any centre and any scale give a valid bound; a few rows tell good ones.
    let few = sample(rows, 64, metric);
    let center: Vec<f64> = match metric {
        Metric::L2 => few.column_mean().iter().copied().collect(),
        _ => vec![0.0; dim],
    };
    let reach = few
        .column_iter()
        .flat_map(|x| x.into_iter().zip(&center))
        .fold(0.0, |m: f64, (v, c)| m.max((v - c).abs()));
    let scale = if reach > 0.0 { 2f64.powi(-reach.log2().ceil() as i32) } else { 1.0 };
    let mut columns = columns(queries, 0..queries.len(), metric);
    for mut q in columns.column_iter_mut() {
        for (v, c) in q.iter_mut().zip(&center) {
            *v = (*v - c) * scale;
        }
    }
    let gamma = (dim as f64 + 8.0) * 2f64.powi(-24);
    let bounds = columns.column_iter().map(|q| {
        let norm = q.norm();
        let tau = gamma * norm;
        // Products below the smallest f32 vanish; that each of d may have done so costs less than this.
        let lost = -(dim as f64) * 2f64.powi(-120) * (1.0 + norm);
        let origin = if norm < LARGEST { lost } else { f64::NAN };
        match metric {
            Metric::L2 => {
                let origin = origin + norm * norm / 2.0 * (1.0 - gamma);
                Bound { beta: -(1.0 - gamma), tau, origin, slope: scale * scale / 2.0 * (1.0 + gamma) }
            }
            Metric::Cosine => {
                let unit = scale * scale;
                Bound { beta: 0.0, tau, origin: origin + unit * (1.0 - gamma), slope: unit }
            }
            _ => Bound { beta: 0.0, tau, origin, slope: scale * scale },
        }
    });
    let bounds = bounds.collect();
    let tile = QueryTile::new(isa, queries.len(), dim, |query, j| columns[(j, query)] as f32);
    Screen {
        isa,
        source: FloatRows { isa, rows, metric, center, scale, packed: Packed::default(), values: Vec::new() },
        tile,
        bounds,
        second: None,
        hits: Vec::new(),
    }
}

impl Source for FloatRows<'_> {
    type Operand = Floats;
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, f32> {
        struct Pack<'a>(Isa, Vectors<'a>, PackFloats<'a>);
        impl DtypeVisitor for Pack<'_> {
            type Out = ();
            fn visit<E: Element>(self) {
                let Self(isa, rows, mut pack) = self;
                let (dim, values) = (rows.dim(), rows.as_slice::<E>().unwrap_or_default());
                pack.packed.clear(rows.len(), dim);
                for (panel, rows) in values.chunks(PANEL * dim).enumerate() {
                    isa.run(PackPanel { pack: &mut pack, panel, rows });
                }
            }
        }
        let Self { isa, rows, metric, center, scale, packed, values } = self;
        let rows = rows.rows(range);
        values.resize(PANEL * rows.dim(), 0.0);
        let pack = PackFloats { metric: *metric, center, scale: *scale, packed, values };
        rows.dtype().visit(Pack(*isa, rows, pack));
        self.packed.panels()
    }
}

/// What it takes to pack rows as [`FloatRows`].
struct PackFloats<'a> {
    metric: Metric,
    center: &'a [f64],
    scale: f64,
    packed: &'a mut Packed,
    /// The coordinates of one panel, row after row.
    values: &'a mut [f32],
}

/// Packs `rows`, which are those of one panel.
struct PackPanel<'a, 'p, E> {
    pack: &'a mut PackFloats<'p>,
    panel: usize,
    rows: &'a [E],
}

impl<E: Element> Kernel for PackPanel<'_, '_, E> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        const LANES: usize = 8;
        let Self { pack: PackFloats { metric, center, scale, packed, values }, panel, rows } = self;
        let dim = center.len();
        for (lane, (row, values)) in rows.chunks_exact(dim).zip(values.chunks_exact_mut(dim)).enumerate() {
            let norm = if *metric == Metric::Cosine { squared_norm(row).sqrt() } else { 1.0 };
            let scale = if norm > 0.0 { *scale / norm } else { *scale };
            let mut sums = [0.0; LANES];
            let parts = row.chunks(LANES).zip(center.chunks(LANES)).zip(values.chunks_mut(LANES));
            for ((row, center), values) in parts {
                let place = |v: E, c: f64| (v.to_f64() - c) * scale;
                // A whole part is what a register holds.
                if let (Some(row), Some(center), Some(values)) = (
                    row.first_chunk::<LANES>(),
                    center.first_chunk::<LANES>(),
                    values.first_chunk_mut::<LANES>(),
                ) {
                    for i in 0..LANES {
                        let v = place(row[i], center[i]);
                        values[i] = v as f32;
                        sums[i] += v * v;
                    }
                } else {
                    for ((&v, &c), value) in row.iter().zip(center).zip(values) {
                        let v = place(v, c);
                        *value = v as f32;
                        sums[0] += v * v;
                    }
                }
            }
            let norm = sums.into_iter().sum::<f64>();
            packed.a[panel][lane] = (norm / 2.0) as f32;
            packed.t[panel][lane] = if norm.sqrt() < LARGEST { norm.sqrt() as f32 } else { f32::INFINITY };
        }
        // What comes after the last row stays zero.
        values[rows.len()..].fill(0.0);
        let rows: [&[f32]; PANEL] = std::array::from_fn(|lane| &values[lane * dim..][..dim]);
        for (j, line) in packed.lines[panel * dim..][..dim].iter_mut().enumerate() {
            *line = bytemuck::must_cast(rows.map(|row| row[j]));
        }
    }
}
