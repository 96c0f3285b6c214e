//! What can go wrong, each with the value that was wrong and how to mend it.

use std::{io, path::PathBuf};

use crate::index::Spec;
use crate::vectors::{Dtype, Vectors};

/// The one error type of the crate. Every variant carries the offending values.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is outside its range.
    #[error("{name} = {value}: expected {expected}")]
    Argument {
        /// The argument's name, as the caller wrote it.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// Vectors of one length were given where another is needed.
    #[error("{what} have {got} dimensions, the index has {expected}: pass vectors of shape (n, {expected})")]
    Dimension {
        /// Which vectors ("queries", "vectors").
        what: &'static str,
        /// The index's dimension.
        expected: usize,
        /// The vectors' dimension.
        got: usize,
    },
    /// Vectors of one number of bits were given where another is needed.
    #[error(
        "{what} have {got} bits, the index has {expected}: pass bytes of shape (n, {}), eight bits each",
        .expected / 8
    )]
    Bits {
        /// Which vectors ("queries", "vectors").
        what: &'static str,
        /// The index's bits.
        expected: usize,
        /// The vectors' bits.
        got: usize,
    },
    /// A buffer's length is not a whole number of rows.
    #[error("{len} values do not make rows of {dim}: pass n × {dim} values")]
    Shape {
        /// Values in the buffer.
        len: usize,
        /// Values a row needs.
        dim: usize,
    },
    /// A NaN or an infinity in the input.
    #[error(
        "{what} row {row} holds {value} at column {column}: remove or replace it, distances to it have no order"
    )]
    NotFinite {
        /// Which vectors ("queries", "vectors").
        what: &'static str,
        /// The row.
        row: usize,
        /// The first such column of that row.
        column: usize,
        /// NaN, inf or -inf.
        value: f32,
    },
    /// A zero vector has no direction, so it has no cosine.
    #[error("{what} row {row} is all zeros, which has no cosine: drop it, or use metric \"l2\" or \"ip\"")]
    ZeroVector {
        /// Which vectors ("queries", "vectors").
        what: &'static str,
        /// The row.
        row: usize,
    },
    /// A value that the index's element type would change.
    #[error(
        "{what} row {row} holds {value} at column {column}, which {dtype} does not hold exactly: convert the {what}, or build with their dtype"
    )]
    Inexact {
        /// Which vectors ("vectors").
        what: &'static str,
        /// The row.
        row: usize,
        /// The first such column of that row.
        column: usize,
        /// The value.
        value: f64,
        /// The index's type.
        dtype: Dtype,
    },
    /// The number of ids is not the number of vectors.
    #[error("{ids} ids for {vectors} vectors: pass one id a vector, or none")]
    IdCount {
        /// Ids given.
        ids: usize,
        /// Vectors given.
        vectors: usize,
    },
    /// An id is taken already, by the index or by an earlier row of the same call.
    #[error("id {id} (row {row}) is taken already: ids must be unique")]
    DuplicateId {
        /// The id.
        id: u64,
        /// The row of the call that brought it.
        row: usize,
    },
    /// An id is too large for the file that it was to be written to.
    #[error(
        "{}: row {row} holds id {id}, beyond the 32 bits that this format has for one: write a .npy file", .path.display()
    )]
    WideId {
        /// The file.
        path: PathBuf,
        /// The id.
        id: u64,
        /// The row that holds it.
        row: usize,
    },
    /// A setting of a search that this kind of index has not.
    #[error(
        "{name} = {value}: an index of spec \"{spec}\" has no such knob: leave it out, or build with spec {fits}"
    )]
    Knob {
        /// The setting's name.
        name: &'static str,
        /// What was given.
        value: usize,
        /// The index's kind.
        spec: Box<Spec>,
        /// The kinds that have it.
        fits: &'static str,
    },
    /// An index description that cannot be read.
    #[error("spec \"{spec}\": {problem} at character {position}: expected {expected}")]
    Spec {
        /// The whole text.
        spec: String,
        /// Where the bad part begins, counted from 0.
        position: usize,
        /// What is wrong with it.
        problem: &'static str,
        /// What would fit there.
        expected: &'static str,
    },
    /// A file does not hold what it should.
    #[error("{}: {problem} (at byte {offset})", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What is wrong there, with the values found.
        problem: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// "open", "read", "write" …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// Memory could not be had.
    #[error("no memory for {bytes} bytes of {what}")]
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// How much was asked for.
        bytes: u64,
    },
    /// The caller's monitor asked to stop; nothing was changed.
    #[error("interrupted: nothing was changed")]
    Interrupted,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Argument`] from anything printable.
    pub fn argument(name: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self::Argument { name, value: value.to_string(), expected }
    }

    /// An [`Error::Dimension`] or [`Error::Bits`], where `vectors` have not the dimension of an index of `dtype`.
    pub(crate) fn check_dim(
        what: &'static str,
        dtype: Dtype,
        expected: usize,
        vectors: &Vectors,
    ) -> Result<()> {
        match vectors.dim() {
            got if got == expected => Ok(()),
            got if dtype == Dtype::B1 => Err(Self::Bits { what, expected, got }),
            got => Err(Self::Dimension { what, expected, got }),
        }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    /// An [`Error::Format`] for `path`.
    pub fn format(path: impl Into<PathBuf>, offset: u64, problem: impl Into<String>) -> Self {
        Self::Format { path: path.into(), offset, problem: problem.into() }
    }
}
