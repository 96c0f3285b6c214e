//! Who may use an index now? Any number of searches, or one change: callers wait for each other.
//!
//! They wait with the interpreter released and Ctrl-C heard. A progress callback or a signal handler runs in the
//! midst of a call; where it asks the same index for what would wait for that very call, it gets an error.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::process;

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use pyo3::exceptions::PyRuntimeError;
use steep::{Error, Monitor};

use crate::call::{PERIOD, Pulse};
use crate::errors::{Failure, Result};

thread_local! {
    /// The locks that this thread holds, by address, and whether for a change.
    static HELD: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

/// A value that is read by many or changed by one, in the order in which they come.
pub struct Shared<T> {
    lock: RwLock<T>,
    /// Who waits for the lock holds the door: searches without a pause would keep a change out for ever.
    door: Mutex<()>,
    /// The process that made this. In a forked child the door may be held by a thread that is not there.
    pid: u32,
}

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self { lock: RwLock::new(value), door: Mutex::new(()), pid: process::id() }
    }

    /// Waits until nobody changes the value.
    pub fn read(&self, pulse: &Pulse) -> Result<Held<RwLockReadGuard<'_, T>>> {
        if self.held(|change| change) {
            return Err(deadlock());
        }
        // A callback of a call that reads may read too, whoever waits at the door.
        let passes = || self.held(|_| true) || process::id() != self.pid;
        let _door = match self.door.try_lock() {
            None if !passes() => Some(wait(pulse, || self.door.try_lock_for(PERIOD))?),
            door => door,
        };
        let guard = wait(pulse, || self.lock.try_read_recursive_for(PERIOD))?;
        Ok(Held::new(guard, self.address(), false))
    }

    /// Waits until nobody else uses the value.
    pub fn write(&self, pulse: &Pulse) -> Result<Held<RwLockWriteGuard<'_, T>>> {
        if self.held(|_| true) {
            return Err(deadlock());
        }
        let _door = wait(pulse, || self.door.try_lock_for(PERIOD))?;
        let guard = wait(pulse, || self.lock.try_write_for(PERIOD))?;
        Ok(Held::new(guard, self.address(), true))
    }

    /// Whether this thread holds the lock in such a way.
    fn held(&self, way: impl Fn(bool) -> bool) -> bool {
        HELD.with_borrow(|held| held.iter().any(|(lock, change)| *lock == self.address() && way(*change)))
    }

    fn address(&self) -> usize {
        (&raw const *self).addr()
    }
}

fn deadlock() -> Failure {
    let text = "the index is busy with the call that runs this callback: use it when that call is over";
    PyRuntimeError::new_err(text).into()
}

/// Tries until there is a guard, hearing Ctrl-C between.
fn wait<G>(pulse: &Pulse, attempt: impl Fn() -> Option<G>) -> Result<G> {
    loop {
        match attempt() {
            Some(guard) => return Ok(guard),
            None if pulse.report("waiting", 0, 1) => {}
            None => return Err(Error::Interrupted.into()),
        }
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
