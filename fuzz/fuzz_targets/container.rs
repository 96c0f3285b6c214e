//! Can any bytes make the container's reader do anything but return sections or a typed error?
#![no_main]

use libfuzzer_sys::fuzz_target;
use steep::storage::Sections;

/// Opens `file`, reads all of it and checks what an opened file promises.
fn read_all(file: &[u8]) {
    let Ok(sections) = Sections::from_bytes(file) else { return };
    let mut total = 0;
    for (tag, len) in sections.tags().collect::<Vec<_>>() {
        total += len;
        let _ = sections.array::<u64>(tag, &[len as usize / 8]).map(|words| words.as_slice::<u64>().len());
        if let Ok(bytes) = sections.buffer(tag) {
            assert_eq!(bytes.len() as u64, len);
            assert_eq!(sections.small(tag).expect("read a moment ago").bytes(), bytes.bytes());
        }
    }
    assert!(total <= file.len() as u64, "sections overlap");
    let _ = sections.verify();
}

/// Makes the header's checksum right, as the layout in `storage/format.rs` has it.
fn seal(file: &mut [u8]) {
    if file.len() < 32 {
        return;
    }
    file[20..24].fill(0);
    let count = u32::from_le_bytes([file[16], file[17], file[18], file[19]]) as usize;
    if let Some(table) = count.checked_mul(32).and_then(|len| file.get(..len + 32)) {
        let sum = crc32fast::hash(table);
        file[20..24].copy_from_slice(&sum.to_le_bytes());
    }
}

fuzz_target!(|file: &[u8]| {
    read_all(file);
    let mut sealed = file.to_vec();
    seal(&mut sealed);
    read_all(&sealed);
});
