//! What is learned of codes or vectors when they are looked at, and kept until they change.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// Something learned, or nothing yet.
#[derive(Debug)]
pub(super) struct Learned<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Learned<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// A copy learns its own.
impl<T> Clone for Learned<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> Learned<T> {
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What is known, which is whole or nothing, whatever became of a thread that held it; `None` while another one does, for which nobody
    /// waits: in a forked child it may not be there.
    pub fn known(&self) -> Option<MutexGuard<'_, Option<Arc<T>>>> {
        match self.0.try_lock() {
            Ok(known) => Some(known),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The same, to be changed.
    pub fn known_mut(&mut self) -> Option<&mut T> {
        let known = match self.0.get_mut() {
            Ok(known) => known,
            Err(poisoned) => poisoned.into_inner(),
        };
        known.as_mut().and_then(Arc::get_mut)
    }
}
