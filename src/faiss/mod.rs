//! How does Faiss lay it out? Codes, lists, graphs and files in the layout that Faiss gives them, used as they are.
//!
//! The rest of the crate has codes and graphs of its own, which are faster; this room is for what comes from Faiss, or must
//! behave as it does there. A [`codec::Codec`] says what bytes mean.

pub mod codec;
pub mod convert;
pub mod file;
pub mod flat;
pub mod hnsw;
mod learned;
pub mod linear;
pub mod lists;
mod near;
mod passes;
pub mod random;
pub mod select;
pub mod selector;
mod sketch;
