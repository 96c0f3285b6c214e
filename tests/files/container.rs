//! The native container.

use std::fs;

use steep::storage::{Buffer, Sections, Tag, save, to_bytes};
use steep::{Error, Result};

use super::{problem, refused};

const META: Tag = Tag::new("meta");
const ROWS: Tag = Tag::new("rows");
const NONE: Tag = Tag::new("none");
const LARGE: Tag = Tag::new("large");

const HEADER: usize = 32;
const ENTRY: usize = 32;

/// Two small sections and an empty one between them.
fn small_file() -> Vec<u8> {
    to_bytes(&[(META, &[b"some ", b"words"]), (NONE, &[]), (ROWS, &[&[7; 100]])]).unwrap()
}

/// Opens `bytes` and reads all of them.
fn read_all(bytes: &[u8]) -> Result<()> {
    let sections = Sections::from_bytes(bytes)?;
    let tags: Vec<_> = sections.tags().collect();
    for (tag, len) in tags {
        assert_eq!(sections.buffer(tag)?.len() as u64, len);
        assert_eq!(sections.small(tag)?.len() as u64, len);
    }
    sections.verify()
}

/// Writes `value` at byte `at` of the header or the table, and a checksum that agrees with it.
fn forge(at: usize, value: &[u8]) -> Vec<u8> {
    let mut file = small_file();
    file[at..at + value.len()].copy_from_slice(value);
    let count = u32::from_le_bytes(file[16..20].try_into().unwrap()) as usize;
    let table = HEADER + ENTRY * count.min(3);
    file[20..24].fill(0);
    let sum = crc32fast::hash(&file[..table]);
    file[20..24].copy_from_slice(&sum.to_le_bytes());
    file
}

#[test]
fn sections_come_back_from_memory_from_a_read_file_and_from_a_mapped_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let large: Vec<u8> = (0..3_000_000).map(|i| ((i * 7) >> 5) as u8).collect();
    let (head, tail) = large.split_at(1_234_567);
    let sections: [(Tag, &[&[u8]]); 4] =
        [(META, &[b"words"]), (LARGE, &[head, &[], tail]), (NONE, &[]), (ROWS, &[&[1, 2], &[3; 62]])];
    save(&path, &sections).unwrap();
    let bytes = to_bytes(&sections).unwrap();
    assert!(fs::read(&path).unwrap() == bytes);

    for (opened, mapped) in [
        (Sections::open(&path, true).unwrap(), true),
        (Sections::open(&path, false).unwrap(), false),
        (Sections::from_bytes(&bytes).unwrap(), false),
    ] {
        opened.verify().unwrap();
        assert_eq!(opened.tags().map(|(_, len)| len).collect::<Vec<_>>(), [5, 3_000_000, 0, 64]);
        assert_eq!(opened.small(META).unwrap().bytes(), b"words");
        assert!(!opened.small(META).unwrap().is_mapped());
        assert!(opened.optional(NONE).unwrap().unwrap().is_empty());
        assert!(opened.optional(Tag::new("absent")).unwrap().is_none());
        let buffer = opened.buffer(LARGE).unwrap();
        assert!(buffer.bytes() == large && buffer.is_mapped() == mapped);
        assert!(buffer.bytes().as_ptr().addr().is_multiple_of(if mapped { 4096 } else { Buffer::ALIGN }));
        let rows = opened.array::<u64>(ROWS, &[4, 2]).unwrap();
        assert_eq!(rows.as_slice::<u64>()[0], 0x0303_0303_0303_0201);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    // Written by a few lines of Python, from the text of storage/format.rs alone.
    let documented = include_bytes!("v1.steep");
    let rows: Vec<u8> = (0..100).collect();
    assert!(to_bytes(&[(META, &[b"words"]), (NONE, &[]), (ROWS, &[&rows])]).unwrap() == documented);
    read_all(documented).unwrap();
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let file = small_file();
    read_all(&file).unwrap();
    for len in 0..file.len() {
        problem(read_all(&file[..len]), len);
    }
    refused(read_all(&file[..20]), "the file ends within its header: it was cut short");
    refused(read_all(&file[..60]), "the file ends here, but bytes 32 to 128 are needed");
    refused(read_all(&file[..file.len() - 1]), "bytes and was saved with 292: it was cut short");
    refused(read_all(&[&file[..], b"\n"].concat()), "something was appended (at byte 292)");
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let file = small_file();
    for bit in 0..8 * file.len() {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        problem(read_all(&damaged), bit);
        if bit / 8 < HEADER + 3 * ENTRY {
            problem(Sections::from_bytes(&damaged), bit);
        }
    }
}

#[test]
fn a_forged_header_with_a_right_checksum_is_refused() {
    let entry = |section: usize, field: usize| HEADER + ENTRY * section + field;
    let u32s = |value: u32| value.to_le_bytes().to_vec();
    let u64s = |value: u64| value.to_le_bytes().to_vec();
    // Sections: meta, 10 bytes at 128; none, 0 at 192; rows, 100 at 192, to the end at 292.
    let cases = [
        (8, u32s(7), "the file has format version 7, this Steep reads 1: update Steep (at byte 8)"),
        (8, u32s(0), "the file has format version 0, this Steep reads 1 (at byte 8)"),
        (12, u32s(2), "flags 0x2, unknown to this Steep"),
        (16, u32s(0), "0 sections: 1 to 64 are possible"),
        (16, u32s(65), "65 sections"),
        (16, u32s(u32::MAX), "4294967295 sections"),
        (16, u32s(64), "the file ends here, but bytes 32 to 2080 are needed"),
        (16, u32s(2), "the last section ends here"),
        (24, u64s(0), "was saved with 0: something was appended"),
        (24, u64s(u64::MAX), "was saved with 18446744073709551615: it was cut short"),
        (entry(0, 0), b"no\0tag!!".to_vec(), "its name is no tag"),
        (entry(0, 0), vec![0; 8], "its name is no tag"),
        (entry(0, 0), vec![0xff; 8], "its name is no tag"),
        (entry(2, 0), b"meta\0\0\0\0".to_vec(), "taken already"),
        (entry(0, 8), u64s(0), "section meta: offset 0 is not a multiple of 64 from 128 on (at byte 32)"),
        (entry(0, 8), u64s(129), "offset 129 is not a multiple of 64"),
        (entry(1, 8), u64s(128), "section none: offset 128 is not a multiple of 64 from 138 on (at byte 64)"),
        (entry(0, 8), u64s(u64::MAX - 63), "10 bytes at 18446744073709551552 reach beyond the file's 292"),
        (entry(0, 16), u64s(u64::MAX), "reach beyond the file's"),
        (entry(0, 16), u64s(u64::MAX - 128), "reach beyond the file's"),
        (entry(0, 16), u64s(u64::MAX - 127), "reach beyond the file's"),
        (entry(0, 16), u64s(1 << 40), "1099511627776 bytes at 128 reach beyond"),
        (entry(0, 16), u64s(65), "section none: offset 192 is not a multiple of 64 from 193 on"),
        (entry(2, 16), u64s(101), "101 bytes at 192 reach beyond"),
        (entry(2, 16), u64s(99), "the last section ends here, the file at 292 (at byte 291)"),
        (entry(1, 28), u32s(1), "section none"),
        (entry(0, 16), u64s(9), "section meta: its checksum is"),
    ];
    for (at, value, expected) in cases {
        refused(read_all(&forge(at, &value)), expected);
    }
    // The forger's checksum is right: an unchanged field is accepted.
    read_all(&forge(8, &u32s(1))).unwrap();
}

#[test]
fn a_foreign_file_is_named() {
    let cases: [(&[u8], &str); 11] = [
        (b"", "it is empty"),
        (b"STEE", "it is cut short"),
        (b"STEEP\0\n and more", "transfer in text mode"),
        (b"STEEP\0\r\r\n and more", "transfer in text mode"),
        (b"\x93NUMPY\x01\0v\0{'descr'", "it is a NumPy array"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file"),
        (b"PK\x03\x04", ".npz archive"),
        (b"PAR1", "Parquet"),
        (b"IxF2\x80\0\0\0", "Faiss index"),
        (b"\x80\x04\x95", "pickle"),
        (b"In the beginning", "its first bytes are unknown"),
    ];
    for (bytes, expected) in cases {
        refused(Sections::from_bytes(bytes), expected);
    }
}

#[test]
fn what_is_no_readable_file_is_the_systems_error() {
    let dir = tempfile::tempdir().unwrap();
    for (path, mmap) in [(dir.path().to_owned(), true), (dir.path().join("missing"), false)] {
        assert!(matches!(Sections::open(&path, mmap), Err(Error::Io { action: "open", .. })), "{path:?}");
    }
    let empty = dir.path().join("empty");
    fs::write(&empty, b"").unwrap();
    refused(Sections::open(&empty, true), "it is empty");
}

#[test]
fn damage_in_a_mapped_section_is_found_by_verify_and_by_small() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut file = small_file();
    *file.last_mut().unwrap() ^= 1;
    fs::write(&path, &file).unwrap();
    let mapped = Sections::open(&path, true).unwrap();
    assert!(mapped.buffer(ROWS).is_ok(), "a mapped section is not read");
    refused(mapped.small(ROWS), "section rows: its checksum is");
    refused(mapped.verify(), "section rows: its checksum is");
    refused(Sections::open(&path, false).unwrap().buffer(ROWS), "section rows: its checksum is");
}

#[test]
fn an_array_must_have_the_stated_shape() {
    let file = small_file();
    let sections = Sections::from_bytes(&file).unwrap();
    assert!(sections.array::<f32>(ROWS, &[5, 5]).is_ok());
    refused(
        sections.array::<f32>(ROWS, &[5, 6]),
        "section rows: holds 100 bytes, not [5, 6] values of 4 bytes",
    );
    refused(sections.array::<u64>(ROWS, &[usize::MAX, 3]), "holds 100 bytes");
    refused(sections.array::<u64>(ROWS, &[1 << 61, 1 << 61, 0]), "holds 100 bytes");
    refused(sections.array::<u8>(Tag::new("absent"), &[0]), "section absent: missing");
}

#[test]
#[cfg(target_os = "linux")] // elsewhere the file may not be sparse
fn a_mapped_file_of_64_gib_opens_without_being_read() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let len = 1_u64 << 36;
    let file = fs::File::create(&path).unwrap();
    file.set_len(len).unwrap();
    let mut head = to_bytes(&[(LARGE, &[])]).unwrap();
    head[24..32].copy_from_slice(&len.to_le_bytes());
    head[HEADER + 16..HEADER + 24].copy_from_slice(&(len - 64).to_le_bytes());
    head[20..24].fill(0);
    let sum = crc32fast::hash(&head);
    head[20..24].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&head, 0).unwrap();
    let large = Sections::open(&path, true).unwrap().buffer(LARGE).unwrap();
    assert_eq!((large.len() as u64, large.bytes()[1 << 35]), (len - 64, 0));
}

#[test]
fn threads_read_different_sections_of_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let (a, b) = (vec![1; 3 << 20], vec![2; 3 << 20]);
    save(&path, &[(META, &[&a]), (ROWS, &[&b])]).unwrap();
    let opened = Sections::open(&path, false).unwrap();
    std::thread::scope(|scope| {
        for tag in [META, ROWS, META, ROWS] {
            let opened = &opened;
            scope.spawn(move || opened.buffer(tag).unwrap());
        }
    });
}

#[test]
fn saving_over_a_mapped_file_leaves_the_map_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    save(&path, &[(ROWS, &[&[1; 100_000]])]).unwrap();
    let old = Sections::open(&path, true).unwrap().buffer(ROWS).unwrap();
    save(&path, &[(ROWS, &[&[2; 10]])]).unwrap();
    assert!(old.is_mapped() && old.bytes() == [1; 100_000]);
    assert_eq!(Sections::open(&path, true).unwrap().buffer(ROWS).unwrap().bytes(), [2; 10]);
}
