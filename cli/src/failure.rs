//! How can a command end, other than well? Each way with its exit status and one line of words.

use std::{fmt, io};

/// Why a command did not do its work.
pub enum Failure {
    /// The library refused, in its own words.
    Steep(steep::Error),
    /// The command makes no sense.
    Usage(String),
    /// The command made sense, its files or the machine did not allow it.
    Work(String),
    /// A signal asked to stop; its number.
    Interrupted(usize),
    /// Who reads the output has had enough: not an error.
    ClosedPipe,
}

impl Failure {
    /// The status for a command that makes no sense; clap's, too.
    pub const USAGE: u8 = 2;

    /// The status that the process ends with.
    pub fn status(&self) -> u8 {
        match self {
            Self::Steep(
                steep::Error::Argument { .. } | steep::Error::Knob { .. } | steep::Error::Spec { .. },
            )
            | Self::Usage(_) => Self::USAGE,
            Self::Steep(_) | Self::Work(_) => 1,
            Self::Interrupted(signal) => 128 + *signal as u8, // as a shell reports it
            Self::ClosedPipe => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Steep(error) => error.to_string(),
            Self::Usage(text) | Self::Work(text) => text.clone(),
            Self::Interrupted(_) => "interrupted: nothing was changed".to_owned(),
            Self::ClosedPipe => String::new(),
        };
        // One line, whatever a path or a system's message holds.
        f.write_str(&text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl From<steep::Error> for Failure {
    fn from(error: steep::Error) -> Self {
        Self::Steep(error)
    }
}

/// Only standard output is written with bare `io` calls.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Work(format!("cannot write to standard output: {error}")),
        }
    }
}
