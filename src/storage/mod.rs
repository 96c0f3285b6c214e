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
pub use format::{Section, Tag, VERSION};
pub use sections::Sections;

pub(crate) use replace::replace;
pub(crate) use source::{PIECE, Source};

use crate::error::{Error, Result};

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
    let layout = format::Layout::new(sections);
    replace(path.as_ref(), |out| layout.write(sections, out))
}

/// The bytes that [`save`] would write.
///
/// # Errors
/// [`Error::OutOfMemory`].
///
/// # Panics
/// As [`save`].
pub fn to_bytes(sections: &[Section<'_>]) -> Result<Vec<u8>> {
    let layout = format::Layout::new(sections);
    let memory = Error::OutOfMemory { what: "a saved index", bytes: layout.file_len() };
    let mut bytes = Vec::new();
    match usize::try_from(layout.file_len()).map(|len| bytes.try_reserve_exact(len)) {
        Ok(Ok(())) => layout.write(sections, &mut bytes).map(|()| bytes).map_err(|_| memory),
        _ => Err(memory),
    }
}
