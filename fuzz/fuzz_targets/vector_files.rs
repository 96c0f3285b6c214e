//! Can any bytes make a reader of vector files do anything but return rows or a typed error?
#![no_main]

use libfuzzer_sys::fuzz_target;
use steep::formats::{Format, parse_ids, parse_vectors};

fuzz_target!(|input: &[u8]| {
    let Some((selector, file)) = input.split_first() else { return };
    let format = Format::ALL[*selector as usize % Format::ALL.len()];
    if let Ok(read) = parse_vectors(file, format) {
        let vectors = read.vectors();
        assert_eq!(vectors.bytes().len(), vectors.len() * vectors.dim() * vectors.dtype().size());
        assert!(vectors.bytes().len() <= file.len());
    }
    if let Ok((ids, k)) = parse_ids(file, format) {
        assert!(ids.len().is_multiple_of(k) && 4 * ids.len() <= file.len());
    }
});
