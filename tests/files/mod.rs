//! Files: what is written is read back, what is broken is refused, what is killed leaves the old file whole.
#![allow(clippy::unwrap_used)] // a test may panic

mod container;
mod kill;
mod vectors;

use steep::Error;

/// The message of an error about a file's content; anything else fails the test.
fn problem<T>(result: steep::Result<T>, case: impl std::fmt::Debug) -> String {
    match result {
        Err(error @ Error::Format { .. }) => error.to_string(),
        Err(other) => panic!("{case:?}: {other}"),
        Ok(_) => panic!("{case:?}: was accepted"),
    }
}

/// Fails unless `result` is an error about a file's content that says `expected`.
fn refused<T>(result: steep::Result<T>, expected: &str) {
    let message = problem(result, expected);
    assert!(message.contains(expected), "\"{message}\" does not say \"{expected}\"");
}
