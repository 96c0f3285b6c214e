//! What is in an .fvecs, .bvecs or .ivecs file? Rows, each led by its own length: i32 d, then d values.
//!
//! The layout of the [TexMex](http://corpus-texmex.irisa.fr) sets (SIFT1M, GIST1M). Nothing states the
//! number of rows, and every row could have another d, so all are checked as the values are copied together.

use std::io::{self, Write};

use super::{Columns, Matrix};
use crate::error::Result;
use crate::storage::{Buffer, PIECE, Source};
use crate::threads::Monitor;

/// Bytes of d before each row.
const HEAD: usize = 4;

pub(super) fn read(source: &Source<'_>, columns: Columns, monitor: Option<&dyn Monitor>) -> Result<Matrix> {
    const WHAT: &str = "a file's rows";
    if source.len() < HEAD as u64 {
        return Err(source
            .error(0, format!("{} bytes: a row begins with {HEAD} that state its length", source.len())));
    }
    let first = stated(source.read(WHAT, 0..HEAD as u64)?.bytes());
    let count = columns.check(source, 0, first.into())?;
    let row = HEAD + count * columns.size;
    let values = source.len() / row as u64 * (row - HEAD) as u64;
    let mut buffer = Buffer::with_capacity(WHAT, usize::try_from(values).unwrap_or(usize::MAX))?;

    source.scan(0..source.len(), (PIECE / row).max(1) * row, |offset, piece| {
        for (at, bytes) in (offset..).step_by(row).zip(piece.chunks(row)) {
            let n = at / row as u64;
            if let Some(says) = bytes.get(..HEAD).map(stated).filter(|says| *says != first) {
                let name = columns.name;
                return Err(source.error(at, format!("row {n} says {says} {name}, row 0 says {first}")));
            }
            if bytes.len() < row {
                let got = bytes.len();
                return Err(
                    source.error(at, format!("row {n} has {got} of its {row} bytes: the file was cut short"))
                );
            }
            buffer.extend(WHAT, &bytes[HEAD..])?;
        }
        source.pause(monitor, offset + piece.len() as u64)
    })?;
    Ok(Matrix { buffer, columns: count })
}

/// `bytes`: rows of `row` bytes, each of `columns` values.
pub(super) fn write(out: &mut dyn Write, bytes: &[u8], columns: i32, row: usize) -> io::Result<()> {
    bytes.chunks(row).try_for_each(|row| {
        out.write_all(&columns.to_le_bytes())?;
        out.write_all(row)
    })
}

/// The number in a row's four leading bytes.
fn stated(head: &[u8]) -> i32 {
    bytemuck::pod_read_unaligned(head)
}
