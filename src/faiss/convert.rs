//! What vectors are in a file of Faiss's? Each class decoded, so that a native index can be built of them.
//!
//! Codes become the vectors that they stand for: what an index of codes has lost stays lost. Transforms are undone where that is
//! possible without loss, so that the index takes the same queries.

use std::path::Path;

use super::codec::{Codec, Flat, Layout, Product, RaBitQ, RaBitQuery, Scalar, decode};
use super::file::blocks::Layout as Blocks;
use super::file::{Record, Root, Value, read};
use crate::error::{Error, Result};
use crate::index::{BuildParams, Index};
use crate::metric::{Metric, Power};
use crate::vectors::Vectors;

/// Indexes within each other, at most; files have no more.
const DEPTH: usize = 64;
/// How far AAᵀ of a transform may be from 1 for Aᵀ to undo it.
const UNDONE: f32 = 1e-3;

/// Coordinates.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One after the other.
    Floats(Vec<f32>),
    /// Eight to a byte.
    Bits(Vec<u8>),
}

/// Vectors out of an index of Faiss's.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// What "near" means there.
    pub metric: Metric,
    /// Coordinates of a vector.
    pub dim: usize,
    /// Row after row.
    pub rows: Values,
    /// One a row.
    pub ids: Vec<i64>,
}

/// A native index of what a file of Faiss's holds, with its ids; the file's metric takes the place of that in `params`.
///
/// # Errors
/// As [`read`] and [`Index::build`]; [`Error::Format`] for a class whose vectors cannot be told, by its name.
pub fn open(path: &Path, params: &BuildParams) -> Result<Index> {
    build(&decoded(&read(path, Root::Any, false, params.monitor)?)?, params)
}

/// A native index of decoded vectors, with their ids.
///
/// # Errors
/// As [`Index::build`]; [`Error::Argument`] for a negative id.
pub fn build(decoded: &Decoded, params: &BuildParams) -> Result<Index> {
    if let Some(id) = decoded.ids.iter().find(|&&id| id < 0) {
        return Err(Error::argument("id", id, "0 or more"));
    }
    let ids: &[u64] = bytemuck::cast_slice(&decoded.ids);
    let rows = match &decoded.rows {
        Values::Floats(rows) => Vectors::new(rows, decoded.dim)?,
        Values::Bits(rows) => Vectors::new(rows, decoded.dim / 8)?.bits()?,
    };
    Index::build(rows, &BuildParams { metric: decoded.metric, ids: Some(ids), ..*params })
}

/// The vectors of `record`.
///
/// # Errors
/// [`Error::Format`] for a class whose vectors cannot be told, by its name; [`Error::OutOfMemory`].
pub fn decoded(record: &Record) -> Result<Decoded> {
    within(record, DEPTH)
}

fn refused(record: &Record, why: &str) -> Error {
    Error::format("", 0, format!("an index of class {} cannot be converted: {why}", record.fourcc))
}

fn part<'r, 'a>(record: &'r Record<'a>, name: &str) -> Result<&'r Record<'a>> {
    record.record(name).ok_or_else(|| refused(record, &format!("it has no {name}")))
}

fn number(record: &Record, name: &str) -> Result<usize> {
    let value = record.int(name).and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| refused(record, &format!("it has no {name}")))
}

fn within(record: &Record, depth: usize) -> Result<Decoded> {
    if depth == 0 {
        return Err(refused(record, "it lies too deep in others"));
    }
    let inner = |name: &str| within(part(record, name)?, depth - 1);
    match &record.fourcc.0 {
        b"IxMp" | b"IxM2" | b"IBMp" | b"IBM2" => {
            let mut found = inner("index")?;
            let names = record.array::<i64>("id_map").unwrap_or_default();
            for id in &mut found.ids {
                let at = usize::try_from(*id).ok().and_then(|at| names.get(at));
                *id = *at.ok_or_else(|| refused(record, "its id map is too short"))?;
            }
            Ok(found)
        }
        b"IxRF" => inner("refine_index"),
        b"IxPT" => {
            let mut found = inner("index")?;
            for link in record.records("chain").unwrap_or_default().iter().rev() {
                undo(link, &mut found)?;
            }
            Ok(found)
        }
        b"IBxF" => bits(record, record, ("xb", None)),
        b"IBwF" => bits(record, part(record, "invlists")?, ("codes", Some("ids"))),
        b"IBHh" => bits(record, record, ("vecs", Some("ids"))),
        b"IBFf" => Err(refused(record, "its vectors are floats: convert the index within")),
        _ if record.get("storage").is_some() => inner("storage"),
        _ if record.get("invlists").is_some() => lists(record, depth),
        _ => codes(record),
    }
}

/// Vectors of bits, stored in `place` as they are: their bytes, and their ids where it has any.
fn bits(record: &Record, place: &Record, (bytes, ids): (&str, Option<&str>)) -> Result<Decoded> {
    let (dim, n) = (number(record, "d")?, number(record, "ntotal")?);
    let rows = place.array::<u8>(bytes).unwrap_or_default().to_vec();
    let short = || refused(record, "it has not as many codes as vectors");
    // No division by a d below 8, and nothing made for an n that its bytes do not bear out.
    if rows.len().checked_div(dim / 8) != Some(n) || !rows.len().is_multiple_of(dim / 8) {
        return Err(short());
    }
    let ids = match ids {
        Some(ids) => place.array::<i64>(ids).unwrap_or_default().to_vec(),
        None => (0..n as i64).collect(),
    };
    if ids.len() != n {
        return Err(short());
    }
    Ok(Decoded { metric: Metric::Hamming, dim, rows: Values::Bits(rows), ids })
}

fn metric(record: &Record) -> Result<Metric> {
    let number = record.int("metric_type").unwrap_or(-1);
    let found = match number {
        0 => Some(Metric::InnerProduct),
        1 => Some(Metric::L2),
        2 => Some(Metric::L1),
        3 => Some(Metric::Linf),
        4 => Power::new(record.float("metric_arg").unwrap_or(0.0) as f32).map(Metric::Lp),
        20 => Some(Metric::Canberra),
        21 => Some(Metric::BrayCurtis),
        22 => Some(Metric::JensenShannon),
        23 => Some(Metric::Jaccard),
        24 => Some(Metric::NanEuclidean),
        25 => Some(Metric::Gower),
        _ => None,
    };
    found.ok_or_else(|| refused(record, &format!("metric {number} has no counterpart")))
}

/// What the codes of `record` mean.
fn codec(record: &Record) -> Result<Box<dyn Codec>> {
    let dim = number(record, "d")?;
    if let Some(pq) = record.record("pq") {
        let (m, bits) = (number(pq, "M")?, number(pq, "nbits")?);
        let centroids = pq.array("centroids").unwrap_or_default();
        return Ok(Box::new(Product::new(dim, m, bits, centroids)?));
    }
    if let Some(sq) = record.record("sq") {
        let layout = Layout::from_number(number(sq, "qtype")?)?;
        return Ok(Box::new(Scalar::new(dim, layout, sq.array("trained").unwrap_or_default())?));
    }
    if let Some(rabitq) = record.record("rabitq") {
        let (bits, query) = (number(rabitq, "nb_bits")?, RaBitQuery { bits: 0, centered: false });
        let center = record.array("center").filter(|center| !center.is_empty());
        return Ok(Box::new(RaBitQ::new(dim, metric(record)?, bits, query, center)?));
    }
    match &record.fourcc.0 {
        b"IxF2" | b"IxFI" | b"IxFl" | b"IwFl" => Ok(Box::new(Flat::new(dim)?)),
        _ => Err(refused(record, "its codes are not known")),
    }
}

fn codes(record: &Record) -> Result<Decoded> {
    let (codec, metric) = (codec(record)?, metric(record)?);
    let (n, bytes) = (number(record, "ntotal")?, record.array::<u8>("codes").unwrap_or_default());
    let plain = match &record.fourcc.0 {
        b"IPfs" | b"Irfn" | b"Irfs" => unpacked(record, codec.code_size(), n, bytes)?,
        _ => bytes.to_vec(),
    };
    if plain.len() != n * codec.code_size() {
        return Err(refused(record, "it has not as many codes as vectors"));
    }
    let rows = Values::Floats(decode(&*codec, &plain, None, None)?);
    Ok(Decoded { metric, dim: codec.dim(), rows, ids: (0..n as i64).collect() })
}

/// `n` codes of nibbles out of blocks.
fn unpacked(record: &Record, code_size: usize, n: usize, blocks: &[u8]) -> Result<Vec<u8>> {
    let Some(pq) = record.record("pq") else {
        return Err(refused(record, "its codes are in blocks of their own"));
    };
    let m = number(pq, "M")?;
    let layout = Blocks::new(m, number(record, "bbs")?);
    if layout.bytes(n) > blocks.len() {
        return Err(refused(record, "it has not as many codes as vectors"));
    }
    let mut codes = vec![0; n * code_size];
    layout.unpack(blocks, n, &mut codes)?;
    Ok(codes)
}

fn lists(record: &Record, depth: usize) -> Result<Decoded> {
    let (codec, metric) = (codec(record)?, metric(record)?);
    let (dim, size) = (codec.dim(), codec.code_size());
    let lists = part(record, "invlists")?;
    let sizes = lists.array::<u64>("sizes").unwrap_or_default();
    let (ids, bytes) = (lists.array("ids").unwrap_or_default(), lists.array("codes").unwrap_or_default());
    let residual = match record.get("by_residual") {
        Some(Value::Flag(flag)) => *flag,
        _ => record.record("rabitq").is_some(),
    };
    let centers = match residual.then(|| within(part(record, "quantizer")?, depth - 1)).transpose()? {
        Some(Decoded { rows: Values::Floats(rows), .. }) => rows,
        _ => Vec::new(),
    };
    let short = || refused(record, "its lists have not as many codes as ids");
    let (mut rows, mut taken) = (Vec::new(), 0usize);
    for (list, &len) in sizes.iter().enumerate() {
        let len = len as usize;
        let (codes, read) = if &lists.fourcc.0 == b"ilbl" {
            let (per, block) = (number(lists, "n_per_block")?, number(lists, "block_size")?);
            let read = len.div_ceil(per.max(1)).saturating_mul(block);
            let blocks = bytes.get(taken..taken.saturating_add(read)).ok_or_else(short)?;
            (unpacked(record, size, len, blocks)?, read)
        } else {
            let read = len.saturating_mul(size);
            (bytes.get(taken..taken.saturating_add(read)).ok_or_else(short)?.to_vec(), read)
        };
        taken += read;
        let mut some = decode(&*codec, &codes, None, None)?;
        if residual {
            let center = centers.get(list * dim..(list + 1) * dim).ok_or_else(short)?;
            for row in some.chunks_exact_mut(dim) {
                row.iter_mut().zip(center).for_each(|(v, c)| *v += c);
            }
        }
        rows.extend_from_slice(&some);
    }
    if ids.len() * dim != rows.len() {
        return Err(short());
    }
    Ok(Decoded { metric, dim, rows: Values::Floats(rows), ids: ids.to_vec() })
}

/// Makes of what came out of a transform what went in.
fn undo(link: &Record, found: &mut Decoded) -> Result<()> {
    let (d_in, d_out) = (number(link, "d_in")?, number(link, "d_out")?);
    if d_out != found.dim || d_in == 0 {
        return Err(refused(link, "its dimensions are not those of the index"));
    }
    // Lengths that were lost do not matter: queries lose theirs too.
    if &link.fourcc.0 == b"VNrm" {
        return Ok(());
    }
    let (Some(a), Values::Floats(found_rows)) =
        (link.array::<f32>("A").filter(|a| a.len() == d_in * d_out), &mut found.rows)
    else {
        return Err(refused(link, "this transform cannot be undone: convert the index within"));
    };
    if d_in != d_out || !orthogonal(a, d_in) {
        return Err(refused(link, "this transform loses something: convert the index within"));
    }
    let b = link.array::<f32>("b").unwrap_or_default();
    let mut rows = vec![0f32; found_rows.len() / d_out * d_in];
    for (y, x) in found_rows.chunks_exact_mut(d_out).zip(rows.chunks_exact_mut(d_in)) {
        y.iter_mut().zip(b).for_each(|(y, b)| *y -= b);
        for (y, a) in y.iter().zip(a.chunks_exact(d_in)) {
            x.iter_mut().zip(a).for_each(|(x, a)| *x += y * a);
        }
    }
    (found.rows, found.dim) = (Values::Floats(rows), d_in);
    Ok(())
}

/// Whether the rows of a square matrix are of length one and at right angles.
fn orthogonal(a: &[f32], dim: usize) -> bool {
    let row = |at: usize| &a[at * dim..][..dim];
    (0..dim).all(|i| {
        (0..=i).all(|j| {
            let product: f32 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
            (product - f32::from(u8::from(i == j))).abs() < UNDONE
        })
    })
}
