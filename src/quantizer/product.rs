//! Nibbles or bytes that stand for centroids of their own parts of the coordinates (product quantisation: Jégou, Douze, Schmid 2011),
//! every part as wide as makes it worth as many bits.
//!
//! Residuals are turned to their principal directions first (the parametric solution of optimised product quantisation: Ge and others
//! 2013). These tell apart unequally: of b bits in all, one of variance σ² should get
//!
//! ```text
//! bᵢ = max(0, ½ log₂(σᵢ²/θ)),   Σ bᵢ = b                              (reverse water-filling)
//! ```
//!
//! and here not more than the four or eight of a part of its own. In the order of their variance, directions make up parts of so many
//! bits each; what is worth none is left out. A residual is coded by its direction alone, r/‖r‖: its length, and what coding took from
//! it, are in its [`Factors`].
//!
//! The 256 centroids of a byte are in the order of a tree of halves, cut across the coordinate that varies most: those of one upper
//! nibble are near each other, and a centroid of all of them stands for them in the block that is looked up first.

use std::sync::Mutex;

use nalgebra::{DMatrix, SymmetricEigen};

use super::{Code, Coding, Factors, Quantizer, dot};
use crate::error::Result;
use crate::kernels::fastscan::Tables;
use crate::kernels::lookup::{ByteTables, LOWER, VALUES};
use crate::kernels::{Isa, Kernel, Simd};
use crate::kmeans::{KmeansParams, kmeans};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::transform::{Matrix, Turn};
use crate::vectors::Vectors;

/// Centroids of a nibble.
const CENTROIDS: usize = 16;
/// Bits of a nibble.
const NIBBLE: usize = 4;
/// Rounds of k-means among few vectors, so many for each centroid, and among all.
const EARLY: usize = 8;
const PER_CENTROID: usize = 160;
const ROUNDS: usize = 16;
/// Steps of the search for θ.
const BISECTIONS: usize = 48;

/// Nibbles or bytes, and what they stand for.
#[derive(Debug, PartialEq)]
pub(crate) struct Product {
    width: usize,
    /// Of a part: 4 or 8.
    bits: usize,
    /// The directions that parts are made of, coordinate by coordinate: of each coordinate what it adds to all directions.
    turn: Vec<f32>,
    /// The same direction by direction, as vectors are multiplied with it.
    matrix: Matrix<f32>,
    directions: usize,
    parts: Vec<Part>,
    deviations: [f32; 2],
}

/// What one nibble or byte codes: the next few directions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Part {
    /// The centroids of a nibble, or of a byte's upper one, direction by direction.
    book: Vec<[f32; CENTROIDS]>,
    /// Those of a byte; none where there are only nibbles.
    leaves: Vec<[f32; VALUES]>,
}

impl Product {
    /// Parts at most: what the tables of their nibbles add up stays below 2¹⁶.
    pub const MOST: usize = 512;

    /// Learns `parts` parts of `bits` bits, 4 or 8, or as many parts as there are coordinates, from residuals of `width` coordinates
    /// each.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn train(
        residuals: &[f32],
        width: usize,
        (parts, bits): (usize, usize),
        (seed, threads, monitor): (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Self> {
        let count = residuals.len() / width;
        let units = residuals.chunks_exact(width).flat_map(|residual| {
            let scale = unit(residual);
            residual.iter().map(move |r| f64::from(r * scale))
        });
        let units = DMatrix::from_iterator(width, count, units);
        let ritz = SymmetricEigen::new(&units * units.transpose() / count.max(1) as f64);
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| ritz.eigenvalues[b].total_cmp(&ritz.eigenvalues[a]));
        let variances: Vec<f32> = order.iter().map(|&at| ritz.eigenvalues[at].max(0.0) as f32).collect();
        let widths = allot(&variances, parts.min(width), bits);
        let directions = widths.iter().sum();
        let turn = ritz.eigenvectors.select_columns(&order[..directions]);
        let turned = turn.transpose() * units;
        threads::pause(monitor, "train", 0, widths.len() as u64)?;
        let mut from = 0;
        let parts = widths.iter().map(|&width| {
            from += width;
            let leaves = if bits > NIBBLE { vec![[0.0; VALUES]; width] } else { Vec::new() };
            (from - width, Part { book: vec![[0.0; CENTROIDS]; width], leaves })
        });
        let books: Vec<Mutex<(usize, Part)>> = parts.map(Mutex::new).collect();
        threads::run(threads, monitor, "train", (books.len(), books.len() as u64), |at, worker| {
            let mut book = books[at].lock().map_err(|_| crate::Error::Interrupted)?;
            let (from, part) = &mut *book;
            let rows = turned.rows(*from, part.book.len());
            part.learn(&rows.iter().map(|&v| v as f32).collect::<Vec<f32>>(), seed ^ at as u64)?;
            worker.advance(1);
            Ok(())
        })?;
        let parts =
            books.into_iter().map(|book| Ok(book.into_inner().map_err(|_| crate::Error::Interrupted)?.1));
        let parts = parts.collect::<Result<Vec<Part>>>()?;
        let turn = turn.transpose().iter().map(|&v| v as f32).collect();
        let mut made = Self::of(width, bits, turn, parts, [0.0; 2]);
        made.deviations = made.measured(residuals);
        Ok(made)
    }

    fn of(width: usize, bits: usize, turn: Vec<f32>, parts: Vec<Part>, deviations: [f32; 2]) -> Self {
        let directions = turn.len() / width;
        let rows: Vec<f32> =
            (0..directions).flat_map(|at| turn.iter().skip(at).step_by(directions).copied()).collect();
        Self { matrix: Matrix::new(&rows, width), width, bits, turn, directions, parts, deviations }
    }

    /// The centroid of each part that is nearest. `turned`: the directions of the residual and of the centre.
    #[inline(always)]
    fn choose(&self, residual: &[f32], turned: &[f32], code: Code) -> [Factors; 2] {
        let scale = unit(residual);
        let (turned, turned_center) = turned.split_at(self.directions);
        // By the nibbles alone, and by all bits.
        let (mut along, mut center_along) = ([0.0; 2], [0.0; 2]);
        let mut from = 0;
        for (m, part) in self.parts.iter().enumerate() {
            let share = from..from + part.book.len();
            from = share.end;
            let (share, center) = (&turned[share.clone()], &turned_center[share]);
            let nibble = if part.leaves.is_empty() {
                nearest(&part.book, share, scale)
            } else {
                let leaf = nearest(&part.leaves, share, scale);
                code.planes[m / 2] |= ((leaf % CENTROIDS) as u8) << (m % 2 * NIBBLE);
                for ((r, c), line) in share.iter().zip(center).zip(&part.leaves) {
                    along[1] += r * line[leaf];
                    center_along[1] += c * line[leaf];
                }
                leaf / CENTROIDS
            };
            code.nibbles[m / 2] |= (nibble as u8) << (m % 2 * NIBBLE);
            for ((r, c), line) in share.iter().zip(center).zip(&part.book) {
                along[0] += r * line[nibble];
                center_along[0] += c * line[nibble];
            }
        }
        let square = dot(residual, residual);
        [0, self.by_all()].map(|at| Factors::new(square, along[at], center_along[at]))
    }

    /// The directions of each of `vectors`.
    fn turned(&self, isa: Isa, vectors: &[f32]) -> Vec<f32> {
        let mut turned = vec![0.0; vectors.len() / self.width * self.directions];
        self.matrix.turn(isa, vectors, &mut turned, self.directions);
        turned
    }

    /// Each part with its share of `turned`.
    fn shares<'a>(&'a self, turned: &'a [f32]) -> impl Iterator<Item = (&'a Part, &'a [f32])> {
        let mut rest = turned;
        self.parts.iter().map(move |part| {
            let (share, after) = rest.split_at(part.book.len());
            rest = after;
            (part, share)
        })
    }

    /// Where, of what there is of nibbles and of all bits, the latter is.
    fn by_all(&self) -> usize {
        usize::from(self.bits > NIBBLE)
    }

    /// See [`Quantizer::deviations`], in the mean.
    fn measured(&self, residuals: &[f32]) -> [f32; 2] {
        let (isa, count) = (Isa::active(), residuals.len() / self.width);
        let (mut nibbles, mut rest) = (vec![0; self.pairs()], vec![0; self.planes()]);
        let mut x = vec![0.0; self.width];
        let mut lost = [0f32; 2];
        let by_all = self.by_all();
        for residual in residuals.chunks_exact(self.width) {
            nibbles.fill(0);
            rest.fill(0);
            self.encode(isa, residual, residual, Code { nibbles: &mut nibbles, planes: &mut rest });
            let square = dot(residual, residual);
            for (lost, by) in lost.iter_mut().zip([&[][..], &rest]).take(1 + by_all) {
                self.decode(&nibbles, by, &mut x);
                let along = dot(residual, &x);
                if square > 0.0 {
                    *lost += (dot(&x, &x) - along * along / square).max(0.0).sqrt();
                }
            }
        }
        [0, by_all].map(|at| lost[at] / (count.max(1) as f32 * (self.width as f32).sqrt()))
    }

    /// From what [`Quantizer::state`] gave; nothing where it is not that.
    pub fn from_state(width: usize, (parts, bits): (usize, usize), state: &[f32]) -> Option<Self> {
        let by_all = usize::from(bits > NIBBLE);
        let (deviations, rest) = state.split_at_checked(1 + by_all)?;
        let (widths, rest) = rest.split_at_checked(parts)?;
        let good = |w: &f32| (1.0..=width as f32).contains(w) && w.fract() == 0.0;
        if parts == 0 || !deviations.iter().all(|d| *d >= 0.0) || !widths.iter().all(good) {
            return None;
        }
        let directions = widths.iter().map(|&w| w as usize).sum::<usize>();
        if directions > width {
            return None;
        }
        let (turn, rest) = rest.split_at_checked(width * directions)?;
        let (books, leaves) = rest.split_at_checked(directions * CENTROIDS)?;
        let leaves = leaves.as_chunks::<VALUES>();
        if leaves.0.len() != by_all * directions || !leaves.1.is_empty() {
            return None;
        }
        let (mut books, mut leaves) = (books.as_chunks::<CENTROIDS>().0, leaves.0);
        let parts = widths.iter().map(|&w| {
            let part = Part {
                book: books[..w as usize].to_vec(),
                leaves: leaves[..(w as usize).min(leaves.len())].to_vec(),
            };
            books = &books[part.book.len()..];
            leaves = &leaves[part.leaves.len()..];
            part
        });
        let parts = parts.collect();
        let deviations = [deviations[0], deviations[by_all]];
        Some(Self::of(width, bits, turn.to_vec(), parts, deviations))
    }
}

impl Part {
    /// Learns from `values`, each vector's share after the other's.
    fn learn(&mut self, values: &[f32], seed: u64) -> Result<()> {
        let dim = self.book.len();
        let vectors = Vectors::new(values, dim)?;
        // With fewer vectors than centroids, some centroids are the same.
        let k = if self.leaves.is_empty() { CENTROIDS } else { VALUES }.min(vectors.len());
        if k == 0 {
            return Ok(());
        }
        // From a good start among few of them, over all of them.
        let params = KmeansParams {
            metric: Metric::L2,
            iterations: EARLY,
            seed,
            threads: Some(1),
            max_points_per_centroid: Some(PER_CENTROID),
            ..KmeansParams::default()
        };
        let start = kmeans(vectors, k, &params)?.centroids;
        let isa = Isa::active();
        if self.leaves.is_empty() {
            let order: Vec<usize> = (0..CENTROIDS).map(|j| j % k).collect();
            fill(&mut self.book, &start, &order);
            isa.run(Lloyd { book: &mut self.book, values, rounds: ROUNDS });
            return Ok(());
        }
        let mut order: Vec<usize> = (0..VALUES).map(|j| j % k).collect();
        fill(&mut self.leaves, &start, &order);
        isa.run(Lloyd { book: &mut self.leaves, values, rounds: ROUNDS });
        let centroids: Vec<f32> = (0..k).flat_map(|j| self.leaves.iter().map(move |line| line[j])).collect();
        halve(&centroids, dim, &mut order);
        fill(&mut self.leaves, &centroids, &order);
        let sizes = isa.run(Lloyd { book: &mut self.leaves, values, rounds: 1 });
        for (line, leaves) in self.book.iter_mut().zip(&self.leaves) {
            *line = std::array::from_fn(|j| {
                let under = j * CENTROIDS..(j + 1) * CENTROIDS;
                let weight = |at: usize| sizes[at] + f32::MIN_POSITIVE;
                let sum: f32 = under.clone().map(|at| weight(at) * leaves[at]).sum();
                sum / under.map(weight).sum::<f32>()
            });
        }
        Ok(())
    }
}

/// Makes the centroids of `book` those of `centroids` that `order` names, one coordinate of all after the other.
fn fill<const N: usize>(book: &mut [[f32; N]], centroids: &[f32], order: &[usize]) {
    let dim = book.len();
    for (at, line) in book.iter_mut().enumerate() {
        *line = std::array::from_fn(|j| centroids[order[j] * dim + at]);
    }
}

/// Rounds of k-means (Lloyd 1982), few dimensions and all centroids in registers: a centroid that is nearest to nothing stays. Returns
/// how many vectors each is nearest to.
struct Lloyd<'a, const N: usize> {
    book: &'a mut [[f32; N]],
    values: &'a [f32],
    rounds: usize,
}

impl<const N: usize> Kernel for Lloyd<'_, N> {
    type Out = [f32; N];
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [f32; N] {
        let Self { book, values, rounds } = self;
        let mut sizes = [0f32; N];
        for _ in 0..rounds {
            let mut sums = vec![[0f32; N]; book.len()];
            sizes = [0.0; N];
            for share in values.chunks_exact(book.len()) {
                let at = nearest(book, share, 1.0);
                sizes[at] += 1.0;
                for (sums, v) in sums.iter_mut().zip(share) {
                    sums[at] += v;
                }
            }
            for (line, sums) in book.iter_mut().zip(&sums) {
                for ((c, sum), size) in line.iter_mut().zip(sums).zip(&sizes) {
                    if *size > 0.0 {
                        *c = sum / size;
                    }
                }
            }
        }
        sizes
    }
}

/// Puts the numbers of `centroids` in an order of halves, down to those of one nibble.
fn halve(centroids: &[f32], dim: usize, order: &mut [usize]) {
    if order.len() <= CENTROIDS {
        return;
    }
    let spread = |at: usize| {
        let values = order.iter().map(|&j| centroids[j * dim + at]);
        let mean = values.clone().sum::<f32>() / order.len() as f32;
        values.map(|v| (v - mean).powi(2)).sum::<f32>()
    };
    let widest = (0..dim).max_by(|&a, &b| spread(a).total_cmp(&spread(b))).unwrap_or(0);
    order.sort_by(|&a, &b| centroids[a * dim + widest].total_cmp(&centroids[b * dim + widest]));
    let (low, high) = order.split_at_mut(order.len() / 2);
    halve(centroids, dim, low);
    halve(centroids, dim, high);
}

/// The centroid of `book` nearest to a share times `scale`, the lowest of equals.
#[inline(always)]
fn nearest<const N: usize>(book: &[[f32; N]], share: &[f32], scale: f32) -> usize {
    let mut distances = [0f32; N];
    for (r, line) in share.iter().zip(book) {
        let r = r * scale;
        for (distance, c) in distances.iter_mut().zip(line) {
            *distance += (r - c) * (r - c);
        }
    }
    let mut best = 0;
    for j in 1..N {
        if distances[j] < distances[best] {
            best = j;
        }
    }
    best
}

/// Adds what a `share` of a query and each centroid of `book` multiply to.
#[inline(always)]
fn multiply<const N: usize>(book: &[[f32; N]], share: &[f32], sums: &mut [f32; N]) {
    for (q, line) in share.iter().zip(book) {
        for (sum, c) in sums.iter_mut().zip(line) {
            *sum += q * c;
        }
    }
}

impl Quantizer for Product {
    fn name(&self) -> String {
        Coding::Product { parts: self.parts.len(), bits: self.bits }.to_string()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn nibbles(&self) -> usize {
        self.parts.len()
    }

    fn extra(&self) -> usize {
        if self.bits > NIBBLE { LOWER } else { 0 }
    }

    fn encode(&self, isa: Isa, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2] {
        struct Choose<'a>(&'a Product, &'a [f32], &'a [f32], Code<'a>);
        impl Kernel for Choose<'_> {
            type Out = [Factors; 2];
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> [Factors; 2] {
                self.0.choose(self.1, self.2, self.3)
            }
        }
        let turned = self.turned(isa, &[residual, center].concat());
        isa.run(Choose(self, residual, &turned, code))
    }

    fn decode(&self, nibbles: &[u8], planes: &[u8], x: &mut [f32]) {
        let nibble = |of: &[u8], m: usize| usize::from(of[m / 2] >> (m % 2 * NIBBLE) & 15);
        let mut centroids = Vec::with_capacity(self.directions);
        for (m, part) in self.parts.iter().enumerate() {
            let high = nibble(nibbles, m);
            if planes.is_empty() {
                centroids.extend(part.book.iter().map(|line| line[high]));
            } else {
                let leaf = high * CENTROIDS + nibble(planes, m);
                centroids.extend(part.leaves.iter().map(|line| line[leaf]));
            }
        }
        for (x, line) in x.iter_mut().zip(self.turn.chunks_exact(self.directions)) {
            *x = dot(line, &centroids);
        }
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables, bytes: &mut ByteTables) {
        struct Set<'a>(&'a Product, &'a [f32], &'a mut Tables, &'a mut ByteTables);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(product, turned, tables, bytes) = self;
                let mut all = [[0f32; CENTROIDS]; Product::MOST];
                for (sums, (part, share)) in all.iter_mut().zip(product.shares(turned)) {
                    multiply(&part.book, share, sums);
                }
                tables.set_sums(&all[..product.parts.len()]);
                if product.bits > NIBBLE {
                    bytes.sums.clear();
                    bytes.sums.resize(product.parts.len(), [0.0; VALUES]);
                    for (sums, (part, share)) in bytes.sums.iter_mut().zip(product.shares(turned)) {
                        multiply(&part.leaves, share, sums);
                    }
                }
            }
        }
        isa.run(Set(self, &self.turned(isa, query), tables, bytes));
    }

    fn deviations(&self) -> [f32; 2] {
        self.deviations
    }

    fn state(&self) -> Vec<f32> {
        let mut state = self.deviations[..1 + self.by_all()].to_vec();
        state.extend(self.parts.iter().map(|part| part.book.len() as f32));
        state.extend(&self.turn);
        state.extend(self.parts.iter().flat_map(|part| part.book.as_flattened()));
        state.extend(self.parts.iter().flat_map(|part| part.leaves.as_flattened()));
        state
    }
}

/// 1/‖r‖.
fn unit(residual: &[f32]) -> f32 {
    let norm = dot(residual, residual).sqrt();
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

/// How many directions each of `parts` parts of `bits` bits has; `variances` descend.
fn allot(variances: &[f32], parts: usize, bits: usize) -> Vec<usize> {
    let most = bits as f32;
    // What does not vary has as good as no variance.
    let least = (variances[0] * 1e-12).max(f32::MIN_POSITIVE);
    let logs: Vec<f32> = variances.iter().map(|v| 0.5 * v.max(least).log2()).collect();
    let bits = |theta: f32| logs.iter().map(move |log| (log - theta).clamp(0.0, most));
    let all = most * parts as f32;
    let (mut low, mut high) = (logs[logs.len() - 1] - most, logs[0]);
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        if bits(middle).sum::<f32>() > all { low = middle } else { high = middle }
    }
    let mut widths = vec![0; parts];
    let mut sum = 0.0;
    for bits in bits(low).take_while(|&bits| bits > 0.0) {
        // From one middle to the next it is at most a part's bits: no part is left out.
        let part = ((sum + bits / 2.0) / most) as usize;
        widths[part.min(parts - 1)] += 1;
        sum += bits;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_part_gets_a_direction_and_none_is_given_twice(
            logs in prop::collection::vec(-20f32..20.0, 1..200), nibbles in 1usize..100,
        ) {
            let mut variances: Vec<f32> = logs.iter().map(|v| v.exp2()).collect();
            variances.sort_by(|a, b| b.total_cmp(a));
            let nibbles = nibbles.min(variances.len());
            let widths = allot(&variances, nibbles, 4);
            prop_assert_eq!(widths.len(), nibbles);
            prop_assert!(widths.iter().all(|&width| width > 0), "{:?}", widths);
            prop_assert!(widths.iter().sum::<usize>() <= variances.len());
        }
    }

    #[test]
    fn equal_directions_are_shared_out_equally_and_what_tells_nothing_is_left_out() {
        assert_eq!(allot(&[1.0; 32], 8, 4), [4; 8]);
        let mut some = [1e-9f32; 32];
        some[..8].fill(1.0);
        assert_eq!(allot(&some, 4, 4), [2; 4]);
        assert_eq!(allot(&[0.0; 3], 3, 4), [1; 3]);
    }

    #[test]
    fn it_is_made_again_of_its_state_and_not_of_another() {
        let mut random = Random(1);
        let values: Vec<f32> = (0..300 * 10).map(|i| random.unit() as f32 / (i % 10 + 1) as f32).collect();
        for bits in [4, 8] {
            let made = Product::train(&values, 10, (5, bits), (1, 1, None)).unwrap();
            let state = made.state();
            assert_eq!(Product::from_state(10, (5, bits), &state).as_ref(), Some(&made));
            for wrong in [&state[1..], &state[..state.len() - 1], &[], &[f32::NAN; 9], &[1e30; 90]] {
                assert_eq!(Product::from_state(10, (5, bits), wrong), None);
            }
            assert_eq!(Product::from_state(10, (5, 12 - bits), &state), None);
            assert_eq!(Product::from_state(10, (4, bits), &state), None);
            assert_eq!(Product::from_state(9, (5, bits), &state), None);
        }
    }
}
