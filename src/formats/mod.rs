//! How do vectors come from other programs? As .npy, TexMex (.fvecs) and big-ann (.fbin) files.
//!
//! | extension | layout | element |
//! |---|---|---|
//! | .npy | NumPy: a text header, then the rows | f32, f16, bf16, i8, u8; ids: i64, u64, i32, u32 |
//! | .fvecs .bvecs | [TexMex](http://corpus-texmex.irisa.fr): i32 d before each row | f32, u8 |
//! | .fbin .u8bin .i8bin | [big-ann](https://big-ann-benchmarks.com): u32 n, u32 d, then the rows | f32, u8, i8 |
//! | .ivecs .ibin | the same two, for lists of neighbours | i32 ids |
//!
//! Ids are those of [`Hits`](crate::Hits) in every file: −1 is none, and one of 2⁶³ or more has the same 64 bits.
//!
//! All are little-endian. A header is believed only as far as the file's length bears it out, before any
//! memory is taken. For an index itself, see [`storage`].

mod bigann;
mod npy;
mod texmex;

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use bytemuck::Pod;
use npy::Descr;

use crate::error::{Error, Result};
use crate::storage::{self, Buffer, OpenParams, SaveParams, Source};
use crate::threads::Monitor;
use crate::vectors::{Dtype, MAX_DIM, Vectors};

/// A file format, named by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the module's table describes each by its extension")]
pub enum Format {
    Npy,
    Fvecs,
    Bvecs,
    Ivecs,
    Fbin,
    U8bin,
    I8bin,
    Ibin,
}

impl Format {
    /// Every format there is.
    pub const ALL: [Self; 8] =
        [Self::Npy, Self::Fvecs, Self::Bvecs, Self::Ivecs, Self::Fbin, Self::U8bin, Self::I8bin, Self::Ibin];

    /// The format that the extension of `path` names, in either case.
    ///
    /// # Errors
    /// [`Error::Argument`], which lists what is known.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let known = |extension: &&str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
        Self::ALL.into_iter().find(|format| known(&format.extension())).ok_or_else(|| {
            let expected =
                "a name ending in .npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin or, for ids, .ivecs or .ibin";
            Error::argument("path", path.display(), expected)
        })
    }

    /// The extension, without its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Fvecs => "fvecs",
            Self::Bvecs => "bvecs",
            Self::Ivecs => "ivecs",
            Self::Fbin => "fbin",
            Self::U8bin => "u8bin",
            Self::I8bin => "i8bin",
            Self::Ibin => "ibin",
        }
    }

    /// True where vectors of `dtype` can be written in this format.
    pub fn holds(self, dtype: Dtype) -> bool {
        match self {
            Self::Npy => true,
            Self::Fvecs | Self::Fbin => dtype == Dtype::F32,
            Self::Bvecs | Self::U8bin => dtype == Dtype::U8,
            Self::I8bin => dtype == Dtype::I8,
            Self::Ivecs | Self::Ibin => false,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}", self.extension())
    }
}

/// The vectors of a file: n × d of one type, read or mapped.
#[derive(Clone, Debug)]
pub struct VectorFile {
    matrix: Matrix,
    dtype: Dtype,
}

impl VectorFile {
    /// All vectors, n × d.
    pub fn vectors(&self) -> Vectors<'_> {
        let vectors = Vectors::from_bytes(self.matrix.buffer.bytes(), self.dtype, self.matrix.columns);
        vectors.expect("the readers check dimension, length and alignment")
    }

    /// True where the vectors are the file's own pages.
    pub fn is_mapped(&self) -> bool {
        self.matrix.buffer.is_mapped()
    }

    /// The bytes of all vectors, row after row.
    pub fn into_buffer(self) -> Buffer {
        self.matrix.buffer
    }
}

/// Reads the vectors of the file `path`, whose extension names the format. With `mmap` they are not read
/// but mapped, where the format allows it: all but .fvecs and .bvecs, whose rows lie apart.
///
/// # Errors
/// [`Error::Argument`] for an unknown extension, [`Error::Io`] where the system refuses, [`Error::Format`]
/// with row and byte where the file does not hold what it should, [`Error::OutOfMemory`].
pub fn read_vectors(path: impl AsRef<Path>, mmap: bool) -> Result<VectorFile> {
    read_vectors_with(path, &OpenParams { mmap, monitor: None })
}

/// As [`read_vectors`], by `params`.
///
/// # Errors
/// As [`read_vectors`]; [`Error::Interrupted`].
pub fn read_vectors_with(path: impl AsRef<Path>, params: &OpenParams) -> Result<VectorFile> {
    let format = Format::of(&path)?;
    let mmap = params.mmap && !matches!(format, Format::Fvecs | Format::Bvecs | Format::Ivecs);
    vectors(&Source::open(path.as_ref(), mmap)?, format, params.monitor)
}

/// The same from a file's content in memory.
///
/// # Errors
/// As [`read_vectors`].
pub fn parse_vectors(bytes: &[u8], format: Format) -> Result<VectorFile> {
    vectors(&Source::memory(bytes)?, format, None)
}

/// Writes `vectors` to the file `path`, whose extension names the format; whole or not at all, as
/// [`storage::save`].
///
/// # Errors
/// [`Error::Argument`] for an unknown extension or one whose format cannot hold these vectors,
/// [`Error::Io`] where the system refuses.
pub fn write_vectors(path: impl AsRef<Path>, vectors: Vectors<'_>) -> Result<()> {
    write_vectors_with(path, vectors, &SaveParams::default())
}

/// As [`write_vectors`], by `params`.
///
/// # Errors
/// As [`write_vectors`]; [`Error::Interrupted`].
pub fn write_vectors_with(path: impl AsRef<Path>, vectors: Vectors<'_>, params: &SaveParams) -> Result<()> {
    let vectors = vectors.packed();
    let (path, dtype) = (path.as_ref(), vectors.dtype());
    let format = Format::of(path)?;
    if !format.holds(dtype) {
        let expected = ".npy, or .fvecs or .fbin for f32, .bvecs or .u8bin for u8, .i8bin for i8";
        return Err(Error::argument(
            "path",
            format_args!("{} for {dtype} vectors", path.display()),
            expected,
        ));
    }
    let shape = (vectors.len(), vectors.dim());
    write(path, format, npy::descr(dtype), vectors.bytes(), shape, params)
}

/// Reads lists of ids, such as the true neighbours of queries: `(ids, k)`, n × k of them row after row, as
/// [`Hits`](crate::Hits) holds them. A .npy file may also be of shape (n,), with k = 1. An .ibin file may hold the
/// distances too, as big-ann's do; they are passed over.
///
/// # Errors
/// As [`read_vectors`]; also where a number below −1 is no id.
pub fn read_ids(path: impl AsRef<Path>) -> Result<(Vec<i64>, usize)> {
    let format = Format::of(&path)?;
    ids(&Source::open(path.as_ref(), false)?, format)
}

/// The same from a file's content in memory.
///
/// # Errors
/// As [`read_ids`].
pub fn parse_ids(bytes: &[u8], format: Format) -> Result<(Vec<i64>, usize)> {
    ids(&Source::memory(bytes)?, format)
}

/// Writes `ids`, n × `k` of them row after row as [`Hits`](crate::Hits) holds them, to a .npy, .ivecs or .ibin file. A
/// .npy file's are i64, or u64 where an id is 2⁶³ or more; none is then 2⁶⁴ − 1.
///
/// # Errors
/// [`Error::Shape`] where `ids` are not rows of `k`; [`Error::WideId`] where .ivecs or .ibin have no room for one;
/// else as [`write_vectors`].
pub fn write_ids(path: impl AsRef<Path>, ids: &[i64], k: usize) -> Result<()> {
    let path = path.as_ref();
    let format = Format::of(path)?;
    if !matches!(format, Format::Npy | Format::Ivecs | Format::Ibin) {
        return Err(Error::argument(
            "path",
            path.display(),
            "a name ending in .npy, .ivecs or .ibin, for ids",
        ));
    }
    if k == 0 || !ids.len().is_multiple_of(k) {
        return Err(Error::Shape { len: ids.len(), dim: k });
    }
    let (shape, params) = ((ids.len() / k, k), SaveParams::default());
    if format == Format::Npy {
        let descr = npy::id(ids.iter().any(|&id| id < -1));
        return write(path, format, descr, bytemuck::cast_slice(ids), shape, &params);
    }
    let mut narrow: Vec<i32> = Vec::new();
    let memory = |_| Error::OutOfMemory { what: "ids", bytes: 4 * ids.len() as u64 };
    narrow.try_reserve_exact(ids.len()).map_err(memory)?;
    for (i, &id) in ids.iter().enumerate() {
        let fits = i32::try_from(id).ok().filter(|id| *id >= -1);
        narrow.push(fits.ok_or_else(|| Error::WideId { path: path.into(), id: id as u64, row: i / k })?);
    }
    write(path, format, npy::SHORT_ID, bytemuck::cast_slice(&narrow), shape, &params)
}

/// What every reader returns.
#[derive(Clone, Debug)]
struct Matrix {
    buffer: Buffer,
    columns: usize,
}

/// What a reader should know of the columns before it believes a header.
#[derive(Clone, Copy)]
struct Columns {
    name: &'static str,
    /// Bytes of one value.
    size: usize,
    max: u64,
}

impl Columns {
    const IDS: Self = Self { name: "ids", size: size_of::<i32>(), max: i32::MAX as u64 };

    fn of(dtype: Dtype) -> Self {
        Self { name: "dimensions", size: dtype.size(), max: MAX_DIM as u64 }
    }

    /// The number of columns that a header at `offset` states.
    fn check(self, source: &Source<'_>, offset: u64, stated: i128) -> Result<usize> {
        match u64::try_from(stated) {
            Ok(columns @ 1..) if columns <= self.max => Ok(columns as usize),
            _ => Err(source.error(offset, format!("{stated} {}: 1 to {} are possible", self.name, self.max))),
        }
    }
}

fn vectors(source: &Source<'_>, format: Format, monitor: Option<&dyn Monitor>) -> Result<VectorFile> {
    let texmex = |dtype| Ok(VectorFile { matrix: texmex::read(source, Columns::of(dtype), monitor)?, dtype });
    let bigann =
        |dtype| Ok(VectorFile { matrix: bigann::read(source, Columns::of(dtype), false, monitor)?, dtype });
    match format {
        Format::Npy => npy::read_vectors(source, monitor),
        Format::Fvecs => texmex(Dtype::F32),
        Format::Bvecs => texmex(Dtype::U8),
        Format::Fbin => bigann(Dtype::F32),
        Format::U8bin => bigann(Dtype::U8),
        Format::I8bin => bigann(Dtype::I8),
        Format::Ivecs | Format::Ibin => Err(source.error(0, format!("{format} files hold ids, not vectors"))),
    }
}

fn ids(source: &Source<'_>, format: Format) -> Result<(Vec<i64>, usize)> {
    match format {
        Format::Npy => npy::read_ids(source),
        Format::Ivecs => {
            let matrix = texmex::read(source, Columns::IDS, None)?;
            let columns = matrix.columns;
            collect_ids::<i32>(source, matrix, |i| 4 * (i + i / columns + 1))
        }
        Format::Ibin => {
            collect_ids::<i32>(source, bigann::read(source, Columns::IDS, true, None)?, |i| 8 + 4 * i)
        }
        _ => Err(source.error(0, format!("{format} files hold vectors, not ids"))),
    }
}

/// All values of `matrix` as ids; `place` says where in the file the i-th value is.
fn collect_ids<T: Pod + Into<i128>>(
    source: &Source<'_>,
    matrix: Matrix,
    place: impl Fn(usize) -> usize,
) -> Result<(Vec<i64>, usize)> {
    let values = matrix.buffer.as_slice::<T>();
    let mut ids = Vec::new();
    let memory = |_| Error::OutOfMemory { what: "ids", bytes: 8 * values.len() as u64 };
    ids.try_reserve_exact(values.len()).map_err(memory)?;
    for (i, value) in values.iter().enumerate() {
        let value: i128 = (*value).into();
        if value < -1 {
            let row = i / matrix.columns;
            let text = format!("row {row} holds id {value}: ids are 0 or more, and -1 stands for none");
            return Err(source.error(place(i) as u64, text));
        }
        ids.push(value as i64);
    }
    Ok((ids, matrix.columns))
}

/// The bytes `range`: the file's own pages where it is mapped and they are aligned for values of `size`
/// bytes, else a copy.
fn take(
    source: &Source<'_>,
    range: Range<u64>,
    size: usize,
    monitor: Option<&dyn Monitor>,
) -> Result<Buffer> {
    match source.lend(range.clone())?.filter(|_| range.start.is_multiple_of(size as u64)) {
        Some(pages) => Ok(pages),
        None => source.read_watched("a file's rows", range, monitor),
    }
}

/// Writes `rows` × `columns` values. `descr` is NumPy's name for them.
fn write(
    path: &Path,
    format: Format,
    descr: &Descr,
    bytes: &[u8],
    (rows, columns): (usize, usize),
    params: &SaveParams,
) -> Result<()> {
    let too_many = |expected| Error::argument("vectors", format_args!("{rows} × {columns}"), expected);
    let replace = |content: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
        storage::replace(path, bytes.len() as u64, params.monitor, content)
    };
    match format {
        Format::Npy => replace(&|out| npy::write(out, descr.name, bytes, rows, columns)),
        Format::Fvecs | Format::Bvecs | Format::Ivecs => {
            if rows == 0 {
                return Err(too_many("at least one row, for the file keeps the dimension in its rows"));
            }
            let row = columns * descr.size;
            let columns = i32::try_from(columns).map_err(|_| too_many("at most 2147483647 columns"))?;
            replace(&|out| texmex::write(out, bytes, columns, row))
        }
        Format::Fbin | Format::U8bin | Format::I8bin | Format::Ibin => {
            let (Ok(rows), Ok(columns)) = (u32::try_from(rows), u32::try_from(columns)) else {
                return Err(too_many("at most 4294967295 rows, for the file counts them in 32 bits"));
            };
            replace(&|out| bigann::write(out, bytes, rows, columns))
        }
    }
}
