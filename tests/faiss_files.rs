//! Faiss's files: those that Faiss wrote come out as they went in, and no bytes do anything but become a record or a typed error.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use steep::faiss::convert;
use steep::faiss::file::{
    Array, Fourcc, Record, Root, Value, check, describe, is_faiss, parse, read, to_bytes, write,
};
use steep::{BuildParams, Error, Metric, Spec};

/// Small files of every kind, written by faiss-cpu 1.15.1.
fn samples() -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/faiss");
    let mut samples: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    samples.sort();
    assert!(samples.len() > 20);
    samples
}

fn sample(name: &str) -> Vec<u8> {
    samples().into_iter().find(|(other, _)| other == name).unwrap().1
}

/// Bytes that a record holds.
fn size(record: &Record) -> usize {
    let of = |value: &Value| match value {
        Value::Array(array) => match array {
            Array::U8(values) => values.len(),
            Array::I32(values) => 4 * values.len(),
            Array::F32(values) => 4 * values.len(),
            other => 8 * other.len(),
        },
        Value::Record(record) => size(record),
        Value::Records(records) => records.iter().map(size).sum(),
        _ => 16,
    };
    record.fields.iter().map(|(_, value)| 64 + of(value)).sum()
}

/// Reads bytes that may be anything. What can be read can be written, and read again.
fn survive(name: &str, bytes: &[u8]) -> bool {
    let began = Instant::now();
    let result = parse(bytes, Root::Any);
    assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
    match result {
        Ok((record, used)) => {
            assert!(used <= bytes.len() as u64);
            assert!(size(&record) <= (16 << 20) + 128 * bytes.len(), "{name}: {}", size(&record));
            let again = to_bytes(&record, Root::Any).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(same(&parse(&again, Root::Any).unwrap().0, &record), "{name}");
            true
        }
        Err(Error::Format { offset, problem, .. }) => {
            assert!(offset <= bytes.len() as u64 && !problem.is_empty());
            false
        }
        Err(other) => panic!("{name}: {other}"),
    }
}

/// Equal, where a NaN is equal to itself.
fn same(a: &Record, b: &Record) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

#[test]
fn what_faiss_wrote_comes_out_as_it_went_in() {
    for (name, bytes) in samples() {
        let (record, used) = parse(&bytes, Root::Any).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(used, bytes.len() as u64, "{name}");
        assert_eq!(to_bytes(&record, Root::Any).unwrap(), bytes, "{name}");
        assert!(is_faiss(&bytes), "{name}");
        assert!(describe(&record)[0].contains(&record.fourcc.to_string()));
    }
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.faiss");
    let record = parse(&sample("ivf-pq"), Root::Index).unwrap().0;
    write(&path, &record, Root::Index, None).unwrap();
    assert_eq!(read(&path, Root::Index, false, None).unwrap(), record);
    let mut broken = record.clone();
    broken.fields.retain(|(name, _)| name != "pq");
    let error = write(&path, &broken, Root::Index, None).unwrap_err().to_string();
    assert!(error.contains("IwPQ: pq is not in the record"), "{error}");
    assert_eq!(read(&path, Root::Any, false, None).unwrap(), record);
    assert!(read(&path, Root::Binary, false, None).is_err());
}

#[test]
fn files_cut_short_are_refused_wherever_they_end() {
    for (name, bytes) in samples() {
        for end in 0..bytes.len() {
            assert!(!survive(&name, &bytes[..end]), "{name} of {end} bytes");
        }
    }
}

#[test]
fn any_change_is_read_or_refused() {
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize
    };
    let large = [0, 1, u32::MAX as u64, i64::MAX as u64, u64::MAX, 1 << 20, 1 << 32, 1 << 40, 1 << 61];
    for (name, bytes) in samples() {
        // Every count and number becomes large, or one more or less.
        for at in 0..bytes.len().saturating_sub(8) {
            let mut changed = bytes.clone();
            let old = u64::from_le_bytes(changed[at..at + 8].try_into().unwrap());
            let new = match random() % 12 {
                9 => old.wrapping_add(1),
                10 => old.wrapping_sub(1),
                11 => old.wrapping_mul(8),
                which => large[which],
            };
            let width = if random() % 2 == 0 { 4 } else { 8 };
            changed[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
            survive(&name, &changed);
        }
        for _ in 0..300 {
            let mut changed = bytes.clone();
            for _ in 0..=random() % 4 {
                let at = random() % changed.len();
                match random() % 3 {
                    0 => changed[at] ^= 1 << (random() % 8),
                    1 => changed[at] = random() as u8,
                    _ => {
                        let end = (at + random() % 16).min(changed.len());
                        drop(changed.drain(at..end));
                    }
                }
                if changed.is_empty() {
                    break;
                }
            }
            survive(&name, &changed);
        }
    }
}

fn header(fourcc: &[u8; 4], d: i32, n: i64) -> Vec<u8> {
    let mut bytes = fourcc.to_vec();
    bytes.extend(d.to_le_bytes());
    bytes.extend(n.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.push(1);
    bytes.extend(1i32.to_le_bytes());
    bytes
}

fn problem(bytes: &[u8]) -> String {
    match parse(bytes, Root::Any) {
        Err(Error::Format { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn objects_within_objects_have_an_end() {
    for kind in [b"IxMp", b"IxM2", b"IxRF"] {
        let nested: Vec<u8> = (0..10_000).flat_map(|_| header(kind, 4, 0)).collect();
        assert!(problem(&nested).contains("more than 32 objects within each other"));
    }
    let mut link = header(b"IxPT", 4, 0);
    link.extend(0i32.to_le_bytes());
    assert!(problem(&link.repeat(10_000)).contains("more than 32"));
    let graph = [
        header(b"IHNf", 4, 0),
        vec![0; 24],
        vec![1, 0, 0, 0, 0, 0, 0, 0],
        vec![0; 16],
        vec![255; 8],
        vec![0; 12],
    ]
    .concat();
    assert!(problem(&graph.repeat(10_000)).contains("more than 32"));
    // Thirty deep is allowed.
    let mut deep: Vec<u8> = (0..30).flat_map(|_| header(b"IxMp", 4, 0)).collect();
    deep.extend(header(b"IxF2", 4, 0));
    deep.extend([0; 8 + 30 * 8]);
    assert!(parse(&deep, Root::Any).is_ok());
}

#[test]
fn numbers_that_contradict_each_other_are_refused_by_name() {
    let flat = |d: i32, n: i64, words: u64| [header(b"IxF2", d, n), words.to_le_bytes().to_vec()].concat();
    let pq = |fields: [u64; 3], len: u64| {
        let numbers = fields.into_iter().chain([len]).flat_map(u64::to_le_bytes);
        [header(b"IxPq", 4, 0), numbers.collect()].concat()
    };
    let lists = |count: u64, tail: &[u8]| {
        let mut bytes = header(b"IwFl", 4, 0);
        bytes.extend(count.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(flat(4, 0, 0));
        bytes.extend([0; 9]);
        bytes.extend(b"ilar");
        bytes.extend(count.to_le_bytes());
        bytes.extend(16u64.to_le_bytes());
        bytes.extend(tail);
        bytes
    };
    let sparse = |pairs: &[u64]| {
        let numbers =
            [pairs.len() as u64].into_iter().chain(pairs.iter().copied()).flat_map(u64::to_le_bytes);
        b"sprs".iter().copied().chain(numbers).collect::<Vec<u8>>()
    };
    let mut unknown = header(b"IxF2", 4, 0);
    unknown[33..37].copy_from_slice(&77i32.to_le_bytes());
    let mut untruth = header(b"IxF2", 4, 0);
    untruth[32] = 2;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (flat(-1, 0, 0), "d is -1"),
        (flat(1 << 30, 0, 0), "d is 1073741824"),
        (flat(4, -5, 0), "ntotal is -5"),
        (flat(1 << 20, i64::MAX, 0), "product beyond 64 bits"),
        (flat(4, 1 << 40, 0), "codes has 0 values"),
        (flat(4, 1, 1 << 61), "codes should have"),
        (flat(4, 1, u64::MAX), "beyond 63 bits"),
        (unknown, "metric_type is 77"),
        (untruth, "is_trained is 2"),
        (pq([4, 0, 8], 0), "M is 0"),
        (pq([4, 3, 8], 0), "M is 3"),
        (pq([4, 2, 0], 0), "nbits is 0"),
        (pq([4, 2, 64], 0), "nbits is 64"),
        (pq([1 << 60, 1, 24], 0), "product beyond 64 bits"),
        (pq([8, 2, 8], 0), "centroids has 0 values, not 2048"),
        (pq([4, 2, 8], 1 << 50), "centroids should have"),
        (lists(1 << 40, &sparse(&[])), "would take more than"),
        (lists(1 << 62, b"full"), "the file ends"),
        (lists(2, &sparse(&[0, 1 << 62])), "product beyond 64 bits"),
        (lists(2, &sparse(&[0, u64::MAX, 1, 1])), "more than 64 bits"),
        (lists(2, &sparse(&[0, 1 << 40])), "codes should have"),
        (lists(2, &sparse(&[2, 1])), "list 2 of 2"),
        (lists(2, &sparse(&[2, 1, 3])), "no pairs"),
        (lists(2, b"none"), "expected full or sprs"),
        (header(b"IxHE", 4, 0), "an LSH index of an old version (IxHE) is not supported"),
        (header(b"IxRq", 4, 0), "a residual quantizer (IxRq) is not supported"),
        (header(b"ISVD", 4, 0), "Intel's SVS (ISVD) is not supported"),
        (header(b"what", 4, 0), "\"what\" is not the fourcc of an index"),
        ([header(b"IxMp", 4, 0), b"null".to_vec()].concat(), "index is missing"),
        ([header(b"IxRF", 4, 0), b"null".to_vec()].concat(), "base_index is missing"),
    ];
    for (bytes, expected) in cases {
        let found = problem(&bytes);
        assert!(found.contains(expected), "{found:?} instead of {expected:?}");
    }
}

/// The sample with one field of its record changed, as a file.
fn changed(name: &str, path: &[&str], change: impl FnOnce(&mut Value<'static>)) -> Record<'static> {
    let mut record = parse(&sample(name), Root::Any).unwrap().0;
    let (last, way) = path.split_last().unwrap();
    let mut here = &mut record;
    for name in way {
        here = match &mut here.fields.iter_mut().find(|(key, _)| key == name).unwrap().1 {
            Value::Record(record) => record,
            _ => panic!("{name}"),
        };
    }
    change(&mut here.fields.iter_mut().find(|(key, _)| key == last).unwrap().1);
    record
}

fn number(to: i64) -> impl FnOnce(&mut Value<'static>) {
    move |value| *value = Value::Int(to)
}

fn values(at: usize, to: i64) -> impl FnOnce(&mut Value<'static>) {
    move |value| match value {
        Value::Array(Array::I32(values)) => values.to_mut()[at] = to as i32,
        Value::Array(Array::U64(values)) => values.to_mut()[at] = to as u64,
        other => panic!("{other:?}"),
    }
}

#[test]
fn graphs_that_lead_outside_are_refused() {
    let refused = |record: Record, expected: &str| {
        let error = check(&record, Root::Any).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    };
    let graph = |field, change: fn(&mut Value<'static>)| changed("hnsw", &["hnsw", field], change);
    refused(graph("neighbors", |v| values(3, 18)(v)), "neighbors[3] is 18");
    refused(graph("neighbors", |v| values(3, -2)(v)), "neighbors[3] is -2");
    refused(graph("levels", |v| values(2, 0)(v)), "levels[2] is 0");
    refused(graph("levels", |v| values(2, 1000)(v)), "levels[2] is 1000");
    refused(graph("offsets", |v| values(4, 1)(v)), "offsets[3]");
    refused(graph("offsets", |v| values(0, 8)(v)), "offsets has");
    refused(graph("cum_nneighbor_per_level", |v| values(0, 1)(v)), "begins with 1");
    refused(graph("cum_nneighbor_per_level", |v| values(1, 1 << 30)(v)), "falls from");
    refused(graph("entry_point", |v| number(18)(v)), "entry_point is 18");
    refused(graph("entry_point", |v| number(-1)(v)), "entry_point is -1");
    refused(graph("max_level", |v| number(9)(v)), "max_level is 9");
    refused(graph("max_level", |v| number(-1)(v)), "max_level is -1");
    refused(changed("nsg", &["nsg", "final_graph"], values(0, 104)), "a neighbour is 104");
    refused(changed("nsg", &["nsg", "enterpoint"], number(-1)), "enterpoint is -1");
    refused(changed("nsg", &["nsg", "ntotal"], number(3)), "ntotal is 3");
}

#[test]
fn codes_in_blocks_have_four_bits_and_whole_blocks() {
    let refused = |record: Record, expected: &str| {
        let error = check(&record, Root::Any).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    };
    let mut wide = changed("fastscan", &["pq", "nbits"], number(2));
    if let Some((_, Value::Record(pq))) = wide.fields.iter_mut().find(|(name, _)| name == "pq") {
        let len = pq.int("d").unwrap() as usize * 4;
        pq.fields.iter_mut().find(|(name, _)| name == "centroids").unwrap().1 =
            Value::Array(Array::F32(vec![0.0; len].into()));
    }
    refused(wide, "nbits is 2: codes in blocks have 4");
    refused(changed("fastscan", &["bbs"], number(0)), "bbs is 0");
    refused(changed("fastscan", &["bbs"], number(33)), "bbs is 33");
    refused(changed("fastscan", &["M2"], number(6)), "M2 is 6");
    refused(changed("fastscan", &["ntotal2"], number(0)), "ntotal2 is 0");
    refused(changed("fastscan", &["qbs"], number(-1)), "qbs is -1");
    refused(changed("ivf-fastscan", &["invlists", "block_size"], number(1)), "block_size is 1");
    refused(changed("ivf-fastscan", &["invlists", "n_per_block"], number(0)), "n_per_block is 0");
    refused(changed("ivf-fastscan", &["invlists", "sizes"], values(0, 1)), "values");
    refused(changed("rabitqfs", &["qb"], number(0)), "qb is 0");
    refused(changed("ivf-rabitq4", &["rabitq", "nb_bits"], number(10)), "nb_bits is 10");
    refused(changed("ivf-flat", &["nlist"], number(2)), "3 centroids");
}

#[test]
fn old_forms_become_new_ones_and_are_not_written() {
    let mut record = parse(&sample("ivf-flat"), Root::Any).unwrap().0;
    record.fourcc = Fourcc(*b"IvFl");
    assert!(to_bytes(&record, Root::Any).unwrap_err().to_string().contains("an old form"));
}

#[test]
fn a_file_becomes_a_native_index_or_its_class_is_named() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/faiss");
    let (mut floats, mut bits, mut refused) = (0, 0, Vec::new());
    for (name, bytes) in samples() {
        let (record, _) = parse(&bytes, Root::Any).unwrap();
        match convert::open(&directory.join(&name), &BuildParams { spec: Spec::FLAT, ..Default::default() }) {
            Ok(index) => {
                assert_eq!(Some(index.len() as i64), record.int("ntotal"), "{name}");
                assert_eq!(Some(index.dim() as i64), record.int("d"), "{name}");
                let of_bits = record.fourcc.0.starts_with(b"IB");
                assert_eq!(of_bits, index.metric() == Metric::Hamming, "{name}");
                *if of_bits { &mut bits } else { &mut floats } += 1;
            }
            Err(error) => {
                let told = error.to_string();
                assert!(told.contains("cannot be converted: "), "{name}: {told}");
                refused.push((
                    name,
                    told.contains("blocks of their own"),
                    told.contains("convert the index within"),
                ));
            }
        }
    }
    // Of floats behind bits, of transforms that lose something, of codes that only a scan can read.
    let want = [
        ("b-float", false),
        ("itq", false),
        ("ivf-rabitqfs", true),
        ("rabitqfs", true),
        ("transforms", false),
    ];
    assert_eq!(refused, want.map(|(name, blocks)| (name.to_string(), blocks, !blocks)));
    assert_eq!((floats, bits), (14, 6));
}
