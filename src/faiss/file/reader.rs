//! From a file into records. Nothing is believed: memory is taken as bytes arrive, or after they were seen to be there.

use std::borrow::Cow;
use std::io::Read;
use std::path::PathBuf;

use super::io::{Io, Number};
use super::record::{Element, Fourcc, Record, Value};
use crate::error::{Error, Result};
use crate::storage::PIECE;
use crate::threads::{Monitor, pause};

/// Objects within objects. Faiss's own nest three or four deep.
const DEEPEST: usize = 32;
/// What tables may take that are larger than their files' bytes: so much, and so many times the bytes that were read.
const SPARE: u64 = 16 << 20;
const SPARE_TIMES: u64 = 64;

pub(super) struct Reader<'m, R> {
    input: R,
    path: PathBuf,
    at: u64,
    /// Bytes in all; unknown of a pipe.
    len: Option<u64>,
    /// Bytes of tables so far that the file does not hold.
    spare: u64,
    depth: usize,
    monitor: Option<&'m dyn Monitor>,
    record: Record<'static>,
}

/// A field that is being put together.
pub(super) struct Growing<T>(Vec<T>);

impl<'m, R: Read> Reader<'m, R> {
    pub fn new(input: R, path: PathBuf, len: Option<u64>, monitor: Option<&'m dyn Monitor>) -> Self {
        Self { input, path, at: 0, len, spare: 0, depth: 0, monitor, record: Record::default() }
    }

    /// Reads one record, by `body`, and tells how many bytes it took.
    pub fn root(
        mut self,
        tagged: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<(Record<'static>, u64)> {
        if tagged {
            self.record.fourcc = self.tag()?;
        }
        body(&mut self)?;
        pause(self.monitor, STAGE, self.at, self.len.unwrap_or(self.at))?;
        Ok((self.record, self.at))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                self.fail(format!("the file ends within the next {} bytes: it is cut short", bytes.len()))
            }
            _ => Error::io("read", &self.path, e),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn one<T: bytemuck::Pod>(&mut self) -> Result<T> {
        let mut value = [T::zeroed()];
        self.fill(bytemuck::cast_slice_mut(&mut value))?;
        Ok(value[0])
    }

    fn tag(&mut self) -> Result<Fourcc> {
        Ok(Fourcc(self.one()?))
    }

    fn number<N: Number>(&mut self, name: &str) -> Result<i64> {
        let value: N = self.one()?;
        value.widen().ok_or_else(|| self.fail(format!("{name} is beyond 63 bits")))
    }

    /// That `len` values of `size` bytes can follow.
    fn fits(&self, name: &str, len: usize, size: usize) -> Result<()> {
        let bytes = (len as u64).checked_mul(size as u64);
        let left = self.len.map_or(u64::MAX, |len| len.saturating_sub(self.at));
        self.check(bytes.is_some_and(|bytes| bytes <= left), || {
            format!("{name} should have {len} values of {size} bytes, but {left} bytes are left")
        })
    }

    /// Memory for `bytes` bytes that are not in the file.
    fn table(&mut self, name: &str, bytes: Option<u64>) -> Result<()> {
        let most = SPARE.saturating_add(self.at.saturating_mul(SPARE_TIMES));
        let spare = bytes.and_then(|bytes| self.spare.checked_add(bytes));
        let Some(spare) = spare.filter(|&spare| spare <= most) else {
            return Err(self.fail(format!(
                "{name} would take more than {most} bytes, which {} bytes of a file do not justify",
                self.at
            )));
        };
        self.spare = spare;
        Ok(())
    }

    /// Appends the next `len` values.
    fn grow<T: Element>(&mut self, name: &str, values: &mut Vec<T>, len: usize) -> Result<()> {
        self.fits(name, len, size_of::<T>())?;
        let memory = |_| Error::OutOfMemory { what: "a Faiss file", bytes: (len * size_of::<T>()) as u64 };
        if self.len.is_some() && values.is_empty() {
            values.try_reserve_exact(len).map_err(memory)?;
        }
        let mut left = len;
        while left > 0 {
            let piece = left.min(PIECE / size_of::<T>());
            values.try_reserve(piece).map_err(memory)?;
            let old = values.len();
            values.resize(old + piece, T::zeroed());
            self.fill(bytemuck::cast_slice_mut(&mut values[old..]))?;
            left -= piece;
            if left > 0 {
                pause(self.monitor, STAGE, self.at, self.len.unwrap_or(self.at))?;
            }
        }
        Ok(())
    }

    fn count(&mut self, name: &str) -> Result<usize> {
        let count = self.number::<u64>(name)?;
        usize::try_from(count).map_err(|_| self.fail(format!("{name} has {count} values")))
    }

    fn note(&mut self, name: &'static str, value: Value<'static>) {
        self.record.fields.push((Cow::Borrowed(name), value));
    }

    fn note_array<T: Element>(&mut self, name: &'static str, values: Vec<T>) {
        self.note(name, Value::Array(T::wrap(Cow::Owned(values))));
    }

    /// The record that `body` reads, one deeper than this.
    fn inner(
        &mut self,
        fourcc: Fourcc,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Record<'static>> {
        self.check(self.depth < DEEPEST, || format!("more than {DEEPEST} objects within each other"))?;
        self.depth += 1;
        let outer = std::mem::replace(&mut self.record, Record { fourcc, fields: Vec::new() });
        body(self)?;
        self.depth -= 1;
        Ok(std::mem::replace(&mut self.record, outer))
    }
}

/// What the monitor hears that is being done.
const STAGE: &str = "read";

impl<R: Read> Io for Reader<'_, R> {
    const READS: bool = true;
    type Run<T: Element> = Growing<T>;

    fn fourcc(&self) -> Fourcc {
        self.record.fourcc
    }

    fn seen(&self) -> &Record<'_> {
        &self.record
    }

    fn rename(&mut self, fourcc: &[u8; 4]) {
        self.record.fourcc = Fourcc(*fourcc);
    }

    fn supply(&mut self, name: &'static str, value: Value<'static>) {
        match self.record.fields.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.note(name, value),
        }
    }

    fn enclose(
        &mut self,
        name: &'static str,
        fourcc: &[u8; 4],
        names: &[&str],
        more: Vec<(&'static str, Value<'static>)>,
    ) {
        let fields = std::mem::take(&mut self.record.fields);
        let (moved, kept) = fields.into_iter().partition(|(key, _)| names.contains(&key.as_ref()));
        self.record.fields = kept;
        let more = more.into_iter().map(|(key, value)| (Cow::Borrowed(key), value));
        let fields: Vec<_> = more.chain::<Vec<_>>(moved).collect();
        self.note(name, Value::Record(Record { fourcc: Fourcc(*fourcc), fields }));
    }

    fn fail(&self, problem: impl Into<String>) -> Error {
        let (kind, problem) = (self.record.fourcc, problem.into());
        let place = if kind == Record::PART { String::new() } else { format!("{kind}: ") };
        Error::format(&self.path, self.at, format!("{place}{problem}"))
    }

    fn int<N: Number>(&mut self, name: &'static str) -> Result<i64> {
        let value = self.number::<N>(name)?;
        self.note(name, Value::Int(value));
        Ok(value)
    }

    fn implied<N: Number>(&mut self, _value: impl FnOnce(&Record<'_>) -> Option<i64>) -> Result<i64> {
        self.number::<N>("a number")
    }

    fn float(&mut self, name: &'static str) -> Result<f32> {
        let value: f32 = self.one()?;
        self.note(name, Value::Float(value.into()));
        Ok(value)
    }

    fn flag(&mut self, name: &'static str) -> Result<bool> {
        let byte: u8 = self.one()?;
        self.check(byte <= 1, || format!("{name} is {byte}: expected 0 or 1"))?;
        self.note(name, Value::Flag(byte == 1));
        Ok(byte == 1)
    }

    fn array<T: Element>(&mut self, name: &'static str) -> Result<usize> {
        let (len, mut values) = (self.count(name)?, Vec::new());
        self.grow::<T>(name, &mut values, len)?;
        self.note_array(name, values);
        Ok(len)
    }

    fn words(&mut self, name: &'static str) -> Result<usize> {
        let words = self.count(name)?;
        let (len, mut values) = (self.product(name, &[words, 4])?, Vec::new());
        self.grow::<u8>(name, &mut values, len)?;
        self.note_array(name, values);
        Ok(len)
    }

    fn begin<T: Element>(&mut self, name: &'static str, len: Option<usize>) -> Result<Growing<T>> {
        let mut values = Vec::new();
        if let Some(len) = len {
            self.fits(name, len, size_of::<T>())?;
        }
        if let (Some(len), Some(_)) = (len, self.len) {
            let bytes = (len * size_of::<T>()) as u64;
            values.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { what: "a Faiss file", bytes })?;
        }
        Ok(Growing(values))
    }

    fn piece<T: Element>(&mut self, run: &mut Growing<T>, len: usize) -> Result<()> {
        self.grow("a list", &mut run.0, len)
    }

    fn end<T: Element>(&mut self, name: &'static str, run: Growing<T>) -> Result<()> {
        self.note_array(name, run.0);
        Ok(())
    }

    fn sizes(&mut self, name: &'static str, count: usize) -> Result<Vec<u64>> {
        let mut values = Vec::new();
        match &self.tag()?.0 {
            b"full" => {
                let len = self.count(name)?;
                self.expect(name, len, count)?;
                self.grow::<u64>(name, &mut values, len)?;
            }
            b"sprs" => {
                let (len, mut pairs) = (self.count(name)?, Vec::new());
                self.grow::<u64>(name, &mut pairs, len)?;
                self.check(len.is_multiple_of(2), || format!("{name} has {len} values, which are no pairs"))?;
                self.table(name, (count as u64).checked_mul(8))?;
                values.resize(count, 0);
                for pair in pairs.chunks_exact(2) {
                    let list = usize::try_from(pair[0]).ok().and_then(|list| values.get_mut(list));
                    match list {
                        Some(size) => *size = pair[1],
                        None => return Err(self.fail(format!("a size of list {} of {count}", pair[0]))),
                    }
                }
            }
            other => {
                return Err(self.fail(format!("sizes of kind {}: expected full or sprs", Fourcc(*other))));
            }
        }
        self.note_array(name, values.clone());
        Ok(values)
    }

    fn rows(&mut self, name: &'static str, rows: usize, width: usize) -> Result<()> {
        // Each row ends with a number at least.
        self.fits(name, rows, 4)?;
        let cells = self.product(name, &[rows, width])?;
        let mut short = Vec::new();
        for row in 0..rows {
            for filled in 0.. {
                let value: i32 = self.one()?;
                self.check(filled < width || value == -1, || {
                    format!("row {row} has more than {width} neighbours")
                })?;
                short.push(value);
                if value == -1 {
                    break;
                }
            }
        }
        self.table(name, (cells as u64).checked_mul(4))?;
        let mut table = vec![-1; cells];
        for (row, values) in short.split_inclusive(|&value| value == -1).enumerate() {
            let values = &values[..values.len() - 1];
            table[row * width..row * width + values.len()].copy_from_slice(values);
        }
        self.note_array(name, table);
        Ok(())
    }

    fn bits(&mut self, count: usize, hash_bits: u32, size_bits: u32, ids: bool) -> Result<()> {
        let (len, mut bytes) = (self.count("the string of bits")?, Vec::new());
        self.grow::<u8>("the string of bits", &mut bytes, len)?;
        let entry = hash_bits as usize + size_bits as usize;
        let needed = self.product("bits", &[count, entry])?;
        self.check(len.saturating_mul(8) >= needed, || {
            format!("{count} hashes of {entry} bits do not fit into {len} bytes")
        })?;
        // An entry of no bits would have no bytes to pay for it.
        self.check(entry > 0 || count == 0, || "hashes of 0 bits".to_owned())?;
        self.table("hashes", (count as u64).checked_mul(16))?;
        let (mut hashes, mut sizes, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        for _ in 0..count {
            let short = || self.fail(format!("the string of {len} bytes ends before its hashes do"));
            hashes.push(super::bits::get(&bytes, &mut at, hash_bits).ok_or_else(short)?);
            let size = super::bits::get(&bytes, &mut at, size_bits).ok_or_else(short)?;
            sizes.push(size);
            for _ in 0..if ids { size } else { 0 } {
                // No bits for ids means that all are 0: as many as there are hashes are enough for one vector.
                self.check(size_bits > 0, || "ids of 0 bits".to_owned())?;
                found.push(super::bits::get(&bytes, &mut at, size_bits).ok_or_else(short)? as i64);
            }
        }
        if ids {
            self.table("ids", (found.len() as u64).checked_mul(8))?;
        }
        self.note_array("hashes", hashes);
        self.note_array("sizes", sizes);
        if ids {
            self.note_array("ids", found);
        }
        Ok(())
    }

    fn part(&mut self, name: &'static str, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let record = self.inner(Record::PART, body)?;
        self.note(name, Value::Record(record));
        Ok(())
    }

    fn object(
        &mut self,
        name: &'static str,
        optional: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<bool> {
        let fourcc = self.tag()?;
        let missing = matches!(&fourcc.0, b"null" | b"il00");
        if missing {
            self.check(optional, || format!("{name} is missing: it was written without"))?;
            let lists = Record { fourcc, fields: Vec::new() };
            self.note(name, if &fourcc.0 == b"il00" { Value::Record(lists) } else { Value::Null });
        } else {
            let record = self.inner(fourcc, body)?;
            self.note(name, Value::Record(record));
        }
        Ok(!missing)
    }

    fn objects(
        &mut self,
        name: &'static str,
        count: usize,
        tagged: bool,
        body: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()> {
        // None is shorter than eight bytes.
        self.fits(name, count, 8)?;
        let mut records = Vec::new();
        for _ in 0..count {
            let fourcc = if tagged { self.tag()? } else { Record::PART };
            records.push(self.inner(fourcc, &body)?);
        }
        self.note(name, Value::Records(records));
        Ok(())
    }
}
