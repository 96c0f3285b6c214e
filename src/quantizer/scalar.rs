//! A few bits a coordinate: a residual r is coded as u_j = ⌊t·r_j⌋ + 2ᴮ⁻¹ in B bits, which stands for x̄ = u − (2ᴮ − 1)/2.
//!
//! Vectors are randomly turned heads, so that one t suits all coordinates. What it is, is what codes of B bits differ in:
//!
//! * `rabitq`: the direction of x̄ should be that of r, and t is chosen for that among a few multiples of what suits normal coordinates
//!   (RaBitQ: Gao, Long 2024; Gao and others 2025);
//! * `lvq`: the largest coordinate is just met, and so every one to half a step (locally-adaptive vector quantisation: Aguerrebere and
//!   others 2023);
//! * `sq`: it is the same for all vectors, whose squared errors it makes least in the sum. The cheapest to encode.
//!
//! By their highest bits alone x̄ = ±½. Both have [`Factors`] of their own, by which estimates are right in the mean. With one bit
//! the estimate of the cosine between r and q − c has a standard deviation of about 0.75/√d, and each bit more halves it.

use super::{Code, Coding, Factors, Quantizer, dot};
use crate::kernels::fastscan::{PAIR, Tables};
use crate::kernels::lookup::ByteTables;
use crate::kernels::simd::ROUND;
use crate::kernels::{Isa, Kernel, Simd, planes};

/// The step that serves normal coordinates best, in deviations, for B = 1, 2 … (Max 1960).
const STEPS: [f32; 8] = [1.596, 0.9957, 0.586, 0.3352, 0.1881, 0.1041, 0.0568, 0.0308];
/// The multiples of it that are tried for a vector.
const TRIED: [f32; 5] = [1.0, 0.88, 1.13, 0.76, 1.3];
/// Those that are tried for all vectors, whose lengths differ: powers of two of so many quarters.
const SHARED: std::ops::Range<i32> = -4..12;

/// How t is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `"rabitq"`: by the direction of each vector.
    Rabitq,
    /// `"lvq"`: by the reach of each vector.
    Lvq,
    /// `"sq"`: once for all vectors.
    Sq,
}

/// B bits a coordinate.
#[derive(Debug, PartialEq)]
pub(crate) struct Scalar {
    step: Step,
    bits: usize,
    extra: usize,
    width: usize,
    /// Of all vectors, under [`Step::Sq`].
    t: f32,
}

impl Scalar {
    /// Bits a coordinate at most.
    pub const MOST: usize = planes::MOST + 1;
    /// By the highest bits ⟨x̄,q⟩ is off by so much in units of ‖q−c‖: ‖x̄‖ · √(1 − cos²(r,x̄)) / √d, which is ½√(1 − 2/π) where
    /// coordinates are normal.
    pub const DEVIATION: f32 = 0.3014;

    /// Learns from `residuals` of `width` coordinates each.
    pub fn train(step: Step, bits: usize, width: usize, residuals: &[f32]) -> Self {
        let mut made = Self { step, bits, extra: bits - 1, width, t: 1.0 };
        let deviation = (dot(residuals, residuals) / residuals.len().max(1) as f32).sqrt();
        if step == Step::Sq && deviation > 0.0 {
            let lost = |t: f32| residuals.iter().map(|&r| (r - (made.level(r, t) + 0.5) / t).powi(2)).sum();
            let tried = SHARED.map(|at| 1.0 / (STEPS[bits - 1] * deviation * (at as f32 / 4.0).exp2()));
            let best = tried.map(|t| (lost(t), t)).min_by(|a: &(f32, f32), b| a.0.total_cmp(&b.0));
            made.t = best.map_or(1.0, |best| best.1);
        }
        made
    }

    /// From what [`Quantizer::state`] gave; nothing where it is not that.
    pub fn from_state(step: Step, bits: usize, width: usize, state: &[f32]) -> Option<Self> {
        let made = |t| Self { step, bits, extra: bits - 1, width, t };
        match (step, state) {
            (Step::Sq, &[t]) => (t.is_finite() && t > 0.0).then(|| made(t)),
            (Step::Rabitq | Step::Lvq, []) => Some(made(1.0)),
            _ => None,
        }
    }

    /// Eight bits a coordinate, all of them in the rest of a code whose nibbles are another's.
    pub fn whole(step: Step, width: usize) -> Self {
        Self { step, bits: 8, extra: planes::WHOLE, width, t: 1.0 }
    }

    /// Of points that are looked at by their highest bits, or else exactly: see [`Scalar::encode_point`].
    pub fn points(width: usize) -> Self {
        Self::whole(Step::Sq, width)
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
        if self.bits == 1 || square == 0.0 {
            return ([top; 2], 1.0);
        }
        let t = match self.step {
            Step::Rabitq => self.turned(residual, (square / self.width as f32).sqrt()),
            Step::Lvq => {
                (1 << (self.bits - 1)) as f32 / residual.iter().fold(0f32, |most, r| most.max(r.abs()))
            }
            Step::Sq => self.t,
        };
        let (mut along, mut center_along) = ([0f32; PAIR], [0f32; PAIR]);
        for (r, c) in residual.as_chunks::<PAIR>().0.iter().zip(center.as_chunks::<PAIR>().0) {
            for i in 0..PAIR {
                let x = self.level(r[i], t) + 0.5;
                along[i] += r[i] * x;
                center_along[i] += c[i] * x;
            }
        }
        ([top, Factors::new(square, along.iter().sum(), center_along.iter().sum())], t)
    }

    /// The t of [`TRIED`] by which x̄ has the direction of a residual of this `deviation`.
    #[inline(always)]
    fn turned(&self, residual: &[f32], deviation: f32) -> f32 {
        let mut best = (f32::NEG_INFINITY, 1.0);
        for tried in TRIED {
            let t = 1.0 / (STEPS[self.bits - 1] * tried * deviation);
            // Sums side by side, so that they need not wait for each other.
            let (mut along, mut norm) = ([0f32; PAIR], [0f32; PAIR]);
            for eight in residual.as_chunks::<PAIR>().0 {
                for i in 0..PAIR {
                    let x = self.level(eight[i], t) + 0.5;
                    along[i] += eight[i] * x;
                    norm[i] += x * x;
                }
            }
            let cosine = along.iter().sum::<f32>() / norm.iter().sum::<f32>().sqrt();
            if cosine > best.0 {
                best = (cosine, t);
            }
        }
        best.1
    }

    /// ⌊t·x⌋, not below −2ᴮ⁻¹ nor above 2ᴮ⁻¹ − 1.
    #[inline(always)]
    fn level(&self, x: f32, t: f32) -> f32 {
        let reach = (1 << (self.bits - 1)) as f32;
        (x * t).floor().clamp(-reach, reach - 1.0)
    }

    /// Writes what there is room for.
    #[inline(always)]
    fn write(&self, residual: &[f32], t: f32, code: Code) {
        // Whole numbers from 0 on, in the lowest bits.
        let zero = (1 << (self.bits - 1)) as f32 + ROUND;
        let mut all = vec![0; residual.len()];
        for (all, r) in all.as_chunks_mut::<PAIR>().0.iter_mut().zip(residual.as_chunks::<PAIR>().0) {
            for i in 0..PAIR {
                all[i] = (self.level(r[i], t) + zero).to_bits() as u8;
            }
        }
        for (byte, eight) in code.nibbles.iter_mut().zip(all.as_chunks::<PAIR>().0) {
            for (b, u) in eight.iter().enumerate() {
                *byte |= (u >> (self.bits - 1)) << b;
            }
        }
        planes::pack(&all, self.extra, code.planes);
    }
}

impl Quantizer for Scalar {
    fn name(&self) -> String {
        Coding::Scalar { step: self.step, bits: self.bits }.to_string()
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
        struct Fit<'a>(&'a Scalar, &'a [f32], &'a [f32], Code<'a>);
        impl Kernel for Fit<'_> {
            type Out = [Factors; 2];
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> [Factors; 2] {
                let Self(scalar, residual, center, code) = self;
                let (factors, t) = scalar.fit(residual, center);
                scalar.write(residual, t, code);
                factors
            }
        }
        isa.run(Fit(self, residual, center, code))
    }

    fn decode(&self, nibbles: &[u8], planes: &[u8], x: &mut [f32]) {
        let top = |j: usize| nibbles[j / PAIR] >> (j % PAIR) & 1;
        if planes.is_empty() {
            (0..).zip(x).for_each(|(j, x)| *x = f32::from(top(j)) - 0.5);
            return;
        }
        let mut u = vec![0; self.width];
        if self.extra < planes::WHOLE {
            (0..).zip(&mut u).for_each(|(j, u)| *u = top(j) << self.extra);
        }
        planes::unpack(planes, self.extra, &mut u);
        let middle = ((1u32 << self.bits) - 1) as f32 / 2.0;
        x.iter_mut().zip(u).for_each(|(x, u)| *x = f32::from(u) - middle);
    }

    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables, _: &mut ByteTables) {
        struct Set<'a>(&'a [f32], &'a mut Tables);
        impl Kernel for Set<'_> {
            type Out = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                self.1.set(s, self.0);
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
        if self.step == Step::Sq { vec![self.t] } else { Vec::new() }
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
