//! One bit a coordinate of the difference of two codes, and an unbiased estimate of a distance by it (RaBitQ: Gao, Long 2024), as
//! graphs have it of a node's neighbours. Of one bit and more, relative to any centre: [`scalar`](super::scalar).

use super::Factors;

/// Encodes `vector` relative to `center` in one bit a coordinate: calls `set` with each coordinate whose bit is one.
pub(crate) fn encode(center: &[i8], vector: &[i8], mut set: impl FnMut(usize)) -> Factors {
    // Differences of bytes: all sums are exact.
    let (mut square, mut reach, mut along) = (0i64, 0i64, 0i64);
    for (j, (&c, &o)) in center.iter().zip(vector).enumerate() {
        let (c, r) = (i64::from(c), i64::from(o) - i64::from(c));
        square += r * r;
        reach += r.abs();
        along += if r > 0 { c } else { -c };
        if r > 0 {
            set(j);
        }
    }
    // ⟨r,x̄⟩ = ½Σ|r_j|; it is zero where the two are the same.
    let rho = if reach > 0 { square as f64 / (reach as f64 / 2.0) } else { 0.0 };
    Factors { add: (square as f64 + rho * along as f64) as f32, rescale: (-2.0 * rho) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(center: &[i8], vector: &[i8], query: &[f64]) -> f64 {
        let mut bits = vec![false; center.len()];
        let code = encode(center, vector, |j| bits[j] = true);
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
        let code = encode(&center, &center, |_| panic!("no bit"));
        assert_eq!(code, Factors { add: 0.0, rescale: 0.0 });
    }
}
