//! Whatever is wrong with the input: one line that names the value, the right status, and no file.

use crate::support::{Place, fvecs, npy_ids, numbers};

/// A place with every kind of broken file.
fn place() -> Place {
    let place = Place::new();
    place.write("empty.npy", b"");
    place.write("empty.fvecs", b"");
    place.write("empty.steep", b"");
    place.write("none.fbin", &[0, 0, 0, 0, 8, 0, 0, 0]);
    place.write("text.npy", b"these are not vectors");
    place.write("vectors.txt", b"1 2 3");
    place.write("wide.fvecs", &fvecs(&numbers(20 * 9, 3), 9));
    let mut values = numbers(20 * 8, 3);
    values[5 * 8 + 2] = f32::NAN;
    place.write("nan.fvecs", &fvecs(&values, 8));
    values[5 * 8..6 * 8].fill(0.0);
    place.write("zero.fvecs", &fvecs(&values, 8));
    place.write("short.fvecs", &place.read("base.fvecs")[..1000]);
    place.write("few.npy", &npy_ids(&[1, 2, 3]));
    place.write("negative.npy", &npy_ids(&(-1..299).collect::<Vec<_>>()));
    place.write(
        "below.npy",
        &npy_ids(&(0..300).map(|row| if row == 2 { -5 } else { row }).collect::<Vec<_>>()),
    );
    place.write("twice.npy", &npy_ids(&(0..300).map(|row| row % 299).collect::<Vec<_>>()));
    let index = place.read("docs.steep");
    place.write("cut.steep", &index[..index.len() - 100]);
    let mut flipped = index;
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    place.write("flipped.steep", &flipped);
    place.steep("groundtruth base.fvecs queries.fvecs -k 5 -o truth5.ivecs").good();
    place.steep("groundtruth base.fvecs base.fvecs -k 10 -o truth300.ivecs").good();
    place
}

/// Arguments, exit status, and what the message must name.
const TABLE: &[(&str, i32, &str)] = &[
    // commands that make no sense
    ("", 2, "Usage"),
    ("serve docs.steep", 2, "serve"),
    ("search docs.steep", 2, "QUERIES"),
    ("search docs.steep queries.fvecs -k 0", 2, "'0'"),
    ("search docs.steep queries.fvecs -k -3", 2, "-3"),
    ("search docs.steep queries.fvecs -k ten", 2, "'ten'"),
    ("search docs.steep queries.fvecs --threads 0", 2, "'0'"),
    ("eval docs.steep queries.fvecs --threads 1,0", 2, "'0'"),
    ("bench base.fvecs queries.fvecs --threads some", 2, "'some'"),
    ("build base.fvecs", 2, "--output"),
    ("build base.fvecs -o x.steep --metric l3", 2, "'l3'"),
    ("build base.fvecs -o x.steep --spec hnsw32", 2, "hnsw32"),
    ("build base.fvecs -o x.steep --spec graph33", 2, "a multiple of 32"),
    ("search docs.steep queries.fvecs --ef-search 0", 2, "'0'"),
    ("eval docs.steep queries.fvecs --ef-search 10,x", 2, "'x'"),
    ("bench base.fvecs queries.fvecs --rerank -1", 2, "-1"),
    ("bench base.fvecs queries.fvecs -s flat --ef-search 10,20", 2, "spec \"flat\" has no such knob"),
    ("bench base.fvecs queries.fvecs -s flat-raw --rerank 50", 2, "rerank = 50: an index of spec"),
    ("build base.fvecs -o queries.fvecs", 2, "queries.fvecs"),
    ("build vectors.txt -o x.steep", 2, "vectors.txt"),
    ("build . -o x.steep", 2, "path = ."),
    ("search docs.steep queries.fvecs -o found.fvecs", 2, "found.fvecs"),
    ("search docs.steep queries.fvecs -d found.ivecs", 2, "found.ivecs"),
    ("search docs.steep queries.fvecs -k 70000 -d x.fvecs", 2, "70000"),
    ("groundtruth base.fvecs queries.fvecs -o truth.txt", 2, "truth.txt"),
    ("info", 2, "INDEX"),
    ("info --cpu --verify", 2, "INDEX"),
    // files that cannot be used
    ("build missing.npy -o x.steep", 1, "missing.npy"),
    ("build empty.npy -o x.steep", 1, "empty.npy"),
    ("build empty.fvecs -o x.steep", 1, "empty.fvecs"),
    ("build none.fbin -o x.steep", 1, "none.fbin holds no vectors"),
    ("build text.npy -o x.steep", 1, "text.npy"),
    ("build short.fvecs -o x.steep", 1, "row 27"),
    ("build truth5.ivecs -o x.steep", 1, "ids, not vectors"),
    ("build nan.fvecs -o x.steep", 1, "row 5 holds NaN at column 2"),
    ("build zero.fvecs -o x.steep -m cosine", 1, "row 5 is all zeros"),
    ("build base.fvecs -o missing/x.steep", 1, "missing/x.steep"),
    ("build base.fvecs -o .", 1, "write ."),
    ("build base.fvecs -o x.steep --ids few.npy", 1, "3 ids for 300 vectors"),
    ("build base.fvecs -o x.steep --ids negative.npy", 1, "id -1 (row 0)"),
    ("build base.fvecs -o x.steep --ids below.npy", 1, "row 2 holds id -5"),
    ("build base.fvecs -o x.steep --ids twice.npy", 1, "id 0 (row 299)"),
    ("build base.fvecs -o x.steep --ids base.fvecs", 1, "vectors, not ids"),
    ("search missing.steep queries.fvecs", 1, "missing.steep"),
    ("search base.fvecs queries.fvecs", 1, "base.fvecs"),
    ("search empty.steep queries.fvecs", 1, "empty.steep"),
    ("search cut.steep queries.fvecs", 1, "cut.steep"),
    ("search . queries.fvecs", 1, "."),
    ("search docs.steep wide.fvecs", 1, "queries have 9 dimensions, the index has 8"),
    ("search docs.steep nan.fvecs", 1, "row 5 holds NaN"),
    ("search docs.steep zero.fvecs", 1, "row 5 is all zeros"),
    ("search docs.steep queries.fvecs -k 1000000000000000000", 1, "memory"),
    ("search docs.steep queries.fvecs -o missing/ids.npy", 1, "missing/ids.npy"),
    ("groundtruth base.fvecs wide.fvecs -o truth.ivecs", 1, "9 dimensions"),
    ("eval docs.steep queries.fvecs --truth truth5.ivecs", 1, "truth5.ivecs has 5 neighbours"),
    ("eval docs.steep queries.fvecs --truth truth300.ivecs", 1, "300 rows for 20 queries"),
    ("eval docs.steep queries.fvecs --truth base.fvecs", 1, "vectors, not ids"),
    ("bench base.fvecs wide.fvecs", 1, "9 dimensions"),
    ("info flipped.steep --verify", 1, "flipped.steep"),
];

#[test]
fn whatever_is_wrong_is_named() {
    let place = place();
    let before = place.files();
    for (arguments, code, named) in TABLE {
        let text = place.steep(arguments);
        assert_eq!(text.code, Some(*code), "{arguments}: {}", text.err);
        assert!(text.err.contains(named), "{arguments}: {}", text.err);
        assert_eq!(text.out, "", "{arguments}");
        if *code == 1 {
            assert!(
                text.err.starts_with("error: ") && text.err.lines().count() == 1,
                "{arguments}: {}",
                text.err
            );
        }
        assert_eq!(place.files(), before, "{arguments}");
    }
}

#[test]
fn with_json_the_error_is_json_too() {
    let place = place();
    for (arguments, code, named) in TABLE.iter().filter(|(arguments, ..)| !arguments.is_empty()) {
        let ended = place.steep(&format!("{arguments} --json"));
        assert_eq!((ended.code, ended.err.as_str()), (Some(*code), ""), "{arguments}");
        let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let error = json["error"].as_str().unwrap_or_default();
        assert!(error.contains(named) && !error.contains('\n'), "{arguments}: {}", ended.out);
        assert_eq!(json.as_object().map(|fields| fields.len()), Some(1));
    }
}

#[test]
fn more_threads_than_cores_are_all_of_them() {
    let place = Place::new();
    place.steep("search docs.steep queries.fvecs --threads 100000").good();
}
