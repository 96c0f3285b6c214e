//! `steep build`: vectors in, index file out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use steep::{BuildParams, Index, Metric, SaveParams, Spec};

use crate::facts::Facts;
use crate::failure::Failure;
use crate::figures::{duration, size};
use crate::files;
use crate::session::{Report, Session};

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep build docs.npy -o docs.steep --metric cosine
      index the rows of a NumPy array; neighbours are named by row number
  steep build docs.npy -o docs.steep --metric cosine --ids article_ids.npy
      the same, named by ids of your own
  steep build sift.bvecs -o sift.steep --spec flat-raw --threads 1
      exact search without the codes that make it fast: no byte more than the vectors
  steep build docs.npy -o graph.steep --metric cosine --spec graph64
  steep build docs.npy -o small.steep --metric cosine --spec ivf,rabitq4
      a graph of 64 neighbours a vector (32 with graph): approximate, and faster the more vectors there are;
      `steep eval graph.steep ... --ef-search 20,50,100,200` shows what it finds at what speed")]
pub struct Arguments {
    /// Vectors: .npy, .fvecs, .bvecs, .fbin, .u8bin or .i8bin
    input: PathBuf,

    /// The index file to write
    #[arg(long, short)]
    output: PathBuf,

    #[arg(long, short, default_value = "l2", value_parser = super::metric, help = super::METRICS)]
    metric: Metric,

    /// How to index, such as flat, flat-raw, graph, graph64, graph,sq8, ivf, ivf4096,rabitq4 or pca64,graph; auto chooses
    #[arg(long, short, default_value = "auto")]
    spec: Spec,

    /// Threads [default: all cores]
    #[arg(long, short, value_parser = super::positive)]
    threads: Option<usize>,

    /// Ids of your own, 0 to 2^64 - 2: an integer array of shape (n,) or (n, 1) in a .npy file, or .ivecs
    /// or .ibin [default: row numbers]
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
}

#[derive(Serialize)]
struct Built {
    index: PathBuf,
    #[serde(flatten)]
    facts: Facts,
    build_seconds: f64,
    save_seconds: f64,
    file_bytes: u64,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    files::check_index_path(&arguments.output)?;
    let file = files::vectors(&arguments.input, session)?;
    let ids = arguments.ids.as_deref().map(files::own_ids).transpose()?;
    let vectors = file.vectors();

    let tidy = session.interrupt.tidy();
    let progress = session.progress();
    let began = Instant::now();
    let params = BuildParams {
        metric: arguments.metric,
        spec: arguments.spec,
        ids: ids.as_deref(),
        threads: arguments.threads,
        monitor: Some(&progress),
        ..BuildParams::default()
    };
    let index = Index::build(vectors, &params)?;
    let build_seconds = began.elapsed().as_secs_f64();
    session.interrupt.check()?;

    let path = &arguments.output;
    let began = Instant::now();
    index.save_with(path, &SaveParams { monitor: Some(&progress) })?;
    progress.clear();
    let save_seconds = began.elapsed().as_secs_f64();
    drop(tidy);

    let file_bytes = path.metadata().map_err(|e| steep::Error::io("read", path, e))?.len();
    session.print(&Built {
        index: path.clone(),
        facts: Facts::of(&index),
        build_seconds,
        save_seconds,
        file_bytes,
    })
}

impl Report for Built {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.facts)?;
        let (built, saved) = (duration(self.build_seconds), duration(self.save_seconds));
        writeln!(
            out,
            "built in {built}, saved in {saved}: {}, {}",
            self.index.display(),
            size(self.file_bytes)
        )
    }
}
