//! What is in an .npy file? A Python dictionary as text that states type, order and shape; then the values.
//!
//! Versions 1 to 3 of <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The
//! dictionary is taken apart, never evaluated. bfloat16 is written as ml_dtypes writes it: as two plain
//! bytes, `<V2`, which NumPy reads back with `.view(ml_dtypes.bfloat16)`.

use std::io::{self, Write};
use std::ops::Range;

use bytemuck::Pod;

use super::{Columns, Matrix, VectorFile, take};
use crate::error::{Error, Result};
use crate::storage::Source;
use crate::threads::Monitor;
use crate::vectors::Dtype;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read, as in version 1. One of two dimensions takes a hundred bytes.
const MAX_HEADER: u64 = 65_535;

/// A type of values as NumPy names it.
pub(super) struct Descr {
    pub name: &'static str,
    /// Bytes of one value.
    pub size: usize,
}

/// What ids of 32 bits are.
pub(super) const SHORT_ID: &Descr = &Descr { name: "<i4", size: 4 };

/// What ids are written as: unsigned where one is too `large` for the signed type that most programs expect.
pub(super) fn id(large: bool) -> &'static Descr {
    if large { &Descr { name: "<u8", size: 8 } } else { &Descr { name: "<i8", size: 8 } }
}

/// What vectors of `dtype` are written as.
pub(super) fn descr(dtype: Dtype) -> &'static Descr {
    match dtype {
        Dtype::F32 => &Descr { name: "<f4", size: 4 },
        Dtype::F16 => &Descr { name: "<f2", size: 2 },
        Dtype::Bf16 => &Descr { name: "<V2", size: 2 },
        Dtype::I8 => &Descr { name: "|i1", size: 1 },
        Dtype::U8 | Dtype::B1 => &Descr { name: "|u1", size: 1 },
    }
}

pub(super) fn read_vectors(source: &Source<'_>, monitor: Option<&dyn Monitor>) -> Result<VectorFile> {
    let header = Header::read(source, None)?;
    let dtype = match header.descr.as_str() {
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "<V2" | "|V2" | "bfloat16" => Dtype::Bf16,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        other => {
            let fix = "save x.astype(numpy.float32), or float16, bfloat16, int8, uint8";
            return Err(header.error(source, format!("values of type '{other}' are not vectors: {fix}")));
        }
    };
    Ok(VectorFile { matrix: header.matrix(source, Columns::of(dtype), monitor)?, dtype })
}

pub(super) fn read_ids(source: &Source<'_>) -> Result<(Vec<i64>, usize)> {
    let header = Header::read(source, Some(1))?;
    match header.descr.as_str() {
        "<i4" => header.ids::<i32>(source),
        "<u4" => header.ids::<u32>(source),
        "<i8" => header.ids::<i64>(source),
        "<u8" => header.ids::<u64>(source),
        other => {
            Err(header
                .error(source, format!("values of type '{other}' are not ids: save x.astype(numpy.int64)")))
        }
    }
}

/// `bytes`: all rows, `rows` × `columns` values of type `descr`.
pub(super) fn write(
    out: &mut dyn Write,
    descr: &str,
    bytes: &[u8],
    rows: usize,
    columns: usize,
) -> io::Result<()> {
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Filled up so that the values begin at a multiple of 64 bytes, and can be mapped.
    let len = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(len as u16).to_le_bytes())?;
    out.write_all(format!("{text:<0$}\n", len - 1).as_bytes())?;
    out.write_all(bytes)
}

/// What the dictionary states.
struct Header {
    descr: String,
    rows: u64,
    columns: u64,
    /// Where the dictionary is, in bytes.
    text: Range<u64>,
}

impl Header {
    /// `columns` are those of an array of shape (n,), where it is taken at all.
    fn read(source: &Source<'_>, columns: Option<u64>) -> Result<Self> {
        let head = source.read("a file's header", 0..source.len().min(12))?;
        let (start, len) = match head.bytes() {
            [magic @ .., 1, _, a, b, _, _] if magic == MAGIC => (10, u32::from_le_bytes([*a, *b, 0, 0])),
            [magic @ .., 2 | 3, _, a, b, c, d] if magic == MAGIC => {
                (12, u32::from_le_bytes([*a, *b, *c, *d]))
            }
            [magic @ .., version, _, _, _, _, _] if magic == MAGIC => {
                return Err(source.error(6, format!("version {version} of .npy: 1, 2 and 3 are known")));
            }
            _ => return Err(source.error(0, "not an .npy file: it does not begin with \\x93NUMPY")),
        };
        let end = start + u64::from(len);
        if u64::from(len) > MAX_HEADER || end > source.len() {
            let text = format!(
                "a header of {len} bytes in a file of {}: at most {MAX_HEADER} are read",
                source.len()
            );
            return Err(source.error(8, text));
        }
        let text = source.read("a file's header", start..end)?;
        let problem = |text: &str| source.error(start, text);
        let text = str::from_utf8(text.bytes()).map_err(|_| problem("the header is not text"))?;
        let [descr, order, shape] = fields(text)
            .ok_or_else(|| problem("the header is not a dictionary of 'descr', 'fortran_order', 'shape'"))?;

        let Some(descr) = unquoted(descr) else {
            return Err(problem("the values are records of several fields: save one field, as a 2-d array"));
        };
        if descr.starts_with('>') {
            let little = descr.replacen('>', "<", 1);
            return Err(problem(&format!("big-endian values ('{descr}'): save x.astype('{little}')")));
        }
        match order {
            "False" => {}
            "True" => {
                return Err(problem("columns before rows (Fortran order): save numpy.ascontiguousarray(x)"));
            }
            _ => return Err(problem(&format!("'fortran_order' is {order}, neither True nor False"))),
        }
        let (rows, columns) = match (numbers(shape).as_deref(), columns) {
            (Some(&[rows, columns]), _) | (Some(&[rows]), Some(columns)) => (rows, columns),
            _ => {
                let text = format!("an array of shape {shape}: save one of shape (n, d), as x.reshape(n, d)");
                return Err(problem(&text));
            }
        };
        Ok(Self { descr: descr.into(), rows, columns, text: start..end })
    }

    fn error(&self, source: &Source<'_>, problem: String) -> Error {
        source.error(self.text.start, problem)
    }

    fn matrix(&self, source: &Source<'_>, columns: Columns, monitor: Option<&dyn Monitor>) -> Result<Matrix> {
        let count = columns.check(source, self.text.start, self.columns.into())?;
        let (start, len) = (self.text.end, source.len());
        // Below 2¹⁰¹: any u64, at most 2³¹ columns, at most 8 bytes.
        let expected = u128::from(start) + u128::from(self.rows) * count as u128 * columns.size as u128;
        if expected != u128::from(len) {
            let (rows, name) = (self.rows, columns.name);
            let text =
                format!("{rows} rows of {count} {name} make a file of {expected} bytes, this one has {len}");
            return Err(source.error(expected.min(len.into()) as u64, text));
        }
        Ok(Matrix { buffer: take(source, start..len, columns.size, monitor)?, columns: count })
    }

    fn ids<T: Pod + Into<i128>>(&self, source: &Source<'_>) -> Result<(Vec<i64>, usize)> {
        let matrix = self.matrix(source, Columns { size: size_of::<T>(), ..Columns::IDS }, None)?;
        super::collect_ids::<T>(source, matrix, |i| self.text.end as usize + i * size_of::<T>())
    }
}

/// The values of 'descr', 'fortran_order' and 'shape' in the text of a dictionary, as they are written.
fn fields(text: &str) -> Option<[&str; 3]> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut fields = [None; 3];
    let (mut depth, mut quoted) = (0_u32, false);
    // A comma inside brackets or quotes does not part two fields.
    let parts = body.split(|c: char| {
        match c {
            '\'' | '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0 && !quoted
    });
    for part in parts.filter(|part| !part.trim().is_empty()) {
        let (key, value) = part.split_once(':')?;
        let key = unquoted(key.trim())?;
        let i = ["descr", "fortran_order", "shape"].iter().position(|known| *known == key)?;
        fields[i] = Some(value.trim());
    }
    let [Some(descr), Some(order), Some(shape)] = fields else { return None };
    Some([descr, order, shape])
}

/// What is between the quotes.
fn unquoted(text: &str) -> Option<&str> {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"'))
}

/// The numbers of "(n, d)" or "(n,)"; Python 2 wrote an L after large ones.
fn numbers(shape: &str) -> Option<Vec<u64>> {
    let inner = shape.strip_prefix('(')?.strip_suffix(')')?.trim();
    let number = |text: &str| text.trim().trim_end_matches('L').parse().ok();
    inner.strip_suffix(',').unwrap_or(inner).split(',').map(number).collect()
}
