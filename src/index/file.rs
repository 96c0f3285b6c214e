//! An index as the sections of a file.

use std::path::Path;

use bytemuck::{Pod, Zeroable};

use super::{Index, Kind, Rerank, Spec};
use crate::error::Result;
use crate::graph::Graph;
use crate::ids::Ids;
use crate::ivf::Ivf;
use crate::metric::{Metric, Power};
use crate::quantizer::HeadCodes;
use crate::rows::{Kept, Rows};
use crate::storage::Buffer;
use crate::storage::{self, OpenParams, SaveParams, Sections, Tag};
use crate::transform::{Chain, Transforms};
use crate::vectors::{Dtype, MAX_DIM};

const META: Tag = Tag::new("meta");
const VECTORS: Tag = Tag::new("vectors");
const IDS: Tag = Tag::new("ids");
/// The index's description, where it takes more than a number.
const SPEC: Tag = Tag::new("spec");

/// The exponent of the metric that has one, an f32.
const POWER: Tag = Tag::new("power");
/// How vectors are given, where they are stored otherwise.
const GIVEN: Tag = Tag::new("given");
/// Means and rows of what transforms have learned.
const LEARNED: [[Tag; 2]; Transforms::MOST] = [
    [Tag::new("t-mean-0"), Tag::new("t-rows-0")],
    [Tag::new("t-mean-1"), Tag::new("t-rows-1")],
    [Tag::new("t-mean-2"), Tag::new("t-rows-2")],
    [Tag::new("t-mean-3"), Tag::new("t-rows-3")],
];

/// Section `meta`: what the other sections mean. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Meta {
    metric: u32,
    /// The kind; the bits above the lowest eight are a graph's degree.
    spec: u32,
    declared: u32,
    stored: u32,
    dim: u64,
    len: u64,
    seed: u64,
    fitted: u64,
    /// 1 where there is a section `ids`.
    ids: u32,
    /// [`CODES`], [`GRAPH`], [`LISTS`] or 0: which sections there are besides.
    parts: u32,
}

/// Section `given`. All little-endian.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Given {
    dim: u64,
    dtype: u32,
    /// 1 where the transforms have learned what they needed.
    learned: u32,
}

const CODES: u32 = 1;
const GRAPH: u32 = 2;
const LISTS: u32 = 4;

/// The numbers that stand for values in files: their places in these lists, for ever.
const METRICS: [Metric; 13] = [
    Metric::L2,
    Metric::InnerProduct,
    Metric::Cosine,
    Metric::L1,
    Metric::Linf,
    // Whatever the exponent, which is in [`POWER`].
    Metric::CUBES,
    Metric::Canberra,
    Metric::BrayCurtis,
    Metric::JensenShannon,
    Metric::Jaccard,
    Metric::NanEuclidean,
    Metric::Gower,
    Metric::Hamming,
];
const KINDS: [Kind; 3] = [Kind::Auto, Kind::Flat, Kind::FlatRaw];
const GRAPHS: u32 = 3;
/// The description is in [`SPEC`].
const DESCRIBED: u32 = 4;
const DTYPES: [Dtype; 6] = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8, Dtype::U8, Dtype::B1];

fn number<T: PartialEq>(list: &[T], value: &T) -> u32 {
    list.iter().position(|v| v == value).map_or(u32::MAX, |at| at as u32)
}

impl Index {
    /// Writes the index to `path`, whole or not at all: a kill at any moment leaves what was there before.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the system refuses; what was there before is untouched.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_with(path, &SaveParams::default())
    }

    /// As [`Index::save`], by `params`.
    ///
    /// # Errors
    /// As [`Index::save`]; [`Error::Interrupted`](crate::Error::Interrupted), and what was there before is untouched.
    pub fn save_with(&self, path: impl AsRef<Path>, params: &SaveParams) -> Result<()> {
        self.write(|sections| storage::save_with(path, sections, params))
    }

    /// The bytes that [`Index::save`] would write.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.write(storage::to_bytes)
    }

    /// Opens a saved index. With `mmap` nothing is read but the header and a few small sections: pages come in as
    /// searches touch them, and all processes that open the file share them; their checksums are then left to
    /// [`storage::Sections::verify`].
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Format`](crate::Error::Format) where the file is foreign, damaged, cut off or
    /// of another version.
    pub fn open(path: impl AsRef<Path>, mmap: bool) -> Result<Self> {
        Self::open_with(path, &OpenParams { mmap, monitor: None })
    }

    /// As [`Index::open`], by `params`.
    ///
    /// # Errors
    /// As [`Index::open`]; [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn open_with(path: impl AsRef<Path>, params: &OpenParams) -> Result<Self> {
        let file = Sections::open(path, params.mmap)?;
        if let Some(monitor) = params.monitor.filter(|_| !params.mmap) {
            file.read_ahead(monitor)?;
        }
        Self::read(&file)
    }

    /// As [`Index::open`], from bytes that [`Index::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(&Sections::from_bytes(bytes)?)
    }

    fn write<T>(&self, out: impl FnOnce(&[storage::Section<'_>]) -> Result<T>) -> Result<T> {
        let ids = match &self.ids {
            Ids::Rows => None,
            Ids::Given(ids) => Some(ids),
        };
        let meta = Meta {
            metric: match self.metric {
                Metric::Lp(_) => number(&METRICS, &Metric::CUBES),
                other => number(&METRICS, &other),
            },
            spec: match self.spec.kind {
                _ if !self.spec.transforms.is_empty() => DESCRIBED,
                Kind::Graph { degree, sq8: None } => GRAPHS | (degree as u32) << 8,
                Kind::Graph { .. } | Kind::Codes { .. } => DESCRIBED,
                other => number(&KINDS, &other),
            },
            declared: number(&DTYPES, &self.rows.declared()),
            stored: number(&DTYPES, &self.rows.stored()),
            dim: self.rows.dim() as u64,
            len: self.len() as u64,
            seed: self.seed,
            fitted: self.fitted as u64,
            ids: ids.is_some().into(),
            parts: if self.codes.is_some() { CODES } else { 0 }
                | if self.graph.is_some() { GRAPH } else { 0 }
                | if self.ivf.is_some() { LISTS } else { 0 },
        };
        let codes = self.codes.as_ref().map(HeadCodes::sections).unwrap_or_default();
        let graph = self.graph.as_ref().map(Graph::sections).unwrap_or_default();
        let lists = self.ivf.as_ref().map(Ivf::sections).unwrap_or_default();
        let mut parts: Vec<(Tag, [&[u8]; 1])> = vec![(META, [bytemuck::bytes_of(&meta)])];
        let power = match self.metric {
            Metric::Lp(power) => Some(power.get().to_le_bytes()),
            _ => None,
        };
        parts.extend(power.as_ref().map(|power| (POWER, [power.as_slice()])));
        let description = self.spec.to_string();
        if meta.spec == DESCRIBED {
            parts.push((SPEC, [description.as_bytes()]));
        }
        let given = Given {
            dim: self.dim as u64,
            dtype: number(&DTYPES, &self.dtype),
            learned: self.chain.is_some().into(),
        };
        if !self.spec.transforms.is_empty() {
            parts.push((GIVEN, [bytemuck::bytes_of(&given)]));
        }
        let learned = self.chain.as_ref().map(Chain::state).unwrap_or_default();
        for (tags, floats) in LEARNED.into_iter().zip(learned) {
            parts.extend(tags.into_iter().zip(floats.map(|floats| [bytemuck::cast_slice(floats)])));
        }
        parts.extend(codes.iter().chain(&graph).chain(&lists).map(|(tag, bytes)| (*tag, [bytes.as_ref()])));
        parts.extend(ids.map(|ids| (IDS, [ids.bytes()])));
        if self.spec.kind.kept() != Kept::Nothing {
            parts.push((VECTORS, [self.rows.buffer().bytes()]));
        }
        let sections: Vec<storage::Section> =
            parts.iter().map(|(tag, bytes)| (*tag, bytes.as_slice())).collect();
        out(&sections)
    }

    fn read(file: &Sections) -> Result<Self> {
        let meta = file.small(META)?;
        let wrong = |problem: String| file.error(META, &problem);
        if meta.len() != size_of::<Meta>() {
            return Err(wrong(format!("{} bytes, not {}", meta.len(), size_of::<Meta>())));
        }
        let meta: Meta = meta.as_slice()[0];
        let unknown = |what: &str, value: u32| wrong(format!("unknown {what} {value}"));
        let metric = *METRICS.get(meta.metric as usize).ok_or_else(|| unknown("metric", meta.metric))?;
        let metric = match metric {
            Metric::Lp(_) => Metric::Lp(power(file)?),
            other => other,
        };
        let degree = (meta.spec >> 8) as usize;
        let spec = match meta.spec & 0xFF {
            GRAPHS if Kind::has_degree(degree) => Spec::graph(degree),
            DESCRIBED => described(file)?,
            _ => Spec::of(*KINDS.get(meta.spec as usize).ok_or_else(|| unknown("kind of index", meta.spec))?),
        };
        let declared = *DTYPES.get(meta.declared as usize).ok_or_else(|| unknown("dtype", meta.declared))?;
        let stored = *DTYPES.get(meta.stored as usize).ok_or_else(|| unknown("dtype", meta.stored))?;
        let floats = matches!(declared, Dtype::F32 | Dtype::F16 | Dtype::Bf16);
        let kept = spec.kind.kept();
        let fits = match kept {
            Kept::As(dtype) => stored == dtype,
            Kept::Exact => stored == declared || floats && stored == Dtype::U8,
            Kept::Nothing => stored == declared,
        };
        if !fits {
            return Err(wrong(format!("vectors of {declared} stored as {stored}")));
        }
        if meta.dim == 0 || meta.dim > MAX_DIM as u64 {
            return Err(wrong(format!("dimension {}, not 1 to {MAX_DIM}", meta.dim)));
        }
        let dim = meta.dim as usize;
        if metric.check_dtype(declared).is_err() || declared.check_dim(dim).is_err() {
            return Err(wrong(format!("{dim} dimensions of {declared} under metric {metric}")));
        }
        if spec.check_metric(metric).is_err() || (meta.parts != 0 && !metric.is_of_products()) {
            return Err(wrong(format!(
                "an index of kind {spec}, parts {}, under metric {metric}",
                meta.parts
            )));
        }
        if meta.parts & (GRAPH | LISTS) != 0 && dim > Kind::MAX_GRAPH_DIM {
            return Err(wrong(format!(
                "dimension {dim} of a graph or codes, not 1 to {}",
                Kind::MAX_GRAPH_DIM
            )));
        }
        let len = usize::try_from(meta.len).map_err(|_| wrong(format!("{} vectors", meta.len)))?;
        let vectors = match kept {
            Kept::Nothing => Buffer::new(),
            _ => file.array::<u8>(VECTORS, &[len, stored.row_bytes(dim)])?,
        };
        let ids = match meta.ids {
            0 => Ids::Rows,
            1 => Ids::Given(file.array::<u64>(IDS, &[len])?),
            other => return Err(wrong(format!("{other} sections of ids"))),
        };
        // Vectors that are added later get codes, or none, by these two.
        let fitted = usize::try_from(meta.fitted).ok().filter(|fitted| *fitted <= len);
        let fitted =
            fitted.ok_or_else(|| wrong(format!("codes chosen for {} of {len} vectors", meta.fitted)))?;
        let (mut codes, mut graph, mut ivf) = (None, None, None);
        match (meta.parts, spec.kind) {
            (0, Kind::Graph { .. } | Kind::Codes { .. }) if len > 0 => {
                return Err(wrong(format!("no graph or lists in an index of kind {spec}")));
            }
            (0, _) => {}
            (CODES, Kind::Auto | Kind::Flat) => codes = Some(HeadCodes::read(file, metric, dim, len)?),
            (GRAPH, Kind::Graph { .. } | Kind::Auto) => {
                let (degree, sq8) = match spec.kind {
                    Kind::Graph { degree, sq8 } => (degree, sq8),
                    _ => (Kind::DEGREE, None),
                };
                let (form, wanted) = Kind::form(sq8);
                graph = Some(Graph::read(file, metric, (degree, form, wanted), (dim, len))?);
            }
            (LISTS, Kind::Codes { twice, coding, rerank, .. }) => {
                let how = (twice, coding, rerank == Rerank::Bytes);
                ivf = Some(Ivf::read(file, metric, how, (dim, len))?);
            }
            (other, _) => return Err(wrong(format!("parts {other} in an index of kind {spec}"))),
        }
        let rows = Rows::from_parts((dim, len), declared, stored, kept, vectors);
        let ((dim, dtype), chain) = transforms(file, spec, meta.seed, (dim, declared), len)?;
        Ok(Self { metric, spec, seed: meta.seed, dim, dtype, chain, rows, ids, codes, graph, ivf, fitted })
    }
}

/// How vectors are given whose rows are of `stored` dimension and type, and what they go through.
fn transforms(
    file: &Sections,
    spec: Spec,
    seed: u64,
    stored: (usize, Dtype),
    len: usize,
) -> Result<((usize, Dtype), Option<Chain>)> {
    if spec.transforms.is_empty() {
        return Ok((stored, None));
    }
    let given = file.small(GIVEN)?;
    let wrong = |problem: String| file.error(GIVEN, &problem);
    if given.len() != size_of::<Given>() {
        return Err(wrong(format!("{} bytes, not {}", given.len(), size_of::<Given>())));
    }
    let given: Given = given.as_slice()[0];
    let dim = usize::try_from(given.dim).ok().filter(|dim| (1..=MAX_DIM).contains(dim));
    let dim = dim.filter(|&dim| spec.transforms.width(dim).is_ok_and(|width| (width, Dtype::F32) == stored));
    let dim = dim.ok_or_else(|| {
        wrong(format!("vectors of {} dimensions become {} of {}", given.dim, stored.0, stored.1))
    })?;
    let dtype = *DTYPES.get(given.dtype as usize).ok_or_else(|| wrong(format!("dtype {}", given.dtype)))?;
    let mut tags = LEARNED.into_iter();
    let chain = match given.learned {
        0 if len == 0 => None,
        1 => Some(Chain::restore(spec.transforms, dim, seed, |dim, width| {
            let [mean, rows] = tags.next().ok_or_else(|| wrong("more than four transforms".to_owned()))?;
            Ok((file.floats(mean, &[dim])?, file.floats(rows, &[width, dim])?))
        })?),
        other => return Err(wrong(format!("learned {other} times from {len} vectors"))),
    };
    Ok(((dim, dtype), chain))
}

/// The metric's exponent.
fn power(file: &Sections) -> Result<Power> {
    let bytes = file.small(POWER)?;
    let power = bytes.bytes().try_into().ok().and_then(|bytes| Power::new(f32::from_le_bytes(bytes)));
    power.ok_or_else(|| file.error(POWER, "not a number of 0 or more"))
}

/// The description that an index has as a text.
fn described(file: &Sections) -> Result<Spec> {
    let text = file.small(SPEC)?;
    let spec = std::str::from_utf8(text.bytes()).ok().and_then(|text| text.parse().ok());
    spec.filter(|spec: &Spec| !spec.transforms.is_empty() || spec.kind.rerank().is_some())
        .ok_or_else(|| file.error(SPEC, "not the description of an index of codes"))
}
