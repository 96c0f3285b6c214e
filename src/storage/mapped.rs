//! How is a file opened without being read? It is mapped: pages arrive when they are touched.
//!
//! # The one limit
//! Whoever may write to the file may also cut it short or change it while it is mapped. Then the operating
//! system ends this process on the next touch of a lost page (SIGBUS), or a search sees the new bytes. No
//! checksum can prevent that. Steep itself never does it: a save renames a new file into place, and those
//! who mapped the old one keep it whole. Where others may overwrite index files in place, open them with
//! `mmap = false`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::Mmap;

/// Maps the whole of `file`, for reading.
#[expect(unsafe_code, reason = "a map is only as stable as its file; the module's text states that limit")]
pub(super) fn map(file: &File) -> io::Result<Arc<Mmap>> {
    // SAFETY: the map is read-only and private to `Buffer` and `Source`, which hand out plain bytes only,
    // of types that every bit pattern is valid for. Sound as long as no one truncates or rewrites the file
    // in place while it is mapped; Steep's own writers rename whole files into place and so never do.
    // Against others nothing helps but not to map: the one documented limit of `mmap = true`.
    unsafe { Mmap::map(file) }.map(Arc::new)
}
