//! Products of matrices and vectors as Python functions.

use numpy::{PyArray1, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use steep::faiss::linear;

use crate::arrays::{optional_count, table};
use crate::call::released;
use crate::errors::Result;

/// Ax + b of each row of `x`, into `out`.
#[pyfunction]
pub fn faiss_linear<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f32>,
    a: PyReadonlyArray2<'py, f32>,
    b: Option<PyReadonlyArray1<'py, f32>>,
    mut out: PyReadwriteArray2<'py, f32>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<()> {
    let (dim, threads) = (shared(&x, &a)?, optional_count("threads", threads)?);
    let (x, a, b) = (x.as_slice()?, a.as_slice()?, b.as_ref().map(PyReadonlyArray1::as_slice).transpose()?);
    let out = out.as_slice_mut()?;
    released(py, None, |pulse| Ok(linear::apply(x, dim, (a, b), out, (threads, Some(pulse)))?))
}

/// The squared distance of each row of `q` from each of `x`, into `out`.
#[pyfunction]
pub fn faiss_squares<'py>(
    py: Python<'py>,
    q: PyReadonlyArray2<'py, f32>,
    x: PyReadonlyArray2<'py, f32>,
    mut out: PyReadwriteArray2<'py, f32>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<()> {
    let (dim, threads) = (shared(&q, &x)?, optional_count("threads", threads)?);
    let (q, x, out) = (q.as_slice()?, x.as_slice()?, out.as_slice_mut()?);
    released(py, None, |pulse| Ok(linear::squares(q, x, dim, out, (threads, Some(pulse)))?))
}

/// Three rounds of signs and Hadamard transforms of each row of `x`, into `out`.
#[pyfunction]
pub fn faiss_rotate<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f32>,
    signs: PyReadonlyArray1<'py, f32>,
    mut out: PyReadwriteArray2<'py, f32>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<()> {
    let (dim, threads) = (x.shape()[1], optional_count("threads", threads)?);
    let (x, signs, out) = (x.as_slice()?, signs.as_slice()?, out.as_slice_mut()?);
    released(py, None, |pulse| Ok(linear::rotate(x, dim, signs, out, (threads, Some(pulse)))?))
}

/// (sums, weights): of the rows of each group.
#[pyfunction]
pub fn faiss_sums<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f32>,
    labels: PyReadonlyArray1<'py, i64>,
    groups: usize,
    weights: Option<PyReadonlyArray1<'py, f32>>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<(Bound<'py, PyAny>, Bound<'py, PyArray1<f64>>)> {
    let (dim, threads) = (x.shape()[1], optional_count("threads", threads)?);
    let (x, labels) = (x.as_slice()?, labels.as_slice()?);
    let weights = weights.as_ref().map(PyReadonlyArray1::as_slice).transpose()?;
    let (sums, sizes) = released(py, None, |pulse| {
        Ok(linear::sums(x, dim, (labels, groups), weights, (threads, Some(pulse)))?)
    })?;
    Ok((table(py, sums, dim, false)?, PyArray1::from_vec(py, sizes)))
}

/// Makes the rows of `x` of length 1, in place.
#[pyfunction]
pub fn faiss_normalize<'py>(
    py: Python<'py>,
    mut x: PyReadwriteArray2<'py, f32>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<()> {
    let (threads, dim) = (optional_count("threads", threads)?, x.shape()[1]);
    let x = x.as_slice_mut()?;
    released(py, None, |_| Ok(linear::normalize(x, dim, threads)?))
}

/// The columns that both have.
fn shared<'py>(x: &PyReadonlyArray2<'py, f32>, y: &PyReadonlyArray2<'py, f32>) -> Result<usize> {
    let (d, other) = (x.shape()[1], y.shape()[1]);
    if d != other {
        return Err(
            PyValueError::new_err(format!("rows of {d} and of {other} values: expected the same")).into()
        );
    }
    Ok(d)
}
