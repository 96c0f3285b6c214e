//! Can any bytes make the reader of Faiss's files do anything but return a record or a typed error?
#![no_main]

use libfuzzer_sys::fuzz_target;
use steep::faiss::file::{Root, describe, parse, to_bytes};

fuzz_target!(|input: &[u8]| {
    for root in [Root::Any, Root::ProductQuantizer] {
        let Ok((record, used)) = parse(input, root) else { continue };
        assert!(used <= input.len() as u64);
        assert!(!describe(&record).is_empty());
        // What is read can be written, and is then read as the same.
        let bytes = to_bytes(&record, root).expect("a record that was read");
        let (again, _) = parse(&bytes, root).expect("what was just written");
        assert_eq!(to_bytes(&again, root).expect("a record that was read"), bytes);
    }
});
