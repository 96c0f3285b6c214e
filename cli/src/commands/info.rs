//! `steep info`: what is in this file, and what can this machine do?

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use steep::kernels::{self, Isa};
use steep::{Index, OpenParams, faiss};

use crate::facts::Facts;
use crate::failure::Failure;
use crate::figures::{Table, counted, rounded, size};
use crate::session::{Report, Session};

#[derive(Args)]
#[command(after_help = "\
Examples:
  steep info docs.steep
      size, metric, spec and the bytes of each part
  steep info docs.steep --verify
      also read the whole file and compare its checksums
  steep info x.faiss
      the objects in a file of Faiss's, and their fields
  steep info --cpu
      the instruction sets of this machine and the one in use
  STEEP_ISA=avx2 steep info --cpu
      whether the override is honoured")]
pub struct Arguments {
    /// An index file, as `steep build` writes
    #[arg(required_unless_present = "cpu")]
    index: Option<PathBuf>,

    /// Show the instruction sets that this machine has and the one in use
    #[arg(long)]
    cpu: bool,

    /// Read the whole file and compare its checksums
    #[arg(long, requires = "index")]
    verify: bool,
}

#[derive(Serialize)]
struct Known {
    #[serde(flatten)]
    file: Option<File>,
    #[serde(flatten)]
    foreign: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
}

#[derive(Serialize)]
struct File {
    index: PathBuf,
    #[serde(flatten)]
    facts: Facts,
    file_bytes: u64,
    parts: BTreeMap<&'static str, u64>,
    details: BTreeMap<&'static str, String>,
    /// True where every checksum was compared and fits; a file that does not fit is an error.
    verified: bool,
}

/// A file of Faiss's.
#[derive(Serialize)]
struct Foreign {
    index: PathBuf,
    file_bytes: u64,
    /// A line for each object in it, indented as they lie in each other.
    objects: Vec<String>,
}

#[derive(Serialize)]
struct Cpu {
    isa: &'static str,
    available: Vec<&'static str>,
    /// What STEEP_ISA asks for, and whether it was honoured.
    requested: Option<String>,
    honoured: Option<bool>,
    features: BTreeMap<&'static str, bool>,
    cores: usize,
}

pub fn run(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let (foreign, own) = match arguments.index.as_deref() {
        Some(path) if faiss::file::is_faiss_file(path) => (Some(path), None),
        path => (None, path),
    };
    let file = own.map(|path| look(path, arguments.verify, session)).transpose()?;
    let foreign = foreign.map(|path| look_at_foreign(path, session)).transpose()?;
    session.print(&Known { file, foreign, cpu: arguments.cpu.then(cpu) })
}

fn look_at_foreign(path: &Path, session: &Session) -> Result<Foreign, Failure> {
    let progress = session.progress();
    let record = faiss::file::read(path, faiss::file::Root::Any, false, Some(&progress))?;
    let file_bytes = path.metadata().map_err(|e| steep::Error::io("read", path, e))?.len();
    Ok(Foreign { index: path.to_owned(), file_bytes, objects: faiss::file::describe(&record) })
}

fn look(path: &Path, verify: bool, session: &Session) -> Result<File, Failure> {
    let progress = session.progress();
    let index = Index::open_with(path, &OpenParams { mmap: !verify, monitor: Some(&progress) })?;
    Ok(File {
        index: path.to_owned(),
        facts: Facts::of(&index),
        file_bytes: path.metadata().map_err(|e| steep::Error::io("read", path, e))?.len(),
        parts: index.bytes().into_iter().collect(),
        details: index.info().into_iter().collect(),
        verified: verify,
    })
}

fn cpu() -> Cpu {
    let isa = Isa::active().name();
    let requested = Isa::requested();
    Cpu {
        isa,
        available: Isa::available().into_iter().map(Isa::name).collect(),
        honoured: requested.as_ref().map(|name| name == isa),
        requested,
        features: kernels::features().into_iter().collect(),
        cores: steep::threads::available(),
    }
}

impl Report for Known {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.text(out)?;
        }
        if let Some(file) = &self.foreign {
            writeln!(out, "{}: {}, written by Faiss", file.index.display(), size(file.file_bytes))?;
            file.objects.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        match &self.cpu {
            Some(cpu) => cpu.text(out),
            None => Ok(()),
        }
    }
}

impl File {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: {}", self.index.display(), size(self.file_bytes))?;
        writeln!(out, "{}", self.facts)?;
        for (name, value) in &self.details {
            writeln!(out, "{name}: {value}")?;
        }
        let mut table = Table::new(&["part", "size", "bytes", "a vector"]);
        for (name, bytes) in &self.parts {
            let each = *bytes as f64 / self.facts.vectors().max(1) as f64;
            table.row(vec![(*name).to_owned(), size(*bytes), bytes.to_string(), rounded(each)]);
        }
        write!(out, "\n{table}")?;
        if self.verified {
            writeln!(out, "\nevery checksum fits")?;
        }
        Ok(())
    }
}

impl Cpu {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let others: Vec<_> = self.available.iter().filter(|&&name| name != self.isa).copied().collect();
        writeln!(
            out,
            "{}, {} in use (also available: {})",
            counted(self.cores, "core", "cores"),
            self.isa,
            others.join(", ")
        )?;
        match (&self.requested, self.honoured) {
            (Some(name), Some(true)) => writeln!(out, "STEEP_ISA={name}: honoured")?,
            (Some(name), _) => {
                writeln!(out, "STEEP_ISA={name}: ignored, it is not among {}", self.available.join(", "))?;
            }
            (None, _) => writeln!(out, "STEEP_ISA is not set: the best was chosen")?,
        }
        for (name, has) in &self.features {
            writeln!(out, "  {name:<16} {}", if *has { "yes" } else { "no" })?;
        }
        Ok(())
    }
}
