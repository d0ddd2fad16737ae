//! Promise: a service that must not know its patients keeps pseudonyms alone; who has the patient's id finds the films, and who
//! has everything that the service wrote finds no patient.

use super::daemon::{Daemon, serve, state};
use super::run::{Scratch, run, stderr, stdout};
use super::service::{PLANTED, dicom, planted};
use serde_json::Value;
use std::path::PathBuf;

/// A key in a file of its own.
fn key(scratch: &Scratch, name: &str, bytes: &[u8]) -> String {
    let file = scratch.join(name);
    std::fs::write(&file, bytes).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Every file below these, as text.
fn content(mut paths: Vec<PathBuf>) -> String {
    let mut said = String::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.is_file() {
            said += &String::from_utf8_lossy(&std::fs::read(&path).unwrap());
        }
    }
    said
}

#[test]
fn nothing_of_a_patient_is_in_anything_that_the_service_writes_and_the_id_still_finds_the_film() {
    let scratch = Scratch::new("pseudonyms");
    let (temporary, key) = (scratch.join("tmp"), key(&scratch, "key", &[7; 32]));
    std::fs::create_dir(&temporary).unwrap();
    let mut command = serve(&state(&scratch), &["--deidentify", "--deidentify-key", &key]);
    command.env("RUST_LOG", "trace").env("TMPDIR", &temporary);
    let mut daemon = Daemon::of(command);
    let film = dicom();
    let read = daemon.read("?name=ZQNAME8-ZQGIVEN9.dcm", &film);
    assert_eq!(read.status, 201, "{}", read.text());
    let reading = read.json();
    let pseudonym = reading["patient"]["id"].as_str().unwrap().to_owned();
    assert_eq!(pseudonym.len(), 32, "{reading}");
    assert_eq!((&reading["patient"]["name"], &reading["film"]["name"]), (&Value::Null, &Value::Null));
    let refused = daemon.read("?name=ZQID10.dcm", &planted().with((0x0008, 0x0060), "CS", "CT").bytes());
    let damaged = daemon.read("?name=ZQID10.dcm", &film[..film.len() - 1000]);
    assert_eq!((refused.status, damaged.status), (422, 422), "{} {}", refused.text(), damaged.text());
    let count = |query: &str| daemon.get(&format!("/v1/readings?{query}")).json()["readings"].as_array().unwrap().len();
    assert_eq!((count("patient=ZQID10"), count(&format!("patient={pseudonym}"))), (2, 2));
    assert_eq!((count("patient=ZQID11"), count("patient=ZQACCESSION1"), count("q=ZQNAME8"), count("")), (0, 0, 0, 3));
    let mut said =
        read.text() + &refused.text() + &damaged.text() + &daemon.get("/metrics").text() + &daemon.get("/v1/readings").text();
    for links in ["report", "fhir"] {
        said += &daemon.get(reading["links"][links].as_str().unwrap()).text();
    }
    assert!(said.contains(&pseudonym));
    // As it lies there while the service runs, and after its end.
    said += &content(vec![state(&scratch), temporary.clone()]);
    daemon.signal("TERM");
    daemon.ended();
    said += &content(vec![state(&scratch), temporary]);
    said += &daemon.log();
    let audit = run(&["audit", "list", "--json", "--state", state(&scratch).to_str().unwrap()]);
    assert!(audit.status.success(), "{}", stderr(&audit));
    said += &stdout(&audit);
    for (_, _, planted) in PLANTED {
        for part in planted.split('^') {
            assert!(!said.contains(part), "{part} is there");
        }
    }
}

#[test]
fn a_patient_has_the_same_pseudonym_after_a_restart_and_another_one_at_another_site() {
    let scratch = Scratch::new("pseudonyms-keys");
    let film = dicom();
    let pseudonym = |folder: &str, key: &str| {
        let daemon = Daemon::start(&scratch.join(folder), &["--deidentify", "--deidentify-key", key]);
        let read = daemon.read("", &film).json();
        read["patient"]["id"].as_str().unwrap_or_else(|| panic!("{read}")).to_owned()
    };
    let (one, other) = (key(&scratch, "one", &[1; 32]), key(&scratch, "other", &[2; 16]));
    let first = pseudonym("a", &one);
    assert_eq!(first, pseudonym("a", &one));
    assert_eq!(first, pseudonym("b", &one));
    assert_ne!(first, pseudonym("c", &other));
}

#[test]
fn the_key_may_come_as_a_credential_of_systemd() {
    let scratch = Scratch::new("pseudonyms-credential");
    key(&scratch, "deidentify-key", &[1; 32]);
    let mut command = serve(&state(&scratch), &["--deidentify"]);
    command.env("CREDENTIALS_DIRECTORY", scratch.path());
    let daemon = Daemon::of(command);
    assert_eq!(daemon.read("", &dicom()).json()["patient"]["id"].as_str().map(str::len), Some(32));
}

#[test]
fn without_a_sound_key_or_beside_what_keeps_patients_it_does_not_start() {
    let scratch = Scratch::new("pseudonyms-refused");
    let (good, short) = (key(&scratch, "good", &[1; 16]), key(&scratch, "short", &[1; 15]));
    for (args, named) in [
        (&["--deidentify"][..], "deidentify-key"),
        (&["--deidentify", "--deidentify-key", &short], "at least 16"),
        (&["--deidentify", "--deidentify-key", "/nowhere"], "head -c 32"),
        (&["--deidentify-key", &good], "without deidentify"),
        (&["--deidentify", "--deidentify-key", &good, "--keep-images"], "keep-images"),
        (&["--deidentify", "--deidentify-key", &good, "--forward", "name=a,to=dicom://A@127.0.0.1:1"], "forward"),
    ] {
        for check in [&["--check"][..], &[]] {
            let mut command = serve(&state(&scratch), &[args, check].concat());
            let output = command.env_remove("CREDENTIALS_DIRECTORY").output().unwrap();
            assert!(!output.status.success() && stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn a_store_that_knows_patients_is_not_gone_on_with() {
    let scratch = Scratch::new("pseudonyms-store");
    let key = key(&scratch, "key", &[1; 32]);
    let id = {
        let daemon = Daemon::start(&state(&scratch), &[]);
        daemon.read("", &dicom()).json()["id"].as_str().unwrap().to_owned()
    };
    let mut command = serve(&state(&scratch), &["--deidentify", "--deidentify-key", &key]);
    let output = command.output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("1 reading(s)"), "{}", stderr(&output));
    {
        let daemon = Daemon::start(&state(&scratch), &[]);
        assert_eq!(daemon.ask("DELETE", &format!("/v1/readings/{id}"), &[], b"").status, 204);
    }
    let daemon = Daemon::start(&state(&scratch), &["--deidentify", "--deidentify-key", &key]);
    assert_eq!(daemon.read("", &dicom()).status, 201);
}
