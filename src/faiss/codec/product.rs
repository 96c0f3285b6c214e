//! Numbers of centroids, one for each part of the coordinates: Faiss's product quantizer (Jégou, Douze, Schmid 2011).
//!
//! Parts are all equally long. A code has their numbers of `bits` bits one after the other, the lowest bit first.

use super::lookup::{Lookup, sums};
use super::{Codec, Scorer, bits};
use crate::error::{Error, Result};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Centroids side by side.
pub(super) const SIDE: usize = 16;
/// Vectors that are coded side by side.
const ABREAST: usize = 4;

/// Distances to centroids, or what is added up of them, side by side.
pub(super) type Line = [f32; SIDE];

/// A product quantizer.
pub struct Product {
    dim: usize,
    parts: usize,
    bits: usize,
    /// Part after part, centroid after centroid.
    centroids: Vec<f32>,
    /// The same by groups of [`SIDE`]: in each of them coordinate after coordinate.
    book: Vec<Line>,
}

impl Product {
    /// Bits of a number at most.
    pub const MOST_BITS: usize = 16;

    /// Of `parts` parts and centroids of each: `parts` × 2ᵇⁱᵗˢ × `dim` / `parts` values.
    ///
    /// # Errors
    /// [`Error::Argument`] where parts do not divide coordinates, bits are not 1 to 16, or centroids are not as many.
    pub fn new(dim: usize, parts: usize, bits: usize, centroids: &[f32]) -> Result<Self> {
        let expected = check(dim, parts, bits)?;
        if centroids.len() != expected {
            return Err(Error::argument(
                "centroids",
                format_args!("{} values", centroids.len()),
                "2^nbits × dim of them",
            ));
        }
        let (width, size) = (dim / parts, 1usize << bits);
        let lines = size.div_ceil(SIDE) * width;
        // Centroids that fill a group up are infinitely far.
        let mut book = vec![[f32::INFINITY; SIDE]; parts * lines];
        for (part, book) in centroids.chunks_exact(size * width).zip(book.chunks_exact_mut(lines)) {
            for (at, centroid) in part.chunks_exact(width).enumerate() {
                let group = &mut book[at / SIDE * width..][..width];
                group.iter_mut().zip(centroid).for_each(|(line, &v)| line[at % SIDE] = v);
            }
        }
        Ok(Self { dim, parts, bits, centroids: centroids.to_vec(), book })
    }

    /// Parts.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Bits of a part's number.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Coordinates of a part.
    pub fn width(&self) -> usize {
        self.dim / self.parts
    }

    /// Centroids of a part.
    pub fn size(&self) -> usize {
        1 << self.bits
    }

    /// Centroids of all parts, one after the other.
    pub fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// Groups of a part's centroids.
    pub(super) fn groups(&self) -> usize {
        self.size().div_ceil(SIDE)
    }

    /// Each part of `x` with its groups of centroids.
    #[inline(always)]
    fn shares<'a>(&'a self, x: &'a [f32]) -> impl Iterator<Item = (&'a [f32], &'a [Line])> {
        let width = self.width();
        x.chunks_exact(width).zip(self.book.chunks_exact(self.groups() * width))
    }

    /// Of each part of `x` and each of its centroids r: ‖x − r‖² under l2; −⟨x,r⟩ under ip.
    pub(super) fn table(&self, metric: Metric, x: &[f32], table: &mut Vec<Line>) {
        struct Table<'a>(&'a Product, bool, &'a [f32], &'a mut [Line]);
        impl Kernel for Table<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Self(product, squares, x, table) = self;
                let parts = table.chunks_exact_mut(product.groups());
                for ((x, book), table) in product.shares(x).zip(parts) {
                    for (line, group) in table.iter_mut().zip(book.chunks_exact(x.len())) {
                        *line = if squares { squared(s, x, group) } else { along(s, x, group) };
                    }
                }
            }
        }
        table.clear();
        table.resize(self.parts * self.groups(), [0.0; SIDE]);
        Isa::active().run(Table(self, metric == Metric::L2, x, table));
    }
}

/// How many values centroids have.
///
/// # Errors
/// As [`Product::new`]'s.
pub(super) fn check(dim: usize, parts: usize, bits: usize) -> Result<usize> {
    super::check_dim(dim)?;
    if parts == 0 || !dim.is_multiple_of(parts) {
        return Err(Error::argument("m", parts, "a number of parts that divides the dimension"));
    }
    if !(1..=Product::MOST_BITS).contains(&bits) {
        return Err(Error::argument("nbits", bits, "1 to 16"));
    }
    Ok(dim << bits)
}

/// ‖x − r‖² of each of a group's centroids.
#[inline(always)]
fn squared<S: Simd>(s: S, x: &[f32], group: &[Line]) -> Line {
    let (minus, mut acc) = (s.splat_f32(-1.0), s.zero_f32());
    for (&x, line) in x.iter().zip(group) {
        let off = s.mul_add_f32(s.load_f32(line), minus, s.splat_f32(x));
        acc = s.mul_add_f32(off, off, acc);
    }
    s.lanes_f32(acc)
}

/// −⟨x,r⟩ of each of a group's centroids.
#[inline(always)]
fn along<S: Simd>(s: S, x: &[f32], group: &[Line]) -> Line {
    let mut acc = s.zero_f32();
    for (x, line) in x.iter().zip(group) {
        acc = s.mul_add_f32(s.load_f32(line), s.splat_f32(-x), acc);
    }
    s.lanes_f32(acc)
}

/// The lowest place of `least` among distances.
#[inline(always)]
fn place<S: Simd>(s: S, distances: &[Line], least: f32) -> usize {
    let wanted = s.splat_f32(least);
    for (group, line) in distances.iter().enumerate() {
        // A NaN sets bits too: the lanes tell.
        if s.not_less_f32(wanted, s.load_f32(line)) != 0
            && let Some(lane) = line.iter().position(|&distance| distance <= least)
        {
            return group * SIDE + lane;
        }
    }
    0
}

struct Encode<'a>(&'a Product, &'a [f32], &'a mut [u8]);

impl Encode<'_> {
    /// The numbers of `N` vectors, vector after vector.
    #[inline(always)]
    fn numbers<S: Simd, const N: usize>(
        &self,
        s: S,
        x: [&[f32]; N],
        distances: &mut [Vec<Line>; ABREAST],
        numbers: &mut [u32],
    ) {
        let (product, width, groups) = (self.0, self.0.width(), self.0.groups());
        let minus = s.splat_f32(-1.0);
        for (part, book) in product.book.chunks_exact(groups * width).enumerate() {
            let mut shares: [&[f32]; N] = [&[]; N];
            for n in 0..N {
                shares[n] = &x[n][part * width..][..width];
            }
            let mut least = [s.splat_f32(f32::INFINITY); N];
            for (at, group) in book.chunks_exact(width).enumerate() {
                let mut accs = [s.zero_f32(); N];
                for j in 0..width {
                    let line = s.load_f32(&group[j]);
                    for n in 0..N {
                        let off = s.mul_add_f32(line, minus, s.splat_f32(shares[n][j]));
                        accs[n] = s.mul_add_f32(off, off, accs[n]);
                    }
                }
                for n in 0..N {
                    distances[n][at] = s.lanes_f32(accs[n]);
                    least[n] = s.min_f32(accs[n], least[n]);
                }
            }
            for n in 0..N {
                let least = s.lanes_f32(least[n]).into_iter().fold(f32::INFINITY, f32::min);
                numbers[n * product.parts + part] = place(s, &distances[n], least) as u32;
            }
        }
    }
}

impl Kernel for Encode<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Product { dim, parts, bits, .. } = *self.0;
        let size = self.0.code_size();
        let mut distances = [(); ABREAST].map(|()| vec![[0.0; SIDE]; self.0.groups()]);
        let mut numbers = vec![0; ABREAST * parts];
        let count = self.1.len() / dim;
        let row = |at: usize| &self.1[at * dim..][..dim];
        let mut at = 0;
        while at < count {
            let some = if at + ABREAST <= count {
                let x = [row(at), row(at + 1), row(at + 2), row(at + 3)];
                self.numbers(s, x, &mut distances, &mut numbers);
                ABREAST
            } else {
                self.numbers(s, [row(at)], &mut distances, &mut numbers);
                1
            };
            let codes = self.2[at * size..].chunks_exact_mut(size).take(some);
            for (code, numbers) in codes.zip(numbers.chunks_exact(parts)) {
                bits::pack(numbers.iter().copied(), bits, code);
            }
            at += some;
        }
    }
}

impl Codec for Product {
    fn dim(&self) -> usize {
        self.dim
    }

    fn code_size(&self) -> usize {
        (self.parts * self.bits).div_ceil(8)
    }

    fn encode(&self, x: &[f32], _: Option<&[f32]>, codes: &mut [u8]) {
        Isa::active().run(Encode(self, x, codes));
    }

    fn decode(&self, codes: &[u8], x: &mut [f32]) {
        let width = self.width();
        let books = || self.centroids.chunks_exact(self.size() * width);
        for (x, code) in x.chunks_exact_mut(self.dim).zip(codes.chunks_exact(self.code_size())) {
            let parts = x.chunks_exact_mut(width).zip(books());
            for ((x, book), number) in parts.zip(bits::unpack(code, self.bits)) {
                x.copy_from_slice(&book[number as usize * width..][..width]);
            }
        }
    }

    fn terms(&self, metric: Metric, center: &[f32], codes: &dyn Fn() -> Vec<u8>) -> Option<Vec<f32>> {
        if metric != Metric::L2 {
            return None;
        }
        // ‖r‖² + 2⟨c,r⟩.
        let (mut table, mut along) = (Vec::new(), Vec::new());
        self.table(Metric::L2, &vec![0.0; self.dim], &mut table);
        self.table(Metric::InnerProduct, center, &mut along);
        let terms = table.as_flattened_mut().iter_mut().zip(along.as_flattened());
        terms.for_each(|(term, along)| *term -= 2.0 * along);
        let codes = codes();
        let mut terms = vec![0.0; codes.len() / self.code_size()];
        sums(self, &table, 0.0, &codes, None, &mut terms);
        Some(terms)
    }

    fn scorer_bytes(&self) -> usize {
        self.parts * self.groups() * size_of::<Line>()
    }

    fn scorer<'a>(&'a self, metric: Metric, query: &'a [f32]) -> Box<dyn Scorer + 'a> {
        Box::new(Lookup::new(self, metric, query))
    }
}
