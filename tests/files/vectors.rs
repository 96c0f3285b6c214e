//! Vector files.

use std::fs;

use steep::formats::{Format, parse_ids, parse_vectors, read_ids, read_vectors, write_ids, write_vectors};
use steep::{Dtype, Error, Vectors};

use super::{problem, refused};

/// Bytes of `rows` rows of `dim` values: every bit pattern is a value to a file.
fn bytes(rows: usize, dim: usize, dtype: Dtype) -> Vec<u64> {
    (0..(rows * dim * dtype.size()).div_ceil(8) as u64)
        .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect()
}

/// The content of a file of 7 × 3 vectors.
fn file(format: Format, dtype: Dtype) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("x{format}"));
    let values = bytes(7, 3, dtype);
    let vectors = &bytemuck::cast_slice(&values)[..21 * dtype.size()];
    write_vectors(&path, Vectors::from_bytes(vectors, dtype, 3).unwrap()).unwrap();
    fs::read(path).unwrap()
}

/// Every format with every type that it holds.
fn pairs() -> impl Iterator<Item = (Format, Dtype)> {
    let all = Format::ALL.into_iter().flat_map(|format| Dtype::NUMBERS.map(|dtype| (format, dtype)));
    all.filter(|(format, dtype)| format.holds(*dtype))
}

/// An .npy file of version 1 with `header` and `data` bytes of 0.
fn npy(header: &str, data: usize) -> Vec<u8> {
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn vectors_of_every_type_come_back_from_every_format_mapped_or_read() {
    let dir = tempfile::tempdir().unwrap();
    for (format, dtype) in pairs() {
        for (rows, dim) in [(1, 1), (5, 3), (700, 1000), (2, 65_536), (0, 7)] {
            let path = dir.path().join(format!("x{format}").to_uppercase());
            let values = bytes(rows, dim, dtype);
            let values = &bytemuck::cast_slice(&values)[..rows * dim * dtype.size()];
            let written = write_vectors(&path, Vectors::from_bytes(values, dtype, dim).unwrap());
            let apart = matches!(format, Format::Fvecs | Format::Bvecs);
            if rows == 0 && apart {
                assert!(matches!(written, Err(Error::Argument { name: "vectors", .. })));
                continue;
            }
            written.unwrap();
            for mmap in [false, true] {
                let read = read_vectors(&path, mmap).unwrap();
                let vectors = read.vectors();
                assert_eq!((vectors.len(), vectors.dim(), vectors.dtype()), (rows, dim, dtype));
                assert!(vectors.bytes() == values, "{format} {dtype}");
                assert_eq!(read.is_mapped(), mmap && !apart);
                assert!(read.into_buffer().bytes() == values);
            }
        }
    }
}

#[test]
fn ids_come_back_from_every_format() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<i64> = (0..300).map(|i| i * 7_000_000 - 1).chain([i64::from(i32::MAX); 100]).collect();
    for extension in ["npy", "ivecs", "ibin"] {
        let path = dir.path().join(format!("ids.{extension}"));
        write_ids(&path, &ids, 100).unwrap();
        assert_eq!(read_ids(&path).unwrap(), (ids.clone(), 100));
        assert!(matches!(write_ids(&path, &ids, 7), Err(Error::Shape { len: 400, dim: 7 })));
        assert!(matches!(write_ids(&path, &ids, 0), Err(Error::Shape { .. })));
    }
    assert!(matches!(write_ids(dir.path().join("ids.fvecs"), &ids, 100), Err(Error::Argument { .. })));
}

#[test]
fn ids_of_64_bits_come_back_from_npy_and_are_refused_by_what_has_32_for_one() {
    let dir = tempfile::tempdir().unwrap();
    for large in [1_u64 << 31, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX - 1] {
        let ids = [5, -1, 0, large as i64, 7, -1];
        let path = dir.path().join("ids.npy");
        write_ids(&path, &ids, 2).unwrap();
        assert_eq!(read_ids(&path).unwrap(), (ids.to_vec(), 2));
        let unsigned = large > i64::MAX as u64;
        let header = if unsigned { "'descr': '<u8'" } else { "'descr': '<i8'" };
        assert!(String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(header), "{large}");
        for extension in ["ivecs", "ibin"] {
            let path = dir.path().join(format!("ids.{extension}"));
            let written = write_ids(&path, &ids, 2);
            assert!(matches!(written, Err(Error::WideId { id, row: 1, .. }) if id == large), "{written:?}");
            let text = written.unwrap_err().to_string();
            assert!(
                text.contains(&format!("row 1 holds id {large}, beyond the 32 bits"))
                    && text.contains(extension)
                    && text.ends_with("write a .npy file"),
                "{text}"
            );
            assert!(!path.exists());
        }
    }
}

#[test]
fn the_distances_of_a_big_ann_ground_truth_are_passed_over() {
    let ids = [1_i32, 2, 3, 4, 5, 6];
    let wide = ids.map(i64::from).to_vec();
    let file = [&2_u32.to_le_bytes(), &3_u32.to_le_bytes(), bytemuck::bytes_of(&ids), &[0xff; 24]].concat();
    assert_eq!(parse_ids(&file, Format::Ibin).unwrap(), (wide, 3));
    for len in 0..file.len() {
        if len != 32 {
            problem(parse_ids(&file[..len], Format::Ibin), len);
        }
    }
}

#[test]
fn every_integer_type_of_npy_and_every_shape_of_it_holds_ids() {
    let cases = [
        ("<i4", 4, vec![0, -1, 7, 2_147_483_647]),
        ("<u4", 4, vec![0, 1, 7, 4_294_967_295]),
        ("<i8", 8, vec![0, -1, 7, i64::MAX]),
        ("<u8", 8, vec![0, -1, 7, i64::MIN]), // 2⁶⁴ − 1 is none, 2⁶³ has these bits
    ];
    for (descr, size, ids) in cases {
        for (shape, k) in [("(4,)", 1), ("(4, 1)", 1), ("(2, 2)", 2), ("(1, 4)", 4)] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            let mut file = npy(&text, 0);
            ids.iter().for_each(|id| file.extend(&id.to_le_bytes()[..size]));
            assert_eq!(parse_ids(&file, Format::Npy).unwrap(), (ids.clone(), k), "{descr} {shape}");
            problem(parse_ids(&file[..file.len() - 1], Format::Npy), shape);
        }
    }
    let text = |shape: &str| format!("{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}");
    for shape in ["()", "(1, 2, 2)", "4", "(,)", "(-4,)"] {
        let refusal = format!("an array of shape {shape}: save one of shape (n, d)");
        refused(parse_ids(&npy(&text(shape), 32), Format::Npy), &refusal);
    }
    assert_eq!(parse_ids(&npy(&text("(0,)"), 0), Format::Npy).unwrap(), (vec![], 1));
}

#[test]
fn a_number_below_minus_one_is_no_id() {
    let words: Vec<u8> = [2_i32, 4, 5, 2, 6, -3].iter().flat_map(|word| word.to_le_bytes()).collect();
    let refusal = "row 1 holds id -3: ids are 0 or more, and -1 stands for none";
    refused(parse_ids(&words, Format::Ivecs), &format!("{refusal} (at byte 20)"));
    let words: Vec<u8> = [2_i32, 2, 4, 5, 6, -3].iter().flat_map(|word| word.to_le_bytes()).collect();
    refused(parse_ids(&words, Format::Ibin), &format!("{refusal} (at byte 20)"));
    let mut file = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", 16);
    let len = file.len();
    file[len - 8..].copy_from_slice(&(-3_i64).to_le_bytes());
    refused(parse_ids(&file, Format::Npy), &format!("{refusal} (at byte {})", len - 8));
}

#[test]
fn a_file_cut_short_is_refused() {
    for (format, dtype) in pairs() {
        let whole = file(format, dtype);
        for len in 0..whole.len() {
            let row = 4 + 3 * dtype.size();
            match parse_vectors(&whole[..len], format) {
                // Nothing in these states the number of rows.
                Ok(read) if matches!(format, Format::Fvecs | Format::Bvecs) && len.is_multiple_of(row) => {
                    assert_eq!(read.vectors().len(), len / row);
                }
                other => drop(problem(other, (format, len))),
            }
        }
        problem(parse_vectors(&[&whole[..], &[0]].concat(), format), (format, "longer"));
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_refused_or_harmless() {
    for (format, dtype) in pairs() {
        let whole = file(format, dtype);
        let header = match format {
            Format::Npy => 0..128,
            Format::Fvecs | Format::Bvecs => 0..4,
            _ => 0..8,
        };
        for bit in 8 * header.start..8 * header.end {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match parse_vectors(&damaged, format) {
                Ok(read) if format == Format::Npy => {
                    assert_eq!(read.vectors().bytes().len(), 21 * dtype.size())
                }
                other => drop(problem(other, (format, bit))),
            }
            for other in Format::ALL {
                let _ = (parse_vectors(&damaged, other), parse_ids(&damaged, other));
            }
        }
    }
}

#[test]
fn a_row_of_another_length_is_named_with_its_byte() {
    let row = |d: i32| [&d.to_le_bytes()[..], &[1; 4 * 128]].concat();
    let mut file = row(128).repeat(30);
    file[17 * 516] = 96;
    refused(parse_vectors(&file, Format::Fvecs), "row 17 says 96 dimensions, row 0 says 128 (at byte 8772)");
    refused(parse_ids(&file, Format::Ivecs), "row 17 says 96 ids, row 0 says 128 (at byte 8772)");
    let short = &row(128).repeat(2)[..1000];
    refused(
        parse_vectors(short, Format::Fvecs),
        "row 1 has 484 of its 516 bytes: the file was cut short (at byte 516)",
    );
}

#[test]
fn a_header_is_not_believed() {
    let words = |words: &[u32]| bytemuck::cast_slice::<_, u8>(words).to_vec();
    let cases = [
        (Format::Fvecs, words(&[0, 1]), "0 dimensions: 1 to 65536 are possible (at byte 0)"),
        (Format::Fvecs, words(&[u32::MAX, 1]), "-1 dimensions"),
        (Format::Fvecs, words(&[65_537]), "65537 dimensions"),
        (Format::Fvecs, words(&[65_536]), "row 0 has 4 of its 262148 bytes"),
        (Format::Fvecs, vec![1, 0, 0], "3 bytes: a row begins with 4"),
        (Format::Bvecs, vec![], "0 bytes: a row begins with 4"),
        (Format::Fbin, words(&[1]), "4 bytes: the first 8 state rows and dimensions"),
        (Format::Fbin, words(&[1, 0]), "0 dimensions: 1 to 65536 are possible (at byte 4)"),
        (Format::Fbin, words(&[u32::MAX, u32::MAX]), "4294967295 dimensions"),
        (Format::Fbin, words(&[u32::MAX, 65_536]), "make a file of 1125899906580488 bytes, this one has 8"),
        (
            Format::Fbin,
            words(&[2, 1, 0]),
            "2 rows of 1 dimensions make a file of 16 bytes, this one has 12 (at byte 12)",
        ),
        (Format::Fbin, words(&[1, 1, 0, 0]), "make a file of 12 bytes, this one has 16 (at byte 12)"),
        (Format::Ivecs, words(&[1, 1]), ".ivecs files hold ids, not vectors"),
        (Format::Ibin, words(&[1, 1, 1]), ".ibin files hold ids, not vectors"),
    ];
    for (format, bytes, expected) in cases {
        refused(parse_vectors(&bytes, format), expected);
    }
    refused(parse_ids(&words(&[u32::MAX, 0x7fff_ffff]), Format::Ibin), "this one has 8");
    refused(parse_ids(&words(&[0x7fff_ffff]), Format::Ivecs), "row 0 has 4 of its 8589934592 bytes");
    refused(parse_ids(&words(&[1, 1, 0]), Format::Fbin), ".fbin files hold vectors, not ids");
}

#[test]
fn what_numpy_writes_is_read() {
    let header = |descr| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}\n");
    let dtypes = [("<f4", Dtype::F32), ("<f2", Dtype::F16), ("|i1", Dtype::I8), ("|u1", Dtype::U8)];
    let brain = ["<V2", "|V2", "bfloat16"].map(|descr| (descr, Dtype::Bf16));
    for (descr, dtype) in dtypes.into_iter().chain(brain) {
        let read = parse_vectors(&npy(&header(descr), 6 * dtype.size()), Format::Npy).unwrap();
        assert_eq!((read.vectors().len(), read.vectors().dim(), read.vectors().dtype()), (2, 3, dtype));
    }
    // Other orders, quotes and spaces are the same dictionary; Python 2 wrote 2L.
    for text in
        ["{\"shape\":(2L,3L),\"descr\":\"|u1\",\"fortran_order\":False}", &header("|u1").replace("3)", "3,)")]
    {
        assert!(parse_vectors(&npy(text, 6), Format::Npy).is_ok(), "{text}");
    }
    // Versions 2 and 3 count the header in four bytes.
    for version in [2, 3] {
        let text = header("|u1");
        let len = (text.len() as u32).to_le_bytes();
        let file = [b"\x93NUMPY", &[version, 0][..], &len, text.as_bytes(), &[0; 6]].concat();
        assert!(parse_vectors(&file, Format::Npy).is_ok(), "version {version}");
    }
}

#[test]
fn an_npy_file_of_anything_else_is_refused_with_the_fix() {
    let header = |descr: &str, order: &str, shape: &str| {
        npy(&format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"), 24)
    };
    let cases = [
        (
            header("'<f8'", "False", "(1, 3)"),
            "values of type '<f8' are not vectors: save x.astype(numpy.float32)",
        ),
        (header("'<i8'", "False", "(1, 3)"), "values of type '<i8' are not vectors"),
        (header("'|O'", "False", "(1, 3)"), "values of type '|O' are not vectors"),
        (header("'>f4'", "False", "(2, 3)"), "big-endian values ('>f4'): save x.astype('<f4')"),
        (header("[('a', '<f4'), ('b', '<f4')]", "False", "(1, 3)"), "records of several fields"),
        (header("'<f4'", "True", "(2, 3)"), "Fortran order): save numpy.ascontiguousarray(x)"),
        (header("'<f4'", "Maybe", "(2, 3)"), "'fortran_order' is Maybe"),
        (header("'<f4'", "False", "(6,)"), "an array of shape (6,): save one of shape (n, d)"),
        (header("'<f4'", "False", "()"), "an array of shape ()"),
        (header("'<f4'", "False", "(1, 2, 3)"), "an array of shape (1, 2, 3)"),
        (header("'<f4'", "False", "(-2, -3)"), "an array of shape (-2, -3)"),
        (header("'<f4'", "False", "(6, 0)"), "0 dimensions: 1 to 65536 are possible"),
        (
            header("'<f4'", "False", "(3, 3)"),
            "3 rows of 3 dimensions make a file of 106 bytes, this one has 94",
        ),
        (header("'<f4'", "False", "(18446744073709551615, 65536)"), "this one has"),
        (
            header("'<f4'", "False", "(99999999999999999999, 3)"),
            "an array of shape (99999999999999999999, 3)",
        ),
        (npy("{'descr': '<f4', 'shape': (2, 3)}", 24), "the header is not a dictionary of"),
        (npy("{'descr': '<f4', 'shape': (2, 3), 'fortran_order': False, 'more': 1}", 24), "not a dictionary"),
        (npy("__import__('os')", 24), "not a dictionary"),
        (b"\x93NUMPY\x01\0\x04\0{\xff\xff}".to_vec(), "the header is not text"),
        (b"\x93NUMPY\x01\0\xff\xff{".to_vec(), "not an .npy file"),
        (b"\x93NUMPY\x01\0\xff\xff{}}}".to_vec(), "a header of 65535 bytes in a file of 14"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff".to_vec(), "a header of 4294967295 bytes in a file of 12"),
        (b"\x93NUMPY\x09\0\x01\0{}".to_vec(), "version 9 of .npy: 1, 2 and 3 are known"),
        (b"PK\x03\x04 and more of it".to_vec(), "not an .npy file"),
    ];
    for (bytes, expected) in cases {
        refused(parse_vectors(&bytes, Format::Npy), expected);
    }
    refused(parse_ids(&header("'<f4'", "False", "(2, 3)"), Format::Npy), "values of type '<f4' are not ids");
}

#[test]
fn values_out_of_alignment_are_read_where_they_cannot_be_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let mut file = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", 8);
    assert!(!(file.len() - 8).is_multiple_of(4), "the case needs values out of alignment");
    file[67..71].copy_from_slice(&1.5_f32.to_le_bytes());
    fs::write(&path, file).unwrap();
    let read = read_vectors(&path, true).unwrap();
    assert!(!read.is_mapped());
    assert_eq!(read.vectors().as_slice::<f32>().unwrap(), [1.5, 0.0]);
}

#[test]
fn a_name_or_type_that_does_not_fit_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let x = Vectors::new(&[1.0_f32, 2.0], 2).unwrap();
    for name in ["x", "x.h5", "x.bvecs", "x.u8bin", "x.i8bin", "x.ivecs", "x.ibin", "npy"] {
        let path = dir.path().join(name);
        assert!(matches!(write_vectors(&path, x), Err(Error::Argument { name: "path", .. })), "{name}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let error = read_vectors("x.parquet", true).unwrap_err().to_string();
    assert!(error.starts_with("path = x.parquet: expected a name ending in .npy, .fvecs"), "{error}");
    assert!(matches!(
        read_vectors(dir.path().join("missing.npy"), true),
        Err(Error::Io { action: "open", .. })
    ));
}
