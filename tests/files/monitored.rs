//! Reading and writing that is watched: heard of as it goes on, and stopped at any report without a trace.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;

use steep::formats::{read_vectors, read_vectors_with, write_vectors, write_vectors_with};
use steep::{BuildParams, Dtype, Error, Index, Monitor, OpenParams, Result, SaveParams, Vectors};

/// Says stop at the `stop_at`-th report, and remembers all.
#[derive(Default)]
struct Recorder {
    stop_at: usize,
    count: Cell<usize>,
    reports: RefCell<Vec<(&'static str, u64, u64)>>,
}

impl Monitor for Recorder {
    fn report(&self, stage: &'static str, done: u64, total: u64) -> bool {
        self.count.set(self.count.get() + 1);
        self.reports.borrow_mut().push((stage, done, total));
        self.count.get() != self.stop_at
    }
}

/// What `call` reports where nobody stops it: each stage goes on to its total.
fn reports(stages: &[&str], bytes: usize, call: impl Fn(&Recorder) -> Result<()>) -> usize {
    let monitor = Recorder::default();
    call(&monitor).unwrap();
    let reports = monitor.reports.borrow();
    let mut seen: Vec<_> = reports.iter().map(|report| report.0).collect();
    seen.dedup();
    assert_eq!(seen, stages);
    for stage in stages {
        let steps: Vec<_> = reports.iter().filter(|report| report.0 == *stage).collect();
        // A report at least for each MB or so.
        assert!(steps.len() >= bytes >> 20, "{stage}: {} reports of {bytes} bytes", steps.len());
        assert!(steps.iter().all(|(_, done, total)| done <= total), "{stage}");
        assert!(steps.windows(2).all(|pair| pair[0].1 <= pair[1].1 && pair[0].2 == pair[1].2), "{stage}");
    }
    reports.len()
}

/// Fails unless `call` ends as interrupted wherever it is stopped, and `holds` each time.
fn stop_everywhere(reports: usize, call: impl Fn(&Recorder) -> Result<()>, holds: impl Fn()) {
    for stop_at in 1..=reports {
        let monitor = Recorder { stop_at, ..Recorder::default() };
        let done = call(&monitor);
        assert!(matches!(done, Err(Error::Interrupted)), "at {stop_at} of {reports}: {done:?}");
        assert_eq!(monitor.count.get(), stop_at, "asked again after it said stop");
        holds();
    }
}

fn values(bytes: usize) -> Vec<f32> {
    (0..bytes / 4).map(|i| (i as f32).sin()).collect()
}

/// Fails unless the directory of `path` holds it alone, with `content`.
fn check_alone(path: &Path, content: &[u8]) {
    assert!(fs::read(path).unwrap() == content);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_save_that_is_stopped_at_any_report_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.steep");
    let (x, small) = (values(5 << 20), values(64));
    let index = Index::build(Vectors::new(&x, 64).unwrap(), &BuildParams::default()).unwrap();
    let save = |monitor: &Recorder| index.save_with(&path, &SaveParams { monitor: Some(monitor) });
    let reports = reports(&["checksum", "write"], 5 << 20, save);
    assert!(fs::read(&path).unwrap() == index.to_bytes().unwrap());

    let old = Index::build(Vectors::new(&small, 4).unwrap(), &BuildParams::default()).unwrap();
    old.save(&path).unwrap();
    stop_everywhere(reports, save, || check_alone(&path, &old.to_bytes().unwrap()));
    fs::remove_file(&path).unwrap();
    stop_everywhere(reports, save, || assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0));
}

#[test]
fn an_index_that_is_read_is_watched_and_one_that_is_mapped_opens_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.steep");
    let x = values(5 << 20);
    let index = Index::build(Vectors::new(&x, 64).unwrap(), &BuildParams::default()).unwrap();
    index.save(&path).unwrap();
    let open = |mmap| {
        let path = &path;
        move |monitor: &Recorder| {
            let opened = Index::open_with(path, &OpenParams { mmap, monitor: Some(monitor) })?;
            assert_eq!((opened.len(), opened.is_mapped()), (x_len(), mmap));
            Ok(())
        }
    };
    let whole = reports(&["read"], 5 << 20, open(false));
    stop_everywhere(whole, open(false), || check_alone(&path, &index.to_bytes().unwrap()));
    assert_eq!(reports(&[], 0, open(true)), 0);
}

/// Vectors in 5 MiB of 64 floats each.
fn x_len() -> usize {
    (5 << 20) / 256
}

#[test]
fn vector_files_of_every_layout_are_watched() {
    let x = values(5 << 20);
    let vectors = Vectors::new(&x, 64).unwrap();
    for name in ["x.npy", "x.fvecs", "x.fbin"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let write =
            |monitor: &Recorder| write_vectors_with(&path, vectors, &SaveParams { monitor: Some(monitor) });
        let writes = reports(&["write"], 5 << 20, write);
        let read = |monitor: &Recorder| {
            let file = read_vectors_with(&path, &OpenParams { mmap: false, monitor: Some(monitor) })?;
            assert!(file.vectors().bytes() == vectors.bytes());
            Ok(())
        };
        let reads = reports(&["read"], 5 << 20, read);
        stop_everywhere(reads, read, || {});

        write_vectors(&path, vectors.rows(0..3)).unwrap();
        stop_everywhere(writes, write, || {
            assert_eq!(read_vectors(&path, false).unwrap().vectors().len(), 3);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        });
        assert_eq!(vectors.dtype(), Dtype::F32);
    }
}
