//! Who may use an index now? Any number of searches, or one change: callers wait for each other.
//!
//! They wait with the interpreter released and Ctrl-C heard. A progress callback or a signal handler runs in the
//! midst of a call; where it asks the same index for what would wait for that very call, it gets an error.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use pyo3::exceptions::PyRuntimeError;
use steep::{Error, Monitor};

use crate::call::{PERIOD, Pulse};
use crate::errors::Result;

thread_local! {
    /// The locks that this thread holds, by address, and whether for a change.
    static HELD: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

/// A value that is read by many or changed by one.
pub struct Shared<T>(RwLock<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    /// Waits until nobody changes the value.
    pub fn read(&self, pulse: &Pulse) -> Result<Held<RwLockReadGuard<'_, T>>> {
        self.refuse_deadlock(|change| change)?;
        loop {
            // Recursive: a callback may read what the call that it runs in reads, though a change is waiting.
            match self.0.try_read_recursive_for(PERIOD) {
                Some(guard) => return Ok(Held::new(guard, self.address(), false)),
                None => wait(pulse)?,
            }
        }
    }

    /// Waits until nobody else uses the value.
    pub fn write(&self, pulse: &Pulse) -> Result<Held<RwLockWriteGuard<'_, T>>> {
        self.refuse_deadlock(|_| true)?;
        loop {
            match self.0.try_write_for(PERIOD) {
                Some(guard) => return Ok(Held::new(guard, self.address(), true)),
                None => wait(pulse)?,
            }
        }
    }

    fn address(&self) -> usize {
        (&raw const *self).addr()
    }

    fn refuse_deadlock(&self, excludes: impl Fn(bool) -> bool) -> Result<()> {
        let address = self.address();
        if HELD.with_borrow(|held| held.iter().any(|(lock, change)| *lock == address && excludes(*change))) {
            let text =
                "the index is busy with the call that runs this callback: use it when that call is over";
            return Err(PyRuntimeError::new_err(text).into());
        }
        Ok(())
    }
}

fn wait(pulse: &Pulse) -> Result<()> {
    match pulse.report("waiting", 0, 1) {
        true => Ok(()),
        false => Err(Error::Interrupted.into()),
    }
}

/// A lock held by this thread, and known to be.
pub struct Held<G>(G);

impl<G> Held<G> {
    fn new(guard: G, address: usize, change: bool) -> Self {
        HELD.with_borrow_mut(|held| held.push((address, change)));
        Self(guard)
    }
}

impl<G> Drop for Held<G> {
    fn drop(&mut self) {
        // Calls nest, so the last lock taken is the first one given back.
        HELD.with_borrow_mut(|held| held.pop());
    }
}

impl<G: Deref> Deref for Held<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        &self.0
    }
}

impl<G: DerefMut> DerefMut for Held<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.0
    }
}
