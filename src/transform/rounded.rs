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
/// Vectors that are in L1 beside a panel.
const BLOCK: usize = 4 * TOGETHER;

/// P, [`LANES`] rows at a time, [`QUAD`] coordinates by [`QUAD`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RoundedMatrix {
    dims: usize,
    panels: Vec<[[u8; QUAD]; LANES]>,
    scales: Vec<Scales>,
}

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
        let mut panels = vec![[[0; QUAD]; LANES]; count * quads];
        let mut scales = vec![Scales::default(); count];
        for (i, row) in rows.chunks_exact(dims).enumerate() {
            let (panel, lane) = (i / LANES, i % LANES);
            let (low, high) =
                row.iter().fold((f32::MAX, f32::MIN), |(low, high), &p| (p.min(low), p.max(high)));
            let step = (high - low) / 255.0;
            (scales[panel].low[lane], scales[panel].step[lane]) = (low, step);
            for (j, &p) in row.iter().enumerate() {
                // Not a number where all values are one: `as` makes it 0.
                panels[panel * quads + j / QUAD][lane][j % QUAD] = ((p - low) / step).round() as u8;
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
            for (panel, (lines, scales)) in matrix.panels.chunks_exact(quads).zip(&matrix.scales).enumerate()
            {
                let first = panel * LANES;
                let place = (stride, LANES.min(stride - first));
                let rows = (lines, scales);
                let mut at = 0;
                while at < coded.len() {
                    let vectors = (&quad[at * parts * quads..], &coded[at..]);
                    let out = &mut out[at * stride + first..];
                    // Where vectors have two parts, a product takes long: eight sums side by side hide that.
                    at += match (coded.len() - at >= TOGETHER, parts) {
                        (true, 1) => multiply::<S, TOGETHER, 1, 1>(s, rows, vectors, out, place),
                        (true, _) => multiply::<S, TOGETHER, 2, 1>(s, rows, vectors, out, place),
                        (false, 1) => multiply::<S, 1, 1, 1>(s, rows, vectors, out, place),
                        (false, _) => multiply::<S, 1, 2, 4>(s, rows, vectors, out, place),
                    };
                }
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

/// The coordinates of a panel's rows of what Q vectors of P parts become, by N sums for each; Q. `place` is the length of a row of `out`, and
/// how many coordinates there are.
#[inline(always)]
fn multiply<S: Simd, const Q: usize, const P: usize, const N: usize>(
    s: S,
    (lines, scales): (&[[[u8; QUAD]; LANES]], &Scales),
    (quads, coded): (&[[i32; 2]], &[Coded]),
    out: &mut [f32],
    (stride, count): (usize, usize),
) -> usize {
    let parts: [[&[[i32; 2]]; P]; Q] =
        std::array::from_fn(|q| std::array::from_fn(|p| &quads[(q * P + p) * lines.len()..][..lines.len()]));
    let mut sums = [[[s.zero_i32(); N]; P]; Q];
    let (groups, _) = lines.as_chunks::<N>();
    for (group, lines) in groups.iter().enumerate() {
        for n in 0..N {
            for q in 0..Q {
                for p in 0..P {
                    let quad = &parts[q][p][group * N + n];
                    sums[q][p][n] = s.dot_bytes(sums[q][p][n], bytemuck::must_cast_ref(&lines[n]), quad);
                }
            }
        }
    }
    for at in groups.len() * N..lines.len() {
        for q in 0..Q {
            for p in 0..P {
                let line = bytemuck::must_cast_ref(&lines[at]);
                sums[q][p][0] = s.dot_bytes(sums[q][p][0], line, &parts[q][p][at]);
            }
        }
    }
    for q in 0..Q {
        let Coded { unit, rest, sum } = coded[q];
        let mut lanes = [0.0; LANES];
        for p in (0..P).rev() {
            let mut all = sums[q][p][0];
            for n in 1..N {
                all = s.add_i32(all, sums[q][p][n]);
            }
            let part = s.lanes_f32(s.to_f32(all));
            for i in 0..LANES {
                lanes[i] = lanes[i] * rest + part[i];
            }
        }
        for i in 0..LANES {
            lanes[i] = lanes[i] * scales.step[i] * unit + scales.low[i] * sum;
        }
        out[q * stride..][..count].copy_from_slice(&lanes[..count]);
    }
    Q
}
