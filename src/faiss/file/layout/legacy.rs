//! What older versions of Faiss wrote. It is read as if a newer one had written it, and never written.

use super::super::io::Io;
use super::super::record::{Array, Value};
use super::indexes::{ivf, ivf_before_map};
use super::lists::{Codes, counted, lists};
use super::parts::{codes, direct_map, header, pq, sq};
use crate::error::Result;

pub(super) fn body<I: Io>(io: &mut I) -> Result<()> {
    let kind = io.fourcc().0;
    io.check(I::READS, || "an old form, which is read only: write the new one".to_owned())?;
    match &kind {
        b"IxPQ" | b"IxPo" => {
            let head = header(io)?;
            let (_, _, size) = pq(io, head.d)?;
            codes(io, head.n, size)?;
            if &kind == b"IxPo" {
                io.int::<i32>("search_type")?;
                io.flag("encode_signs")?;
                io.int::<i32>("polysemous_ht")?;
            } else {
                io.supply("search_type", Value::Int(0));
                io.supply("encode_signs", Value::Flag(false));
                io.supply("polysemous_ht", Value::Int(1));
            }
            // They say inner product and mean L2.
            io.supply("metric_type", Value::Int(1));
            io.rename(b"IxPq");
        }
        b"IwSQ" => {
            let (head, count) = ivf(io)?;
            let size = sq(io, head)?;
            io.size("code_size")?;
            io.supply("by_residual", Value::Flag(true));
            lists(io, count, Codes::Plain(size))?;
            io.rename(b"IwSq");
        }
        b"IvFl" | b"IvFL" => {
            let (head, count) = ivf_before_map(io)?;
            let sizes = ids(io, count)?;
            direct_map(io)?;
            // The older of the two counts floats.
            list_codes(io, &sizes, 4 * head.d, if &kind == b"IvFl" { 4 } else { 1 })?;
            io.rename(b"IwFl");
        }
        b"IvSQ" => {
            let (head, count) = ivf_before_map(io)?;
            let sizes = ids(io, count)?;
            direct_map(io)?;
            let size = sq(io, head)?;
            io.size("code_size")?;
            io.supply("by_residual", Value::Flag(true));
            list_codes(io, &sizes, size, 1)?;
            io.rename(b"IwSq");
        }
        _ => {
            let (head, count) = ivf_before_map(io)?;
            let sizes = ids(io, count)?;
            direct_map(io)?;
            io.flag("by_residual")?;
            io.size("code_size")?;
            let (_, _, size) = pq(io, head.d)?;
            list_codes(io, &sizes, size, 1)?;
            io.rename(b"IwPQ");
        }
    }
    Ok(())
}

/// The ids of all lists, which old files have before anything else of them.
fn ids(io: &mut impl Io, count: usize) -> Result<Vec<u64>> {
    let mut run = io.begin::<i64>("ids", None)?;
    let mut sizes = Vec::new();
    for _ in 0..count {
        sizes.push(counted(io, &mut run, |_| None)? as u64);
    }
    io.end("ids", run)?;
    Ok(sizes)
}

/// The codes of all lists, counted in units of `unit` bytes; with the ids they become lists as they are today.
fn list_codes(io: &mut impl Io, sizes: &[u64], size: usize, unit: usize) -> Result<()> {
    let mut run = io.begin::<u8>("codes", None)?;
    for &n in sizes {
        let found = io.implied::<u64>(|_| None)?;
        let len = io.product("codes", &[n as usize, size])?;
        io.check(found as u64 == (len / unit) as u64, || {
            format!("a list of {n} ids has {found} values in its codes, not {}", len / unit)
        })?;
        io.piece(&mut run, len)?;
    }
    io.end("codes", run)?;
    let more = vec![
        ("nlist", Value::Int(sizes.len() as i64)),
        ("code_size", Value::Int(size as i64)),
        ("sizes", Value::Array(Array::U64(sizes.to_vec().into()))),
    ];
    io.enclose("invlists", b"ilar", &["codes", "ids"], more);
    Ok(())
}
