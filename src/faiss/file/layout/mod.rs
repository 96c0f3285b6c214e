//! Which layout does a fourcc stand for? Those that are read, and the names of those that are not.

mod binary;
mod graphs;
mod indexes;
mod legacy;
mod lists;
mod parts;
mod transforms;

use super::io::Io;
use super::record::Fourcc;
use crate::error::{Error, Result};

pub(super) use binary::body as binary;
pub(super) use indexes::body as index;
pub(super) use parts::product_quantizer;
pub(super) use transforms::body as transform;

/// An object of any family: what a file begins with.
pub(super) fn any(io: &mut impl Io) -> Result<()> {
    match &io.fourcc().0 {
        [b'I', b'B', ..] => binary(io),
        b"rrot" | b"PCAm" | b"PcAm" | b"Pcam" | b"LTra" | b"Viqm" | b"Viqt" | b"RmDT" | b"VNrm" | b"VCnt"
        | b"HRot" => transform(io),
        _ => index(io),
    }
}

/// True for a fourcc that a file may begin with, whether its class is supported or not.
pub(super) fn known(fourcc: Fourcc) -> bool {
    READ.iter().chain(REFUSED.iter().map(|(kinds, _)| kinds)).any(|kinds| has(kinds, fourcc))
}

fn has(kinds: &str, fourcc: Fourcc) -> bool {
    kinds.split(' ').any(|kind| kind.as_bytes() == fourcc.0)
}

/// What a file that is read may begin with.
const READ: &[&str] = &[
    "IxF2 IxFI IxFl IxPq IxPQ IxPo IxSQ IxHe Ixrq Ixrr IPfs Irfn Irfs IwFl IwSq IwSQ IwPQ IwQR IwFd IwIQ IwSh Ix2L Iwrq Iwrr IwPf Iwrn Iwrf",
    "IvFl IvFL IvSQ IvPQ IHNf IHNs IHNp IHNr IHN2 INSf INSs INSp IxMp IxM2 IxPT IxRF IRMf IRMh",
    "IBxF IBwF IBHf IBFf IBMp IBM2 IBHh IBHm",
    "rrot LTra PCAm PcAm Pcam Viqm Viqt RmDT VNrm VCnt HRot",
];

/// Says what a fourcc is that has no layout here.
fn unknown(io: &impl Io, family: &str) -> Error {
    let fourcc = io.fourcc();
    let name = REFUSED.iter().find(|(kinds, _)| has(kinds, fourcc));
    match name {
        Some((_, name)) => io.fail(format!(
            "{name} ({fourcc}) is not supported: rebuild it as one of Flat, SQ, PQ, RaBitQ, IVF or HNSW, or keep to Faiss"
        )),
        None => io.fail(format!("\"{fourcc}\" is not the fourcc of {family}")),
    }
}

/// What Faiss writes and this crate has no counterpart for.
const REFUSED: &[(&str, &str)] = &[
    ("IxHE", "an LSH index of an old version"),
    ("IxRQ IxRq ImRQ IwRQ IRfs IVRf", "a residual quantizer"),
    ("IxLS IwLS ILfs IVLf", "a local search quantizer"),
    ("IxPR IxPL IwPR IwPL IPRf IPLf NPRf NPLf", "a product of additive quantizers"),
    ("IxLa", "a lattice"),
    ("Imiq", "a multi-index (IMI)"),
    ("IvQR", "IVFPQ with refinement (IVFPQR) of an old version"),
    ("IxFP IxFp IwPn IwP2 IHfP IxRP ilpn ilp2", "a Panorama index"),
    ("IHNc IHc2 IBHc", "a CAGRA graph"),
    ("INNf", "an NNDescent graph"),
    ("IxEe IwEe", "an EDEN quantizer"),
    ("ILVQ ISVL ISVD ISV2 ISVF ISIQ IS44 IS48", "an index of Intel's SVS"),
];
