//! Vectors that are numbered from 0, searched exactly, and may be removed: then those behind move up.
//!
//! What rules vectors out is made once so many queries were asked that it pays: first bytes that they are rounded to, then codes. Until
//! then adding costs a copy.

use std::cell::RefCell;
use std::sync::{Mutex, OnceLock};

use super::linear::{self, Packed};
use super::near::{Least, Near};
use super::passes::Passes;
use super::selector::Selector;
use super::sketch::Sketched;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::index::flat;
use crate::kernels::Isa;
use crate::kernels::distance::Query;
use crate::metric::Metric;
use crate::quantizer::HeadCodes;
use crate::rows::{Kept, Rows};
use crate::search::{Collector, Hits, List, RangeHits, Rounded, SearchParams, Searched, TopK};
use crate::storage::Buffer;
use crate::threads::{self, Monitor};
use crate::vectors::{Dtype, DtypeVisitor, Element, Vectors};

/// Distances that are told before the least of them are taken, about: few enough for a cache; and of how many queries, at most and at
/// least, as they go through registers.
const TABLE: usize = 1 << 16;
const TOGETHER: (usize, usize) = (48, 6);
/// Distances for which a thread keeps the memory.
const KEPT: usize = 1 << 20;
/// Queries that come one by one before the vectors are worth a sketch.
const LOOKS: u32 = 32;

thread_local! {
    static DISTANCES: RefCell<Vec<f32>> = RefCell::default();
}
/// So few of them meet vectors that are not packed.
const FEW: usize = 16;

/// What may be made for queries to come.
enum Wanted {
    Rounded,
    Codes,
}

/// Vectors of f32, or of bits under `hamming`, in rows of the smallest type that holds them exactly.
pub struct Flat {
    metric: Metric,
    rows: Rows,
    codes: Option<HeadCodes>,
    /// What rules vectors out until there are codes.
    rounded: Option<Rounded>,
    /// What both would have spared.
    passes: Passes,
    /// How many rows there were when codes were last made, or found not to pay.
    fitted: usize,
    /// A NaN or an infinity was there when codes were to be made, or came in later: there is nothing to learn from such rows.
    wild: bool,
    /// The vectors as [`Flat::near`] meets them, once many queries asked for that.
    packed: OnceLock<Packed>,
    /// What [`Flat::near`] looks at first where queries come one by one.
    sketched: Sketched,
}

impl Flat {
    /// No vectors, of `dim` coordinates.
    ///
    /// # Errors
    /// [`Error::Argument`] for a dimension of 0 or above 65,536.
    pub fn new(dim: usize, metric: Metric) -> Result<Self> {
        let dtype = if metric == Metric::Hamming { Dtype::B1 } else { Dtype::F32 };
        dtype.check_dim(dim)?;
        let rows = Rows::new(dim, dtype, Kept::Exact).in_order();
        Ok(Self {
            metric,
            rows,
            codes: None,
            rounded: None,
            passes: Passes::default(),
            fitted: 0,
            wild: false,
            packed: OnceLock::new(),
            sketched: Sketched::default(),
        })
    }

    /// What is near.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Coordinates of a vector.
    pub fn dim(&self) -> usize {
        self.rows.dim()
    }

    /// All vectors, of the type that they are stored as.
    pub fn rows(&self) -> Vectors<'_> {
        self.rows.view()
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        let packed = self.packed.get().map_or(0, Packed::bytes);
        let codes = self.codes.as_ref().map_or(0, HeadCodes::bytes);
        let rounded = self.rounded.as_ref().map_or(0, Rounded::bytes);
        (self.rows.buffer().len() + codes + rounded + packed) as u64 + self.sketched.bytes()
    }

    /// Appends vectors.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`]; nothing is then appended.
    pub fn add(&mut self, x: Vectors, monitor: Option<&dyn Monitor>) -> Result<()> {
        let x = self.metric.read(x)?;
        Error::check_dim("vectors", self.rows.declared(), self.dim(), &x)?;
        if self.codes.is_some() && x.check_finite("vectors").is_err() {
            (self.wild, self.codes) = (true, None);
        }
        let before = self.len();
        self.packed.take();
        self.sketched.forget();
        let undo = self.rows.extend(x)?;
        let rows = self.rows.view();
        if let Some(mut rounded) = self.rounded.take().filter(|_| rows.dtype() == Dtype::F32) {
            match rounded.extend(rows, monitor) {
                Ok(whole) => self.rounded = whole.then_some(rounded),
                Err(error) => {
                    self.rows.take_back(undo);
                    return Err(error);
                }
            }
        }
        if let Some(codes) = &mut self.codes {
            let new = self.rows.view().rows(before..self.rows.len());
            if let Err(error) = codes.extend(new, threads::available(), monitor) {
                self.rows.take_back(undo);
                // Half of the new rows may have codes.
                (self.codes, self.fitted) = (None, 0);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The vectors `from..to`.
    ///
    /// # Panics
    /// Where there are not so many.
    pub fn vectors(&self, from: usize, to: usize) -> Vec<f32> {
        struct Widened<'a>(Vectors<'a>);
        impl DtypeVisitor for Widened<'_> {
            type Out = Vec<f32>;
            fn visit<E: Element>(self) -> Vec<f32> {
                self.0.as_slice::<E>().unwrap_or_default().iter().map(|v| v.to_f64() as f32).collect()
            }
        }
        let view = self.rows.view().rows(from..to);
        match view.as_slice::<f32>() {
            Some(rows) => rows.to_vec(),
            None => view.dtype().visit(Widened(view)),
        }
    }

    /// True where as many queries as a call has, and those before, make it worth while to [prepare](Flat::prepare) for more.
    pub fn wants(&self, queries: usize) -> bool {
        self.wanted(queries).is_some()
    }

    fn wanted(&self, queries: usize) -> Option<Wanted> {
        if queries == 0 || self.wild || self.codes.is_some() {
            return None;
        }
        let n = self.len();
        let rounds = self.metric.is_of_products() && self.rows.stored() == Dtype::F32;
        if n >= 4 * self.fitted.max(1) && self.passes.pay_for_codes(n, queries, rounds) {
            return Some(Wanted::Codes);
        }
        let pays = rounds && self.rounded.is_none() && self.passes.pay_for_rounding(n);
        pays.then_some(Wanted::Rounded)
    }

    /// Makes what is wanted.
    ///
    /// # Errors
    /// As [`Flat::add`]; [`Error::Argument`] for no threads.
    pub fn prepare(
        &mut self,
        queries: usize,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        match self.wanted(queries) {
            None => Ok(()),
            Some(Wanted::Rounded) => {
                self.rounded = Rounded::new(self.metric, self.rows.view(), monitor)?;
                Ok(())
            }
            Some(Wanted::Codes) => self.fit(threads, monitor),
        }
    }

    /// Makes codes where they pay.
    fn fit(&mut self, threads: Option<usize>, monitor: Option<&dyn Monitor>) -> Result<()> {
        let threads = threads::resolve(threads)?;
        self.wild = self.rows.view().check_finite("vectors").is_err();
        self.codes = if self.wild { None } else { flat::fit(&self.rows, self.metric, 0, threads, monitor)? };
        self.fitted = self.len();
        if self.codes.is_some() {
            self.rounded = None;
        }
        Ok(())
    }

    /// The `k` nearest of each query, of those that `selector` has.
    ///
    /// # Errors
    /// As [`Index::search`](crate::Index::search).
    pub fn search(
        &self,
        queries: Vectors,
        k: usize,
        selector: Option<&Selector>,
        params: &SearchParams,
    ) -> Result<Hits> {
        if selector.is_none() {
            self.passes.add(queries.len());
        }
        self.searched(queries, selector, |searched, queries| searched.nearest(queries, k, params))
    }

    /// All that are no farther than `radius` from each query, of those that `selector` has, in the order of rows, as Faiss tells them.
    ///
    /// # Errors
    /// As [`Index::range_search`](crate::Index::range_search).
    pub fn range_search(
        &self,
        queries: Vectors,
        radius: f32,
        selector: Option<&Selector>,
        params: &SearchParams,
    ) -> Result<RangeHits> {
        self.searched(queries, selector, |searched, queries| searched.within_by_id(queries, radius, params))
    }

    fn searched<T>(
        &self,
        queries: Vectors,
        selector: Option<&Selector>,
        search: impl Fn(Searched, Vectors) -> Result<T>,
    ) -> Result<T> {
        let metric = self.metric;
        let queries = metric.read(queries)?;
        let Some(selector) = selector else {
            let list = List { rows: self.rows.view(), ids: &Ids::Rows };
            let codes = self.codes.as_ref();
            let rounded = self.rounded.as_ref();
            return search(Searched { codes, rounded, ..Searched::of_rows(metric, list) }, queries);
        };
        let chosen: Vec<usize> = (0..self.len()).filter(|&row| selector.has(row as i64)).collect();
        let rows = self.rows.view().gathered(&chosen)?;
        let rows = Vectors::from_bytes(rows.bytes(), self.rows.stored(), self.dim())?;
        let mut ids = Buffer::new();
        ids.extend("ids", bytemuck::cast_slice(&chosen))?;
        let ids = Ids::Given(ids);
        let list = List { rows, ids: &ids };
        search(Searched::of_rows(metric, list), queries)
    }

    /// The `k` nearest of each query, told in single precision: what is nearly as near may take another's place. For centroids, of
    /// which every query meets all.
    ///
    /// # Errors
    /// As [`Flat::search`].
    pub fn near(&self, queries: Vectors, k: usize, params: &SearchParams) -> Result<Hits> {
        let (n, dim, view) = (self.len(), self.dim(), self.rows.view());
        let products = matches!(self.metric, Metric::L2 | Metric::InnerProduct);
        let fits = products && n > 0 && k > 0 && queries.dim() == dim && n <= u32::MAX as usize;
        let few = queries.len() < FEW;
        let (Some(q), true) = (queries.as_slice::<f32>(), fits && !(few && view.dtype() != Dtype::F32))
        else {
            return self.search(queries, k, None, params);
        };
        queries.check_finite("queries")?;
        let mut hits = Hits::none(queries.len(), k)?;
        let (squares, isa) = (self.metric == Metric::L2, Isa::active());
        let least = |table: &mut [f32], ids: &mut [i64], distances: &mut [f32]| {
            isa.run(Least { table, n, squares, results: (k, ids, distances) });
        };
        if few {
            let rows = view.as_slice::<f32>().unwrap_or_default();
            let worth = n <= TABLE && k <= n / 4;
            let asked = || self.sketched.asked(dim, bytemuck::cast_slice(rows), LOOKS);
            if let Some(sketch) = worth.then(asked).flatten() {
                let results = hits.ids.chunks_exact_mut(k).zip(hits.distances.chunks_exact_mut(k));
                for (query, (ids, distances)) in q.chunks_exact(dim).zip(results) {
                    let (sketch, results) = (&sketch, (ids, distances));
                    match squares {
                        true => isa.run(Near::<true> { sketch, query, rows, results }),
                        false => isa.run(Near::<false> { sketch, query, rows, results }),
                    }
                }
                return Ok(hits);
            }
            let (mut table, call) = (vec![0f32; queries.len() * n], (params.threads, params.monitor));
            match squares {
                true => linear::squares(q, rows, dim, &mut table, call)?,
                false => linear::apply(q, dim, (rows, None), &mut table, call)?,
            }
            least(&mut table, &mut hits.ids, &mut hits.distances);
            return Ok(hits);
        }
        let packed = match self.packed.get() {
            Some(packed) => packed,
            None => {
                let packed = match view.as_slice::<f32>() {
                    Some(rows) => Packed::new(rows, dim, squares)?,
                    None => Packed::new(&self.vectors(0, n), dim, squares)?,
                };
                self.packed.get_or_init(|| packed)
            }
        };
        let some = (TABLE / n).clamp(TOGETHER.1, TOGETHER.0);
        let results = hits.ids.chunks_mut(some * k).zip(hits.distances.chunks_mut(some * k));
        let parts: Vec<_> = q.chunks(some * dim).zip(results).map(Mutex::new).collect();
        let total = (parts.len(), queries.len() as u64);
        threads::run(threads::resolve(params.threads)?, params.monitor, "search", total, |at, worker| {
            let mut part = parts[at].lock().map_err(|_| Error::Interrupted)?;
            let (q, (ids, distances)) = &mut *part;
            DISTANCES.with_borrow_mut(|table| {
                table.resize(q.len() / dim * n, 0.0);
                packed.meet(isa, q, dim, table)?;
                least(table, ids, distances);
                if table.len() > KEPT {
                    *table = Vec::new();
                }
                worker.advance((q.len() / dim) as u64);
                Ok(())
            })
        })?;
        drop(parts);
        Ok(hits)
    }

    /// The `k` nearest of each query's candidates, row after row an equal number of row numbers each, −1 for none.
    ///
    /// # Errors
    /// As [`Flat::search`]; [`Error::Argument`] for a row that is none,
    /// [`Error::Shape`] for candidates that are not whole rows.
    pub fn rank(
        &self,
        queries: Vectors,
        k: usize,
        candidates: &[i64],
        params: &SearchParams,
    ) -> Result<Hits> {
        let (n, isa) = (queries.len(), Isa::active());
        if n == 0 || !candidates.len().is_multiple_of(n) {
            return Err(Error::Shape { len: candidates.len(), dim: n });
        }
        if let Some(row) = candidates.iter().find(|&&row| row >= self.len() as i64) {
            return Err(Error::argument("candidate", row, "the number of a vector, or -1 for none"));
        }
        let queries = self.metric.read(queries)?;
        Error::check_dim("queries", self.rows.declared(), self.dim(), &queries)?;
        let (width, rows) = (candidates.len() / n, self.rows.view());
        let mut hits = Hits::none(n, k)?;
        let results: Vec<_> =
            hits.ids.chunks_mut(k).zip(hits.distances.chunks_mut(k)).map(Mutex::new).collect();
        threads::run(
            threads::resolve(params.threads)?,
            params.monitor,
            "rank",
            (n, n as u64),
            |at, worker| {
                let mut row = results[at].lock().map_err(|_| Error::Interrupted)?;
                let query = Query::new(self.metric, queries, at, self.rows.stored());
                let asked = candidates[at * width..][..width].iter().filter(|&&row| row >= 0);
                let list: Vec<u32> = asked.map(|&row| row as u32).collect();
                let mut distances = Vec::with_capacity(list.len());
                query.distances(isa, rows, &list, &mut distances);
                let mut top = TopK::new(k, list.len());
                for (distance, row) in distances.into_iter().zip(list) {
                    top.offer(distance, u64::from(row));
                }
                let (ids, nearest) = &mut *row;
                for ((found, id), distance) in top.into_sorted().zip(ids.iter_mut()).zip(nearest.iter_mut()) {
                    (*id, *distance) = (found.id as i64, found.distance);
                }
                worker.advance(1);
                Ok(())
            },
        )?;
        drop(results);
        Ok(hits)
    }

    /// Removes the vectors that `selector` has; those behind move up. How many went.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; nothing is then removed.
    pub fn remove(&mut self, selector: &Selector) -> Result<usize> {
        let before = self.len();
        let kept: Vec<usize> = (0..before).filter(|&row| !selector.has(row as i64)).collect();
        if kept.len() < before {
            self.choose(&kept)?;
        }
        Ok(before - kept.len())
    }

    /// Becomes the vectors `rows`, in that order.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; nothing is then changed.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn choose(&mut self, rows: &[usize]) -> Result<()> {
        let values = self.rows.view().gathered(rows)?;
        let sizes = (self.dim(), rows.len());
        self.rows = Rows::from_parts(sizes, self.rows.declared(), self.rows.stored(), Kept::Exact, values);
        (self.codes, self.rounded, self.fitted) = (None, None, 0);
        self.passes = Passes::default();
        self.packed.take();
        self.sketched.forget();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn queries_one_by_one_are_told_the_same_once_there_is_a_sketch() {
        let mut random = Random(3);
        for (n, dim, k) in [(200, 40, 7), (64, 128, 16), (1000, 33, 1), (100, 64, 25)] {
            for kind in 0..3 {
                let mut value = || match kind {
                    0 => random.unit() as f32 - 0.3,
                    1 => (random.unit() * 256.0).floor() as f32,
                    _ => [0.0, 1e19, -1.0][(random.unit() * 3.0) as usize],
                };
                let x: Vec<f32> = (0..n * dim).map(|_| value()).collect();
                let queries: Vec<f32> = (0..3 * dim).map(|_| value()).chain(x[..dim].to_vec()).collect();
                let queries = Vectors::new(&queries[..], dim).unwrap();
                for metric in [Metric::L2, Metric::InnerProduct] {
                    let mut flat = Flat::new(dim, metric).unwrap();
                    flat.add(Vectors::new(&x, dim).unwrap(), None).unwrap();
                    let near = || flat.near(queries, k, &SearchParams::default()).unwrap();
                    let (first, bytes) = (near(), flat.bytes());
                    for _ in 0..LOOKS {
                        near();
                    }
                    let last = near();
                    assert_eq!(
                        flat.bytes() > bytes,
                        dim != 33 && kind != 1,
                        "what bytes hold, and short rows, have no sketch"
                    );
                    assert_eq!(
                        (first.ids, first.distances),
                        (last.ids, last.distances),
                        "{n} {dim} {metric} {kind}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_made_for_queries_to_come_changes_no_result() {
        const DIM: usize = 96;
        let mut random = Random(5);
        let mut x: Vec<f32> =
            (0..6000 * DIM).map(|i| (random.unit() as f32 - 0.5) / (1 + i % DIM / 8) as f32).collect();
        x[77 * DIM..78 * DIM].fill(30.0);
        let queries = Vectors::new(&x[50 * DIM..80 * DIM], DIM).unwrap();
        for metric in [Metric::L2, Metric::InnerProduct] {
            let (mut flat, mut plain) = (Flat::new(DIM, metric).unwrap(), Flat::new(DIM, metric).unwrap());
            let params = SearchParams::default();
            let (mut rounded, mut coded) = (false, false);
            for part in [5000..5003, 0..5000, 5003..5010, 5010..6000] {
                let part = Vectors::new(&x[part.start * DIM..part.end * DIM], DIM).unwrap();
                flat.add(part, None).unwrap();
                plain.add(part, None).unwrap();
                for asked in [1, 20, 1, 700, 1] {
                    flat.passes.add(asked);
                    flat.prepare(1, None, None).unwrap();
                    rounded |= flat.rounded.is_some();
                    coded |= flat.codes.is_some();
                    assert!(flat.rounded.is_none() || flat.codes.is_none());
                    for (few, k) in [(1, 10), (30, 3)] {
                        let some = queries.rows(0..few);
                        let want = plain.search(some, k, None, &params).unwrap();
                        assert_eq!(flat.search(some, k, None, &params).unwrap(), want, "{metric} {few}");
                    }
                    let want = plain.range_search(queries, 3.0, None, &params).unwrap();
                    assert_eq!(flat.range_search(queries, 3.0, None, &params).unwrap(), want, "{metric}");
                }
                flat.passes.add(if flat.len() > 5003 { 2_000_000 } else { 0 });
            }
            assert!(rounded && coded, "{metric}");
            assert_eq!(flat.remove(&Selector::Range(3, 7)).unwrap(), 4);
            assert!(flat.codes.is_none() && !flat.wants(1));
        }
    }

    #[test]
    fn a_call_that_is_interrupted_while_it_rounds_changes_nothing() {
        struct No;
        impl Monitor for No {
            fn report(&self, _: &str, _: u64, _: u64) -> bool {
                false
            }
        }
        const DIM: usize = 8;
        let mut random = Random(6);
        let x: Vec<f32> = (0..5000 * DIM).map(|_| random.unit() as f32).collect();
        let x = Vectors::new(&x, DIM).unwrap();
        let mut flat = Flat::new(DIM, Metric::L2).unwrap();
        flat.add(x, None).unwrap();
        flat.passes.add(20_000);
        assert!(
            matches!(flat.prepare(1, None, Some(&No)), Err(Error::Interrupted)) && flat.rounded.is_none()
        );
        let params = SearchParams::default();
        let before = flat.search(x.rows(0..9), 5, None, &params).unwrap();
        flat.prepare(1, None, None).unwrap();
        assert!(flat.rounded.is_some());
        assert!(matches!(flat.add(x, Some(&No)), Err(Error::Interrupted)));
        assert_eq!(flat.len(), 5000);
        assert_eq!(flat.search(x.rows(0..9), 5, None, &params).unwrap(), before);
    }

    #[test]
    fn codes_are_not_wanted_of_infinities() {
        let mut flat = Flat::new(2, Metric::L2).unwrap();
        flat.add(Vectors::new(&[f32::INFINITY; 8], 2).unwrap(), None).unwrap();
        flat.passes.add(1 << 40);
        // That is seen when they are to be made; afterwards nobody asks again.
        assert!(flat.wants(1));
        flat.prepare(1, None, None).unwrap();
        assert!(flat.codes.is_none());
        flat.add(Vectors::new(&[0.5f32; 80], 2).unwrap(), None).unwrap();
        assert!(flat.len() >= 4 * flat.fitted && !flat.wants(1));
    }
}
