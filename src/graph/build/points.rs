//! What a graph is made of, and how near it is.

use crate::kernels::{Isa, Kernel, Simd, squares};

/// Points, which may be anywhere, that are on their way while one is copied.
const AHEAD: usize = 8;

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

    /// Replaces `rows` by the points of `list`, one after the other.
    pub fn gather(self, isa: Isa, list: &[Near], rows: &mut Vec<i8>) {
        isa.run(Gather { points: self, list, rows });
    }
}

struct Gather<'a> {
    points: Points<'a>,
    list: &'a [Near],
    rows: &'a mut Vec<i8>,
}

impl Kernel for Gather<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { points, list, rows } = self;
        let row = |near: &Near| points.row(near.id() as usize);
        rows.resize(list.len() * points.width, 0);
        for (at, (to, near)) in rows.chunks_exact_mut(points.width).zip(list).enumerate() {
            if let Some(next) = list.get(at + AHEAD) {
                s.prefetch_row(bytemuck::cast_slice(row(next)));
            }
            to.copy_from_slice(row(near));
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
