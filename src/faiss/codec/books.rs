//! Which centroids serve each part of the coordinates? K-means of each part.

use std::sync::Mutex;

use super::product::check;
use crate::error::{Error, Result};
use crate::kmeans::{KmeansParams, Start, kmeans};
use crate::random::Random;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// How to learn.
#[derive(Clone, Copy)]
pub struct BookParams<'a> {
    /// Rounds of k-means, 1 or more.
    pub iterations: usize,
    /// Vectors that are used for each centroid, at most.
    pub max_points_per_centroid: usize,
    /// Of what is random.
    pub seed: u64,
    /// Centroids to begin with, as many as there will be.
    pub start: Option<&'a [f32]>,
    /// Threads at most; all cores where nothing is said.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

/// Centroids for a [`Product`](super::Product). Of fewer vectors than centroids some are the same.
///
/// # Errors
/// [`Error::Argument`] for what no product quantizer has, where there are no vectors, where `iterations`, `max_points_per_centroid` or
/// `threads` is 0, or where centroids to begin with are not as many; [`Error::Shape`]; [`Error::NotFinite`];
/// [`Error::Interrupted`].
pub fn train_books(
    x: &[f32],
    dim: usize,
    (parts, bits): (usize, usize),
    params: &BookParams,
) -> Result<Vec<f32>> {
    let expected = check(dim, parts, bits)?;
    let (width, size) = (dim / parts, 1usize << bits);
    let all = Vectors::new(x, dim)?;
    if all.is_empty() {
        return Err(Error::argument("vectors", 0, "at least one to train on"));
    }
    all.check_finite("vectors")?;
    if let Some(start) = params.start
        && start.len() != expected
    {
        let got = format_args!("{} values", start.len());
        return Err(Error::argument("start", got, "2^nbits × dim of them"));
    }
    // The same sample for all parts: it is read once.
    let most = params.max_points_per_centroid.saturating_mul(size);
    let rows: Vec<usize> = match all.len() {
        count if most > 0 && count > most => Random(!params.seed).choose(most, count),
        count => (0..count).collect(),
    };
    let k = size.min(rows.len());
    let BookParams { iterations, max_points_per_centroid, seed, start, threads, monitor } = *params;
    let books: Vec<Mutex<Vec<f32>>> = (0..parts).map(|_| Mutex::default()).collect();
    let work = (parts, parts as u64);
    threads::run(threads::resolve(threads)?, monitor, "train", work, |part, worker| {
        let from = part * width;
        let share: Vec<f32> = rows.iter().flat_map(|row| &x[row * dim + from..][..width]).copied().collect();
        let start = start.map(|start| &start[part * size * width..][..k * width]);
        let start = start.map(|start| Vectors::new(start, width)).transpose()?;
        let found = kmeans(
            Vectors::new(&share, width)?,
            k,
            &KmeansParams {
                iterations,
                start: start.map_or(Start::Auto, Start::Given),
                max_points_per_centroid: Some(max_points_per_centroid),
                seed: seed ^ part as u64,
                threads: Some(1),
                ..KmeansParams::default()
            },
        )?;
        let mut book = books[part].lock().map_err(|_| Error::Interrupted)?;
        *book = found.centroids.iter().copied().cycle().take(size * width).collect();
        worker.advance(1);
        Ok(())
    })?;
    let mut centroids = Vec::with_capacity(expected);
    for book in books {
        centroids.extend(book.into_inner().map_err(|_| Error::Interrupted)?);
    }
    Ok(centroids)
}
