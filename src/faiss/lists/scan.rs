//! The one loop over lists in Faiss's layout: queries that share a list visit it one after the other, while it is in the cache.
//!
//! ```text
//! for each batch of queries                                (a scorer and a collector each)
//!   its nearest list of each, then the others in the order of lists:
//!     what distances in a piece of the list are not below → what is within the bound is settled → collected
//! ```
//!
//! The nearest lists come first because the bound that they leave spares most of the work in the others. What is found does not
//! depend on the order.

use std::ops::Range;
use std::sync::Mutex;

use super::{Centers, Lists};
use crate::error::{Error, Result};
use crate::faiss::codec::{Codec, Residual, Scorer};
use crate::faiss::selector::Selector;
use crate::faiss::sketch::{Look, Sketch};
use crate::kernels::{Isa, Kernel, Simd};
use crate::metric::Metric;
use crate::search::{Collector, InRange, Neighbor, TopK};
use crate::threads::{self, Monitor};

/// Queries of a batch, at most.
const BATCH: usize = 256;
/// Bytes that their scorers read for every code, at most: more than a list has, so that they, not the list, are what a cache must hold.
const TABLES: usize = 256 << 10;
/// Codes that are scored at a time: whole blocks.
pub(super) const PIECE: usize = 512;

/// Looks at a list before it is worth a sketch: one of them takes a quarter of the time of making it where vectors come from memory.
const LOOKS: u32 = 8;
/// Codes whose distances are told together.
const SOME: usize = 4;
/// Bytes of a list that are asked for while the one before it is looked at.
const EARLY: usize = 2048;

/// What is asked of lists.
#[derive(Clone, Copy)]
pub struct Probes<'a> {
    /// Where.
    pub lists: &'a Lists,
    /// What the codes mean.
    pub codec: &'a dyn Codec,
    /// l2 or ip.
    pub metric: Metric,
    /// Where codes are of residuals, what they were taken from.
    pub centers: Option<&'a Centers>,
    /// The lists of each query, nearest first: an equal number each; −1 for none.
    pub keys: &'a [i64],
    /// What they are off from it: ‖q − c‖² or ⟨q,c⟩, one beside each key; read where there are centres.
    pub coarse: &'a [f32],
    /// Codes that a query looks at, at most.
    pub max_codes: usize,
    /// The ids that may be found; all where nothing is said.
    pub selector: Option<&'a Selector>,
    /// Tell the place, list · 2³² + offset, instead of the id.
    pub places: bool,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Within {
    /// The so many nearest.
    Nearest(usize),
    /// All that are no farther.
    Radius(f32),
}

/// One query's findings: the nearest first; all within a radius in the order of its lists, and of codes in each, as Faiss tells them.
pub type Found = Vec<Neighbor>;

impl Probes<'_> {
    /// Looks for every query of `queries`, row after row.
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::Argument`] for a key that is no list; [`Error::Interrupted`].
    pub fn run(
        &self,
        queries: &[f32],
        within: Within,
        (threads, monitor): (Option<usize>, Option<&dyn Monitor>),
    ) -> Result<Vec<Found>> {
        self.lists.check(self.codec)?;
        let dim = self.codec.dim();
        let n = queries.len() / dim;
        if !queries.len().is_multiple_of(dim) {
            return Err(Error::Shape { len: queries.len(), dim });
        }
        if n == 0 {
            return Ok(Vec::new());
        }
        if let Some(centers) = self.centers.filter(|centers| centers.dim != dim) {
            return Err(Error::Dimension { what: "centers", expected: dim, got: centers.dim });
        }
        if !self.keys.len().is_multiple_of(n)
            || (self.centers.is_some() && self.coarse.len() != self.keys.len())
        {
            return Err(Error::Shape { len: self.keys.len(), dim: n });
        }
        let count = self.lists.count().min(self.centers.map_or(usize::MAX, Centers::len));
        if let Some(key) = self.keys.iter().find(|&&key| key >= count as i64) {
            return Err(Error::argument("list", key, "the number of a list, counted from 0, or -1 for none"));
        }
        let threads = threads::resolve(threads)?;
        let width = self.keys.len() / n;
        let most = TABLES.checked_div(self.codec.scorer_bytes()).map_or(BATCH, |most| most.clamp(1, BATCH));
        let size = n.div_ceil(threads).clamp(1, most);
        let mut found: Vec<Found> = vec![Vec::new(); n];
        let batches: Vec<_> = found.chunks_mut(size).map(Mutex::new).collect();
        threads::run(threads, monitor, "search", (batches.len(), n as u64), |at, worker| {
            let mut found = batches[at].lock().map_err(|_| Error::Interrupted)?;
            let rows = at * size..at * size + found.len();
            let queries = &queries[rows.start * dim..rows.end * dim];
            match within {
                Within::Nearest(k) => {
                    let tops = rows.clone().map(|query| TopK::new(k, self.met(query, width))).collect();
                    for (found, top) in found.iter_mut().zip(self.batch(queries, rows, (width, k), tops)) {
                        found.extend(top.into_sorted());
                    }
                }
                Within::Radius(radius) => {
                    let ranges = found.iter().map(|_| InRange::new(radius)).collect();
                    let ranges = self.batch(queries, rows.clone(), (width, usize::MAX), ranges);
                    for ((found, query), range) in found.iter_mut().zip(rows).zip(ranges) {
                        let keys = &self.keys[query * width..][..width];
                        found.extend(range.into_numbered().map(|met| self.named(keys, met)));
                    }
                }
            }
            worker.advance(found.len() as u64);
            Ok(())
        })?;
        drop(batches);
        Ok(found)
    }

    /// What was offered by the rank of its list, by its place or id.
    fn named(&self, keys: &[i64], met: Neighbor) -> Neighbor {
        let (list, row) = (keys[(met.id >> 32) as usize], met.id & u64::from(u32::MAX));
        let id = if self.places {
            (list as u64) << 32 | row
        } else {
            self.lists.ids(list as usize)[row as usize] as u64
        };
        Neighbor { id, ..met }
    }

    /// The lists that query `query` gets to: their rank among its `width`, and how many codes it meets there.
    fn visits(&self, query: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut left = self.max_codes;
        let keys = self.keys[query * width..][..width].iter().enumerate();
        let lists = keys.filter(|(_, key)| **key >= 0).map(move |(rank, &key)| {
            let met = self.lists.len(key as usize).min(left);
            left -= met;
            (rank, key as usize, met)
        });
        lists.filter(|&(_, _, met)| met > 0)
    }

    /// How many codes it meets in all.
    fn met(&self, query: usize, width: usize) -> usize {
        self.visits(query, width).map(|(_, _, met)| met).sum()
    }

    /// Looks for some queries together.
    fn batch<C: Collector>(
        &self,
        queries: &[f32],
        rows: Range<usize>,
        (width, k): (usize, usize),
        mut found: Vec<C>,
    ) -> Vec<C> {
        let queries = queries.chunks_exact(self.codec.dim());
        let mut scorers: Vec<_> =
            queries.clone().map(|query| self.codec.scorer(self.metric, query)).collect();
        if self.centers.is_none() {
            scorers.iter_mut().for_each(|scorer| scorer.enter(None));
        }
        let plain = self.codec.is_plain() && self.centers.is_none();
        let looks: Vec<_> = queries.filter(|_| plain).map(|query| Look::new(self.metric, query)).collect();
        // Whether it is not a query's nearest, the list, the query, the key, codes.
        let mut visits = Vec::new();
        for (at, query) in rows.enumerate() {
            let lists = self.visits(query, width).enumerate();
            let place = |rank| query * width + rank;
            visits.extend(lists.map(|(turn, (rank, list, met))| (turn > 0, list, at, place(rank), met)));
        }
        visits.sort_unstable();
        let (mut scores, mut near) = (vec![0f32; PIECE], Vec::with_capacity(PIECE));
        let dim = self.codec.dim();
        for (turn, &(_, list, at, key, met)) in visits.iter().enumerate() {
            if let Some(&(_, next, ..)) = visits.get(turn + 1).filter(|next| next.1 != list) {
                let sketch = if plain { self.lists.sketched(next).known() } else { None };
                let codes = sketch.as_deref().map_or(self.lists.blocks(next), Sketch::codes);
                Isa::active().run(Ask(&codes[..codes.len().min(EARLY)]));
            }
            let (mut terms, mut sketch) = (None, None);
            if let Some(centers) = self.centers {
                scorers[at].enter(Some(Residual { center: centers.center(list), coarse: self.coarse[key] }));
                terms = self.lists.terms(list, self.codec, centers);
            } else if plain {
                sketch = self.lists.sketched(list).asked(dim, self.lists.blocks(list), LOOKS);
            }
            let visit = Visit {
                list,
                met,
                terms: terms.as_deref().map(|terms| &terms.values[..]),
                sketch: looks.get(at).zip(sketch.as_deref()),
                // All within a radius are offered by where the query meets them; what the nearest are, ids decide among equals.
                above: match k {
                    usize::MAX => Some(key % width),
                    _ => self.places.then_some(list),
                },
            };
            self.list(&mut *scorers[at], visit, (&mut found[at], k), (&mut scores, &mut near));
        }
        found
    }

    /// Offers the codes of a list.
    fn list<C: Collector>(
        &self,
        scorer: &mut dyn Scorer,
        visit: Visit,
        (found, k): (&mut C, usize),
        (scores, near): (&mut [f32], &mut Vec<u32>),
    ) {
        let isa = Isa::active();
        let (ids, codes) = (&self.lists.ids(visit.list)[..visit.met], self.lists.blocks(visit.list));
        let (size, block) = (self.lists.code_size(), self.lists.block());
        for (first, ids) in (0..).step_by(PIECE).zip(ids.chunks(PIECE)) {
            let whole = ids.len().next_multiple_of(block);
            match visit.sketch {
                Some((look, sketch)) => look.score(isa, sketch, first, &mut scores[..whole]),
                None => scorer.score(&codes[first * size..(first + whole) * size], &mut scores[..whole]),
            }
            let terms = visit.terms.map(|terms| &terms[first..]);
            if let Some(terms) = terms {
                isa.run(Add { terms, scores: &mut scores[..ids.len()] });
            }
            let piece = Piece { first, ids, codes, scores: &scores[..ids.len()], terms };
            let mut done = None;
            if found.bound() == f32::INFINITY && k < ids.len() {
                // Nothing is known yet: the best scores tell which are settled first, and these leave a bound for the others.
                let best = kth(piece.scores, k);
                self.offer(scorer, (&visit, &piece), (best, None), found, near);
                found.settle();
                done = Some(best);
            }
            self.offer(scorer, (&visit, &piece), (found.bound(), done), found, near);
            found.settle();
        }
    }

    /// Offers the codes of a piece whose score does not exceed `bound`, but for those that do not exceed `done` either.
    fn offer<C: Collector>(
        &self,
        scorer: &mut dyn Scorer,
        (visit, piece): (&Visit, &Piece),
        (bound, done): (f32, Option<f32>),
        found: &mut C,
        near: &mut Vec<u32>,
    ) {
        let (isa, size) = (Isa::active(), self.lists.code_size());
        let &Piece { first, ids, codes, scores, terms } = piece;
        near.clear();
        isa.run(Near { scores, bound, near });
        if let Some(done) = done {
            near.retain(|&row| scores[row as usize] > done);
        }
        let rows = visit.sketch.map_or(&[][..], |_| &codes[first * size..]);
        isa.run(AskRows { ids, rows, size, near });
        let below = visit.sketch.is_some() || scorer.is_below();
        let (mut some, mut distances) = ([0; SOME], [0.0; SOME]);
        let mut near = near.iter().map(|&row| row as usize).peekable();
        while near.peek().is_some() {
            let mut count = 0;
            while let Some(row) = near.next_if(|_| count < SOME) {
                if scores[row] > found.bound() || self.selector.is_some_and(|set| !set.has(ids[row])) {
                    continue;
                }
                (some[count], distances[count]) = ((first + row) as u32, scores[row]);
                count += 1;
            }
            if below {
                scorer.gather(codes, &some[..count], &mut distances[..count]);
                for (distance, &place) in distances.iter_mut().zip(&some[..count]) {
                    *distance += terms.map_or(0.0, |terms| terms[place as usize - first]);
                }
            }
            for (&place, &distance) in some[..count].iter().zip(&distances) {
                if distance <= found.bound() {
                    let id = ids[place as usize - first] as u64;
                    found.offer(
                        distance,
                        visit.above.map_or(id, |above| (above as u64) << 32 | u64::from(place)),
                    );
                }
            }
        }
    }
}

/// A query's visit to a list.
struct Visit<'a> {
    list: usize,
    /// How many codes it meets.
    met: usize,
    terms: Option<&'a [f32]>,
    /// The query, and the sketch that it looks at before codes.
    sketch: Option<(&'a Look<'a>, &'a Sketch)>,
    /// What is offered is this · 2³² + offset where it is given, an id otherwise.
    above: Option<usize>,
}

/// Some codes of a list.
struct Piece<'a> {
    first: usize,
    ids: &'a [i64],
    /// All of the list.
    codes: &'a [u8],
    scores: &'a [f32],
    terms: Option<&'a [f32]>,
}

/// The `k`-th least of more than `k` scores; NaN counts as the largest.
fn kth(scores: &[f32], k: usize) -> f32 {
    let mut sorted = scores.to_vec();
    *sorted.select_nth_unstable_by(k.saturating_sub(1), f32::total_cmp).1
}

/// Asks for memory.
struct Ask<'a>(&'a [u8]);

impl Kernel for Ask<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.0.chunks(64).for_each(|line| s.prefetch(line));
    }
}

/// Asks for the ids of some rows, which lie apart from their codes, and for codes of `size` bytes where there are any.
struct AskRows<'a> {
    ids: &'a [i64],
    rows: &'a [u8],
    size: usize,
    near: &'a [u32],
}

impl Kernel for AskRows<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for &row in self.near {
            s.prefetch(bytemuck::bytes_of(&self.ids[row as usize]));
            if let Some(rows) = self.rows.get(row as usize * self.size..) {
                s.prefetch_row(&rows[..rows.len().min(self.size)]);
            }
        }
    }
}

/// Scores and terms.
struct Add<'a> {
    terms: &'a [f32],
    scores: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (score, term) in self.scores.iter_mut().zip(self.terms) {
            *score += term;
        }
    }
}

/// The rows whose score does not exceed `bound`, or is NaN.
struct Near<'a> {
    scores: &'a [f32],
    bound: f32,
    near: &'a mut Vec<u32>,
}

impl Kernel for Near<'_> {
    type Out = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (whole, rest) = self.scores.as_chunks::<16>();
        let bound = s.splat_f32(self.bound);
        for (at, scores) in whole.iter().enumerate() {
            let mut mask = s.not_less_f32(bound, s.load_f32(scores));
            while mask != 0 {
                let bit = mask.trailing_zeros();
                mask &= !(S::LANE_BITS << bit);
                self.near.push((at * 16) as u32 + u32::from(S::LANE_OF_BIT[bit as usize]));
            }
        }
        for (at, score) in rest.iter().enumerate() {
            if *score <= self.bound || score.is_nan() || self.bound.is_nan() {
                self.near.push((whole.len() * 16 + at) as u32);
            }
        }
    }
}
