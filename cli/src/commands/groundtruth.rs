//! `steep groundtruth`: the exact neighbours that recall is measured against.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use steep::evaluate::ground_truth;
use steep::{Metric, SearchParams, formats};

use crate::failure::Failure;
use crate::figures::{duration, grouped};
use crate::files;
use crate::session::{Report, Session};

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep groundtruth docs.npy questions.npy --metric cosine -o truth.ivecs
      row numbers in docs.npy of the 100 nearest of each question
  steep groundtruth base.fbin queries.fbin -k 10 -o truth.npy --distances truth_distances.npy
      the ten nearest, with distances, as NumPy arrays
  steep eval docs.steep questions.npy --truth truth.ivecs
      what the truth is for")]
pub struct Arguments {
    /// Vectors to search in
    base: PathBuf,

    /// Vectors to search for
    queries: PathBuf,

    /// Write the row numbers to this .ivecs, .ibin or .npy file; -1 where there are fewer than k
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// Write the distances to this .fvecs, .fbin or .npy file
    #[arg(long, short, value_name = "FILE")]
    distances: Option<PathBuf>,

    /// Neighbours a query
    #[arg(short, default_value_t = 100, value_parser = super::positive)]
    k: usize,

    #[arg(long, short, default_value = "l2", value_parser = super::metric, help = super::METRICS)]
    metric: Metric,

    /// Threads [default: all cores]
    #[arg(long, short, value_parser = super::positive)]
    threads: Option<usize>,
}

#[derive(Serialize)]
struct Truth {
    output: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    distances: Option<PathBuf>,
    metric: String,
    vectors: usize,
    queries: usize,
    k: usize,
    seconds: f64,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    files::check_ids_path(&arguments.output)?;
    if let Some(path) = &arguments.distances {
        files::check_distances_path(path, arguments.k)?;
    }
    let base = files::vectors(&arguments.base, session)?;
    let queries = files::vectors(&arguments.queries, session)?;
    let (base, queries) = (base.vectors(), queries.vectors());

    let tidy = session.interrupt.tidy();
    let progress = session.progress();
    let began = Instant::now();
    let params =
        SearchParams { threads: arguments.threads, monitor: Some(&progress), ..SearchParams::default() };
    let hits = ground_truth(base, queries, arguments.k, arguments.metric, &params)?;
    let seconds = began.elapsed().as_secs_f64();
    progress.clear();
    session.interrupt.check()?;
    formats::write_ids(&arguments.output, &hits.ids, hits.k)?;
    if let Some(path) = &arguments.distances {
        files::write_distances(path, &hits.distances, hits.k)?;
    }
    drop(tidy);

    session.print(&Truth {
        output: arguments.output.clone(),
        distances: arguments.distances.clone(),
        metric: arguments.metric.to_string(),
        vectors: base.len(),
        queries: queries.len(),
        k: hits.k,
        seconds,
    })
}

impl Report for Truth {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (n, queries) = (grouped(self.vectors as u64), grouped(self.queries as u64));
        let Self { k, metric, .. } = self;
        writeln!(
            out,
            "{}: the {k} nearest ({metric}) of {queries} queries among {n} vectors, in {}",
            self.output.display(),
            duration(self.seconds)
        )?;
        match &self.distances {
            Some(path) => writeln!(out, "{}: their distances", path.display()),
            None => Ok(()),
        }
    }
}
