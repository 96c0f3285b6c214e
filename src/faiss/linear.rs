//! What does a matrix make of vectors, and vectors of each other? Every product that Faiss's interface asks for, on the core's kernel.

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::kernels::product::{Few, Panels, Products};
use crate::kernels::{Isa, Kernel, Simd};
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::transform::hadamard;

/// Vectors that a thread takes at a time: with their results they stay in L2 for the dimensions that are common.
const BLOCK: usize = 192;

/// So few vectors on one side are not worth packing the other.
const HANDFUL: usize = 16;

/// Values that a thread takes at a time where it does little with each.
const PIECE: usize = 1 << 15;

/// y = Ax + b of each vector of `x`, where A is rows of `dim` values and b one value a row, or nothing; a row of `out` a vector.
///
/// # Errors
/// [`Error::Shape`] where `x` or `a` are not whole rows; [`Error::Dimension`] where `b` is not one value a row, or `out` has another
/// length; [`Error::Argument`] where `threads` is 0; [`Error::Interrupted`].
pub fn apply(
    x: &[f32],
    dim: usize,
    (a, b): (&[f32], Option<&[f32]>),
    out: &mut [f32],
    (threads, monitor): (Option<usize>, Option<&dyn Monitor>),
) -> Result<()> {
    check(x, dim)?;
    check(a, dim)?;
    let (n, width, threads) = (x.len() / dim, a.len() / dim, threads::resolve(threads)?);
    if let Some(b) = b
        && b.len() != width
    {
        return Err(Error::Dimension { what: "the offset", expected: width, got: b.len() });
    }
    if out.len() != n * width {
        return Err(Error::Dimension { what: "the results", expected: n * width, got: out.len() });
    }
    if out.is_empty() {
        return Ok(());
    }
    if n < HANDFUL {
        few::<false>(x, a, dim, out, (threads, monitor))?;
        if let Some(b) = b {
            for y in out.chunks_exact_mut(width) {
                y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
            }
        }
        return Ok(());
    }
    let (panels, isa) = (Panels::new(a, dim), Isa::active());
    // A hand-over costs more than small products.
    let threads = if out.len().saturating_mul(dim) < 1 << 20 { 1 } else { threads };
    let parts: Vec<_> = out.chunks_mut(BLOCK * width).map(Mutex::new).collect();
    threads::run(threads, monitor, "multiply", (parts.len(), n as u64), |at, worker| {
        if let Ok(mut out) = parts[at].lock() {
            let (from, to) = (at * BLOCK, (at * BLOCK + BLOCK).min(n));
            isa.run(Products { rows: &x[from * dim..to * dim], panels: &panels, out: &mut out });
            if let Some(b) = b {
                for y in out.chunks_exact_mut(width) {
                    y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
                }
            }
            worker.advance((to - from) as u64);
        }
        Ok(())
    })
}

/// ‖q − x‖² of each query and each vector, a row of `out` a query: as ⟨(−2q, ‖q‖², 1), (x, 1, ‖x‖²)⟩, so that it costs what a product
/// costs.
///
/// # Errors
/// As [`apply`], and [`Error::OutOfMemory`].
pub fn squares(
    q: &[f32],
    x: &[f32],
    dim: usize,
    out: &mut [f32],
    call: (Option<usize>, Option<&dyn Monitor>),
) -> Result<()> {
    check(q, dim)?;
    check(x, dim)?;
    if q.len() / dim < HANDFUL && out.len() == q.len() / dim * (x.len() / dim) {
        return few::<true>(q, x, dim, out, (threads::resolve(call.0)?, call.1));
    }
    let (mut queries, mut vectors) = (Vec::new(), Vec::new());
    asked(q, dim, &mut queries)?;
    stored(x, dim, &mut vectors)?;
    apply(&queries, dim + 2, (&vectors, None), out, call)
}

/// Appends (−2q, ‖q‖², 1) of each query.
fn asked(q: &[f32], dim: usize, to: &mut Vec<f32>) -> Result<()> {
    longer(q, dim, to, |to, q, norm| {
        to.extend(q.iter().map(|v| -2.0 * v));
        to.extend([norm, 1.0]);
    })
}

/// Appends (x, 1, ‖x‖²) of each vector.
fn stored(x: &[f32], dim: usize, to: &mut Vec<f32>) -> Result<()> {
    longer(x, dim, to, |to, x, norm| {
        to.extend_from_slice(x);
        to.extend([1.0, norm]);
    })
}

fn longer(x: &[f32], dim: usize, to: &mut Vec<f32>, put: impl Fn(&mut Vec<f32>, &[f32], f32)) -> Result<()> {
    let len = x.len() / dim * (dim + 2);
    let memory = |_| Error::OutOfMemory { what: "vectors", bytes: 4 * len as u64 };
    to.try_reserve_exact(len).map_err(memory)?;
    for row in x.chunks_exact(dim) {
        // Sums side by side, so that they need not wait for each other.
        let (eights, rest) = row.as_chunks::<8>();
        let mut sums = [0f64; 8];
        for eight in eights {
            for (sum, &v) in sums.iter_mut().zip(eight) {
                *sum += f64::from(v) * f64::from(v);
            }
        }
        let rest: f64 = rest.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        put(to, row, (sums.iter().sum::<f64>() + rest) as f32);
    }
    Ok(())
}

/// Vectors that many queries meet, packed.
pub(super) struct Packed {
    panels: Panels,
    squares: bool,
}

impl Packed {
    /// For ‖q − x‖² where `squares`, for ⟨q,x⟩ otherwise.
    pub fn new(x: &[f32], dim: usize, squares: bool) -> Result<Self> {
        if !squares {
            return Ok(Self { panels: Panels::new(x, dim), squares });
        }
        let mut vectors = Vec::new();
        stored(x, dim, &mut vectors)?;
        Ok(Self { panels: Panels::new(&vectors, dim + 2), squares })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// A row of `out` for each query.
    pub fn meet(&self, isa: Isa, q: &[f32], dim: usize, out: &mut [f32]) -> Result<()> {
        let mut queries = Vec::new();
        let rows = if self.squares {
            asked(q, dim, &mut queries)?;
            &queries
        } else {
            q
        };
        isa.run(Products { rows, panels: &self.panels, out });
        Ok(())
    }
}

/// A row of `out` for each of a handful of rows: what they come to with each of `others`.
fn few<const SQUARES: bool>(
    rows: &[f32],
    others: &[f32],
    dim: usize,
    out: &mut [f32],
    (threads, monitor): (usize, Option<&dyn Monitor>),
) -> Result<()> {
    let (count, width, isa) = (rows.len() / dim, others.len() / dim, Isa::active());
    if out.is_empty() {
        return Ok(());
    }
    let piece = PIECE.div_ceil(dim);
    let parts = width.div_ceil(piece);
    if parts < 4 || threads == 1 {
        isa.run(Few::<SQUARES> { rows, others, dim, out });
        return threads::pause(monitor, "multiply", 1, 1);
    }
    let out = Mutex::new(out);
    threads::run(threads, monitor, "multiply", (parts, width as u64), |at, worker| {
        let (from, to) = (at * piece, (at * piece + piece).min(width));
        let mut part = vec![0.0; count * (to - from)];
        isa.run(Few::<SQUARES> { rows, others: &others[from * dim..to * dim], dim, out: &mut part });
        if let Ok(mut out) = out.lock() {
            for (out, part) in out.chunks_exact_mut(width).zip(part.chunks_exact(to - from)) {
                out[from..to].copy_from_slice(part);
            }
        }
        worker.advance((to - from) as u64);
        Ok(())
    })
}

/// Makes each vector of `x` one of length 1, in place; those of zeros stay.
///
/// # Errors
/// [`Error::Shape`] where `x` is not whole rows; [`Error::Argument`] where `threads` is 0.
pub fn normalize(x: &mut [f32], dim: usize, threads: Option<usize>) -> Result<()> {
    check(x, dim)?;
    let isa = Isa::active();
    let rows = PIECE.div_ceil(dim);
    // A hand-over costs more than a few thousand values.
    let threads = if x.len() < 2 * PIECE { 1 } else { threads::resolve(threads)? };
    let parts: Vec<_> = x.chunks_mut(rows * dim).map(Mutex::new).collect();
    threads::run(threads, None, "normalize", (parts.len(), parts.len() as u64), |at, _| {
        if let Ok(mut part) = parts[at].lock() {
            isa.run(Normalize { x: &mut part, dim });
        }
        Ok(())
    })
}

struct Normalize<'a> {
    x: &'a mut [f32],
    dim: usize,
}

impl Kernel for Normalize<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.x.chunks_exact_mut(self.dim) {
            let (lines, rest) = row.as_chunks::<16>();
            let mut sums = [s.zero_f32(); 2];
            for (at, line) in lines.iter().enumerate() {
                let line = s.load_f32(line);
                sums[at % 2] = s.mul_add_f32(line, line, sums[at % 2]);
            }
            let sum = s.lanes_f32(s.mul_add_f32(sums[0], s.splat_f32(1.0), sums[1]));
            let norm = sum.iter().sum::<f32>() + rest.iter().map(|v| v * v).sum::<f32>();
            if norm > 0.0 {
                let scale = 1.0 / norm.sqrt();
                for v in row {
                    *v *= scale;
                }
            }
        }
    }
}

/// Three rounds of signs and a Hadamard transform of each vector of `x`, which zeros fill up to the next power of two: `signs` holds three
/// times as many factors, a round after the other.
///
/// # Errors
/// As [`apply`].
pub fn rotate(
    x: &[f32],
    dim: usize,
    signs: &[f32],
    out: &mut [f32],
    (threads, monitor): (Option<usize>, Option<&dyn Monitor>),
) -> Result<()> {
    check(x, dim)?;
    let (n, width, threads) = (x.len() / dim, dim.next_power_of_two(), threads::resolve(threads)?);
    if out.len() != n * width || signs.len() != 3 * width {
        return Err(Error::Dimension { what: "the results", expected: n * width, got: out.len() });
    }
    let threads = if out.len() < PIECE { 1 } else { threads };
    let isa = Isa::active();
    let parts: Vec<_> = out.chunks_mut(BLOCK * width).map(Mutex::new).collect();
    threads::run(threads, monitor, "rotate", (parts.len(), n as u64), |at, worker| {
        if let Ok(mut out) = parts[at].lock() {
            let rows = out.len() / width;
            let x = &x[at * BLOCK * dim..][..rows * dim];
            isa.run(Rotate { x, dim, signs, out: &mut out, width });
            worker.advance(rows as u64);
        }
        Ok(())
    })
}

struct Rotate<'a> {
    x: &'a [f32],
    dim: usize,
    signs: &'a [f32],
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for Rotate<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { x, dim, signs, out, width } = self;
        let scale = 1.0 / (width as f32 * (width as f32).sqrt());
        for (x, y) in x.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
            let (head, tail) = y.split_at_mut(dim);
            head.copy_from_slice(x);
            tail.fill(0.0);
            for signs in signs.chunks_exact(width) {
                y.iter_mut().zip(signs).for_each(|(y, sign)| *y *= sign);
                hadamard(y);
            }
            y.iter_mut().for_each(|y| *y *= scale);
        }
    }
}

/// The sums of the vectors of each of `groups` groups, and what they weigh: vector i is in group `labels[i]`, and weighs `weights[i]` or 1.
///
/// # Errors
/// [`Error::Shape`] where `x` are not whole rows; [`Error::IdCount`] where labels or weights are not as many; [`Error::Argument`] for a
/// label that is no group, and where `threads` is 0; [`Error::OutOfMemory`]; [`Error::Interrupted`].
pub fn sums(
    x: &[f32],
    dim: usize,
    (labels, groups): (&[i64], usize),
    weights: Option<&[f32]>,
    (threads, monitor): (Option<usize>, Option<&dyn Monitor>),
) -> Result<(Vec<f64>, Vec<f64>)> {
    check(x, dim)?;
    for len in [labels.len(), weights.map_or(labels.len(), <[f32]>::len)] {
        if len != x.len() / dim {
            return Err(Error::IdCount { ids: len, vectors: x.len() / dim });
        }
    }
    if let Some(label) = labels.iter().find(|&&label| label < 0 || label >= groups as i64) {
        return Err(Error::argument("label", label, "the number of a group, counted from 0"));
    }
    let threads = if x.len() < 2 * PIECE { 1 } else { threads::resolve(threads)? };
    let mut sums = filled("sums", groups.saturating_mul(dim), 0f64)?;
    let mut sizes = filled("sums", groups, 0f64)?;
    // A thread has groups of its own, so that their order of summation is that of the vectors.
    let some = groups.div_ceil(threads).max(1);
    let parts: Vec<_> = sums.chunks_mut(some * dim).zip(sizes.chunks_mut(some)).map(Mutex::new).collect();
    threads::run(threads, monitor, "means", (parts.len(), parts.len() as u64), |at, worker| {
        let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
        let (sums, sizes) = &mut *part;
        for (i, (&label, row)) in labels.iter().zip(x.chunks_exact(dim)).enumerate() {
            let Some(group) = (label as usize).checked_sub(at * some).filter(|&group| group < sizes.len())
            else {
                continue;
            };
            let sums = &mut sums[group * dim..][..dim];
            let weight = weights.map_or(1.0, |weights| f64::from(weights[i]));
            sizes[group] += weight;
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += weight * f64::from(v));
        }
        worker.advance(1);
        Ok(())
    })?;
    drop(parts);
    Ok((sums, sizes))
}

fn check(x: &[f32], dim: usize) -> Result<()> {
    if dim == 0 || !x.len().is_multiple_of(dim) {
        return Err(Error::Shape { len: x.len(), dim });
    }
    Ok(())
}
