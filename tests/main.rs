//! The crate from outside, in one binary: every answer against an oracle, every refusal by its words.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
mod exact;
mod files;
