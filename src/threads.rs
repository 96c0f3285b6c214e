//! Who computes? The caller's own thread, and for larger work a few more.
//!
//! There is one pool per process, made when a call first asks for more than one thread and made again after a
//! `fork`. It is as large as the cores that the cgroup grants. Work is a number of items that threads take one
//! after the other; the calling thread is always one of them, so that a single query pays for no hand-over, and
//! it alone talks to the caller's [`Monitor`]. A call takes only threads that are idle: it would otherwise end no sooner
//! than the calls that it queues behind.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use rayon::ThreadPool;

use crate::error::{Error, Result};

/// How often a calling thread that has nothing left to do asks its monitor while others work.
const POLL: Duration = Duration::from_millis(5);

/// Watches a long call, and may end it.
pub trait Monitor {
    /// Called on the calling thread while `stage` runs, every few milliseconds at most, with `done` of `total`
    /// units of work. Returning false ends the call with [`Error::Interrupted`].
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool;
}

/// Cores that this process may use: the affinity mask and the cgroup's quota, not the machine's count.
pub fn available() -> usize {
    // Asked once: the answer is in three files of the cgroup, which is 40 µs, as long as a small search.
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// `threads` as asked for: all cores where nothing is said, never more than there are.
///
/// # Errors
/// [`Error::Argument`] for 0.
pub(crate) fn resolve(threads: Option<usize>) -> Result<usize> {
    match threads {
        Some(0) => Err(Error::argument("threads", 0, "at least 1, or none for all cores")),
        Some(n) => Ok(n.min(available())),
        None => Ok(available()),
    }
}

/// How far a call has got and whether it should stop; shared by its threads.
pub(crate) struct Watch<'a> {
    stage: &'static str,
    total: u64,
    done: AtomicU64,
    stop: AtomicBool,
    monitor: Option<&'a dyn Monitor>,
}

/// One thread's hold on the [`Watch`].
pub(crate) struct Worker<'w> {
    done: &'w AtomicU64,
    stop: &'w AtomicBool,
    /// On the calling thread only.
    caller: Option<&'w Watch<'w>>,
}

impl Worker<'_> {
    /// Notes `work` units as done. False where the call is to end: return at once, what was computed is
    /// thrown away.
    pub fn advance(&self, work: u64) -> bool {
        let done = self.done.fetch_add(work, Relaxed) + work;
        if let Some(watch) = self.caller
            && let Some(monitor) = watch.monitor
            && !monitor.report(watch.stage, done.min(watch.total), watch.total)
        {
            self.stop.store(true, Relaxed);
        }
        !self.stop.load(Relaxed)
    }
}

/// Asks `monitor` between two steps of work that runs on the calling thread alone.
///
/// # Errors
/// [`Error::Interrupted`] where it said so.
pub(crate) fn pause(monitor: Option<&dyn Monitor>, stage: &'static str, done: u64, total: u64) -> Result<()> {
    match monitor {
        Some(monitor) if !monitor.report(stage, done, total) => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

/// Runs `work` for each item of `0..items` on `threads` threads, `total` units of work in all.
///
/// # Errors
/// [`Error::Interrupted`] where the monitor said so, or the first error of `work`.
pub(crate) fn run<F>(
    threads: usize,
    monitor: Option<&dyn Monitor>,
    stage: &'static str,
    (items, total): (usize, u64),
    work: F,
) -> Result<()>
where
    F: Fn(usize, &Worker) -> Result<()> + Sync,
{
    let watch = Watch { stage, total, done: AtomicU64::new(0), stop: AtomicBool::new(false), monitor };
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let (done, stop) = (&watch.done, &watch.stop);
    let take = |worker: &Worker| {
        while !stop.load(Relaxed) {
            let item = next.fetch_add(1, Relaxed);
            if item >= items {
                break;
            }
            if let Err(error) = work(item, worker) {
                stop.store(true, Relaxed);
                if let Ok(mut failed) = failed.lock() {
                    failed.get_or_insert(error);
                }
            }
        }
    };
    let threads = threads.min(items);
    let caller = Worker { done, stop, caller: Some(&watch) };
    if threads <= 1 {
        take(&caller);
    } else {
        let (take, pool) = (&take, &*pool());
        let running = &AtomicUsize::new(0);
        pool.threads.in_place_scope(|scope| {
            for _ in 1..threads {
                let Some(seat) = Seat::take(pool, running) else { break };
                scope.spawn(move |_| {
                    let _seat = seat;
                    take(&Worker { done, stop, caller: None });
                });
            }
            take(&caller);
            // Others may be busy for long yet. The scope waits for them, but would not ask the monitor.
            while running.load(Relaxed) > 0 && monitor.is_some() && caller.advance(0) {
                thread::park_timeout(POLL);
            }
        });
    }
    if !stop.load(Relaxed) {
        // Whoever finished last, the monitor sees the end.
        caller.advance(0);
    }
    match failed.into_inner() {
        Ok(Some(error)) => Err(error),
        _ if stop.load(Relaxed) => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

/// Threads that wait for work.
struct Pool {
    threads: ThreadPool,
    /// How many of them are idle.
    idle: AtomicUsize,
}

/// A thread of the pool, taken for one call until this is dropped.
struct Seat<'a> {
    pool: &'a Pool,
    /// The call's own count of such threads.
    running: &'a AtomicUsize,
    caller: Thread,
}

impl<'a> Seat<'a> {
    fn take(pool: &'a Pool, running: &'a AtomicUsize) -> Option<Self> {
        pool.idle.fetch_update(Relaxed, Relaxed, |idle| idle.checked_sub(1)).ok()?;
        running.fetch_add(1, Relaxed);
        Some(Self { pool, running, caller: thread::current() })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.pool.idle.fetch_add(1, Relaxed);
        if self.running.fetch_sub(1, Relaxed) == 1 {
            self.caller.unpark();
        }
    }
}

/// The process's pool.
fn pool() -> Arc<Pool> {
    static POOL: Mutex<Option<(u32, Arc<Pool>)>> = Mutex::new(None);
    let make = || {
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(available())
            .thread_name(|i| format!("steep-{i}"))
            .build();
        let (threads, idle) = match built {
            Ok(threads) => (Ok(threads), available()),
            // Where no thread can be started at all, the caller's own still can do the work.
            Err(_) => (rayon::ThreadPoolBuilder::new().use_current_thread().num_threads(1).build(), 0),
        };
        let threads = threads.expect("a pool of the calling thread needs no resources");
        Arc::new(Pool { threads, idle: AtomicUsize::new(idle) })
    };
    let pid = std::process::id();
    // Another thread may have held the lock when the process was forked; then it stays locked for ever in
    // the child, which makes a pool of its own for the call.
    let Ok(mut pool) = POOL.try_lock() else {
        return make();
    };
    match &*pool {
        Some((owner, pool)) if *owner == pid => pool.clone(),
        _ => {
            let made = make();
            // The parent's threads do not exist here: dropping its pool would wait for them.
            if let Some(parent) = pool.replace((pid, made.clone())) {
                std::mem::forget(parent);
            }
            made
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    /// Long enough for any machine; a test that waits for so long has failed.
    const LONG: Duration = Duration::from_secs(60);

    /// Stops the call at the first report after `over` is set.
    struct Stop<'a> {
        over: &'a AtomicBool,
        reports: Cell<usize>,
    }

    impl Monitor for Stop<'_> {
        fn report(&self, _: &'static str, _: u64, _: u64) -> bool {
            self.reports.set(self.reports.get() + 1);
            !self.over.load(Relaxed)
        }
    }

    #[test]
    fn a_caller_without_work_still_hears_its_monitor_while_others_work() {
        let caller = thread::current().id();
        // Another test may have taken all threads: again, until one takes part.
        loop {
            let (joined, over) = (AtomicBool::new(false), AtomicBool::new(false));
            let monitor = Stop { over: &over, reports: Cell::new(0) };
            let began = Instant::now();
            let done = run(2, Some(&monitor), "test", (2, 2), |_, worker| {
                if thread::current().id() == caller {
                    while !joined.load(Relaxed) && began.elapsed() < Duration::from_millis(100) {
                        thread::yield_now();
                    }
                    over.store(joined.load(Relaxed), Relaxed);
                    return Ok(());
                }
                joined.store(true, Relaxed);
                while worker.advance(0) {
                    assert!(began.elapsed() < LONG, "nobody asked the monitor");
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            });
            if joined.load(Relaxed) {
                assert!(matches!(done, Err(Error::Interrupted)));
                assert!(monitor.reports.get() > 0);
                return;
            }
        }
    }

    #[test]
    fn a_call_does_not_wait_for_the_threads_of_another() {
        let (began, over, waiting) = (Instant::now(), AtomicBool::new(false), AtomicUsize::new(0));
        let block = |_: usize, _: &Worker| {
            waiting.fetch_add(1, Relaxed);
            while !over.load(Relaxed) {
                assert!(began.elapsed() < LONG, "the small call waited for this one");
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        thread::scope(|scope| {
            // As many callers as there are threads: whatever other tests leave free is taken.
            for _ in 0..=available() {
                scope.spawn(|| run(2, None, "test", (2, 2), block).unwrap());
            }
            while waiting.load(Relaxed) <= available() {
                thread::yield_now();
            }
            let sum = AtomicUsize::new(0);
            let add = |item, _: &Worker| {
                sum.fetch_add(item, Relaxed);
                Ok(())
            };
            let done = run(available() + 1, None, "test", (1000, 1000), add);
            over.store(true, Relaxed);
            assert!(done.is_ok() && sum.into_inner() == 499_500);
        });
    }

    #[test]
    fn every_thread_comes_back_also_after_a_panic() {
        for _ in 0..10 * available() {
            let caught = std::panic::catch_unwind(|| {
                run(available() + 1, None, "test", (100, 100), |item, _| {
                    assert!(item != 7, "meant");
                    Ok(())
                })
            });
            assert!(caught.is_err());
        }
        // Others may have some for now, but not for ever.
        let (began, pool) = (Instant::now(), pool());
        while pool.idle.load(Relaxed) < available() {
            assert!(began.elapsed() < LONG, "lost");
            thread::yield_now();
        }
    }
}
