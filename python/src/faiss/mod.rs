//! Doors to the core's room of Faiss layouts and numbers: what `steep/faiss/*.py` builds on.

pub mod codec;
pub mod file;
pub mod flat;
pub mod hnsw;
pub mod linear;
pub mod lists;
pub mod random;
pub mod select;
pub mod selector;
