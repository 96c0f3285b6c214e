//! The index's description in a short text: one grammar, one parser, printed back.
//!
//! ```text
//! spec   = "auto" | "flat" | "flat-raw" | "graph" [ degree ]
//!        | [ "ivf" [ lists ] "," ] code [ "," rerank ]  |  "ivf" [ lists ] [ "," rerank ]
//! code   = ( "rabitq" | "lvq" | "sq" ) bits | "pq" parts "x" ( "4" | "8" )
//! rerank = "rerank" [ "-" ( "f32" | "f16" | "bf16" | "i8" ) ]
//! ```
//!
//! `"f16"` and `"bf16"` in the place of a code are the fast one, with vectors stored in that type.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::quantizer::product::Product;
use crate::quantizer::scalar::Scalar;
use crate::quantizer::{Coding, Step};
use crate::rows::Kept;
use crate::search::SearchParams;
use crate::vectors::{Dtype, check_dim};

/// What kind of index. Parses from and prints as the text in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Spec {
    /// `"auto"`: the kind that suits the data: exact search, or a graph.
    #[default]
    Auto,
    /// `"flat"`: exact search, with codes beside the vectors that rule most of them out; at most 1.3 × the bytes.
    Flat,
    /// `"flat-raw"`: exact search over the vectors alone.
    FlatRaw,
    /// `"graph"`, `"graph64"`: approximate search along the edges of a proximity graph.
    Graph {
        /// Neighbours of each vector: a multiple of 32.
        degree: usize,
    },
    /// `"ivf4096,rabitq4"`, `"ivf"`, `"pq32x4,rerank-f16"`: approximate search by codes, in the lists near the query or in one.
    Codes {
        /// How many lists.
        lists: Lists,
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

impl Spec {
    /// The degree of `"graph"`.
    pub const DEGREE: usize = 32;
    /// The largest degree there is.
    pub const MAX_DEGREE: usize = 256;
    /// The largest number of lists.
    pub const MAX_LISTS: usize = 1 << 24;
    /// The largest dimension of what is learned from a covariance of d² numbers: graphs and codes.
    pub const MAX_GRAPH_DIM: usize = 4096;
    /// The code of `"ivf"`.
    const CODING: Coding = Coding::Scalar { step: Step::Turned, bits: 4 };

    /// True where a graph can have so many neighbours.
    pub(crate) fn has_degree(degree: usize) -> bool {
        (32..=Self::MAX_DEGREE).contains(&degree) && degree.is_multiple_of(32)
    }

    /// The names before any number.
    const NAMES: [(&'static str, Self); 4] = [
        ("auto", Self::Auto),
        ("flat", Self::Flat),
        ("flat-raw", Self::FlatRaw),
        ("graph", Self::Graph { degree: Self::DEGREE }),
    ];
}

impl Spec {
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
        match self {
            Self::Codes { rerank: Rerank::No | Rerank::Bytes, .. } => Kept::Nothing,
            Self::Codes { rerank: Rerank::As(dtype), .. } => Kept::As(dtype),
            _ => Kept::Exact,
        }
    }

    /// Refuses settings that this kind of index has not: they would do nothing, and say so nowhere. Under `auto`, which chooses
    /// by the data, the graph's count where there is something to set.
    pub(super) fn check(self, params: &SearchParams) -> Result<()> {
        let walks = matches!(self, Self::Auto | Self::Graph { .. });
        let probes = matches!(self, Self::Codes { lists: Lists::Suited | Lists::Count(_), .. });
        let ranks = walks || matches!(self, Self::Codes { rerank: Rerank::Exact | Rerank::As(_), .. });
        for (name, value, has, fits) in [
            ("ef_search", params.ef_search, walks, "\"graph\""),
            ("nprobe", params.nprobe, probes, "\"ivf\""),
            ("max_codes", params.max_codes, probes, "\"ivf\""),
            ("rerank", params.rerank, ranks, "\"graph\", or with \",rerank\" where that stores vectors"),
        ] {
            match value {
                Some(value) if !has => return Err(Error::Knob { name, value, spec: self, fits }),
                Some(0) => return Err(Error::argument(name, 0, "at least 1")),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = Self::NAMES.iter().find(|(_, spec)| spec == self) {
            return f.pad(name);
        }
        let text = match self {
            Self::Graph { degree } => format!("graph{degree}"),
            Self::Codes { lists, coding, rerank } => {
                let lists = match lists {
                    Lists::One => String::new(),
                    Lists::Suited => "ivf,".to_owned(),
                    Lists::Count(count) => format!("ivf{count},"),
                };
                let rerank = match rerank {
                    Rerank::No => String::new(),
                    Rerank::Exact => ",rerank".to_owned(),
                    Rerank::As(dtype) => format!(",rerank-{dtype}"),
                    Rerank::Bytes => ",rerank-i8".to_owned(),
                };
                format!("{lists}{coding}{rerank}")
            }
            Self::Auto | Self::Flat | Self::FlatRaw => unreachable!("they have names"),
        };
        f.pad(&text)
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
const STEPS: [(&str, Step); 3] = [("rabitq", Step::Turned), ("lvq", Step::Own), ("sq", Step::Shared)];

/// What is wrong with a part of a text, and from which character of it on.
struct Wrong {
    at: usize,
    problem: &'static str,
    expected: &'static str,
}

type Parsed<T> = std::result::Result<T, Wrong>;

const KINDS: &str = "\"auto\", \"flat\", \"flat-raw\", \"graph\" with or without a degree (\"graph64\"), \"ivf\" with or without a number \
                     of lists (\"ivf4096\"), or a code: \"rabitq4\", \"lvq8\", \"sq8\", \"pq64x4\", \"pq16x8\", \"f16\", \"bf16\"";
const CODES: &str =
    "a code, as \"rabitq4\", \"lvq8\", \"sq8\", \"pq64x4\", \"pq16x8\", \"f16\" or \"bf16\", or \"rerank\"";
const RERANK: &str = "\"rerank\", \"rerank-f32\", \"rerank-f16\" or \"rerank-bf16\", or \"rerank-i8\" after \"rabitq1\" or \"pq64x4\"";
const DEGREES: &str = "a multiple of 32 up to 256, as in \"graph64\"";
const COUNTS: &str = "1 to 16,777,216 lists, as in \"ivf4096\"";
const BITS: &str = "1 to 8 bits, as in \"rabitq4\"";
const PARTS: &str = "1 to 512 codes of 4 or 8 bits, as in \"pq64x4\" or \"pq16x8\"";

/// The number after `name`, nothing where there is none; another outcome where `text` is something else.
fn number(
    text: &str,
    name: &str,
    expected: &'static str,
    fits: impl Fn(usize) -> bool,
) -> Option<Parsed<Option<usize>>> {
    let digits = text.strip_prefix(name)?;
    if digits.is_empty() {
        return Some(Ok(None));
    }
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| {
        let number = digits.parse().ok().filter(|&number| fits(number));
        number.map(Some).ok_or(Wrong { at: name.len(), problem: "no such number", expected })
    })
}

/// A code; nothing where `text` is something else.
fn coding(text: &str) -> Option<Parsed<Coding>> {
    let needed = |at, problem, expected| Err(Wrong { at, problem, expected });
    for (name, step) in STEPS {
        if let Some(bits) = number(text, name, BITS, |bits| (1..=Scalar::MOST).contains(&bits)) {
            return Some(bits.and_then(|bits| match bits {
                Some(bits) => Ok(Coding::Scalar { step, bits }),
                None => needed(text.len(), "the bits are missing", BITS),
            }));
        }
    }
    text.strip_prefix("pq")?;
    let known = [("x4", 4), ("x8", 8)].iter().find_map(|(end, bits)| Some((text.strip_suffix(end)?, *bits)));
    let Some((before, bits)) = known else {
        return Some(needed(text.len(), "not the end of such a code", PARTS));
    };
    let parts = number(before, "pq", PARTS, |parts| (1..=Product::MOST).contains(&parts))?;
    Some(parts.and_then(|parts| match parts {
        Some(parts) => Ok(Coding::Product { parts, bits }),
        None => needed("pq".len(), "the number of codes is missing", PARTS),
    }))
}

/// Types that vectors are stored in.
const TYPES: [(&str, Dtype); 3] = [("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::Bf16)];

/// What is stored besides a code; nothing where `text` is something else.
fn rerank(text: &str, coding: Coding) -> Option<Parsed<Rerank>> {
    let dtype = text.strip_prefix("rerank")?;
    if dtype.is_empty() {
        return Some(Ok(Rerank::Exact));
    }
    let wrong = |problem| Err(Wrong { at: "rerank".len(), problem, expected: RERANK });
    let dtype = dtype.strip_prefix('-').unwrap_or("");
    let found = TYPES.iter().find(|(name, _)| *name == dtype);
    Some(match found {
        Some(&(_, dtype)) => Ok(Rerank::As(dtype)),
        None if dtype != "i8" => wrong("no such type to store vectors in"),
        None if coding.is_coarse() => Ok(Rerank::Bytes),
        None => wrong("the code has further bits of its own"),
    })
}

/// The kinds that are parts with commas between them.
fn parts(text: &str) -> Parsed<Spec> {
    let moved = |at: usize| move |wrong: Wrong| Wrong { at: at + wrong.at, ..wrong };
    let mut parts = text.split(',').scan(0, |at, part| {
        let from = *at;
        *at += part.len() + 1;
        Some((from, part))
    });
    let (_, first) = parts.next().unwrap_or_default();
    let lists = number(first, "ivf", COUNTS, |count| (1..=Spec::MAX_LISTS).contains(&count));
    let (lists, mut next) = match lists {
        Some(count) => (count?.map_or(Lists::Suited, Lists::Count), parts.next()),
        None => (Lists::One, Some((0, first))),
    };
    let stored = next.and_then(|(_, part)| TYPES[1..].iter().find(|(name, _)| *name == part));
    let found = next.and_then(|(at, part)| coding(part).map(|coding| coding.map_err(moved(at))));
    let coding = match (found, lists) {
        (Some(coding), _) => {
            next = parts.next();
            Some(coding?)
        }
        (None, Lists::One) if stored.is_none() => {
            return Err(Wrong { at: shared(text), problem: "unknown kind of index", expected: KINDS });
        }
        (None, _) => None,
    };
    let rerank = match (stored, next) {
        (Some(&(_, dtype)), _) => Some(Rerank::As(dtype)),
        (None, Some((at, part))) => {
            let expected = if coding.is_some() { RERANK } else { CODES };
            let other = Wrong { at: 0, problem: "unknown part", expected };
            let found = rerank(part, coding.unwrap_or(Spec::CODING));
            Some(found.unwrap_or(Err(other)).map_err(moved(at))?)
        }
        (None, None) => None,
    };
    if let Some((at, _)) = parts.next() {
        return Err(Wrong { at, problem: "nothing may follow", expected: "the end" });
    }
    // Where neither is named it is the fast one; where a code is, that is all.
    let rerank = rerank.unwrap_or(if coding.is_some() { Rerank::No } else { Rerank::Exact });
    Ok(Spec::Codes { lists, coding: coding.unwrap_or(Spec::CODING), rerank })
}

/// The first character that no known kind shares with the text.
fn shared(text: &str) -> usize {
    let names =
        Spec::NAMES.iter().map(|(name, _)| *name).chain(["ivf", "rabitq", "lvq", "sq", "pq", "f16", "bf16"]);
    names.map(|name| name.chars().zip(text.chars()).take_while(|(a, b)| a == b).count()).max().unwrap_or(0)
}

impl FromStr for Spec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if let Some((_, spec)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*spec);
        }
        let parsed = match number(text, "graph", DEGREES, Self::has_degree) {
            Some(degree) => degree.map(|degree| Self::Graph { degree: degree.unwrap_or(Self::DEGREE) }),
            None => parts(text),
        };
        parsed.map_err(|Wrong { at, problem, expected }| Error::Spec {
            spec: text.to_owned(),
            position: at,
            problem,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_is_printed_as_it_is_parsed() {
        for text in [
            "auto",
            "flat",
            "flat-raw",
            "graph",
            "graph64",
            "graph256",
            "rabitq1",
            "rabitq8,rerank",
            "pq64x4",
            "pq1x4,rerank-f16",
            "ivf,rabitq4",
            "ivf4096,rabitq2,rerank-bf16",
            "ivf1,pq512x4,rerank-f32",
            "ivf,pq16x8",
            "pq1x8,rerank",
            "lvq8",
            "ivf,sq6,rerank-f16",
            "ivf16,rabitq1,rerank-i8",
            "pq32x4,rerank-i8",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        for (text, same) in [
            ("graph32", "graph"),
            ("ivf", "ivf,rabitq4,rerank"),
            ("ivf,rerank-f16", "ivf,rabitq4,rerank-f16"),
            ("ivf64", "ivf64,rabitq4,rerank"),
            ("ivf64,f16", "ivf64,rabitq4,rerank-f16"),
            ("bf16", "rabitq4,rerank-bf16"),
        ] {
            assert_eq!(text.parse::<Spec>().unwrap(), same.parse::<Spec>().unwrap());
        }
    }

    #[test]
    fn a_bad_spec_is_refused_where_it_goes_wrong() {
        let bad = [
            ("", 0),
            ("flot", 2),
            ("flat-row", 6),
            ("flat ", 4),
            ("graph33", 5),
            ("graph0", 5),
            ("graph99999999999999999999", 5),
            ("graph 64", 5),
            ("grapes", 4),
            ("rabitq", 6),
            ("rabitq0", 6),
            ("rabitq9", 6),
            ("rabitqs", 6),
            ("pq64", 4),
            ("pq64x16", 7),
            ("pq64x8,rerank-i8", 13),
            ("sq9", 2),
            ("lvq", 3),
            ("f16,rerank", 4),
            ("ivf,f32", 4),
            ("pqx4", 2),
            ("pq0x4", 2),
            ("pq513x4", 2),
            ("ivf0", 3),
            ("ivf99999999", 3),
            ("ivf,", 4),
            ("ivf,flat", 4),
            ("ivf16,rabitq9", 12),
            ("ivf,rabitq4,", 12),
            ("ivf,rabitq4,rerank-i8", 18),
            ("ivf,rabitq4,rerank,rerank", 19),
            ("rabitq4,ivf", 8),
            ("flat,rerank", 4),
        ];
        for (text, at) in bad {
            let error = text.parse::<Spec>();
            assert!(
                matches!(error, Err(Error::Spec { position, .. }) if position == at),
                "{text}: {error:?}"
            );
        }
    }
}
