//! What do the files named on the command line hold? Read, checked early, and refused in words that help.

use std::io;
use std::path::Path;

use steep::OpenParams;
use steep::formats::{self, Format, VectorFile};

use crate::failure::Failure;
use crate::session::Session;

/// The vectors of the file `path`, mapped where its format allows it. None at all is a mistake here.
pub fn vectors(path: &Path, session: &Session) -> Result<VectorFile, Failure> {
    let progress = session.progress();
    let file = formats::read_vectors_with(path, &OpenParams { mmap: true, monitor: Some(&progress) })?;
    if file.vectors().is_empty() {
        return Err(Failure::Work(format!("{} holds no vectors", path.display())));
    }
    Ok(file)
}

/// Ids of the user's own, one a vector.
pub fn own_ids(path: &Path) -> Result<Vec<u64>, Failure> {
    let (ids, _) = formats::read_ids(path)?;
    match ids.iter().position(|&id| id == -1) {
        None => Ok(ids.into_iter().map(|id| id as u64).collect()),
        Some(row) => {
            let text = format!(
                "{}: id -1 (row {row}) stands for none: ids are 0 to 18446744073709551614",
                path.display()
            );
            Err(Failure::Work(text))
        }
    }
}

/// True neighbours, `queries` × the returned number, of which at least `k`.
pub fn truth(path: &Path, queries: usize, k: usize) -> Result<(Vec<i64>, usize), Failure> {
    let (ids, columns) = formats::read_ids(path)?;
    let rows = ids.len() / columns.max(1);
    if rows != queries {
        let text =
            format!("{} has {rows} rows for {queries} queries: they do not belong together", path.display());
        return Err(Failure::Work(text));
    }
    if columns < k {
        let text = format!("{} has {columns} neighbours a query, -k {k} needs {k}", path.display());
        return Err(Failure::Work(text));
    }
    Ok((ids, columns))
}

/// Writes found distances, rows of `k`.
pub fn write_distances(path: &Path, distances: &[f32], k: usize) -> Result<(), Failure> {
    Ok(formats::write_vectors(path, steep::Vectors::new(distances, k)?)?)
}

/// Refuses a place that cannot be written to, before hours of work are lost on it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let refuse = |error: io::Error| Err(steep::Error::io("write", path, error).into());
    if path.is_dir() {
        return refuse(io::ErrorKind::IsADirectory.into());
    }
    match path.parent() {
        None => refuse(io::ErrorKind::NotFound.into()),
        Some(parent) if parent == Path::new("") => Ok(()),
        Some(parent) => match parent.metadata() {
            Ok(parent) if parent.is_dir() => Ok(()),
            Ok(_) => refuse(io::ErrorKind::NotADirectory.into()),
            Err(error) => refuse(error),
        },
    }
}

/// As [`check_writable`], for ids: also refuses a name that no format of ids goes by.
pub fn check_ids_path(path: &Path) -> Result<(), Failure> {
    match Format::of(path) {
        Ok(Format::Npy | Format::Ivecs | Format::Ibin) => check_writable(path),
        _ => Err(steep::Error::argument(
            "path",
            path.display(),
            "a name ending in .npy, .ivecs or .ibin, for ids",
        )
        .into()),
    }
}

/// As [`check_writable`], for rows of `k` distances, which are written as vectors are.
pub fn check_distances_path(path: &Path, k: usize) -> Result<(), Failure> {
    let refuse = |value: String, expected| Err(steep::Error::argument("path", value, expected).into());
    match Format::of(path) {
        Ok(format) if !format.holds(steep::Dtype::F32) => {
            refuse(path.display().to_string(), "a name ending in .npy, .fvecs or .fbin, for distances")
        }
        Err(error) => Err(error.into()),
        Ok(_) if k > steep::vectors::MAX_DIM => {
            refuse(format!("{} for {k} distances a query", path.display()), "at most 65536 distances a query")
        }
        Ok(_) => check_writable(path),
    }
}

/// Refuses to overwrite vectors with an index, which is what exchanged arguments would do.
pub fn check_index_path(path: &Path) -> Result<(), Failure> {
    if Format::of(path).is_ok() {
        let expected = "the name of an index, such as one ending in .steep, not one of vectors or ids";
        return Err(steep::Error::argument("path", path.display(), expected).into());
    }
    check_writable(path)
}
