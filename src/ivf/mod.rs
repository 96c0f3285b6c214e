//! Where to look, when vectors are to take few bytes: in the lists whose centres are near the query (inverted file: Jégou, Douze,
//! Schmid 2011).
//!
//! ```text
//! vector ─ space ─▶ point ─ nearest centre ─▶ list            build.rs
//!                     └──── point − centre ─ quantizer ─▶ code, in the order of the lists        codes.rs
//! ```
//!
//! Centres are codes too, of one list that every query looks at: by one bit a coordinate first, then exactly by eight. So one loop
//! (`search/probe.rs`) finds the lists, and what is in them.

mod build;
mod codes;
mod file;

use std::sync::Arc;

use crate::kernels::lookup::LOWER;
use crate::metric::Metric;
use crate::quantizer::Quantizer;
use crate::space::Space;
use crate::threads::Monitor;
use crate::vectors::Vectors;

use crate::quantizer::Coding;
pub(crate) use codes::{Codes, Lists, Run, View};

/// An inverted file over vectors that may be stored elsewhere, or not at all.
#[derive(Clone)]
pub(crate) struct Ivf {
    pub space: Space,
    pub quantizer: Arc<dyn Quantizer>,
    /// The centres of the lists, in order.
    pub centers: Codes,
    pub codes: Codes,
    /// Where the vectors of each list are.
    pub lists: Lists,
    /// In how many of them each vector is: 1 or 2.
    pub copies: usize,
    /// How many vectors there are.
    len: usize,
}

/// How an inverted file is made.
#[derive(Clone, Copy)]
pub(crate) struct IvfParams<'a> {
    pub metric: Metric,
    /// Lists; by the number of vectors where nothing is said.
    pub lists: Option<usize>,
    /// What is known; learned where nothing is said.
    pub given: Option<Given<'a>>,
    /// Each vector is in two of them, where there are two.
    pub twice: bool,
    pub coding: Coding,
    /// With eight bits of every direction beside the code.
    pub refined: bool,
    pub seed: u64,
    pub threads: usize,
    pub monitor: Option<&'a dyn Monitor>,
}

/// What an inverted file need not learn.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub space: &'a Space,
    /// Of the lists, as vectors.
    pub centers: Vectors<'a>,
    /// The list of each vector.
    pub labels: &'a [u32],
}

impl Ivf {
    /// Vectors.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Lists that a search looks at where nothing is said: the square root of how many there are, at least eight; half as many where
    /// vectors are in two.
    pub fn usual(&self) -> usize {
        ((self.lists.len() as f64).sqrt() as usize / self.copies).max(8).min(self.lists.len())
    }

    /// Of how many the distance is asked for, so that the `k` nearest are among them, where nothing is said: the coarser the codes,
    /// the more.
    pub fn usual_rerank(&self, k: usize) -> usize {
        let coarse = match self.quantizer.extra() {
            LOWER => 8,
            extra => 8 >> extra.min(3),
        };
        k.saturating_add(k.saturating_mul(coarse).div_ceil(2)).saturating_add(4 + 4 * coarse)
    }

    /// True where the codes are a mapped file's pages.
    pub fn is_mapped(&self) -> bool {
        self.codes.blocks.is_mapped()
    }

    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        let learned = self.space.bytes() + self.quantizer.state().len() * size_of::<f32>();
        self.codes.bytes() + self.centers.bytes() + self.lists.bytes() + learned
    }

    /// What it is, for people.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let longest = self.lists.iter().map(|runs| runs.iter().map(|run| run.len).sum::<u32>()).max();
        let layout = self.codes.layout;
        let mean = (self.len * self.copies) as f64 / self.lists.len().max(1) as f64;
        vec![
            (
                "lists",
                format!(
                    "{} of {mean:.0} vectors in the mean, {} at most, each vector in {}",
                    self.lists.len(),
                    longest.unwrap_or(0),
                    self.copies
                ),
            ),
            (
                "code",
                format!(
                    "{} of {} bytes of {} directions, with factors",
                    self.quantizer.name(),
                    layout.block() / 32 + layout.rest(),
                    self.quantizer.width()
                ),
            ),
        ]
    }
}
