//! Lists that lie in a file of their own become lists like others: that file is read, not mapped.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{Array, Fourcc, Record, Value};
use crate::error::{Error, Result};

/// Reads the lists of every `ilod` record in the tree that came from `index`: from the directory of `index`, where `beside`.
pub(super) fn resolve(record: &mut Record<'static>, index: &Path, beside: bool) -> Result<()> {
    if record.fourcc == Fourcc(*b"ilod") {
        *record = load(record, index, beside)?;
    }
    for (_, value) in &mut record.fields {
        match value {
            Value::Record(record) => resolve(record, index, beside)?,
            Value::Records(records) => {
                records.iter_mut().try_for_each(|record| resolve(record, index, beside))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn load(record: &Record<'_>, index: &Path, beside: bool) -> Result<Record<'static>> {
    let name = String::from_utf8_lossy(record.array::<u8>("filename").unwrap_or_default()).into_owned();
    let path = match (beside, Path::new(&name).file_name()) {
        (true, Some(name)) => index.with_file_name(name),
        _ => PathBuf::from(&name),
    };
    let error = |e| Error::io("read the lists in", &path, e);
    // A pipe would be waited for.
    if !fs::metadata(&path).map_err(error)?.is_file() {
        return Err(error(std::io::ErrorKind::InvalidInput.into()));
    }
    let mut file = File::open(&path).map_err(error)?;
    let len = file.metadata().map_err(error)?.len();
    let size = record.int("code_size").unwrap_or(0) as u64;
    let lists = record.array::<u64>("lists").unwrap_or_default().as_chunks::<3>().0;

    let beyond = |offset: u64| {
        Error::format(
            &path,
            offset,
            format!("a list reaches beyond the file's {len} bytes: it is another file, or cut short"),
        )
    };
    let mut total = 0u64;
    for &[count, capacity, offset] in lists {
        let codes = capacity.checked_mul(size);
        let end = codes.and_then(|codes| count.checked_mul(8)?.checked_add(codes)?.checked_add(offset));
        if count > capacity || end.is_none_or(|end| count > 0 && end > len) {
            return Err(beyond(offset));
        }
        total = total.saturating_add(count.saturating_mul(8 + size));
    }
    // Lists may share no bytes, so together they are no larger than the file.
    if total > len {
        return Err(beyond(0));
    }
    let (mut sizes, mut codes, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for &[count, capacity, offset] in lists {
        sizes.push(count);
        if count == 0 {
            continue;
        }
        file.seek(SeekFrom::Start(offset)).map_err(error)?;
        let begin = codes.len();
        codes.resize(begin + (count * size) as usize, 0u8);
        file.read_exact(&mut codes[begin..]).map_err(error)?;
        file.seek(SeekFrom::Start(offset + capacity * size)).map_err(error)?;
        let begin = ids.len();
        ids.resize(begin + count as usize, 0i64);
        file.read_exact(bytemuck::cast_slice_mut(&mut ids[begin..])).map_err(error)?;
    }
    let fields = vec![
        ("nlist", Value::Int(lists.len() as i64)),
        ("code_size", Value::Int(size as i64)),
        ("sizes", Value::Array(Array::U64(sizes.into()))),
        ("codes", Value::Array(Array::U8(codes.into()))),
        ("ids", Value::Array(Array::I64(ids.into()))),
    ];
    let fields = fields.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
    Ok(Record { fourcc: Fourcc(*b"ilar"), fields })
}
