//! Saves that are stopped: by a kill at any moment, by a full disk.
//!
//! A child process is this test binary itself, told by a variable which file to save to.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use steep::Error;
use steep::storage::{Sections, Tag, save};

const FILE: &str = "STEEP_TEST_SAVE_TO";
const ROWS: Tag = Tag::new("rows");
const ONCE: &str = "child_saves_once";
const FOR_EVER: &str = "child_saves_for_ever";

/// Two contents of different length, each of a single repeated byte.
fn content(generation: usize) -> Vec<u8> {
    match generation % 2 {
        0 => vec![b'a'; 3_000_000],
        _ => vec![b'b'; 2_000_001],
    }
}

fn save_generation(path: &Path, generation: usize) -> steep::Result<()> {
    save(path, &[(ROWS, &[&content(generation)])])
}

/// Fails unless the file is one of the two contents, whole.
fn check_whole(path: &Path) {
    let opened = Sections::open(path, true).unwrap();
    opened.verify().unwrap();
    let rows = opened.buffer(ROWS).unwrap();
    assert!((0..2).any(|generation| rows.bytes() == content(generation)));
}

/// The arguments that make this binary run `test` of this module alone.
fn only(test: &str) -> [String; 3] {
    let (_, module) = module_path!().split_once("::").unwrap();
    [format!("{module}::{test}"), "--exact".into(), "--nocapture".into()]
}

#[test]
fn child_saves_for_ever() {
    let Some(path) = std::env::var_os(FILE) else { return };
    for generation in 0.. {
        save_generation(path.as_ref(), generation).unwrap();
        eprint!(".");
    }
}

#[test]
fn child_saves_once() {
    let Some(path) = std::env::var_os(FILE) else { return };
    match save_generation(path.as_ref(), 1) {
        Err(Error::Io { action: "write", source, .. }) => eprint!("refused: {source}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    save_generation(&path, 0).unwrap();
    let mut interrupted = 0;
    for round in 0..30_u64 {
        let mut child: Child = Command::new(std::env::current_exe().unwrap())
            .args(only(FOR_EVER))
            .env(FILE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One save is done for certain; the moment within the later ones is spread over the rounds.
        child.stderr.take().unwrap().read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_micros(round * 7_919 % 20_011));
        child.kill().unwrap();
        child.wait().unwrap();
        check_whole(&path);
        for left in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if left != path {
                interrupted += 1;
                fs::remove_file(left).unwrap();
            }
        }
    }
    assert!(interrupted > 0, "no kill hit a save: the test shows nothing");
}

#[test]
#[cfg(unix)]
fn a_full_disk_is_an_error_that_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    save_generation(&path, 0).unwrap();
    // A limit on the size of files, its signal ignored, fails as a full disk does: in the middle of a write.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(only(ONCE))
        .env(FILE, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("refused: File too large"), "{said}");
    check_whole(&path);
    assert_eq!(Sections::open(&path, true).unwrap().buffer(ROWS).unwrap().bytes()[0], b'a');
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_directory_that_is_missing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = save_generation(&dir.path().join("missing/index"), 0).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("missing/index"), "{error}");
}
