//! The index's description in a short text: one grammar, one parser, printed back.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

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
}

impl Spec {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Flat, Self::FlatRaw];

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Flat => "flat",
            Self::FlatRaw => "flat-raw",
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Spec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|spec| spec.name() == text).ok_or_else(|| {
            // The first character that no known spec shares with the text.
            let shared =
                |spec: &Self| spec.name().chars().zip(text.chars()).take_while(|(a, b)| a == b).count();
            let position = Self::ALL.iter().map(shared).max().unwrap_or(0);
            Error::Spec {
                spec: text.to_owned(),
                position,
                problem: "unknown kind of index",
                expected: "\"auto\", \"flat\" or \"flat-raw\"",
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_is_printed_as_it_is_parsed() {
        for spec in Spec::ALL {
            assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }
    }

    #[test]
    fn a_bad_spec_is_refused_where_it_goes_wrong() {
        for (text, at) in [("", 0), ("flot", 2), ("flat-row", 6), ("graph", 0), ("flat ", 4)] {
            assert!(
                matches!(text.parse::<Spec>(), Err(Error::Spec { position, .. }) if position == at),
                "{text}"
            );
        }
    }
}
