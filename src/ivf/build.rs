//! From vectors to lists of codes: a sample tells the space, the centres and what codes stand for; then every vector is coded
//! and put into the list of the nearest centre.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::codes::{Codes, Layout, Lists, NONE, Run};
use super::{Ivf, IvfParams};
use crate::error::{Error, Result};
use crate::kernels::Isa;
use crate::kernels::fastscan::BLOCK;
use crate::kernels::nearest::{Nearest, rows_of};
use crate::kernels::simd::nearest_byte;
use crate::kmeans::{KmeansParams, kmeans};
use crate::metric::Metric;
use crate::quantizer::scalar::Scalar;
use crate::quantizer::{Code, Factors, Quantizer, dot};
use crate::random::Random;
use crate::space::{STRIDE, Space};
use crate::storage::filled;
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Vectors for each centre that centres are learned from, at most.
const PER_CENTER: usize = 48;
/// Rounds of k-means.
const ROUNDS: usize = 8;
/// Vectors that codes are learned from, at most.
const SAMPLE: usize = 1 << 14;
/// Vectors a list, at least, in the mean.
const LEAST: usize = 8;
/// Vectors that a thread takes at a time.
const PART: usize = 512;
/// Parts that are coded before their codes are put in place.
const PARTS: usize = 128;

/// Centres among which a second one is chosen.
const SECOND: usize = 16;
/// What counts for a second list beside its distance: 1 to 2 found most, in the fewest codes, on two real sets.
const LAMBDA: f32 = 1.5;

/// Memory to work in.
#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    heads: Vec<f32>,
    tails: Vec<f32>,
    bytes: Vec<i8>,
    center: Vec<f32>,
    residual: Vec<f32>,
}

/// Codes on their way to their places.
struct Piece {
    nibbles: Vec<u8>,
    planes: Vec<u8>,
    factors: Vec<[Factors; 2]>,
}

impl Ivf {
    /// An inverted file of `vectors`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn build(vectors: Vectors, params: &IvfParams) -> Result<Self> {
        let IvfParams { metric, given, coding, refined, seed, threads, monitor, .. } = *params;
        let space = match given {
            Some(given) => given.space.clone(),
            None => Space::train(vectors, metric, coding.wanted(refined), seed, monitor)?,
        };
        let width = space.width();
        let isa = Isa::active();
        let centers = match given {
            Some(given) => Centers::given(isa, &space, given.centers)?,
            None => {
                let asked = params.lists.unwrap_or((4.0 * (vectors.len() as f64).sqrt()) as usize);
                Centers::learned(isa, &space, vectors, asked.min(vectors.len() / LEAST).max(1), params)?
            }
        };
        let lists = centers.len();
        // There is no other list than one.
        let copies = if params.twice && lists > 1 { 2 } else { 1 };
        let sample = Random(seed ^ 1).choose(SAMPLE.min(vectors.len()), vectors.len());
        let sample = vectors.gathered(&sample)?;
        let residuals = residuals(
            isa,
            &space,
            &centers,
            Vectors::from_bytes(sample.bytes(), vectors.dtype(), vectors.dim())?,
            (threads, monitor),
        )?;
        let quantizer: Arc<dyn Quantizer> =
            coding.train(refined, &residuals, width, (seed, threads, monitor))?;
        let codes = Codes::new(Layout::of(&*quantizer));
        let mut ivf = Self {
            space,
            quantizer,
            codes,
            lists: Lists::new(vec![Vec::new(); lists].iter()),
            centers: encode_centers(&centers)?,
            copies,
            len: 0,
        };
        ivf.add(vectors, given.map(|given| given.labels), threads, monitor)?;
        Ok(ivf)
    }

    /// Adds `vectors` as the rows after the present ones, to the lists that `labels` tells for each, or else to the nearest.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`]; the index is then as it was.
    pub fn add(
        &mut self,
        vectors: Vectors,
        labels: Option<&[u32]>,
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let (isa, before) = (Isa::active(), self.codes.len());
        let centers = self.centers()?;
        let labels = match labels {
            Some(labels) => labels.to_vec(),
            None => assign(isa, &self.space, (&centers, self.copies), vectors, (threads, monitor))?,
        };
        let mut lists: Vec<Vec<Run>> = self.lists.iter().map(<[Run]>::to_vec).collect();
        let (places, len) = place(&mut lists, before, &labels)?;
        let done = self
            .codes
            .lengthen(len)
            .and_then(|()| self.encode(isa, &centers, vectors, (&labels, &places), threads, monitor));
        match done {
            Ok(()) => {
                self.lists = Lists::new(lists.iter());
                self.len += vectors.len();
            }
            Err(error) => {
                // Places in blocks that were there before have to be empty again.
                let Layout { pairs, planes } = self.codes.layout;
                if let Ok(mut writer) = self.codes.writer() {
                    let (nibbles, planes) = (vec![0; pairs], vec![0; planes]);
                    let nothing = [Factors { add: f32::INFINITY, rescale: 0.0 }; 2];
                    places.iter().filter(|&&at| (at as usize) < before).for_each(|&at| {
                        writer.write(at as usize, NONE, (&nibbles, &planes), nothing);
                    });
                }
                self.codes.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        isa: Isa,
        centers: &Centers,
        vectors: Vectors,
        (labels, places): (&[u32], &[u32]),
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let (space, quantizer, first, copies) = (&self.space, &*self.quantizer, self.len, self.copies);
        let layout = self.codes.layout;
        let mut writer = self.codes.writer()?;
        let total = vectors.len();
        for from in (0..total).step_by(PART * PARTS) {
            let some = from..total.min(from + PART * PARTS);
            let parts = some.len().div_ceil(PART);
            let pieces: Vec<Mutex<Option<Piece>>> = (0..parts).map(|_| Mutex::new(None)).collect();
            let shifted = monitor.map(|monitor| Shifted { monitor, done: from as u64, total: total as u64 });
            let monitor = shifted.as_ref().map(|shifted| shifted as &dyn Monitor);
            threads::run(threads, monitor, "encode", (parts, some.len() as u64), |at, worker| {
                let rows = some.start + at * PART..some.end.min(some.start + (at + 1) * PART);
                let mut scratch = Scratch::default();
                let Scratch { values, heads, tails, center, residual, .. } = &mut scratch;
                space.points(isa, vectors.rows(rows.clone()), values, heads, tails);
                let (width, count) = (space.width(), rows.len() * copies);
                let mut piece = Piece {
                    nibbles: filled("codes", count * layout.pairs, 0)?,
                    planes: filled("codes", count * layout.planes, 0)?,
                    factors: Vec::with_capacity(count),
                };
                for i in 0..count {
                    let (at, tail) = (i / copies, tails[i / copies]);
                    centers.get(labels[rows.start * copies + i], center);
                    residual.clear();
                    let head = &heads[at * width..][..width];
                    residual.extend(head.iter().zip(&*center).map(|(v, c)| v - c));
                    let code = Code {
                        nibbles: &mut piece.nibbles[i * layout.pairs..][..layout.pairs],
                        planes: &mut piece.planes[i * layout.planes..][..layout.planes],
                    };
                    let factors = quantizer.encode(isa, residual, center, code);
                    piece.factors.push(factors.map(|f| Factors { add: f.add + tail, ..f }));
                }
                *pieces[at].lock().map_err(|_| Error::Interrupted)? = Some(piece);
                worker.advance(rows.len() as u64);
                Ok(())
            })?;
            for (at, piece) in pieces.into_iter().enumerate() {
                let piece = piece.into_inner().ok().flatten().ok_or(Error::Interrupted)?;
                for (i, factors) in piece.factors.iter().enumerate() {
                    let copy = (some.start + at * PART) * copies + i;
                    let nibbles = &piece.nibbles[i * layout.pairs..][..layout.pairs];
                    let planes = &piece.planes[i * layout.planes..][..layout.planes];
                    let row = (first + copy / copies) as u32;
                    writer.write(places[copy] as usize, row, (nibbles, planes), *factors);
                }
            }
        }
        Ok(())
    }

    /// The centres of the lists.
    fn centers(&self) -> Result<Centers> {
        let mut centers = Centers::new(self.lists.len(), self.space.width())?;
        let view = self.centers.view();
        for (at, to) in centers.bytes.chunks_exact_mut(centers.stride).enumerate() {
            // All of a centre's bits are in its rest: a level of 0 to 255, which stands for 127.5 less.
            to.iter_mut().zip(&view.rest(at).0[..centers.width]).for_each(|(to, u)| *to = (u ^ 0x80) as i8);
        }
        Ok(centers)
    }
}

/// Centres, each coordinate an integer and a half, which eight bits hold: the integers, each centre padded to a whole stride.
struct Centers {
    bytes: Vec<i8>,
    width: usize,
    stride: usize,
}

impl Centers {
    fn new(count: usize, width: usize) -> Result<Self> {
        let stride = width.next_multiple_of(STRIDE);
        Ok(Self { bytes: filled("centres", count * stride, 0)?, width, stride })
    }

    /// Finds `count` of them.
    fn learned(isa: Isa, space: &Space, vectors: Vectors, count: usize, params: &IvfParams) -> Result<Self> {
        let mut centers = Self::new(count, space.width())?;
        if count == 1 {
            // The points are centred.
            return Ok(centers);
        }
        let sample =
            Random(params.seed).choose(vectors.len().min(count.saturating_mul(PER_CENTER)), vectors.len());
        let chosen = vectors.gathered(&sample)?;
        let chosen = Vectors::from_bytes(chosen.bytes(), vectors.dtype(), vectors.dim())?;
        let mut points = Vec::with_capacity(sample.len() * centers.stride);
        let mut scratch = Scratch::default();
        for from in (0..sample.len()).step_by(PART) {
            rounded(isa, space, chosen.rows(from..sample.len().min(from + PART)), &mut scratch);
            points.extend_from_slice(&scratch.bytes);
        }
        let params = KmeansParams {
            metric: Metric::L2,
            iterations: ROUNDS,
            seed: params.seed,
            threads: Some(params.threads),
            monitor: params.monitor,
            ..KmeansParams::default()
        };
        let found = kmeans(Vectors::new(&points, centers.stride)?, count, &params)?;
        for (at, center) in found.centroids.chunks_exact(centers.stride).enumerate() {
            centers.set(at, center);
        }
        Ok(centers)
    }

    /// Those that are given, as vectors.
    fn given(isa: Isa, space: &Space, given: Vectors) -> Result<Self> {
        let mut centers = Self::new(given.len(), space.width())?;
        let Scratch { values, heads, tails, .. } = &mut Scratch::default();
        space.points(isa, given, values, heads, tails);
        for (at, center) in heads.chunks_exact(space.width()).enumerate() {
            centers.set(at, center);
        }
        Ok(centers)
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.stride
    }

    /// Rounds the centre `at`.
    fn set(&mut self, at: usize, center: &[f32]) {
        let to = &mut self.bytes[at * self.stride..][..self.width];
        to.iter_mut().zip(center).for_each(|(to, v)| *to = v.floor() as i8);
    }

    /// Makes `center` the centre `at`.
    fn get(&self, at: u32, center: &mut Vec<f32>) {
        center.clear();
        let bytes = &self.bytes[at as usize * self.stride..][..self.width];
        center.extend(bytes.iter().map(|&byte| f32::from(byte) + 0.5));
    }

    /// The list for the second copy of `point`, of those near it but for `first`: a query that is far from the point along the
    /// first residual r, and so misses the first list, should not be as far along the second (SOAR: Sun and others 2023, theorem 3.1)
    ///
    /// ```text
    /// argmin ‖r′‖² + λ⟨r/‖r‖, r′⟩²        r = x − c,   r′ = x − c′
    /// ```
    fn second(
        &self,
        first: u32,
        point: &[f32],
        near: &[(f32, u32)],
        (center, residual): (&mut Vec<f32>, &mut Vec<f32>),
    ) -> u32 {
        self.get(first, center);
        residual.clear();
        residual.extend(point.iter().zip(&*center).map(|(v, c)| v - c));
        let square = dot(residual, residual).max(f32::MIN_POSITIVE);
        let mut best = (f32::INFINITY, first);
        for &(_, other) in near.iter().filter(|(_, other)| *other != first) {
            self.get(other, center);
            center.iter_mut().zip(point).for_each(|(c, v)| *c = v - *c);
            let along = dot(residual, center);
            let lost = dot(center, center) + LAMBDA * along * along / square;
            if (lost, other) < best {
                best = (lost, other);
            }
        }
        best.1
    }

    /// Makes `point` what it is off from centre `at`, which `center` becomes.
    fn subtract(&self, at: u32, point: &mut [f32], center: &mut Vec<f32>) {
        self.get(at, center);
        point.iter_mut().zip(center).for_each(|(v, c)| *v -= *c);
    }
}

/// A monitor that is told what was done before.
struct Shifted<'a> {
    monitor: &'a dyn Monitor,
    done: u64,
    total: u64,
}

impl Monitor for Shifted<'_> {
    fn report(&self, stage: &'static str, done: u64, _: u64) -> bool {
        self.monitor.report(stage, self.done + done, self.total)
    }
}

/// Makes `scratch.bytes` the points of `vectors`, each padded to a whole stride, in bytes.
fn rounded(isa: Isa, space: &Space, vectors: Vectors, scratch: &mut Scratch) {
    let Scratch { values, heads, tails, bytes, .. } = scratch;
    let (width, stride) = (space.width(), space.width().next_multiple_of(STRIDE));
    space.points(isa, vectors, values, heads, tails);
    bytes.clear();
    bytes.resize(vectors.len() * stride, 0);
    for (bytes, head) in bytes.chunks_exact_mut(stride).zip(heads.chunks_exact(width)) {
        bytes.iter_mut().zip(head).for_each(|(to, &v)| *to = nearest_byte(v));
    }
}

/// The nearest centre of each of `vectors`; of two copies each, the second's after the first's.
fn assign(
    isa: Isa,
    space: &Space,
    (centers, copies): (&Centers, usize),
    vectors: Vectors,
    (threads, monitor): (usize, Option<&dyn Monitor>),
) -> Result<Vec<u32>> {
    let mut labels = filled("labels", vectors.len() * copies, 0u32)?;
    if centers.len() == 1 {
        return Ok(labels);
    }
    let near = if copies > 1 { 1 + SECOND } else { 1 };
    // Each thread has the centres in an order of its own making: few, large shares.
    let share = vectors.len().div_ceil(threads.max(1) * 4).next_multiple_of(PART);
    let shares: Vec<Mutex<&mut [u32]>> = labels.chunks_mut(share * copies).map(Mutex::new).collect();
    threads::run(threads, monitor, "assign", (shares.len(), vectors.len() as u64), |at, worker| {
        let mut labels = shares[at].lock().map_err(|_| Error::Interrupted)?;
        let mut nearest = Nearest::default();
        // Half a step to one side, for all of them: which is nearest changes where it hardly matters.
        nearest.load(isa, (centers.len(), centers.stride), rows_of(&centers.bytes, centers.stride));
        let mut scratch = Scratch::default();
        for (part, labels) in labels.chunks_mut(PART * copies).enumerate() {
            let first = at * share + part * PART;
            rounded(isa, space, vectors.rows(first..first + labels.len() / copies), &mut scratch);
            let Scratch { heads, bytes, center, residual, .. } = &mut scratch;
            let queries = (labels.len() / copies, near);
            nearest.search(isa, queries, rows_of(bytes, centers.stride), |asked, list| {
                let labels = &mut labels[asked.at * copies..][..copies];
                let best = list.iter().max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
                labels[0] = best.map_or(0, |best| best.1);
                if let [first, second] = labels {
                    let head = &heads[asked.at * space.width()..][..space.width()];
                    *second = centers.second(*first, head, list, (center, residual));
                }
            });
            if !worker.advance((labels.len() / copies) as u64) {
                return Ok(());
            }
        }
        Ok(())
    })?;
    drop(shares);
    Ok(labels)
}

/// What the points of `vectors` are off from their centres.
fn residuals(
    isa: Isa,
    space: &Space,
    centers: &Centers,
    vectors: Vectors,
    (threads, monitor): (usize, Option<&dyn Monitor>),
) -> Result<Vec<f32>> {
    let labels = assign(isa, space, (centers, 1), vectors, (threads, monitor))?;
    let mut scratch = Scratch::default();
    space.points(isa, vectors, &mut scratch.values, &mut scratch.heads, &mut scratch.tails);
    for (head, &label) in scratch.heads.chunks_exact_mut(space.width()).zip(&labels) {
        centers.subtract(label, head, &mut scratch.center);
    }
    Ok(scratch.heads)
}

/// The codes of centres.
fn encode_centers(centers: &Centers) -> Result<Codes> {
    let quantizer = Scalar::points(centers.width);
    let mut codes = Codes::new(Layout::of(&quantizer));
    codes.lengthen(centers.len().next_multiple_of(BLOCK))?;
    let layout = codes.layout;
    let mut writer = codes.writer()?;
    let mut center = Vec::new();
    for at in 0..centers.len() as u32 {
        centers.get(at, &mut center);
        let (mut nibbles, mut planes) = (vec![0; layout.pairs], vec![0; layout.planes]);
        let code = Code { nibbles: &mut nibbles, planes: &mut planes };
        let factors = quantizer.encode_point(&center, code);
        writer.write(at as usize, at, (&nibbles, &planes), factors);
    }
    Ok(codes)
}

/// Gives vectors with these `labels` places in `lists`, from position `end` on where there is no room: the places, and where they end.
fn place(lists: &mut [Vec<Run>], end: usize, labels: &[u32]) -> Result<(Vec<u32>, usize)> {
    let mut counts = vec![0u32; lists.len()];
    labels.iter().for_each(|&label| counts[label as usize] += 1);
    // The first lists of all follow each other without a gap.
    let dense = end == 0;
    let mut next = end;
    let mut open: Vec<Range<u32>> = Vec::with_capacity(lists.len());
    for (runs, &count) in lists.iter_mut().zip(&counts) {
        let mut left = count;
        let mut start = 0;
        if let Some(run) = runs.last_mut().filter(|run| run.len < run.room) {
            let more = left.min(run.room - run.len);
            start = run.start + run.len;
            run.len += more;
            left -= more;
        }
        let filled = count - left;
        let mut from = 0;
        if left > 0 {
            let room = if dense { left } else { left.next_multiple_of(BLOCK as u32) };
            from = next as u32;
            next += room as usize;
            if next > NONE as usize - BLOCK {
                return Err(Error::argument(
                    "vectors",
                    next,
                    "fewer than 2³² vectors; split them into several indexes",
                ));
            }
            runs.push(Run { start: from, len: left, room });
        }
        open.push(start..start + filled);
        open.push(from..from + left);
    }
    let mut places = filled("places", labels.len(), 0u32)?;
    for (place, &label) in places.iter_mut().zip(labels) {
        let (first, second) = (2 * label as usize, 2 * label as usize + 1);
        let at = open[first].next().or_else(|| open[second].next());
        *place = at.unwrap_or(NONE);
    }
    Ok((places, next.next_multiple_of(BLOCK)))
}
