//! Doors to `steep::faiss`, for the classes of `steep/faiss/*.py`.

pub mod file;
