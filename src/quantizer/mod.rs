//! A vector in fewer bytes.
//!
//! [`HeadCodes`] never answer a query by themselves but tell, without a doubt, which vectors cannot be among the answers. They
//! have two forms of a vector: `head`, few directions in panels that every query reads, and `fine`, many directions in a row
//! that only those read which the panels could not rule out.
//!
//! A [`Quantizer`] codes what a vector is off from a centre, so that distances can be estimated: [`scalar`] by one to eight bits a
//! coordinate, [`product`] by nibbles or bytes that stand for centroids, [`refined`] by nibbles and eight bits beside them. The
//! neighbours of a graph's node are coded by [`rabitq`] in one bit.

mod costs;
mod encode;
mod file;
mod fine;
mod head;
pub(crate) mod product;
pub(crate) mod rabitq;
mod refined;
pub(crate) mod scalar;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::error::Result;
use crate::kernels::Isa;
use crate::kernels::fastscan::Tables;
use crate::kernels::lookup::{ByteTables, LOWER};
use crate::space::{Precision, Wanted};
use crate::threads::Monitor;

use product::Product;
use refined::Refined;
use scalar::Scalar;
pub use scalar::Step;

pub(crate) use costs::{Costs, fine_widths, widths};
pub use head::{HeadCodes, HeadQueries};

/// What makes an estimate of a code: ‖q−o‖² ≈ ‖q−c‖² + add + rescale · ⟨x̄,q⟩. The same for every code:
///
/// ```text
/// ‖q−o‖² = ‖r‖² + ‖q−c‖² − 2⟨r, q−c⟩        r = o − c,   ⟨r, q−c⟩ ≈ ρ⟨x̄, q−c⟩,   ρ = ‖r‖²/⟨r,x̄⟩
/// add     = ‖r‖² + 2ρ⟨x̄,c⟩,   rescale = −2ρ
/// ```
///
/// x̄ is what the code stands for, in a scale of its own; ρ makes the estimate right for the residual itself (Gao, Long 2024). The
/// query meets the codes only in ⟨x̄,q⟩, whatever the centre: what is computed of it once serves all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Factors {
    pub add: f32,
    pub rescale: f32,
}

impl Factors {
    /// From ‖r‖², ⟨r,x̄⟩ and ⟨x̄,c⟩. The rescale is rounded to bf16, and `add` made for that one: what is left of the rounding is in
    /// proportion to ⟨x̄, q−c⟩.
    pub fn new(square: f32, along: f32, center: f32) -> Self {
        let rho = if along > 0.0 { square / along } else { 0.0 };
        let rescale = half::bf16::from_f32(-2.0 * rho).to_f32();
        Self { add: square - rescale * center, rescale }
    }
}

/// Where a code is written to: all zeros.
pub(crate) struct Code<'a> {
    /// Two nibbles to a byte.
    pub nibbles: &'a mut [u8],
    /// What is beyond.
    pub planes: &'a mut [u8],
}

/// How what is left of a vector becomes a code.
pub(crate) trait Quantizer: Send + Sync {
    /// As in an index's description.
    fn name(&self) -> String;
    /// Coordinates.
    fn width(&self) -> usize;
    /// Nibbles of a code.
    fn nibbles(&self) -> usize;
    /// Bytes of them.
    fn pairs(&self) -> usize {
        self.nibbles().div_ceil(2)
    }
    /// e: bits a coordinate beyond the nibbles, which then have one each; or [`WHOLE`](crate::kernels::planes::WHOLE), or [`LOWER`].
    fn extra(&self) -> usize;
    /// Bytes of what is beyond the nibbles.
    fn planes(&self) -> usize {
        if self.extra() == LOWER { self.pairs() } else { self.pairs() * self.extra() }
    }
    /// Codes `residual`, which is taken from `center`: the factors by the nibbles alone, and by all bits.
    fn encode(&self, isa: Isa, residual: &[f32], center: &[f32], code: Code) -> [Factors; 2];
    /// x̄ of a code, by all of its bits; by the nibbles alone where there are no `planes`.
    fn decode(&self, nibbles: &[u8], planes: &[u8], x: &mut [f32]);
    /// Makes the tables of `query`: those that nibbles are looked up in, and those of bytes where e is [`LOWER`].
    fn tables(&self, isa: Isa, query: &[f32], tables: &mut Tables, bytes: &mut ByteTables);
    /// The deviation of ⟨x̄, q−c⟩ from what it should be, in units of ‖q−c‖: by the nibbles alone, and by all bits. That is
    /// ‖x̄‖ · √(1 − cos²(r,x̄)) / √d, where q − c lies in no direction more than in another.
    fn deviations(&self) -> [f32; 2];
    /// What [`Coding::restore`] makes it of again.
    fn state(&self) -> Vec<f32>;
}

/// Which code a vector becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `"rabitq4"`, `"lvq8"`, `"sq6"`: so many bits a direction, 1 to 8.
    Scalar {
        /// How directions become levels.
        step: Step,
        /// Bits.
        bits: usize,
    },
    /// `"pq64x4"`, `"pq16x8"`: so many parts, 1 to 512, of 4 or 8 bits.
    Product {
        /// Parts.
        parts: usize,
        /// Bits of each.
        bits: usize,
    },
}

impl Coding {
    /// Directions at most: what their tables add up stays below 2¹⁶.
    pub(crate) const WIDEST: usize = 2048;

    /// True where there are nibbles alone, which may be refined.
    pub(crate) fn is_coarse(self) -> bool {
        matches!(self, Self::Scalar { bits: 1, .. } | Self::Product { bits: 4, .. })
    }

    /// The directions of the space that suits it, refined or not: the finer the codes, the more of them are worth their bytes.
    pub(crate) fn wanted(self, refined: bool) -> Wanted {
        let held = match self {
            _ if refined => Self::held(8),
            Self::Scalar { bits, .. } => Self::held(bits),
            Self::Product { bits: 4, .. } => 0.98,
            Self::Product { .. } => 0.99,
        };
        Wanted { held, widest: Self::WIDEST, precision: Precision::Half }
    }

    fn held(bits: usize) -> f64 {
        1.0 - 0.04_f64.min(0.24 / f64::from(1u32 << (bits - 1)))
    }

    /// Learns from `residuals` of `width` coordinates each.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::Interrupted`](crate::Error::Interrupted).
    pub(crate) fn train(
        self,
        refined: bool,
        residuals: &[f32],
        width: usize,
        how: (u64, usize, Option<&dyn Monitor>),
    ) -> Result<Arc<dyn Quantizer>> {
        let made: Arc<dyn Quantizer> = match self {
            Self::Scalar { step, bits } => Arc::new(Scalar::train(step, bits, width, residuals)),
            Self::Product { parts, bits } => Arc::new(Product::train(residuals, width, (parts, bits), how)?),
        };
        Ok(if refined { Arc::new(Refined::new(made)) } else { made })
    }

    /// From a [`Quantizer::state`] of so many nibbles; nothing where it is not that.
    pub(crate) fn restore(
        self,
        refined: bool,
        width: usize,
        nibbles: usize,
        state: &[f32],
    ) -> Option<Arc<dyn Quantizer>> {
        let made: Arc<dyn Quantizer> = match self {
            Self::Scalar { step, bits } => Arc::new(Scalar::from_state(step, bits, width, state)?),
            Self::Product { bits, .. } => Arc::new(Product::from_state(width, (nibbles, bits), state)?),
        };
        Some(if refined { Arc::new(Refined::new(made)) } else { made })
    }
}

/// ⟨a,b⟩.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Sums side by side, so that they need not wait for each other.
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0f32; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
