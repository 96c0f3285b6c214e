//! Who owns these bytes? Either this process, in cache-line-aligned memory, or a file that is mapped.
//!
//! Whoever searches never needs to know which: both lend the same slices. A buffer that is written to
//! becomes owned first, so a mapped file is never changed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;

use super::pages::Pages;
use crate::error::{Error, Result};

/// One cache line; a vector of these is what aligns owned bytes without any unsafe code.
#[repr(C, align(64))]
#[derive(Clone, Copy, Zeroable, Pod)]
struct Line([u8; Buffer::ALIGN]);

/// Bytes, either owned and growable or a section of a mapped file.
///
/// ```
/// use steep::storage::Buffer;
/// let mut rows = Buffer::new();
/// rows.extend("rows", &1.5f32.to_ne_bytes())?;
/// assert_eq!(rows.as_slice::<f32>(), [1.5]);
/// # Ok::<(), steep::Error>(())
/// ```
pub struct Buffer(Bytes);

enum Bytes {
    /// The first `len` bytes of `lines`, which holds no line more than they need. `huge` where the pages that they move to shall be.
    Owned { lines: Vec<Line>, len: usize, huge: bool },
    /// The first `len` bytes of `pages`: what is large.
    Paged { pages: Pages, len: usize },
    /// `range` of `map`, which it lies within.
    Mapped { map: Arc<Mmap>, range: Range<usize> },
}

impl Buffer {
    /// Alignment in bytes of owned buffers and of every section of a Steep file: one cache line.
    pub const ALIGN: usize = 64;

    /// An empty, owned buffer.
    pub const fn new() -> Self {
        Self(Bytes::Owned { lines: Vec::new(), len: 0, huge: true })
    }

    /// An empty, owned buffer of what is read in order.
    pub const fn in_order() -> Self {
        Self(Bytes::Owned { lines: Vec::new(), len: 0, huge: false })
    }

    /// An empty, owned buffer with room for `bytes` bytes. `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn with_capacity(what: &'static str, bytes: usize) -> Result<Self> {
        Self::with_room(what, bytes, true)
    }

    fn with_room(what: &'static str, bytes: usize, huge: bool) -> Result<Self> {
        if bytes >= Pages::SIZE {
            let pages = Pages::new(bytes, huge).ok_or_else(|| out_of_memory(what, bytes))?;
            return Ok(Self(Bytes::Paged { pages, len: 0 }));
        }
        let mut lines = Vec::new();
        lines.try_reserve_exact(bytes.div_ceil(Self::ALIGN)).map_err(|_| out_of_memory(what, bytes))?;
        Ok(Self(Bytes::Owned { lines, len: 0, huge }))
    }

    /// `bytes` zeros, owned. `what` names them in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn zeroed(what: &'static str, bytes: usize) -> Result<Self> {
        let mut buffer = Self::with_capacity(what, bytes)?;
        match &mut buffer.0 {
            Bytes::Owned { lines, len, .. } => {
                lines.resize(bytes.div_ceil(Self::ALIGN), Line::zeroed());
                *len = bytes;
            }
            // Nothing was written to its pages yet.
            Bytes::Paged { len, .. } => *len = bytes,
            Bytes::Mapped { .. } => unreachable!("made owned above"),
        }
        Ok(buffer)
    }

    /// The bytes `range` of `map`, aligned as their place in the file is.
    ///
    /// # Panics
    /// Where `range` reaches beyond the map.
    pub(super) fn mapped(map: Arc<Mmap>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= map.len(),
            "{range:?} of {} mapped bytes",
            map.len()
        );
        Self(Bytes::Mapped { map, range })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Bytes::Owned { len, .. } | Bytes::Paged { len, .. } => *len,
            Bytes::Mapped { range, .. } => range.len(),
        }
    }

    /// True where there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True where the bytes are a file's pages, shared with every process that maps it.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Bytes::Mapped { .. })
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Owned { lines, len, .. } => &bytemuck::cast_slice(lines)[..*len],
            Bytes::Paged { pages, len } => &pages.bytes()[..*len],
            Bytes::Mapped { map, range } => &map[range.clone()],
        }
    }

    /// All bytes as values of `T`, in native byte order.
    ///
    /// # Panics
    /// Where the length is not a whole number of `T`, or where mapped bytes are not aligned for it:
    /// who takes bytes from a file checks that at the door, as
    /// [`Sections::array`](crate::storage::Sections::array) does.
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(self.bytes())
    }

    /// Appends `bytes`, in amortised constant time a byte; a mapped buffer becomes an owned copy first.
    /// `what` names the buffer in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; the buffer is then as it was.
    pub fn extend(&mut self, what: &'static str, mut bytes: &[u8]) -> Result<()> {
        self.own(what, bytes.len())?;
        if let Bytes::Owned { len, huge, .. } = &self.0
            && len.saturating_add(bytes.len()) >= Pages::SIZE
        {
            let mut paged = Self::with_room(what, len.saturating_add(bytes.len()), *huge)?;
            paged.extend(what, self.bytes())?;
            *self = paged;
        }
        let (lines, len) = match &mut self.0 {
            Bytes::Owned { lines, len, .. } => (lines, len),
            Bytes::Paged { pages, len } => {
                let needed = len.saturating_add(bytes.len());
                pages.reserve(needed, *len).ok_or_else(|| out_of_memory(what, needed))?;
                pages.write(*len, bytes);
                *len = needed;
                return Ok(());
            }
            Bytes::Mapped { .. } => unreachable!("made owned above"),
        };
        let needed = len.checked_add(bytes.len()).ok_or_else(|| out_of_memory(what, usize::MAX))?;
        let more = needed.div_ceil(Self::ALIGN) - lines.len();
        lines.try_reserve(more).map_err(|_| out_of_memory(what, needed))?;
        let room = lines.len() * Self::ALIGN - *len;
        if room > 0 {
            let (head, rest) = bytes.split_at(room.min(bytes.len()));
            bytemuck::cast_slice_mut(lines)[*len..][..head.len()].copy_from_slice(head);
            bytes = rest;
        }
        // Whole lines are copied straight into the new memory; zeroing it first would write it twice.
        let (whole, tail) = bytes.as_chunks::<{ Self::ALIGN }>();
        lines.extend(whole.iter().map(|line| Line(*line)));
        if !tail.is_empty() {
            let mut line = Line::zeroed();
            line.0[..tail.len()].copy_from_slice(tail);
            lines.push(line);
        }
        *len = needed;
        Ok(())
    }

    /// Appends zeros up to a length of `len`. `what` names the buffer in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn lengthen(&mut self, what: &'static str, len: usize) -> Result<()> {
        let zeros = [0; 4096];
        while self.len() < len {
            self.extend(what, &zeros[..(len - self.len()).min(zeros.len())])?;
        }
        Ok(())
    }

    /// Drops all bytes from `len` on; does nothing where there are not so many.
    pub fn truncate(&mut self, new: usize) {
        match &mut self.0 {
            Bytes::Owned { lines, len, .. } => {
                *len = new.min(*len);
                lines.truncate(len.div_ceil(Self::ALIGN));
            }
            Bytes::Paged { len, .. } => *len = new.min(*len),
            Bytes::Mapped { range, .. } => range.end = range.end.min(range.start.saturating_add(new)),
        }
    }

    /// All bytes, to be written to; a mapped buffer becomes an owned copy first. `what` names the buffer
    /// in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], from a mapped buffer only.
    pub fn bytes_mut(&mut self, what: &'static str) -> Result<&mut [u8]> {
        self.own(what, 0)?;
        match &mut self.0 {
            Bytes::Owned { lines, len, .. } => Ok(&mut bytemuck::cast_slice_mut(lines)[..*len]),
            Bytes::Paged { pages, len } => Ok(&mut pages.bytes_mut()[..*len]),
            Bytes::Mapped { .. } => unreachable!("made owned above"),
        }
    }

    /// Copies mapped bytes, with room for `more` of them.
    fn own(&mut self, what: &'static str, more: usize) -> Result<()> {
        if self.is_mapped() {
            let mut owned = Self::with_capacity(what, self.len().saturating_add(more))?;
            owned.extend(what, self.bytes())?;
            *self = owned;
        }
        Ok(())
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        match &self.0 {
            Bytes::Owned { lines, len, huge } => {
                Self(Bytes::Owned { lines: lines.clone(), len: *len, huge: *huge })
            }
            Bytes::Mapped { map, range } => Self(Bytes::Mapped { map: map.clone(), range: range.clone() }),
            Bytes::Paged { pages, len } => {
                // As a vector's clone does, this panics where there is no memory.
                let mut copy = Pages::new((*len).max(1), pages.are_huge()).expect("memory for a copy");
                copy.write(0, &pages.bytes()[..*len]);
                Self(Bytes::Paged { pages: copy, len: *len })
            }
        }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_mapped() { "mapped" } else { "owned" };
        write!(f, "Buffer({} bytes, {kind})", self.len())
    }
}

fn out_of_memory(what: &'static str, bytes: usize) -> Error {
    Error::OutOfMemory { what, bytes: bytes as u64 }
}

/// `len` times `value`, which are `what` in the error.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn filled<T: Clone>(what: &'static str, len: usize, value: T) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let bytes = (len as u64).saturating_mul(size_of::<T>() as u64);
    values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { what, bytes })?;
    values.resize(len, value);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(content: &[u8], range: Range<usize>) -> Buffer {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        Buffer::mapped(super::super::mapped::map(&file).unwrap(), range)
    }

    #[test]
    fn pieces_of_every_length_are_joined_as_a_vec_joins_them() {
        let content: Vec<u8> = (0..1000).map(|i| i as u8).collect();
        for piece in [1, 3, 63, 64, 65, 128, 200, 1000] {
            let (mut buffer, mut model) = (Buffer::new(), Vec::new());
            for bytes in content.chunks(piece) {
                buffer.extend("test", bytes).unwrap();
                model.extend_from_slice(bytes);
                assert_eq!(buffer.bytes(), model);
                assert!(buffer.bytes().as_ptr().addr().is_multiple_of(Buffer::ALIGN));
            }
        }
    }

    #[test]
    fn what_outgrows_a_huge_page_stays_what_it_was() {
        let piece: Vec<u8> = (0..700_001).map(|i| (i % 251) as u8).collect();
        let (mut buffer, mut small, mut model) = (Buffer::new(), Buffer::in_order(), Vec::new());
        for _ in 0..8 {
            buffer.extend("test", &piece).unwrap();
            model.extend_from_slice(&piece);
            small.extend("test", &piece).unwrap();
            for buffer in [&buffer, &small, &small.clone()] {
                assert!(buffer.bytes() == model && !buffer.is_mapped());
                assert!(buffer.bytes().as_ptr().addr().is_multiple_of(Buffer::ALIGN));
            }
        }
        buffer.bytes_mut("test").unwrap()[3_000_000] = 255;
        let copy = buffer.clone();
        buffer.truncate(1000);
        buffer.lengthen("test", 3_000_000).unwrap();
        assert!(buffer.bytes()[..1000] == model[..1000] && buffer.bytes()[1000..].iter().all(|b| *b == 0));
        assert!(copy.len() == model.len() && copy.bytes()[3_000_000] == 255);
        assert!(Buffer::zeroed("test", 5 << 20).unwrap().bytes().iter().all(|b| *b == 0));
    }

    #[test]
    fn bytes_after_truncation_are_the_new_ones() {
        let mut buffer = Buffer::new();
        buffer.extend("test", &[7; 130]).unwrap();
        buffer.truncate(1000);
        assert_eq!(buffer.len(), 130);
        buffer.truncate(66);
        buffer.extend("test", &[9; 70]).unwrap();
        assert_eq!(buffer.bytes(), [[7; 66].as_slice(), &[9; 70]].concat());
        buffer.truncate(0);
        assert!(buffer.is_empty() && buffer.as_slice::<f32>().is_empty());
    }

    #[test]
    fn writing_to_a_mapped_buffer_copies_it_first() {
        let content: Vec<u8> = (0..=255).collect();
        let mut buffer = mapped(&content, 64..200);
        let before = buffer.clone();
        assert!(buffer.is_mapped() && buffer.bytes() == &content[64..200]);
        buffer.bytes_mut("test").unwrap()[0] = 0;
        assert!(!buffer.is_mapped() && buffer.bytes()[0] == 0 && before.bytes()[0] == 64);

        let mut longer = before.clone();
        longer.truncate(10);
        assert!(longer.is_mapped() && longer.len() == 10);
        longer.extend("test", &[1, 2]).unwrap();
        assert_eq!(longer.bytes(), [64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 1, 2]);
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        let error = Buffer::with_capacity("codes", usize::MAX).unwrap_err();
        assert_eq!(error.to_string(), format!("no memory for {} bytes of codes", usize::MAX));
    }
}
