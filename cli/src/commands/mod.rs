//! What can be asked for? One file a command, each with its arguments, its work and its result.

mod bench;
mod build;
mod eval;
mod groundtruth;
mod info;
mod search;

use std::num::NonZeroUsize;

use clap::Subcommand;
use steep::Metric;

use crate::failure::Failure;
use crate::session::Session;

/// The commands, in the order in which they are met.
#[derive(Subcommand)]
pub enum Command {
    /// Build an index from a file of vectors
    Build(build::Arguments),
    /// Find the nearest neighbours of each query
    Search(search::Arguments),
    /// Measure an index: recall, queries per second, latency, bytes per vector
    Eval(eval::Arguments),
    /// Compute exact neighbours, to measure recall against
    Groundtruth(groundtruth::Arguments),
    /// Show what an index file holds, or what this machine can do
    Info(info::Arguments),
    /// Build and measure in one go, saving nothing
    Bench(bench::Arguments),
}

impl Command {
    /// Does the work.
    pub fn run(&self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Build(arguments) => build::run(arguments, session),
            Self::Search(arguments) => search::run(arguments, session),
            Self::Eval(arguments) => eval::run(arguments, session),
            Self::Groundtruth(arguments) => groundtruth::run(arguments, session),
            Self::Info(arguments) => info::run(arguments, session),
            Self::Bench(arguments) => bench::run(arguments, session),
        }
    }
}

/// What `--help` says of metrics.
const METRICS: &str = "What near means: l2 (squared distance), ip or cosine; for exact search also l1, linf, lp3 (any exponent), \
                       canberra, braycurtis, jensenshannon, jaccard, nan-euclidean, gower, or hamming (bytes of eight bits)";

/// Reads one of them; the error names all.
fn metric(text: &str) -> Result<Metric, steep::Error> {
    text.parse()
}

/// Reads a whole number of at least 1.
pub fn positive(text: &str) -> Result<usize, &'static str> {
    text.parse().map(NonZeroUsize::get).map_err(|_| "expected a whole number, at least 1")
}

/// Reads a number of threads; "all" is every core.
fn thread_count(text: &str) -> Result<usize, &'static str> {
    match text {
        "all" => Ok(steep::threads::available()),
        _ => positive(text).map_err(|_| "expected a whole number, at least 1, or \"all\""),
    }
}

/// Each number once, in the order given.
pub fn distinct(numbers: &[usize]) -> Vec<usize> {
    let mut seen = Vec::new();
    for &number in numbers {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}
