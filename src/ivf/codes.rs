//! Codes in the order of their lists: what a query reads of a vector.
//!
//! ```text
//! blocks   32 vectors each: (add 32 × bf16, rescale 32 × bf16, nibbles pairs × 32 bytes)     read by every query that comes by
//! rest     a vector each: (planes e · pairs bytes, add f32, rescale bf16)                    read by those that are near
//! rows     a vector each: u32, which row it is; NONE where there is none
//! ```
//!
//! Where a vector is in them is its *position*. A list is a few *runs* of positions. Lists of the build follow each other without
//! a gap, so that a block may belong to several; what is added later begins a block of its own, and the rest of that block is
//! left for what is added next.

use std::ops::Range;

use half::bf16;

use crate::error::{Error, Result};
use crate::kernels::fastscan::{BLOCK, BlockFactors};
use crate::kernels::planes::SLACK;
use crate::quantizer::{Factors, Quantizer};
use crate::storage::Buffer;

/// Stands for "no row".
pub(crate) const NONE: u32 = u32::MAX;
/// Factors of the rest, in bytes.
const FACTORS: usize = size_of::<f32>() + size_of::<bf16>();

/// Positions `start..start + len`, and up to `start + room` those that are the list's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: u32,
    pub len: u32,
    pub room: u32,
}

impl Run {
    /// The blocks that it has positions of.
    pub fn blocks(self) -> Range<usize> {
        self.start as usize / BLOCK..(self.start as usize + self.len as usize).div_ceil(BLOCK)
    }
}

/// Which runs each list has: those of one after those of the other.
#[derive(Clone, Default)]
pub(crate) struct Lists {
    first: Vec<u32>,
    runs: Vec<Run>,
}

impl Lists {
    /// From the runs of each list.
    pub fn new<'a>(lists: impl Iterator<Item = &'a Vec<Run>>) -> Self {
        let mut made = Self { first: vec![0], runs: Vec::new() };
        for runs in lists {
            made.runs.extend_from_slice(runs);
            made.first.push(made.runs.len() as u32);
        }
        made
    }

    pub fn len(&self) -> usize {
        self.first.len().saturating_sub(1)
    }

    /// The runs of list `at`.
    #[inline(always)]
    pub fn runs(&self, at: usize) -> &[Run] {
        &self.runs[self.first[at] as usize..self.first[at + 1] as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[Run]> {
        (0..self.len()).map(|at| self.runs(at))
    }

    pub fn bytes(&self) -> usize {
        self.first.len() * size_of::<u32>() + self.runs.len() * size_of::<Run>()
    }
}

/// How many bytes are what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of nibbles.
    pub pairs: usize,
    /// Bytes of planes.
    pub planes: usize,
}

impl Layout {
    pub fn of(quantizer: &dyn Quantizer) -> Self {
        Self { pairs: quantizer.pairs(), planes: quantizer.planes() }
    }

    /// Bytes of a block.
    pub fn block(self) -> usize {
        size_of::<BlockFactors>() + self.pairs * BLOCK
    }

    /// Bytes of the rest of a vector; none where the nibbles are all.
    pub fn rest(self) -> usize {
        if self.planes > 0 { self.planes + FACTORS } else { 0 }
    }

    /// Bytes of `positions` rests, with what must follow the last.
    pub fn rests(self, positions: usize) -> usize {
        if self.planes > 0 { positions * self.rest() + SLACK } else { 0 }
    }
}

/// Codes, wherever they are stored.
#[derive(Clone)]
pub(crate) struct Codes {
    pub layout: Layout,
    pub blocks: Buffer,
    pub rest: Buffer,
    pub rows: Buffer,
}

/// What loops read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    layout: Layout,
    blocks: &'a [u8],
    rest: &'a [u8],
    pub rows: &'a [u32],
}

impl Codes {
    pub fn new(layout: Layout) -> Self {
        Self { layout, blocks: Buffer::new(), rest: Buffer::new(), rows: Buffer::new() }
    }

    /// Positions there are: whole blocks.
    pub fn len(&self) -> usize {
        self.blocks.len() / self.layout.block() * BLOCK
    }

    pub fn bytes(&self) -> usize {
        self.blocks.len() + self.rest.len() + self.rows.len()
    }

    pub fn view(&self) -> View<'_> {
        let (blocks, rest) = (self.blocks.bytes(), self.rest.bytes());
        View { layout: self.layout, blocks, rest, rows: self.rows.as_slice() }
    }

    /// Makes room for positions up to `len`, a multiple of 32; they hold nothing yet.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; then as before.
    pub fn lengthen(&mut self, len: usize) -> Result<()> {
        let old = self.len();
        let done = self.grow(len);
        if done.is_err() {
            self.truncate(old);
        }
        done
    }

    fn grow(&mut self, len: usize) -> Result<()> {
        let (old, layout) = (self.len(), self.layout);
        if len > NONE as usize {
            return Err(Error::argument(
                "vectors",
                len,
                "fewer than 2³² vectors; split them into several indexes",
            ));
        }
        self.rows.lengthen("codes", len * size_of::<u32>())?;
        self.rest.lengthen("codes", layout.rests(len))?;
        self.blocks.lengthen("codes", len / BLOCK * layout.block())?;
        let rows: &mut [u32] = bytemuck::cast_slice_mut(self.rows.bytes_mut("codes")?);
        rows[old..].fill(NONE);
        let blocks = self.blocks.bytes_mut("codes")?;
        for block in blocks[old / BLOCK * layout.block()..].chunks_exact_mut(layout.block()) {
            // Nothing is as far as this: it is never among the near.
            block[..size_of::<BlockFactors>() / 2]
                .copy_from_slice(bytemuck::bytes_of(&[bf16::INFINITY; BLOCK]));
        }
        Ok(())
    }

    /// Forgets positions from `len` on, a multiple of 32.
    pub fn truncate(&mut self, len: usize) {
        self.blocks.truncate(len / BLOCK * self.layout.block());
        self.rest.truncate(self.layout.rests(len));
        self.rows.truncate(len * size_of::<u32>());
    }

    /// To write positions.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], where they are a mapped file's.
    pub fn writer(&mut self) -> Result<Writer<'_>> {
        Ok(Writer {
            layout: self.layout,
            blocks: self.blocks.bytes_mut("codes")?,
            rest: self.rest.bytes_mut("codes")?,
            rows: bytemuck::cast_slice_mut(self.rows.bytes_mut("codes")?),
        })
    }
}

/// Writes codes.
pub(crate) struct Writer<'a> {
    layout: Layout,
    blocks: &'a mut [u8],
    rest: &'a mut [u8],
    rows: &'a mut [u32],
}

impl Writer<'_> {
    /// Position `at` becomes the vector of row `row`; with `NONE`, nothing.
    pub fn write(&mut self, at: usize, row: u32, (nibbles, planes): (&[u8], &[u8]), factors: [Factors; 2]) {
        let Layout { pairs, planes: size } = self.layout;
        let lane = at % BLOCK;
        self.rows[at] = row;
        let block = &mut self.blocks[at / BLOCK * self.layout.block()..][..self.layout.block()];
        let (head, codes) = block.split_at_mut(size_of::<BlockFactors>());
        let head: &mut BlockFactors = bytemuck::from_bytes_mut(head);
        head.add[lane / 16][lane % 16] = bf16::from_f32(factors[0].add);
        head.rescale[lane / 16][lane % 16] = bf16::from_f32(factors[0].rescale);
        for (codes, nibbles) in codes.chunks_exact_mut(BLOCK).zip(&nibbles[..pairs]) {
            codes[lane] = *nibbles;
        }
        if size > 0 {
            let rest = &mut self.rest[at * self.layout.rest()..][..self.layout.rest()];
            rest[..size].copy_from_slice(planes);
            rest[size..][..4].copy_from_slice(bytemuck::bytes_of(&factors[1].add));
            rest[size + 4..].copy_from_slice(bytemuck::bytes_of(&bf16::from_f32(factors[1].rescale)));
        }
    }
}

impl<'a> View<'a> {
    /// Codes and factors of positions 32·`at`….
    #[inline(always)]
    pub fn block(self, at: usize) -> (&'a [[u8; BLOCK]], &'a BlockFactors) {
        let size = self.layout.block();
        let (head, codes) = self.blocks[at * size..][..size].split_at(size_of::<BlockFactors>());
        (codes.as_chunks().0, bytemuck::from_bytes(head))
    }

    /// The bytes of blocks, to be asked for early.
    pub fn bytes(self, blocks: Range<usize>) -> &'a [u8] {
        let size = self.layout.block();
        &self.blocks[blocks.start * size..blocks.end * size]
    }

    /// The rest of position `at`: its planes with what may be read after them, and its factors.
    #[inline(always)]
    pub fn rest(self, at: usize) -> (&'a [u8], Factors) {
        let rest = &self.rest[at * self.layout.rest()..][..self.layout.rest() + SLACK];
        let factors = &rest[self.layout.planes..][..FACTORS];
        let add = f32::from_le_bytes([factors[0], factors[1], factors[2], factors[3]]);
        let rescale = bf16::from_le_bytes([factors[4], factors[5]]).to_f32();
        (rest, Factors { add, rescale })
    }
}
