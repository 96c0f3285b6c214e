//! Where to look? An index holds vectors, answers queries, grows, and outlives its process.

mod auto;
mod file;
pub(crate) mod flat;
mod grammar;
mod spec;

use std::fmt;

pub use crate::quantizer::{Coding, Step};
pub use crate::transform::{Transform, Transforms};
pub use spec::{Kind, Lists, Rerank, Spec};

use crate::error::{Error, Result};
use crate::graph::{Graph, GraphParams};
use crate::ids::Ids;
use crate::ivf::{Ivf, IvfParams};
use crate::metric::Metric;
use crate::quantizer::HeadCodes;
use crate::rows::{Kept, Rows};
use crate::search::{Hits, List, RangeHits, SearchParams, Searched};
use crate::storage::Buffer;
use crate::threads::Monitor;
use crate::transform::Chain;
use crate::vectors::{Dtype, Vectors};

/// Vectors that a graph can hold: a node's number shares a word with a bit.
const MOST_NODES: usize = 1 << 30;

/// How to build. `BuildParams::default()` is l2, `"auto"`, consecutive ids.
#[derive(Clone, Copy)]
pub struct BuildParams<'a> {
    /// What "near" means.
    pub metric: Metric,
    /// What kind of index.
    pub spec: Spec,
    /// One unique id a vector; 0, 1, 2 … where nothing is said.
    pub ids: Option<&'a [u64]>,
    /// Of what is random in the build: the same seed gives the same index.
    pub seed: u64,
    /// Threads at most; all cores where nothing is said.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

impl Default for BuildParams<'_> {
    fn default() -> Self {
        Self { metric: Metric::L2, spec: Spec::AUTO, ids: None, seed: 0, threads: None, monitor: None }
    }
}

/// How to add. `AddParams::default()` gives consecutive ids.
#[derive(Clone, Copy, Default)]
pub struct AddParams<'a> {
    /// One unique id a vector; consecutive from the largest on where nothing is said.
    pub ids: Option<&'a [u64]>,
    /// Threads at most; all cores where nothing is said.
    pub threads: Option<usize>,
    /// Watches the call and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

/// Vectors that can be searched.
///
/// ```
/// use steep::{BuildParams, Index, SearchParams, Vectors};
/// let x = [0.0f32, 0.0, 3.0, 4.0, 6.0, 8.0];
/// let index = Index::build(Vectors::new(&x, 2)?, &BuildParams::default())?;
/// let hits = index.search(Vectors::new(&[3.0f32, 3.0], 2)?, 2, &SearchParams::default())?;
/// assert_eq!(hits.ids, [1, 0]);
/// assert_eq!(hits.distances, [1.0, 18.0]);
/// # Ok::<(), steep::Error>(())
/// ```
#[derive(Clone)]
pub struct Index {
    metric: Metric,
    spec: Spec,
    seed: u64,
    /// Of vectors and queries as they are given.
    dim: usize,
    dtype: Dtype,
    /// What rows and queries have gone through, where the spec says so and there was a vector to learn from.
    chain: Option<Chain>,
    rows: Rows,
    ids: Ids,
    /// Under `auto` and `flat`, where they pay.
    codes: Option<HeadCodes>,
    /// Under `graph`, and under `auto` where it pays.
    graph: Option<Graph>,
    /// Under the specs that name a code.
    ivf: Option<Ivf>,
    /// How many rows there were when codes or the graph were last made anew.
    fitted: usize,
}

impl Index {
    /// An empty index for vectors of `dim` coordinates of type `dtype`.
    ///
    /// # Errors
    /// [`Error::Spec`] for one that cannot be written, as a graph of degree 33, or that the metric does not go with; [`Error::Argument`]
    /// for a dimension of 0 or above 65,536, above [`Kind::MAX_GRAPH_DIM`] for a graph or codes, or one that the transforms or `b1` do not
    /// suit, and for a type that the metric has no distance for.
    pub fn new(dim: usize, metric: Metric, dtype: Dtype, spec: Spec) -> Result<Self> {
        metric.check_dtype(dtype)?;
        dtype.check_dim(dim)?;
        // What the grammar refuses was never meant, however it was put together.
        let spec: Spec = spec.to_string().parse()?;
        spec.check_metric(metric)?;
        let width = spec.transforms.width(dim)?;
        spec.kind.check_dim(width)?;
        let stored = if spec.transforms.is_empty() { dtype } else { Dtype::F32 };
        let rows = Rows::new(width, stored, spec.kind.kept());
        Ok(Self {
            metric,
            spec,
            seed: 0,
            dim,
            dtype,
            chain: None,
            rows,
            ids: Ids::Rows,
            codes: None,
            graph: None,
            ivf: None,
            fitted: 0,
        })
    }

    /// An index of `vectors`, whose type becomes the index's.
    ///
    /// # Errors
    /// As [`Index::add`].
    pub fn build(vectors: Vectors, params: &BuildParams) -> Result<Self> {
        let vectors = params.metric.read(vectors)?;
        let mut index = Self::new(vectors.dim(), params.metric, vectors.dtype(), params.spec)?;
        index.seed = params.seed;
        index
            .add(vectors, &AddParams { ids: params.ids, threads: params.threads, monitor: params.monitor })?;
        Ok(index)
    }

    /// Another index of the same vectors and ids, as `params.spec` says; the metric stays, whatever `params` says.
    ///
    /// # Errors
    /// [`Error::Argument`] where the vectors are not stored, or only what transforms made of them; as [`Index::build`].
    pub fn convert(&self, params: &BuildParams) -> Result<Self> {
        let stored = self.rows.view();
        if stored.len() < self.len() || !self.spec.transforms.is_empty() {
            let expected = "an index that stores its vectors as they came";
            return Err(Error::argument("index", format_args!("of spec \"{}\"", self.spec), expected));
        }
        let ids: Vec<u64> = (0..self.len()).map(|row| self.ids.get(row)).collect();
        let mut index = Self::new(self.dim, self.metric, self.dtype, params.spec)?;
        index.seed = params.seed;
        let (threads, monitor) = (params.threads, params.monitor);
        index.add(stored, &AddParams { ids: Some(&ids), threads, monitor })?;
        Ok(index)
    }

    /// Adds `vectors`. Where this fails the index is as it was.
    ///
    /// # Errors
    /// [`Error::Dimension`]; [`Error::NotFinite`]; [`Error::ZeroVector`] under cosine, of what transforms make of a vector too;
    /// [`Error::IdCount`] and [`Error::DuplicateId`]; [`Error::Inexact`] where the index's type does not hold a value;
    /// [`Error::OutOfMemory`]; [`Error::Interrupted`].
    pub fn add(&mut self, vectors: Vectors, params: &AddParams) -> Result<()> {
        let vectors = self.given("vectors", vectors)?;
        if self.spec.transforms.is_empty() {
            return self.append(vectors, params);
        }
        let learned = match self.chain {
            None if !vectors.is_empty() => {
                let (transforms, metric, seed) = (self.spec.transforms, self.metric, self.seed);
                Some(Chain::train(transforms, vectors, metric, seed, params.monitor)?)
            }
            _ => None,
        };
        let chain = learned.as_ref().or(self.chain.as_ref());
        let turned = self.transformed(chain, vectors, params.threads, params.monitor)?;
        let turned = Vectors::from_bytes(turned.bytes(), Dtype::F32, self.rows.dim())?;
        self.metric.check_values("transformed vectors", turned)?;
        self.append(turned, params)?;
        self.chain = learned.or(self.chain.take());
        Ok(())
    }

    /// What `vectors` become by `chain`; where there is none no vector was added yet, and anything will do.
    fn transformed(
        &self,
        chain: Option<&Chain>,
        vectors: Vectors,
        threads: Option<usize>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Buffer> {
        let threads = crate::threads::resolve(threads)?;
        if let Some(chain) = chain {
            return chain.apply(vectors, threads, monitor);
        }
        let mut any = Buffer::new();
        let row = vec![1f32; self.rows.dim()];
        (0..vectors.len()).try_for_each(|_| any.extend("queries", bytemuck::cast_slice(&row)))?;
        Ok(any)
    }

    /// Adds `vectors` as they are stored.
    fn append(&mut self, vectors: Vectors, params: &AddParams) -> Result<()> {
        let threads = crate::threads::resolve(params.threads)?;
        let before = self.len();
        let ids = self.ids.extended(before, vectors.len(), params.ids)?;
        let rows = self.rows.extend(vectors)?;
        let coded =
            self.check_stored(before).and_then(|()| self.encode(vectors, before, threads, params.monitor));
        match coded {
            Ok(()) => {
                self.ids = ids;
                Ok(())
            }
            Err(error) => {
                self.rows.take_back(rows);
                Err(error)
            }
        }
    }

    /// Refuses rows from `before` on that were rounded to zeros, where those have no distance.
    fn check_stored(&self, before: usize) -> Result<()> {
        match self.spec.kind.kept() {
            Kept::As(_) if self.metric == Metric::Cosine => {
                self.rows.view().rows(before..self.len()).check_nonzero("rounded vectors")
            }
            _ => Ok(()),
        }
    }

    /// Codes for `vectors`, which are the rows from `before` on, or for all where there are so many more now that it is worth asking
    /// again how wide codes should be.
    fn encode(
        &mut self,
        vectors: Vectors,
        before: usize,
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let anew = self.graph.is_none() && self.len() >= 4 * self.fitted;
        let kind = match self.spec.kind {
            // What became a graph stays one.
            Kind::Auto if self.graph.is_some() => Kind::Graph { degree: Kind::DEGREE, sq8: None },
            Kind::Auto if anew && self.metric.is_of_products() => {
                auto::choose(self.rows.view(), self.metric, threads, monitor)?
            }
            Kind::Auto => Kind::Flat,
            other => other,
        };
        match kind {
            Kind::FlatRaw => return Ok(()),
            Kind::Graph { degree, sq8 } => {
                self.connect((degree, sq8), vectors, threads, monitor)?;
                // Under `auto` there may have been codes until now.
                self.codes = None;
                return Ok(());
            }
            Kind::Codes { lists, twice, coding, rerank } => {
                return self.list((lists, twice, coding, rerank), vectors, threads, monitor);
            }
            Kind::Auto | Kind::Flat => {}
        }
        if anew {
            self.codes = flat::fit(&self.rows, self.metric, self.seed, threads, monitor)?;
            self.fitted = self.len();
        } else if let Some(codes) = &mut self.codes {
            codes.extend(self.rows.view().rows(before..self.rows.len()), threads, monitor)?;
        }
        Ok(())
    }

    /// Nodes for `vectors`, the last rows; where vectors are stored and are twice as many as the graph was made for, a new graph.
    fn connect(
        &mut self,
        (degree, sq8): (usize, Option<Rerank>),
        vectors: Vectors,
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        if self.len() > MOST_NODES {
            let expected = "at most 2³⁰ vectors; split them into several indexes";
            return Err(Error::argument("vectors", self.len(), expected));
        }
        let stored = self.spec.kind.kept() != Kept::Nothing;
        let all = if stored { self.rows.view() } else { vectors };
        let anew = |graph: &Graph| stored && (self.len() >= 2 * self.fitted || !graph.holds(vectors));
        let grows = self.graph.as_ref().is_some_and(|graph| !anew(graph));
        if let Some(graph) = self.graph.as_mut().filter(|_| grows) {
            return graph.insert(vectors, threads, monitor);
        }
        if !all.is_empty() {
            let (form, wanted) = Kind::form(sq8);
            let (metric, seed) = (self.metric, self.seed);
            let params = GraphParams { metric, degree, form, wanted, seed, threads, monitor };
            self.graph = Some(Graph::build(all, &params)?);
            self.fitted = self.len();
        }
        Ok(())
    }

    /// Codes of `vectors` in their lists; where the vectors are stored and are four times as many as the lists were made for, of all
    /// in new ones.
    fn list(
        &mut self,
        (lists, twice, coding, rerank): (Lists, bool, Coding, Rerank),
        vectors: Vectors,
        threads: usize,
        monitor: Option<&dyn Monitor>,
    ) -> Result<()> {
        let stored = self.spec.kind.kept() == Kept::Exact;
        let all = if stored { self.rows.view() } else { vectors };
        let anew = stored && self.len() >= 4 * self.fitted;
        if let Some(ivf) = self.ivf.as_mut().filter(|_| !anew) {
            return ivf.add(vectors, None, threads, monitor);
        }
        if !all.is_empty() {
            let lists = match lists {
                Lists::One => Some(1),
                Lists::Suited => None,
                Lists::Count(count) => Some(count),
            };
            let (metric, seed, refined) = (self.metric, self.seed, rerank == Rerank::Bytes);
            let given = None;
            let params = IvfParams { metric, lists, given, twice, coding, refined, seed, threads, monitor };
            self.ivf = Some(Ivf::build(all, &params)?);
            self.fitted = self.len();
        }
        Ok(())
    }

    /// The `k` nearest vectors of each query, all of them or, in a graph or by codes, most of them. Distances are by the [metric's
    /// formula](Metric) in f64, rounded once, but without stored vectors as codes tell them; ties by the lower id. Queries may be of
    /// another type than the vectors.
    ///
    /// # Errors
    /// [`Error::Dimension`]; [`Error::NotFinite`]; [`Error::ZeroVector`] under cosine; [`Error::Argument`] where `k`,
    /// a knob or `threads` is 0; [`Error::Knob`] where the kind of index has not a knob that is given; [`Error::OutOfMemory`];
    /// [`Error::Interrupted`].
    pub fn search(&self, queries: Vectors, k: usize, params: &SearchParams) -> Result<Hits> {
        self.spec.check(params)?;
        let queries = self.metric.read(queries)?;
        let turned = self.asked(queries, params)?;
        let queries = self.turned(turned.as_ref(), queries)?;
        self.searched().nearest(queries, k, params)
    }

    /// All vectors at a distance of at most `radius` of each query, in the metric's own unit: squared for l2, −⟨q,x⟩ for ip,
    /// 1 − cos for cosine, bits for hamming. By codes, most of them, as [`Index::search`].
    ///
    /// # Errors
    /// As [`Index::search`]; [`Error::Argument`] where the radius is NaN.
    pub fn range_search(&self, queries: Vectors, radius: f32, params: &SearchParams) -> Result<RangeHits> {
        self.spec.check(params)?;
        let queries = self.metric.read(queries)?;
        let turned = self.asked(queries, params)?;
        let queries = self.turned(turned.as_ref(), queries)?;
        self.searched().within(queries, radius, params)
    }

    /// What `queries` become, where that is something else.
    fn asked(&self, queries: Vectors, params: &SearchParams) -> Result<Option<Buffer>> {
        if self.spec.transforms.is_empty() {
            return Ok(None);
        }
        let queries = self.given("queries", queries)?;
        let turned = self.transformed(self.chain.as_ref(), queries, params.threads, params.monitor)?;
        self.turned(Some(&turned), queries)?.check_finite("transformed queries")?;
        Ok(Some(turned))
    }

    fn turned<'a>(&self, turned: Option<&'a Buffer>, given: Vectors<'a>) -> Result<Vectors<'a>> {
        match turned {
            Some(turned) => Vectors::from_bytes(turned.bytes(), Dtype::F32, self.rows.dim()),
            None => Ok(given),
        }
    }

    /// `vectors` as the metric reads them. Refuses those of another dimension, and those that have no place or no direction.
    fn given<'a>(&self, what: &'static str, vectors: Vectors<'a>) -> Result<Vectors<'a>> {
        let vectors = self.metric.read(vectors)?;
        Error::check_dim(what, self.dtype, self.dim, &vectors)?;
        self.metric.check_values(what, vectors)?;
        Ok(vectors)
    }

    fn searched(&self) -> Searched<'_> {
        let list = List { rows: self.rows.view(), ids: &self.ids };
        Searched {
            metric: self.metric,
            list,
            codes: self.codes.as_ref(),
            rounded: None,
            graph: self.graph.as_ref(),
            ivf: self.ivf.as_ref(),
            candidates: 0,
        }
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True where there is no vector.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Coordinates of one vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What "near" means.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The type that vectors are given in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// What kind of index.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// True where the vectors are a mapped file's pages.
    pub fn is_mapped(&self) -> bool {
        self.rows.buffer().is_mapped() || self.ivf.as_ref().is_some_and(Ivf::is_mapped)
    }

    /// The vectors as they are stored, transformed where the spec says so, none where only codes are; the type may be smaller than
    /// [`Index::dtype`] where that loses nothing or was asked for.
    pub fn vectors(&self) -> Vectors<'_> {
        self.rows.view()
    }

    /// Row `row`'s id.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn id(&self, row: usize) -> u64 {
        assert!(row < self.len(), "row {row} of {}", self.len());
        self.ids.get(row)
    }

    /// Memory by part, in bytes; the parts are all there is.
    pub fn bytes(&self) -> Vec<(&'static str, u64)> {
        let codes = self.codes.as_ref().map_or(0, HeadCodes::bytes);
        vec![
            ("vectors", self.rows.buffer().len() as u64),
            ("codes", codes as u64),
            ("graph", self.graph.as_ref().map_or(0, Graph::bytes) as u64),
            ("lists", self.ivf.as_ref().map_or(0, Ivf::bytes) as u64),
            ("transforms", self.chain.as_ref().map_or(0, Chain::bytes) as u64),
            ("ids", self.ids.bytes() as u64),
        ]
    }

    /// How many lists the spec asked for and how many there are, where these are fewer: a list is made of eight vectors at least.
    pub fn fewer_lists(&self) -> Option<(usize, usize)> {
        match (self.spec.kind, &self.ivf) {
            (Kind::Codes { lists: Lists::Count(asked), .. }, Some(ivf)) if ivf.lists.len() < asked => {
                Some((asked, ivf.lists.len()))
            }
            _ => None,
        }
    }

    /// More facts, for people. Under `graph` all of it is read: which vectors a walk can come to, and how many steps it takes.
    pub fn info(&self) -> Vec<(&'static str, String)> {
        let codes = match &self.codes {
            Some(codes) => {
                let widths: Vec<String> = codes.widths().map(|width| width.to_string()).collect();
                let fine =
                    codes.fine_width().map_or(String::new(), |width| format!(", 8 bit each of {width}"));
                format!("7 bit each of {} leading directions{fine}", widths.join(" or "))
            }
            None => "none".to_owned(),
        };
        let mut facts = vec![("stored dtype", self.rows.stored().to_string()), ("codes", codes)];
        if !self.spec.transforms.is_empty() {
            facts.push(("transformed to", format!("{} dimensions", self.rows.dim())));
        }
        facts.extend(self.graph.as_ref().map(Graph::facts).unwrap_or_default());
        facts.extend(self.ivf.as_ref().map(Ivf::facts).unwrap_or_default());
        if let Some((asked, _)) = self.fewer_lists() {
            let few = format!("{asked}; fewer, for a list is made of eight vectors at least");
            facts.push(("lists asked for", few));
        }
        facts
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} × {} {}, {}, {})", self.len(), self.dim(), self.dtype(), self.metric, self.spec)
    }
}
