//! The index's description in a short text: one grammar, one parser, printed back.
//!
//! ```text
//! spec  = "auto" | "flat" | "flat-raw" | "graph" [ degree ]
//! ```

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::search::SearchParams;
use crate::vectors::check_dim;

/// What kind of index. Parses from and prints as the text in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Spec {
    /// `"auto"`: the kind that suits the data; exact search so far.
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
}

impl Spec {
    /// The degree of `"graph"`.
    pub const DEGREE: usize = 32;
    /// The largest degree there is.
    pub const MAX_DEGREE: usize = 256;

    /// The largest dimension of a graph: its directions are learned from a covariance of d² numbers.
    pub const MAX_GRAPH_DIM: usize = 4096;

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
            Self::Graph { .. } if dim > Self::MAX_GRAPH_DIM => {
                let expected = "at most 4,096 dimensions under spec \"graph\"; \"flat\" takes up to 65,536";
                Err(Error::argument("dim", dim, expected))
            }
            _ => check_dim(dim),
        }
    }

    /// Refuses settings that this kind of index has not: they would do nothing, and say so nowhere. Under `auto`, which chooses
    /// by the data, they count where there is something to set.
    pub(super) fn check(self, params: &SearchParams) -> Result<()> {
        for (name, value) in [("ef_search", params.ef_search), ("rerank", params.rerank)] {
            match (value, self) {
                (Some(value), Self::Flat | Self::FlatRaw) => {
                    return Err(Error::Knob { name, value, spec: self });
                }
                (Some(0), _) => return Err(Error::argument(name, 0, "at least 1")),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, spec)| spec == self) {
            Some((name, _)) => f.pad(name),
            None => match self {
                Self::Graph { degree } => f.pad(&format!("graph{degree}")),
                Self::Auto | Self::Flat | Self::FlatRaw => unreachable!("they have names"),
            },
        }
    }
}

impl FromStr for Spec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let error = |position, problem, expected| {
            Err(Error::Spec { spec: text.to_owned(), position, problem, expected })
        };
        if let Some((_, spec)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*spec);
        }
        if let Some(number) =
            text.strip_prefix("graph").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return match number.parse() {
                Ok(degree) if Self::has_degree(degree) => Ok(Self::Graph { degree }),
                _ => error("graph".len(), "no such degree", "a multiple of 32 up to 256, as in \"graph64\""),
            };
        }
        // The first character that no known spec shares with the text.
        let shared = |name: &str| name.chars().zip(text.chars()).take_while(|(a, b)| a == b).count();
        let position = Self::NAMES.iter().map(|(name, _)| shared(name)).max().unwrap_or(0);
        error(
            position,
            "unknown kind of index",
            "\"auto\", \"flat\", \"flat-raw\", or \"graph\" with or without a degree (\"graph64\")",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_is_printed_as_it_is_parsed() {
        for text in ["auto", "flat", "flat-raw", "graph", "graph64", "graph256"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert_eq!("graph32".parse::<Spec>().unwrap(), "graph".parse::<Spec>().unwrap());
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
        ];
        for (text, at) in bad {
            assert!(
                matches!(text.parse::<Spec>(), Err(Error::Spec { position, .. }) if position == at),
                "{text}"
            );
        }
    }
}
