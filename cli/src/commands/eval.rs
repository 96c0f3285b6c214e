//! `steep eval`: is the index as good and as fast as it should be?

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use steep::evaluate::ground_truth;
use steep::{Index, SearchParams, Vectors};

use crate::facts::Facts;
use crate::failure::Failure;
use crate::files;
use crate::session::{Report, Session};
use crate::sweep::{Knobs, Sweep};

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep eval docs.steep questions.npy --truth truth.ivecs
      recall@10 against `steep groundtruth`, and speed on one thread and on all
  steep eval docs.steep questions.npy --truth truth.ivecs -k 100 --threads 1,4,all --json
      the same for 100 neighbours on three numbers of threads, as JSON
  steep eval graph.steep questions.npy --truth truth.ivecs --ef-search 10,20,50,100,200,400
      what a graph can do, a line for each ef_search: choose the first whose recall is enough
  steep eval lists.steep questions.npy --truth truth.ivecs --nprobe 4,8,16,32,64,128
      the same for an index of spec ivf

recall@k is the part of the true k nearest that was found. QPS is queries per second. \"one call\" hands all
queries over at once, best of several runs; \"one query a call\" is what a service sees: its mean, median (p50)
and the time that 99 of 100 calls stay below (p99). Hops are the nodes of a graph or the lists that a query
read, estimates and refined the vectors that were told by a few bits and by all bits of their codes, and
re-ranked those that it was compared with exactly. With several values of --ef-search or --nprobe the JSON
holds them in \"settings\", each with what is otherwise at the top.")]
pub struct Arguments {
    /// An index file, as `steep build` writes
    index: PathBuf,

    /// Queries: a file of vectors of the index's dimension
    queries: PathBuf,

    /// True neighbours: an .ivecs, .ibin or .npy file, as `steep groundtruth` writes [default: computed
    /// from the index's own vectors]
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,

    /// Neighbours a query
    #[arg(short, default_value_t = 10, value_parser = super::positive)]
    k: usize,

    /// Numbers of threads to measure
    #[arg(long, short, value_delimiter = ',', default_value = "1,all", value_parser = super::thread_count)]
    threads: Vec<usize>,

    #[command(flatten)]
    knobs: Knobs,
}

#[derive(Serialize)]
struct Evaluated {
    index: PathBuf,
    #[serde(flatten)]
    facts: Facts,
    queries: usize,
    k: usize,
    /// The file of true neighbours; null where they were computed from the index's own vectors.
    truth: Option<PathBuf>,
    #[serde(flatten)]
    sweep: Sweep,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let k = arguments.k;
    let index = Index::open(&arguments.index, true)?;
    let file = files::vectors(&arguments.queries, session)?;
    let queries = file.vectors();
    let given = arguments.truth.as_deref().map(|path| files::truth(path, queries.len(), k)).transpose()?;

    if given.is_none() && index.vectors().len() < index.len() {
        return Err(Failure::Usage(format!(
            "an index of spec \"{}\" holds no vectors to compute the true neighbours from: pass --truth",
            index.spec()
        )));
    }
    let _tidy = session.interrupt.tidy();
    let threads = super::distinct(&arguments.threads);
    let truth = || given.map_or_else(|| Ok((own_truth(&index, queries, k, session)?, k)), Ok);
    let sweep = Sweep::measure(&index, queries, k, &threads, &arguments.knobs, session, truth)?;
    session.print(&Evaluated {
        index: arguments.index.clone(),
        facts: Facts::of(&index),
        queries: queries.len(),
        k,
        truth: arguments.truth.clone(),
        sweep,
    })
}

/// The ids of the exact neighbours.
fn own_truth(index: &Index, queries: Vectors<'_>, k: usize, session: &Session) -> Result<Vec<i64>, Failure> {
    let progress = session.progress();
    let params = SearchParams { monitor: Some(&progress), ..SearchParams::default() };
    let rows = ground_truth(index.vectors(), queries, k, index.metric(), &params)?.ids;
    Ok(rows.into_iter().map(|row| usize::try_from(row).map_or(-1, |row| index.id(row) as i64)).collect())
}

impl Report for Evaluated {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.facts)?;
        let against = match &self.truth {
            Some(path) => format!("against {}", path.display()),
            None => "against the exact neighbours among the index's own vectors".to_owned(),
        };
        self.sweep.text(out, &self.facts, self.k, &against)
    }
}
