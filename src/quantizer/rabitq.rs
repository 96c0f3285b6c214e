//! One bit a coordinate of the difference of two codes, and an unbiased estimate of a distance by it (RaBitQ: Gao, Long 2024), as
//! graphs have it of a node's neighbours. Of one bit and more, relative to any centre: [`scalar`](super::scalar).

use super::Factors;
use crate::kernels::Simd;

/// Coordinates taken together.
const STEP: usize = 32;

/// Encodes `vector` relative to `center` in one bit a coordinate, at most 65,536 of them: calls `set` with every byte of bits, the first
/// coordinate's the lowest.
#[inline(always)]
pub(crate) fn encode<S: Simd>(s: S, center: &[i8], vector: &[i8], mut set: impl FnMut(usize, u8)) -> Factors {
    let mut sums = Sums { squares: s.zero_i32(), centers: s.zero_i32(), vectors: s.zero_i32() };
    let ((centers, center_rest), (vectors, vector_rest)) = (center.as_chunks(), vector.as_chunks());
    for (at, (center, vector)) in centers.iter().zip(vectors).enumerate() {
        for (i, bits) in sums.add(s, center, vector).into_iter().enumerate() {
            set(at * STEP / 8 + i, bits);
        }
    }
    if !vector_rest.is_empty() {
        // Where both are zero nothing is added, and no bit set.
        let mut rest = [[0; STEP]; 2];
        rest[0][..center_rest.len()].copy_from_slice(center_rest);
        rest[1][..vector_rest.len()].copy_from_slice(vector_rest);
        let bits = sums.add(s, &rest[0], &rest[1]);
        for (i, &bits) in bits.iter().enumerate().take(vector_rest.len().div_ceil(8)) {
            set(centers.len() * STEP / 8 + i, bits);
        }
    }
    let square = s.sum_i32(sums.squares);
    let along = s.sum_i32(sums.centers);
    let reach = s.sum_i32(sums.vectors) - along;
    // ⟨r,x̄⟩ = ½Σ|r_j|; it is zero where the two are the same.
    let rho = if reach > 0 { square as f64 / (reach as f64 / 2.0) } else { 0.0 };
    Factors { add: (square as f64 + rho * along as f64) as f32, rescale: (-2.0 * rho) as f32 }
}

/// Of the differences r = o − c: Σ r², Σ ±c and Σ ±o by the sign of each, of which the latter two differ by Σ |r|. All are exact.
struct Sums<S: Simd> {
    squares: S::I32,
    centers: S::I32,
    vectors: S::I32,
}

impl<S: Simd> Sums<S> {
    /// Adds some coordinates; the bits of those where r > 0. Without a branch, for no processor foretells a sign.
    #[inline(always)]
    fn add(&mut self, s: S, center: &[i8; STEP], vector: &[i8; STEP]) -> [u8; STEP / 8] {
        let (mut above, mut signs) = ([0u8; STEP], [0i8; STEP]);
        for j in 0..STEP {
            let more = vector[j] > center[j];
            above[j] = u8::from(more);
            signs[j] = if more { 1 } else { -1 };
        }
        self.squares = s.square_i8(self.squares, vector, center);
        self.centers = s.dot_i8(self.centers, center, &signs);
        self.vectors = s.dot_i8(self.vectors, vector, &signs);
        let mut bits = [0; STEP / 8];
        for (bits, above) in bits.iter_mut().zip(above.as_chunks::<8>().0) {
            // Byte j goes to bit 56 + j: 2⁵⁶ · 2ʲ / 2⁸ʲ, and no two products meet.
            *bits = (u64::from_le_bytes(*above).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::scalar::Scalar;
    use crate::kernels::{Isa, Kernel};

    struct Encode<'a>(&'a [i8], &'a [i8]);
    impl Kernel for Encode<'_> {
        type Out = (Factors, Vec<u8>);
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Out {
            let mut bytes = vec![0; self.0.len().div_ceil(8)];
            (encode(s, self.0, self.1, |at, bits| bytes[at] = bits), bytes)
        }
    }

    proptest! {
        #[test]
        fn codes_are_those_of_the_formula_on_every_instruction_set(
            rows in (1usize..600).prop_flat_map(|dim| vec((any::<i8>(), any::<i8>()), dim)), same: bool,
        ) {
            let (center, mut vector): (Vec<i8>, Vec<i8>) = rows.into_iter().unzip();
            if same {
                vector.clone_from(&center);
            }
            let (mut square, mut reach, mut along) = (0, 0, 0);
            let mut bytes = vec![0; center.len().div_ceil(8)];
            for (j, (&c, &o)) in center.iter().zip(&vector).enumerate() {
                let (c, o) = (i64::from(c), i64::from(o));
                (square, reach) = (square + (o - c).pow(2), reach + (o - c).abs());
                along += if o > c { c } else { -c };
                bytes[j / 8] |= u8::from(o > c) << (j % 8);
            }
            let rho = if reach > 0 { square as f64 / (reach as f64 / 2.0) } else { 0.0 };
            let factors = Factors { add: (square as f64 + rho * along as f64) as f32, rescale: (-2.0 * rho) as f32 };
            for isa in Isa::available() {
                prop_assert_eq!(isa.run(Encode(&center, &vector)), (factors, bytes.clone()), "{}", isa.name());
            }
        }
    }

    fn estimate(center: &[i8], vector: &[i8], query: &[f64]) -> f64 {
        let mut bits = vec![false; center.len()];
        let code = encode(Scalar, center, vector, |at, byte| {
            bits.iter_mut().skip(8 * at).take(8).enumerate().for_each(|(j, bit)| *bit = byte >> j & 1 == 1);
        });
        let sum: f64 = bits.iter().zip(query).map(|(&bit, q)| if bit { q / 2.0 } else { -q / 2.0 }).sum();
        let to_center: f64 = center.iter().zip(query).map(|(&c, q)| (f64::from(c) - q).powi(2)).sum();
        to_center + f64::from(code.add) + f64::from(code.rescale) * sum
    }

    #[test]
    fn estimates_are_unbiased_and_as_close_as_the_paper_says() {
        const DIM: usize = 128;
        let mut state = 1u64;
        let mut random = || {
            let mut sum = 0.0;
            for _ in 0..12 {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                sum += (state >> 33) as f64 / (1u64 << 31) as f64 - 0.5;
            }
            sum * 25.0
        };
        let mut errors = Vec::new();
        for _ in 0..2000 {
            let center: Vec<i8> = (0..DIM).map(|_| random() as i8).collect();
            let vector: Vec<i8> = (0..DIM).map(|_| random() as i8).collect();
            let query: Vec<f64> = (0..DIM).map(|_| random()).collect();
            let (mut r, mut g, mut truth) = (0.0, 0.0, 0.0);
            for j in 0..DIM {
                let (c, o) = (f64::from(center[j]), f64::from(vector[j]));
                r += (o - c).powi(2);
                g += (query[j] - c).powi(2);
                truth += (query[j] - o).powi(2);
            }
            errors.push((estimate(&center, &vector, &query) - truth) / (2.0 * (r * g).sqrt()));
        }
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let deviation = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
        assert!(mean.abs() < 0.006, "mean {mean}");
        assert!((0.05..0.08).contains(&deviation), "deviation {deviation}");
    }

    #[test]
    fn the_centre_itself_is_estimated_exactly() {
        let center = [5i8, -3, 0, 127];
        let code = encode(Scalar, &center, &center, |_, bits| assert_eq!(bits, 0));
        assert_eq!(code, Factors { add: 0.0, rescale: 0.0 });
    }
}
