//! Promise: label files, readings, threshold files and weights from anywhere are read as what they are or refused with a sentence.

#[path = "../fuzz/src/texts.rs"]
mod texts;

use std::path::Path;

#[test]
fn every_file_of_the_corpus_keeps_its_property_and_those_with_faults_are_refused() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for target in texts::TARGETS {
        let files = texts::corpus(&package, target.name).unwrap();
        assert!(files.len() >= 2, "{}", target.name);
        for (name, bytes) in files {
            let faulty = name.starts_with("faults") || name.starts_with("beyond");
            assert_eq!((target.check)(&bytes), !faulty, "{} {name}", target.name);
            // A file that was cut off anywhere keeps the property too.
            for end in (0..bytes.len()).step_by(bytes.len().div_ceil(100)) {
                (target.check)(&bytes[..end]);
            }
        }
    }
}
