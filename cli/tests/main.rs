//! The real program, run as a user runs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod commands;
mod support;
mod terminal;
