//! Which centroids serve each part of the coordinates? K-means of each part.

use std::sync::Mutex;

use super::product::{Product, check};
use super::{Codec, bits};
use crate::error::{Error, Result};
use crate::kmeans::{KmeansParams, Start, kmeans};
use crate::random::Random;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Bits of a number at most where every vector is compared with all centroids, as codes are made: what k-means has beside that pays
/// for more of them.
const FEW: usize = 9;

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
    if params.iterations == 0 || params.max_points_per_centroid == 0 {
        return Err(Error::argument("iterations", 0, "at least 1, as max_points_per_centroid"));
    }
    if let Some(start) = params.start
        && start.len() != expected
    {
        let got = format_args!("{} values", start.len());
        return Err(Error::argument("start", got, "2^nbits × dim of them"));
    }
    // The same sample for all parts: it is read once.
    let most = params.max_points_per_centroid.saturating_mul(size);
    let rows: Vec<usize> = match all.len() {
        count if count > most => Random(!params.seed).choose(most, count),
        count => (0..count).collect(),
    };
    let k = size.min(rows.len());
    let BookParams { iterations, seed, start, threads, monitor, .. } = *params;
    let books: Vec<Mutex<Vec<f32>>> = (0..parts).map(|_| Mutex::default()).collect();
    let work = (parts, parts as u64);
    threads::run(threads::resolve(threads)?, monitor, "train", work, |part, worker| {
        let from = part * width;
        let share: Vec<f32> = rows.iter().flat_map(|row| &x[row * dim + from..][..width]).copied().collect();
        let first = start.map(|start| &start[part * size * width..][..size * width]);
        let mut book = books[part].lock().map_err(|_| Error::Interrupted)?;
        *book = if bits <= FEW {
            lloyd(&share, width, bits, first, (iterations, seed ^ part as u64))?
        } else {
            let first = first.map(|first| Vectors::new(&first[..k * width], width)).transpose()?;
            let params = KmeansParams {
                iterations,
                start: first.map_or(Start::Auto, Start::Given),
                seed: seed ^ part as u64,
                threads: Some(1),
                ..KmeansParams::default()
            };
            let found = kmeans(Vectors::new(&share, width)?, k, &params)?.centroids;
            found.iter().copied().cycle().take(size * width).collect()
        };
        worker.advance(1);
        Ok(())
    })?;
    let mut centroids = Vec::with_capacity(expected);
    for book in books {
        centroids.extend(book.into_inner().map_err(|_| Error::Interrupted)?);
    }
    Ok(centroids)
}

/// K-means (Lloyd 1982) from random vectors, or from `start`. A centroid that is nearest to nothing takes half of the largest group.
fn lloyd(
    x: &[f32],
    width: usize,
    bits: usize,
    start: Option<&[f32]>,
    (iterations, seed): (usize, u64),
) -> Result<Vec<f32>> {
    let (count, size) = (x.len() / width, 1 << bits);
    let row = |at: usize| &x[at * width..][..width];
    let mut centroids = start.map_or_else(
        || {
            let chosen = Random(seed).choose(size.min(count), count);
            chosen.iter().cycle().take(size).flat_map(|&at| row(at)).copied().collect()
        },
        <[f32]>::to_vec,
    );
    let mut before = Vec::new();
    for _ in 0..iterations {
        let product = Product::new(width, 1, bits, &centroids)?;
        let mut codes = vec![0; count * product.code_size()];
        product.encode(x, None, &mut codes);
        if codes == before {
            break;
        }
        let (mut sums, mut sizes) = (vec![0f64; centroids.len()], vec![0usize; size]);
        for (at, code) in codes.chunks_exact(product.code_size()).enumerate() {
            let group = bits::unpack(code, bits).next().unwrap_or_default() as usize;
            sizes[group] += 1;
            let sums = &mut sums[group * width..][..width];
            sums.iter_mut().zip(row(at)).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        for group in 0..size {
            let sums = &sums[group * width..][..width];
            if sizes[group] > 0 {
                let of = sizes[group] as f64;
                let centroid = &mut centroids[group * width..][..width];
                centroid.iter_mut().zip(sums).for_each(|(c, sum)| *c = (sum / of) as f32);
            }
        }
        // With no more vectors than centroids there is nothing to share.
        if count > size {
            share_out(&mut centroids, &mut sizes, width);
        }
        before = codes;
    }
    Ok(centroids)
}

/// Gives each centroid without vectors half of the largest group, a little aside of the other half.
fn share_out(centroids: &mut [f32], sizes: &mut [usize], width: usize) {
    const ASIDE: f32 = 1.0 / 1024.0;
    for empty in 0..sizes.len() {
        if sizes[empty] > 0 {
            continue;
        }
        let largest = (0..sizes.len()).max_by_key(|&group| sizes[group]).unwrap_or_default();
        for j in 0..width {
            let (v, sign) = (centroids[largest * width + j], if j % 2 == 0 { ASIDE } else { -ASIDE });
            centroids[empty * width + j] = v * (1.0 + sign);
            centroids[largest * width + j] = v * (1.0 - sign);
        }
        sizes[empty] = sizes[largest] / 2;
        sizes[largest] -= sizes[empty];
    }
}
