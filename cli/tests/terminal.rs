//! What a shell sees: pipes that close, signals, output without a terminal.
#![cfg(unix)]

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Ended, Place};

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let place = Place::new();
    for json in ["", "--json"] {
        let mut child = place.command(&format!("search docs.steep base.fvecs -k 100 --rows 300 {json}"));
        let mut child = child.spawn().unwrap();
        let mut first = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and closes it
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), b"".as_slice()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let place = Place::new();
    let mut command = place.command("info docs.steep");
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let ended = Ended::of(command);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.starts_with("error: cannot write to standard output"), "{}", ended.err);
}

#[cfg(target_os = "linux")]
#[test]
fn closed_streams_do_no_harm() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_steep");
    for (arguments, code) in [("info docs.steep >&- 2>&-", 0), ("info missing.steep 2>&-", 1)] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{program} {arguments}")]).current_dir(place.path("."));
        assert_eq!(command.status().unwrap().code(), Some(code), "{arguments}");
    }
}

#[test]
fn ctrl_c_ends_a_long_call_and_leaves_nothing_behind() {
    let place = Place::new();
    // 50,000 × 512 bytes, searched for all of themselves: several seconds of work.
    let mut vectors = [50_000_u32, 512].map(u32::to_le_bytes).concat();
    vectors.extend((0..50_000 * 512_u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8));
    place.write("large.u8bin", &vectors);
    place.write("truth.npy", b"what was there before");
    let before = place.files();

    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut command = place.command("groundtruth large.u8bin large.u8bin -k 10 -o truth.npy --threads 1");
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        sleep(Duration::from_millis(1500));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let sent = Instant::now();
        let ended = child.wait_with_output().unwrap();
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(code), b"".as_slice()), "{err}");
        assert!(err.ends_with("error: interrupted: nothing was changed\n"), "{err}");
        // It took more than a second, so there was a line of progress; and none of a terminal's codes.
        assert!(err.starts_with("steep: ") && err.contains(" % done, "), "{err}");
        assert!(!err.contains(['\x1b', '\r']), "{err:?}");
        assert_eq!(place.files(), before);
        assert_eq!(place.read("truth.npy"), b"what was there before");
    }
}

#[test]
fn without_a_terminal_there_are_no_escape_codes() {
    let place = Place::new();
    for arguments in
        ["--help", "bench --help", "bench base.fvecs queries.fvecs", "search missing.steep x.npy", "no"]
    {
        let ended = place.steep(arguments);
        assert!(!(ended.out + &ended.err).contains(['\x1b', '\r']), "{arguments}");
    }
}
