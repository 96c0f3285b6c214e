//! Faiss's files as Python dicts: `{"fourcc": "IwFl", "d": 64, …}`, arrays without a further copy.
//!
//! The keys of each fourcc are in the head of `src/faiss/file/mod.rs`.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use numpy::{
    PyArray1, PyArrayDescrMethods, PyReadonlyArray1, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use steep::BuildParams;
use steep::Error;
use steep::faiss::convert;
use steep::faiss::file::{self, Array, Fourcc, Record, Root, Value, blocks::Layout};

use crate::call::released;
use crate::errors::{Failure, Result};
use crate::index::Index;

type Any<'py> = Bound<'py, PyAny>;

/// (record, bytes read) of a path, of an array of bytes, or of a callable that is asked for n bytes and returns up to as many.
#[pyfunction]
pub fn faiss_read<'py>(
    py: Python<'py>,
    source: &Any<'py>,
    root: &str,
    beside: bool,
) -> Result<(Any<'py>, u64)> {
    let root = kind(root)?;
    if let Ok(bytes) = source.extract::<PyReadonlyArray1<u8>>() {
        let bytes = bytes.as_slice()?;
        let len = Some(bytes.len() as u64);
        let (record, read) =
            released(py, None, |pulse| Ok(file::read_from(bytes, "<memory>", len, root, Some(pulse))?))?;
        return Ok((dict(py, record)?, read));
    }
    if source.is_callable() {
        let mut source = Source { read: source.clone().unbind(), raised: None };
        let result = released(py, None, |pulse| {
            let result = file::read_from(&mut source, "<reader>", None, root, Some(pulse));
            result.map_err(|error| source.raised.take().map_or_else(|| error.into(), Failure::from))
        })?;
        return Ok((dict(py, result.0)?, result.1));
    }
    let path: PathBuf = source.extract()?;
    let record = released(py, None, |pulse| Ok(file::read(&path, root, beside, Some(pulse))?))?;
    Ok((dict(py, record)?, 0))
}

/// True for a path of a file that Faiss wrote, whether it can be read here or not.
#[pyfunction]
pub fn faiss_known(path: PathBuf) -> bool {
    file::is_faiss_file(path)
}

/// Writes a record to a path, or to a callable that takes bytes; returns an array of them where there is no target.
#[pyfunction]
pub fn faiss_write<'py>(
    py: Python<'py>,
    record: &Bound<'py, PyDict>,
    target: Option<&Any<'py>>,
    root: &str,
) -> Result<Option<Any<'py>>> {
    let (root, node) = (kind(root)?, Node::new(record.as_any())?);
    let Node::Record(fourcc, fields) = &node else { unreachable!("a dict is a record") };
    let record = borrowed(*fourcc, fields)?;
    let Some(target) = target else {
        let bytes = released(py, None, |_| Ok(file::to_bytes(&record, root)?))?;
        return Ok(Some(PyArray1::from_vec(py, bytes).into_any()));
    };
    if target.is_callable() {
        let mut target = Target { write: target.clone().unbind(), raised: None };
        released(py, None, |_| {
            file::check(&record, root)?;
            let mut pieces = io::BufWriter::with_capacity(1 << 20, &mut target);
            let result = file::write_to(&mut pieces, &record, root);
            let flushed = pieces.flush();
            drop(pieces);
            match (target.raised.take(), result, flushed) {
                (Some(error), ..) => Err(error.into()),
                (None, Err(error), _) => Err(error.into()),
                (None, Ok(()), Err(error)) => Err(PyErr::from(error).into()),
                (None, Ok(()), Ok(())) => Ok(()),
            }
        })?;
        return Ok(None);
    }
    let path: PathBuf = target.extract()?;
    released(py, None, |pulse| Ok(file::write(&path, &record, root, Some(pulse))?))?;
    Ok(None)
}

/// A native index of the vectors of a record.
#[pyfunction]
pub fn faiss_convert(
    py: Python,
    record: &Bound<PyDict>,
    spec: &str,
    seed: u64,
    threads: Option<usize>,
    progress: Option<&Bound<PyAny>>,
) -> Result<Index> {
    let node = Node::new(record.as_any())?;
    let Node::Record(fourcc, fields) = &node else { unreachable!("a dict is a record") };
    let (spec, record) = (spec.parse()?, borrowed(*fourcc, fields)?);
    released(py, progress, |pulse| {
        let decoded = convert::decoded(&record)?;
        let params = BuildParams { spec, seed, threads, monitor: Some(pulse), ..BuildParams::default() };
        Ok(convert::build(&decoded, &params)?.into())
    })
}

/// The first `n` codes of `m` nibbles out of blocks of `bbs` vectors, one after the other. Blocks are `stride` bytes apart: where it is
/// not given, no more than their nibbles take.
#[pyfunction]
#[pyo3(signature = (blocks, n, m, bbs, stride=None))]
pub fn faiss_unpack<'py>(
    py: Python<'py>,
    blocks: PyReadonlyArrayDyn<'py, u8>,
    n: usize,
    m: usize,
    bbs: usize,
    stride: Option<usize>,
) -> Result<Any<'py>> {
    let (layout, blocks) = (layout(m, bbs, stride), blocks.as_slice()?);
    let codes = released(py, None, |_| {
        if layout.bytes(n) > blocks.len() {
            return Err(Error::argument("n", n, "no more vectors than the blocks hold").into());
        }
        let mut codes = vec![0; n * layout.code_size()];
        layout.unpack(blocks, n, &mut codes)?;
        Ok(codes)
    })?;
    Ok(PyArray1::from_vec(py, codes).into_any())
}

/// Codes of `m` nibbles in blocks of `bbs` vectors. What else blocks of `stride` bytes hold is 0.
#[pyfunction]
#[pyo3(signature = (codes, m, bbs, stride=None))]
pub fn faiss_pack<'py>(
    py: Python<'py>,
    codes: PyReadonlyArrayDyn<'py, u8>,
    m: usize,
    bbs: usize,
    stride: Option<usize>,
) -> Result<Any<'py>> {
    let (layout, codes) = (layout(m, bbs, stride), codes.as_slice()?);
    let blocks = released(py, None, |_| {
        let size = layout.bytes(codes.len() / layout.code_size().max(1));
        let mut blocks = Vec::new();
        let memory = |_| Error::OutOfMemory { what: "codes in blocks", bytes: size as u64 };
        blocks.try_reserve_exact(size).map_err(memory)?;
        blocks.resize(size, 0);
        layout.pack(codes, 0, &mut blocks)?;
        Ok(blocks)
    })?;
    Ok(PyArray1::from_vec(py, blocks).into_any())
}

fn layout(m: usize, bbs: usize, stride: Option<usize>) -> Layout {
    let packed = Layout::new(m, bbs);
    Layout { stride: stride.unwrap_or(packed.stride), ..packed }
}

fn kind(root: &str) -> Result<Root> {
    Ok(match root {
        "any" => Root::Any,
        "index" => Root::Index,
        "binary" => Root::Binary,
        "transform" => Root::Transform,
        "pq" => Root::ProductQuantizer,
        _ => return Err(PyValueError::new_err(format!("root {root:?}: expected index, binary …")).into()),
    })
}

/// What a callable returns, as a stream.
struct Source {
    read: Py<PyAny>,
    raised: Option<PyErr>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = Python::attach(|py| {
            let bytes = self.read.bind(py).call1((buffer.len(),))?;
            let bytes = bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes();
            let Some(place) = buffer.get_mut(..bytes.len()) else {
                return Err(PyValueError::new_err(format!(
                    "a reader returned {} bytes too many",
                    bytes.len()
                )));
            };
            place.copy_from_slice(bytes);
            Ok(bytes.len())
        });
        got.map_err(|error| {
            self.raised = Some(error);
            io::Error::other("the reader raised an exception")
        })
    }
}

/// A callable that takes bytes, as a stream.
struct Target {
    write: Py<PyAny>,
    raised: Option<PyErr>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = Python::attach(|py| self.write.bind(py).call1((PyBytes::new(py, bytes),)).map(drop));
        match done {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.raised = Some(error);
                Err(io::Error::other("the writer raised an exception"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn dict<'py>(py: Python<'py>, record: Record<'static>) -> Result<Any<'py>> {
    let object = PyDict::new(py);
    if record.fourcc != Record::PART {
        object.set_item("fourcc", record.fourcc.to_string())?;
    }
    for (name, value) in record.fields {
        let name = PyString::intern(py, &name);
        match value {
            Value::Null => object.set_item(name, py.None())?,
            Value::Flag(value) => object.set_item(name, value)?,
            Value::Int(value) => object.set_item(name, value)?,
            Value::Float(value) => object.set_item(name, value)?,
            Value::Record(record) => object.set_item(name, dict(py, record)?)?,
            Value::Records(records) => {
                let objects =
                    records.into_iter().map(|record| dict(py, record)).collect::<Result<Vec<_>>>()?;
                object.set_item(name, PyList::new(py, objects)?)?;
            }
            Value::Array(array) => {
                let array = match array {
                    Array::U8(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                    Array::I32(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                    Array::I64(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                    Array::U64(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                    Array::F32(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                    Array::F64(values) => PyArray1::from_vec(py, values.into_owned()).into_any(),
                };
                object.set_item(name, array)?;
            }
        }
    }
    Ok(object.into_any())
}

/// A Python object of a record, and the hold on the arrays that it lends.
enum Node<'py> {
    Null,
    Flag(bool),
    Int(i64),
    Float(f64),
    U8(PyReadonlyArrayDyn<'py, u8>),
    I32(PyReadonlyArrayDyn<'py, i32>),
    I64(PyReadonlyArrayDyn<'py, i64>),
    U64(PyReadonlyArrayDyn<'py, u64>),
    F32(PyReadonlyArrayDyn<'py, f32>),
    F64(PyReadonlyArrayDyn<'py, f64>),
    Record(Fourcc, Vec<(String, Node<'py>)>),
    Records(Vec<Node<'py>>),
}

impl<'py> Node<'py> {
    fn new(object: &Any<'py>) -> Result<Self> {
        if object.is_none() {
            return Ok(Self::Null);
        }
        if let Ok(record) = object.cast::<PyDict>() {
            return Self::record(record);
        }
        if let Ok(array) = object.cast::<PyUntypedArray>()
            && array.ndim() > 0
        {
            return Self::array(array);
        }
        if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
            let nodes = object.try_iter()?.map(|item| Self::new(&item?)).collect::<Result<Vec<_>>>()?;
            return Ok(Self::Records(nodes));
        }
        if let Ok(value) = object.extract::<bool>() {
            return Ok(Self::Flag(value));
        }
        if let Ok(value) = object.extract::<i64>() {
            return Ok(Self::Int(value));
        }
        Ok(Self::Float(object.extract()?))
    }

    fn record(record: &Bound<'py, PyDict>) -> Result<Self> {
        let mut fourcc = Record::PART;
        let mut fields = Vec::with_capacity(record.len());
        for (name, value) in record {
            let name: String = name.extract()?;
            if name == "fourcc" {
                let text: String = value.extract()?;
                let Ok(bytes) = text.as_bytes().try_into() else {
                    return Err(
                        PyValueError::new_err(format!("fourcc {text:?}: expected four letters")).into()
                    );
                };
                fourcc = Fourcc(bytes);
            } else {
                fields.push((name, Self::new(&value)?));
            }
        }
        Ok(Self::Record(fourcc, fields))
    }

    fn array(array: &Bound<'py, PyUntypedArray>) -> Result<Self> {
        let dtype = array.dtype();
        Ok(match (dtype.kind(), dtype.itemsize()) {
            (b'u', 1) => Self::U8(array.extract()?),
            (b'i', 4) => Self::I32(array.extract()?),
            (b'i', 8) => Self::I64(array.extract()?),
            (b'u', 8) => Self::U64(array.extract()?),
            (b'f', 4) => Self::F32(array.extract()?),
            (b'f', 8) => Self::F64(array.extract()?),
            _ => {
                let text = format!("an array of {dtype}: expected uint8, int32, int64, uint64 or floats");
                return Err(PyTypeError::new_err(text).into());
            }
        })
    }

    fn value(&self) -> Result<Value<'_>> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Flag(value) => Value::Flag(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Float(value) => Value::Float(*value),
            Self::U8(array) => Value::Array(Array::U8(array.as_slice()?.into())),
            Self::I32(array) => Value::Array(Array::I32(array.as_slice()?.into())),
            Self::I64(array) => Value::Array(Array::I64(array.as_slice()?.into())),
            Self::U64(array) => Value::Array(Array::U64(array.as_slice()?.into())),
            Self::F32(array) => Value::Array(Array::F32(array.as_slice()?.into())),
            Self::F64(array) => Value::Array(Array::F64(array.as_slice()?.into())),
            Self::Record(fourcc, fields) => Value::Record(borrowed(*fourcc, fields)?),
            Self::Records(nodes) => {
                let records =
                    nodes.iter().map(|node| match node.value()? {
                        Value::Record(record) => Ok(record),
                        _ => Err(PyKeyError::new_err("a list of a record holds something else than records")
                            .into()),
                    });
                Value::Records(records.collect::<Result<_>>()?)
            }
        })
    }
}

fn borrowed<'a>(fourcc: Fourcc, fields: &'a [(String, Node<'_>)]) -> Result<Record<'a>> {
    let fields = fields.iter().map(|(name, node)| Ok((name.clone().into(), node.value()?)));
    Ok(Record { fourcc, fields: fields.collect::<Result<_>>()? })
}
