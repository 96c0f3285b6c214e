//! Indexes of vectors of floats.

use super::super::io::Io;
use super::super::record::Value;
use super::lists::{Codes, lists};
use super::parts::{
    Head, check_quantizer, codes, direct_map, header, ivf_lists, pq, product_quantizer, rabitq, sq,
};
use super::{graphs, legacy, transforms};
use crate::error::Result;

/// An index, behind its fourcc.
pub(in super::super) fn body(io: &mut impl Io) -> Result<()> {
    match &io.fourcc().0 {
        b"IxFI" | b"IxF2" | b"IxFl" => {
            let head = header(io)?;
            let len = io.words("codes")?;
            io.expect("codes", len, io.product("codes", &[head.n, head.d, 4])?)
        }
        b"IxPq" => {
            let head = header(io)?;
            let (_, _, size) = pq(io, head.d)?;
            codes(io, head.n, size)?;
            io.int::<i32>("search_type")?;
            io.flag("encode_signs")?;
            io.int::<i32>("polysemous_ht")?;
            Ok(())
        }
        b"IxSQ" => {
            let head = header(io)?;
            let size = sq(io, head)?;
            codes(io, head.n, size)
        }
        b"IxHe" => hash(io),
        b"Ixrq" => flat_rabitq(io, false),
        b"Ixrr" => flat_rabitq(io, true),
        b"IPfs" => pq_fast_scan(io),
        b"Irfn" | b"Irfs" => rabitq_fast_scan(io),
        b"IwFl" => {
            let (head, count) = ivf(io)?;
            lists(io, count, Codes::Plain(4 * head.d))
        }
        b"IwSq" => {
            let (head, count) = ivf(io)?;
            let size = sq(io, head)?;
            own_size(io, size)?;
            io.flag("by_residual")?;
            lists(io, count, Codes::Plain(size))
        }
        b"IwPQ" => ivf_pq(io).map(drop),
        b"IwQR" => ivf_pq_refined(io),
        b"IwFd" => {
            let (head, count) = ivf(io)?;
            let len = io.array::<i64>("instances")?;
            io.check(len.is_multiple_of(2), || format!("instances has {len} values: expected pairs"))?;
            lists(io, count, Codes::Plain(4 * head.d))
        }
        b"IwSh" => spectral_hash(io),
        b"IwIQ" => independent(io),
        b"Ix2L" => two_layers(io),
        b"Iwrq" => ivf_rabitq(io, false),
        b"Iwrr" => ivf_rabitq(io, true),
        b"IwPf" => ivf_pq_fast_scan(io),
        b"Iwrn" | b"Iwrf" => ivf_rabitq_fast_scan(io),
        b"IHNf" | b"IHNs" | b"IHNp" | b"IHN2" => hnsw(io),
        b"IHNr" => hnsw_rabitq(io),
        b"INSf" | b"INSs" | b"INSp" => nsg(io),
        b"IxMp" | b"IxM2" => {
            let head = header(io)?;
            part(io, "index", head, true)?;
            let len = io.array::<i64>("id_map")?;
            io.expect("id_map", len, head.n)
        }
        b"IxPT" => pre_transform(io),
        b"IRMf" | b"IRMh" => {
            let head = header(io)?;
            part(io, "index", head, false)
        }
        b"IxRF" => {
            let head = header(io)?;
            part(io, "base_index", head, false)?;
            part(io, "refine_index", head, true)?;
            let factor = io.float("k_factor")?;
            io.check((1.0..=1000.0).contains(&factor), || format!("k_factor is {factor}: expected 1 to 1000"))
        }
        b"IxPQ" | b"IxPo" | b"IvFl" | b"IvFL" | b"IvSQ" | b"IwSQ" | b"IvPQ" => legacy::body(io),
        _ => Err(super::unknown(io, "an index")),
    }
}

/// The header of an inverted file; tells how many lists it has.
pub(super) fn ivf(io: &mut impl Io) -> Result<(Head, usize)> {
    let (head, count) = ivf_before_map(io)?;
    direct_map(io)?;
    Ok((head, count))
}

/// The same up to the map, before which old files have something else.
pub(super) fn ivf_before_map(io: &mut impl Io) -> Result<(Head, usize)> {
    let head = header(io)?;
    let count = ivf_lists(io)?;
    io.object("quantizer", false, body)?;
    check_quantizer(io, head, count)?;
    Ok((head, count))
}

/// An index within, of the same space; where `whole`, of the same vectors.
fn part(io: &mut impl Io, name: &'static str, head: Head, whole: bool) -> Result<()> {
    io.object(name, false, body)?;
    let Some(inner) = io.seen().record(name) else { return Ok(()) };
    let (d, n) = (inner.int("d").unwrap_or(-1), inner.int("ntotal").unwrap_or(-1));
    io.check(d == head.d as i64, || format!("{name} has d = {d}, not {}", head.d))?;
    io.check(!whole || n == head.n as i64, || format!("{name} has {n} vectors, but ntotal is {}", head.n))
}

/// The stored `code_size`, which is that of the quantizer.
fn own_size(io: &mut impl Io, right: usize) -> Result<()> {
    let size = io.size("code_size")?;
    io.check(size == right, || format!("code_size is {size}, but {right} by the quantizer"))
}

/// The bits a coordinate that queries are rounded to; 0 for none where `least` is 0.
fn query_bits(io: &mut impl Io, least: i64) -> Result<()> {
    io.within::<u8>("qb", least, 8).map(drop)
}

/// Signs of what a rotation makes of vectors, or of the first coordinates.
fn hash(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    let bits = io.within::<i32>("nbits", 1, 1 << 16)? as usize;
    let rotates = io.flag("rotate_data")?;
    let learns = io.flag("train_thresholds")?;
    let len = io.array::<f32>("thresholds")?;
    let needed = learns && head.trained;
    io.check(len == bits || (len == 0 && !needed), || format!("thresholds has {len} values, not {bits}"))?;
    let size = io.int::<i32>("code_size")?;
    io.check(size == bits.div_ceil(8) as i64, || format!("code_size is {size}, of {bits} bits"))?;
    io.object("rrot", false, transforms::body)?;
    if let Some(rotation) = io.seen().record("rrot") {
        let (into, out) = (rotation.int("d_in").unwrap_or(-1), rotation.int("d_out").unwrap_or(-1));
        let fits = into == head.d as i64 && out == bits as i64 && rotation.fourcc.0 == *b"rrot";
        io.check(fits, || {
            format!("{} takes {into} to {out} dimensions, of {} to {bits}", rotation.fourcc, head.d)
        })?;
        let made = rotation.array::<f32>("A").is_some_and(|a| !a.is_empty());
        io.check(if rotates { made } else { head.d >= bits }, || {
            format!("{bits} bits of {} dimensions without a rotation", head.d)
        })?;
    }
    codes(io, head.n, size as usize)
}

fn ivf_pq(io: &mut impl Io) -> Result<Head> {
    let (head, count) = ivf(io)?;
    io.flag("by_residual")?;
    let size = io.size("code_size")?;
    let (_, _, right) = pq(io, head.d)?;
    io.check(size == right, || format!("code_size is {size}, but {right} by pq"))?;
    lists(io, count, Codes::Plain(size))?;
    Ok(head)
}

/// The same with a second code of each vector, of what the first one is off.
fn ivf_pq_refined(io: &mut impl Io) -> Result<()> {
    let head = ivf_pq(io)?;
    let mut size = 0;
    io.part("refine_pq", |io| {
        size = product_quantizer(io)?.2;
        Ok(())
    })?;
    let len = io.array::<u8>("refine_codes")?;
    io.expect("refine_codes", len, io.product("refine_codes", &[head.n, size])?)?;
    io.float("k_factor").map(drop)
}

/// Signs along waves of what a transform makes of vectors.
fn spectral_hash(io: &mut impl Io) -> Result<()> {
    let (head, count) = ivf(io)?;
    io.object("vt", false, transforms::body)?;
    let bits = io.within::<i32>("nbit", 1, 1 << 20)? as usize;
    let (into, out) = match io.seen().record("vt") {
        Some(vt) => (vt.int("d_in").unwrap_or(-1), vt.int("d_out").unwrap_or(-1)),
        None => (head.d as i64, bits as i64),
    };
    io.check(into == head.d as i64 && out >= bits as i64, || {
        format!("vt takes {into} to {out} dimensions, of {} to {bits} bits", head.d)
    })?;
    io.float("period")?;
    let kind = io.within::<i32>("threshold_type", 0, 3)?;
    let (len, each) = (io.array::<f32>("trained")?, io.product("trained", &[count, bits])?);
    // Of medians, Faiss writes more than it reads.
    let whole = kind == 0 || len == each || (kind == 3 && len > each) || (len == 0 && !head.trained);
    io.check(whole, || format!("trained has {len} values, not {each}"))?;
    lists(io, count, Codes::Plain(bits.div_ceil(8)))
}

/// An inverted file whose lists are found by vectors as they came, and whose codes are of what a transform made of them.
fn independent(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    part(io, "quantizer", head, false)?;
    match io.implied::<u8>(|record| Some(record.record("vt").is_some().into()))? {
        0 => io.supply("vt", Value::Null),
        1 => drop(io.object("vt", false, transforms::body)?),
        other => return Err(io.fail(format!("has_vt is {other}: expected 0 or 1"))),
    }
    io.object("index_ivf", false, body)?;
    let of = |name: &str, field: &str| io.seen().record(name)?.int(field);
    let (into, out, own) = (of("vt", "d_in"), of("vt", "d_out"), of("index_ivf", "d"));
    let d = Some(head.d as i64);
    io.check(into.or(d) == d && (own.is_none() || own == out.or(d)), || {
        format!("vt takes {into:?} to {out:?} dimensions, of {} to {own:?}", head.d)
    })?;
    let kind = io.seen().record("index_ivf").map(|inner| inner.fourcc.0);
    if kind.is_some_and(|kind| matches!(&kind, b"IwPQ" | b"IwQR")) {
        io.within::<i32>("use_precomputed_table", -1, 2)?;
    }
    Ok(())
}

/// Codes of centroids, and of what vectors are off from them.
fn two_layers(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    part(io, "quantizer", head, false)?;
    io.size("nlist")?;
    io.within::<u8>("quantizer_trains_alone", 0, 2)?;
    let (_, _, fine) = pq(io, head.d)?;
    let (first, second, size) = (io.size("code_size_1")?, io.size("code_size_2")?, io.size("code_size")?);
    io.check(second == fine && first.checked_add(second) == Some(size), || {
        format!("codes of {size} bytes are made of {first} and {second}, of which pq has {fine}")
    })?;
    codes(io, head.n, size)
}

fn flat_rabitq(io: &mut impl Io, bits: bool) -> Result<()> {
    let head = header(io)?;
    let size = rabitq(io, head, bits)?;
    codes(io, head.n, size)?;
    center(io, head)?;
    query_bits(io, 0)
}

fn center(io: &mut impl Io, head: Head) -> Result<()> {
    let len = io.array::<f32>("center")?;
    if len == 0 && !head.trained { Ok(()) } else { io.expect("center", len, head.d) }
}

fn ivf_rabitq(io: &mut impl Io, bits: bool) -> Result<()> {
    let (head, count) = ivf(io)?;
    let size = rabitq(io, head, bits)?;
    own_size(io, size)?;
    io.flag("by_residual")?;
    query_bits(io, 0)?;
    lists(io, count, Codes::Plain(size))
}

/// `bbs` vectors a block, in groups of 32.
fn block(io: &mut impl Io) -> Result<usize> {
    let vectors = io.within::<i32>("bbs", 32, 1 << 20)? as usize;
    io.check(vectors.is_multiple_of(32), || format!("bbs is {vectors}: expected a multiple of 32"))?;
    Ok(vectors)
}

/// Nibbles a vector in a block: `m`, made even.
fn nibbles(io: &mut impl Io, m: usize) -> Result<usize> {
    let even = io.size("M2")?;
    let right = m.next_multiple_of(2);
    io.check(even == right, || format!("M2 is {even}: expected M = {m} made even, {right}"))?;
    Ok(even)
}

fn nibble_pq(io: &mut impl Io, d: usize) -> Result<usize> {
    let (m, bits, _) = pq(io, d)?;
    io.check(bits == 4, || format!("nbits is {bits}: codes in blocks have 4"))?;
    Ok(m)
}

/// Codes of `n` vectors in whole blocks of `vectors` vectors and `bytes` bytes.
fn blocks(io: &mut impl Io, n: usize, vectors: usize, bytes: usize) -> Result<()> {
    let rounded = io.seen().int("ntotal2").unwrap_or(-1);
    let count = n.div_ceil(vectors);
    io.check(rounded as u64 == (count as u64).saturating_mul(vectors as u64), || {
        format!("ntotal2 is {rounded}: expected ntotal = {n} made a multiple of bbs = {vectors}")
    })?;
    codes(io, count, bytes)
}

fn pq_fast_scan(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    let m = nibble_pq(io, head.d)?;
    io.int::<i32>("implem")?;
    let vectors = block(io)?;
    io.within::<i32>("qbs", 0, i32::MAX.into())?;
    io.size("ntotal2")?;
    let even = nibbles(io, m)?;
    let bytes = io.product("a block", &[vectors, even / 2])?;
    blocks(io, head.n, vectors, bytes)
}

fn ivf_pq_fast_scan(io: &mut impl Io) -> Result<()> {
    let (head, count) = ivf(io)?;
    io.flag("by_residual")?;
    let size = io.size("code_size")?;
    let vectors = block(io)?;
    let even = io.size("M2")?;
    io.int::<i32>("implem")?;
    io.int::<u64>("qbs2")?;
    let m = nibble_pq(io, head.d)?;
    io.check(even == m.next_multiple_of(2), || format!("M2 is {even}: expected M = {m} made even"))?;
    io.check(size == m.div_ceil(2), || format!("code_size is {size}, not M / 2 = {}", m.div_ceil(2)))?;
    let bytes = io.product("a block", &[vectors, even / 2])?;
    lists(io, count, Codes::Blocks(vectors, bytes))
}

/// Bytes of a RaBitQ code beyond its first bit a coordinate, which lie behind the blocks' nibbles.
fn beside(io: &impl Io, size: usize, d: usize) -> Result<usize> {
    let bits = d.div_ceil(8);
    size.checked_sub(bits).ok_or_else(|| io.fail(format!("code_size is {size}: expected {bits} or more")))
}

fn rabitq_fast_scan(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    rabitq(io, head, true)?;
    center(io, head)?;
    query_bits(io, 1)?;
    let old = &io.fourcc().0 == b"Irfs";
    if old {
        io.array::<u8>("flat_storage")?;
    }
    let vectors = block(io)?;
    io.size("ntotal2")?;
    let even = nibbles(io, head.d.div_ceil(4))?;
    let size = io.size("code_size")?;
    let beside = if old { 0 } else { beside(io, size, head.d)? };
    let bytes = io.product("a block", &[vectors, even / 2 + beside])?;
    blocks(io, head.n, vectors, bytes)
}

fn ivf_rabitq_fast_scan(io: &mut impl Io) -> Result<()> {
    let (head, count) = ivf(io)?;
    rabitq(io, head, true)?;
    io.flag("by_residual")?;
    let size = io.size("code_size")?;
    let vectors = block(io)?;
    io.int::<u64>("qbs2")?;
    let even = nibbles(io, head.d.div_ceil(4))?;
    io.int::<i32>("implem")?;
    query_bits(io, 1)?;
    io.flag("centered")?;
    let old = &io.fourcc().0 == b"Iwrf";
    if old {
        io.array::<u8>("flat_storage")?;
    }
    let beside = if old { 0 } else { beside(io, size, head.d)? };
    let bytes = io.product("a block", &[vectors, even / 2 + beside])?;
    lists(io, count, Codes::Blocks(vectors, bytes))
}

/// Where the vectors of a graph are: an index of them, or nowhere in this file.
fn storage(io: &mut impl Io, head: Head, optional: bool) -> Result<()> {
    io.object("storage", optional, body)?;
    let Some(inner) = io.seen().record("storage") else { return Ok(()) };
    let (d, n) = (inner.int("d").unwrap_or(-1), inner.int("ntotal").unwrap_or(-1));
    io.check(d == head.d as i64 && n == head.n as i64, || {
        format!("storage has {n} vectors of {d} dimensions, not {} of {}", head.n, head.d)
    })
}

fn hnsw(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    graphs::hnsw(io, head.n)?;
    storage(io, head, true)
}

/// A graph over RaBitQ codes, and whether a search looks at their signs first: it does where codes have further bits.
fn hnsw_rabitq(io: &mut impl Io) -> Result<()> {
    hnsw(io)?;
    let staged = io.flag("staged")?;
    let Some(inner) = io.seen().record("storage") else { return Ok(()) };
    let kind = inner.fourcc;
    io.check(matches!(&kind.0, b"Ixrq" | b"Ixrr"), || format!("storage is {kind}, not RaBitQ codes"))?;
    let bits = inner.record("rabitq").and_then(|rabitq| rabitq.int("nb_bits")).unwrap_or(1);
    io.check(staged == (bits > 1), || format!("staged is {staged}, but codes have {bits} bits"))
}

fn nsg(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    io.int::<i32>("GK")?;
    io.int::<i8>("build_type")?;
    for name in ["nndescent_S", "nndescent_R", "nndescent_L", "nndescent_iter"] {
        io.int::<i32>(name)?;
    }
    graphs::nsg(io, head.n)?;
    storage(io, head, false)
}

fn pre_transform(io: &mut impl Io) -> Result<()> {
    let head = header(io)?;
    let count = io.implied::<i32>(|record| Some(record.records("chain")?.len() as i64))?;
    io.check((0..=1024).contains(&count), || format!("a chain of {count} transforms: expected 0 to 1024"))?;
    io.objects("chain", count as usize, true, transforms::body)?;
    io.object("index", false, body)?;
    let mut d = head.d as i64;
    for transform in io.seen().records("chain").unwrap_or_default() {
        let d_in = transform.int("d_in");
        io.check(d_in == Some(d), || {
            format!("{} has d_in = {}, not {d}", transform.fourcc, d_in.unwrap_or(-1))
        })?;
        d = transform.int("d_out").unwrap_or(-1);
    }
    if let Some(inner) = io.seen().record("index") {
        let own = inner.int("d").unwrap_or(-1);
        io.check(own == d, || format!("index has d = {own}, not {d}"))?;
        let n = inner.int("ntotal").unwrap_or(-1);
        io.check(n == head.n as i64, || format!("index has {n} vectors, but ntotal is {}", head.n))?;
    }
    Ok(())
}
