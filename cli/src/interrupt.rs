//! What does Ctrl-C do? It ends the program at once, unless there is something to be left tidy.
//!
//! While a [`Tidy`] is held, the first signal only sets a flag, which the progress monitor hands to the
//! library; the library then stops within milliseconds and leaves no half-written file. A second signal
//! ends the program at once in any case.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Failure;

/// Which signal came, if one did.
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    at_once: Arc<AtomicBool>,
}

/// While this lives, a signal waits to be noticed.
pub struct Tidy<'a>(&'a Interrupt);

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM. Where the system refuses, they keep their ordinary effect.
    pub fn listen() -> Self {
        let this = Self { signal: Arc::default(), at_once: Arc::new(AtomicBool::new(true)) };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds `at_once` as it was and sets it for the next one.
            _ = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&this.at_once));
            _ = flag::register(signal, Arc::clone(&this.at_once));
            _ = flag::register_usize(signal, Arc::clone(&this.signal), signal as usize);
        }
        this
    }

    /// The signal that came.
    pub fn signal(&self) -> Option<usize> {
        Some(self.signal.load(Relaxed)).filter(|signal| *signal != 0)
    }

    /// Fails where a signal came.
    pub fn check(&self) -> Result<(), Failure> {
        self.signal().map_or(Ok(()), |signal| Err(Failure::Interrupted(signal)))
    }

    /// From now on, until it is dropped, a signal waits to be noticed.
    pub fn tidy(&self) -> Tidy<'_> {
        self.at_once.store(false, Relaxed);
        Tidy(self)
    }
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        self.0.at_once.store(true, Relaxed);
    }
}
