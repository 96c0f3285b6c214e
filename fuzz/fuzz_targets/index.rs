//! Can any bytes make an index that does anything but answer, grow, save itself, or refuse by a typed error?
#![no_main]

use libfuzzer_sys::fuzz_target;
use steep::{AddParams, Index, SearchParams, Vectors};

/// Opens `file` and uses all of it.
fn use_all(file: &[u8]) {
    let Ok(mut index) = Index::from_bytes(file) else { return };
    let (dim, len) = (index.dim(), index.len());
    assert!(index.vectors().bytes().len() <= file.len(), "more vectors than the file has bytes");
    if dim > 256 || len > 4096 {
        return; // an honest answer would only take its time
    }
    let params = SearchParams { threads: Some(1), ..SearchParams::default() };
    let values: Vec<f32> = (0..9 * dim).map(|i| (i % 7) as f32 + 0.5).collect();
    let queries = Vectors::new(&values, dim).expect("whole rows");
    for rows in [0..1, 0..9] {
        let hits = index.search(queries.rows(rows.clone()), 3, &params).expect("a well-formed question");
        assert_eq!((hits.ids.len(), hits.distances.len()), (3 * rows.len(), 3 * rows.len()));
        let hits = index.range_search(queries.rows(rows), 1.0, &params).expect("a well-formed question");
        assert_eq!(hits.offsets[hits.offsets.len() - 1], hits.ids.len());
    }
    index.info();
    assert_eq!(Index::from_bytes(&index.to_bytes().expect("small")).expect("saved a moment ago").len(), len);
    // Forged ids may be used up, and forged bytes may not be of the stated type.
    let threads = Some(1);
    if index.add(queries, &AddParams { threads, ..AddParams::default() }).is_ok() {
        assert_eq!(index.len(), len + 9);
    }
    index.search(queries, 3, &params).expect("a well-formed question");
}

/// Makes all checksums right, as the layout in `storage/format.rs` has them.
fn seal(file: &mut [u8]) {
    let word = |file: &[u8], at: usize| {
        let bytes = file.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default()) as usize
    };
    let count = word(file, 16) & 0xff;
    for entry in (0..count).map(|i| 32 + 32 * i) {
        let (offset, len) = (word(file, entry + 8), word(file, entry + 16));
        let Some(section) = offset.checked_add(len).and_then(|end| file.get(offset..end)) else { return };
        let sum = crc32fast::hash(section).to_le_bytes();
        let Some(place) = file.get_mut(entry + 24..entry + 28) else { return };
        place.copy_from_slice(&sum);
    }
    let Some(place) = file.get_mut(20..24) else { return };
    place.fill(0);
    if let Some(table) = file.get(..32 + 32 * count) {
        let sum = crc32fast::hash(table).to_le_bytes();
        file[20..24].copy_from_slice(&sum);
    }
}

fuzz_target!(|file: &[u8]| {
    use_all(file);
    let mut sealed = file.to_vec();
    seal(&mut sealed);
    use_all(&sealed);
});
