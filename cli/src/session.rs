//! What do all commands share? How they print, how they show progress, and how they are stopped.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// A command's result: its fields are the JSON document, `text` is what a person reads.
pub trait Report: Serialize {
    /// Writes the result for a person.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// One run of the program.
pub struct Session {
    json: bool,
    quiet: bool,
    /// Whether somebody pressed Ctrl-C.
    pub interrupt: Interrupt,
}

impl Session {
    /// Listens for signals from now on.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, interrupt: Interrupt::listen() }
    }

    /// True where the result is to be JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A fresh monitor for a long call.
    pub fn progress(&self) -> Progress<'_> {
        Progress::new(&self.interrupt, self.quiet)
    }

    /// Prints a command's result to standard output.
    pub fn print(&self, report: &impl Report) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        if self.json {
            serde_json::to_writer(&mut out, report).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            report.text(&mut out)?;
        }
        Ok(out.flush()?)
    }

    /// Tells of a failure, where whoever runs the command will look for it, and returns its status.
    pub fn report(&self, failure: &Failure) -> ExitCode {
        // There is nowhere left to tell of an error while telling of one.
        _ = match failure {
            Failure::ClosedPipe => Ok(()),
            _ if self.json => {
                writeln!(io::stdout(), "{}", serde_json::json!({ "error": failure.to_string() }))
            }
            _ => writeln!(io::stderr(), "error: {failure}"),
        };
        let status = match (failure, self.interrupt.signal()) {
            (Failure::Steep(steep::Error::Interrupted), Some(signal)) => {
                Failure::Interrupted(signal).status()
            }
            _ => failure.status(),
        };
        ExitCode::from(status)
    }
}
