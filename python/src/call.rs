//! How does a long call let the rest of Python live? It gives the interpreter up, and looks in now and then.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use steep::Monitor;

use crate::errors::Result;

/// How often, at most, a call takes the interpreter back to hear Ctrl-C and to report progress.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Runs `work` with the interpreter released. Ctrl-C and exceptions of the `progress` callback end it.
pub fn released<T: Send>(
    py: Python,
    progress: Option<&Bound<PyAny>>,
    work: impl FnOnce(&Pulse) -> Result<T> + Send,
) -> Result<T> {
    if let Some(progress) = progress.filter(|p| !p.is_callable()) {
        let text = format!("progress = {}: expected a callable (stage, done, total)", progress.repr()?);
        return Err(PyTypeError::new_err(text).into());
    }
    let progress = progress.map(|p| p.clone().unbind());
    py.detach(|| {
        let pulse =
            Pulse { progress, last: Cell::new(None), stage: Cell::new(""), raised: RefCell::new(None) };
        let result = work(&pulse);
        match pulse.raised.into_inner() {
            Some(error) => Err(error.into()),
            None => result,
        }
    })
}

/// The monitor of one call.
pub struct Pulse {
    progress: Option<Py<PyAny>>,
    /// When it last looked in; until then, when it first was asked to: a short call reads the clock once.
    last: Cell<Option<Instant>>,
    stage: Cell<&'static str>,
    /// What the callback or a signal handler raised; the call then ends as interrupted.
    raised: RefCell<Option<PyErr>>,
}

impl Monitor for Pulse {
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool {
        // A callback hears of each stage's begin and end at once.
        let turn = self.progress.is_some() && (done == total || self.stage.get() != stage);
        let now = Instant::now();
        let last = self.last.get().unwrap_or(now);
        if !turn && now - last < PERIOD {
            self.last.set(Some(last));
            return true;
        }
        let outcome = Python::attach(|py| {
            py.check_signals()?;
            match &self.progress {
                Some(progress) => progress.call1(py, (stage, done, total)).map(drop),
                None => Ok(()),
            }
        });
        self.stage.set(stage);
        self.last.set(Some(Instant::now()));
        match outcome {
            Ok(()) => true,
            Err(error) => {
                self.raised.replace(Some(error));
                false
            }
        }
    }
}
