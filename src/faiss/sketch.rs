//! Vectors in a byte a coordinate, to tell which of them a query need not look at: a quarter of the bytes, and results are the same.
//!
//! ```text
//! x ≈ x̂ = m + s·c          m the mean of all; c = round((x − m) / s), s = max |x − m| / 127: each vector its own
//! q ≈ u·k                  k of 16 bits, once for all sketches
//!
//! l2   ‖q − x‖ ≥ ‖q − x̂‖ − e,   ‖q − x̂‖² = ‖q − m‖² + t − 2s⟨q,c⟩,   t = ‖sc‖² + 2s⟨m,c⟩
//! ip   −⟨q,x⟩ ≥ −⟨q,m⟩ − s⟨q,c⟩ − ‖q‖e
//!
//! |⟨q,c⟩ − u⟨k,c⟩| ≤ ‖q − uk‖ · 128√d
//! ```
//!
//! e ≥ ‖x − x̂‖. Bytes themselves are m = 128, s = 1 and e = 0. What f32 rounds away, here and in the distances that this is compared with, is
//! less than ε = (d + 64) · 2⁻²³ of what the terms' magnitudes come to, and is taken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::learned::Learned;
use crate::kernels::simd::ROUND;
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;

/// Codes that are multiplied at a time.
const STEP: usize = 32;
/// Rows whose sums are in registers together.
const ROWS: usize = 4;
/// Terms that are summed side by side.
const LANES: usize = 16;
/// The largest magnitude of a row's code, and of a query's.
const CODE_MAX: f32 = 127.0;
const QUERY_MAX: f64 = 32_767.0;
/// What is too small for f32 is lost in each term.
const TINY: f32 = 1e-36;
/// No code is longer than this times √d.
const LONGEST: f64 = 128.0;
/// Vectors that are worth one.
const FEW: usize = 16;
/// Bytes of vectors that have one, at most: a query does not wait long for it.
const MOST: usize = 1 << 28;

/// The sketch of some vectors, and what leads to it.
#[derive(Debug, Default)]
pub(super) struct Sketched {
    looks: AtomicU32,
    sketch: Learned<Sketch>,
}

/// A copy makes its own.
impl Clone for Sketched {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Sketched {
    /// The vectors are others now.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// `rows` are after the others now.
    pub fn extend(&mut self, rows: &[u8]) {
        if let Some(sketch) = self.sketch.known_mut()
            && !sketch.extend(rows)
        {
            self.forget();
        }
    }

    /// The sketch, if there is one.
    pub fn known(&self) -> Option<Arc<Sketch>> {
        self.sketch.known()?.clone()
    }

    /// The sketch of `rows`, vectors of `dim` coordinates as they lie in memory: made once it was asked for more than `looks` times, for it is
    /// read from the vectors, which takes as long as some looks at them.
    pub fn asked(&self, dim: usize, rows: &[u8], looks: u32) -> Option<Arc<Sketch>> {
        if !(FEW * 4 * dim..MOST).contains(&rows.len()) || Sketch::row_bytes(dim) > 2 * dim {
            return None;
        }
        let mut known = self.sketch.known()?;
        if known.is_none() && self.looks.fetch_add(1, Ordering::Relaxed) >= looks {
            *known = Sketch::new(dim, rows).map(Arc::new);
        }
        known.clone()
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let known = self.sketch.known().and_then(|known| known.clone());
        known.map_or(0, |sketch| sketch.bytes())
    }
}

/// Rows in bytes.
#[derive(Debug)]
pub(super) struct Sketch {
    dim: usize,
    /// m.
    mean: Vec<f32>,
    /// Whether all values are whole numbers from 0 to 255.
    whole: bool,
    /// c, a row padded with zeros to whole steps.
    codes: Vec<i8>,
    /// s, t and e of each row.
    steps: Vec<f32>,
    terms: Vec<f32>,
    errors: Vec<f32>,
}

impl Sketch {
    /// Bytes of a row of codes and its factors.
    fn row_bytes(dim: usize) -> usize {
        dim.next_multiple_of(STEP) + 3 * size_of::<f32>()
    }

    /// `None` where there is no memory for it.
    fn new(dim: usize, rows: &[u8]) -> Option<Self> {
        let whole = Isa::active().run(Whole(rows));
        let mut mean = vec![0.0; dim.next_multiple_of(STEP)];
        if whole {
            mean[..dim].fill(128.0);
        } else {
            Isa::active().run(Mean(dim, rows, &mut mean));
        }
        let (codes, steps, terms, errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut sketch = Self { dim, mean, whole, codes, steps, terms, errors };
        sketch.encode(rows).then_some(sketch)
    }

    /// Appends `rows`; false where they do not fit the others, or the memory.
    fn extend(&mut self, rows: &[u8]) -> bool {
        (!self.whole || Isa::active().run(Whole(rows))) && self.encode(rows)
    }

    fn bytes(&self) -> u64 {
        (self.codes.len() + 4 * (self.mean.len() + 3 * self.steps.len())) as u64
    }

    /// The codes of `rows`.
    pub fn codes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.codes)
    }

    /// False where there is no memory; nothing is then appended.
    fn encode(&mut self, rows: &[u8]) -> bool {
        let (count, stride) = (rows.len() / (4 * self.dim), self.mean.len());
        let factors = [&mut self.steps, &mut self.terms, &mut self.errors];
        let room = self.codes.try_reserve(count * stride).is_ok()
            && factors.into_iter().all(|factor| factor.try_reserve(count).is_ok());
        if room {
            self.codes.resize(self.codes.len() + count * stride, 0);
            Isa::active().run(Encode(self, rows));
        }
        room
    }

    #[inline(always)]
    fn push(&mut self, row: &[Line], codes: &mut [[i8; LANES]]) {
        let mean = self.mean.as_chunks::<LANES>().0;
        let mut most = [0f32; LANES];
        for (row, mean) in row.iter().zip(mean) {
            for i in 0..LANES {
                let off = (row[i] - mean[i]).abs();
                most[i] = if off > most[i] { off } else { most[i] };
            }
        }
        let most = most.into_iter().fold(0f32, f32::max);
        let step = if self.whole { 1.0 } else { most / CODE_MAX };
        let inverse = if step > f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        let (s, mut terms, mut errors) = (f64::from(step), [0f64; LANES], [0f64; LANES]);
        for ((row, mean), codes) in row.iter().zip(mean).zip(codes) {
            for i in 0..LANES {
                // Whatever the code, what is told is true of it.
                codes[i] = ((row[i] - mean[i]) * inverse + ROUND).to_bits() as i8;
                let (m, part) = (f64::from(mean[i]), s * f64::from(codes[i]));
                let off = f64::from(row[i]) - m - part;
                terms[i] += part * (part + 2.0 * m);
                errors[i] += off * off;
            }
        }
        let (term, error) = (terms.into_iter().sum::<f64>(), errors.into_iter().sum::<f64>());
        self.steps.push(step);
        self.terms.push(term as f32);
        self.errors.push(if error == 0.0 { 0.0 } else { (error.sqrt() as f32 * (1.0 + 1e-6)).next_up() });
    }
}

/// Some coordinates of a row.
type Line = [f32; LANES];

/// Coordinates as they lie in a row of bytes, filled up with zeros.
#[inline(always)]
fn read(row: &[u8], lines: &mut [Line]) {
    for (v, bytes) in lines.as_flattened_mut().iter_mut().zip(row.as_chunks::<4>().0) {
        *v = f32::from_le_bytes(*bytes);
    }
}

/// Adds vectors to a sketch, which has room for them.
struct Encode<'a>(&'a mut Sketch, &'a [u8]);

impl Kernel for Encode<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self(sketch, rows) = self;
        let (dim, stride, first) = (sketch.dim, sketch.mean.len(), sketch.steps.len() * sketch.mean.len());
        let mut lines = vec![[0.0; LANES]; stride / LANES];
        let mut codes = std::mem::take(&mut sketch.codes);
        for (row, codes) in rows.chunks_exact(4 * dim).zip(codes[first..].chunks_exact_mut(stride)) {
            read(row, &mut lines);
            sketch.push(&lines, codes.as_chunks_mut().0);
        }
        sketch.codes = codes;
    }
}

/// The mean of vectors of so many coordinates.
struct Mean<'a>(usize, &'a [u8], &'a mut [f32]);

impl Kernel for Mean<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self(dim, rows, mean) = self;
        let share = 1.0 / (rows.len() / (4 * dim)) as f32;
        let mut lines = vec![[0.0; LANES]; mean.len() / LANES];
        for row in rows.chunks_exact(4 * dim) {
            read(row, &mut lines);
            for (mean, v) in mean.iter_mut().zip(lines.as_flattened()) {
                *mean += v * share;
            }
        }
    }
}

/// Whether all values are whole numbers from 0 to 255.
struct Whole<'a>(&'a [u8]);

impl Kernel for Whole<'_> {
    type Out = bool;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> bool {
        self.0.chunks(1024).all(is_whole)
    }
}

#[inline(always)]
fn is_whole(bytes: &[u8]) -> bool {
    let mut whole = true;
    for bytes in bytes.as_chunks::<4>().0 {
        let v = f32::from_le_bytes(*bytes);
        whole &= ((v + ROUND) - ROUND == v) & (0.0..=255.0).contains(&v);
    }
    whole
}

/// A query, ready for any sketches.
pub(super) struct Look<'a> {
    metric: Metric,
    query: &'a [f32],
    /// k, and zeros up to a whole step.
    codes: Vec<i16>,
    /// u, ‖q − uk‖ and ‖q‖.
    unit: f64,
    left: f64,
    norm: f64,
}

impl<'a> Look<'a> {
    /// `metric` is l2 or ip.
    pub fn new(metric: Metric, query: &'a [f32]) -> Self {
        struct Round<'a>(&'a [f32], f64, &'a mut [i16]);
        impl Kernel for Round<'_> {
            type Out = f64;
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> f64 {
                let Self(query, unit, codes) = self;
                let (inverse, mut left) = (1.0 / unit, [0f64; LANES]);
                for (query, codes) in query.chunks(LANES).zip(codes.chunks_mut(LANES)) {
                    for ((left, &v), code) in left.iter_mut().zip(query).zip(codes) {
                        let v = f64::from(v);
                        let near = (v * inverse).round_ties_even();
                        *code = near as i16;
                        *left += (v - unit * near) * (v - unit * near);
                    }
                }
                left.into_iter().sum::<f64>().sqrt()
            }
        }
        let (mut squares, mut most) = ([0f64; LANES], 0f32);
        for query in query.chunks(LANES) {
            for (square, &v) in squares.iter_mut().zip(query) {
                *square += f64::from(v) * f64::from(v);
                most = most.max(v.abs());
            }
        }
        let norm = squares.into_iter().sum::<f64>().sqrt();
        // No sum of products with a code leaves 31 bits: none is longer than ‖k‖‖c‖.
        let long = norm * LONGEST * (query.len() as f64).sqrt() * 2f64.powi(-30);
        let unit = (f64::from(most) / QUERY_MAX).max(long);
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let mut codes = vec![0i16; query.len().next_multiple_of(STEP)];
        let left = Isa::active().run(Round(query, unit, &mut codes));
        Self { metric, query, codes, unit, left, norm }
    }

    /// What the distances of the rows of `sketch` from row `first` on are not below, by f32.
    pub fn score(&self, isa: Isa, sketch: &Sketch, first: usize, out: &mut [f32]) {
        isa.run(Score { look: self, sketch, first, out });
    }
}

struct Score<'a> {
    look: &'a Look<'a>,
    sketch: &'a Sketch,
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Score<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { look, sketch, first, out } = self;
        products(s, look, sketch, first, out);
        let rows = first..first + out.len();
        let factors =
            sketch.steps[rows.clone()].iter().zip(&sketch.terms[rows.clone()]).zip(&sketch.errors[rows]);
        let dim = sketch.dim as f64;
        let epsilon = (dim + 64.0) * 2f64.powi(-23);
        // s · rest is what rounding the query leaves open of s⟨q,c⟩.
        let (rest, longest) = (look.left * LONGEST * dim.sqrt(), look.norm * LONGEST * dim.sqrt());
        let [apart, along, length] = against(look.query, &sketch.mean[..sketch.dim]);
        if look.metric == Metric::L2 {
            let (epsilon, twice, rest) = (epsilon as f32, (2.0 * look.unit) as f32, (2.0 * rest) as f32);
            for (out, ((step, term), error)) in out.iter_mut().zip(factors) {
                let dot = step * (twice * *out);
                let least = (apart + term - dot) - epsilon * (apart + term.abs() + dot.abs());
                let least = least - rest * step - TINY;
                let least = if least > 0.0 { least } else { 0.0 };
                let least = least.sqrt() - error;
                let least = if least > 0.0 { least } else { 0.0 };
                *out = least * least * (1.0 - epsilon);
            }
            return;
        }
        let unit = look.unit as f32;
        let of_step = (rest + 2.0 * epsilon * longest) as f32;
        let of_error = (look.norm * (1.0 + epsilon)) as f32;
        let lost =
            (2.0 * epsilon * look.norm * f64::from(length).sqrt()) as f32 * (1.0 + epsilon as f32) + TINY;
        for (out, ((step, _), error)) in out.iter_mut().zip(factors) {
            *out = -along - step * (unit * *out) - step * of_step - error * of_error - lost;
        }
    }
}

/// ⟨k,c⟩ of each row.
#[inline(always)]
fn products<S: Simd>(s: S, look: &Look, sketch: &Sketch, first: usize, out: &mut [f32]) {
    let (query, _) = look.codes.as_chunks::<STEP>();
    let stride = look.codes.len();
    for (at, out) in (first..).step_by(ROWS).zip(out.chunks_mut(ROWS)) {
        let mut codes = [&[][..]; ROWS];
        for i in 0..ROWS {
            // The last few repeat the last one.
            let row = at + i.min(out.len() - 1);
            codes[i] = &sketch.codes[row * stride..][..stride].as_chunks::<STEP>().0[..query.len()];
        }
        let mut accs = [s.zero_i32(); ROWS];
        for (step, q) in query.iter().enumerate() {
            for i in 0..ROWS {
                accs[i] = s.dot_i16(accs[i], &codes[i][step], q);
            }
        }
        for (out, sum) in out.iter_mut().zip(s.sums_i32(accs)) {
            *out = sum as f32;
        }
    }
}

/// ‖q − m‖², ⟨q,m⟩ and ‖m‖².
#[inline(always)]
fn against(query: &[f32], mean: &[f32]) -> [f32; 3] {
    let mut sums = [[0f32; LANES]; 3];
    let (queries, query) = query.as_chunks::<LANES>();
    let (means, mean) = mean.as_chunks::<LANES>();
    for (q, m) in queries.iter().zip(means) {
        for i in 0..LANES {
            sums[0][i] += (q[i] - m[i]) * (q[i] - m[i]);
            sums[1][i] += q[i] * m[i];
            sums[2][i] += m[i] * m[i];
        }
    }
    for (i, (q, m)) in query.iter().zip(mean).enumerate() {
        sums[0][i] += (q - m) * (q - m);
        sums[1][i] += q * m;
        sums[2][i] += m * m;
    }
    sums.map(|lanes| lanes.into_iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faiss::codec::{Codec, Flat};
    use crate::faiss::lists::{Lists, Probes, Within};
    use crate::faiss::selector::Selector;
    use crate::random::Random;

    #[test]
    fn no_distance_is_below_what_its_sketch_tells() {
        let mut random = Random(7);
        for dim in [3, 32, 33, 100, 384, 1030] {
            for kind in 0..8 {
                let rows = random.values(21 * dim, kind);
                let codes: &[u8] = bytemuck::cast_slice(&rows);
                let mut sketch = Sketch::new(dim, &codes[..13 * 4 * dim]).unwrap();
                assert!(sketch.extend(&codes[13 * 4 * dim..]), "{dim} {kind}");
                let codec = Flat::new(dim).unwrap();
                for query in [random.values(dim, kind), rows[5 * dim..6 * dim].to_vec(), vec![0.0; dim]] {
                    for metric in [Metric::L2, Metric::InnerProduct] {
                        let mut scorer = codec.scorer(metric, &query);
                        scorer.enter(None);
                        let (mut distances, look) = (vec![0.0; 21], Look::new(metric, &query));
                        scorer.score(codes, &mut distances);
                        for isa in Isa::available() {
                            let mut told = vec![0.0; 20];
                            look.score(isa, &sketch, 1, &mut told);
                            for (row, (told, distance)) in told.iter().zip(&distances[1..]).enumerate() {
                                let below = told > distance;
                                assert!(
                                    !below,
                                    "{dim} {kind} {metric} {row}: {told} {distance} {}",
                                    isa.name()
                                );
                                if kind < 2 && metric == Metric::L2 && dim > 32 {
                                    let near = 0.9 * distance - 1e-2 * dim as f32;
                                    assert!(
                                        *told >= near,
                                        "{dim} {kind} {row}: {told} {distance} {}",
                                        isa.name()
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn lists_find_the_same_by_their_sketches_whatever_becomes_of_them() {
        const DIM: usize = 40;
        for kind in [0, 1, 5] {
            let mut random = Random(kind as u64);
            let codec = Flat::new(DIM).unwrap();
            let mut lists = Lists::new(2, 4 * DIM, 1).unwrap();
            let mut count = 0;
            let mut add = |lists: &mut Lists, n: usize, kind: usize| {
                let x = random.values(n * DIM, kind);
                let ids: Vec<i64> = (count..count + n as i64).collect();
                let keys: Vec<i64> = ids.iter().map(|id| id % 2).collect();
                count += n as i64;
                lists.add(&codec, &x, &keys, &ids, None, (1, None)).unwrap();
                x
            };
            let queries = add(&mut lists, 1300, kind);
            let queries = &queries[..4 * DIM];
            let look = |lists: &Lists, within| {
                let found = [(Metric::L2, None), (Metric::InnerProduct, Some(&Selector::Range(3, 900)))];
                found.map(|(metric, selector)| {
                    let (codec, keys, max_codes) = (&codec, &[0, 1, 1, 0, 0, 1, 1, 0], 1200);
                    let (centers, coarse, places) = (None, &[][..], false);
                    let probes =
                        Probes { lists, codec, metric, centers, keys, coarse, max_codes, selector, places };
                    let found = probes.run(queries, within, (Some(1), None)).unwrap();
                    let row = |row: Vec<crate::search::Neighbor>| -> Vec<(u32, u64)> {
                        row.into_iter().map(|n| (n.distance.to_bits(), n.id)).collect()
                    };
                    found.into_iter().map(row).collect::<Vec<_>>()
                })
            };
            let radius = if kind == 1 { 40_000.0 } else { 20.0 };
            for change in 0..6 {
                match change {
                    0 => {}
                    1 => drop(add(&mut lists, 5, kind)),
                    2 => drop(add(&mut lists, 5, 0)),
                    3 => assert_eq!(lists.remove(&Selector::Range(10, 300)), 290),
                    4 => lists.replace(1, 7, 70_000, bytemuck::cast_slice(&queries[..DIM])).unwrap(),
                    _ => lists.truncate(0, 100),
                }
                for within in [Within::Nearest(10), Within::Radius(radius), Within::Nearest(700)] {
                    let before = look(&lists.clone(), within);
                    for _ in 0..8 {
                        look(&lists, within);
                    }
                    assert!(
                        lists.bytes() > (lists.len(0) + lists.len(1)) as u64 * (5 * DIM as u64 + 8),
                        "{kind} {change}"
                    );
                    assert_eq!(look(&lists, within), before, "{kind} {change}");
                }
            }
        }
    }
}
