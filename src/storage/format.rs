//! What does a Steep file look like? A header, a table, and the sections that the table names.
//!
//! All numbers are little-endian.
//!
//! | bytes | header |
//! |---|---|
//! | 0–7 | `STEEP`, 0, CR, LF: whatever treats the file as text damages these first |
//! | 8–11 | format version |
//! | 12–15 | flags, 0 in this version |
//! | 16–19 | number of sections, 1 to 64 |
//! | 20–23 | CRC-32 of header and table, computed with these four bytes 0 |
//! | 24–31 | length of the file |
//!
//! | bytes | entry of the table, 32 bytes a section, directly after the header |
//! |---|---|
//! | 0–7 | tag: 1 to 8 ASCII letters, digits, `-`, `.` or `_`, filled up with 0 |
//! | 8–15 | offset in the file |
//! | 16–23 | length |
//! | 24–27 | CRC-32 of the section |
//! | 28–31 | 0 |
//!
//! Sections lie in the order of the table, the first after it, the last up to the end of the file. Each begins at a
//! multiple of 64 bytes, so that a mapped section is aligned as an owned [`Buffer`](super::Buffer) is; one
//! of 64 KiB or more begins at a page (4,096 bytes), so that no page is touched for two sections' sake.
//! The bytes between them are 0.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::source::{PIECE, Source};
use crate::error::Result;
use crate::threads::{Monitor, pause};

/// The version of the format that this Steep writes and reads.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"STEEP\0\r\n";
const MAX_SECTIONS: usize = 64;
const ALIGN: u64 = super::Buffer::ALIGN as u64;
const PAGE: u64 = 4096;
const LARGE: u64 = 65_536;

/// A section to be saved: its tag, and the parts whose bytes it is made of, in order.
pub type Section<'a> = (Tag, &'a [&'a [u8]]);

/// The name of a section: 1 to 8 ASCII letters, digits, `-`, `.` or `_`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Tag([u8; 8]);

impl Tag {
    /// The tag `name`; meant for constants, where a bad name does not compile.
    ///
    /// # Panics
    /// Where `name` is not a tag.
    pub const fn new(name: &str) -> Self {
        let mut tag = [0; 8];
        assert!(name.len() <= tag.len(), "a tag has at most 8 characters");
        let mut i = 0;
        while i < name.len() {
            tag[i] = name.as_bytes()[i];
            i += 1;
        }
        assert!(Self(tag).is_valid(), "a tag is made of ASCII letters, digits, '-', '.' and '_'");
        Self(tag)
    }

    const fn is_valid(self) -> bool {
        let (mut i, mut ended) = (0, false);
        while i < self.0.len() {
            match self.0[i] {
                0 => ended = true,
                b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if !ended => {}
                _ => return false,
            }
            i += 1;
        }
        self.0[0] != 0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Header {
    magic: [u8; 8],
    version: u32,
    flags: u32,
    sections: u32,
    checksum: u32,
    file_len: u64,
}

const HEADER: u64 = size_of::<Header>() as u64;
const ENTRY: u64 = size_of::<Entry>() as u64;

impl Header {
    /// The checksum that belongs to this header with `table`.
    fn sum(&self, table: &[Entry]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(bytemuck::bytes_of(&Self { checksum: 0, ..*self }));
        crc.update(bytemuck::cast_slice(table));
        crc.finalize()
    }
}

/// One row of the table.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Entry {
    pub tag: Tag,
    pub offset: u64,
    pub len: u64,
    pub crc: u32,
    reserved: u32,
}

impl Entry {
    /// Where the section lies; inside the file, once [`read_table`] has let it pass.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.len
    }
}

/// Where everything will lie in a file to be written.
pub(super) struct Layout {
    header: Header,
    table: Vec<Entry>,
}

impl Layout {
    /// Reads all sections once, for their checksums.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn new(sections: &[Section<'_>], monitor: Option<&dyn Monitor>) -> Result<Self> {
        let count = sections.len();
        assert!(
            (1..=MAX_SECTIONS).contains(&count),
            "a file holds 1 to {MAX_SECTIONS} sections, not {count}"
        );
        let total = sections.iter().flat_map(|(_, parts)| *parts).map(|part| part.len() as u64).sum();
        let mut done = 0;
        let mut file_len = HEADER + ENTRY * count as u64;
        let mut table = Vec::<Entry>::with_capacity(count);
        for &(tag, parts) in sections {
            assert!(table.iter().all(|entry| entry.tag != tag), "two sections {tag}");
            let mut crc = crc32fast::Hasher::new();
            let before = done;
            for piece in parts.iter().flat_map(|part| part.chunks(PIECE)) {
                pause(monitor, "checksum", done, total)?;
                crc.update(piece);
                done += piece.len() as u64;
            }
            let len = done - before;
            let offset = file_len.next_multiple_of(if len < LARGE { ALIGN } else { PAGE });
            table.push(Entry { tag, offset, len, crc: crc.finalize(), reserved: 0 });
            file_len = offset + len;
        }
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            flags: 0,
            sections: count as u32,
            checksum: 0,
            file_len,
        };
        let header = Header { checksum: header.sum(&table), ..header };
        Ok(Self { header, table })
    }

    pub fn file_len(&self) -> u64 {
        self.header.file_len
    }

    /// Writes the file front to back. `sections` are those that the layout was made for.
    pub fn write(&self, sections: &[Section<'_>], out: &mut dyn Write) -> io::Result<()> {
        out.write_all(bytemuck::bytes_of(&self.header))?;
        out.write_all(bytemuck::cast_slice(&self.table))?;
        let mut at = HEADER + ENTRY * self.table.len() as u64;
        for (entry, (_, parts)) in self.table.iter().zip(sections) {
            out.write_all(&[0; PAGE as usize][..(entry.offset - at) as usize])?;
            parts.iter().try_for_each(|part| out.write_all(part))?;
            at = entry.range().end;
        }
        Ok(())
    }
}

/// Reads header and table. Every entry it returns has its own tag and lies inside the file, aligned, after
/// the one before it.
pub(super) fn read_table(source: &Source<'_>) -> Result<Vec<Entry>> {
    let head = source.read("a file's header", 0..HEADER.min(source.len()))?;
    if !head.bytes().starts_with(&MAGIC) {
        return Err(source.error(0, what_else(head.bytes())));
    }
    let Ok(header) = bytemuck::try_pod_read_unaligned::<Header>(head.bytes()) else {
        return Err(source.error(source.len(), "the file ends within its header: it was cut short"));
    };
    if header.version != VERSION {
        let text = format!("the file has format version {}, this Steep reads {VERSION}", header.version);
        return Err(source.error(8, text + if header.version > VERSION { ": update Steep" } else { "" }));
    }
    let count = header.sections as usize;
    if !(1..=MAX_SECTIONS).contains(&count) {
        return Err(source.error(16, format!("{count} sections: 1 to {MAX_SECTIONS} are possible")));
    }
    let end_of_table = HEADER + ENTRY * count as u64;
    let table = source.read("a file's table", HEADER..end_of_table)?;
    let table = table.as_slice::<Entry>();
    let sum = header.sum(table);
    if sum != header.checksum {
        let text =
            format!("the header's checksum is {sum:08x}, not {:08x}: the file is damaged", header.checksum);
        return Err(source.error(20, text));
    }
    if header.flags != 0 {
        let text = format!("the file has flags {:#x}, unknown to this Steep: update Steep", header.flags);
        return Err(source.error(12, text));
    }
    if header.file_len != source.len() {
        let (is, was) = (source.len(), header.file_len);
        let how = if is < was { "it was cut short" } else { "something was appended" };
        return Err(
            source.error(is.min(was), format!("the file has {is} bytes and was saved with {was}: {how}"))
        );
    }
    let mut end = end_of_table;
    for (i, entry) in table.iter().enumerate() {
        let problem =
            |text| Err(source.error(HEADER + ENTRY * i as u64, format!("section {}: {text}", entry.tag)));
        let Entry { tag, offset, len, reserved, .. } = *entry;
        if !tag.is_valid() || table[..i].iter().any(|earlier| earlier.tag == tag) {
            return problem("its name is no tag, or is taken already".into());
        }
        if !offset.is_multiple_of(ALIGN) || offset < end || reserved != 0 {
            return problem(format!("offset {offset} is not a multiple of {ALIGN} from {end} on"));
        }
        end = match offset.checked_add(len) {
            Some(end) if end <= source.len() => end,
            _ => return problem(format!("{len} bytes at {offset} reach beyond the file's {}", source.len())),
        };
    }
    if end != source.len() {
        return Err(source.error(end, format!("the last section ends here, the file at {}", source.len())));
    }
    Ok(table.to_vec())
}

/// What a file that is no Steep file seems to be, from its first bytes.
fn what_else(head: &[u8]) -> String {
    let faiss = |head: &[u8]| {
        head.len() >= 4 && b"xwHBMvNRSL".contains(&head[1]) && head[..4].iter().all(u8::is_ascii_alphanumeric)
    };
    let seems = match head {
        [] => "it is empty",
        _ if MAGIC.starts_with(head) => "it is cut short",
        [b'S', b'T', b'E', b'E', b'P', ..] => {
            "it was changed by a transfer in text mode: copy it again, as binary"
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            "it is a NumPy array: read its vectors and build an index"
        }
        [0x89, b'H', b'D', b'F', ..] => "it is an HDF5 file: read its vectors and build an index",
        [b'P', b'K', 3, 4, ..] => "it is a zip or .npz archive",
        [b'P', b'A', b'R', b'1', ..] => "it is a Parquet file: read its vectors and build an index",
        [0x80, 2..=5, ..] => "it looks like a Python pickle",
        [b'I', ..] if faiss(head) => "it looks like a Faiss index: build a Steep index from its vectors",
        _ => "its first bytes are unknown",
    };
    format!("not a Steep index: {seems}")
}
