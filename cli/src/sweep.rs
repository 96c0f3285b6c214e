//! How do recall and speed go together? Measured at one setting of the knobs, or at several, a line each.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;
use steep::evaluate::recall;
use steep::search::Stats;
use steep::{Hits, Index, SearchParams, Vectors};

use crate::commands::{distinct, positive};
use crate::facts::Facts;
use crate::failure::Failure;
use crate::figures::{Table, rounded};
use crate::session::Session;
use crate::stopwatch::Speed;

/// What a graph or lists can be told at a search; several values of the first two.
#[derive(Args)]
pub struct Knobs {
    /// Under spec graph: vectors that a search keeps in view, the knob between speed and recall. Several
    /// values, as in 20,50,100, are measured one after the other and shown a line each
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = positive)]
    ef_search: Vec<usize>,

    /// Under spec ivf: lists that a search looks at, the knob between speed and recall. Several values as
    /// for --ef-search
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = positive, conflicts_with = "ef_search")]
    nprobe: Vec<usize>,

    /// Under spec ivf: codes after which a search begins no further list
    #[arg(long, value_name = "N", value_parser = positive)]
    max_codes: Option<usize>,

    /// Under spec graph, or with codes and rerank: vectors that get their exact distance, at least k
    /// [default: those that need it]
    #[arg(long, value_name = "N", value_parser = positive)]
    rerank: Option<usize>,
}

impl Knobs {
    /// What to measure.
    fn settings(&self) -> Vec<SearchParams<'static>> {
        let plain =
            SearchParams { max_codes: self.max_codes, rerank: self.rerank, ..SearchParams::default() };
        let walks =
            distinct(&self.ef_search).into_iter().map(|ef| SearchParams { ef_search: Some(ef), ..plain });
        let probes = distinct(&self.nprobe).into_iter().map(|n| SearchParams { nprobe: Some(n), ..plain });
        let settings: Vec<_> = walks.chain(probes).collect();
        if settings.is_empty() { vec![plain] } else { settings }
    }
}

/// What each setting gives. Where there is but one, its fields stand in the JSON by themselves.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Sweep {
    /// Of a single setting.
    One(Setting),
    /// Of several, in the order asked for.
    Many {
        /// A line each.
        settings: Vec<Setting>,
    },
}

/// One setting, and what it gives.
#[derive(Serialize)]
pub struct Setting {
    #[serde(skip_serializing_if = "Option::is_none")]
    ef_search: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nprobe: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_codes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rerank: Option<usize>,
    recall: f64,
    /// Under a graph, or with codes.
    #[serde(flatten)]
    cost: Option<Cost>,
    #[serde(flatten)]
    speed: Speed,
}

/// What a query cost on average.
#[derive(Clone, Copy, Serialize)]
struct Cost {
    hops: f64,
    estimates: f64,
    refined: f64,
    reranked: f64,
}

impl Cost {
    /// None where nothing was counted.
    fn of(hits: &Hits) -> Option<Self> {
        let mean = |read: fn(&Stats) -> u64| {
            hits.stats.iter().map(read).sum::<u64>() as f64 / hits.stats.len() as f64
        };
        (!hits.stats.is_empty()).then(|| Self {
            hops: mean(|stats| stats.hops),
            estimates: mean(|stats| stats.estimates),
            refined: mean(|stats| stats.refined),
            reranked: mean(|stats| stats.reranked),
        })
    }
}

impl Sweep {
    /// Measures each setting on each number of threads; `truth` gives the true ids and how many there are a query.
    pub fn measure(
        index: &Index,
        queries: Vectors<'_>,
        k: usize,
        threads: &[usize],
        knobs: &Knobs,
        session: &Session,
        truth: impl FnOnce() -> Result<(Vec<i64>, usize), Failure>,
    ) -> Result<Self, Failure> {
        let mut measured = Vec::new();
        for params in knobs.settings() {
            let (speed, found) = Speed::measure(index, queries, k, threads, &params, session)?;
            measured.push((params, speed, found));
        }
        let (truth, columns) = truth()?;
        let settings: Result<Vec<_>, Failure> = measured
            .into_iter()
            .map(|(params, speed, found)| {
                let (recall, cost) = (recall(&found.ids, k, &truth, columns)?, Cost::of(&found));
                let SearchParams { ef_search, nprobe, max_codes, rerank, .. } = params;
                Ok(Setting { ef_search, nprobe, max_codes, rerank, recall, cost, speed })
            })
            .collect();
        let mut settings = settings?;
        match settings.pop() {
            Some(only) if settings.is_empty() => Ok(Self::One(only)),
            last => {
                settings.extend(last);
                Ok(Self::Many { settings })
            }
        }
    }

    /// Writes it for a person: `against` says where the true neighbours are from.
    pub fn text(&self, out: &mut dyn Write, facts: &Facts, k: usize, against: &str) -> io::Result<()> {
        match self {
            Self::One(setting) => {
                writeln!(out, "recall@{k} {:.4} ({against})", setting.recall)?;
                if let Some(Cost { hops, estimates, refined, reranked }) = setting.cost {
                    let [hops, estimates, refined, reranked] =
                        [hops, estimates, refined, reranked].map(rounded);
                    writeln!(
                        out,
                        "a query: {hops} hops, {estimates} estimates, {refined} refined, {reranked} re-ranked"
                    )?;
                }
                writeln!(out)?;
                setting.speed.text(out)
            }
            Self::Many { settings } => {
                writeln!(out, "recall@{k} {against}\n")?;
                write!(out, "{}", table(settings, facts))
            }
        }
    }
}

/// A line a setting. Recall and bytes stand beside every speed.
fn table(settings: &[Setting], facts: &Facts) -> Table {
    let threads = settings.first().map_or(Vec::new(), |setting| setting.speed.threads());
    let qps: Vec<String> = threads.iter().map(|threads| format!("QPS ×{threads}")).collect();
    let lists = settings.iter().any(|setting| setting.nprobe.is_some());
    let mut heads = vec![if lists { "nprobe" } else { "ef_search" }, "recall"];
    heads.extend(qps.iter().map(String::as_str));
    heads.extend(["p50 µs", "p99 µs", "bytes/vector", "hops", "re-ranked"]);
    let mut table = Table::new(&heads);
    for Setting { ef_search, nprobe, recall, cost, speed, .. } in settings {
        let knob = ef_search.or(*nprobe).map_or(String::new(), |value| value.to_string());
        let mut row = vec![knob, format!("{recall:.4}")];
        row.extend(speed.rates().map(rounded));
        row.extend(speed.latencies().map(rounded));
        row.push(rounded(facts.bytes_per_vector()));
        row.extend(cost.map_or([const { String::new() }; 2], |c| [c.hops, c.reranked].map(rounded)));
        table.row(row);
    }
    table
}
