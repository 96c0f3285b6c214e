//! A saved index comes back as it was; a broken or forged one is refused.

use std::fs;

use steep::storage::{Sections, Tag, to_bytes};
use steep::{AddParams, BuildParams, Dtype, Index, Metric, SearchParams, Spec, Vectors};

use crate::common::data::{Rng, Set, decaying, low_rank, whole};
use crate::common::oracle::{Truth, check, codes, exact, expect_codes, expect_fine_codes};
use crate::common::{problem, refused};

const CODED: usize = 4096 + 107;
/// Rows of the golden index: its last panel is not full.
const GOLDEN: usize = 70;
const DIM: usize = 24;
/// Dimensions of the index with fine codes.
const LONG: usize = 320;

/// A section's name, and its bytes.
pub type Part = (&'static str, Vec<u8>);

/// The sections of a saved index.
pub fn parts(file: &[u8]) -> Vec<Part> {
    const NAMES: [&str; 33] = [
        "meta", "vectors", "ids", "codes", "mean", "direct", "norms", "tails-0", "tails-1", "panels", "fine",
        "fine-s", "fine-f", "graph", "g-mean", "g-direct", "g-rows", "g-order", "spec", "ivf", "i-mean",
        "i-direct", "i-state", "i-runs", "i-center", "i-cent-r", "i-cent-i", "i-codes", "i-rest", "i-rows",
        "given", "t-mean-0", "t-rows-0",
    ];
    let sections = Sections::from_bytes(file).unwrap();
    let names =
        sections.tags().map(|(tag, _)| NAMES.into_iter().find(|name| tag.to_string() == *name).unwrap());
    names.map(|name| (name, sections.buffer(Tag::new(name)).unwrap().bytes().to_vec())).collect()
}

/// The file of these sections, with right checksums.
pub fn file(parts: &[Part]) -> Vec<u8> {
    let bytes: Vec<[&[u8]; 1]> = parts.iter().map(|(_, bytes)| [bytes.as_slice()]).collect();
    let sections: Vec<_> =
        parts.iter().zip(&bytes).map(|((name, _), b)| (Tag::new(name), b.as_slice())).collect();
    to_bytes(&sections).unwrap()
}

pub fn part<'a>(parts: &'a mut [Part], name: &str) -> &'a mut Vec<u8> {
    &mut parts.iter_mut().find(|(tag, _)| *tag == name).unwrap().1
}

/// Codes are only made for many vectors. This index has few, but their codes: its sections are cut to the first rows of
/// a larger one's.
fn small_with_codes(metric: Metric, dtype: Dtype, ids: bool) -> Vec<u8> {
    small(&Set::suited(dtype, DIM, &low_rank(&mut Rng(71), CODED, DIM)), metric, ids)
}

/// The same with fine codes.
fn small_with_fine_codes(metric: Metric, dtype: Dtype, ids: bool) -> Vec<u8> {
    let file = small(&Set::suited(dtype, LONG, &decaying(&mut Rng(71), CODED, LONG, 0.8)), metric, ids);
    expect_fine_codes(&Index::from_bytes(&file).unwrap(), "small");
    file
}

fn small(base: &Set, metric: Metric, ids: bool) -> Vec<u8> {
    let given: Vec<u64> = (0..CODED as u64).rev().map(|row| 3 * row).collect();
    let params =
        BuildParams { metric, ids: ids.then_some(&given), spec: Spec::FLAT, ..BuildParams::default() };
    let index = Index::build(base.view(), &params).unwrap();
    expect_codes(&index, "small");
    let mut parts = parts(&index.to_bytes().unwrap());
    for (name, bytes) in &mut parts {
        let len = match *name {
            "vectors" | "ids" | "fine" | "fine-f" => bytes.len() / CODED * GOLDEN,
            "norms" | "tails-0" | "tails-1" | "panels" => {
                bytes.len() / CODED.div_ceil(16) * GOLDEN.div_ceil(16)
            }
            _ => bytes.len(),
        };
        bytes.truncate(len);
    }
    let meta = part(&mut parts, "meta");
    meta[24..32].copy_from_slice(&(GOLDEN as u64).to_le_bytes());
    meta[40..48].copy_from_slice(&(GOLDEN as u64).to_le_bytes());
    file(&parts)
}

/// A search that touches every section.
fn search(index: &Index) {
    let queries = vec![0.5f32; index.dim() * 9];
    let queries = Vectors::new(&queries, index.dim()).unwrap();
    for rows in [0..1, 0..9] {
        let hits = index.search(queries.rows(rows.clone()), 3, &SearchParams::default()).unwrap();
        assert_eq!(hits.ids.len(), 3 * rows.len());
        index.range_search(queries.rows(rows), 1.0, &SearchParams::default()).unwrap();
    }
}

#[test]
fn every_kind_of_index_comes_back_as_it_was_read_or_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut rng = Rng(72);
    for n in [0, 300, CODED] {
        let values = low_rank(&mut rng, n, 32);
        let ids: Vec<u64> = rng.shuffled((0..n as u64).map(|i| i * 3).collect());
        let asked = low_rank(&mut rng, 9, 32);
        for (metric, dtype) in
            Metric::PRODUCTS.into_iter().flat_map(|m| Dtype::NUMBERS.map(|dtype| (m, dtype)))
        {
            let (base, queries) = (Set::suited(dtype, 32, &values), Set::suited(dtype, 32, &asked));
            for (spec, ids) in [(Spec::AUTO, None), (Spec::FLAT, Some(&*ids)), (Spec::FLAT_RAW, Some(&*ids))]
            {
                let params = BuildParams { metric, spec, ids, seed: 9, ..BuildParams::default() };
                let index = Index::build(base.view(), &params).unwrap();
                index.save(&path).unwrap();
                let bytes = index.to_bytes().unwrap();
                assert!(fs::read(&path).unwrap() == bytes);
                let truth = Truth::new(metric, &base, ids, &queries);
                let opened = [Index::open(&path, true), Index::open(&path, false), Index::from_bytes(&bytes)];
                for (opened, mapped) in opened.into_iter().zip([true, false, false]) {
                    let opened = opened.unwrap();
                    assert_eq!(opened.is_mapped(), mapped);
                    assert_eq!((opened.len(), opened.dim(), opened.metric()), (n, 32, metric));
                    assert_eq!((opened.dtype(), *opened.spec()), (dtype, spec));
                    assert_eq!((opened.info(), opened.bytes()), (index.info(), index.bytes()));
                    assert!(opened.to_bytes().unwrap() == bytes);
                    check(&opened, &queries, &truth, 9, 10, "opened");
                    check(&opened, &queries, &truth, 1, 10, "opened");
                }
            }
        }
    }
}

#[test]
fn whole_numbers_kept_as_bytes_come_back_as_floats() {
    let mut rng = Rng(73);
    let base = Set::new(Dtype::F32, 4, whole(&mut rng, 50, 4, 256));
    let index = Index::from_bytes(&Index::build(base.view(), &exact()).unwrap().to_bytes().unwrap());
    let mut index = index.unwrap();
    assert_eq!((index.dtype(), index.vectors().dtype()), (Dtype::F32, Dtype::U8));
    index.add(Set::new(Dtype::F32, 4, [0.5; 4]).view(), &AddParams::default()).unwrap();
    assert_eq!((index.dtype(), index.vectors().dtype()), (Dtype::F32, Dtype::F32));
}

#[test]
fn an_opened_index_grows_and_the_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut rng = Rng(74);
    let all = Set::new(Dtype::F32, 32, low_rank(&mut rng, CODED + 500, 32));
    let queries = Set::new(Dtype::F32, 32, low_rank(&mut rng, 9, 32));
    let ids: Vec<u64> = (0..all.len() as u64).map(|i| i ^ 1).collect();
    let truth = Truth::new(Metric::L2, &all, Some(&ids), &queries);
    let (old, new) = ids.split_at(CODED);
    let mut index =
        Index::build(all.view().rows(0..CODED), &BuildParams { ids: Some(old), ..exact() }).unwrap();
    index.save(&path).unwrap();
    let before = fs::read(&path).unwrap();
    let add = |index: &mut Index| {
        let params = AddParams { ids: Some(new), ..AddParams::default() };
        index.add(all.view().rows(CODED..all.len()), &params).unwrap();
    };
    add(&mut index);
    for mmap in [true, false] {
        let mut opened = Index::open(&path, mmap).unwrap();
        add(&mut opened);
        check(&opened, &queries, &truth, 9, 10, "opened and added to");
        assert!(opened.to_bytes().unwrap() == index.to_bytes().unwrap());
        assert!(fs::read(&path).unwrap() == before);
    }
    // Saved over the file that it is mapped from.
    let mut opened = Index::open(&path, true).unwrap();
    opened.save(&path).unwrap();
    add(&mut opened);
    opened.save(&path).unwrap();
    check(&Index::open(&path, true).unwrap(), &queries, &truth, 9, 10, "saved over itself");
}

#[test]
fn handles_on_one_file_search_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut rng = Rng(75);
    let base = Set::new(Dtype::F32, 32, low_rank(&mut rng, CODED, 32));
    let queries = base.rows(0..40);
    Index::build(base.view(), &exact()).unwrap().save(&path).unwrap();
    let truth = Truth::new(Metric::L2, &base, None, &queries);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| check(&Index::open(&path, true).unwrap(), &queries, &truth, 40, 10, "at once"));
        }
    });
}

/// Version 1 of the format, to be read for ever: a later Steep may write another version, but opens this one.
/// Made by `cargo test --test steep write_the_golden_file -- --ignored`, once.
#[test]
fn the_golden_file_is_read_as_it_was_written() {
    let golden: &[u8] = include_bytes!("data/v1.steep");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    fs::write(&path, golden).unwrap();
    for index in [Index::from_bytes(golden), Index::open(&path, true), Index::open(&path, false)] {
        let index = index.unwrap();
        assert_eq!(format!("{index:?}"), GOLDEN_NAME);
        assert_ne!(codes(&index), "none");
        let query = [1.0f32; DIM];
        let hits = index.search(Vectors::new(&query, DIM).unwrap(), 5, &SearchParams::default()).unwrap();
        assert_eq!((&*hits.ids, &*hits.distances), (&GOLDEN_IDS[..], &GOLDEN_DISTANCES[..]));
        let within = index.range_search(
            Vectors::new(&query, DIM).unwrap(),
            GOLDEN_DISTANCES[2],
            &SearchParams::default(),
        );
        assert_eq!(within.unwrap().ids, GOLDEN_IDS[..3]);
    }
}

const GOLDEN_NAME: &str = "Index(70 × 24 f32, l2, flat)";
const GOLDEN_IDS: [i64; 5] = [12441, 12522, 12510, 12573, 12423];
/// Computed from the file's section `vectors` in exact arithmetic, by another program.
const GOLDEN_DISTANCES: [f32; 5] = [52.373188, 53.479946, 53.75714, 64.56152, 66.8105];

#[test]
#[ignore = "writes tests/data/v1.steep, which must not change"]
fn write_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1.steep");
    fs::write(path, small_with_codes(Metric::L2, Dtype::F32, true)).unwrap();
}

#[test]
fn a_forged_field_with_a_right_checksum_is_refused() {
    let coded = small_with_codes(Metric::L2, Dtype::F32, true);
    Index::from_bytes(&coded).unwrap();
    let u32s = |value: u32| value.to_le_bytes().to_vec();
    let u64s = |value: u64| value.to_le_bytes().to_vec();
    let f64s = |value: f64| value.to_le_bytes().to_vec();
    let cases: Vec<(&str, usize, Vec<u8>, &str)> = vec![
        ("meta", 0, u32s(99), "unknown metric 99"),
        ("meta", 0, u32s(3), "an index of kind flat, parts 1, under metric l1"),
        ("meta", 0, u32s(u32::MAX), "unknown metric 4294967295"),
        ("meta", 4, u32s(3), "unknown kind of index 3"),
        ("meta", 4, u32s(2), "parts 1 in an index of kind flat-raw"),
        ("meta", 8, u32s(99), "unknown dtype 99"),
        ("meta", 12, u32s(99), "unknown dtype 99"),
        ("meta", 12, u32s(1), "vectors of f32 stored as f16"),
        ("meta", 8, [u32s(3), u32s(4)].concat(), "vectors of i8 stored as u8"),
        ("meta", 16, u64s(0), "dimension 0, not 1 to 65536"),
        ("meta", 16, u64s(65_537), "dimension 65537"),
        ("meta", 16, u64s(u64::MAX), "dimension 18446744073709551615"),
        ("meta", 16, u64s(25), "section vectors: holds 6720 bytes, not [70, 100]"),
        ("meta", 24, u64s(71), "section vectors: holds 6720 bytes, not [71, 96]"),
        ("meta", 24, u64s(69), "section vectors: holds 6720 bytes"),
        ("meta", 24, u64s(0), "section vectors: holds 6720 bytes"),
        ("meta", 24, u64s(1 << 61), "section vectors: holds 6720 bytes"),
        ("meta", 24, u64s(u64::MAX), "section vectors: holds 6720 bytes"),
        ("meta", 40, u64s(71), "codes chosen for 71 of 70 vectors"),
        ("meta", 40, u64s(u64::MAX), "codes chosen for 18446744073709551615 of 70"),
        ("meta", 48, u32s(2), "2 sections of ids"),
        ("meta", 52, u32s(2), "parts 2 in an index of kind flat"),
        ("meta", 52, u32s(4), "parts 4 in an index of kind flat"),
        ("codes", 0, f64s(f64::NAN), "a step of NaN"),
        ("codes", 0, f64s(0.0), "a step of 0"),
        ("codes", 0, f64s(-1.0), "a step of -1"),
        ("codes", 0, f64s(f64::INFINITY), "a step of inf"),
        ("codes", 8, f64s(f64::NAN), "a radius of NaN"),
        ("codes", 8, f64s(-1.0), "a radius of -1"),
        ("codes", 16, u64s(0), "0 levels, not 1 to 2"),
        ("codes", 16, u64s(3), "3 levels"),
        ("codes", 16, u64s(u64::MAX), "18446744073709551615 levels"),
        ("codes", 24, u64s(0), "0 coordinates, not a multiple of 8"),
        ("codes", 24, u64s(4), "4 coordinates, not a multiple of 8"),
        ("codes", 24, u64s(32), "32 coordinates, not a multiple of 8 from 0 to 24"),
        ("codes", 24, u64s(u64::MAX), "18446744073709551615 coordinates"),
        ("codes", 40, f64s(f64::NAN), "an error of NaN"),
        ("codes", 40, f64s(-1.0), "an error of -1"),
        ("codes", 48, f64s(f64::INFINITY), "a head of inf"),
        ("codes", 88, u64s(1), "1 fine coordinates, not "),
        ("codes", 88, u64s(25), "25 fine coordinates, not "),
        ("codes", 88, u64s(u64::MAX), "18446744073709551615 fine coordinates"),
        ("mean", 4, f32::NAN.to_le_bytes().to_vec(), "section mean: a value that is not finite"),
        ("direct", 8, f32::INFINITY.to_le_bytes().to_vec(), "section direct: a value that is not finite"),
    ];
    for (name, at, value, expected) in cases {
        let mut parts = parts(&coded);
        part(&mut parts, name)[at..at + value.len()].copy_from_slice(&value);
        refused(Index::from_bytes(&file(&parts)), expected);
    }
}

#[test]
fn a_section_that_is_missing_or_of_another_length_is_refused() {
    for (coded, sections) in [
        (small_with_codes(Metric::Cosine, Dtype::Bf16, true), 9),
        (small_with_fine_codes(Metric::Cosine, Dtype::F32, true), 12),
    ] {
        every_section_counts(&coded, sections);
    }
}

fn every_section_counts(coded: &[u8], sections: usize) {
    let parts = parts(coded);
    assert!(parts.len() >= sections, "{} sections", parts.len());
    for (i, (name, _)) in parts.iter().enumerate() {
        let mut without = parts.clone();
        without.remove(i);
        refused(Index::from_bytes(&file(&without)), &format!("section {name}: missing"));
        for change in [-1, 1, 64] {
            let mut other = parts.clone();
            let len = other[i].1.len();
            other[i].1.resize(len.checked_add_signed(change).unwrap(), 0);
            refused(Index::from_bytes(&file(&other)), &format!("section {name}: "));
        }
        let mut empty = parts.clone();
        empty[i].1.clear();
        refused(Index::from_bytes(&file(&empty)), &format!("section {name}: "));
    }
    // One that this Steep does not know is passed over.
    let mut more = parts.clone();
    more.push(("later", vec![1, 2, 3]));
    search(&Index::from_bytes(&file(&more)).unwrap());
}

/// What no check can find (a value is as good as another) gives wrong answers at worst.
#[test]
fn forged_values_never_panic() {
    let coded = small_with_codes(Metric::L2, Dtype::F32, true);
    let fine = small_with_fine_codes(Metric::L2, Dtype::F32, true);
    let nan = f32::NAN.to_le_bytes();
    let names = ["vectors", "ids", "norms", "tails-0", "panels"].map(|name| (&coded, name, DIM));
    let fine_names = ["norms", "fine", "fine-f"].map(|name| (&fine, name, LONG));
    for (coded, name, dim) in names.into_iter().chain(fine_names) {
        for fill in [[0xff; 4], [0x80; 4], [0x7f; 4], [0; 4], nan] {
            let mut parts = parts(coded);
            part(&mut parts, name).chunks_mut(4).for_each(|four| four.copy_from_slice(&fill[..four.len()]));
            let mut index = Index::from_bytes(&file(&parts)).unwrap();
            search(&index);
            // With ids forged there may be none left to go on with.
            let added = index.add(Vectors::new(&vec![0.25f32; dim], dim).unwrap(), &AddParams::default());
            assert!(added.is_ok() || name == "ids");
            search(&index);
        }
    }
    for step in [0.0, f32::MIN_POSITIVE, -1.0, f32::MAX] {
        let mut parts = parts(&fine);
        part(&mut parts, "fine-s")
            .chunks_exact_mut(4)
            .for_each(|four| four.copy_from_slice(&step.to_le_bytes()));
        let mut index = Index::from_bytes(&file(&parts)).unwrap();
        search(&index);
        index.add(Vectors::new(&[0.25f32; LONG], LONG).unwrap(), &AddParams::default()).unwrap();
        search(&index);
    }
    for (at, value) in [(0, f64::MIN_POSITIVE), (0, 1e300), (8, 1e300), (40, 1e300), (48, 1e300), (48, 0.0)] {
        let mut parts = parts(&coded);
        part(&mut parts, "codes")[at..at + 8].copy_from_slice(&value.to_le_bytes());
        search(&Index::from_bytes(&file(&parts)).unwrap());
    }
}

#[test]
fn a_damaged_byte_anywhere_is_refused_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let coded = small_with_codes(Metric::L2, Dtype::F16, true);
    for at in 0..coded.len() {
        let mut damaged = coded.clone();
        damaged[at] ^= 1 << (at % 8);
        match Index::from_bytes(&damaged) {
            // Between two sections, where nothing is read.
            Ok(index) => assert!(index.to_bytes().unwrap() == coded, "byte {at}"),
            other => drop(problem(other, at)),
        }
        // Large sections of a mapped file are not checked: wrong answers, but no panic.
        if at % 7 == 0 {
            fs::write(&path, &damaged).unwrap();
            if let Ok(index) = Index::open(&path, true) {
                search(&index);
            }
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let coded = small_with_codes(Metric::InnerProduct, Dtype::F32, false);
    for len in 0..coded.len() {
        problem(Index::from_bytes(&coded[..len]), len);
    }
    search(&Index::from_bytes(&coded).unwrap());
}
