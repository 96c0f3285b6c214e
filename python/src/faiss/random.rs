//! Faiss's random numbers as arrays.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use steep::faiss::random::{Generator, Kind, array};

use crate::arrays::{count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

/// `n` numbers of a seed: "uniform", "normal" (float32), "int64" (below `vmax`, where it is given) or "uint8".
#[pyfunction]
pub fn faiss_random<'py>(
    py: Python<'py>,
    kind: &str,
    n: &Bound<'py, PyAny>,
    seed: i64,
    vmax: Option<&Bound<'py, PyAny>>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyAny>> {
    let (n, threads) = (count("n", n)?, optional_count("threads", threads)?);
    let below = match vmax {
        Some(most) => Kind::Below(count("vmax", most)? as u64),
        None => Kind::Uniform,
    };
    match kind {
        "uniform" | "normal" => {
            let kind = if kind == "normal" { Kind::Normal } else { Kind::Uniform };
            let values =
                released(py, None, |pulse| Ok(array::<f32>(n, seed, kind, threads, Some(pulse))?))?;
            table(py, values, n, true)
        }
        "int64" => {
            let values =
                released(py, None, |pulse| Ok(array::<i64>(n, seed, below, threads, Some(pulse))?))?;
            table(py, values, n, true)
        }
        "uint8" => {
            let values = released(py, None, |pulse| {
                Ok(array::<u8>(n, seed, Kind::Uniform, threads, Some(pulse))?)
            })?;
            table(py, values, n, true)
        }
        _ => {
            let text = format!("kind = {kind:?}: expected \"uniform\", \"normal\", \"int64\" or \"uint8\"");
            Err(PyValueError::new_err(text).into())
        }
    }
}

/// The Mersenne Twister, number by number.
#[pyclass(module = "steep._steep")]
pub struct Twister(Generator);

#[pymethods]
impl Twister {
    #[new]
    fn new(seed: i64) -> Self {
        Self(Generator::new(seed))
    }

    /// 31 bits.
    fn int(&mut self) -> i32 {
        self.0.int()
    }

    /// 62 bits.
    fn int64(&mut self) -> i64 {
        self.0.int64()
    }

    /// 32 bits.
    fn word(&mut self) -> u32 {
        self.0.word()
    }

    /// A number of 0..=1 of single precision.
    fn float(&mut self) -> f32 {
        self.0.float()
    }

    /// A number of 0..=1 of double precision.
    fn double(&mut self) -> f64 {
        self.0.double()
    }

    /// The numbers 0..n in an order at random.
    fn permutation<'py>(&mut self, py: Python<'py>, n: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        let n = count("n", n)?;
        table(py, self.0.permutation(n)?, n, true)
    }
}
