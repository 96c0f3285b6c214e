//! Codes of nibbles in blocks, as FastScan indexes have them, and one after the other.
//!
//! A block holds `bbs` vectors, in groups of 32. For two nibbles at a time it has 32 bytes a group: 16 for the first nibble, 16 for
//! the second. The 16 have vectors 0, 8, 1, 9 … 7, 15 in their lower halves and those 16 further on in their upper ones. Behind the nibbles a block may hold more,
//! which is not touched here.

use crate::error::{Error, Result};

/// Vectors in a group.
const GROUP: usize = 32;

/// How codes lie in blocks.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Nibbles of a vector.
    pub m: usize,
    /// Vectors of a block, a multiple of 32.
    pub bbs: usize,
    /// Bytes from one block to the next.
    pub stride: usize,
}

impl Layout {
    /// Blocks without anything else in them.
    pub fn new(m: usize, bbs: usize) -> Self {
        Self { m, bbs, stride: bbs.saturating_mul(m.div_ceil(2)) }
    }

    /// Bytes of a code that lies by itself: the first nibble of each byte is the lower.
    pub fn code_size(&self) -> usize {
        self.m.div_ceil(2)
    }

    /// Bytes that `n` vectors take in blocks.
    pub fn bytes(&self, n: usize) -> usize {
        n.div_ceil(self.bbs.max(1)).saturating_mul(self.stride)
    }

    /// Where the two nibbles `pair` of vector `row` are: the byte that holds the first, 16 before that which holds the second, and
    /// whether they are its upper half.
    fn place(&self, row: usize, pair: usize) -> (usize, bool) {
        let (block, row) = (row / self.bbs, row % self.bbs);
        let (group, row) = (row / GROUP, row % GROUP);
        // Vectors 0 to 7 are at even bytes, 8 to 15 at odd ones.
        let byte = row % 8 * 2 + row % 16 / 8;
        (block * self.stride + pair * self.bbs + group * GROUP + byte, row >= 16)
    }

    fn check(&self, n: usize, blocks: usize, codes: usize) -> Result<()> {
        if self.bbs == 0 || !self.bbs.is_multiple_of(GROUP) {
            return Err(Error::argument("bbs", self.bbs, "a multiple of 32"));
        }
        let nibbles = self.bbs.checked_mul(self.code_size());
        if nibbles.is_none_or(|nibbles| nibbles > self.stride) {
            return Err(Error::argument("stride", self.stride, "a block's nibbles at least"));
        }
        if blocks < self.bytes(n) {
            return Err(Error::argument("blocks", blocks, "as many bytes as the vectors take"));
        }
        if Some(codes) != n.checked_mul(self.code_size()) {
            return Err(Error::argument("codes", codes, "(m + 1) / 2 bytes a vector"));
        }
        Ok(())
    }

    /// The codes of the first `n` vectors of `blocks`, one after the other.
    ///
    /// # Errors
    /// [`Error::Argument`] where lengths do not fit.
    pub fn unpack(&self, blocks: &[u8], n: usize, codes: &mut [u8]) -> Result<()> {
        self.check(n, blocks.len(), codes.len())?;
        let size = self.code_size();
        for row in 0..n {
            for (pair, code) in codes[row * size..][..size].iter_mut().enumerate() {
                let (at, upper) = self.place(row, pair);
                let shift = if upper { 4 } else { 0 };
                *code = (blocks[at] >> shift & 15) | (blocks[at + 16] >> shift & 15) << 4;
            }
        }
        Ok(())
    }

    /// Puts codes that lie one after the other into `blocks`, from vector `first` on. What else the blocks hold stays.
    ///
    /// # Errors
    /// [`Error::Argument`] where lengths do not fit.
    pub fn pack(&self, codes: &[u8], first: usize, blocks: &mut [u8]) -> Result<()> {
        let size = self.code_size();
        let n = codes.len() / size.max(1);
        self.check(n, usize::MAX, codes.len())?;
        let end = first.saturating_add(n);
        self.check(end, blocks.len(), end.saturating_mul(size))?;
        for row in 0..n {
            for (pair, &code) in codes[row * size..][..size].iter().enumerate() {
                let (at, upper) = self.place(first + row, pair);
                let (shift, keep) = if upper { (4, 15) } else { (0, 240) };
                blocks[at] = blocks[at] & keep | (code & 15) << shift;
                blocks[at + 16] = blocks[at + 16] & keep | (code >> 4) << shift;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_where_faiss_has_them() {
        let layout = Layout::new(2, 64);
        let order = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];
        for (byte, row) in order.into_iter().enumerate() {
            assert_eq!(layout.place(row, 0), (byte, false));
            assert_eq!(layout.place(row + 16 + 32, 0), (32 + byte, true));
        }
    }

    #[test]
    fn what_is_packed_comes_out_again_and_leaves_the_rest() {
        for (m, bbs, extra) in [(1, 32, 0), (4, 32, 8), (7, 64, 0), (10, 96, 3)] {
            let layout = Layout { m, bbs, stride: bbs * m.div_ceil(2) + extra };
            let n = 77;
            let high = if m % 2 == 1 { 15 } else { 255 };
            let codes: Vec<u8> = (0..n * layout.code_size())
                .map(|i| (i * 37 + 11) as u8 & if (i + 1) % layout.code_size() == 0 { high } else { 255 })
                .collect();
            let mut blocks = vec![0xaa; layout.bytes(n)];
            layout.pack(&codes, 0, &mut blocks).unwrap();
            for block in blocks.chunks(layout.stride) {
                assert!(block[layout.stride - extra..].iter().all(|&byte| byte == 0xaa));
            }
            let mut again = vec![0; codes.len()];
            layout.unpack(&blocks, n, &mut again).unwrap();
            assert_eq!(codes, again);
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let layout = Layout::new(4, 32);
        assert!(layout.unpack(&[0; 63], 1, &mut [0; 2]).is_err());
        assert!(layout.unpack(&[0; 64], 1, &mut [0; 3]).is_err());
        assert!(layout.pack(&[0; 2], 32, &mut [0; 64]).is_err());
        assert!(Layout::new(4, 33).unpack(&[0; 99], 1, &mut [0; 2]).is_err());
        assert!(Layout { m: 4, bbs: 32, stride: 63 }.unpack(&[0; 64], 1, &mut [0; 2]).is_err());
    }
}
