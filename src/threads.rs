//! Who computes? The caller's own thread, and for larger work a few more.
//!
//! There is one pool per process, made when a call first asks for more than one thread and made again after a
//! `fork`. It is as large as the cores that the cgroup grants. Work is a number of items that threads take one
//! after the other; the calling thread is always one of them, so that a single query pays for no hand-over, and
//! it alone talks to the caller's [`Monitor`].

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

use rayon::ThreadPool;

use crate::error::{Error, Result};

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
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
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
        let take = &take;
        pool().in_place_scope(|scope| {
            for _ in 1..threads {
                scope.spawn(move |_| take(&Worker { done, stop, caller: None }));
            }
            take(&caller);
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

/// The process's pool.
fn pool() -> Arc<ThreadPool> {
    static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);
    let make = || {
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(available())
            .thread_name(|i| format!("steep-{i}"))
            .build();
        // Where no thread can be started at all, the caller's own still can do the work.
        built.or_else(|_| rayon::ThreadPoolBuilder::new().use_current_thread().num_threads(1).build())
    };
    let pid = std::process::id();
    // Another thread may have held the lock when the process was forked; then it stays locked for ever in
    // the child, which makes a pool of its own for the call.
    let Ok(mut pool) = POOL.try_lock() else {
        return Arc::new(make().expect("a pool of the calling thread needs no resources"));
    };
    match &*pool {
        Some((owner, pool)) if *owner == pid => pool.clone(),
        _ => {
            let made = Arc::new(make().expect("a pool of the calling thread needs no resources"));
            // The parent's threads do not exist here: dropping its pool would wait for them.
            if let Some(parent) = pool.replace((pid, made.clone())) {
                std::mem::forget(parent);
            }
            made
        }
    }
}
