//! A monitor hears of a call on the caller's own thread, and may end it; then nothing has changed.

use std::cell::{Cell, RefCell};
use std::thread::{ThreadId, current};

use steep::{AddParams, BuildParams, Dtype, Error, Index, Metric, Monitor, SearchParams, Spec};

use crate::common::data::{Rng, Set, decaying, low_rank};
use crate::common::oracle::{exact, expect_codes, expect_fine_codes};

const CODED: usize = 4096 + 107;

/// Says stop at the `stop_at`-th report, and remembers all.
struct Recorder {
    stop_at: usize,
    thread: ThreadId,
    reports: RefCell<Vec<(&'static str, u64, u64)>>,
    elsewhere: Cell<bool>,
}

impl Recorder {
    fn new(stop_at: usize) -> Self {
        let reports = RefCell::new(Vec::new());
        Self { stop_at, thread: current().id(), reports, elsewhere: Cell::new(false) }
    }
}

impl Monitor for Recorder {
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool {
        self.elsewhere.set(self.elsewhere.get() || current().id() != self.thread);
        let mut reports = self.reports.borrow_mut();
        reports.push((stage, done, total));
        reports.len() < self.stop_at
    }
}

fn is_interrupted<T>(result: steep::Result<T>) -> bool {
    matches!(result, Err(Error::Interrupted))
}

#[test]
fn reports_come_on_the_calling_thread_and_never_go_back() {
    let mut rng = Rng(51);
    let base = Set::new(Dtype::F32, 48, low_rank(&mut rng, 3 * CODED, 48));
    for threads in [1, 2] {
        let monitor = Recorder::new(usize::MAX);
        let (threads, watch) = (Some(threads), Some(&monitor as &dyn Monitor));
        let params = BuildParams { threads, monitor: watch, ..exact() };
        let index = Index::build(base.view(), &params).unwrap();
        let params = SearchParams { threads, monitor: watch, ..SearchParams::default() };
        index.search(base.view().rows(0..600), 5, &params).unwrap();
        assert!(!monitor.elsewhere.get());
        let reports = monitor.reports.borrow();
        for stage in ["encode", "search"] {
            let of_stage: Vec<_> = reports.iter().filter(|report| report.0 == stage).collect();
            assert!(!of_stage.is_empty(), "{stage}");
            assert!(of_stage.iter().all(|(_, done, total)| done <= total), "{stage}");
            assert!(
                of_stage.windows(2).all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 == pair[1].2),
                "{stage}"
            );
            if threads == Some(1) {
                let (_, done, total) = of_stage[of_stage.len() - 1];
                assert_eq!(done, total, "{stage} ends at its total");
            }
        }
    }
}

#[test]
fn a_search_that_is_stopped_returns_nothing_and_can_be_repeated() {
    let mut rng = Rng(52);
    for n in [100, CODED] {
        let base = Set::new(Dtype::F32, 48, low_rank(&mut rng, n, 48));
        let index = Index::build(base.view(), &exact()).unwrap();
        let queries = base.view().rows(0..60);
        let whole = index.search(queries, 10, &SearchParams::default()).unwrap();
        for (stop_at, threads) in [(1, 1), (1, 2), (2, 1)] {
            let monitor = Recorder::new(stop_at);
            let params =
                SearchParams { threads: Some(threads), monitor: Some(&monitor), ..SearchParams::default() };
            assert!(is_interrupted(index.search(queries, 10, &params)), "{n} vectors");
            let monitor = Recorder::new(stop_at);
            let params =
                SearchParams { threads: Some(threads), monitor: Some(&monitor), ..SearchParams::default() };
            assert!(is_interrupted(index.range_search(queries, 10.0, &params)), "{n} vectors");
            assert!(index.search(queries, 10, &SearchParams::default()).unwrap() == whole);
        }
    }
}

#[test]
fn an_add_that_is_stopped_at_any_report_leaves_every_byte_as_it_was() {
    let mut rng = Rng(53);
    let values = low_rank(&mut rng, 6 * CODED, 48);
    let floats = Set::new(Dtype::F32, 48, values.iter().copied());
    // The same as whole numbers: kept as bytes until the last row, which is none, is added.
    let mut whole = Set::suited(Dtype::U8, 48, &values).values;
    let last = whole.len() - 1;
    whole[last] = 0.5;
    let whole = Set::new(Dtype::F32, 48, whole);
    // With fine codes.
    let long = Set::new(Dtype::F32, 320, decaying(&mut rng, CODED + 3000, 320, 0.8));
    // Codes made for the first time, extended from the middle of a panel on, chosen anew.
    for (data, n, more) in [
        (&floats, 0, CODED),
        (&floats, CODED, 3000),
        (&floats, CODED, 4 * CODED),
        (&long, CODED, 3000),
        (&whole, CODED, 5 * CODED),
        (&whole, 4 * CODED, 2 * CODED),
    ] {
        for metric in [Metric::L2, Metric::Cosine] {
            let mut index = Index::new(data.dim, metric, Dtype::F32, Spec::FLAT).unwrap();
            index.add(data.view().rows(0..n), &AddParams::default()).unwrap();
            let before = index.to_bytes().unwrap();
            let added = data.view().rows(data.len() - more..data.len());
            for (stop_at, threads) in [(1, 1), (3, 1), (1, 2), (3, 2)] {
                let mut stopped = index.clone();
                let monitor = Recorder::new(stop_at);
                let params = AddParams { threads: Some(threads), monitor: Some(&monitor), ids: None };
                let case = format!("{more} onto {n} {metric}, {threads} threads, stopped at {stop_at}");
                let done = stopped.add(added, &params);
                // Of two threads the other one may have done all the work before the last report.
                assert!(
                    is_interrupted(done) || (threads == 2 && monitor.reports.borrow().len() < stop_at),
                    "{case}"
                );
                if stopped.len() == n {
                    assert!(stopped.to_bytes().unwrap() == before, "{case}");
                    stopped.add(added, &AddParams::default()).unwrap();
                }
                let mut at_once = index.clone();
                at_once.add(added, &AddParams::default()).unwrap();
                assert!(stopped.to_bytes().unwrap() == at_once.to_bytes().unwrap(), "{case}, added again");
                assert!(!monitor.elsewhere.get());
            }
            index.add(added, &AddParams::default()).unwrap();
            expect_codes(&index, "stopped");
            if data.dim == long.dim {
                expect_fine_codes(&index, "stopped");
            }
        }
    }
}

#[test]
fn a_build_that_is_stopped_is_an_error() {
    let mut rng = Rng(54);
    let base = Set::new(Dtype::F32, 48, low_rank(&mut rng, CODED, 48));
    let monitor = Recorder::new(1);
    let params = BuildParams { monitor: Some(&monitor), threads: Some(1), ..exact() };
    assert!(is_interrupted(Index::build(base.view(), &params)));
}
