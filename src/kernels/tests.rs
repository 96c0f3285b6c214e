//! Every kernel, on every instruction set that this processor has, against the oracle in `naive`.
//!
//! `PROPTEST_CASES` scales the random part: a few cases are enough where the processor is emulated.

mod distance;
mod fastscan;
mod fine;
mod hamming;
mod lookup;
mod nearest;
mod operations;
mod planes;
mod tile;

use std::process::Command;

use proptest::prelude::*;

use super::Isa;

/// `cases` random cases, or as many as `PROPTEST_CASES` says. Nothing is written beside the sources.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases, ..default } }
}

/// True where few cases are asked for: the exhaustive loops then take larger steps.
fn hurried() -> bool {
    config(u32::MAX).cases < 64
}

/// Random numbers, the same for the same seed (SplitMix64).
#[derive(Clone)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// An integer of `low..=high`.
    fn int(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }
    /// A number of -1..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

#[test]
fn the_portable_set_is_always_there_and_last() {
    let names: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    #[cfg(target_arch = "aarch64")]
    assert_eq!(names, ["neon", "scalar"]);
}

/// What the tests below start with another environment; on its own it asks that the choice is one of the sets.
#[test]
fn the_active_set_is_an_available_one() {
    let active = Isa::active().name();
    assert!(Isa::available().iter().any(|isa| isa.name() == active));
    // Beside the harness's own words, of which a line may already stand there.
    println!("\nactive={active}");
}

/// The set that a process of its own chooses where `STEEP_ISA` is `value`; `None` where the kernel of an emulated
/// machine cannot start a foreign executable.
fn active_with(value: &str) -> Option<String> {
    let me = std::env::current_exe().expect("the path of this test");
    let child = Command::new(me)
        .args(["--exact", "kernels::tests::the_active_set_is_an_available_one", "--nocapture"])
        .env("STEEP_ISA", value)
        .output();
    let output = match child {
        Ok(output) => output,
        Err(error) => {
            println!("not tested: {error}");
            return None;
        }
    };
    // qemu's user emulation learns that the kernel refuses a file only in the child, which then ends so.
    if output.status.code() == Some(127) {
        println!("not tested: this system does not run {output:?}");
        return None;
    }
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("active="));
    Some(line.unwrap_or_else(|| panic!("no answer in {text:?}")).to_owned())
}

#[test]
fn steep_isa_chooses_any_available_set_in_any_case() {
    for isa in Isa::available() {
        for name in [isa.name().to_owned(), isa.name().to_ascii_uppercase()] {
            let Some(active) = active_with(&name) else { return };
            assert_eq!(active, isa.name());
        }
    }
}

#[test]
fn steep_isa_falls_back_to_the_best_set_where_it_names_none() {
    let available = Isa::available();
    let missing =
        ["avx512", "avx2", "neon"].into_iter().filter(|n| available.iter().all(|isa| isa.name() != *n));
    for name in missing.chain(["", "avx3", "scalar,avx2"]) {
        let Some(active) = active_with(name) else { return };
        assert_eq!(active, available[0].name(), "STEEP_ISA={name:?}");
    }
}
