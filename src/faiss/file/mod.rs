//! What is in a file of Faiss's? A tree of records, read and written by one description of each layout.
//!
//! ```text
//! bytes ─ reader.rs ─▶ Record ─ writer.rs ─▶ bytes          io.rs: the trait that both are
//!              └── layout/ ──┘                              one function a class, which asks for its fields by name
//! ```
//!
//! Nothing here searches: codes, lists and graphs are handed over as they lie in the file. Counts are compared with the bytes that
//! are there before memory is taken, references (neighbours, offsets, levels, lists) with what they refer to, so that whoever
//! takes a record may index by it. Old forms are read as the newer ones that replaced them; what has no counterpart is refused by name.
//!
//! # Fields
//! Names are those of Faiss's attributes. Numbers are whole numbers, floats or flags; arrays have one dimension.
//!
//! | record | fields |
//! |---|---|
//! | every index | `d`, `ntotal`, `is_trained`, `metric_type`, `metric_arg` |
//! | every index of bits (`IB..`) | `d`, `code_size`, `ntotal`, `is_trained`, `metric_type` |
//! | every inverted file (`Iw..`, `IBwF`) | those, `nlist`, `nprobe`, `quantizer` (an index), `direct_map` {`type` 0 none, 1 array, 2 hashtable; `array` i64; with type 2 `hashtable` i64: id, place, id, place …}, `invlists` (below; `il00` without fields where there are none) |
//! | `ilar` lists | `nlist`, `code_size`, `sizes` u64, `codes` u8 and `ids` i64 of all lists, list after list |
//! | `ilbl` lists in blocks | `nlist`, `code_size` (−1), `n_per_block`, `block_size`, `sizes` u64, `ids` i64, `codes` u8: ⌈size / n_per_block⌉ blocks a list |
//! | `ilod` lists on disk | `nlist`, `code_size`, `lists` u64: size, capacity, offset of each; `slots` u64, `filename` u8, `totsize`; [`read`] makes `ilar` of it |
//! | `IxF2` (L2) `IxFI` (inner product) `IxFl` (others): Flat | `codes` u8: the f32 of all vectors |
//! | `IxPq` PQ | `pq`, `codes` u8, `search_type`, `encode_signs`, `polysemous_ht` |
//! | `IxSQ` ScalarQuantizer | `sq`, `codes` u8 |
//! | `IxHe` LSH | `nbits`, `rotate_data`, `train_thresholds`, `thresholds` f32, `code_size`, `rrot` (a transform), `codes` u8 |
//! | `Ixrq` (one bit) `Ixrr` (more): RaBitQ | `rabitq`, `codes` u8, `center` f32, `qb` |
//! | `IPfs` PQFastScan | `pq`, `implem`, `bbs`, `qbs`, `ntotal2`, `M2`, `codes` u8 in blocks ([`blocks`]) |
//! | `Irfn` RaBitQFastScan (old: `Irfs`) | `rabitq`, `center` f32, `qb`, (`flat_storage` u8,) `bbs`, `ntotal2`, `M2`, `code_size`, `codes` u8 in blocks |
//! | `IwFl` IVFFlat | (the inverted file's) |
//! | `IwSq` IVFScalarQuantizer | `sq`, `code_size`, `by_residual` |
//! | `IwPQ` IVFPQ | `by_residual`, `code_size`, `pq` |
//! | `IwQR` IVFPQR | those of `IwPQ`, `refine_pq`, `refine_codes` u8, `k_factor` |
//! | `IwFd` IVFFlatDedup | `instances` i64: id, its twin, id, its twin … |
//! | `IwSh` IVFSpectralHash | `vt` (a transform), `nbit`, `period`, `threshold_type`, `trained` f32 |
//! | `IwIQ` IVFIndependentQuantizer | `quantizer`, `vt` (a transform, or null), `index_ivf` (an index); where that is `IwPQ`, `IwQR`: `use_precomputed_table` |
//! | `Ix2L` 2Layer | `quantizer`, `nlist`, `quantizer_trains_alone`, `pq`, `code_size_1`, `code_size_2`, `code_size`, `codes` u8 |
//! | `Iwrq` `Iwrr` IVFRaBitQ | `rabitq`, `code_size`, `by_residual`, `qb` |
//! | `IwPf` IVFPQFastScan | `by_residual`, `code_size`, `bbs`, `M2`, `implem`, `qbs2`, `pq`; lists `ilbl` |
//! | `Iwrn` IVFRaBitQFastScan (old: `Iwrf`) | `rabitq`, `by_residual`, `code_size`, `bbs`, `qbs2`, `M2`, `implem`, `qb`, `centered`, (`flat_storage` u8); lists `ilbl` |
//! | `IHNf` `IHNs` `IHNp` `IHN2` HNSWFlat, SQ, PQ, 2Level | `hnsw`, `storage` (an index, or null) |
//! | `IHNr` HNSWRaBitQ | `hnsw`, `storage` (`Ixrq`, `Ixrr` or null), `staged` |
//! | `INSf` `INSs` `INSp` NSGFlat, SQ, PQ | `GK`, `build_type`, `nndescent_S`, `_R`, `_L`, `_iter`, `nsg`, `storage` |
//! | `IxMp` IDMap, `IxM2` IDMap2 | `index`, `id_map` i64 |
//! | `IxPT` PreTransform | `chain` (transforms), `index` |
//! | `IRMf` `IRMh` RowwiseMinMax, of f32 or f16 | `index` |
//! | `IxRF` Refine | `base_index`, `refine_index`, `k_factor` |
//! | `IBxF` binary Flat | `xb` u8 |
//! | `IBwF` binary IVF | (the inverted file's) |
//! | `IBHf` binary HNSW | `hnsw`, `storage` |
//! | `IBFf` binary from float | `index` (of floats) |
//! | `IBMp` `IBM2` binary IDMap, IDMap2 | `index`, `id_map` i64 |
//! | `IBHh` binary Hash | `b`, `nflip`, `hashes` u64, `sizes` u64, `ids` i64, `vecs` u8, hash after hash |
//! | `IBHm` binary MultiHash | `storage`, `b`, `nhash`, `nflip`, `maps`: {`hashes` u64, `sizes` u64, `ids` i64} each |
//! | `pq` (also a file of its own, without a fourcc) | `d`, `M`, `nbits`, `centroids` f32: M × 2^nbits × d/M |
//! | `sq` | `qtype`, `rangestat`, `rangestat_arg`, `d`, `code_size`, `trained` f32 |
//! | `rabitq` | `d`, `code_size`, `metric_type`, `nb_bits` |
//! | `hnsw` | `assign_probas` f64, `cum_nneighbor_per_level` i32, `levels` i32, `offsets` u64, `neighbors` i32, `entry_point`, `max_level`, `efConstruction`, `efSearch` |
//! | `nsg` | `ntotal`, `R`, `L`, `C`, `search_L`, `enterpoint`, `is_built`; where it is, `final_graph` i32: R each, filled up with −1 |
//! | every transform | its own, then `d_in`, `d_out`, `is_trained` |
//! | `LTra` linear and OPQ, `rrot` random rotation | `have_bias`, `A` f32 (d_out × d_in), `b` f32 |
//! | `Pcam` PCA | `eigen_power`, `epsilon`, `random_rotation`, `balanced_bins`, `mean` f32, `eigenvalues` f32, `PCAMat` f32, `have_bias`, `A`, `b` |
//! | `Viqm` ITQ matrix | `max_iter`, `seed`, `have_bias`, `A`, `b` |
//! | `Viqt` ITQ | `mean` f32, `do_pca`, `itq` (`Viqm`), `pca_then_itq` (`LTra`) |
//! | `VNrm` normalization | `norm` |
//! | `VCnt` centering | `mean` f32 |
//! | `RmDT` dimensions picked | `map` i32 |
//! | `HRot` Hadamard rotation | `seed` |

mod bits;
pub mod blocks;
mod describe;
mod io;
mod layout;
mod ondisk;
mod reader;
mod record;
mod writer;

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;

pub use describe::describe;
pub use record::{Array, Element, Fourcc, Record, Value};

use self::io::Io;
use crate::error::{Error, Result};
use crate::storage::{self, PIECE};
use crate::threads::Monitor;
use reader::Reader;
use writer::Writer;

/// What a file is expected to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Root {
    /// Whatever has a fourcc.
    #[default]
    Any,
    /// An index of vectors of floats.
    Index,
    /// An index of vectors of bits.
    Binary,
    /// A transform of vectors.
    Transform,
    /// A product quantizer, which has no fourcc.
    ProductQuantizer,
}

impl Root {
    fn tagged(self) -> bool {
        self != Self::ProductQuantizer
    }

    fn body(self, io: &mut impl Io) -> Result<()> {
        match self {
            Self::Any => layout::any(io),
            Self::Index => layout::index(io),
            Self::Binary => layout::binary(io),
            Self::Transform => layout::transform(io),
            Self::ProductQuantizer => layout::product_quantizer(io).map(drop),
        }
    }
}

/// True where a file that begins with these bytes is one of Faiss's, whether it can be read here or not.
pub fn is_faiss(begin: &[u8]) -> bool {
    begin.first_chunk::<4>().is_some_and(|fourcc| layout::known(Fourcc(*fourcc)))
}

/// The same of the regular file `path`; false where it cannot be read.
pub fn is_faiss_file(path: impl AsRef<Path>) -> bool {
    let mut begin = [0; 4];
    let path = path.as_ref();
    path.is_file()
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut begin).is_ok())
        && is_faiss(&begin)
}

/// Reads the file `path`. Lists that lie in a file of their own are read from there: beside `path`, where `beside` says so.
///
/// # Errors
/// [`Error::Format`] where the file does not hold what it should, with the place and what was found; [`Error::Io`],
/// [`Error::OutOfMemory`], [`Error::Interrupted`].
pub fn read(
    path: impl AsRef<Path>,
    root: Root,
    beside: bool,
    monitor: Option<&dyn Monitor>,
) -> Result<Record<'static>> {
    let path = path.as_ref();
    let error = |e| Error::io("open", path, e);
    let kind = fs::metadata(path).map_err(error)?.file_type();
    if kind.is_dir() {
        return Err(error(std::io::ErrorKind::IsADirectory.into()));
    }
    let file = File::open(path).map_err(error)?;
    let len = file.metadata().map_err(error)?;
    // Of a pipe the length is not known.
    let len = len.is_file().then_some(len.len());
    let reader = Reader::new(BufReader::with_capacity(PIECE, file), path.into(), len, monitor);
    let (mut record, _) = reader.root(root.tagged(), |io| root.body(io))?;
    ondisk::resolve(&mut record, path, beside)?;
    Ok(record)
}

/// Reads what comes from `input`, no byte more than the record has, and tells how many those were. `name` names it in errors; `len`
/// is how many bytes there are, where that is known. Lists that lie in a file of their own are read from there.
///
/// # Errors
/// As [`read`].
pub fn read_from(
    input: impl Read,
    name: &str,
    len: Option<u64>,
    root: Root,
    monitor: Option<&dyn Monitor>,
) -> Result<(Record<'static>, u64)> {
    let (mut record, read) =
        Reader::new(input, name.into(), len, monitor).root(root.tagged(), |io| root.body(io))?;
    ondisk::resolve(&mut record, Path::new(""), false)?;
    Ok((record, read))
}

/// Reads a record that lies in memory.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], root: Root) -> Result<(Record<'static>, u64)> {
    read_from(bytes, "<memory>", Some(bytes.len() as u64), root, None)
}

/// Writes `record` to the file `path`, whole or not at all.
///
/// # Errors
/// [`Error::Format`] where the record lacks a field or contradicts itself; [`Error::Io`], and the old file is as it was;
/// [`Error::Interrupted`].
pub fn write(
    path: impl AsRef<Path>,
    record: &Record<'_>,
    root: Root,
    monitor: Option<&dyn Monitor>,
) -> Result<()> {
    let path = path.as_ref();
    let total = check(record, root)?;
    storage::replace(path, total, monitor, |out| {
        let mut writer = Writer::new(out, path.into(), record);
        let written = writer.root(root.tagged(), |io| root.body(io));
        written.map_err(|e| writer.refused.take().unwrap_or_else(|| std::io::Error::other(e.to_string())))
    })
}

/// Writes `record` to `output`.
///
/// # Errors
/// As [`write()`]; then `output` may have got a part of it.
pub fn write_to(output: impl Write, record: &Record<'_>, root: Root) -> Result<()> {
    Writer::new(output, "<memory>".into(), record).root(root.tagged(), |io| root.body(io))
}

/// The bytes that [`write()`] would write.
///
/// # Errors
/// As [`write()`].
pub fn to_bytes(record: &Record<'_>, root: Root) -> Result<Vec<u8>> {
    let (total, mut bytes) = (check(record, root)?, Vec::new());
    let memory = Error::OutOfMemory { what: "a Faiss file", bytes: total };
    match usize::try_from(total).map(|total| bytes.try_reserve_exact(total)) {
        Ok(Ok(())) => write_to(&mut bytes, record, root).map(|()| bytes),
        _ => Err(memory),
    }
}

/// How many bytes `record` takes in a file, if it can be written.
///
/// # Errors
/// [`Error::Format`].
pub fn check(record: &Record<'_>, root: Root) -> Result<u64> {
    let mut writer = Writer::new(std::io::sink(), "<record>".into(), record);
    writer.root(root.tagged(), |io| root.body(io))?;
    Ok(writer.written())
}
