//! How does an index outlive its process? As one file of named, checked, aligned sections.
//!
//! [`save`] writes them so that no moment exists at which the file is half-written; [`Sections`] opens
//! them, mapped or read, and trusts nothing that it has not checked. [`Buffer`] holds a section's bytes,
//! wherever they are. The layout is described in `storage/format.rs`.
//!
//! # The limit of a mapped file
//! Whoever may write to a file may also cut it short or change it while it is mapped. Then the operating
//! system ends this process on the next touch of a lost page (SIGBUS), or a search sees the new bytes; no
//! checksum can prevent that. Steep itself never does it: a save renames a new file into place, and those
//! who mapped the old one keep it whole. Where others may overwrite files in place, open them with
//! `mmap = false`. Every other broken file is a typed error.

mod buffer;
mod format;
mod mapped;
mod pages;
mod replace;
mod sections;
mod source;

use std::path::Path;

pub use buffer::Buffer;
pub(crate) use buffer::filled;
pub use format::{Section, Tag, VERSION};
pub use sections::Sections;

pub(crate) use replace::replace;
pub(crate) use source::{PIECE, Source};

use crate::error::{Error, Result};
use crate::threads::Monitor;

/// How to write a file. `SaveParams::default()` is without a monitor.
#[derive(Clone, Copy, Default)]
pub struct SaveParams<'a> {
    /// Watches the call and may end it: the file is then as it was.
    pub monitor: Option<&'a dyn Monitor>,
}

/// How to open a file. `OpenParams::default()` reads it, without a monitor.
#[derive(Clone, Copy, Default)]
pub struct OpenParams<'a> {
    /// Map the file rather than read it; see [the limit](self).
    pub mmap: bool,
    /// Watches what is read and may end it.
    pub monitor: Option<&'a dyn Monitor>,
}

/// Writes `sections`, in their order, to the file `path`, whole or not at all.
///
/// The file is written beside `path`, synced and renamed over it: a kill at any moment leaves the old
/// file or the new one. Saving over a file that is mapped is safe; who mapped it keeps the old one.
///
/// # Errors
/// [`Error::Io`] where the system refuses (disk full, no such directory), or where `path` is
/// read-only or not a regular file; the old file is then as it was.
///
/// # Panics
/// Where there are no sections, more than 64, or two of one tag.
pub fn save(path: impl AsRef<Path>, sections: &[Section<'_>]) -> Result<()> {
    save_with(path, sections, &SaveParams::default())
}

/// As [`save`], by `params`.
///
/// # Errors
/// As [`save`]; [`Error::Interrupted`], and the old file is as it was.
///
/// # Panics
/// As [`save`].
pub fn save_with(path: impl AsRef<Path>, sections: &[Section<'_>], params: &SaveParams) -> Result<()> {
    let layout = format::Layout::new(sections, params.monitor)?;
    replace(path.as_ref(), layout.file_len(), params.monitor, |out| layout.write(sections, out))
}

/// The bytes that [`save`] would write.
///
/// # Errors
/// [`Error::OutOfMemory`].
///
/// # Panics
/// As [`save`].
pub fn to_bytes(sections: &[Section<'_>]) -> Result<Vec<u8>> {
    let layout = format::Layout::new(sections, None)?;
    let memory = Error::OutOfMemory { what: "a saved index", bytes: layout.file_len() };
    let mut bytes = Vec::new();
    match usize::try_from(layout.file_len()).map(|len| bytes.try_reserve_exact(len)) {
        Ok(Ok(())) => layout.write(sections, &mut bytes).map(|()| bytes).map_err(|_| memory),
        _ => Err(memory),
    }
}
