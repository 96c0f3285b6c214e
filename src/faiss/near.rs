//! Which vectors are nearest, told in single precision: of a table of distances, or of what a sketch leaves.

use super::sketch::{Look, Sketch};
use crate::kernels::product::Few;
use crate::kernels::{Isa, Kernel, Simd};
use crate::keys::{distance_of, key};
use crate::metric::Metric;

/// Distances that are compared at a time.
const LINE: usize = 16;

/// The least of each row of distances, or the greatest of inner products, and where they are.
pub(super) struct Least<'a> {
    pub table: &'a mut [f32],
    /// Values of a row.
    pub n: usize,
    pub squares: bool,
    /// How many are told of each row, their places and what they are.
    pub results: (usize, &'a mut [i64], &'a mut [f32]),
}

impl Kernel for Least<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (k, ids, distances) = self.results;
        // Rounding may leave less than nothing of a square.
        let floor = if self.squares { 0.0 } else { f32::NEG_INFINITY };
        let results = ids.chunks_mut(k).zip(distances.chunks_mut(k));
        for (row, (ids, distances)) in self.table.chunks_exact_mut(self.n).zip(results) {
            if !self.squares {
                row.iter_mut().for_each(|v| *v = -*v);
            }
            match (ids, distances) {
                ([id], [distance]) => {
                    if let Some(place) = first_of(row) {
                        (*id, *distance) = (place as i64, row[place].max(floor));
                    }
                }
                (ids, distances) => least_of(row, floor, ids, distances),
            }
        }
    }
}

/// The nearest of `rows` to one query: those that `sketch` does not rule out are told in single precision.
pub(super) struct Near<'a, const SQUARES: bool> {
    pub sketch: &'a Sketch,
    pub query: &'a [f32],
    pub rows: &'a [f32],
    pub results: (&'a mut [i64], &'a mut [f32]),
}

impl<const SQUARES: bool> Kernel for Near<'_, SQUARES> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { sketch, query, rows, results: (ids, told) } = self;
        let metric = if SQUARES { Metric::L2 } else { Metric::InnerProduct };
        let mut least = vec![0f32; rows.len() / query.len()];
        Look::new(metric, query).score(Isa::active(), sketch, 0, &mut least);
        least_of(&least, f32::NEG_INFINITY, ids, told);
        // No more than the farthest of those that seem nearest.
        let mut bound = f32::NEG_INFINITY;
        for &id in ids.iter() {
            let far =
                if id < 0 { f32::INFINITY } else { distance::<S, SQUARES>(s, query, rows, id as usize) };
            bound = if far <= bound { bound } else { far };
        }
        let mut keys = Vec::with_capacity(2 * ids.len());
        for (places, least) in (0..).step_by(LINE).zip(least.chunks(LINE)) {
            // A NaN is not above.
            if least.iter().fold(true, |all, &least| all & (least > bound)) {
                continue;
            }
            for (place, least) in (places..).zip(least) {
                if *least > bound {
                    continue;
                }
                let far = distance::<S, SQUARES>(s, query, rows, place);
                if !far.is_nan() {
                    keys.push(key(far, place as u32));
                }
            }
        }
        ids.fill(-1);
        told.fill(f32::INFINITY);
        tell(keys, ids, told);
    }
}

/// How far row `place` is from a query.
#[inline(always)]
fn distance<S: Simd, const SQUARES: bool>(s: S, query: &[f32], rows: &[f32], place: usize) -> f32 {
    let (dim, mut out) = (query.len(), [0.0]);
    let row = &rows[place * dim..][..dim];
    Few::<SQUARES> { rows: query, others: row, dim, out: &mut out }.run(s);
    if SQUARES { out[0] } else { -out[0] }
}

/// Where the least value of `row` first is; nothing where all are NaN.
#[inline(always)]
fn first_of(row: &[f32]) -> Option<usize> {
    let (lines, rest) = row.as_chunks::<LINE>();
    let mut least = [f32::INFINITY; LINE];
    for line in lines {
        for (least, &value) in least.iter_mut().zip(line) {
            *least = if value < *least { value } else { *least };
        }
    }
    let least = least.iter().chain(rest).fold(f32::INFINITY, |least, &value| least.min(value));
    let line = lines.iter().position(|line| line.iter().fold(false, |any, &value| any | (value <= least)));
    let from = line.unwrap_or(lines.len()) * LINE;
    row[from..].iter().position(|&value| value <= least).map(|at| from + at)
}

/// The least values of `row` and where they are, ascending, ties by the lower place; none is told below `floor`.
#[inline(always)]
fn least_of(row: &[f32], floor: f32, ids: &mut [i64], values: &mut [f32]) {
    // A value and its place as one number of the same order.
    let key = |(place, value): (usize, &f32)| key(value.max(floor), place as u32);
    let k = ids.len().min(row.len());
    // The k-th of what is least in each of some groups is no nearer than the k-th of all: most values are ruled out by it. A group is
    // every so many-th value, so that registers take values of as many groups as they hold.
    let mut bound = f32::INFINITY;
    let groups = (4 * k).next_multiple_of(LINE).max(4 * LINE);
    if k > 0 && 2 * groups <= row.len() {
        let mut least = vec![f32::INFINITY; groups];
        for values in row.chunks_exact(groups) {
            for (least, &value) in least.iter_mut().zip(values) {
                *least = if value < *least { value } else { *least };
            }
        }
        bound = least.select_nth_unstable_by(k - 1, f32::total_cmp).1.max(floor);
    }
    let mut keys: Vec<u64> = Vec::with_capacity(2 * k + LINE);
    for (line, values) in row.chunks(LINE).enumerate() {
        if values.iter().fold(false, |any, &value| any | (value <= bound)) {
            let near = values.iter().enumerate().filter(|(_, value)| **value <= bound);
            keys.extend(near.map(|(at, value)| key((line * LINE + at, value))));
        }
    }
    tell(keys, ids, values);
}

/// Writes the least of some values and where they are.
fn tell(mut keys: Vec<u64>, ids: &mut [i64], values: &mut [f32]) {
    let k = ids.len();
    if k < keys.len() {
        keys.select_nth_unstable(k);
        keys.truncate(k);
    }
    keys.sort_unstable();
    for ((id, value), key) in ids.iter_mut().zip(values).zip(keys) {
        (*id, *value) = (i64::from(key as u32), distance_of(key));
    }
}
