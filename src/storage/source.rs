//! Where do the bytes of a file come from? A mapped file, one read piece by piece, or memory.
//!
//! Every reader of files, native or foreign, goes through this door. Nothing behind it trusts a length
//! that a file states: a range is first compared with the bytes that are really there.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::Mmap;

use super::buffer::Buffer;
use super::mapped;
use crate::error::{Error, Result};
use crate::threads::{Monitor, pause};

/// Bytes read at once: few system calls, and a piece is still in the cache when it is checked and copied.
pub(crate) const PIECE: usize = 1 << 20;

/// A file's bytes, of known length.
pub(crate) struct Source<'a> {
    path: PathBuf,
    len: u64,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    /// Locked, for its position is shared by all who read.
    File(Mutex<File>),
    Mapped(Arc<Mmap>),
    Memory(&'a [u8]),
}

impl Source<'static> {
    /// Opens the regular file `path`, to be mapped or to be read.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses or `path` is a directory, a pipe or a device.
    pub fn open(path: &Path, mmap: bool) -> Result<Self> {
        let error = |action| move |e| Error::io(action, path, e);
        // Asked before opening, because opening a pipe waits for a writer.
        let kind = fs::metadata(path).map_err(error("open"))?.file_type();
        if kind.is_dir() {
            return Err(error("open")(io::ErrorKind::IsADirectory.into()));
        }
        if !kind.is_file() {
            return Err(error("open")(io::Error::other("not a regular file: copy it to one first")));
        }
        let file = File::open(path).map_err(error("open"))?;
        let len = file.metadata().map_err(error("open"))?.len();
        let bytes = match mmap && len > 0 {
            true => Bytes::Mapped(mapped::map(&file).map_err(error("map"))?),
            false => Bytes::File(Mutex::new(file)),
        };
        Self { path: path.into(), len, bytes }.little_endian()
    }
}

impl<'a> Source<'a> {
    /// A file's content that lies in memory already.
    ///
    /// # Errors
    /// [`Error::Format`] on a big-endian machine.
    pub fn memory(bytes: &'a [u8]) -> Result<Self> {
        Self { path: "<memory>".into(), len: bytes.len() as u64, bytes: Bytes::Memory(bytes) }.little_endian()
    }

    /// All formats are little-endian and are read in place, so a big-endian machine cannot.
    fn little_endian(self) -> Result<Self> {
        match cfg!(target_endian = "little") {
            true => Ok(self),
            false => Err(self.error(0, BIG_ENDIAN)),
        }
    }

    /// The file's path; `<memory>` where it has none.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// An [`Error::Format`] at byte `offset` of this file.
    pub fn error(&self, offset: u64, problem: impl Into<String>) -> Error {
        Error::format(&self.path, offset, problem)
    }

    /// Hands `range` to `visit` in order, with each piece's offset: `piece` bytes at a time, the last
    /// perhaps fewer.
    ///
    /// # Errors
    /// [`Error::Format`] where the file ends before `range` does, [`Error::Io`], and whatever `visit` returns.
    pub fn scan(
        &self,
        range: Range<u64>,
        piece: usize,
        mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let len = self.check(&range)?;
        let piece = piece.clamp(1, len.max(1));
        let offsets = range.clone().step_by(piece);
        let bytes = match &self.bytes {
            Bytes::Memory(bytes) => bytes,
            Bytes::Mapped(map) => &map[..],
            Bytes::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(range.start)).map_err(|e| Error::io("read", &self.path, e))?;
                let mut scratch = Vec::new();
                let memory = |_| Error::OutOfMemory { what: "reading a file", bytes: piece as u64 };
                scratch.try_reserve_exact(piece).map_err(memory)?;
                scratch.resize(piece, 0);
                for offset in offsets {
                    let bytes = &mut scratch[..piece.min((range.end - offset) as usize)];
                    file.read_exact(bytes).map_err(|e| Error::io("read", &self.path, e))?;
                    visit(offset, bytes)?;
                }
                return Ok(());
            }
        };
        let bytes = &bytes[range.start as usize..][..len];
        offsets.zip(bytes.chunks(piece)).try_for_each(|(offset, bytes)| visit(offset, bytes))
    }

    /// An owned copy of `range`. `what` names it in the error.
    ///
    /// # Errors
    /// As [`Source::scan`]; [`Error::OutOfMemory`].
    pub fn read(&self, what: &'static str, range: Range<u64>) -> Result<Buffer> {
        self.read_watched(what, range, None)
    }

    /// As [`Source::read`], for what may be long.
    ///
    /// # Errors
    /// As [`Source::read`]; [`Error::Interrupted`].
    pub fn read_watched(
        &self,
        what: &'static str,
        range: Range<u64>,
        monitor: Option<&dyn Monitor>,
    ) -> Result<Buffer> {
        let mut buffer = Buffer::with_capacity(what, self.check(&range)?)?;
        self.scan(range, PIECE, |offset, bytes| {
            buffer.extend(what, bytes)?;
            self.pause(monitor, offset + bytes.len() as u64)
        })?;
        Ok(buffer)
    }

    /// Tells `monitor` that the file has been read up to `offset`.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn pause(&self, monitor: Option<&dyn Monitor>, offset: u64) -> Result<()> {
        pause(monitor, "read", offset, self.len)
    }

    /// The pages of `range`, unread; `None` where this file is not mapped.
    ///
    /// # Errors
    /// [`Error::Format`] where the file ends before `range` does.
    pub fn lend(&self, range: Range<u64>) -> Result<Option<Buffer>> {
        let Bytes::Mapped(map) = &self.bytes else { return Ok(None) };
        let len = self.check(&range)?;
        let start = range.start as usize;
        Ok(Some(Buffer::mapped(map.clone(), start..start + len)))
    }

    /// The length of `range`, which must lie within the file.
    fn check(&self, range: &Range<u64>) -> Result<usize> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.len);
        length.and_then(|len| usize::try_from(len).ok()).ok_or_else(|| {
            let Range { start, end } = range;
            self.error(
                self.len,
                format!("the file ends here, but bytes {start} to {end} are needed: it was cut short"),
            )
        })
    }
}

/// What a big-endian machine is told.
pub(crate) const BIG_ENDIAN: &str = "the file is little-endian and this machine is big-endian: not supported";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_source_hands_out_the_same_bytes() {
        let content: Vec<u8> = (0..5000).map(|i| (i % 251) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        fs::write(&path, &content).unwrap();
        for source in [
            Source::open(&path, true).unwrap(),
            Source::open(&path, false).unwrap(),
            Source::memory(&content).unwrap(),
        ] {
            for (start, end, piece) in [(0, 5000, 1), (7, 4999, 64), (100, 100, 10), (0, 5000, usize::MAX)] {
                let mut seen = Vec::new();
                let whole = |offset: u64, bytes: &[u8]| {
                    assert_eq!(offset as usize, start + seen.len());
                    seen.extend_from_slice(bytes);
                    Ok(())
                };
                source.scan(start as u64..end as u64, piece, whole).unwrap();
                assert_eq!(seen, content[start..end]);
            }
            assert_eq!(source.read("test", 10..20).unwrap().bytes(), &content[10..20]);
            assert!(source.read("test", 4999..5001).is_err());
            assert!(source.read("test", 1..u64::MAX).is_err());
            assert!(source.lend(5001..5001).is_err() || source.lend(0..1).unwrap().is_none());
        }
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_path_buf(), dir.path().join("missing"), "/dev/null".into(), "".into()] {
            assert!(matches!(Source::open(&path, true), Err(Error::Io { action: "open", .. })), "{path:?}");
        }
    }
}
