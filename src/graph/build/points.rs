//! What a graph is made of, and how near it is.

use crate::kernels::{Isa, squares};

/// n points of Euclidean space as signed bytes, n × `width`, zero padded to a multiple of 32.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    pub codes: &'a [i8],
    pub width: usize,
}

impl<'a> Points<'a> {
    /// How many.
    pub fn len(self) -> usize {
        self.codes.len() / self.width
    }

    /// One of them.
    pub fn row(self, i: usize) -> &'a [i8] {
        &self.codes[i * self.width..][..self.width]
    }

    /// The squared distance of two of them.
    pub fn distance(self, i: usize, j: usize) -> u32 {
        squares::between(Isa::active(), self.row(i), self.row(j))
    }

    /// Replaces `rows` by the points `ids`, one after the other.
    pub fn gather(self, ids: impl Iterator<Item = u32>, rows: &mut Vec<i8>) {
        rows.clear();
        for id in ids {
            rows.extend_from_slice(self.row(id as usize));
        }
    }
}

/// A point and its squared distance, in the order of nearness; of equals the lower id first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Near(u64);

impl Near {
    pub fn new(distance: u32, id: u32) -> Self {
        Self(u64::from(distance) << 32 | u64::from(id))
    }

    pub fn distance(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub fn id(self) -> u32 {
        self.0 as u32
    }
}
