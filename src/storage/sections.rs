//! What is in this file? The sections of an opened one: borrowed where that is safe, checked where it matters.
//!
//! Opening checks the header and the table, never more, so that a mapped file of any size opens in
//! microseconds. A section that is read is checked as it passes; one that is mapped is not, because checking
//! means reading all of it: [`Sections::verify`] does that on demand.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::buffer::Buffer;
use super::format::{self, Entry, Tag};
use super::source::{PIECE, Source};
use crate::error::{Error, Result};
use crate::threads::Monitor;

/// An opened file (or the same bytes in memory), and its table of sections.
///
/// ```
/// use steep::storage::{Sections, Tag, to_bytes};
/// const ROWS: Tag = Tag::new("rows");
/// let file = to_bytes(&[(ROWS, &[&[0, 0, 128, 63], &[0, 0, 0, 64]])])?;
/// let rows = Sections::from_bytes(&file)?.array::<f32>(ROWS, &[2, 1])?;
/// assert_eq!(rows.as_slice::<f32>(), [1.0, 2.0]);
/// # Ok::<(), steep::Error>(())
/// ```
pub struct Sections<'a> {
    source: Source<'a>,
    table: Vec<Entry>,
    /// Sections that were read ahead of who will ask for them.
    ahead: Mutex<Vec<(Tag, Buffer)>>,
}

impl fmt::Debug for Sections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sections({}: ", self.path().display())?;
        f.debug_map().entries(self.tags()).finish()?;
        f.write_str(")")
    }
}

impl Sections<'static> {
    /// Opens the file `path`. With `mmap`, buffers are the file's own pages and nothing but the table is
    /// read now; see [the limit](super). Without it, they are read and checked as they are asked for.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses, [`Error::Format`] where the file is foreign, of another
    /// version, cut short or damaged.
    pub fn open(path: impl AsRef<Path>, mmap: bool) -> Result<Self> {
        Self::new(Source::open(path.as_ref(), mmap)?)
    }
}

impl<'a> Sections<'a> {
    /// The same from a file's content, as [`to_bytes`](super::to_bytes) returns it.
    ///
    /// # Errors
    /// [`Error::Format`], as [`Sections::open`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::new(Source::memory(bytes)?)
    }

    fn new(source: Source<'a>) -> Result<Self> {
        Ok(Self { table: format::read_table(&source)?, source, ahead: Mutex::default() })
    }

    /// The file's path; `<memory>` where it has none.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Every section's tag and length in bytes, in the file's order.
    pub fn tags(&self) -> impl Iterator<Item = (Tag, u64)> {
        self.table.iter().map(|entry| (entry.tag, entry.len))
    }

    /// The section `tag`: mapped and unchecked where the file is mapped, else read and checked.
    ///
    /// # Errors
    /// [`Error::Format`] where there is no such section or it is damaged, [`Error::Io`],
    /// [`Error::OutOfMemory`].
    pub fn buffer(&self, tag: Tag) -> Result<Buffer> {
        self.lend(self.entry(tag)?)
    }

    /// As [`Sections::buffer`]; `None` where there is no such section.
    ///
    /// # Errors
    /// As [`Sections::buffer`].
    pub fn optional(&self, tag: Tag) -> Result<Option<Buffer>> {
        self.find(tag).map(|entry| self.lend(entry)).transpose()
    }

    /// As [`Sections::buffer`], for a section that must hold exactly the product of `shape` values of `T`,
    /// so that [`Buffer::as_slice`] cannot fail. The shape may come from the file itself.
    ///
    /// # Errors
    /// As [`Sections::buffer`]; [`Error::Format`] where the section is of another length.
    pub fn array<T: Pod>(&self, tag: Tag, shape: &[usize]) -> Result<Buffer> {
        let entry = self.entry(tag)?;
        let bytes = shape.iter().try_fold(size_of::<T>() as u64, |bytes, n| bytes.checked_mul(*n as u64));
        if bytes != Some(entry.len) {
            let problem =
                format!("holds {} bytes, not {shape:?} values of {} bytes", entry.len, size_of::<T>());
            return Err(self.error(tag, &problem));
        }
        self.lend(entry)
    }

    /// The section `tag` as finite floats of a shape, checked: for tables that every search depends on.
    ///
    /// # Errors
    /// As [`Sections::array`]; [`Error::Format`] where a value is not finite.
    pub(crate) fn floats(&self, tag: Tag, shape: &[usize]) -> Result<Vec<f32>> {
        self.array::<f32>(tag, shape)?;
        let values = self.small(tag)?.as_slice::<f32>().to_vec();
        match values.iter().all(|v| v.is_finite()) {
            true => Ok(values),
            false => Err(self.error(tag, "a value that is not finite")),
        }
    }

    /// The section `tag`, always read, checked and owned: for the few bytes that everything else depends on.
    ///
    /// # Errors
    /// As [`Sections::buffer`].
    pub fn small(&self, tag: Tag) -> Result<Buffer> {
        self.read(self.entry(tag)?, None)
    }

    /// Reads and checks every section now, with the monitor asked between pieces. Who first asks for a section then
    /// gets it as it is. The monitor is not kept, because threads share an opened file and not a monitor.
    ///
    /// # Errors
    /// As [`Sections::buffer`]; [`Error::Interrupted`].
    pub(crate) fn read_ahead(&self, monitor: &dyn Monitor) -> Result<()> {
        for entry in &self.table {
            let section = self.read(entry, Some(monitor))?;
            self.ahead.lock().unwrap_or_else(PoisonError::into_inner).push((entry.tag, section));
        }
        Ok(())
    }

    /// Reads the whole file, a piece at a time, and checks every byte of it.
    ///
    /// # Errors
    /// [`Error::Format`] at the first section that is damaged, [`Error::Io`].
    pub fn verify(&self) -> Result<()> {
        for entry in &self.table {
            self.scan(entry, |_, _| Ok(()))?;
        }
        for pair in self.table.windows(2) {
            self.source.scan(pair[0].range().end..pair[1].offset, PIECE, |offset, gap| {
                match gap.iter().position(|byte| *byte != 0) {
                    None => Ok(()),
                    Some(i) => {
                        Err(self.source.error(offset + i as u64, "not 0 between two sections: damaged"))
                    }
                }
            })?;
        }
        Ok(())
    }

    /// An [`Error::Format`] about the section `tag`, for whoever understands its content.
    pub fn error(&self, tag: Tag, problem: &str) -> Error {
        self.source.error(self.find(tag).map_or(0, |entry| entry.offset), format!("section {tag}: {problem}"))
    }

    fn find(&self, tag: Tag) -> Option<&Entry> {
        self.table.iter().find(|entry| entry.tag == tag)
    }

    fn entry(&self, tag: Tag) -> Result<&Entry> {
        self.find(tag).ok_or_else(|| self.error(tag, "missing"))
    }

    fn lend(&self, entry: &Entry) -> Result<Buffer> {
        match self.source.lend(entry.range())? {
            Some(pages) => Ok(pages),
            None => self.read(entry, None),
        }
    }

    fn read(&self, entry: &Entry, monitor: Option<&dyn Monitor>) -> Result<Buffer> {
        const WHAT: &str = "a section of the file";
        {
            let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = ahead.iter().position(|(tag, _)| *tag == entry.tag) {
                return Ok(ahead.swap_remove(at).1);
            }
        }
        let len =
            usize::try_from(entry.len).map_err(|_| Error::OutOfMemory { what: WHAT, bytes: entry.len })?;
        let mut buffer = Buffer::with_capacity(WHAT, len)?;
        self.scan(entry, |offset, bytes| {
            buffer.extend(WHAT, bytes)?;
            self.source.pause(monitor, offset + bytes.len() as u64)
        })?;
        Ok(buffer)
    }

    /// Hands a section to `visit`, piece by piece with the offset in the file, and compares its checksum at the end.
    fn scan(&self, entry: &Entry, mut visit: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut crc = crc32fast::Hasher::new();
        self.source.scan(entry.range(), PIECE, |offset, bytes| {
            crc.update(bytes);
            visit(offset, bytes)
        })?;
        let crc = crc.finalize();
        if crc == entry.crc {
            return Ok(());
        }
        Err(self.error(
            entry.tag,
            &format!("its checksum is {crc:08x}, not {:08x}: the file is damaged", entry.crc),
        ))
    }
}
