//! What several tests need: data, the truth about it, and what an error must look like.

pub mod data;
pub mod oracle;

use steep::Error;

/// The message of an error about a file's content; anything else fails the test.
pub fn problem<T>(result: steep::Result<T>, case: impl std::fmt::Debug) -> String {
    match result {
        Err(error @ Error::Format { .. }) => error.to_string(),
        Err(other) => panic!("{case:?}: {other}"),
        Ok(_) => panic!("{case:?}: was accepted"),
    }
}

/// Fails unless `result` is an error about a file's content that says `expected`.
pub fn refused<T>(result: steep::Result<T>, expected: &str) {
    let message = problem(result, expected);
    assert!(message.contains(expected), "\"{message}\" does not say \"{expected}\"");
}
