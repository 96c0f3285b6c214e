//! A matrix of bytes times many vectors, for what is ranked exactly in the end.
//!
//! A single query reads all of the matrix: the fewer bytes that is, the sooner. With steps of its own for each row p and each vector x,
//!
//! ```text
//! p ≈ low + step · u, u in 0..=255     x ≈ unit · q, |q| at most 255     ⟨p,x⟩ ≈ unit · (step · Σ u·q + low · Σ q)
//! ```
//!
//! which of values that vary alike is off by a part of about 0.008 of |x|: what a byte a coordinate costs the vectors themselves.

use super::Turn;
use crate::kernels::simd::ROUND;
use crate::kernels::{Isa, Kernel, Simd};

/// Rows whose sums are in registers together.
const LANES: usize = 16;
/// Coordinates of a row that lie side by side.
const QUAD: usize = 4;
/// Vectors that share a pass over the rows.
const TOGETHER: usize = 4;
/// Where a product takes no coordinate as large as this, vectors have two parts: with steps twice as coarse, clusters that are tight and far
/// from each other were no longer told apart.
const FINE: i32 = 255;
/// Panels that share a pass over one vector.
const PANELS: usize = 4;
/// Vectors that are in L1 beside a panel.
const BLOCK: usize = 4 * TOGETHER;

/// P, [`LANES`] rows at a time, [`QUAD`] coordinates by [`QUAD`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RoundedMatrix {
    dims: usize,
    panels: Vec<Line>,
    scales: Vec<Scales>,
}

/// A quad of each row of a panel: one line of the cache.
#[repr(align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Line([[u8; QUAD]; LANES]);

/// Of the rows of a panel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Scales {
    low: [f32; LANES],
    step: [f32; LANES],
}

impl RoundedMatrix {
    /// From rows of `dims` values, one after the other.
    pub fn new(rows: &[f32], dims: usize) -> Self {
        let (count, quads) = ((rows.len() / dims).div_ceil(LANES), dims.div_ceil(QUAD));
        let mut panels = vec![Line([[0; QUAD]; LANES]); count * quads];
        let mut scales = vec![Scales::default(); count];
        for (i, row) in rows.chunks_exact(dims).enumerate() {
            let (panel, lane) = (i / LANES, i % LANES);
            let (low, high) =
                row.iter().fold((f32::MAX, f32::MIN), |(low, high), &p| (p.min(low), p.max(high)));
            let step = (high - low) / 255.0;
            (scales[panel].low[lane], scales[panel].step[lane]) = (low, step);
            for (j, &p) in row.iter().enumerate() {
                // Not a number where all values are one: `as` makes it 0.
                panels[panel * quads + j / QUAD].0[lane][j % QUAD] = ((p - low) / step).round() as u8;
            }
        }
        Self { dims, panels, scales }
    }
}

impl Turn for RoundedMatrix {
    fn turn(&self, isa: Isa, values: &[f32], out: &mut [f32], stride: usize) {
        isa.run(Multiply { matrix: self, values, out, stride });
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.panels) + size_of_val(&*self.scales)
    }
}

/// y = Px for all vectors.
struct Multiply<'a> {
    matrix: &'a RoundedMatrix,
    values: &'a [f32],
    out: &'a mut [f32],
    stride: usize,
}

impl Kernel for Multiply<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { matrix, values, out, stride } = self;
        let dims = matrix.dims;
        let quads = dims.div_ceil(QUAD);
        let parts = if S::BYTE_MAX < FINE { 2 } else { 1 };
        // No sum leaves an i32.
        let most = S::BYTE_MAX.min(i32::MAX / (255 * dims as i32)) as f32;
        let together = BLOCK.min(values.len() / dims);
        let mut quad = vec![[0; 2]; together * parts * quads];
        let mut steps = vec![0; quads * QUAD];
        let mut coded = Vec::with_capacity(together);
        for (values, out) in values.chunks(BLOCK * dims).zip(out.chunks_mut(BLOCK * stride)) {
            coded.clear();
            for (vector, quad) in values.chunks_exact(dims).zip(quad.chunks_exact_mut(parts * quads)) {
                coded.push(code(s, vector, (most, parts), quad, &mut steps));
            }
            let vectors = (&*quad, &*coded);
            match parts {
                1 => multiply_block::<S, 1>(s, matrix, vectors, out, stride),
                _ => multiply_block::<S, 2>(s, matrix, vectors, out, stride),
            }
        }
    }
}

/// What becomes of vectors of P parts: of [`TOGETHER`] of them and two panels at a time, of those that are left, which may be a query by
/// itself, one by one and [`PANELS`] at a time. Otherwise there would be more loads, of lines or of quads, than products.
#[inline(always)]
fn multiply_block<S: Simd, const P: usize>(
    s: S,
    matrix: &RoundedMatrix,
    (quads, coded): (&[[i32; 2]], &[Coded]),
    out: &mut [f32],
    stride: usize,
) {
    let count = matrix.dims.div_ceil(QUAD);
    let (panels, shared) = (matrix.scales.len(), coded.len() / TOGETHER * TOGETHER);
    for panel in (0..panels).step_by(2) {
        for at in (0..shared).step_by(TOGETHER) {
            let (vectors, out) = ((&quads[at * P * count..], &coded[at..]), &mut out[at * stride..]);
            match panels - panel {
                1 => multiply::<S, TOGETHER, P, 1>(s, matrix, panel, vectors, out, stride),
                _ => multiply::<S, TOGETHER, P, 2>(s, matrix, panel, vectors, out, stride),
            }
        }
    }
    for panel in (0..panels).step_by(PANELS) {
        for at in shared..coded.len() {
            let (vector, out) = ((&quads[at * P * count..], &coded[at..]), &mut out[at * stride..]);
            match panels - panel {
                1 => multiply::<S, 1, P, 1>(s, matrix, panel, vector, out, stride),
                2 => multiply::<S, 1, P, 2>(s, matrix, panel, vector, out, stride),
                3 => multiply::<S, 1, P, 3>(s, matrix, panel, vector, out, stride),
                _ => multiply::<S, 1, P, PANELS>(s, matrix, panel, vector, out, stride),
            }
        }
    }
}

/// A vector in steps: of `unit`, and where that is coarse, of what these leave in steps of `unit` · `rest`.
#[derive(Clone, Copy)]
struct Coded {
    unit: f32,
    rest: f32,
    /// unit · (Σ q + rest · Σ q'), q' the second part.
    sum: f32,
}

/// Writes the steps of `vector` to `quads`, in `parts` of magnitudes up to `most`. `steps` is memory to work in: what is padding
/// there stays 0.
#[inline(always)]
fn code<S: Simd>(
    s: S,
    vector: &[f32],
    (most, parts): (f32, usize),
    quads: &mut [[i32; 2]],
    steps: &mut [i16],
) -> Coded {
    // Side by side, which registers compare whole.
    let mut reaches = [0f32; LANES];
    let (groups, rest) = vector.as_chunks::<LANES>();
    for group in groups {
        for (reach, v) in reaches.iter_mut().zip(group) {
            *reach = if v.abs() > *reach { v.abs() } else { *reach };
        }
    }
    let reach = reaches.iter().chain(rest).fold(0f32, |reach, v| reach.max(v.abs()));
    let unit = if reach > 0.0 { reach / most } else { 1.0 };
    let scale = 1.0 / unit;
    // Whole steps leave at most half a step.
    let rest = 0.5 / most;
    let mut sums = [0, 0];
    let lines = quads.len() / parts;
    for (part, (quads, sum)) in quads.chunks_exact_mut(lines).zip(&mut sums).enumerate() {
        if part == 0 {
            for (step, v) in steps.iter_mut().zip(vector) {
                *step = (v * scale + ROUND).to_bits() as i16;
            }
        } else {
            for (step, v) in steps.iter_mut().zip(vector) {
                let left = v * scale - ((v * scale + ROUND) - ROUND);
                *step = (left / rest + ROUND).to_bits() as i16;
            }
        }
        for step in &*steps {
            *sum += i32::from(*step);
        }
        for (quad, steps) in quads.iter_mut().zip(steps.as_chunks().0) {
            *quad = s.pack_bytes(*steps);
        }
    }
    Coded { unit, rest, sum: unit * (sums[0] as f32 + rest * sums[1] as f32) }
}

/// Writes the coordinates of W panels, from `first` on, of what Q vectors of P parts become; vectors are `stride` apart in `out`.
#[inline(always)]
fn multiply<S: Simd, const Q: usize, const P: usize, const W: usize>(
    s: S,
    matrix: &RoundedMatrix,
    first: usize,
    (quads, coded): (&[[i32; 2]], &[Coded]),
    out: &mut [f32],
    stride: usize,
) {
    let count = matrix.dims.div_ceil(QUAD);
    let parts: [[&[[i32; 2]]; P]; Q] =
        std::array::from_fn(|q| std::array::from_fn(|p| &quads[(q * P + p) * count..][..count]));
    let panels: [&[Line]; W] = std::array::from_fn(|w| &matrix.panels[(first + w) * count..][..count]);
    let mut sums = [[[s.zero_i32(); W]; P]; Q];
    for at in 0..count {
        for q in 0..Q {
            for p in 0..P {
                for w in 0..W {
                    let line = bytemuck::must_cast_ref(&panels[w][at].0);
                    sums[q][p][w] = s.dot_bytes(sums[q][p][w], line, &parts[q][p][at]);
                }
            }
        }
    }
    for q in 0..Q {
        let Coded { unit, rest, sum } = coded[q];
        for w in 0..W {
            let scales = &matrix.scales[first + w];
            let mut lanes = [0.0; LANES];
            for p in (0..P).rev() {
                let part = s.lanes_f32(s.to_f32(sums[q][p][w]));
                for i in 0..LANES {
                    lanes[i] = lanes[i] * rest + part[i];
                }
            }
            for i in 0..LANES {
                lanes[i] = lanes[i] * scales.step[i] * unit + scales.low[i] * sum;
            }
            let at = (first + w) * LANES;
            let count = LANES.min(stride - at);
            out[q * stride + at..][..count].copy_from_slice(&lanes[..count]);
        }
    }
}
