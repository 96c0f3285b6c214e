//! `steep search`: queries in, neighbours out, as files or as a table.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use steep::{Index, Metric, SearchParams, formats};

use crate::failure::Failure;
use crate::figures::{Table, counted, duration, rounded};
use crate::files;
use crate::session::{Report, Session};

/// Queries shown in a table where nothing else is asked for.
const ROWS: usize = 5;

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep search docs.steep questions.npy
      show the ten nearest of the first questions
  steep search docs.steep questions.npy -k 100 -o ids.ivecs --distances distances.fvecs
      write all neighbours, nearest first, and their distances
  steep search docs.steep questions.npy --json | jq '.results[0].ids'
      all neighbours as JSON
  steep search graph.steep questions.npy --ef-search 200
      more of the true neighbours from an index of spec graph, for more time

Distances: l2 is the squared distance, cosine is 1 - cos, ip is the negated inner product: smaller is nearer.")]
pub struct Arguments {
    /// An index file, as `steep build` writes
    index: PathBuf,

    /// Queries: a file of vectors of the index's dimension
    queries: PathBuf,

    /// Neighbours a query
    #[arg(short, default_value_t = 10, value_parser = super::positive)]
    k: usize,

    /// Write the ids to this .npy file, or .ivecs or .ibin where they are below 2^31; -1 where there are
    /// fewer than k
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the distances to this .fvecs, .fbin or .npy file
    #[arg(long, short, value_name = "FILE")]
    distances: Option<PathBuf>,

    /// Queries to show [default: 5; with --json all]
    #[arg(long, value_name = "N", conflicts_with = "output")]
    rows: Option<usize>,

    /// Under spec graph: vectors that a search keeps in view, the knob between speed and recall
    #[arg(long, value_name = "N", value_parser = super::positive)]
    ef_search: Option<usize>,

    /// Under spec ivf: lists that a search looks at, the knob between speed and recall
    #[arg(long, value_name = "N", value_parser = super::positive)]
    nprobe: Option<usize>,

    /// Under spec ivf: codes after which a search begins no further list
    #[arg(long, value_name = "N", value_parser = super::positive)]
    max_codes: Option<usize>,

    /// Under spec graph, or with codes and rerank: vectors that get their exact distance, at least k
    /// [default: those that need it]
    #[arg(long, value_name = "N", value_parser = super::positive)]
    rerank: Option<usize>,

    /// Threads [default: all cores]
    #[arg(long, short, value_parser = super::positive)]
    threads: Option<usize>,
}

#[derive(Serialize)]
struct Found {
    index: PathBuf,
    metric: String,
    queries: usize,
    k: usize,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distances: Option<PathBuf>,
    /// Left out where the ids went to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Neighbours>>,
}

#[derive(Serialize)]
struct Neighbours {
    query: usize,
    ids: Vec<u64>,
    distances: Vec<f32>,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let k = arguments.k;
    if let Some(path) = &arguments.output {
        files::check_ids_path(path)?;
    }
    if let Some(path) = &arguments.distances {
        files::check_distances_path(path, arguments.k)?;
    }
    let index = Index::open(&arguments.index, true)?;
    let file = files::vectors(&arguments.queries, session)?;
    let queries = file.vectors();

    let tidy = session.interrupt.tidy();
    let progress = session.progress();
    let began = Instant::now();
    let Arguments { threads, ef_search, nprobe, max_codes, rerank, .. } = *arguments;
    let params = SearchParams { threads, monitor: Some(&progress), ef_search, nprobe, max_codes, rerank };
    let hits = index.search(queries, k, &params)?;
    let seconds = began.elapsed().as_secs_f64();
    progress.clear();
    session.interrupt.check()?;

    if let Some(path) = &arguments.output {
        formats::write_ids(path, &hits.ids, k)?;
    }
    if let Some(path) = &arguments.distances {
        files::write_distances(path, &hits.distances, k)?;
    }
    drop(tidy);

    let rows = arguments.rows.unwrap_or(if session.is_json() { usize::MAX } else { ROWS });
    let neighbours = |(query, (ids, distances)): (usize, (&[i64], &[f32]))| {
        let real = ids.iter().take_while(|&&id| id != -1).count(); // -1 pads where there are fewer than k
        let ids = ids[..real].iter().map(|&id| id as u64).collect();
        Neighbours { query, ids, distances: distances[..real].to_vec() }
    };
    let lists = hits.ids.chunks(k).zip(hits.distances.chunks(k)).enumerate().take(rows);
    session.print(&Found {
        index: arguments.index.clone(),
        metric: index.metric().to_string(),
        queries: queries.len(),
        k,
        seconds,
        output: arguments.output.clone(),
        distances: arguments.distances.clone(),
        results: arguments.output.is_none().then(|| lists.map(neighbours).collect()),
    })
}

impl Report for Found {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(results) = &self.results {
            let metric: Option<Metric> = self.metric.parse().ok();
            let similarity = match metric {
                Some(Metric::InnerProduct) => "product",
                Some(Metric::Cosine) => "cosine",
                Some(Metric::Jaccard) => "overlap",
                _ => "",
            };
            let mut table = Table::new(&["query", "rank", "id", "distance", similarity]);
            for Neighbours { query, ids, distances } in results {
                for (rank, (id, distance)) in ids.iter().zip(distances).enumerate() {
                    let query = if rank == 0 { query.to_string() } else { String::new() };
                    let score = metric.and_then(|metric| metric.score(*distance));
                    let score = score.map_or(String::new(), |score| format!("{score:.4}"));
                    table.row(vec![
                        query,
                        (rank + 1).to_string(),
                        id.to_string(),
                        format!("{distance:.4}"),
                        score,
                    ]);
                }
            }
            writeln!(out, "{table}")?;
            let hidden = self.queries - results.len();
            if hidden > 0 {
                writeln!(
                    out,
                    "{} not shown: --rows N shows more, -o FILE writes all",
                    counted(hidden, "query", "queries")
                )?;
            }
        }
        for (what, path) in [("ids", &self.output), ("distances", &self.distances)] {
            if let Some(path) = path {
                writeln!(out, "{}: {what} of the {} nearest of each query", path.display(), self.k)?;
            }
        }
        let qps = rounded(self.queries as f64 / self.seconds);
        writeln!(
            out,
            "{} in {}, {qps} a second",
            counted(self.queries, "query", "queries"),
            duration(self.seconds)
        )
    }
}
