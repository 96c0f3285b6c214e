//! What is in an .fbin, .u8bin, .i8bin or .ibin file? u32 n, u32 d, then n × d values.
//!
//! The layout of the [big-ann](https://big-ann-benchmarks.com) sets. Their ground truth is n × k i32 ids
//! followed by n × k f32 distances.

use std::io::{self, Write};

use super::{Columns, Matrix, take};
use crate::error::Result;
use crate::storage::Source;
use crate::threads::Monitor;

const HEAD: u64 = 8;

/// Reads the n × d values. With `distances`, as many f32 may follow them, and are passed over.
pub(super) fn read(
    source: &Source<'_>,
    columns: Columns,
    distances: bool,
    monitor: Option<&dyn Monitor>,
) -> Result<Matrix> {
    let len = source.len();
    if len < HEAD {
        return Err(source.error(0, format!("{len} bytes: the first {HEAD} state rows and {}", columns.name)));
    }
    let [rows, stated]: [u32; 2] =
        bytemuck::pod_read_unaligned(source.read("a file's header", 0..HEAD)?.bytes());
    let count = columns.check(source, 4, stated.into())?;
    // Below 2⁶⁶: two stated numbers and the size of a value.
    let needed = u128::from(rows) * count as u128 * columns.size as u128;
    let got = u128::from(len - HEAD);
    if got != needed && !(distances && got == 2 * needed) {
        let (name, expected) = (columns.name, needed + u128::from(HEAD));
        let text =
            format!("{rows} rows of {count} {name} make a file of {expected} bytes, this one has {len}");
        return Err(source.error(expected.min(len.into()) as u64, text));
    }
    let buffer = take(source, HEAD..HEAD + needed as u64, columns.size, monitor)?;
    Ok(Matrix { buffer, columns: count })
}

/// `bytes`: all rows, `rows` × `columns` values.
pub(super) fn write(out: &mut dyn Write, bytes: &[u8], rows: u32, columns: u32) -> io::Result<()> {
    out.write_all(&rows.to_le_bytes())?;
    out.write_all(&columns.to_le_bytes())?;
    out.write_all(bytes)
}
