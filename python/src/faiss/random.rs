//! Faiss's random numbers as arrays.

use numpy::{Element, PyReadwriteArray1};
use pyo3::prelude::*;
use steep::faiss::random::{Fill, Generator, Kind, fill};

use crate::arrays::{count, optional_count, table};
use crate::call::released;
use crate::errors::Result;

/// Fills an array of one dimension with numbers of a seed: float32 ("uniform" or "normal"), int64 (below `vmax`, where it is given), or
/// uint8.
#[pyfunction]
pub fn faiss_random<'py>(
    py: Python<'py>,
    out: &Bound<'py, PyAny>,
    normal: bool,
    seed: i64,
    vmax: Option<&Bound<'py, PyAny>>,
    threads: Option<&Bound<'py, PyAny>>,
) -> Result<()> {
    let threads = optional_count("threads", threads)?;
    let kind = match vmax {
        Some(most) => Kind::Below(count("vmax", most)? as u64),
        None if normal => Kind::Normal,
        None => Kind::Uniform,
    };
    if let Ok(array) = out.extract() {
        return filled::<f32>(py, array, seed, kind, threads);
    }
    if let Ok(array) = out.extract() {
        return filled::<i64>(py, array, seed, kind, threads);
    }
    filled::<u8>(py, out.extract()?, seed, kind, threads)
}

fn filled<T: Element + Fill>(
    py: Python,
    mut out: PyReadwriteArray1<T>,
    seed: i64,
    kind: Kind,
    threads: Option<usize>,
) -> Result<()> {
    let values = out.as_slice_mut()?;
    released(py, None, |pulse| Ok(fill(values, seed, kind, threads, Some(pulse))?))
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
