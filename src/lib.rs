//! Nearest-neighbour search over embedding vectors: exact, fast, easy.
//!
//! The nouns, in the order that a query meets them: [`Vectors`] are an n × d view of one element type, the only way
//! in. A [`Metric`] says how far. An [`Index`] holds vectors and finds the nearest ones; [`Hits`] are its answers.
//!
//! ```
//! use steep::{BuildParams, Index, Metric, SearchParams, Vectors};
//!
//! let x: Vec<f32> = (0..8000).map(|i| (i as f32 * 0.37).sin()).collect(); // 1000 × 8
//! let x = Vectors::new(&x, 8)?;
//! let params = BuildParams { metric: Metric::Cosine, ..BuildParams::default() };
//! let index = Index::build(x, &params)?;
//! let hits = index.search(x.rows(0..2), 10, &SearchParams::default())?;
//! assert_eq!(hits.ids[0], 0); // the first query is itself in the index
//! # Ok::<(), steep::Error>(())
//! ```
//!
//! `ARCHITECTURE.md` is the map of the code, `docs/performance.md` the record of what was measured.

#![deny(unsafe_code)]

pub mod error;
pub mod evaluate;
pub mod faiss;
pub mod formats;
mod graph;
mod ids;
pub mod index;
mod ivf;
pub mod kernels;
mod keys;
pub mod kmeans;
pub mod metric;
mod quantizer;
mod random;
mod rows;
pub mod search;
mod space;
pub mod storage;
pub mod threads;
mod transform;
pub mod vectors;

pub use error::{Error, Result};
pub use index::{AddParams, BuildParams, Index, Spec};
pub use kmeans::{Kmeans, KmeansParams, kmeans};
pub use metric::Metric;
pub use search::{Hits, RangeHits, SearchParams};
pub use storage::{OpenParams, SaveParams};
pub use threads::Monitor;
pub use vectors::{Dtype, Vectors};
