//! The power fails at every place: of each file there is left what was synced, and of the rest whatever happened to reach
//! the disk. A child's writes and syncs are logged in order, and the files are made anew as a power cut would leave them.

use super::run::Scratch;
use super::store_child::{command, said};
use super::store_crash::{Told, faults};
use std::collections::BTreeMap;
use std::path::Path;

/// One call of the child.
struct Call {
    what: u8,
    file: String,
    at: usize,
    bytes: Vec<u8>,
}

fn number(log: &mut &[u8]) -> usize {
    let (bytes, rest) = log.split_first_chunk::<8>().expect("a whole entry");
    *log = rest;
    usize::try_from(u64::from_ne_bytes(*bytes)).unwrap()
}

/// The log that `faults.c` writes.
fn calls(mut log: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    while let [what, length, rest @ ..] = log {
        let (name, rest) = rest.split_at(usize::from(*length));
        log = rest;
        let at = number(&mut log);
        let size = number(&mut log);
        let takes = if matches!(what, b'W' | b'A') { size } else { 0 };
        let (bytes, rest) = log.split_at(takes);
        log = rest;
        calls.push(Call { what: *what, file: String::from_utf8(name.to_vec()).unwrap(), at, bytes: bytes.to_vec() });
    }
    calls
}

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn apply(files: &mut Files, call: &Call) {
    let file = files.entry(call.file.clone()).or_default();
    match call.what {
        b'W' => {
            let end = call.at + call.bytes.len();
            file.resize(file.len().max(end), 0);
            file[call.at..end].copy_from_slice(&call.bytes);
        }
        b'T' => file.resize(call.at, 0),
        _ => drop(files.remove(&call.file)),
    }
}

/// What is left on the disk after these calls. `reached` says of each call that was not synced whether it did by itself.
fn left(calls: &[Call], reached: impl Fn(usize) -> bool) -> Files {
    let synced = |file: &str| calls.iter().rposition(|c| c.what == b'S' && c.file == file).unwrap_or(0);
    // A removal is durable when its folder is synced, which has no name here.
    let by = |call: &Call| if call.what == b'U' { synced("") } else { synced(&call.file) };
    let mut files = Files::new();
    for (i, call) in calls.iter().enumerate() {
        if matches!(call.what, b'W' | b'T' | b'U') && (i < by(call) || reached(i)) {
            apply(&mut files, call);
        }
    }
    files
}

fn check(dir: &Path, files: &Files, calls: &[Call]) {
    std::fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    let spoken: Vec<u8> = calls.iter().filter(|c| c.what == b'A').flat_map(|c| c.bytes.clone()).collect();
    let lines: Vec<String> =
        String::from_utf8(spoken).unwrap().lines().filter_map(|l| l.strip_prefix(':')).map(str::to_owned).collect();
    let mut told = Told::default();
    told.hear(&lines);
    told.check(dir);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The child's calls, from opening a new store to closing it.
fn recorded(scratch: &Scratch) -> Vec<Call> {
    let (dir, log) = (scratch.join("store"), scratch.join("log"));
    std::fs::create_dir_all(&dir).unwrap();
    let mut child = command("three", &dir, 0);
    child.env("LD_PRELOAD", faults()).env("FAULT_DIR", &dir).env("FAULT_LOG", &log);
    let lines = said(child.spawn().unwrap());
    assert_eq!(lines.last().map(String::as_str), Some("closed"));
    let calls = calls(&std::fs::read(log).unwrap());
    let count = |what: u8| calls.iter().filter(|c| c.what == what).count();
    assert!(count(b'W') > 20 && count(b'S') > 5 && count(b'A') > 5, "the log lacks calls");
    calls
}

#[test]
fn a_power_cut_at_any_place_leaves_every_acknowledged_reading() {
    let scratch = Scratch::new("power");
    let calls = recorded(&scratch);
    let dir = scratch.join("left");
    // Two writes in a row differ little: of those every fourth is enough.
    let places = (1..=calls.len()).filter(|cut| cut % 4 == 0 || calls[cut - 1].what != b'W');
    for cut in places {
        let before = &calls[..cut];
        check(&dir, &left(before, |_| false), before);
        // Whatever was not synced may have reached the disk in any order, in part.
        for coin in 0..2 {
            let toss = |i: usize| (i * 0x9E37_79B9 + cut * 0x85EB_CA6B + coin * 0xC2B2_AE35) >> 7 & 1 == 0;
            check(&dir, &left(before, toss), before);
        }
    }
}
