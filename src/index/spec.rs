//! The index's description: what it says, and what fits it. How it is read: [`grammar`](super::grammar).

use std::fmt;

use crate::error::{Error, Result};
use crate::graph::{self, Form};
use crate::metric::Metric;
use crate::quantizer::{Coding, Step};
use crate::rows::Kept;
use crate::search::SearchParams;
use crate::space::Wanted;
use crate::transform::{Transform, Transforms};
use crate::vectors::{Dtype, check_dim};

/// What kind of index. The words in quotes are those of a [`Spec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Kind {
    /// `"auto"`: the kind that suits the data: exact search, or a graph.
    #[default]
    Auto,
    /// `"flat"`: exact search, with codes beside the vectors that rule most of them out; at most 1.3 × the bytes.
    Flat,
    /// `"flat-raw"`: exact search over the vectors alone.
    FlatRaw,
    /// `"graph"`, `"graph64"`, `"graph,sq8"`: approximate search along the edges of a proximity graph.
    Graph {
        /// Neighbours of each vector: a multiple of 32.
        degree: usize,
        /// `"sq8"`: what is stored of vectors besides, where each is a code of eight bits a direction, and its neighbours only known by
        /// number: slower, and small. Nothing where they are coded with it, and vectors are stored as they are: the fast form.
        sq8: Option<Rerank>,
    },
    /// `"ivf4096,rabitq4"`, `"ivf"`, `"pq32x4,rerank-f16"`: approximate search by codes, in the lists near the query or in one.
    Codes {
        /// How many lists.
        lists: Lists,
        /// `"ivf4096x2"`: whether each vector is in two of them.
        twice: bool,
        /// What a vector is coded as.
        coding: Coding,
        /// What is stored of vectors besides.
        rerank: Rerank,
    },
}

/// Lists of an index of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// All vectors are in one.
    One,
    /// `"ivf"`: four times the square root of the number of vectors.
    Suited,
    /// `"ivf4096"`: so many, or fewer where there were less than eight vectors for each.
    Count(usize),
}

/// What is stored of vectors beside their codes: the nearest by their codes get their distance by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerank {
    /// Nothing: distances are those that codes tell.
    No,
    /// `"rerank"`: the vectors.
    Exact,
    /// `"rerank-f16"`: the vectors, rounded to a type.
    As(Dtype),
    /// `"rerank-i8"`: eight bits of each direction, beside codes that have fewer. All that are near enough by these are looked at.
    Bytes,
}

impl Kind {
    /// The degree of `"graph"`.
    pub const DEGREE: usize = 32;
    /// The largest degree there is.
    pub const MAX_DEGREE: usize = 256;
    /// The largest number of lists.
    pub const MAX_LISTS: usize = 1 << 24;
    /// The largest dimension of what is learned from a covariance of d² numbers: graphs and codes.
    pub const MAX_GRAPH_DIM: usize = 4096;
    /// The code of `"ivf"`.
    pub(crate) const CODING: Coding = Coding::Scalar { step: Step::Rabitq, bits: 4 };

    /// True where a graph can have so many neighbours.
    pub(crate) fn has_degree(degree: usize) -> bool {
        (32..=Self::MAX_DEGREE).contains(&degree) && degree.is_multiple_of(32)
    }

    /// The names before any number.
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("auto", Self::Auto),
        ("flat", Self::Flat),
        ("flat-raw", Self::FlatRaw),
        ("graph", Self::Graph { degree: Self::DEGREE, sq8: None }),
    ];

    /// Refuses dimensions that this kind of index cannot hold.
    pub(super) fn check_dim(self, dim: usize) -> Result<()> {
        match self {
            Self::Graph { .. } | Self::Codes { .. } if dim > Self::MAX_GRAPH_DIM => {
                let expected = "at most 4,096 dimensions for a graph or codes; \"flat\" takes up to 65,536";
                Err(Error::argument("dim", dim, expected))
            }
            _ => check_dim(dim),
        }
    }

    /// What is kept of vectors.
    pub(super) fn kept(self) -> Kept {
        match self.rerank() {
            Some(Rerank::No | Rerank::Bytes) => Kept::Nothing,
            Some(Rerank::As(dtype)) => Kept::As(dtype),
            Some(Rerank::Exact) | None => Kept::Exact,
        }
    }

    /// The rows of a graph, and the directions of its space: where codes are all there is, nearly all of them.
    pub(super) fn form(sq8: Option<Rerank>) -> (Form, Wanted) {
        match sq8 {
            None => (Form::Coded, graph::WANTED),
            Some(Rerank::No) => (Form::Bare, Coding::Scalar { step: Step::Sq, bits: 8 }.wanted(false)),
            Some(_) => (Form::Bare, graph::WANTED),
        }
    }

    /// What is stored beside codes, where these are what is searched.
    pub(super) fn rerank(self) -> Option<Rerank> {
        match self {
            Self::Codes { rerank, .. } => Some(rerank),
            Self::Graph { sq8, .. } => sq8,
            Self::Auto | Self::Flat | Self::FlatRaw => None,
        }
    }
}

/// What an index does with vectors before anything else, and what kind of index it is. Parses from and prints as a short text.
///
/// ```
/// use steep::Spec;
/// let spec: Spec = "pca64,ivf4096,rabitq4".parse()?;
/// assert_eq!(spec.to_string(), "pca64,ivf4096,rabitq4");
/// # Ok::<(), steep::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Spec {
    /// What is done with vectors first.
    pub transforms: Transforms,
    /// What kind of index they are put into.
    pub kind: Kind,
}

impl Spec {
    /// `"auto"`.
    pub const AUTO: Self = Self::of(Kind::Auto);
    /// `"flat"`.
    pub const FLAT: Self = Self::of(Kind::Flat);
    /// `"flat-raw"`.
    pub const FLAT_RAW: Self = Self::of(Kind::FlatRaw);

    /// `"graph64"`: a graph of so many neighbours each, a multiple of 32 up to [`Kind::MAX_DEGREE`].
    pub const fn graph(degree: usize) -> Self {
        Self::of(Kind::Graph { degree, sq8: None })
    }

    /// Vectors as they are, in an index of this kind.
    pub const fn of(kind: Kind) -> Self {
        Self { transforms: Transforms::NONE, kind }
    }

    /// Refuses what has no meaning under `metric`: codes, graphs and transforms are made of products.
    pub(super) fn check_metric(self, metric: Metric) -> Result<()> {
        let exact = matches!(self.kind, Kind::Auto | Kind::Flat | Kind::FlatRaw);
        if metric.is_of_products() || (exact && self.transforms.is_empty()) {
            return Ok(());
        }
        Err(Error::Spec {
            spec: self.to_string(),
            position: 0,
            problem: "only metrics \"l2\", \"ip\" and \"cosine\" have such an index",
            expected: "\"auto\", \"flat\" or \"flat-raw\" under any other",
        })
    }

    /// Refuses settings that this kind of index has not: they would do nothing, and say so nowhere. Under `auto`, which chooses
    /// by the data, the graph's count where there is something to set.
    pub(super) fn check(self, params: &SearchParams) -> Result<()> {
        let walks = matches!(self.kind, Kind::Auto | Kind::Graph { .. });
        let probes = matches!(self.kind, Kind::Codes { lists: Lists::Suited | Lists::Count(_), .. });
        let ranks = match self.kind.rerank() {
            Some(rerank) => matches!(rerank, Rerank::Exact | Rerank::As(_)),
            None => walks,
        };
        for (name, value, has, fits) in [
            ("ef_search", params.ef_search, walks, "\"graph\""),
            ("nprobe", params.nprobe, probes, "\"ivf\""),
            ("max_codes", params.max_codes, probes, "\"ivf\""),
            ("rerank", params.rerank, ranks, "\"graph\", or with \",rerank\" where that stores vectors"),
        ] {
            match value {
                Some(value) if !has => return Err(Error::Knob { name, value, spec: Box::new(self), fits }),
                Some(0) => return Err(Error::argument(name, 0, "at least 1")),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::NAMES.iter().find(|(_, kind)| kind == self) {
            return f.pad(name);
        }
        let text = match self {
            Self::Graph { degree, sq8 } => {
                let degree = if *degree == Self::DEGREE { String::new() } else { degree.to_string() };
                let sq8 = sq8.map_or(String::new(), |rerank| format!(",sq8{rerank}"));
                format!("graph{degree}{sq8}")
            }
            Self::Codes { lists, twice, coding, rerank } => {
                let twice = if *twice { "x2" } else { "" };
                let lists = match lists {
                    Lists::One => String::new(),
                    Lists::Suited => format!("ivf{twice},"),
                    Lists::Count(count) => format!("ivf{count}{twice},"),
                };
                format!("{lists}{coding}{rerank}")
            }
            Self::Auto | Self::Flat | Self::FlatRaw => unreachable!("they have names"),
        };
        f.pad(&text)
    }
}

impl fmt::Display for Rerank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => Ok(()),
            Self::Exact => f.write_str(",rerank"),
            Self::As(dtype) => write!(f, ",rerank-{dtype}"),
            Self::Bytes => f.write_str(",rerank-i8"),
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar { step, bits } => {
                let name = STEPS.iter().find(|(_, known)| known == step).map_or("", |(name, _)| name);
                write!(f, "{name}{bits}")
            }
            Self::Product { parts, bits } => write!(f, "pq{parts}x{bits}"),
        }
    }
}

/// The codes of so many bits a direction.
pub(super) const STEPS: [(&str, Step); 3] = [("rabitq", Step::Rabitq), ("lvq", Step::Lvq), ("sq", Step::Sq)];

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Norm => f.write_str("norm"),
            Self::Rotate => f.write_str("rotate"),
            Self::Pca { dim, whiten } => {
                f.write_str(if *whiten { "pcaw" } else { "pca" })?;
                dim.map_or(Ok(()), |dim| write!(f, "{dim}"))
            }
            Self::Opq { parts, dim } => {
                write!(f, "opq{parts}")?;
                dim.map_or(Ok(()), |dim| write!(f, "_{dim}"))
            }
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transforms: String = self.transforms.iter().map(|transform| format!("{transform},")).collect();
        f.pad(&format!("{transforms}{}", self.kind))
    }
}
