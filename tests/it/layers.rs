//! The rules between the parts, checked on the source text.

use std::fs;
use std::path::{Path, PathBuf};

/// What decides about films: it takes values and gives values.
const CORE: [&str; 13] = [
    "lang.rs",
    "limits.rs",
    "threads.rs",
    "radiograph",
    "input.rs",
    "model",
    "findings.rs",
    "grad_cam.rs",
    "report",
    "reading.rs",
    "stats",
    "labels",
    "evaluation",
];

/// Parts that only a verb may bring together.
const SHELLS: [&str; 4] = ["http", "store", "dicom_net", "appliance"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(below: &Path) -> Vec<PathBuf> {
    if below.is_file() {
        return vec![below.to_owned()];
    }
    let Ok(entries) = fs::read_dir(below) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().flat_map(|e| sources(&e.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "rs") && !f.ends_with("tests.rs"));
    files.sort();
    files
}

/// The lines of a file's own code: without comments and without its unit tests (a file tests.rs holds nothing else).
fn code(text: &str) -> Vec<(usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..tests].lines().enumerate();
    lines.filter(|(_, l)| !l.trim_start().starts_with("//")).map(|(i, l)| (i + 1, l)).collect()
}

fn mentions(files: &[PathBuf], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).expect("a source file of the repository is readable");
        for (line, content) in code(&text) {
            for word in words.iter().filter(|w| content.contains(**w)) {
                found.push(format!("{}:{line} names {word}", file.display()));
            }
        }
    }
    found
}

fn all_but(excluded: &[&str]) -> Vec<PathBuf> {
    let excluded: Vec<PathBuf> = excluded.iter().map(|e| src().join(e)).collect();
    sources(&src()).into_iter().filter(|f| !excluded.iter().any(|e| f.starts_with(e))).collect()
}

#[test]
fn the_core_opens_no_socket_file_or_clock() {
    let files: Vec<PathBuf> = CORE.iter().flat_map(|c| sources(&src().join(c))).collect();
    assert!(files.len() > 20, "the core was not found: {} files", files.len());
    let words = [
        "std::fs",
        "std::net",
        "std::time",
        "std::process",
        "File::",
        "Instant::",
        "SystemTime",
        "TcpStream",
        "UdpSocket",
        "env::var",
    ];
    // The choice of instructions is capped by the environment, for tests of all of them on one machine; nothing else is.
    let cap = format!("{}:", src().join("model/kernels/cpu.rs").display());
    let mut found = mentions(&files, &words);
    found.retain(|f| !(f.starts_with(&cap) && f.ends_with("env::var")));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_part_of_the_source_is_core_shell_verb_or_training() {
    let others = ["main.rs", "lib.rs", "cli", "train"];
    let known: Vec<&str> = CORE.iter().chain(&SHELLS).chain(&others).copied().collect();
    let entries = fs::read_dir(src()).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let unknown: Vec<String> = entries.filter(|name| !known.contains(&name.as_str())).collect();
    assert_eq!(unknown, Vec::<String>::new(), "say in this file which rules hold for them");
}

#[test]
fn the_shells_do_not_name_each_other() {
    for shell in SHELLS {
        let others: Vec<String> = SHELLS.iter().filter(|s| **s != shell).map(|s| format!("crate::{s}")).collect();
        let words: Vec<&str> = others.iter().map(String::as_str).collect();
        assert_eq!(mentions(&sources(&src().join(shell)), &words), Vec::<String>::new());
    }
}

#[test]
fn the_core_names_no_shell_and_no_verb() {
    let files: Vec<PathBuf> = CORE.iter().flat_map(|c| sources(&src().join(c))).collect();
    assert_eq!(
        mentions(&files, &["crate::http", "crate::store", "crate::dicom_net", "crate::appliance", "crate::cli"]),
        Vec::<String>::new()
    );
}

#[test]
fn nothing_but_its_verb_names_training() {
    let files = all_but(&["train", "lib.rs", "cli/mod.rs", "cli/train"]);
    assert_eq!(mentions(&files, &["crate::train", "chexbox::train", " tch::", "(tch::", "<tch::"]), Vec::<String>::new());
}

#[test]
fn only_identity_knows_who_the_patient_is() {
    let files = all_but(&["radiograph/identity.rs", "radiograph/identity"]);
    let words = ["PATIENT_NAME", "PATIENT_ID", "PATIENT_BIRTH", "ACCESSION_NUMBER", "OTHER_PATIENT", "PATIENT_ADDRESS"];
    assert_eq!(mentions(&files, &words), Vec::<String>::new());
}

#[test]
fn only_the_routes_and_the_gate_name_a_status() {
    let files = all_but(&["http/route.rs", "http/route", "http/gate"]);
    let words = ["StatusCode", "Answer::json(", "Answer::new(", "Answer::empty(", "Answer::text(", "with_status_code"];
    assert_eq!(mentions(&files, &words), Vec::<String>::new());
}

#[test]
fn unsafe_code_lives_only_in_the_kernels() {
    let files = all_but(&["model/kernels"]);
    assert_eq!(mentions(&files, &["unsafe {", "unsafe fn", "unsafe impl"]), Vec::<String>::new());
    let root = fs::read_to_string(src().join("lib.rs")).unwrap();
    assert!(root.contains("#![deny(unsafe_code)]"));
}

#[test]
fn a_planted_breach_of_a_rule_is_found() {
    let file = std::env::temp_dir().join(format!("chexbox-breach-{}.rs", std::process::id()));
    fs::write(&file, "// std::fs in a comment\nuse std::fs;\n#[cfg(test)]\nmod tests { use std::net; }\n").unwrap();
    let found = mentions(std::slice::from_ref(&file), &["std::fs", "std::net"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(found, [format!("{}:2 names std::fs", file.display())]);
}
