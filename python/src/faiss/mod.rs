//! Faiss's layouts and numbers as Python functions: what `steep/faiss/*.py` builds on.

pub mod linear;
pub mod random;
pub mod select;
