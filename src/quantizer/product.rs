//! Nibbles that stand for centroids of their own parts of the coordinates (product quantisation: Jégou, Douze, Schmid 2011), every part
//! as wide as makes it worth a nibble.
//!
//! Residuals are turned to their principal directions first (the parametric solution of optimised product quantisation: Ge and others
//! 2013). These tell apart unequally: of b bits in all, one of variance σ² should get
//!
//! ```text
//! bᵢ = max(0, ½ log₂(σᵢ²/θ)),   Σ bᵢ = b                              (reverse water-filling)
//! ```
//!
//! and here not more than the four of a nibble of its own. In the order of their variance, directions make up parts of four bits
//! each; what is worth none is left out. A residual is coded by its direction alone, r/‖r‖: its length, and what coding took from it,
//! are in its [`Factors`].

use std::sync::Mutex;

use nalgebra::{DMatrix, SymmetricEigen};

use super::{Code, Factors, Quantizer, dot};
use crate::error::Result;
use crate::kernels::fastscan::Tables;
use crate::kernels::{Isa, Kernel, Simd};
use crate::kmeans::{KmeansParams, kmeans};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Centroids of a nibble.
const CENTROIDS: usize = 16;
/// Bits of a nibble.
const BITS: f32 = 4.0;
/// Rounds of k-means.
const ROUNDS: usize = 16;
/// Steps of the search for θ.
const BISECTIONS: usize = 48;

/// Nibbles, and what they stand for.
#[derive(Debug, PartialEq)]
pub(crate) struct Product {
    width: usize,
    /// The directions that parts are made of, coordinate by coordinate: of each coordinate what it adds to all directions.
    turn: Vec<f32>,
    directions: usize,
    parts: Vec<Part>,
    deviation: f32,
}

/// What one nibble codes: the next few directions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Part {
    /// The centroids, direction by direction.
    book: Vec<[f32; CENTROIDS]>,
}

impl Product {
    /// Nibbles at most: what their tables add up stays below 2¹⁶.
    pub const MOST: usize = 512;

    /// Learns `nibbles` nibbles, or as many as there are coordinates, from residuals of `width` coordinates each.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn train(
        residuals: &[f32],
        width: usize,
        nibbles: usize,
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
        let widths = allot(&variances, nibbles.min(width));
        let directions = widths.iter().sum();
        let turn = ritz.eigenvectors.select_columns(&order[..directions]);
        let turned = turn.transpose() * units;
        threads::pause(monitor, "train", 0, widths.len() as u64)?;
        let mut from = 0;
        let parts = widths.iter().map(|&width| {
            from += width;
            (from - width, Part { book: vec![[0.0; CENTROIDS]; width] })
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
        let mut made = Self { width, turn, directions, parts, deviation: 0.0 };
        made.deviation = made.measured(residuals);
        Ok(made)
    }

    /// The centroid of each nibble that is nearest.
    #[inline(always)]
    fn choose(&self, residual: &[f32], center: &[f32], code: Code) -> Factors {
        let scale = unit(residual);
        let (mut turned, mut turned_center) = (Vec::new(), Vec::new());
        self.turn(residual, &mut turned);
        self.turn(center, &mut turned_center);
        let (mut along, mut center_along) = (0.0, 0.0);
        let mut from = 0;
        for (m, part) in self.parts.iter().enumerate() {
            let share = from..from + part.book.len();
            from = share.end;
            let (share, center) = (&turned[share.clone()], &turned_center[share]);
            let nearest = part.nearest(share, scale);
            code.nibbles[m / 2] |= (nearest as u8) << (m % 2 * 4);
            for ((r, c), line) in share.iter().zip(center).zip(&part.book) {
                along += r * line[nearest];
                center_along += c * line[nearest];
            }
        }
        Factors::new(dot(residual, residual), along, center_along)
    }

    /// Makes `turned` the directions of `vector`.
    #[inline(always)]
    fn turn(&self, vector: &[f32], turned: &mut Vec<f32>) {
        turned.clear();
        turned.resize(self.directions, 0.0);
        for (line, &v) in self.turn.chunks_exact(self.directions).zip(vector) {
            for (turned, t) in turned.iter_mut().zip(line) {
                *turned += v * t;
            }
        }
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

    /// See [`Quantizer::deviations`], in the mean.
    fn measured(&self, residuals: &[f32]) -> f32 {
        let (isa, count) = (Isa::active(), residuals.len() / self.width);
        let (mut nibbles, mut x) = (vec![0; self.pairs()], vec![0.0; self.width]);
        let lost = residuals.chunks_exact(self.width).map(|residual| {
            nibbles.fill(0);
            self.encode(isa, residual, residual, Code { nibbles: &mut nibbles, planes: &mut [] });
            self.decode(&nibbles, &[], &mut x);
            let (square, along) = (dot(residual, residual), dot(residual, &x));
            if square > 0.0 { (dot(&x, &x) - along * along / square).max(0.0).sqrt() } else { 0.0 }
        });
        lost.sum::<f32>() / (count.max(1) as f32 * (self.width as f32).sqrt())
    }

    /// From what [`Quantizer::state`] gave; nothing where it is not that.
    pub fn from_state(width: usize, nibbles: usize, state: &[f32]) -> Option<Self> {
        let (&deviation, rest) = state.split_first().filter(|(first, _)| **first >= 0.0)?;
        let (widths, rest) = rest.split_at_checked(nibbles)?;
        if nibbles == 0 || widths.iter().any(|w| !(1.0..=width as f32).contains(w) || w.fract() != 0.0) {
            return None;
        }
        let directions = widths.iter().map(|&w| w as usize).sum::<usize>();
        let (turn, books) = rest.split_at_checked(width.checked_mul(directions)?)?;
        let mut books = books.as_chunks::<CENTROIDS>();
        if directions > width || books.0.len() != directions || !books.1.is_empty() {
            return None;
        }
        let parts = widths.iter().map(|&w| {
            let (book, after) = books.0.split_at(w as usize);
            books.0 = after;
            Part { book: book.to_vec() }
        });
        let parts = parts.collect();
        Some(Self { width, turn: turn.to_vec(), directions, parts, deviation })
    }
}

impl Part {
    /// Learns from `values`, each vector's share after the other's.
    fn learn(&mut self, values: &[f32], seed: u64) -> Result<()> {
        let dim = self.book.len();
        let vectors = Vectors::new(values, dim)?;
        // With fewer vectors than centroids, some centroids are the same.
        let k = CENTROIDS.min(vectors.len());
        if k == 0 {
            return Ok(());
        }
        let params = KmeansParams {
            metric: Metric::L2,
            iterations: ROUNDS,
            seed,
            threads: Some(1),
            ..KmeansParams::default()
        };
        let found = kmeans(vectors, k, &params)?;
        for (at, line) in self.book.iter_mut().enumerate() {
            *line = std::array::from_fn(|j| found.centroids[j % k * dim + at]);
        }
        Ok(())
    }

    /// The centroid nearest to a share times `scale`, the lowest of equals.
    #[inline(always)]
    fn nearest(&self, share: &[f32], scale: f32) -> usize {
        let mut distances = [0f32; CENTROIDS];
        for (r, line) in share.iter().zip(&self.book) {
            let r = r * scale;
            for (distance, c) in distances.iter_mut().zip(line) {
                *distance += (r - c) * (r - c);
            }
        }
        let mut best = 0;
        for j in 1..CENTROIDS {
            if distances[j] < distances[best] {
                best = j;
            }
        }
        best
    }
}

impl Quantizer for Product {
    fn name(&self) -> String {
        format!("pq{}x4", self.parts.len())
    }

    fn width(&self) -> usize {
        self.width
    }

    fn nibbles(&self) -> usize {
        self.parts.len()
    }

    fn extra(&self) -> usize {
        0
    }

    fn encode(&self, isa: Isa, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2] {
        struct Choose<'a>(&'a Product, &'a [f32], &'a [f32], Code<'a>);
        impl Kernel for Choose<'_> {
            type Out = Factors;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> Factors {
                self.0.choose(self.1, self.2, self.3)
            }
        }
        [isa.run(Choose(self, residual, center, code)); 2]
    }

    fn decode(&self, nibbles: &[u8], _: &[u8], x: &mut [f32]) {
        let centroids = self.parts.iter().enumerate().flat_map(|(m, part)| {
            let nibble = usize::from(nibbles[m / 2] >> (m % 2 * 4) & 15);
            part.book.iter().map(move |line| line[nibble])
        });
        let centroids: Vec<f32> = centroids.collect();
        for (x, line) in x.iter_mut().zip(self.turn.chunks_exact(self.directions)) {
            *x = dot(line, &centroids);
        }
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables) {
        struct Set<'a>(&'a Product, &'a [f32], &'a mut Tables);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(product, query, tables) = self;
                let mut turned = Vec::new();
                product.turn(query, &mut turned);
                let mut all = [[0f32; CENTROIDS]; Product::MOST];
                for (sums, (part, share)) in all.iter_mut().zip(product.shares(&turned)) {
                    for (q, line) in share.iter().zip(&part.book) {
                        for (sum, c) in sums.iter_mut().zip(line) {
                            *sum += q * c;
                        }
                    }
                }
                tables.set_sums(&all[..product.parts.len()]);
            }
        }
        isa.run(Set(self, query, tables));
    }

    fn deviations(&self) -> [f32; 2] {
        [self.deviation; 2]
    }

    fn state(&self) -> Vec<f32> {
        let mut state = vec![self.deviation];
        state.extend(self.parts.iter().map(|part| part.book.len() as f32));
        state.extend(&self.turn);
        state.extend(self.parts.iter().flat_map(|part| part.book.as_flattened()));
        state
    }
}

/// 1/‖r‖.
fn unit(residual: &[f32]) -> f32 {
    let norm = dot(residual, residual).sqrt();
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

/// How many directions each of `nibbles` parts has; `variances` descend.
fn allot(variances: &[f32], nibbles: usize) -> Vec<usize> {
    // What does not vary has as good as no variance.
    let least = (variances[0] * 1e-12).max(f32::MIN_POSITIVE);
    let logs: Vec<f32> = variances.iter().map(|v| 0.5 * v.max(least).log2()).collect();
    let bits = |theta: f32| logs.iter().map(move |log| (log - theta).clamp(0.0, BITS));
    let all = BITS * nibbles as f32;
    let (mut low, mut high) = (logs[logs.len() - 1] - BITS, logs[0]);
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        if bits(middle).sum::<f32>() > all { low = middle } else { high = middle }
    }
    let mut widths = vec![0; nibbles];
    let mut sum = 0.0;
    for bits in bits(low).take_while(|&bits| bits > 0.0) {
        // From one middle to the next it is at most four bits: no part is left out.
        let part = ((sum + bits / 2.0) / BITS) as usize;
        widths[part.min(nibbles - 1)] += 1;
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
            let widths = allot(&variances, nibbles);
            prop_assert_eq!(widths.len(), nibbles);
            prop_assert!(widths.iter().all(|&width| width > 0), "{:?}", widths);
            prop_assert!(widths.iter().sum::<usize>() <= variances.len());
        }
    }

    #[test]
    fn equal_directions_are_shared_out_equally_and_what_tells_nothing_is_left_out() {
        assert_eq!(allot(&[1.0; 32], 8), [4; 8]);
        let mut some = [1e-9f32; 32];
        some[..8].fill(1.0);
        assert_eq!(allot(&some, 4), [2; 4]);
        assert_eq!(allot(&[0.0; 3], 3), [1; 3]);
    }

    #[test]
    fn it_is_made_again_of_its_state_and_not_of_another() {
        let mut random = Random(1);
        let values: Vec<f32> = (0..300 * 10).map(|i| random.unit() as f32 / (i % 10 + 1) as f32).collect();
        let made = Product::train(&values, 10, 5, (1, 1, None)).unwrap();
        let state = made.state();
        assert_eq!(Product::from_state(10, 5, &state).as_ref(), Some(&made));
        for wrong in [&state[1..], &state[..state.len() - 1], &[], &[f32::NAN; 9], &[1e30; 90]] {
            assert_eq!(Product::from_state(10, 5, wrong), None);
        }
        assert_eq!(Product::from_state(10, 4, &state), None);
        assert_eq!(Product::from_state(9, 5, &state), None);
    }
}
