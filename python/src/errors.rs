//! Which exception does a Python user expect? The one place where a core error becomes a Python one.

use std::io;

use numpy::AsSliceError;
use pyo3::PyErr;
use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError, PyValueError};
use steep::Error;

/// What every function of the module returns: `?` takes core errors and Python exceptions alike.
pub type Result<T> = std::result::Result<T, Failure>;

/// A Python exception about to be raised.
pub struct Failure(PyErr);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        Self(match error {
            Error::Io { action, path, source } => match source.raw_os_error() {
                // (errno, text, filename) makes Python choose the subclass, FileNotFoundError and the like.
                Some(errno) => {
                    let reason = source.to_string();
                    let reason = reason.trim_end_matches(&format!(" (os error {errno})"));
                    PyOSError::new_err((errno, format!("cannot {action}: {reason}"), path.into_os_string()))
                }
                None => io::Error::new(source.kind(), text).into(),
            },
            Error::OutOfMemory { .. } => PyMemoryError::new_err(text),
            Error::Interrupted => PyKeyboardInterrupt::new_err(text),
            _ => PyValueError::new_err(text),
        })
    }
}

impl From<AsSliceError> for Failure {
    fn from(error: AsSliceError) -> Self {
        Self(error.into())
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}
