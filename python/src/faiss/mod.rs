//! Doors to the core's room of Faiss layouts.

pub mod flat;
pub mod selector;
