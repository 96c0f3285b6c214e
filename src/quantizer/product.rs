//! Nibbles that stand for centroids of their own parts of the coordinates (product quantisation: Jégou, Douze, Schmid 2011), every part
//! as wide as makes it worth a nibble.
//!
//! Coordinates are principal directions, so they tell apart unequally: of b bits in all, one of variance σ² should get
//!
//! ```text
//! bᵢ = max(0, ½ log₂(σᵢ²/θ)),   Σ bᵢ = b                              (reverse water-filling)
//! ```
//!
//! and here not more than the four of a nibble of its own. In the order of their variance, coordinates make up parts of four bits
//! each; what is worth none is left out. A residual is coded by its direction alone, r/‖r‖: its length, and what coding took from it,
//! are in its [`Factors`].

use super::{Code, Factors, Quantizer, dot};
use crate::error::Result;
use crate::kernels::fastscan::Tables;
use crate::kernels::{Isa, Kernel, Simd};
use crate::kmeans::{KmeansParams, kmeans};
use crate::metric::Metric;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;
use std::sync::Mutex;

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
    parts: Vec<Part>,
    deviation: f32,
}

/// What one nibble codes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Part {
    coordinates: Vec<u32>,
    /// The centroids, coordinate by coordinate.
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
        let directions: Vec<f32> = residuals
            .chunks_exact(width)
            .flat_map(|residual| {
                let scale = unit(residual);
                residual.iter().map(move |r| r * scale)
            })
            .collect();
        let mut variances = vec![0f32; width];
        for direction in directions.chunks_exact(width) {
            variances.iter_mut().zip(direction).for_each(|(sum, r)| *sum += r * r);
        }
        let mut parts: Vec<Part> = allot(&variances, nibbles.min(width))
            .into_iter()
            .map(|coordinates| Part { book: vec![[0.0; CENTROIDS]; coordinates.len()], coordinates })
            .collect();
        let books: Vec<Mutex<&mut Part>> = parts.iter_mut().map(Mutex::new).collect();
        threads::run(threads, monitor, "train", (books.len(), books.len() as u64), |at, worker| {
            let mut part = books[at].lock().map_err(|_| crate::Error::Interrupted)?;
            part.learn(&directions, width, seed ^ at as u64)?;
            worker.advance(1);
            Ok(())
        })?;
        drop(books);
        let mut made = Self { width, parts, deviation: 0.0 };
        made.deviation = made.measured(residuals);
        Ok(made)
    }

    /// See [`Quantizer::deviations`], in the mean.
    fn measured(&self, residuals: &[f32]) -> f32 {
        let count = residuals.len() / self.width;
        let mut nibbles = vec![0; self.pairs()];
        let lost = residuals.chunks_exact(self.width).map(|residual| {
            nibbles.fill(0);
            let [factors, _] = self.encode(residual, residual, Code { nibbles: &mut nibbles, planes: &mut [] });
            // ⟨r,x̄⟩ = ‖r‖²/ρ, and ‖x̄‖² by what its nibbles stand for.
            let square = dot(residual, residual);
            let along = if factors.rescale < 0.0 { -2.0 * square / factors.rescale } else { 0.0 };
            let norm: f32 = (self.parts.iter().enumerate())
                .map(|(m, part)| {
                    let nibble = usize::from(nibbles[m / 2] >> (m % 2 * 4) & 15);
                    part.book.iter().map(|line| line[nibble] * line[nibble]).sum::<f32>()
                })
                .sum();
            if square > 0.0 { (norm - along * along / square).max(0.0).sqrt() } else { 0.0 }
        });
        lost.sum::<f32>() / (count.max(1) as f32 * (self.width as f32).sqrt())
    }

    /// From what [`Quantizer::state`] gave; nothing where it is not that.
    pub fn from_state(width: usize, nibbles: usize, state: &[f32]) -> Option<Self> {
        let (&deviation, mut rest) = state.split_first().filter(|(first, _)| **first >= 0.0)?;
        let mut parts = Vec::new();
        let mut met = vec![false; width];
        for _ in 0..nibbles {
            let (&len, after) = rest.split_first()?;
            let (coordinates, after) = after.split_at_checked(len as usize)?;
            let (book, after) = after.split_at_checked(coordinates.len() * CENTROIDS)?;
            for &at in coordinates {
                let met = met.get_mut(at as usize).filter(|met| !**met)?;
                *met = true;
            }
            parts.push(Part {
                coordinates: coordinates.iter().map(|&at| at as u32).collect(),
                book: book.as_chunks().0.to_vec(),
            });
            rest = after;
        }
        let made = Self { width, parts, deviation };
        (rest.is_empty() && made.state() == state).then_some(made)
    }

}

impl Part {
    fn learn(&mut self, directions: &[f32], width: usize, seed: u64) -> Result<()> {
        let own = |direction: &[f32]| -> Vec<f32> {
            self.coordinates.iter().map(|&at| direction[at as usize]).collect()
        };
        let values: Vec<f32> = directions.chunks_exact(width).flat_map(own).collect();
        let dim = self.coordinates.len();
        let vectors = Vectors::new(&values, dim)?;
        // With fewer vectors than centroids, some centroids are the same.
        let k = CENTROIDS.min(vectors.len());
        if k == 0 || dim == 0 {
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

    /// The centroid nearest to the coordinates of a direction, the lowest of equals.
    fn nearest(&self, residual: &[f32], scale: f32) -> usize {
        let mut distances = [0f32; CENTROIDS];
        for (&at, line) in self.coordinates.iter().zip(&self.book) {
            let r = residual[at as usize] * scale;
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

    fn encode(&self, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2] {
        let scale = unit(residual);
        let (mut along, mut center_along) = (0.0, 0.0);
        for (m, part) in self.parts.iter().enumerate() {
            let nearest = part.nearest(residual, scale);
            code.nibbles[m / 2] |= (nearest as u8) << (m % 2 * 4);
            for (&at, line) in part.coordinates.iter().zip(&part.book) {
                along += residual[at as usize] * line[nearest];
                center_along += center[at as usize] * line[nearest];
            }
        }
        [Factors::new(dot(residual, residual), along, center_along); 2]
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables) {
        struct Set<'a>(&'a [Part], &'a [f32], &'a mut Tables);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                let Self(parts, query, tables) = self;
                let mut all = [[0f32; CENTROIDS]; Product::MOST];
                for (sums, part) in all.iter_mut().zip(parts) {
                    for (&at, line) in part.coordinates.iter().zip(&part.book) {
                        let q = query[at as usize];
                        for (sum, c) in sums.iter_mut().zip(line) {
                            *sum += q * c;
                        }
                    }
                }
                tables.set_sums(&all[..parts.len()]);
            }
        }
        isa.run(Set(&self.parts, query, tables));
    }

    fn deviations(&self) -> [f32; 2] {
        [self.deviation; 2]
    }

    fn state(&self) -> Vec<f32> {
        let mut state = vec![self.deviation];
        for part in &self.parts {
            state.push(part.coordinates.len() as f32);
            state.extend(part.coordinates.iter().map(|&at| at as f32));
            state.extend_from_slice(part.book.as_flattened());
        }
        state
    }
}

/// 1/‖r‖.
fn unit(residual: &[f32]) -> f32 {
    let norm = dot(residual, residual).sqrt();
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

/// The coordinates of each of `nibbles` parts.
fn allot(variances: &[f32], nibbles: usize) -> Vec<Vec<u32>> {
    let mut order: Vec<u32> = (0..variances.len() as u32).collect();
    order.sort_by(|&a, &b| variances[b as usize].total_cmp(&variances[a as usize]).then(a.cmp(&b)));
    // What does not vary has as good as no variance.
    let most = variances.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let logs: Vec<f32> =
        order.iter().map(|&at| 0.5 * (variances[at as usize].max(most * 1e-12)).log2()).collect();
    let bits = |theta: f32| logs.iter().map(move |log| (log - theta).clamp(0.0, BITS));
    let all = BITS * nibbles as f32;
    let (mut low, mut high) = (logs[logs.len() - 1] - BITS, logs[0]);
    for _ in 0..BISECTIONS {
        let middle = (low + high) / 2.0;
        if bits(middle).sum::<f32>() > all { low = middle } else { high = middle }
    }
    let mut parts = vec![Vec::new(); nibbles];
    let mut sum = 0.0;
    for (&at, bits) in order.iter().zip(bits(low)) {
        if bits > 0.0 {
            // From one middle to the next it is at most four bits: no part is left out.
            let part = ((sum + bits / 2.0) / BITS) as usize;
            parts[part.min(nibbles - 1)].push(at);
            sum += bits;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_part_gets_a_coordinate_and_none_is_given_twice(
            logs in prop::collection::vec(-20f32..20.0, 1..200), part in 1usize..100,
        ) {
            let variances: Vec<f32> = logs.iter().map(|v| v.exp2()).collect();
            let nibbles = part.min(variances.len());
            let parts = allot(&variances, nibbles);
            prop_assert_eq!(parts.len(), nibbles);
            prop_assert!(parts.iter().all(|part| !part.is_empty()), "{:?}", parts);
            let mut all: Vec<u32> = parts.concat();
            let len = all.len();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), len);
        }
    }

    #[test]
    fn equal_coordinates_are_shared_out_equally_and_what_tells_nothing_is_left_out() {
        let parts = allot(&[1.0; 32], 8);
        assert!(parts.iter().all(|part| part.len() == 4), "{parts:?}");
        let mut some = [1e-9f32; 32];
        some[5..13].fill(1.0);
        let mut all = allot(&some, 4).concat();
        all.sort_unstable();
        assert_eq!(all, (5..13).collect::<Vec<u32>>());
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
        let mut twice = state.clone();
        twice[2] = twice[3 + CENTROIDS + if state[1] > 1.0 { CENTROIDS + 1 } else { 0 }];
        assert!(twice == state || Product::from_state(10, 5, &twice) != Some(made));
    }
}
