//! Least entries and buckets as Python functions.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use steep::faiss::select;

use crate::arrays::{count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

type Any<'py> = Bound<'py, PyAny>;

/// (values, places): the `k` least of each row, or the greatest.
#[pyfunction]
pub fn faiss_select<'py>(
    py: Python<'py>,
    values: PyReadonlyArray2<'py, f32>,
    k: &Any<'py>,
    largest: bool,
    threads: Option<&Any<'py>>,
) -> Result<(Any<'py>, Any<'py>)> {
    let (k, threads) = (count("k", k)?, optional_count("threads", threads)?);
    let (n, values) = (values.shape()[1], values.as_slice()?);
    let (kept, places) =
        released(py, None, |pulse| Ok(select::nearest(values, n, k, largest, threads, Some(pulse))?))?;
    Ok((table(py, kept, k, false)?, table(py, places, k, false)?))
}

/// (begins, entries by bucket): of a table's rows of `width` entries, row numbers.
#[pyfunction]
pub fn faiss_buckets<'py>(
    py: Python<'py>,
    entries: PyReadonlyArray1<'py, i64>,
    buckets: &Any<'py>,
    width: &Any<'py>,
) -> Result<(Any<'py>, Any<'py>)> {
    let (buckets, width) = (count("nbucket", buckets)?, count("width", width)?);
    let entries = entries.as_slice()?;
    let (begins, sorted) = released(py, None, |_| Ok(select::buckets(entries, buckets, width)?))?;
    let len = sorted.len();
    Ok((table(py, begins, buckets + 1, true)?, table(py, sorted, len, true)?))
}
