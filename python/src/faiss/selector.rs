//! Sets of ids, as `steep/faiss/_selectors.py` describes them: ("range", 3, 7), ("not", …), ("and", …, …).

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use steep::faiss::selector::Selector as Core;

use crate::errors::Result;

/// A set of ids that the core can ask.
#[pyclass(frozen, module = "steep._steep")]
pub struct Selector(pub Core);

#[pymethods]
impl Selector {
    #[new]
    fn new(described: &Bound<PyTuple>) -> Result<Self> {
        Ok(Self(read(described, 0)?))
    }

    fn has(&self, id: i64) -> bool {
        self.0.has(id)
    }
}

fn read(described: &Bound<PyTuple>, depth: usize) -> Result<Core> {
    if depth > 64 {
        return Err(
            PyValueError::new_err("selectors within selectors, more than 64 deep: flatten them").into()
        );
    }
    let name: String = described.get_item(0)?.extract()?;
    let inner = |at: usize| -> Result<Core> {
        let item = described.get_item(at)?;
        read(item.cast::<PyTuple>().map_err(PyErr::from)?, depth + 1)
    };
    let both = || -> Result<Box<[Core; 2]>> { Ok(Box::new([inner(1)?, inner(2)?])) };
    Ok(match name.as_str() {
        "all" => Core::All,
        "range" => Core::Range(described.get_item(1)?.extract()?, described.get_item(2)?.extract()?),
        "batch" => Core::batch(described.get_item(1)?.extract::<PyReadonlyArray1<i64>>()?.as_slice()?),
        "bitmap" => Core::bitmap(described.get_item(1)?.extract::<PyReadonlyArray1<u8>>()?.as_slice()?),
        "not" => Core::Not(Box::new(inner(1)?)),
        "and" => Core::And(both()?),
        "or" => Core::Or(both()?),
        "xor" => Core::Xor(both()?),
        _ => {
            let text = format!("selector {name:?}: expected all, range, batch, bitmap, not, and, or, xor");
            return Err(PyValueError::new_err(text).into());
        }
    })
}
