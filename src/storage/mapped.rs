//! How is a file opened without being read? It is mapped: pages arrive when they are touched.
//!
//! The one limit, a file that someone else changes in place, is stated in [`storage`](super).

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::Mmap;

/// Maps the whole of `file`, for reading.
#[expect(unsafe_code, reason = "a map is only as stable as its file; storage/mod.rs states that limit")]
pub(super) fn map(file: &File) -> io::Result<Arc<Mmap>> {
    // SAFETY: the map is read-only and private to `Buffer` and `Source`, which hand out plain bytes only,
    // of types that every bit pattern is valid for. Sound as long as no one truncates or rewrites the file
    // in place while it is mapped; Steep's own writers rename whole files into place and so never do.
    // Against others nothing helps but not to map: the one documented limit of `mmap = true`.
    unsafe { Mmap::map(file) }.map(Arc::new)
}
