//! How do arrays come in and go out? Without a copy: the one door between NumPy's memory and the core.
//!
//! C-contiguous arrays of the five element types pass as they are. Whatever else holds numbers is made such an
//! array by `steep/_arrays.py`, which says what it converts and what it refuses.

use numpy::ndarray::Array2;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArrayDescr, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods,
    PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use steep::{Dtype, Error, Vectors};

use crate::errors::Result;

/// Vectors that a caller passed, and the hold on the array that they lie in.
pub struct Matrix<'py> {
    values: Values<'py>,
    dtype: Dtype,
    dim: usize,
    /// One vector, of shape (d,): its results have one axis less too.
    pub single: bool,
}

/// An array as it is lent: floats and bytes as they are, which most are; all others by a view of their bytes.
enum Values<'py> {
    Floats(PyReadonlyArrayDyn<'py, f32>),
    Bytes(PyReadonlyArrayDyn<'py, u8>),
}

impl<'py> Values<'py> {
    fn new(array: &Bound<'py, PyUntypedArray>, dtype: Dtype) -> Result<Self> {
        if dtype == Dtype::F32
            && let Ok(array) = array.cast_exact::<PyArrayDyn<f32>>()
            && array.data().is_aligned()
        {
            return Ok(Self::Floats(array.try_readonly().map_err(PyErr::from)?));
        }
        if dtype == Dtype::U8
            && let Ok(array) = array.cast_exact::<PyArrayDyn<u8>>()
        {
            return Ok(Self::Bytes(array.try_readonly().map_err(PyErr::from)?));
        }
        let view = array.call_method1("view", (numpy::dtype::<u8>(array.py()),))?;
        Ok(Self::Bytes(view.extract::<PyReadonlyArrayDyn<u8>>()?))
    }
}

impl<'py> Matrix<'py> {
    /// The vectors of a base: shape (n, d).
    pub fn base(object: &Bound<'py, PyAny>) -> Result<Self> {
        let matrix = Self::new(object, "vectors")?;
        if matrix.single {
            let text = format!("vectors have shape ({},): pass an array of shape (n, d)", matrix.dim);
            return Err(PyValueError::new_err(text).into());
        }
        Ok(matrix)
    }

    /// Queries: shape (nq, d), or (d,) for one.
    pub fn queries(object: &Bound<'py, PyAny>) -> Result<Self> {
        Self::new(object, "queries")
    }

    /// Centroids: shape (k, d).
    pub fn centroids(object: &Bound<'py, PyAny>) -> Result<Self> {
        Self::new(object, "centroids")
    }

    fn new(object: &Bound<'py, PyAny>, what: &'static str) -> Result<Self> {
        if let Ok(array) = object.cast_exact::<PyUntypedArray>()
            && array.is_c_contiguous()
            && let Some(dtype) = native(&array.dtype())?
            && let Some(matrix) = Self::view(array, dtype, what)?
        {
            return Ok(matrix);
        }
        static CONVERT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = object.py();
        let convert = CONVERT.import(py, "steep._arrays", "vectors")?;
        let (array, dtype): (Bound<PyAny>, String) = convert.call1((object, what))?.extract()?;
        let array = array.cast::<PyUntypedArray>().map_err(PyErr::from)?;
        let unaligned = || Error::argument("vectors", "unaligned array", "an aligned one").into();
        Self::view(array, dtype.parse()?, what)?.ok_or_else(unaligned)
    }

    /// `None` where the array is not aligned for its type.
    fn view(array: &Bound<'py, PyUntypedArray>, dtype: Dtype, what: &str) -> Result<Option<Self>> {
        let (&[dim] | &[_, dim]) = array.shape() else {
            let shape = PyTuple::new(array.py(), array.shape())?;
            let text = format!("{what} have shape {shape}: pass an array of shape (n, d)");
            return Err(PyValueError::new_err(text).into());
        };
        let values = Values::new(array, dtype)?;
        let aligned = match &values {
            Values::Floats(_) => true,
            Values::Bytes(bytes) => {
                let bytes = bytes.as_slice()?;
                // Nothing may lie anywhere.
                bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(dtype.size())
            }
        };
        Ok(aligned.then_some(Self { values, dtype, dim, single: array.ndim() == 1 }))
    }

    /// The vectors, borrowed.
    pub fn vectors(&self) -> Result<Vectors<'_>> {
        match &self.values {
            Values::Floats(values) => Ok(Vectors::new(values.as_slice()?, self.dim)?),
            Values::Bytes(bytes) => Ok(Vectors::from_bytes(bytes.as_slice()?, self.dtype, self.dim)?),
        }
    }
}

/// The core's name of an array's element type, where it has one.
fn native(descr: &Bound<PyArrayDescr>) -> Result<Option<Dtype>> {
    Ok(match (descr.kind(), descr.itemsize()) {
        (b'i', 1) => Some(Dtype::I8),
        (b'u', 1) => Some(Dtype::U8),
        (b'f', 2) if descr.is_native_byteorder() == Some(true) => Some(Dtype::F16),
        (b'f', 4) if descr.is_native_byteorder() == Some(true) => Some(Dtype::F32),
        // ml_dtypes.bfloat16, which NumPy counts among the types that it does not know.
        (b'V', 2) if descr.getattr("name")?.extract::<&str>()? == "bfloat16" => Some(Dtype::Bf16),
        _ => None,
    })
}

/// Ids that a caller passed, as unsigned numbers.
pub fn ids<'py>(object: Option<&Bound<'py, PyAny>>) -> Result<Option<PyReadonlyArray1<'py, u64>>> {
    static CONVERT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let Some(object) = object else { return Ok(None) };
    let array = CONVERT.import(object.py(), "steep._arrays", "ids")?.call1((object,))?;
    Ok(Some(array.extract()?))
}

/// So few results of a query cost less to copy into NumPy's own memory than an owner for ours.
const FEW: usize = 1024;

/// An array of shape (rows, k), or (k,) for a single row, that takes `values` over.
pub fn table<T: Element>(py: Python, values: Vec<T>, k: usize, single: bool) -> Result<Bound<PyAny>> {
    if single && values.len() <= FEW {
        return Ok(PyArray1::from_slice(py, &values).into_any());
    }
    if single {
        return Ok(PyArray1::from_vec(py, values).into_any());
    }
    let rows = values.len() / k.max(1);
    // Made in its shape: another view of it would cost as much again.
    let table = Array2::from_shape_vec((rows, k), values)
        .map_err(|error| PyValueError::new_err(format!("results: {error}")))?;
    Ok(table.into_pyarray(py).into_any())
}

/// An array of shape (rows,), or () for a single row, that takes `values` over.
pub fn counts(py: Python, values: Vec<u64>, single: bool) -> Result<Bound<PyAny>> {
    let flat = PyArray1::from_vec(py, values);
    Ok(if single { flat.reshape(())?.into_any() } else { flat.into_any() })
}

/// A whole number of zero or more, such as k or threads.
pub fn count(name: &'static str, value: &Bound<PyAny>) -> Result<usize> {
    value.extract().map_err(|error: PyErr| {
        let py = value.py();
        if error.is_instance_of::<PyOverflowError>(py) {
            return Error::argument(name, value, "a whole number from 0 to 18446744073709551615").into();
        }
        PyTypeError::new_err(format!("{name} = {value}: expected a whole number")).into()
    })
}

/// The same where it may be left out.
pub fn optional_count(name: &'static str, value: Option<&Bound<PyAny>>) -> Result<Option<usize>> {
    value.map(|value| count(name, value)).transpose()
}
