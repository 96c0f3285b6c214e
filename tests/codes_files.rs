//! Saved codes come back as they were; forged ones are refused, or read without harm.

use steep::{AddParams, BuildParams, Index, Metric, SearchParams, Vectors};

use crate::common::oracle::exact;
use crate::common::refused;
use crate::index_files::{file, part, parts};

/// A small index as a file.
fn small(metric: Metric, spec: &str) -> Vec<u8> {
    let values: Vec<f32> = (0..300 * 24).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
    let params = BuildParams { metric, spec: spec.parse().unwrap(), ..BuildParams::default() };
    Index::build(Vectors::new(&values, 24).unwrap(), &params).unwrap().to_bytes().unwrap()
}

const SPECS: [&str; 14] = [
    "ivf12x2,rabitq2,rerank",
    "ivf5x2,pq7x4",
    "ivf16,rabitq4,rerank",
    "ivf,rabitq1",
    "rabitq8",
    "pq7x4",
    "ivf9,pq12x4,rerank-f16",
    "ivf4,rabitq6",
    "ivf3,sq8",
    "lvq4",
    "pq5x8",
    "ivf5,pq6x8,rerank",
    "ivf7,pq9x4,rerank-i8",
    "rabitq1,rerank-i8",
];

#[test]
fn codes_answer_the_same_after_they_were_saved() {
    let queries: Vec<f32> = (0..20 * 24).map(|i| (i as f32 * 0.71).cos()).collect();
    let queries = Vectors::new(&queries, 24).unwrap();
    for metric in Metric::PRODUCTS {
        for spec in SPECS {
            let bytes = small(metric, spec);
            let index = Index::from_bytes(&bytes).unwrap();
            assert_eq!(index.spec().to_string(), spec);
            assert_eq!(index.to_bytes().unwrap(), bytes, "{metric} {spec}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("codes.steep");
            index.save(&path).unwrap();
            let want = index.search(queries, 5, &SearchParams::default()).unwrap();
            for mmap in [false, true] {
                let mut opened = Index::open(&path, mmap).unwrap();
                assert_eq!(opened.is_mapped(), mmap, "{spec}");
                assert_eq!(
                    opened.search(queries, 5, &SearchParams::default()).unwrap(),
                    want,
                    "{metric} {spec}"
                );
                let mut same = index.clone();
                for index in [&mut opened, &mut same] {
                    index.add(queries, &AddParams::default()).unwrap();
                }
                assert_eq!(opened.len(), 320);
                assert!(opened.to_bytes().unwrap() == same.to_bytes().unwrap(), "{metric} {spec}");
                let again = Index::from_bytes(&opened.to_bytes().unwrap()).unwrap();
                assert_eq!(
                    again.search(queries, 5, &SearchParams::default()).unwrap(),
                    opened.search(queries, 5, &SearchParams::default()).unwrap(),
                    "{metric} {spec}"
                );
            }
        }
    }
}

#[test]
fn forged_codes_with_a_right_checksum_are_refused() {
    let lists = small(Metric::InnerProduct, "ivf16,rabitq4,rerank");
    let nibbles = small(Metric::L2, "pq7x4");
    let [bytes, levels] = ["pq5x8", "sq8"].map(|spec| small(Metric::L2, spec));
    Index::from_bytes(&lists).unwrap();
    let u64s = |value: u64| value.to_le_bytes().to_vec();
    let u32s = |value: u32| value.to_le_bytes().to_vec();
    let f64s = |value: f64| value.to_le_bytes().to_vec();
    let f32s = |value: f32| value.to_le_bytes().to_vec();
    // Which file, the section, from which byte on, what is there, and what is said of it.
    type Case<'a> = (&'a [u8], &'a str, usize, Vec<u8>, &'a str);
    let cases: Vec<Case> = vec![
        (&lists, "spec", 0, b"flat,".to_vec(), "not the description of an index of codes"),
        (&lists, "spec", 0, vec![0xFF; 5], "not the description of an index of codes"),
        (&lists, "meta", 4, u32s(1), "parts 4 in an index of kind flat"),
        (&lists, "meta", 12, u32s(1), "vectors of f32 stored as f16"),
        (&lists, "meta", 16, u64s(4097), "dimension 4097 of a graph or codes"),
        (&lists, "meta", 52, u32s(0), "no graph or lists"),
        (&lists, "meta", 52, u32s(2), "parts 2 in an index of kind ivf16,rabitq4,rerank"),
        (&lists, "ivf", 0, u64s(0), "0 directions, not 1 to 25"),
        (&lists, "ivf", 0, u64s(26), "26 directions, not 1 to 25"),
        (&lists, "ivf", 8, u64s(0), "0 lists of 300 vectors"),
        (&lists, "ivf", 8, u64s(301), "301 lists of 300 vectors"),
        (&lists, "ivf", 16, u64s(u64::MAX), "section i-runs: holds"),
        (&lists, "ivf", 24, u64s(288), "288 positions for 300 vectors"),
        (&lists, "ivf", 24, u64s(321), "321 positions for 300 vectors"),
        (&lists, "ivf", 24, u64s(u64::MAX - 31), "positions for 300 vectors"),
        (&lists, "ivf", 24, u64s(352), "section i-codes: holds"),
        (&lists, "ivf", 48, f64s(f64::NAN), "a length of NaN"),
        (&lists, "ivf", 56, f64s(0.0), "a step of 0"),
        (&nibbles, "ivf", 32, u64s(8), "no codes of 8 nibbles"),
        (&nibbles, "ivf", 32, u64s(0), "no codes of 0 nibbles"),
        (&nibbles, "ivf", 32, u64s(u64::MAX), "no codes of 18446744073709551615 nibbles"),
        (&nibbles, "ivf", 40, u64s(3), "section i-state: holds"),
        (&nibbles, "i-state", 0, f32s(-1.0), "no codes of 7 nibbles"),
        (&nibbles, "i-state", 4, f32s(0.0), "no codes of 7 nibbles"),
        (&nibbles, "i-state", 4, f32s(1e9), "no codes of 7 nibbles"),
        (&nibbles, "i-state", 40, f32s(f32::NAN), "section i-state: a value that is not finite"),
        (&bytes, "i-state", 0, f32s(-1.0), "no codes of 5 nibbles"),
        (&bytes, "i-state", 4, f32s(-1.0), "no codes of 5 nibbles"),
        (&bytes, "i-state", 8, f32s(1e9), "no codes of 5 nibbles"),
        (&bytes, "ivf", 32, u64s(4), "no codes of 4 nibbles"),
        (&levels, "i-state", 0, f32s(0.0), "no codes of 6 nibbles"),
        (&lists, "i-mean", 4, f32s(f32::NAN), "section i-mean: a value that is not finite"),
        (&lists, "i-cent-i", 8, u32s(3), "section i-cent-i: list 3 in the place of list 2"),
        (
            &lists,
            "i-rows",
            4,
            u32s(300),
            "section i-rows: row 300 is out of range of 300 or in more than 1 lists",
        ),
        (&lists, "i-runs", 0, u32s(16), "section i-runs: a run of"),
        (&lists, "i-runs", 4, u32s(321), "section i-runs: a run of"),
        (&lists, "i-runs", 4, u32s(u32::MAX), "section i-runs: a run of"),
        (&lists, "i-runs", 8, u32s(u32::MAX), "section i-runs: a run of"),
        (&lists, "i-runs", 12, u32s(300), "section i-runs: a run over another one"),
        (&lists, "i-runs", 8, u32s(0), "of 300 vectors"),
    ];
    for (index, name, at, value, expected) in cases {
        let mut parts = parts(index);
        part(&mut parts, name)[at..at + value.len()].copy_from_slice(&value);
        refused(Index::from_bytes(&file(&parts)), expected);
    }
}

#[test]
fn codes_that_hold_anything_are_read_without_a_panic() {
    let query: Vec<f32> = (0..24).map(|i| (i as f32).cos()).collect();
    let query = Vectors::new(&query, 24).unwrap();
    for spec in SPECS {
        for section in ["i-codes", "i-rest", "i-center", "i-cent-r"] {
            for byte in [0xFF, 0x00, 0x7F, 0x80, 0x3C] {
                let mut parts = parts(&small(Metric::L2, spec));
                part(&mut parts, section).iter_mut().skip(1).step_by(2).for_each(|b| *b = byte);
                let mut index = Index::from_bytes(&file(&parts)).unwrap();
                let hits = index.search(query, 10, &SearchParams::default()).unwrap();
                assert!(
                    hits.ids.iter().all(|id| (-1..300).contains(id)),
                    "{spec} {section} {byte:#x}: {hits:?}"
                );
                index.range_search(query, 3.0, &SearchParams::default()).unwrap();
                index.add(query, &AddParams::default()).unwrap();
            }
        }
    }
}

/// Version 1 of the format, as [`write_the_golden_codes`] wrote it once.
#[test]
fn the_golden_codes_are_read_as_they_were_written() {
    let index = Index::from_bytes(include_bytes!("data/v1-codes.steep")).unwrap();
    assert_eq!(format!("{index:?}"), "Index(300 × 24 f32, l2, ivf16,rabitq4,rerank)");
    let exact = Index::build(index.vectors(), &exact()).unwrap();
    let queries = index.vectors().rows(0..20);
    let truth = exact.search(queries, 10, &SearchParams::default()).unwrap();
    let params = SearchParams { nprobe: Some(16), ..SearchParams::default() };
    // By codes, nearly all of the nearest; with all of them ranked, all.
    let hits = index.search(queries, 10, &params).unwrap();
    let same = hits.ids.iter().zip(&truth.ids).filter(|(a, b)| a == b).count();
    assert!(same >= 190, "{same} of 200");
    let hits = index.search(queries, 10, &SearchParams { rerank: Some(300), ..params }).unwrap();
    assert_eq!((hits.ids, hits.distances), (truth.ids, truth.distances));
}

#[test]
#[ignore = "writes tests/data/v1-codes.steep, which must not change"]
fn write_the_golden_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1-codes.steep");
    std::fs::write(path, small(Metric::L2, "ivf16,rabitq4,rerank")).unwrap();
}
