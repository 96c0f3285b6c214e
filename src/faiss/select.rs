//! Which entries of a table are the least, and which lie in which bucket?

use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::threads::{self, Monitor};

/// Rows that a thread takes at a time.
const ROWS: usize = 16;

/// The `k` least values of each row of `n`, ascending, and where they stood, the first of equals first; −1 beside `f32::MAX` where a row
/// has no more. NaN is never among them. With `largest` it is the greatest, descending, beside `f32::MIN`.
///
/// # Errors
/// [`Error::Shape`] where `values` are not whole rows; [`Error::Argument`] where `threads` is 0; [`Error::OutOfMemory`];
/// [`Error::Interrupted`].
pub fn nearest(
    values: &[f32],
    n: usize,
    k: usize,
    largest: bool,
    threads: Option<usize>,
    monitor: Option<&dyn Monitor>,
) -> Result<(Vec<f32>, Vec<i64>)> {
    if n == 0 || !values.len().is_multiple_of(n) {
        return Err(Error::Shape { len: values.len(), dim: n });
    }
    let threads = if values.len() < 1 << 16 { 1 } else { threads::resolve(threads)? };
    let rows = values.len() / n;
    let len = rows.saturating_mul(k);
    let memory = |_| Error::OutOfMemory { what: "results", bytes: (len as u64).saturating_mul(12) };
    let (mut kept, mut places) = (Vec::new(), Vec::new());
    kept.try_reserve_exact(len).map_err(memory)?;
    places.try_reserve_exact(len).map_err(memory)?;
    kept.resize(len, if largest { f32::MIN } else { f32::MAX });
    places.resize(len, -1i64);
    if len == 0 {
        return Ok((kept, places));
    }
    let parts: Vec<_> = kept.chunks_mut(ROWS * k).zip(places.chunks_mut(ROWS * k)).map(Mutex::new).collect();
    threads::run(threads, monitor, "select", (parts.len(), rows as u64), |at, worker| {
        if let Ok(mut part) = parts[at].lock() {
            let (kept, places) = &mut *part;
            let mut best = Best::new(k);
            let values = values[at * ROWS * n..].chunks_exact(n);
            for ((kept, places), row) in kept.chunks_mut(k).zip(places.chunks_mut(k)).zip(values) {
                best.row(row, largest, kept, places);
            }
            worker.advance(ROWS as u64);
        }
        Ok(())
    })?;
    drop(parts);
    Ok((kept, places))
}

/// The candidates of one row: twice as many as are wanted, cut when they are full.
struct Best {
    k: usize,
    some: Vec<(f32, u64)>,
}

impl Best {
    fn new(k: usize) -> Self {
        Self { k, some: Vec::new() }
    }

    fn row(&mut self, row: &[f32], largest: bool, kept: &mut [f32], places: &mut [i64]) {
        self.some.clear();
        let sign = if largest { -1.0 } else { 1.0 };
        let room = 2 * self.k.min(row.len()) + 16;
        let mut limit = f32::MAX;
        for (at, &v) in row.iter().enumerate() {
            let v = sign * v;
            // Faiss's heaps begin full of the largest number, which infinity never replaces.
            if v < limit {
                self.some.push((v, at as u64));
                if self.some.len() == room {
                    self.cut();
                    limit = self.some[self.k - 1].0;
                }
            }
        }
        self.some.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for ((kept, place), &(v, at)) in kept.iter_mut().zip(places).zip(&self.some) {
            (*kept, *place) = (sign * v, at as i64);
        }
    }

    /// Leaves the k least, the greatest of them last.
    fn cut(&mut self) {
        self.some.select_nth_unstable_by(self.k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.some.truncate(self.k);
    }
}

/// Where each bucket begins in the list of all entries by bucket, and that list: `width` entries stand for one number, so that it holds
/// row numbers of a table.
///
/// # Errors
/// [`Error::Argument`] where an entry is no bucket's.
pub fn buckets(entries: &[i64], count: usize, width: usize) -> Result<(Vec<i64>, Vec<i64>)> {
    let mut ends = vec![0i64; count + 1];
    for &bucket in entries {
        match usize::try_from(bucket).ok().filter(|&bucket| bucket < count) {
            Some(bucket) => ends[bucket + 1] += 1,
            None => return Err(Error::argument("bucket", bucket, "0 to nbucket - 1")),
        }
    }
    for at in 0..count {
        ends[at + 1] += ends[at];
    }
    let mut next = ends.clone();
    let mut sorted = vec![0i64; entries.len()];
    for (row, entries) in entries.chunks(width.max(1)).enumerate() {
        for &bucket in entries {
            let place = &mut next[bucket as usize];
            sorted[*place as usize] = row as i64;
            *place += 1;
        }
    }
    Ok((ends, sorted))
}
