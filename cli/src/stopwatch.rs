//! How fast is a search? In one call for all queries, and one query a call: what a service sees.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::Serialize;
use steep::{Hits, Index, SearchParams, Vectors};

use crate::facts::is_exhaustive;
use crate::failure::Failure;
use crate::figures::{Table, counted, rounded};
use crate::session::Session;

/// A batch is repeated this often, unless that takes longer than `BATCH_TIME`. The best counts: other
/// programs on the machine only ever add time.
const BATCH_RUNS: usize = 5;
const BATCH_TIME: Duration = Duration::from_secs(10);

/// Single calls are made for this long, unless the queries run out first.
const SINGLE_TIME: Duration = Duration::from_secs(5);

/// Calls that warm caches up before single calls are timed.
const WARM_UP: usize = 10;

/// All queries in one call.
#[derive(Serialize)]
pub struct Batch {
    threads: usize,
    qps: f64,
    seconds: f64,
    runs: usize,
    /// Billions of coordinate pairs a second, where every vector is compared with every query.
    #[serde(skip_serializing_if = "Option::is_none")]
    gmacs: Option<f64>,
}

/// One query a call, on the caller's own thread.
#[derive(Serialize)]
pub struct Single {
    calls: usize,
    qps: f64,
    mean_us: f64,
    p50_us: f64,
    p99_us: f64,
}

/// The speed of one index at one k.
#[derive(Serialize)]
pub struct Speed {
    batch: Vec<Batch>,
    single: Single,
}

impl Speed {
    /// Measures it on each number of threads, with the knobs of `params`. Also returns what the batch found.
    pub fn measure(
        index: &Index,
        queries: Vectors<'_>,
        k: usize,
        threads: &[usize],
        params: &SearchParams<'_>,
        session: &Session,
    ) -> Result<(Self, Hits), Failure> {
        let mut found = None;
        let mut batch = Vec::new();
        for &threads in threads {
            let (speed, hits) = run_batch(index, queries, k, threads, *params, session)?;
            batch.push(speed);
            found = Some(hits);
        }
        let found = found.ok_or_else(|| Failure::Usage("threads: at least one number is needed".into()))?;
        Ok((Self { batch, single: run_singles(index, queries, k, params, session)? }, found))
    }

    /// The numbers of threads that batches ran on.
    pub fn threads(&self) -> Vec<usize> {
        self.batch.iter().map(|batch| batch.threads).collect()
    }

    /// Queries a second in one call, for each number of threads.
    pub fn rates(&self) -> impl Iterator<Item = f64> {
        self.batch.iter().map(|batch| batch.qps)
    }

    /// p50 and p99 of one query a call, in µs.
    pub fn latencies(&self) -> [f64; 2] {
        [self.single.p50_us, self.single.p99_us]
    }

    /// Writes it as a table.
    pub fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let exact = self.batch.iter().any(|batch| batch.gmacs.is_some());
        let mut table =
            Table::new(&["", "QPS", "mean µs", "p50 µs", "p99 µs", if exact { "GMAC/s" } else { "" }]);
        for batch in &self.batch {
            let name = format!("one call, {}", counted(batch.threads, "thread", "threads"));
            let gmacs = batch.gmacs.map_or(String::new(), rounded);
            table.row(vec![name, rounded(batch.qps), String::new(), String::new(), String::new(), gmacs]);
        }
        let Single { qps, mean_us, p50_us, p99_us, .. } = self.single;
        let mut row = vec!["one query a call".to_owned()];
        row.extend([qps, mean_us, p50_us, p99_us].map(rounded));
        table.row(row);
        write!(out, "{table}")
    }
}

fn run_batch(
    index: &Index,
    queries: Vectors<'_>,
    k: usize,
    threads: usize,
    params: SearchParams<'_>,
    session: &Session,
) -> Result<(Batch, Hits), Failure> {
    let progress = session.progress();
    let params = SearchParams { threads: Some(threads), monitor: Some(&progress), ..params };
    let began = Instant::now();
    let (mut seconds, mut runs) = (f64::INFINITY, 0);
    let hits = loop {
        let run = Instant::now();
        let hits = index.search(queries, k, &params)?;
        seconds = seconds.min(run.elapsed().as_secs_f64());
        runs += 1;
        if runs == BATCH_RUNS || began.elapsed() > BATCH_TIME {
            break hits;
        }
    };
    let qps = queries.len() as f64 / seconds;
    let gmacs = is_exhaustive(index).then(|| qps * index.len() as f64 * index.dim() as f64 / 1e9);
    Ok((Batch { threads, qps, seconds, runs, gmacs }, hits))
}

fn run_singles(
    index: &Index,
    queries: Vectors<'_>,
    k: usize,
    params: &SearchParams<'_>,
    session: &Session,
) -> Result<Single, Failure> {
    let progress = session.progress();
    let call = |i: usize| -> Result<f64, Failure> {
        let query = queries.rows(i % queries.len()..i % queries.len() + 1);
        let began = Instant::now();
        index.search(query, k, params)?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    };
    for i in 0..WARM_UP {
        call(i)?;
    }
    let began = Instant::now();
    let mut times = Vec::with_capacity(queries.len());
    while times.len() < queries.len() && (times.is_empty() || began.elapsed() < SINGLE_TIME) {
        times.push(call(times.len())?);
        if !steep::Monitor::report(&progress, "one query a call", times.len() as u64, queries.len() as u64) {
            session.interrupt.check()?;
        }
    }
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    Ok(Single {
        calls: times.len(),
        qps: 1e6 / mean,
        mean_us: mean,
        p50_us: percentile(&times, 50),
        p99_us: percentile(&times, 99),
    })
}

/// The smallest of the sorted values that `percent` % of them do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&values, p)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile(&[7.0], 1), 7.0);
    }
}
