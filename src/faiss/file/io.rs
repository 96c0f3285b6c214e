//! How can one description of a layout serve both ways? It asks for fields by name, and either a [`Reader`](super::reader::Reader)
//! fetches them from a file into a record, or a [`Writer`](super::writer::Writer) puts them from a record into a file.

use super::record::{Element, Fourcc, Record, Value};
use crate::error::{Error, Result};

/// A whole number's type in the file.
pub(super) trait Number: bytemuck::Pod {
    /// `None` where it is beyond what a record holds.
    fn widen(self) -> Option<i64>;
    /// `None` where it does not fit.
    fn narrow(value: i64) -> Option<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {
        $(impl Number for $type {
            fn widen(self) -> Option<i64> {
                self.try_into().ok()
            }
            fn narrow(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
        })*
    };
}

number!(i8, u8, i32, u32, i64, u64);

/// Reading or writing, at one record at a time. All methods go on where the last one ended in the file.
pub(super) trait Io: Sized {
    /// True for a reader.
    const READS: bool;
    /// A run of values that comes in pieces, between other things.
    type Run<T: Element>;

    /// The class of the present record.
    fn fourcc(&self) -> Fourcc;
    /// The present record: when reading, what was read of it so far.
    fn seen(&self) -> &Record<'_>;
    /// Calls it another class, which holds the same from here on. (Only files of old versions, which nobody writes.)
    fn rename(&mut self, fourcc: &[u8; 4]);
    /// Adds a field that the file does not state, or corrects one.
    fn supply(&mut self, name: &'static str, value: Value<'static>);
    /// Moves the fields `names` into a record of their own, beside `more`.
    fn enclose(
        &mut self,
        name: &'static str,
        fourcc: &[u8; 4],
        names: &[&str],
        more: Vec<(&'static str, Value<'static>)>,
    );
    /// What is wrong here.
    fn fail(&self, problem: impl Into<String>) -> Error;

    /// A whole number.
    fn int<N: Number>(&mut self, name: &'static str) -> Result<i64>;
    /// A whole number that follows from the record, which does not hold it.
    fn implied<N: Number>(&mut self, value: impl FnOnce(&Record<'_>) -> Option<i64>) -> Result<i64>;
    /// A float of four bytes.
    fn float(&mut self, name: &'static str) -> Result<f32>;
    /// A byte that is 0 or 1.
    fn flag(&mut self, name: &'static str) -> Result<bool>;
    /// Values after their number. Tells how many there are.
    fn array<T: Element>(&mut self, name: &'static str) -> Result<usize>;
    /// Bytes after how many fours of them there are.
    fn words(&mut self, name: &'static str) -> Result<usize>;

    /// Values that come in pieces: `len` of them, where that is known.
    fn begin<T: Element>(&mut self, name: &'static str, len: Option<usize>) -> Result<Self::Run<T>>;
    /// The next `len` of them.
    fn piece<T: Element>(&mut self, run: &mut Self::Run<T>, len: usize) -> Result<()>;
    /// The field is complete.
    fn end<T: Element>(&mut self, name: &'static str, run: Self::Run<T>) -> Result<()>;
    /// The sizes of `count` lists, all of them or those that are not 0.
    fn sizes(&mut self, name: &'static str, count: usize) -> Result<Vec<u64>>;
    /// `rows` rows of up to `width` values, each ended by −1, as a table filled up with −1.
    fn rows(&mut self, name: &'static str, rows: usize, width: usize) -> Result<()>;
    /// A string of bits after its length in bytes: `count` times a hash of `hash_bits` and a size of `size_bits`, then (where `ids`)
    /// as many ids of `size_bits`. Fields "hashes", "sizes" and "ids".
    fn bits(&mut self, count: usize, hash_bits: u32, size_bits: u32, ids: bool) -> Result<()>;

    /// A part without a fourcc.
    fn part(&mut self, name: &'static str, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()>;
    /// An object with one. False where it is missing, which is an error unless `optional`.
    fn object(
        &mut self,
        name: &'static str,
        optional: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<bool>;
    /// `count` objects; or parts, where they are not `tagged`.
    fn objects(
        &mut self,
        name: &'static str,
        count: usize,
        tagged: bool,
        body: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<()>;

    /// An error, unless `condition`.
    fn check(&self, condition: bool, problem: impl FnOnce() -> String) -> Result<()> {
        if condition { Ok(()) } else { Err(self.fail(problem())) }
    }

    /// A whole number from `least` to `most`.
    fn within<N: Number>(&mut self, name: &'static str, least: i64, most: i64) -> Result<i64> {
        let value = self.int::<N>(name)?;
        self.check((least..=most).contains(&value), || {
            format!("{name} is {value}: expected {least} to {most}")
        })?;
        Ok(value)
    }

    /// A size, which cannot be negative.
    fn size(&mut self, name: &'static str) -> Result<usize> {
        let value = self.int::<u64>(name)?;
        usize::try_from(value)
            .map_err(|_| self.fail(format!("{name} is {value}, beyond this machine's memory")))
    }

    /// The product of sizes.
    fn product(&self, what: &str, sizes: &[usize]) -> Result<usize> {
        let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        product.ok_or_else(|| self.fail(format!("{what}: {sizes:?} have a product beyond 64 bits")))
    }

    /// That an array has so many values.
    fn expect(&self, what: &str, got: usize, expected: usize) -> Result<()> {
        self.check(got == expected, || format!("{what} has {got} values, not {expected}"))
    }
}
