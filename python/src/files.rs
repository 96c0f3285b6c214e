//! Vector files in and out, and memory of the core's as an array.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use steep::storage::Buffer;
use steep::{Dtype, OpenParams, SaveParams, formats};

use crate::arrays::Matrix;
use crate::call::released;
use crate::errors::Result;

/// A buffer of the core's, read or mapped, that NumPy takes as an array's memory by its array interface:
/// `numpy.asarray` of it copies nothing and keeps it alive.
#[pyclass(frozen, module = "steep._steep")]
pub struct Memory {
    /// Never touched again: the array owns the bytes from here on.
    _buffer: Buffer,
    address: usize,
    read_only: bool,
    shape: (usize, usize),
    typestr: &'static str,
    #[pyo3(get)]
    dtype: &'static str,
}

#[pymethods]
impl Memory {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", self.shape)?;
        interface.set_item("typestr", self.typestr)?;
        interface.set_item("data", (self.address, self.read_only))?;
        Ok(interface)
    }
}

#[pyfunction]
pub fn read_vectors(py: Python, path: PathBuf, mmap: bool) -> Result<Memory> {
    released(py, None, |pulse| {
        let file = formats::read_vectors_with(&path, &OpenParams { mmap, monitor: Some(pulse) })?;
        let (vectors, read_only) = (file.vectors(), file.is_mapped());
        let (dtype, shape) = (vectors.dtype(), (vectors.len(), vectors.dim()));
        let mut buffer = file.into_buffer();
        let address = match read_only {
            true => buffer.bytes().as_ptr().expose_provenance(),
            false => buffer.bytes_mut("vectors")?.as_mut_ptr().expose_provenance(),
        };
        let typestr = match dtype {
            Dtype::F32 => "<f4",
            Dtype::F16 => "<f2",
            Dtype::Bf16 => "<u2", // a type that NumPy does not have; the Python side views it as one
            Dtype::I8 => "|i1",
            _ => "|u1",
        };
        Ok(Memory { _buffer: buffer, address, read_only, shape, typestr, dtype: dtype.name() })
    })
}

#[pyfunction]
pub fn write_vectors(py: Python, path: PathBuf, x: &Bound<PyAny>) -> Result<()> {
    let x = Matrix::base(x)?;
    let vectors = x.vectors()?;
    released(py, None, |pulse| {
        let params = SaveParams { monitor: Some(pulse) };
        Ok(formats::write_vectors_with(&path, vectors, &params)?)
    })
}
