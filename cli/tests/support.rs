//! A directory with a few small files, and the program run in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A fresh directory that holds base.fvecs (300 × 8), queries.fvecs (20 × 8), ids.npy and docs.steep, which
/// is built of these.
pub struct Place(TempDir);

/// How a run ended.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("base.fvecs", &fvecs(&numbers(300 * 8, 1), 8));
        place.write("queries.fvecs", &fvecs(&numbers(20 * 8, 2), 8));
        place.write("ids.npy", &npy_ids(&(0..300).map(|row| 1000 + 3 * row).collect::<Vec<_>>()));
        place.steep("build base.fvecs -o docs.steep --metric cosine").good();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program with the words of `arguments`, not yet started.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steep"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("STEEP_ISA");
        command
    }

    pub fn steep(&self, arguments: &str) -> Ended {
        Ended::of(self.command(arguments))
    }
}

impl Ended {
    pub fn of(mut command: Command) -> Self {
        let ended = command.output().unwrap();
        let [out, err] = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(!err.contains("panicked"), "{command:?}: {err}");
        Self { code: ended.status.code(), out, err }
    }

    /// Standard output of a run that must have gone well.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.good()).unwrap()
    }
}

/// Numbers in −1..1 that look random and are the same each time.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

pub fn fvecs(values: &[f32], dim: usize) -> Vec<u8> {
    let row = |row: &[f32]| {
        let mut bytes = (dim as i32).to_le_bytes().to_vec();
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    };
    values.chunks(dim).flat_map(row).collect()
}

pub fn npy_ids(ids: &[i64]) -> Vec<u8> {
    npy_ids_as("<i8", &format!("({}, 1)", ids.len()), ids)
}

/// The same of another 64-bit type and another shape.
pub fn npy_ids_as(descr: &str, shape: &str, ids: &[i64]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    bytes
}

/// Rows of an .ivecs file.
pub fn ivecs(bytes: &[u8]) -> Vec<Vec<i32>> {
    let words: Vec<i32> = bytes.chunks(4).map(|word| i32::from_le_bytes(word.try_into().unwrap())).collect();
    words.chunks(words[0] as usize + 1).map(|row| row[1..].to_vec()).collect()
}
