//! From records into a file. What a record lacks is an error that names it; nothing is made up.

use std::io::{self, Write};
use std::path::PathBuf;

use super::bits;
use super::io::{Io, Number};
use super::record::{Element, Fourcc, Record, Value};
use crate::error::{Error, Result};

pub(super) struct Writer<'r, W> {
    output: W,
    path: PathBuf,
    at: u64,
    record: &'r Record<'r>,
    /// The names on the way from the root to the present record.
    trail: Vec<&'static str>,
    /// What the system said, where it refused.
    pub refused: Option<io::Error>,
}

/// What is left of a field that is written in pieces.
pub(super) struct Rest<'r, T>(&'r [T]);

impl<'r, W: Write> Writer<'r, W> {
    pub fn new(output: W, path: PathBuf, record: &'r Record<'r>) -> Self {
        Self { output, path, at: 0, record, trail: Vec::new(), refused: None }
    }

    /// Writes the record, by `body`.
    pub fn root(&mut self, tagged: bool, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if tagged {
            self.put(&self.record.fourcc.0)?;
        }
        body(self)
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.at
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.output.write_all(bytes).map_err(|e| {
            let error = Error::io("write", &self.path, io::Error::from(e.kind()));
            self.refused = Some(e);
            error
        })
    }

    fn one<T: bytemuck::Pod>(&mut self, value: T) -> Result<()> {
        self.put(bytemuck::bytes_of(&value))
    }

    fn get(&self, name: &str) -> Result<&'r Value<'r>> {
        self.record.get(name).ok_or_else(|| self.fail(format!("{name} is not in the record")))
    }

    fn values<T: Element>(&self, name: &str) -> Result<&'r [T]> {
        match self.get(name)? {
            Value::Array(array) => T::view(array)
                .ok_or_else(|| self.fail(format!("{name} is {}: expected {}", array.dtype(), T::NAME))),
            _ => Err(self.fail(format!("{name} is no array: expected one of {}", T::NAME))),
        }
    }

    fn number<N: Number>(&mut self, name: &str, value: Option<i64>) -> Result<i64> {
        let value = value.ok_or_else(|| self.fail(format!("{name} is not a whole number")))?;
        let narrow = N::narrow(value).ok_or_else(|| {
            self.fail(format!("{name} is {value}, which {} bytes do not hold", size_of::<N>()))
        })?;
        self.one(narrow)?;
        Ok(value)
    }

    fn inner(
        &mut self,
        name: &'static str,
        record: &'r Record<'r>,
        tagged: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if tagged {
            self.put(&record.fourcc.0)?;
        }
        let outer = std::mem::replace(&mut self.record, record);
        self.trail.push(name);
        body(self)?;
        self.trail.pop();
        self.record = outer;
        Ok(())
    }
}

impl<'r, W: Write> Io for Writer<'r, W> {
    const READS: bool = false;
    type Run<T: Element> = Rest<'r, T>;

    fn fourcc(&self) -> Fourcc {
        self.record.fourcc
    }

    fn seen(&self) -> &Record<'_> {
        self.record
    }

    fn rename(&mut self, _fourcc: &[u8; 4]) {}

    fn supply(&mut self, _name: &'static str, _value: Value<'static>) {}

    fn enclose(
        &mut self,
        _name: &'static str,
        _fourcc: &[u8; 4],
        _names: &[&str],
        _more: Vec<(&'static str, Value<'static>)>,
    ) {
    }

    fn fail(&self, problem: impl Into<String>) -> Error {
        let trail: String = self.trail.iter().map(|name| format!(".{name}")).collect();
        let place = match self.record.fourcc {
            Record::PART => trail,
            fourcc => format!("{fourcc} {trail}"),
        };
        Error::format(&self.path, self.at, format!("{}: {}", place.trim(), problem.into()))
    }

    fn int<N: Number>(&mut self, name: &'static str) -> Result<i64> {
        self.get(name)?;
        self.number::<N>(name, self.record.int(name))
    }

    fn implied<N: Number>(&mut self, value: impl FnOnce(&Record<'_>) -> Option<i64>) -> Result<i64> {
        let value = value(self.record);
        self.number::<N>("what follows from the record's fields", value)
    }

    fn float(&mut self, name: &'static str) -> Result<f32> {
        self.get(name)?;
        let value = self.record.float(name).ok_or_else(|| self.fail(format!("{name} is not a number")))?;
        self.one(value as f32)?;
        Ok(value as f32)
    }

    fn flag(&mut self, name: &'static str) -> Result<bool> {
        self.get(name)?;
        match self.record.int(name) {
            Some(value @ (0 | 1)) => {
                self.one(value as u8)?;
                Ok(value == 1)
            }
            _ => Err(self.fail(format!("{name} is not true or false"))),
        }
    }

    fn array<T: Element>(&mut self, name: &'static str) -> Result<usize> {
        let values = self.values::<T>(name)?;
        self.one(values.len() as u64)?;
        self.put(bytemuck::cast_slice(values))?;
        Ok(values.len())
    }

    fn words(&mut self, name: &'static str) -> Result<usize> {
        let values = self.values::<u8>(name)?;
        self.check(values.len().is_multiple_of(4), || {
            format!("{name} has {} bytes, not a multiple of 4", values.len())
        })?;
        self.one(values.len() as u64 / 4)?;
        self.put(values)?;
        Ok(values.len())
    }

    fn begin<T: Element>(&mut self, name: &'static str, len: Option<usize>) -> Result<Rest<'r, T>> {
        let values = self.values::<T>(name)?;
        self.expect(name, values.len(), len.unwrap_or(values.len()))?;
        Ok(Rest(values))
    }

    fn piece<T: Element>(&mut self, run: &mut Rest<'r, T>, len: usize) -> Result<()> {
        let Some((piece, rest)) = run.0.split_at_checked(len) else {
            return Err(self.fail(format!("a list of {len} values, but {} are left", run.0.len())));
        };
        run.0 = rest;
        self.put(bytemuck::cast_slice(piece))
    }

    fn end<T: Element>(&mut self, name: &'static str, run: Rest<'r, T>) -> Result<()> {
        self.check(run.0.is_empty(), || {
            format!("{name} has {} values more than its sizes add up to", run.0.len())
        })
    }

    fn sizes(&mut self, name: &'static str, count: usize) -> Result<Vec<u64>> {
        let sizes = self.values::<u64>(name)?;
        self.expect(name, sizes.len(), count)?;
        if sizes.iter().filter(|&&size| size > 0).count() > count / 2 {
            self.put(b"full")?;
            self.one(count as u64)?;
            self.put(bytemuck::cast_slice(sizes))?;
        } else {
            let lists = sizes.iter().enumerate().filter(|(_, size)| **size > 0);
            let pairs: Vec<u64> = lists.flat_map(|(list, &size)| [list as u64, size]).collect();
            self.put(b"sprs")?;
            self.one(pairs.len() as u64)?;
            self.put(bytemuck::cast_slice(&pairs))?;
        }
        Ok(sizes.to_vec())
    }

    fn rows(&mut self, name: &'static str, rows: usize, width: usize) -> Result<()> {
        let table = self.values::<i32>(name)?;
        self.expect(name, table.len(), self.product(name, &[rows, width])?)?;
        for row in 0..rows {
            let row = &table[row * width..][..width];
            let filled = row.iter().position(|&value| value == -1).unwrap_or(width);
            self.put(bytemuck::cast_slice(&row[..filled]))?;
            self.one(-1i32)?;
        }
        Ok(())
    }

    fn bits(&mut self, count: usize, hash_bits: u32, size_bits: u32, ids: bool) -> Result<()> {
        let (hashes, sizes) = (self.values::<u64>("hashes")?, self.values::<u64>("sizes")?);
        self.expect("hashes", hashes.len(), count)?;
        self.expect("sizes", sizes.len(), count)?;
        let mut left = if ids { self.values::<u64>("ids")? } else { &[] };
        let (mut bytes, mut at) = (Vec::new(), 0);
        let wide = |value: u64, bits: u32| bits < 64 && value >> bits > 0;
        for (&hash, &size) in hashes.iter().zip(sizes) {
            self.check(!wide(hash, hash_bits) && !wide(size, size_bits), || {
                format!("hash {hash} of {size} vectors does not fit into {hash_bits} and {size_bits} bits")
            })?;
            bits::put(&mut bytes, &mut at, hash_bits, hash);
            bits::put(&mut bytes, &mut at, size_bits, size);
            if ids {
                let Some((these, rest)) =
                    usize::try_from(size).ok().and_then(|size| left.split_at_checked(size))
                else {
                    return Err(self.fail(format!("{size} ids, but {} are left", left.len())));
                };
                left = rest;
                for &id in these {
                    self.check(!wide(id, size_bits), || {
                        format!("id {id} does not fit into {size_bits} bits")
                    })?;
                    bits::put(&mut bytes, &mut at, size_bits, id);
                }
            }
        }
        self.one(bytes.len() as u64)?;
        self.put(&bytes)
    }

    fn part(&mut self, name: &'static str, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        match self.get(name)? {
            Value::Record(record) => self.inner(name, record, false, body),
            _ => Err(self.fail(format!("{name} is not a record"))),
        }
    }

    fn object(
        &mut self,
        name: &'static str,
        optional: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<bool> {
        match self.get(name)? {
            Value::Null if optional => self.put(b"null").map(|()| false),
            Value::Record(record) if optional && matches!(&record.fourcc.0, b"null" | b"il00") => {
                self.put(&record.fourcc.0).map(|()| false)
            }
            Value::Record(record) => self.inner(name, record, true, body).map(|()| true),
            _ => Err(self.fail(format!("{name} is not a record"))),
        }
    }

    fn objects(
        &mut self,
        name: &'static str,
        count: usize,
        tagged: bool,
        body: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()> {
        match self.get(name)? {
            Value::Records(records) if records.len() == count => {
                records.iter().try_for_each(|record| self.inner(name, record, tagged, &body))
            }
            _ => Err(self.fail(format!("{name} is not a list of {count} records"))),
        }
    }
}
