//! Many rows at a time: codecs work on one thread, and this on several.

use std::sync::Mutex;

use super::Codec;
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::threads::{self, Monitor};

/// Codes whose distances are asked for at a time: whole blocks.
const TOGETHER: usize = 1024;
/// Bytes of vectors that a thread takes at a time.
const PIECE: usize = 1 << 18;

/// The codes of `x`, which are whole rows. `centers`: see [`Codec::encode`].
///
/// # Errors
/// [`Error::Shape`] where `x` is not whole rows, or `centers` are not as many; [`Error::OutOfMemory`]; [`Error::Argument`] where
/// `threads` is 0; [`Error::Interrupted`].
pub fn encode(
    codec: &dyn Codec,
    x: &[f32],
    centers: Option<&[f32]>,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<u8>> {
    let dim = codec.dim();
    whole(x.len(), dim)?;
    if let Some(centers) = centers
        && centers.len() != x.len()
    {
        return Err(Error::argument("centers", format_args!("{} values", centers.len()), "one row a vector"));
    }
    let step = (PIECE / (4 * dim)).max(1);
    let mut codes = zeros(x.len() / dim * codec.code_size(), "codes")?;
    let pieces = codes.chunks_mut(step * codec.code_size());
    in_pieces(pieces, (threads, monitor), "encode", |at, codes| {
        let rows = at * step * dim..((at + 1) * step * dim).min(x.len());
        codec.encode(&x[rows.clone()], centers.map(|centers| &centers[rows]), codes);
    })?;
    Ok(codes)
}

/// What `codes`, which are whole, stand for.
///
/// # Errors
/// As [`encode`]'s.
pub fn decode(
    codec: &dyn Codec,
    codes: &[u8],
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    let (dim, size) = (codec.dim(), codec.code_size());
    whole(codes.len(), size)?;
    let step = (PIECE / (4 * dim)).max(1);
    let mut x = zeros(codes.len() / size * dim, "vectors")?;
    in_pieces(x.chunks_mut(step * dim), (threads, monitor), "decode", |at, x| {
        codec.decode(&codes[at * step * size..][..x.len() / dim * size], x);
    })?;
    Ok(x)
}

/// Distances of all `codes` from each of `queries`: a row for each query.
///
/// # Errors
/// As [`encode`]'s; [`Error::Argument`] for a metric other than l2 and ip.
pub fn distances(
    codec: &dyn Codec,
    metric: Metric,
    queries: &[f32],
    codes: &[u8],
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<Vec<f32>> {
    let (dim, size) = (codec.dim(), codec.code_size());
    if metric == Metric::Cosine {
        return Err(Error::argument("metric", "cosine", "\"l2\" or \"ip\": codes of Faiss's have no other"));
    }
    whole(queries.len(), dim)?;
    whole(codes.len(), size)?;
    let (rows, count) = (queries.len() / dim, codes.len() / size);
    let mut out = zeros(rows.saturating_mul(count), "distances")?;
    if !out.is_empty() {
        // By their rows: a score may be an estimate.
        let places: Vec<u32> = (0..TOGETHER as u32).collect();
        in_pieces(out.chunks_mut(count), (threads, monitor), "distances", |at, out| {
            let mut scorer = codec.scorer(metric, &queries[at * dim..][..dim]);
            scorer.enter(None);
            for (codes, out) in codes.chunks(TOGETHER * size).zip(out.chunks_mut(TOGETHER)) {
                scorer.gather(codes, &places[..out.len()], out);
            }
        })?;
    }
    Ok(out)
}

/// Runs `work` for each of `pieces`.
fn in_pieces<'a, T: Send + 'a>(
    pieces: impl Iterator<Item = &'a mut [T]>,
    (threads, monitor): (Option<usize>, Option<&dyn Monitor>),
    stage: &'static str,
    work: impl Fn(usize, &mut [T]) + Sync,
) -> Result<()> {
    let pieces: Vec<Mutex<&mut [T]>> = pieces.map(Mutex::new).collect();
    let count = (pieces.len(), pieces.len() as u64);
    threads::run(threads::resolve(threads)?, monitor, stage, count, |at, worker| {
        let mut piece = pieces[at].lock().map_err(|_| Error::Interrupted)?;
        work(at, &mut piece);
        worker.advance(1);
        Ok(())
    })
}

fn whole(len: usize, dim: usize) -> Result<()> {
    if len.is_multiple_of(dim) { Ok(()) } else { Err(Error::Shape { len, dim }) }
}

fn zeros<T: Clone + Default>(len: usize, what: &'static str) -> Result<Vec<T>> {
    let mut made = Vec::new();
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    made.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { what, bytes })?;
    made.resize(len, T::default());
    Ok(made)
}
