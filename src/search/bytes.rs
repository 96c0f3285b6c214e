//! Rows of bytes as panels, and what any rows are packed into.

use std::ops::Range;

use super::screen::{Screen, Source};
use crate::kernels::tile::{self, Bound, Bytes, Line, Operand, PANEL, Panels, QueryTile};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::transform::columns;
use crate::vectors::{Dtype, Vectors};

/// Bytes that are multiplied at a time.
const LANES: usize = 32;

/// Panels that rows are packed into, block after block or all of them.
#[derive(Default)]
pub(super) struct Packed {
    lines: Vec<Line>,
    a: Vec<[f32; PANEL]>,
    t: Vec<[f32; PANEL]>,
}

impl Packed {
    /// Room for `vectors` of `lines` lines a panel, zeroed.
    pub fn clear(&mut self, vectors: usize, lines: usize) {
        self.lines.clear();
        self.a.clear();
        self.t.clear();
        self.resize(vectors.div_ceil(PANEL), lines);
    }

    fn resize(&mut self, panels: usize, lines: usize) {
        self.lines.resize(panels * lines, Line([0; 64]));
        self.a.resize(panels, [0.0; PANEL]);
        self.t.resize(panels, [0.0; PANEL]);
    }

    /// The same, what there is being kept; false where there is no memory for it.
    pub fn lengthen(&mut self, vectors: usize, lines: usize) -> bool {
        let panels = vectors.div_ceil(PANEL);
        let more = panels.saturating_sub(self.a.len());
        let factors = self.a.try_reserve(more).and(self.t.try_reserve(more));
        let room = self.lines.try_reserve(more * lines).and(factors).is_ok();
        if room {
            self.resize(panels, lines);
        }
        room
    }

    /// Where panel `first` and those behind it are written: lines, and factors `a` and `t`.
    pub fn places(
        &mut self,
        first: usize,
    ) -> impl Iterator<Item = (&mut [Line], &mut [f32; PANEL], &mut [f32; PANEL])> {
        let stride = self.stride();
        let lines = self.lines[first * stride..].chunks_exact_mut(stride);
        lines.zip(&mut self.a[first..]).zip(&mut self.t[first..]).map(|((lines, a), t)| (lines, a, t))
    }

    /// Lines of a panel, of which there is one.
    fn stride(&self) -> usize {
        self.lines.len() / self.a.len().max(1)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&*self.a) + size_of_val(&*self.t)
    }

    /// All panels.
    pub fn panels(&self) -> Panels<'_, f32> {
        self.some(0..self.a.len())
    }

    /// Those of the panels `range`.
    pub fn some(&self, range: Range<usize>) -> Panels<'_, f32> {
        let stride = self.stride();
        let lines = &self.lines[range.start * stride..range.end * stride];
        Panels { lines, stride, a: &self.a[range.clone()], t: &self.t[range] }
    }
}

/// Writes the bytes of a panel's rows, which lie one after the other, in whole words, as the lines of the panel.
#[inline(always)]
pub(super) fn interleave(codes: &[u8], lines: &mut [Line]) {
    let words: &[u32] = bytemuck::cast_slice(codes);
    let width = words.len() / PANEL;
    for (step, line) in lines.iter_mut().enumerate() {
        let line: &mut [u32; PANEL] = bytemuck::must_cast_mut(line);
        for lane in 0..PANEL {
            line[lane] = words[lane * width + step];
        }
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
    isa: Isa,
    rows: Vectors<'a>,
    packed: Packed,
    /// The bytes of a panel's rows, one after the other, and zeros up to whole registers.
    codes: Vec<[u8; LANES]>,
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
    let codes = vec![[0; LANES]; PANEL * dim.div_ceil(LANES)];
    Some(Screen::new(isa, ByteRows { isa, rows, packed: Packed::default(), codes }, tile, bounds))
}

impl Source for ByteRows<'_> {
    type Operand = Bytes;
    fn panels(&mut self, range: Range<usize>) -> Panels<'_, f32> {
        let Self { isa, rows, packed, codes } = self;
        let (rows, dim) = (rows.rows(range), rows.dim());
        packed.clear(rows.len(), dim.div_ceil(Bytes::WIDTH));
        let low = if rows.dtype() == Dtype::I8 { 128 } else { 0 };
        for (rows, (lines, a, t)) in rows.bytes().chunks(PANEL * dim).zip(packed.places(0)) {
            isa.run(Panel { rows, dim, low, codes, lines, a, t });
        }
        self.packed.panels()
    }
}

/// The rows of one panel, at most, of signed bytes where `low` is 128.
struct Panel<'a> {
    rows: &'a [u8],
    dim: usize,
    low: u8,
    codes: &'a mut [[u8; LANES]],
    lines: &'a mut [Line],
    a: &'a mut [f32; PANEL],
    t: &'a mut [f32; PANEL],
}

impl Kernel for Panel<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, dim, low, codes, lines, a, t } = self;
        let registers = dim.div_ceil(LANES);
        for (lane, (row, codes)) in rows.chunks_exact(dim).zip(codes.chunks_exact_mut(registers)).enumerate()
        {
            // What is beyond the last coordinate stays 0.
            for (code, &byte) in codes.as_flattened_mut().iter_mut().zip(row) {
                *code = byte ^ low;
            }
            let (mut squares, mut sums) = (s.zero_i32(), s.zero_i32());
            for codes in &*codes {
                squares = s.dot_u8(squares, codes, codes);
                sums = s.dot_u8(sums, codes, &[1; LANES]);
            }
            // Of 65,536 bytes the sum of squares has 32 bits.
            let [square, sum, ..] = s.sums_i32([squares, sums, s.zero_i32(), s.zero_i32()]);
            let (square, sum) = (i64::from(square as u32), i64::from(sum));
            // Σ (c − l) and Σ (c − l)².
            let (low, dim) = (i64::from(low), dim as i64);
            a[lane] = (square - 2 * low * sum + low * low * dim) as f32 / 2.0;
            t[lane] = (sum - low * dim) as f32;
        }
        interleave(codes.as_flattened(), lines);
    }
}
