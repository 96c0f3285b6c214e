//! `steep bench`: how fast and how good would an index of these vectors be?

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use steep::evaluate::ground_truth;
use steep::{BuildParams, Index, Metric, SearchParams, Spec};

use crate::facts::Facts;
use crate::failure::Failure;
use crate::figures::duration;
use crate::files;
use crate::session::{Report, Session};
use crate::sweep::{Knobs, Sweep};

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep bench docs.npy questions.npy --metric cosine
      build, measure on one thread and on all, check against exact neighbours
  steep bench sift.bvecs sift_queries.bvecs --spec flat-raw -k 100 --threads 1 --json
      without the codes that make exact search fast, as JSON
  steep bench docs.npy questions.npy --metric cosine --spec graph64 --ef-search 20,50,100,200
      a graph of 64 neighbours a vector, a line for each ef_search: recall beside speed

GMAC/s is billions of coordinate pairs a second, as if each query were compared with each vector in full;
what the codes save counts in, so that it can pass what the processor could multiply.")]
pub struct Arguments {
    /// Vectors to index
    base: PathBuf,

    /// Vectors to search for
    queries: PathBuf,

    /// Neighbours a query
    #[arg(short, default_value_t = 10, value_parser = super::positive)]
    k: usize,

    #[arg(long, short, default_value = "l2", value_parser = super::metric, help = super::METRICS)]
    metric: Metric,

    /// How to index, such as flat, flat-raw, graph or graph64; auto chooses
    #[arg(long, short, default_value = "auto")]
    spec: Spec,

    /// Numbers of threads to measure; the build uses the largest
    #[arg(long, short, value_delimiter = ',', default_value = "1,all", value_parser = super::thread_count)]
    threads: Vec<usize>,

    #[command(flatten)]
    knobs: Knobs,
}

#[derive(Serialize)]
struct Measured {
    base: PathBuf,
    #[serde(flatten)]
    facts: Facts,
    build_seconds: f64,
    queries: usize,
    k: usize,
    #[serde(flatten)]
    sweep: Sweep,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let k = arguments.k;
    let base = files::vectors(&arguments.base, session)?;
    let queries = files::vectors(&arguments.queries, session)?;
    let (base, queries) = (base.vectors(), queries.vectors());
    let threads = super::distinct(&arguments.threads);
    let most = threads.iter().copied().max();

    let _tidy = session.interrupt.tidy();
    let progress = session.progress();
    let began = Instant::now();
    let params = BuildParams {
        metric: arguments.metric,
        spec: arguments.spec,
        threads: most,
        monitor: Some(&progress),
        ..BuildParams::default()
    };
    let index = Index::build(base, &params)?;
    let build_seconds = began.elapsed().as_secs_f64();
    progress.clear();
    let truth = || {
        let progress = session.progress();
        let params = SearchParams { threads: most, monitor: Some(&progress), ..SearchParams::default() };
        Ok((ground_truth(base, queries, k, arguments.metric, &params)?.ids, k))
    };
    let sweep = Sweep::measure(&index, queries, k, &threads, &arguments.knobs, session, truth)?;

    session.print(&Measured {
        base: arguments.base.clone(),
        facts: Facts::of(&index),
        build_seconds,
        queries: queries.len(),
        k,
        sweep,
    })
}

impl Report for Measured {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}, built in {}", self.facts, duration(self.build_seconds))?;
        self.sweep.text(out, &self.facts, self.k, "against `steep groundtruth`")
    }
}
