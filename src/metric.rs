//! How far? One formula a metric, one rule: a smaller distance is nearer.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::vectors::{Dtype, Vectors};

/// What "near" means. Each distance is summed in f64 and rounded once to f32.
///
/// Where a formula comes to 0/0 two vectors have no distance, and neither is found for the other: vectors of zeros under
/// `braycurtis` and `jaccard`, signs that differ under `jensenshannon`, nothing in common under `nan-euclidean` and `gower`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Squared Euclidean distance, Σ (qⱼ − xⱼ)².
    L2,
    /// Negated inner product, −Σ qⱼxⱼ.
    InnerProduct,
    /// One minus the cosine, 1 − Σ qⱼxⱼ / √(Σ qⱼ² · Σ xⱼ²).
    Cosine,
    /// Σ |qⱼ − xⱼ|.
    L1,
    /// max |qⱼ − xⱼ|.
    Linf,
    /// Σ |qⱼ − xⱼ|ᵖ, without a root.
    Lp(Power),
    /// Σ |qⱼ − xⱼ| / (|qⱼ| + |xⱼ|), a term of zeros being 0.
    Canberra,
    /// Σ |qⱼ − xⱼ| / Σ |qⱼ + xⱼ|.
    BrayCurtis,
    /// ½ Σ qⱼ ln(qⱼ / mⱼ) + xⱼ ln(xⱼ / mⱼ) with m the mean of both, a term of 0 being 0.
    JensenShannon,
    /// The similarity's negative, −Σ min(qⱼ, xⱼ) / Σ max(qⱼ, xⱼ).
    Jaccard,
    /// Squared Euclidean distance where NaN stands for what is missing: d/p · Σ (qⱼ − xⱼ)² over the p coordinates that both have.
    NanEuclidean,
    /// The mean over the coordinates that both have, NaN standing for what is missing: |qⱼ − xⱼ| of numbers from 0 to 1, and of negative
    /// integers, which name categories, 0 where they are the same and 1 where not.
    Gower,
    /// How many bits differ. Vectors are bits, [`Dtype::B1`], or the bytes that hold them.
    Hamming,
}

/// The exponent of [`Metric::Lp`], a positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Power(u32);

impl Power {
    /// The exponent `p`; nothing where that is not positive and finite.
    pub fn new(p: f32) -> Option<Self> {
        (p.is_finite() && p > 0.0).then(|| Self(p.to_bits()))
    }

    /// The number.
    pub fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl Metric {
    /// Every metric there is; of those with an exponent, that of 3.
    pub const ALL: [Self; 13] = [
        Self::L2,
        Self::InnerProduct,
        Self::Cosine,
        Self::L1,
        Self::Linf,
        Self::CUBES,
        Self::Canberra,
        Self::BrayCurtis,
        Self::JensenShannon,
        Self::Jaccard,
        Self::NanEuclidean,
        Self::Gower,
        Self::Hamming,
    ];
    /// Those that inner products tell: what codes and graphs know of, and transforms leave a meaning.
    pub const PRODUCTS: [Self; 3] = [Self::L2, Self::InnerProduct, Self::Cosine];
    /// `"lp3"`.
    pub(crate) const CUBES: Self = Self::Lp(Power(3f32.to_bits()));

    /// The name used in every interface: "l2", "ip", "cosine" …, without the exponent that follows "lp".
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::InnerProduct => "ip",
            Self::Cosine => "cosine",
            Self::L1 => "l1",
            Self::Linf => "linf",
            Self::Lp(_) => "lp",
            Self::Canberra => "canberra",
            Self::BrayCurtis => "braycurtis",
            Self::JensenShannon => "jensenshannon",
            Self::Jaccard => "jaccard",
            Self::NanEuclidean => "nan-euclidean",
            Self::Gower => "gower",
            Self::Hamming => "hamming",
        }
    }

    /// The similarity that a distance stands for: the inner product, the cosine, Jaccard's; `None` where there is none.
    pub fn score(self, distance: f32) -> Option<f32> {
        match self {
            Self::InnerProduct | Self::Jaccard => Some(-distance),
            Self::Cosine => Some(1.0 - distance),
            _ => None,
        }
    }

    /// True of [`Metric::PRODUCTS`].
    pub(crate) fn is_of_products(self) -> bool {
        Self::PRODUCTS.contains(&self)
    }

    /// Refuses types that this metric has no distance for.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub(crate) fn check_dtype(self, dtype: Dtype) -> Result<()> {
        match (self, dtype) {
            (Self::Hamming, Dtype::B1) => Ok(()),
            (Self::Hamming, _) => Err(Error::argument(
                "dtype",
                dtype,
                "\"b1\", or bits in bytes of \"u8\", under metric \"hamming\"",
            )),
            (_, Dtype::B1) => Err(Error::argument("dtype", dtype, "numbers, or metric \"hamming\" for bits")),
            _ => Ok(()),
        }
    }

    /// `vectors` as this metric reads them: bytes are eight bits each under `hamming`.
    ///
    /// # Errors
    /// [`Error::Argument`] where they are of a type that the metric has no distance for, or of too many bits.
    pub fn read(self, vectors: Vectors) -> Result<Vectors> {
        let vectors = match (self, vectors.dtype()) {
            (Self::Hamming, Dtype::U8) => vectors.bits()?,
            _ => vectors,
        };
        self.check_dtype(vectors.dtype())?;
        Ok(vectors)
    }

    /// Refuses vectors that have no place, or no direction where one is needed.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::ZeroVector`].
    pub(crate) fn check_values(self, what: &'static str, vectors: Vectors) -> Result<()> {
        vectors.check_values(what, matches!(self, Self::NanEuclidean | Self::Gower))?;
        match self {
            Self::Cosine => vectors.check_nonzero(what),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lp(power) => f.pad(&format!("{}{}", self.name(), power.get())),
            _ => f.pad(self.name()),
        }
    }
}

impl FromStr for Metric {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|metric| metric.to_string() == s);
        let power = || Power::new(s.strip_prefix("lp")?.parse().ok()?).map(Self::Lp);
        named.or_else(power).ok_or_else(|| {
            let expected = "\"l2\", \"ip\", \"cosine\", \"l1\", \"linf\", \"lp\" with a positive exponent (\"lp3\", \"lp0.5\"), \
                            \"canberra\", \"braycurtis\", \"jensenshannon\", \"jaccard\", \"nan-euclidean\", \"gower\" or \"hamming\"";
            Error::argument("metric", format_args!("{s:?}"), expected)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_printed_as_it_is_parsed() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        }
        for (text, power) in [("lp3", 3.0), ("lp0.5", 0.5), ("lp1", 1.0), ("lp2.25", 2.25), ("lp0.1", 0.1)] {
            let metric: Metric = text.parse().unwrap();
            assert_eq!((metric, metric.to_string().as_str()), (Metric::Lp(Power::new(power).unwrap()), text));
        }
        for text in ["", "L2", "lp", "lp0", "lp-1", "lpinf", "lpnan", "lp3 ", "l3", "hamming2"] {
            assert!(matches!(text.parse::<Metric>(), Err(Error::Argument { name: "metric", .. })), "{text}");
        }
    }
}
