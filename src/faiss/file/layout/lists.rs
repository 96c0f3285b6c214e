//! Inverted lists. Codes and ids of all lists are two arrays here, list after list, wherever the file has them.

use super::super::io::Io;
use super::super::record::{Array, Element, Record, Value};
use crate::error::Result;

/// How the codes of a list lie.
#[derive(Clone, Copy)]
pub(super) enum Codes {
    /// One after the other, of so many bytes.
    Plain(usize),
    /// In blocks of so many vectors and bytes.
    Blocks(usize, usize),
}

/// The lists of an inverted file of `count` of them; they may be missing (`il00`).
pub(super) fn lists(io: &mut impl Io, count: usize, codes: Codes) -> Result<()> {
    io.object("invlists", true, |io| match (&io.fourcc().0, codes) {
        (b"ilar", Codes::Plain(size)) => array(io, count, size),
        (b"ilod", Codes::Plain(size)) => on_disk(io, count, size),
        (b"ilbl", Codes::Blocks(vectors, bytes)) => blocks(io, count, vectors, bytes),
        (b"ilar" | b"ilod", Codes::Blocks(..)) => Err(io.fail("codes of this index lie in blocks (ilbl)")),
        (b"ilbl", Codes::Plain(_)) => Err(io.fail("codes of this index do not lie in blocks: expected ilar")),
        _ => Err(super::unknown(io, "inverted lists")),
    })?;
    Ok(())
}

fn shape(io: &mut impl Io, count: usize) -> Result<()> {
    let lists = io.size("nlist")?;
    io.check(lists == count, || format!("nlist is {lists}, but {count} in the index"))
}

fn array(io: &mut impl Io, count: usize, size: usize) -> Result<()> {
    shape(io, count)?;
    let found = io.size("code_size")?;
    io.check(found == size, || format!("code_size is {found}, but {size} in the index"))?;
    let sizes = io.sizes("sizes", count)?;
    let total = sizes.iter().try_fold(0u64, |total, &size| total.checked_add(size));
    let Some(total) = total.and_then(|total| usize::try_from(total).ok()) else {
        return Err(io.fail("sizes add up to more than 64 bits"));
    };
    let mut codes = io.begin::<u8>("codes", Some(io.product("codes", &[total, size])?))?;
    let mut ids = io.begin::<i64>("ids", Some(total))?;
    for n in sizes {
        io.piece(&mut codes, n as usize * size)?;
        io.piece(&mut ids, n as usize)?;
    }
    io.end("codes", codes)?;
    io.end("ids", ids)
}

fn blocks(io: &mut impl Io, count: usize, vectors: usize, bytes: usize) -> Result<()> {
    shape(io, count)?;
    io.int::<i64>("code_size")?; // -1: it has a meaning within a block only
    let (found, size) = (io.size("n_per_block")?, io.size("block_size")?);
    io.check(found == vectors, || format!("n_per_block is {found}, but {vectors} in the index"))?;
    io.check(size == bytes, || format!("block_size is {size}, but {bytes} in the index"))?;
    let mut ids = io.begin::<i64>("ids", None)?;
    let mut codes = io.begin::<u8>("codes", None)?;
    let mut sizes = Vec::new();
    for list in 0..count {
        let n = counted(io, &mut ids, |record| Some(*record.array::<u64>("sizes")?.get(list)? as i64))?;
        let len = io.product("codes", &[n.div_ceil(vectors), bytes])?;
        let found = counted(io, &mut codes, |_| Some(len as i64))?;
        io.expect("codes of a list", found, len)?;
        sizes.push(n as u64);
    }
    io.end("ids", ids)?;
    io.end("codes", codes)?;
    io.supply("sizes", Value::Array(Array::U64(sizes.into())));
    Ok(())
}

/// A piece after how many values it has.
pub(super) fn counted<I: Io, T: Element>(
    io: &mut I,
    run: &mut I::Run<T>,
    len: impl FnOnce(&Record<'_>) -> Option<i64>,
) -> Result<usize> {
    let len = io.implied::<u64>(len)?;
    let len = usize::try_from(len).map_err(|_| io.fail(format!("{len} values in a list")))?;
    io.piece(run, len)?;
    Ok(len)
}

/// Where lists lie in a file of their own.
fn on_disk(io: &mut impl Io, count: usize, size: usize) -> Result<()> {
    shape(io, count)?;
    let found = io.size("code_size")?;
    io.check(found == size, || format!("code_size is {found}, but {size} in the index"))?;
    let len = triples(io, "lists", 3)?; // of (size, capacity, offset)
    io.expect("lists", len, count)?;
    triples(io, "slots", 2)?; // of (offset, capacity)
    io.array::<u8>("filename")?;
    io.int::<u64>("totsize")?;
    Ok(())
}

/// Tuples of sizes, counted as such.
fn triples(io: &mut impl Io, name: &'static str, width: usize) -> Result<usize> {
    let count = io.implied::<u64>(|record| Some((record.array::<u64>(name)?.len() / width) as i64))? as usize;
    let len = io.product(name, &[count, width])?;
    let mut run = io.begin::<u64>(name, Some(len))?;
    io.piece(&mut run, len)?;
    io.end(name, run)?;
    Ok(count)
}
