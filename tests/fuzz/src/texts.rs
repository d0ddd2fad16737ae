//! What must hold of files that a user hands over beside films: label files, readings, threshold files, weights. Replayed over the
//! corpora in `corpora` by the tests of the main package and of this one, and over mutations of it by this package's program.

use chexbox::evaluation::{Readings, ThresholdFile};
use chexbox::labels::{AGE_MAX, Faults, LabelSet, Request, UncertainPolicies, read};
use chexbox::model::weights;
use std::path::{Component, Path, PathBuf};

/// A kind of file, and what holds of any bytes that are read as one.
pub struct Target {
    /// Folder of its corpus.
    pub name: &'static str,
    /// Panics where the property does not hold; whether the bytes were accepted.
    pub check: fn(&[u8]) -> bool,
}

/// Every kind.
pub const TARGETS: [Target; 4] = [
    Target { name: "labels", check: labels },
    Target { name: "readings", check: readings },
    Target { name: "thresholds", check: thresholds },
    Target { name: "weights", check: stored_weights },
];

/// Names and bytes of a target's committed corpus, by name.
///
/// # Errors
/// Where a file cannot be read.
pub fn corpus(package: &Path, target: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(package.join("corpora").join(target))? {
        let path: PathBuf = entry?.path();
        files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), std::fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// A label file without a fault names each film once, below the folder, with an age that people reach; every row is a film, left out
/// or a fault; and a second reading agrees with the first.
fn labels(bytes: &[u8]) -> bool {
    let set = LabelSet::parse(include_str!("../../../configs/labels_10.toml")).expect("the shipped label set");
    let uncertain = UncertainPolicies::parse(&["zeros"]).expect("a policy");
    let wanted = Request { uncertain, only: vec!["split=val".parse().expect("a filter")], ..Request::default() };
    let mut accepted = false;
    for request in [&Request::default(), &wanted] {
        let mut faults = Faults::default();
        let Ok(file) = read(bytes, &set, request, &mut faults) else { continue };
        let mut again = Faults::default();
        let second = read(bytes, &set, request, &mut again).expect("the same bytes");
        assert_eq!(file.films, second.films, "two readings of the same bytes differ");
        assert_eq!(file.columns.len(), set.findings.len());
        assert!(file.films.iter().all(|f| f.truths.len() == set.findings.len()));
        let faults = faults.check("labels");
        assert_eq!(faults, again.check("labels"));
        if faults.is_ok() {
            let mut names: Vec<&str> = file.films.iter().map(|f| f.file.as_str()).collect();
            assert!(names.iter().all(|n| Path::new(n).components().all(|c| matches!(c, Component::Normal(_)))), "{names:?}");
            assert!(names.iter().all(|n| !n.is_empty()));
            assert!(file.films.iter().all(|f| f.age.is_none_or(|a| (0.0..=AGE_MAX).contains(&a))));
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "a film stands twice");
            accepted = true;
        }
    }
    accepted
}

/// Readings without a fault are of one model, and every film has a probability in [0, 1] or none for each head, or a reason.
fn readings(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut faults = Faults::default();
    let Ok(found) = Readings::parse(&text, None, &mut faults) else { return false };
    if faults.check("readings").is_err() {
        return false;
    }
    for film in &found.films {
        match &film.outcome {
            Ok(probabilities) => {
                assert_eq!(probabilities.len(), found.heads.len(), "{}", film.file);
                assert!(probabilities.iter().flatten().all(|p| (0.0..=1.0).contains(p)), "{probabilities:?}");
            }
            Err(refused) => assert!(!refused.code.is_empty(), "{}", film.file),
        }
    }
    true
}

/// A threshold file that is accepted holds thresholds that a probability can be compared with, and comes back from its own text.
fn thresholds(bytes: &[u8]) -> bool {
    let Ok(file) = ThresholdFile::parse(&String::from_utf8_lossy(bytes)) else { return false };
    assert!(file.points().all(|(_, threshold)| threshold > 0.0 && threshold < 1.0));
    let text = file.to_text().expect("a file that was read can be written");
    let back = ThresholdFile::parse(&text).expect("a file that was written can be read");
    assert_eq!(back.points().collect::<Vec<_>>(), file.points().collect::<Vec<_>>());
    true
}

/// Stages are lines with something in them, no more than are allowed.
fn stages(bytes: &[u8]) {
    match weights::stages(bytes) {
        Ok(lines) => assert!(lines.iter().all(|l| !l.is_empty()) && lines.iter().map(String::len).sum::<usize>() <= bytes.len()),
        Err(why) => assert!(!why.is_empty() && why.len() < 1_000, "a reason of {} bytes", why.len()),
    }
}

/// Tensors hold as many numbers as their shapes say, and no more in all than the file has bytes; what is refused says why.
fn stored_weights(bytes: &[u8]) -> bool {
    stages(bytes);
    match weights::read(bytes) {
        Ok(tensors) => {
            let numbers: usize = tensors.values().map(|t| t.values().len()).sum();
            assert!(numbers <= bytes.len(), "{numbers} numbers from {} bytes", bytes.len());
            assert!(tensors.values().all(|t| t.shape().iter().product::<usize>() == t.values().len()));
            true
        }
        Err(why) => {
            assert!(!why.is_empty() && why.len() < 1_000, "a reason of {} bytes", why.len());
            false
        }
    }
}
