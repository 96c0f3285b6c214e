//! The crate's own codes of the vectors that are in lists, where those are stored beside: of as many bits as tell most of them apart,
//! and found several times as fast as by those that Faiss would have.
//!
//! Lists have the same centres. Which candidates are then ranked by their exact distances differs, so it is for indexes that are made
//! here, not for those that come from files.

use std::ops::Range;

use super::Lists;
use crate::error::{Error, Result};
use crate::ids::Ids;
use crate::index::Kind;
use crate::ivf::{Given, Ivf, IvfParams};
use crate::metric::Metric;
use crate::search::{Hits, List, SearchParams, Searched};
use crate::space::{Space, squares};
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Of what is random.
const SEED: u64 = 12345;
/// One list more for so many.
const MORE: usize = 16;

/// Codes of vectors that are stored elsewhere, in the order in which they came.
#[derive(Clone)]
pub struct Native {
    metric: Metric,
    space: Option<Space>,
    ivf: Option<Ivf>,
    /// So many vectors were found not to be such as can have codes.
    refused: usize,
}

impl Native {
    /// Codes of no vectors.
    pub fn new(metric: Metric) -> Self {
        Self { metric, space: None, ivf: None, refused: 0 }
    }

    /// How many vectors have a code.
    pub fn len(&self) -> usize {
        self.ivf.as_ref().map_or(0, Ivf::len)
    }

    /// True where none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.ivf.as_ref().map_or(0, Ivf::bytes) as u64
    }

    /// True where [`Native::follow`] has nothing to do for so many vectors.
    pub fn is_done(&self, vectors: usize) -> bool {
        self.len() == vectors || self.refused == vectors
    }

    /// Learns from vectors like those to come, if such can have codes. Where nothing is learned before, it is from those that come first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn train(&mut self, x: Vectors, monitor: Option<&dyn Monitor>) -> Result<()> {
        self.ivf = None;
        let fits = !x.is_empty() && x.dim() <= Kind::MAX_GRAPH_DIM && x.check_finite("vectors").is_ok();
        let wanted = Kind::CODING.wanted(false);
        let learned = fits.then(|| Space::train(x, self.metric, wanted, SEED, monitor));
        self.space = learned.transpose()?;
        Ok(())
    }

    /// Codes `rows`, the first of which have codes already. `lists` are where Faiss has them, of these `centers`; where one of them is in
    /// no list or in several, or is not finite, there is no code of any.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`]; those that had codes have them then, or none has.
    pub fn follow(
        &mut self,
        rows: Vectors,
        (lists, centers): (&Lists, Vec<f32>),
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let (n, threads) = (rows.len(), threads::resolve(threads)?);
        if self.is_done(n) {
            return Ok(());
        }
        let before = self.len();
        if let Some(ivf) = self.ivf.as_mut().filter(|ivf| before < n && ivf.lists.len() == lists.count()) {
            let new = rows.rows(before..n);
            let fits = new.check_finite("vectors").is_ok() && ivf.space.holds(new);
            if let Some(labels) = labels(lists, before..n).filter(|_| fits) {
                return ivf.add(new, Some(&labels), threads, monitor);
            }
        }
        self.ivf = self.built(rows, (lists, centers), threads, monitor)?;
        self.refused = if self.ivf.is_none() { n } else { 0 };
        Ok(())
    }

    fn built(
        &mut self,
        rows: Vectors,
        (lists, mut centers): (&Lists, Vec<f32>),
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Option<Ivf>> {
        self.ivf = None;
        let finite = rows.check_finite("vectors").is_ok() && centers.iter().all(|v| v.is_finite());
        let fits = finite && centers.len() == lists.count() * rows.dim();
        let Some(labels) = labels(lists, 0..rows.len()).filter(|_| fits) else { return Ok(None) };
        if !self.space.as_ref().is_some_and(|space| space.holds(rows)) {
            self.train(rows, monitor)?;
        }
        let Some(space) = &self.space else { return Ok(None) };
        if self.metric == Metric::InnerProduct {
            // Their direction alone tells what is near, and of the length that Faiss gives them rounding might leave nothing.
            let factor =
                mean_length(rows) / mean_length(Vectors::new(&centers, rows.dim())?).max(f64::MIN_POSITIVE);
            centers.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
        }
        let given = Given { space, centers: Vectors::new(&centers, rows.dim())?, labels: &labels };
        let params = IvfParams {
            metric: self.metric,
            lists: None,
            given: Some(given),
            twice: false,
            coding: Kind::CODING,
            refined: false,
            seed: SEED,
            threads,
            monitor,
        };
        Ivf::build(rows, &params).map(Some)
    }

    /// The `k` nearest of those `rows` that have codes, which are the first, by about the lists and codes that `params` asks for. What
    /// Faiss finds among so many `candidates` is found: centres are rounded, so that some more lists are looked at; codes tell vectors
    /// apart better than those of two bits a coordinate, so that half of the candidates do.
    ///
    /// # Errors
    /// As [`Index::search`](crate::Index::search); [`Error::Argument`] where there are no codes, or of more vectors.
    pub fn search(
        &self,
        rows: Vectors,
        queries: Vectors,
        (k, candidates): (usize, usize),
        params: &SearchParams,
    ) -> Result<Hits> {
        let Some(ivf) = self.ivf.as_ref().filter(|ivf| ivf.len() <= rows.len()) else {
            return Err(Error::argument("vectors", rows.len(), "those that have codes"));
        };
        // Another thread may have added some since all had codes.
        let rows = rows.rows(0..ivf.len());
        Error::check_dim("queries", rows.dtype(), rows.dim(), &queries)?;
        let candidates = candidates / 2;
        let nprobe = params.nprobe.map(|lists| lists.saturating_add(lists / MORE + 1));
        let list = List { rows, ids: &Ids::Rows };
        let searched = Searched { ivf: Some(ivf), candidates, ..Searched::of_rows(self.metric, list) };
        searched.nearest(queries, k, &SearchParams { nprobe, ..*params })
    }
}

fn mean_length(vectors: Vectors) -> f64 {
    let mut sum = 0.0;
    squares(vectors, |_, square| sum += square.sqrt());
    sum / vectors.len().max(1) as f64
}

/// The list of each of the vectors `rows`, whose ids are their numbers and the last in their lists, but for those of vectors that come
/// later; `None` where one is in no list or in several.
fn labels(lists: &Lists, rows: Range<usize>) -> Option<Vec<u32>> {
    const NONE: u32 = u32::MAX;
    let mut labels = vec![NONE; rows.len()];
    let mut met = 0;
    for list in 0..lists.count() {
        let last = lists.ids(list).iter().rev().map(|&id| id as usize).take_while(|&id| id >= rows.start);
        for id in last.filter(|&id| id < rows.end) {
            let label = &mut labels[id - rows.start];
            if *label != NONE {
                return None;
            }
            (*label, met) = (list as u32, met + 1);
        }
    }
    (met == rows.len() && met > 0).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const DIM: usize = 12;

    /// Vectors, the centres of some lists, and those lists, of codes that say nothing.
    fn some(n: usize, count: usize) -> (Vec<f32>, Vec<f32>, Lists) {
        let mut random = Random(3);
        let (x, centers) = (random.values(n * DIM, 0), random.values(count * DIM, 0));
        let mut lists = Lists::new(count, 1, 1).unwrap();
        add(&mut lists, &centers, &x, 0);
        (x, centers, lists)
    }

    fn add(lists: &mut Lists, centers: &[f32], x: &[f32], from: usize) {
        for (row, x) in x.chunks_exact(DIM).enumerate() {
            let far = |c: &[f32]| x.iter().zip(c).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            let near = centers.chunks_exact(DIM).map(far).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            lists.append(near.unwrap().0, &[(from + row) as i64], &[0]).unwrap();
        }
    }

    fn found(native: &Native, x: &[f32], queries: &[f32], nprobe: usize, candidates: usize) -> Hits {
        let params = SearchParams { nprobe: Some(nprobe), ..SearchParams::default() };
        let (rows, queries) = (Vectors::new(x, DIM).unwrap(), Vectors::new(queries, DIM).unwrap());
        native.search(rows, queries, (5, candidates), &params).unwrap()
    }

    #[test]
    fn in_all_lists_among_all_candidates_the_nearest_are_found() {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let (x, centers, lists) = some(900, 9);
            let mut native = Native::new(metric);
            let rows = Vectors::new(&x, DIM).unwrap();
            native.follow(rows, (&lists, centers), Some(1), None).unwrap();
            let queries = Random(4).values(20 * DIM, 0);
            let hits = found(&native, &x, &queries, 9, 2 * 900);
            let list = List { rows, ids: &Ids::Rows };
            let exact = Searched::of_rows(metric, list);
            let exact =
                exact.nearest(Vectors::new(&queries, DIM).unwrap(), 5, &SearchParams::default()).unwrap();
            assert_eq!((hits.ids, hits.distances), (exact.ids, exact.distances), "{metric}");
        }
    }

    #[test]
    fn what_is_added_later_is_found_as_if_it_had_been_there() {
        let (x, centers, all) = some(1200, 8);
        let (rows, queries) = (Vectors::new(&x, DIM).unwrap(), Random(5).values(30 * DIM, 0));
        let (mut native, mut whole) = (Native::new(Metric::L2), Native::new(Metric::L2));
        native.train(rows, None).unwrap();
        whole.train(rows, None).unwrap();
        let mut lists = Lists::new(8, 1, 1).unwrap();
        for (from, to) in [(0, 500), (500, 501), (501, 1200)] {
            add(&mut lists, &centers, &x[from * DIM..to * DIM], from);
            assert!(!native.is_done(to));
            native.follow(rows.rows(0..to), (&lists, centers.clone()), Some(2), None).unwrap();
            assert!(native.is_done(to) && native.len() == to);
        }
        whole.follow(rows, (&all, centers), Some(2), None).unwrap();
        for nprobe in [1, 3, 8] {
            let (native, whole) =
                (found(&native, &x, &queries, nprobe, 80), found(&whole, &x, &queries, nprobe, 80));
            assert_eq!((native.ids, native.distances), (whole.ids, whole.distances));
        }
    }

    #[test]
    fn vectors_in_no_list_or_in_two_or_not_finite_have_no_codes() {
        let (x, centers, lists) = some(300, 4);
        let refuses = |x: &[f32], lists: &Lists, centers: &[f32]| {
            let mut native = Native::new(Metric::L2);
            let rows = Vectors::new(x, DIM).unwrap();
            native.follow(rows, (lists, centers.to_vec()), None, None).unwrap();
            let query = SearchParams::default();
            native.is_empty()
                && native.is_done(rows.len())
                && native.search(rows, rows, (1, 1), &query).is_err()
        };
        assert!(!refuses(&x, &lists, &centers));
        let (mut twice, mut other, mut fewer) = (lists.clone(), lists.clone(), lists.clone());
        twice.replace(0, 0, lists.ids(1)[0], &[0]).unwrap();
        other.replace(0, 0, -7, &[0]).unwrap();
        fewer.truncate(2, 1);
        assert!([twice, other, fewer].iter().all(|lists| refuses(&x, lists, &centers)));
        assert!(refuses(&x, &lists, &centers[DIM..]));
        let mut wild = x.clone();
        wild[5] = f32::NAN;
        assert!(refuses(&wild, &lists, &centers));
        let mut far = centers.clone();
        far[3] = f32::INFINITY;
        assert!(refuses(&x, &lists, &far));
    }
}
