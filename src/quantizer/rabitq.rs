//! A few bits a coordinate, and an unbiased estimate of a distance (RaBitQ: Gao, Long 2024; Gao and others 2025), relative to any
//! centre.
//!
//! Vectors are randomly turned heads. A residual r is coded as u_j = ⌊t·r_j⌋ + 2ᴮ⁻¹ in B bits, which stands for x̄ = u − (2ᴮ − 1)/2: the
//! direction of x̄ should be that of r, and t is chosen for that among a few multiples of what suits normal coordinates. By their
//! highest bits alone x̄ = ±½. Both have [`Factors`] of their own. With one bit the estimate of the cosine between r and q − c has a
//! standard deviation of about 0.75/√d, and each bit more halves it.

use super::{Code, Factors, Quantizer, dot};
use crate::kernels::fastscan::{PAIR, Tables};
use crate::kernels::{Isa, Kernel, Simd, planes};

/// The step that serves normal coordinates best, in deviations, for B = 1, 2 … (Max 1960).
const STEPS: [f32; 8] = [1.596, 0.9957, 0.586, 0.3352, 0.1881, 0.1041, 0.0568, 0.0308];
/// The multiples of it that are tried.
const TRIED: [f32; 5] = [1.0, 0.88, 1.13, 0.76, 1.3];

/// B bits a coordinate.
pub(crate) struct Rabitq {
    bits: usize,
    extra: usize,
    width: usize,
}

impl Rabitq {
    /// Bits a coordinate at most.
    pub const MOST: usize = planes::MOST + 1;
    /// By the highest bits ⟨x̄,q⟩ is off by so much in units of ‖q−c‖: ‖x̄‖ · √(1 − cos²(r,x̄)) / √d, which is ½√(1 − 2/π) where
    /// coordinates are normal.
    pub const DEVIATION: f32 = 0.3014;

    pub fn new(bits: usize, width: usize) -> Self {
        Self { bits, extra: bits - 1, width }
    }

    /// Of points that are looked at by their highest bits, or else exactly: see [`Rabitq::encode_point`].
    pub fn points(width: usize) -> Self {
        Self { bits: 8, extra: planes::WHOLE, width }
    }

    /// Codes the vector whose coordinates are all an integer and a half, as a point by itself and not a direction, relative to
    /// the origin: by all of its bits it is met exactly.
    pub fn encode_point(&self, point: &[f32], code: Code) -> [Factors; 2] {
        let square = dot(point, point);
        let top = Factors::new(square, sum_abs(point) / 2.0, 0.0);
        self.write(point, 1.0, code);
        [top, Factors { add: square, rescale: -2.0 }]
    }

    /// The factors of a residual by its highest bits and by all, and t.
    #[inline(always)]
    fn fit(&self, residual: &[f32], center: &[f32]) -> ([Factors; 2], f32) {
        let square = dot(residual, residual);
        let mut signs = 0.0;
        for (&r, &c) in residual.iter().zip(center) {
            signs += if r >= 0.0 { c } else { -c };
        }
        let top = Factors::new(square, sum_abs(residual) / 2.0, signs / 2.0);
        let deviation = (square / self.width as f32).sqrt();
        if self.bits == 1 || deviation == 0.0 {
            return ([top; 2], 1.0);
        }
        let mut best = (f32::NEG_INFINITY, 1.0, 0.0);
        for tried in TRIED {
            let t = 1.0 / (STEPS[self.bits - 1] * tried * deviation);
            // Sums side by side, so that they need not wait for each other.
            let (mut along, mut norm) = ([0f32; 8], [0f32; 8]);
            for eight in residual.as_chunks::<PAIR>().0 {
                for i in 0..PAIR {
                    let x = self.level(eight[i], t) + 0.5;
                    along[i] += eight[i] * x;
                    norm[i] += x * x;
                }
            }
            let along = along.iter().sum::<f32>();
            let cosine = along / norm.iter().sum::<f32>().sqrt();
            if cosine > best.0 {
                best = (cosine, t, along);
            }
        }
        let (_, t, along) = best;
        let mut center_along = [0f32; 8];
        for (r, c) in residual.as_chunks::<PAIR>().0.iter().zip(center.as_chunks::<PAIR>().0) {
            for i in 0..PAIR {
                center_along[i] += c[i] * (self.level(r[i], t) + 0.5);
            }
        }
        ([top, Factors::new(square, along, center_along.iter().sum())], t)
    }

    /// ⌊t·x⌋, not below −2ᴮ⁻¹ nor above 2ᴮ⁻¹ − 1.
    #[inline(always)]
    fn level(&self, x: f32, t: f32) -> f32 {
        let reach = (1 << (self.bits - 1)) as f32;
        (x * t).floor().clamp(-reach, reach - 1.0)
    }

    fn write(&self, residual: &[f32], t: f32, code: Code) {
        let half = 1 << (self.bits - 1);
        let mut all = Vec::with_capacity(self.width);
        for (byte, eight) in code.nibbles.iter_mut().zip(residual.as_chunks::<PAIR>().0) {
            for (b, &r) in eight.iter().enumerate() {
                let u = (self.level(r, t) as i32 + half) as u8;
                *byte |= (u >> (self.bits - 1)) << b;
                all.push(u);
            }
        }
        planes::pack(&all, self.extra, code.planes);
    }
}

impl Quantizer for Rabitq {
    fn name(&self) -> String {
        format!("rabitq{}", self.bits)
    }

    fn width(&self) -> usize {
        self.width
    }

    fn nibbles(&self) -> usize {
        2 * self.width / PAIR
    }

    fn extra(&self) -> usize {
        self.extra
    }

    fn encode(&self, isa: Isa, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2] {
        struct Fit<'a>(&'a Rabitq, &'a [f32], &'a [f32]);
        impl Kernel for Fit<'_> {
            type Out = ([Factors; 2], f32);
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> ([Factors; 2], f32) {
                self.0.fit(self.1, self.2)
            }
        }
        let (factors, t) = isa.run(Fit(self, residual, center));
        self.write(residual, t, code);
        factors
    }

    fn decode(&self, nibbles: &[u8], planes: &[u8], x: &mut [f32]) {
        let mut u = vec![0; self.width];
        if self.extra < planes::WHOLE {
            for (j, u) in u.iter_mut().enumerate() {
                *u = (nibbles[j / PAIR] >> (j % PAIR) & 1) << self.extra;
            }
        }
        planes::unpack(planes, self.extra, &mut u);
        let middle = ((1u32 << self.bits) - 1) as f32 / 2.0;
        x.iter_mut().zip(u).for_each(|(x, u)| *x = f32::from(u) - middle);
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables) {
        struct Set<'a>(&'a [f32], &'a mut Tables);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                self.1.set(self.0);
            }
        }
        isa.run(Set(query, tables));
    }

    fn deviations(&self) -> [f32; 2] {
        // Of uniform steps within a normal coordinate: 1/√12 of a step each, and those of the outermost.
        let all = if self.bits == 1 { Self::DEVIATION } else { 0.32 };
        [Self::DEVIATION, all]
    }

    fn state(&self) -> Vec<f32> {
        Vec::new()
    }
}

#[inline(always)]
fn sum_abs(values: &[f32]) -> f32 {
    let mut sums = [0f32; PAIR];
    for eight in values.as_chunks::<PAIR>().0 {
        for (sum, v) in sums.iter_mut().zip(eight) {
            *sum += v.abs();
        }
    }
    sums.iter().sum()
}

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
