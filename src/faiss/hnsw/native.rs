//! The crate's own graph over the same vectors: walked several times as fast, and the arrays that Faiss would want of it.
//!
//! A step of its walk reads one row of codes rather than a vector for each neighbour. What is found differs a little from what
//! Faiss finds in those arrays, so it is for graphs that are made here, not for those that come from files.

use super::insert::Adding;
use super::{Hnsw, LEVELS, Parts};
use crate::error::{Error, Result};
use crate::faiss::random::Generator;
use crate::graph::{Form, Graph, GraphParams, WANTED};
use crate::ids::Ids;
use crate::metric::Metric;
use crate::search::{Hits, List, SearchParams, Searched};
use crate::threads::{self, Monitor};
use crate::vectors::Vectors;

/// Of what is random.
const SEED: u64 = 12345;

/// A graph of vectors that are stored elsewhere, in the order in which they came.
#[derive(Clone)]
pub struct Native {
    graph: Graph,
    metric: Metric,
}

impl Native {
    /// A graph of `rows`, each with `degree` neighbours, a multiple of 32.
    ///
    /// # Errors
    /// [`Error::Argument`] for another degree, [`Error::OutOfMemory`], [`Error::Interrupted`].
    pub fn build(
        rows: Vectors,
        metric: Metric,
        degree: usize,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Self> {
        if degree == 0 || !degree.is_multiple_of(32) || degree > 256 {
            return Err(Error::argument("degree", degree, "a multiple of 32 up to 256"));
        }
        rows.check_finite("vectors")?;
        let (form, wanted, threads) = (Form::Coded, WANTED, threads::resolve(threads)?);
        let params = GraphParams { metric, degree, form, wanted, seed: SEED, threads, monitor };
        Ok(Self { graph: Graph::build(rows, &params)?, metric })
    }

    /// How many vectors it is of.
    pub fn len(&self) -> usize {
        self.graph.vectors().len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> u64 {
        self.graph.bytes() as u64
    }

    /// True where vectors as long as these can be added.
    pub fn holds(&self, x: Vectors) -> bool {
        x.check_finite("vectors").is_ok() && self.graph.holds(x)
    }

    /// Adds vectors after the present ones.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Interrupted`]; the graph is then as it was.
    pub fn add(&mut self, x: Vectors, threads: Option<usize>, monitor: Option<&dyn Monitor>) -> Result<()> {
        x.check_finite("vectors")?;
        self.graph.insert(x, threads::resolve(threads)?, monitor)
    }

    /// The `k` nearest of `rows`, which it is a graph of.
    ///
    /// # Errors
    /// As [`Index::search`](crate::Index::search); [`Error::Argument`] for rows that it is no graph of.
    pub fn search(&self, rows: Vectors, queries: Vectors, k: usize, params: &SearchParams) -> Result<Hits> {
        if rows.len() != self.len() {
            return Err(Error::argument("vectors", rows.len(), "those that the graph is of"));
        }
        let list = List { rows, ids: &Ids::Rows };
        let graph = Some(&self.graph);
        Searched { graph, ..Searched::of_rows(self.metric, list) }.nearest(queries, k, params)
    }
}

impl Hnsw {
    /// Becomes the graph that `native` is on the lowest level, and by insertion on those above; `adding.x` are all vectors.
    ///
    /// # Errors
    /// As [`Hnsw::insert`]; the graph is then as it was.
    pub fn take(
        &mut self,
        native: &Native,
        adding: &Adding,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        if adding.x.len() != native.len() {
            return Err(Error::argument("vectors", adding.x.len(), "those that the graph is of"));
        }
        let vectors = native.graph.vectors();
        let start = vectors.first().copied();
        let cores = threads::resolve(threads)?;
        self.ground_on(adding, threads, monitor, |graph| {
            let room = graph.room(0);
            let mut back = Vec::new();
            for (node, &from) in vectors.iter().enumerate() {
                let list: Vec<u32> =
                    native.graph.neighbours_of(node).take(room).map(|to| vectors[to as usize]).collect();
                graph.link(from, 0, &list);
                back.extend(list.iter().map(|&to| (0, to, from)));
            }
            // Where Faiss would have room for more: it finds more by links that go both ways.
            if room >= 2 * native.graph.degree() {
                graph.link_back(adding, back, 0, &mut Default::default(), cores)?;
            }
            Ok(start)
        })
    }

    /// Becomes a graph whose lowest level `ground` fills, which says where walks begin if there is no other level.
    pub(super) fn ground_on(
        &mut self,
        adding: &Adding,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
        ground: impl FnOnce(&mut Self) -> Result<Option<u32>>,
    ) -> Result<()> {
        let threads = threads::resolve(threads)?;
        let old = self.parts();
        let parts = Parts {
            assign_probas: old.assign_probas.clone(),
            cum_nneighbor_per_level: old.cum_nneighbor_per_level.clone(),
            ..Parts::new(2, 1.0)?
        };
        // All nodes anew have the levels that they would have had one after the other.
        let mut new = Self { parts, generator: Generator::new(LEVELS) };
        new.check(adding)?;
        new.grow(adding.x.len(), adding.levels)?;
        let start = ground(&mut new)?;
        if let Some(start) = start.filter(|_| new.parts.levels.iter().all(|&levels| levels == 1)) {
            (new.parts.entry_point, new.parts.max_level) = (start as i32, 0);
        }
        new.connect(adding, (0, 1), &mut Default::default(), threads, monitor)?;
        new.reach(adding, monitor)?;
        *self = new;
        Ok(())
    }
}
