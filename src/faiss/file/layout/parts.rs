//! What several classes are made of: headers, quantizers, the map from ids to places.

use super::super::io::Io;
use super::super::record::Value;
use crate::error::Result;

/// What every index begins with.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub d: usize,
    pub n: usize,
    pub trained: bool,
}

/// What stands for two numbers that were never used.
const DUMMY: i64 = 1 << 20;
/// Faiss's own limit.
const WIDEST: i64 = 1 << 20;

/// The header of an index of floats.
pub(super) fn header(io: &mut impl Io) -> Result<Head> {
    let d = io.within::<i32>("d", 0, WIDEST)? as usize;
    let n = total(io)?;
    io.implied::<i64>(|_| Some(DUMMY))?;
    io.implied::<i64>(|_| Some(DUMMY))?;
    let trained = io.flag("is_trained")?;
    if metric(io)? > 1 {
        io.float("metric_arg")?;
    } else {
        io.supply("metric_arg", Value::Float(0.0));
    }
    Ok(Head { d, n, trained })
}

/// The header of an index of bits.
pub(super) fn binary_header(io: &mut impl Io) -> Result<Head> {
    let d = io.within::<i32>("d", 8, WIDEST)? as usize;
    io.check(d.is_multiple_of(8), || format!("d is {d}: expected a multiple of 8"))?;
    let bytes = io.int::<i32>("code_size")?;
    io.check(bytes == d as i64 / 8, || format!("code_size is {bytes}, not d / 8 = {}", d / 8))?;
    let n = total(io)?;
    let trained = io.flag("is_trained")?;
    metric(io)?;
    Ok(Head { d, n, trained })
}

fn total(io: &mut impl Io) -> Result<usize> {
    let n = io.within::<i64>("ntotal", 0, i64::MAX)?;
    usize::try_from(n).map_err(|_| io.fail(format!("ntotal is {n}, beyond this machine's memory")))
}

pub(super) fn metric(io: &mut impl Io) -> Result<i64> {
    let metric = io.int::<i32>("metric_type")?;
    io.check(matches!(metric, 0..=4 | 20..=25), || {
        format!("metric_type is {metric}: expected 0 (inner product), 1 (L2), 2 to 4 or 20 to 25")
    })?;
    Ok(metric)
}

/// `io` stands at an inverted file; tells how many lists it has.
pub(super) fn ivf_lists(io: &mut impl Io) -> Result<usize> {
    let lists = io.size("nlist")?;
    io.int::<u64>("nprobe")?;
    Ok(lists)
}

/// That what finds the lists finds none that do not exist, in the space of the index. (Of an index that is not trained, which finds
/// nothing, Faiss writes any.)
pub(super) fn check_quantizer(io: &impl Io, head: Head, lists: usize) -> Result<()> {
    let d = head.d;
    let Some(quantizer) = io.seen().record("quantizer") else { return Ok(()) };
    let (of, found) = (quantizer.int("d"), quantizer.int("ntotal").unwrap_or(0));
    io.check(of == Some(d as i64), || format!("quantizer has d = {}, not {d}", of.unwrap_or(-1)))?;
    io.check(found as u64 <= lists as u64 || !head.trained, || {
        format!("quantizer has {found} centroids for nlist = {lists} lists")
    })
}

/// Where each id is, of an inverted file that knows.
pub(super) fn direct_map(io: &mut impl Io) -> Result<()> {
    io.part("direct_map", |io| {
        let kind = io.within::<u8>("type", 0, 2)?;
        io.array::<i64>("array")?;
        if kind == 2 {
            // Pairs, counted as such.
            let pairs =
                io.implied::<u64>(|map| Some(map.array::<i64>("hashtable")?.len() as i64 / 2))? as usize;
            let len = io.product("hashtable", &[pairs, 2])?;
            let mut run = io.begin::<i64>("hashtable", Some(len))?;
            io.piece(&mut run, len)?;
            io.end("hashtable", run)?;
        }
        Ok(())
    })
}

/// Tells (M, nbits, code_size).
pub(in super::super) fn product_quantizer(io: &mut impl Io) -> Result<(usize, usize, usize)> {
    let (d, m) = (io.size("d")?, io.size("M")?);
    let bits = io.within::<u64>("nbits", 1, 24)? as usize;
    io.check(m > 0 && d.is_multiple_of(m), || format!("M is {m}: expected a divisor of d = {d}"))?;
    let len = io.array::<f32>("centroids")?;
    io.expect("centroids", len, io.product("centroids", &[d, 1 << bits])?)?;
    Ok((m, bits, io.product("code_size", &[m, bits])?.div_ceil(8)))
}

/// The product quantizer "pq" of an index of `d` dimensions.
pub(super) fn pq(io: &mut impl Io, d: usize) -> Result<(usize, usize, usize)> {
    let mut shape = (0, 0, 0);
    io.part("pq", |io| {
        shape = product_quantizer(io)?;
        Ok(())
    })?;
    same_d(io, "pq", d)?;
    Ok(shape)
}

/// The scalar quantizer "sq" of an index; tells its code_size.
pub(super) fn sq(io: &mut impl Io, head: Head) -> Result<usize> {
    let mut size = 0;
    io.part("sq", |io| {
        let kind = io.within::<i32>("qtype", 0, 26)?;
        io.int::<i32>("rangestat")?;
        io.float("rangestat_arg")?;
        let d = io.size("d")?;
        size = io.size("code_size")?;
        let len = io.array::<f32>("trained")?;
        let expected = match kind {
            0 | 1 | 6 => 2 * head.d,
            2 | 3 => 2,
            4 | 5 | 7 | 8 => 0,
            // Levels and borders of the newer types, which their classes check.
            _ => len,
        };
        let untrained = len == 0 && !head.trained;
        io.check(len == expected || untrained, || format!("trained has {len} values, not {expected}"))?;
        let bits = match kind {
            0 | 2 | 5 | 8 => Some(8),
            1 | 3 => Some(4),
            4 | 7 => Some(16),
            6 => Some(6),
            _ => None,
        };
        if let Some(bits) = bits {
            let right = io.product("code_size", &[d, bits])?.div_ceil(8);
            io.check(size == right, || format!("code_size is {size}, not {right}"))?;
        }
        Ok(())
    })?;
    same_d(io, "sq", head.d)?;
    Ok(size)
}

/// The RaBitQ quantizer "rabitq" of an index; files of the first version have no `nb_bits`, which is 1.
pub(super) fn rabitq(io: &mut impl Io, head: Head, bits: bool) -> Result<usize> {
    let mut size = 0;
    io.part("rabitq", |io| {
        io.size("d")?;
        size = io.size("code_size")?;
        metric(io)?;
        match bits {
            true => io.within::<u64>("nb_bits", 1, 9).map(drop),
            false => {
                io.supply("nb_bits", Value::Int(1));
                Ok(())
            }
        }
    })?;
    same_d(io, "rabitq", head.d)?;
    io.check(size > 0, || "code_size is 0".to_owned())?;
    Ok(size)
}

fn same_d(io: &impl Io, part: &str, d: usize) -> Result<()> {
    let found = io.seen().record(part).and_then(|part| part.int("d"));
    io.check(found == Some(d as i64), || format!("{part} has d = {}, not {d}", found.unwrap_or(-1)))
}

/// The codes of all vectors, `size` bytes each, after how many bytes that is.
pub(super) fn codes(io: &mut impl Io, n: usize, size: usize) -> Result<()> {
    let len = io.array::<u8>("codes")?;
    io.expect("codes", len, io.product("codes", &[n, size])?)
}
