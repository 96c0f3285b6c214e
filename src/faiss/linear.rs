//! What does a matrix make of vectors, and vectors of each other? Every product that Faiss's interface asks for, on the core's kernel.

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::kernels::{Isa, Kernel, Simd};
use crate::threads::{self, Monitor};
use crate::transform::Matrix;

/// Vectors that a thread takes at a time: with their results they stay in L2 for the dimensions that are common.
const BLOCK: usize = 192;

/// Values that a thread takes at a time where it does little with each.
const PIECE: usize = 1 << 15;

/// y = Ax + b of each vector of `x`, where A is rows of `dim` values and b one value a row, or nothing.
///
/// # Errors
/// [`Error::Shape`] where `x` or `a` are not whole rows; [`Error::Dimension`] where `b` is not one value a row; [`Error::Argument`]
/// where `threads` is 0; [`Error::OutOfMemory`]; [`Error::Interrupted`].
pub fn apply(
    x: &[f32],
    dim: usize,
    (a, b): (&[f32], Option<&[f32]>),
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    check(x, dim)?;
    check(a, dim)?;
    let width = a.len() / dim;
    if let Some(b) = b
        && b.len() != width
    {
        return Err(Error::Dimension { what: "the offset", expected: width, got: b.len() });
    }
    let (matrix, isa) = (Matrix::new(a, dim), Isa::active());
    blocks(x, dim, width, threads, monitor, |x, y| {
        matrix.multiply(isa, x, y, width);
        if let Some(b) = b {
            for y in y.chunks_exact_mut(width) {
                y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
            }
        }
    })
}

/// ⟨q,x⟩ of each query with each vector, a row a query.
///
/// # Errors
/// As [`apply`].
pub fn products(
    q: &[f32],
    x: &[f32],
    dim: usize,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    apply(q, dim, (x, None), threads, monitor)
}

/// ‖q − x‖² of each query and each vector, a row a query: as ⟨(−2q, ‖q‖², 1), (x, 1, ‖x‖²)⟩, so that it costs what a product costs.
///
/// # Errors
/// As [`apply`].
pub fn squares(
    q: &[f32],
    x: &[f32],
    dim: usize,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    check(q, dim)?;
    check(x, dim)?;
    let longer = |rows: &[f32], factor: f32, norm_first: bool| {
        let mut long = Vec::new();
        let len = rows.len() / dim * (dim + 2);
        let memory = |_| Error::OutOfMemory { what: "vectors", bytes: 4 * len as u64 };
        long.try_reserve_exact(len).map_err(memory)?;
        for row in rows.chunks_exact(dim) {
            let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32;
            long.extend(row.iter().map(|v| factor * v));
            long.extend(if norm_first { [norm, 1.0] } else { [1.0, norm] });
        }
        Ok::<_, Error>(long)
    };
    products(&longer(q, -2.0, true)?, &longer(x, 1.0, false)?, dim + 2, threads, monitor)
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

/// Rows of `width` values, which `work` makes of blocks of vectors.
fn blocks<F: Fn(&[f32], &mut [f32]) + Sync>(
    x: &[f32],
    dim: usize,
    width: usize,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
    work: F,
) -> Result<Vec<f32>> {
    let mut threads = threads::resolve(threads)?;
    let n = x.len() / dim;
    let mut out = Vec::new();
    let len = n.saturating_mul(width);
    let memory = |_| Error::OutOfMemory { what: "results", bytes: (len as u64).saturating_mul(4) };
    out.try_reserve_exact(len).map_err(memory)?;
    out.resize(len, 0f32);
    if len == 0 {
        return Ok(out);
    }
    if len.saturating_mul(dim) < 1 << 20 {
        threads = 1;
    }
    let parts: Vec<_> = out.chunks_mut(BLOCK * width).map(Mutex::new).collect();
    threads::run(threads, monitor, "multiply", (parts.len(), n as u64), |at, worker| {
        if let Ok(mut part) = parts[at].lock() {
            let from = at * BLOCK;
            let to = (from + BLOCK).min(n);
            work(&x[from * dim..to * dim], &mut part);
            worker.advance((to - from) as u64);
        }
        Ok(())
    })?;
    drop(parts);
    Ok(out)
}

fn check(x: &[f32], dim: usize) -> Result<()> {
    if dim == 0 || !x.len().is_multiple_of(dim) {
        return Err(Error::Shape { len: x.len(), dim });
    }
    Ok(())
}
