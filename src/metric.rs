//! How far? Three metrics, one rule: a smaller distance is nearer.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What "near" means. Each distance is summed in f64 and rounded once to f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Squared Euclidean distance, Σ (qⱼ − xⱼ)².
    L2,
    /// Negated inner product, −Σ qⱼxⱼ.
    InnerProduct,
    /// One minus the cosine, 1 − Σ qⱼxⱼ / √(Σ qⱼ² · Σ xⱼ²).
    Cosine,
}

impl Metric {
    /// Every metric there is.
    pub const ALL: [Self; 3] = [Self::L2, Self::InnerProduct, Self::Cosine];

    /// The name used in every interface: "l2", "ip", "cosine".
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::InnerProduct => "ip",
            Self::Cosine => "cosine",
        }
    }

    /// The similarity that a distance stands for: the inner product or the cosine; `None` for l2.
    pub fn score(self, distance: f32) -> Option<f32> {
        match self {
            Self::L2 => None,
            Self::InnerProduct => Some(-distance),
            Self::Cosine => Some(1.0 - distance),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|m| m.name() == s)
            .ok_or_else(|| Error::argument("metric", format_args!("{s:?}"), "\"l2\", \"ip\" or \"cosine\""))
    }
}
