//! How does a file change without ever being half-changed? A new one is written beside it and renamed over it.
//!
//! The order is what makes it safe: write, sync the file, rename, sync the directory. A kill or a power cut
//! at any moment leaves the old file or the new one, whole. A kill can leave the temporary file behind
//! (`.steep-….tmp` in the same directory), which is safe to delete; an error never does.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::source::{BIG_ENDIAN, PIECE};
use crate::error::{Error, Result};
use crate::threads::{Monitor, pause};

/// Bytes after which the system is told to bring them to the disk: a second's worth of a slow one at most. With all of
/// them left to the end, nothing could interrupt the wait.
const SYNC: u64 = 64 << 20;

/// Replaces the file `path`, or makes it, with what `write` writes: about `total` bytes, which `monitor` hears of.
///
/// A symbolic link stays and its target is replaced; an existing file keeps its permissions, a new one
/// gets the ordinary ones.
///
/// # Errors
/// [`Error::Io`] where the system refuses (disk full, no such directory), or where `path` is read-only or
/// not a regular file; [`Error::Interrupted`]. The old file is then as it was and no temporary file is left; only a
/// failure to "sync the directory of" the file comes when the new file is in place already.
pub(crate) fn replace(
    path: &Path,
    total: u64,
    monitor: Option<&dyn Monitor>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let error = |action| move |e| Error::io(action, path, e);
    if cfg!(target_endian = "big") {
        return Err(error("write")(io::Error::new(io::ErrorKind::Unsupported, BIG_ENDIAN)));
    }
    let (target, permissions) = target(path).map_err(error("write"))?;
    let directory = match target.parent() {
        Some(parent) if parent != "" => parent,
        _ => Path::new("."),
    };

    // Made with the ordinary call, so that permissions (less the umask) and errors are the ordinary ones too.
    let temporary = tempfile::Builder::new()
        .prefix(".steep-")
        .suffix(".tmp")
        .make_in(directory, |path| File::create_new(path))
        .map_err(error("create a temporary file beside"))?;
    let mut pieces = Pieces { file: temporary.as_file(), done: 0, total, monitor, stopped: false };
    let mut writer = BufWriter::with_capacity(PIECE, &mut pieces);
    let written = write(&mut writer).and_then(|()| writer.flush());
    drop(writer);
    if pieces.stopped {
        return Err(Error::Interrupted);
    }
    written.map_err(error("write"))?;
    if let Some(permissions) = permissions {
        temporary.as_file().set_permissions(permissions).map_err(error("set the permissions of"))?;
    }
    temporary.as_file().sync_all().map_err(error("sync"))?;
    pause(monitor, STAGE, total, total)?;
    temporary.persist(&target).map_err(|e| error("replace")(e.error))?;
    sync_directory(directory).map_err(error("sync the directory of"))
}

/// What the monitor hears that is being done.
const STAGE: &str = "write";

/// A file that is written piece by piece, with the monitor asked before each.
struct Pieces<'a> {
    file: &'a File,
    done: u64,
    total: u64,
    monitor: Option<&'a dyn Monitor>,
    /// The monitor said so; nothing more is written.
    stopped: bool,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.done.min(self.total);
        self.stopped = self.stopped || pause(self.monitor, STAGE, done, self.total).is_err();
        if self.stopped {
            // Not the kind `Interrupted`, after which a write is tried again.
            return Err(io::Error::other("stopped by the monitor"));
        }
        let written = self.file.write(&bytes[..bytes.len().min(PIECE)])?;
        let before = self.done / SYNC;
        self.done += written as u64;
        if self.done / SYNC > before {
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file to be replaced, behind any symbolic links, and its permissions if there is one already.
fn target(path: &Path) -> io::Result<(PathBuf, Option<fs::Permissions>)> {
    let old = match fs::metadata(path) {
        Ok(old) => old,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((path.into(), None)),
        Err(e) => return Err(e),
    };
    if old.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // A rename would silently replace a device such as /dev/stdout, or a file that someone protected.
    if !old.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if old.permissions().readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    Ok((fs::canonicalize(path)?, Some(old.permissions())))
}

/// Makes a rename in `directory` lasting.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(()); // elsewhere a directory cannot be opened as a file
    }
    match File::open(directory)?.sync_all() {
        // Some network file systems cannot sync a directory.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, content: &[u8]) -> Result<()> {
        replace(path, content.len() as u64, None, |out| out.write_all(content))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_has_ordinary_permissions_and_an_old_one_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, ordinary) = (dir.path().join("ours"), dir.path().join("ordinary"));
        write(&ours, b"1").unwrap();
        fs::write(&ordinary, b"1").unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
        fs::set_permissions(&ours, PermissionsExt::from_mode(0o600)).unwrap();
        write(&ours, b"2").unwrap();
        assert_eq!((mode(&ours), fs::read(&ours).unwrap()), (0o600, b"2".to_vec()));
    }

    #[test]
    fn a_link_stays_and_its_target_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        write(&file, b"1").unwrap();
        symlink("file", &link).unwrap();
        write(&link, b"2").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"2");
    }

    #[test]
    fn an_error_while_writing_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"old").unwrap();
        let result = replace(&path, 3, None, |out| {
            out.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(result, Err(Error::Io { action: "write", .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_must_not_be_replaced_is_refused_with_the_systems_own_error_number() {
        let dir = tempfile::tempdir().unwrap();
        let protected = dir.path().join("protected");
        write(&protected, b"old").unwrap();
        fs::set_permissions(&protected, PermissionsExt::from_mode(0o444)).unwrap();
        let device = dir.path().join("device");
        symlink("/dev/null", &device).unwrap();
        let missing = dir.path().join("missing/file");
        for path in [dir.path(), &protected, &device, &missing, Path::new(""), Path::new("/proc/none")] {
            assert!(matches!(write(path, b"new"), Err(Error::Io { .. })), "{path:?}");
        }
        assert_eq!(fs::read(&protected).unwrap(), b"old");
        let Err(Error::Io { source, .. }) = write(&missing, b"new") else { panic!() };
        assert_eq!(source.raw_os_error(), Some(2)); // ENOENT, which Python turns into FileNotFoundError
    }
}
