//! The crate from outside, in one binary: every answer against an oracle, every refusal by its words.
#![allow(clippy::unwrap_used)] // a test may panic

mod adding;
mod auto;
mod bad_input;
mod codes;
mod codes_files;
mod common;
mod determinism;
mod exact;
mod faiss_files;
mod files;
mod graph;
mod graph_files;
mod graph_small;
mod graph_view;
mod index_files;
mod kmeans;
mod metrics;
mod monitors;
mod range;
mod second_look;
mod transforms;
