//! Indexes of vectors of bits.

use super::super::io::Io;
use super::super::record::Record;
use super::graphs;
use super::lists::{Codes, counted, lists};
use super::parts::{Head, binary_header, check_quantizer, direct_map, ivf_lists};
use crate::error::Result;

/// An index of bits, behind its fourcc.
pub(in super::super) fn body(io: &mut impl Io) -> Result<()> {
    match &io.fourcc().0 {
        b"IBxF" => {
            let head = binary_header(io)?;
            let len = io.array::<u8>("xb")?;
            io.expect("xb", len, io.product("xb", &[head.n, head.d / 8])?)
        }
        b"IBwF" => {
            let head = binary_header(io)?;
            let count = ivf_lists(io)?;
            io.object("quantizer", false, body)?;
            check_quantizer(io, head, count)?;
            direct_map(io)?;
            lists(io, count, Codes::Plain(head.d / 8))
        }
        b"IBFf" => {
            let head = binary_header(io)?;
            io.object("index", false, super::index)?;
            same(io, "index", head)
        }
        b"IBHf" => {
            let head = binary_header(io)?;
            graphs::hnsw(io, head.n)?;
            storage(io, head)
        }
        b"IBMp" | b"IBM2" => {
            let head = binary_header(io)?;
            io.object("index", false, body)?;
            same(io, "index", head)?;
            let len = io.array::<i64>("id_map")?;
            io.expect("id_map", len, head.n)
        }
        b"IBHh" => hash(io),
        b"IBHm" => multi_hash(io),
        _ => Err(super::unknown(io, "an index of bits")),
    }
}

fn same(io: &impl Io, name: &str, head: Head) -> Result<()> {
    let Some(inner) = io.seen().record(name) else { return Ok(()) };
    let (d, n) = (inner.int("d").unwrap_or(-1), inner.int("ntotal").unwrap_or(-1));
    io.check(d == head.d as i64 && n == head.n as i64, || {
        format!("{name} has {n} vectors of {d} bits, not {} of {}", head.n, head.d)
    })
}

fn storage(io: &mut impl Io, head: Head) -> Result<()> {
    io.object("storage", false, |io| match &io.fourcc().0 {
        b"IBxF" => body(io),
        _ => Err(io.fail("expected a flat index (IBxF)")),
    })?;
    same(io, "storage", head)
}

/// Bits of a hash: `maps` hashes of them come out of a vector.
fn hash_bits(io: &mut impl Io, head: Head) -> Result<u32> {
    Ok(io.within::<i32>("b", 1, head.d.min(64) as i64)? as u32)
}

fn width(most: u64) -> u32 {
    u64::BITS - most.leading_zeros()
}

fn array<'r>(record: &'r Record<'_>, name: &str) -> &'r [u64] {
    record.array::<u64>(name).unwrap_or_default()
}

/// Lists by the first bits of a vector.
fn hash(io: &mut impl Io) -> Result<()> {
    let head = binary_header(io)?;
    let bits = hash_bits(io, head)?;
    io.int::<i32>("nflip")?;
    let count = io.implied::<u64>(|record| Some(array(record, "hashes").len() as i64))? as usize;
    let sized = io.implied::<i32>(|record| {
        Some(width(array(record, "sizes").iter().copied().max().unwrap_or(0)).into())
    })?;
    io.check((0..=63).contains(&sized), || format!("sizes of {sized} bits"))?;
    io.bits(count, bits, sized as u32, false)?;
    let sizes = array(io.seen(), "sizes").to_vec();
    let mut ids = io.begin::<i64>("ids", None)?;
    let mut vecs = io.begin::<u8>("vecs", None)?;
    let mut total = 0u64;
    for n in sizes {
        let found = counted(io, &mut ids, |_| Some(n as i64))?;
        io.expect("the ids of a hash", found, n as usize)?;
        let len = io.product("vecs", &[found, head.d / 8])?;
        let found = counted(io, &mut vecs, |_| Some(len as i64))?;
        io.expect("the vectors of a hash", found, len)?;
        total += n;
    }
    io.check(total == head.n as u64, || format!("{total} vectors in the lists, but ntotal is {}", head.n))?;
    io.end("ids", ids)?;
    io.end("vecs", vecs)
}

/// Several such maps, by bits further on, over vectors that are stored once.
fn multi_hash(io: &mut impl Io) -> Result<()> {
    let head = binary_header(io)?;
    storage(io, head)?;
    let bits = hash_bits(io, head)?;
    let maps = io.within::<i32>("nhash", 1, head.d as i64 / i64::from(bits))? as usize;
    io.int::<i32>("nflip")?;
    let n = head.n as u64;
    io.objects("maps", maps, false, |io| {
        // As many as numbers below ntotal need, and those of sizes.
        let wide = io.implied::<i32>(|record| {
            let most = array(record, "sizes").iter().copied().max().unwrap_or(0);
            Some(width(most.max(n.saturating_sub(1))).into())
        })?;
        io.check((0..=63).contains(&wide), || format!("ids of {wide} bits"))?;
        let count = io.implied::<u64>(|record| Some(array(record, "hashes").len() as i64))? as usize;
        io.bits(count, bits, wide as u32, true)?;
        let ids = array(io.seen(), "ids");
        let far = ids.iter().find(|&&id| id >= n);
        io.check(ids.len() as u64 <= n && far.is_none(), || {
            format!("{} ids, among them {far:?}, but ntotal is {n}", ids.len())
        })
    })
}
