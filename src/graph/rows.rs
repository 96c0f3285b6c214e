//! One row a node: all that a step of a walk reads, in consecutive cache lines.
//!
//! ```text
//! ids        R × u32
//! blocks     R/32 × (add 32 × bf16, rescale 32 × bf16, codes width/8 × 32 bytes)     of the neighbours, relative to the node
//! code       width × i8                                                              of the node
//! norm       f32                                                                     of the node, its tail's included
//! ```
//!
//! A row of 32 neighbours and 96 coordinates is 768 bytes, twelve lines. [Bare](Form::Bare) rows have no blocks: 256 bytes, and a step
//! reads two lines more of each neighbour that is new to it. The last few rows are no nodes but the *entry*, never bare: their
//! neighbours are where walks begin, their code is the origin.

use half::bf16;

use super::build::NONE;
use crate::error::{Error, Result};
use crate::kernels::fastscan::{BLOCK, BlockFactors, PAIR};
use crate::kernels::tile::Line;
use crate::kernels::{Isa, Kernel, Simd};
use crate::quantizer::rabitq;
use crate::space::{Heads, STRIDE};
use crate::storage::Buffer;
use crate::threads::{self, Monitor};

/// Rows packed at a time.
const PART: usize = 256;
/// Neighbours whose codes, which may be anywhere, are on their way while one is encoded.
const AHEAD: usize = 8;

/// What a row holds of the neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Their numbers and their codes, relative to the node.
    Coded,
    /// Their numbers alone.
    Bare,
}

/// Where things are in a row, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub degree: usize,
    pub width: usize,
    /// How many blocks there are, and the length of one.
    blocks: usize,
    block: usize,
    /// Where the node's code begins.
    code: usize,
    /// The length of a row: whole lines.
    pub size: usize,
}

impl Layout {
    pub fn new(degree: usize, width: usize, form: Form) -> Self {
        let blocks = if form == Form::Coded { degree / BLOCK } else { 0 };
        let block = size_of::<BlockFactors>() + width / PAIR * BLOCK;
        let code = degree * size_of::<u32>() + blocks * block;
        let end = (width + size_of::<f32>()).max(width.next_multiple_of(STRIDE));
        Self { degree, width, blocks, block, code, size: (code + end).next_multiple_of(size_of::<Line>()) }
    }

    pub fn form(self) -> Form {
        if self.blocks > 0 { Form::Coded } else { Form::Bare }
    }

    /// Of the rows of the entry.
    pub fn of_entry(self) -> Self {
        Self::new(self.degree, self.width, Form::Coded)
    }
}

/// A node as a walk reads it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    layout: Layout,
    bytes: &'a [u8],
}

impl<'a> Row<'a> {
    pub fn ids(self) -> &'a [u32] {
        bytemuck::cast_slice(&self.bytes[..self.layout.degree * size_of::<u32>()])
    }

    /// Codes and factors of neighbours 32·`at`….
    #[inline(always)]
    pub fn block(self, at: usize) -> (&'a [[u8; BLOCK]], &'a BlockFactors) {
        let start = self.layout.degree * size_of::<u32>() + at * self.layout.block;
        let (head, codes) = self.bytes[start..][..self.layout.block].split_at(size_of::<BlockFactors>());
        (codes.as_chunks().0, bytemuck::from_bytes(head))
    }

    /// The node's code, read in whole strides: what follows its `width` bytes means nothing.
    #[inline(always)]
    pub fn code(self) -> &'a [[i8; STRIDE]] {
        let strides = self.layout.width.div_ceil(STRIDE);
        bytemuck::cast_slice::<u8, i8>(&self.bytes[self.layout.code..][..strides * STRIDE]).as_chunks().0
    }

    /// What [`Row::code`] and [`Row::norm`] read, in whole lines.
    #[inline(always)]
    pub fn own(self) -> &'a [u8] {
        let size = size_of::<Line>();
        &self.bytes[self.layout.code / size * size..]
    }

    /// The lines before these.
    #[inline(always)]
    pub fn others(self) -> &'a [u8] {
        let size = size_of::<Line>();
        &self.bytes[..self.layout.code / size * size]
    }

    #[inline(always)]
    pub fn norm(self) -> f32 {
        let at = self.layout.code + self.layout.width;
        bytemuck::pod_read_unaligned(&self.bytes[at..at + size_of::<f32>()])
    }

    /// The node itself, which is number `id`.
    pub(super) fn node(self, id: u32) -> Node<'a> {
        let code = bytemuck::cast_slice(&self.bytes[self.layout.code..][..self.layout.width]);
        Node { id, code, tail: self.norm() - square(code) }
    }
}

/// Rows, wherever they are stored.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    layout: Layout,
    nodes: &'a [u8],
    of_entry: Layout,
    entry: &'a [u8],
}

impl<'a> View<'a> {
    /// Neighbours of a row.
    pub fn degree(self) -> usize {
        self.layout.degree
    }

    /// Of the nodes' rows.
    #[inline(always)]
    pub fn form(self) -> Form {
        self.layout.form()
    }

    /// Bytes of a node's row.
    #[inline(always)]
    pub fn size(self) -> usize {
        self.layout.size
    }

    /// The row of a node.
    #[inline(always)]
    pub fn row(self, node: usize) -> Row<'a> {
        let size = self.layout.size;
        Row { layout: self.layout, bytes: &self.nodes[node * size..][..size] }
    }

    /// The rows in which walks begin.
    #[inline(always)]
    pub fn entry(self) -> impl ExactSizeIterator<Item = Row<'a>> {
        let layout = self.of_entry;
        self.entry.chunks_exact(layout.size).map(move |bytes| Row { layout, bytes })
    }
}

/// All rows: those of the nodes, then the entry.
#[derive(Clone)]
pub(crate) struct Rows {
    pub layout: Layout,
    pub nodes: usize,
    pub buffer: Buffer,
}

impl Rows {
    /// All of them, for who reads many.
    pub fn view(&self) -> View<'_> {
        let (nodes, entry) = self.buffer.bytes().split_at(self.nodes * self.layout.size);
        View { layout: self.layout, nodes, of_entry: self.layout.of_entry(), entry }
    }

    /// The row of a node.
    pub fn row(&self, node: usize) -> Row<'_> {
        self.view().row(node)
    }

    /// Packs `neighbours` (as many a node as the degree, padded with [`NONE`]) of the points `heads`, and the entry.
    pub fn pack(
        layout: Layout,
        heads: &Heads,
        neighbours: &[u32],
        entries: &[u32],
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        let Layout { degree, width, .. } = layout;
        let (n, of_entry) = (heads.tails.len(), layout.of_entry());
        let size = n * layout.size + entries.len().div_ceil(degree) * of_entry.size;
        let mut buffer = Buffer::zeroed("graph", size)?;
        let (nodes, entry) = buffer.bytes_mut("graph")?.split_at_mut(n * layout.size);
        let origin = vec![0; width];
        for (row, entries) in entry.chunks_exact_mut(of_entry.size).zip(entries.chunks(degree)) {
            let neighbours: Vec<Node> = entries.iter().map(|&id| heads.node(id, width)).collect();
            write(of_entry, row, Node { id: NONE, code: &origin, tail: 0.0 }, &neighbours);
        }
        let parts: Vec<_> = nodes.chunks_mut(PART * layout.size).map(std::sync::Mutex::new).collect();
        threads::run(threads, monitor, "pack", (parts.len(), n as u64), |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let rows = part.chunks_exact_mut(layout.size);
            let count = rows.len();
            let mut neighbours_of = Vec::with_capacity(degree);
            for (node, row) in (at * PART..).zip(rows) {
                let ids = neighbours[node * degree..][..degree].iter().filter(|&&id| id != NONE);
                neighbours_of.clear();
                neighbours_of.extend(ids.map(|&id| heads.node(id, width)));
                write(layout, row, heads.node(node as u32, width), &neighbours_of);
            }
            worker.advance(count as u64);
            Ok(())
        })?;
        drop(parts);
        Ok(Self { layout, nodes: n, buffer })
    }
}

/// What a row needs to know of a node.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub id: u32,
    pub code: &'a [i8],
    /// The squared length of its tail.
    pub tail: f32,
}

impl Heads {
    pub(super) fn node(&self, id: u32, width: usize) -> Node<'_> {
        let at = id as usize;
        Node { id, code: &self.codes[at * self.stride..][..width], tail: self.tails[at] }
    }
}

/// Writes the row of `center` with `neighbours`, at most as many as the degree.
pub(super) fn write(layout: Layout, row: &mut [u8], center: Node, neighbours: &[Node]) {
    Isa::active().run(Write { layout, row, center, neighbours });
}

struct Write<'a> {
    layout: Layout,
    row: &'a mut [u8],
    center: Node<'a>,
    neighbours: &'a [Node<'a>],
}

impl Kernel for Write<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { layout, row, center, neighbours } = self;
        let Layout { degree, width, .. } = layout;
        let (ids, rest) = row.split_at_mut(degree * size_of::<u32>());
        let ids: &mut [u32] = bytemuck::cast_slice_mut(ids);
        ids.fill(NONE);
        ids.iter_mut().zip(neighbours).for_each(|(id, node)| *id = node.id);
        let (blocks, rest) = rest.split_at_mut(layout.blocks * layout.block);
        let mut ahead = neighbours[..neighbours.len().min(layout.blocks * BLOCK)].iter();
        for node in ahead.by_ref().take(AHEAD) {
            s.prefetch_row(bytemuck::cast_slice(node.code));
        }
        let mut neighbours = neighbours.iter();
        for block in blocks.chunks_exact_mut(layout.block) {
            let (head, codes) = block.split_at_mut(size_of::<BlockFactors>());
            let head: &mut BlockFactors = bytemuck::from_bytes_mut(head);
            let codes: &mut [[u8; BLOCK]] = codes.as_chunks_mut().0;
            codes.fill([0; BLOCK]);
            for i in 0..BLOCK {
                let (half, lane) = (i / 16, i % 16);
                let Some(node) = neighbours.next() else {
                    (head.add[half][lane], head.rescale[half][lane]) = (bf16::INFINITY, bf16::ZERO);
                    continue;
                };
                if let Some(next) = ahead.next() {
                    s.prefetch_row(bytemuck::cast_slice(next.code));
                }
                let one = rabitq::encode(s, center.code, node.code, |at, bits| codes[at][i] = bits);
                // The distance of the node, to which this is added, has its own tail in it, and should have the neighbour's.
                head.add[half][lane] = bf16::from_f32(one.add + node.tail - center.tail);
                head.rescale[half][lane] = bf16::from_f32(one.rescale);
            }
        }
        let norm = square(center.code) + center.tail;
        rest[..width].copy_from_slice(bytemuck::cast_slice(center.code));
        rest[width..width + size_of::<f32>()].copy_from_slice(bytemuck::bytes_of(&norm));
    }
}

/// The squared length of a head.
fn square(code: &[i8]) -> f32 {
    code.iter().map(|&c| i64::from(c) * i64::from(c)).sum::<i64>() as f32
}
