//! Promise: what an archive is to get of a film is queued with its reading, once, whatever way the film came; what cannot be made
//! costs no reading and is not passed over in silence.

use super::daemon::{Daemon, film as picture, serve, state};
use super::dicom_objects::{errors, film, timeless, tool};
use super::run::{Scratch, chexbox, run, stderr, stdout};
use chexbox::store::{Settings, Store};
use std::collections::BTreeMap;
use std::path::Path;

/// Two archives that nobody runs: everything stays in the outbox.
const ARCHIVES: [&str; 4] = [
    "--forward",
    "name=all,to=dicom://ALL@127.0.0.1:1,objects=sr+sc+gsps",
    "--forward",
    "name=reports,to=http://127.0.0.1:1/dicom-web,objects=sr",
];

/// What waits, by destination and kind: of which reading, and the file.
fn queued(state: &Path) -> BTreeMap<(String, String), (String, Vec<u8>)> {
    let (store, _) = Store::open(state, &Settings::default()).unwrap();
    let mut queued = BTreeMap::new();
    for destination in ["all", "reports"] {
        while let Some(forward) = store.outbox_take(destination, 1, 1_000_000).unwrap() {
            let key = (destination.to_owned(), forward.kind);
            let doubled = queued.insert(key, (forward.reading.to_string(), forward.payload));
            assert!(doubled.is_none(), "queued twice");
        }
    }
    assert_eq!(store.outbox_waiting().unwrap(), queued.len() as u64, "something waits for nobody");
    queued
}

#[test]
fn each_archive_is_queued_the_objects_it_wants_as_the_command_line_makes_them() {
    let scratch = Scratch::new("sent-on");
    let bytes = film("Wang^XiaoDong=王^小东".as_bytes(), "ISO_IR 192").bytes();
    let mut command = serve(&state(&scratch), &[&ARCHIVES[..], &["--forward-lang", "zh"]].concat());
    command.env("TZ", "UTC");
    let mut daemon = Daemon::of(command);
    let read = daemon.read("", &bytes).json();
    // The same film again, a film without a study, one that is refused: none of them is for an archive.
    assert_eq!(daemon.read("", &bytes).status, 200);
    assert_eq!(daemon.read("", &picture(3)).status, 201);
    assert_eq!(daemon.read("", &film(b"A^B", "ISO_IR 192").with((0x0008, 0x0060), "CS", "CT").bytes()).status, 422);
    let metrics = daemon.get("/metrics").text();
    for (what, kind, count) in
        [("queued", "sr", 2), ("queued", "sc", 1), ("queued", "gsps", 1), ("unmade", "sr", 0), ("unmade", "gsps", 0)]
    {
        let line = format!("chexbox_objects_{what}_total{{kind=\"{kind}\"}} {count}");
        assert!(metrics.lines().any(|l| l == line), "{line} is not in {metrics}");
    }
    daemon.signal("TERM");
    daemon.ended();

    let queued = queued(&state(&scratch));
    let names: Vec<String> = queued.keys().map(|(destination, kind)| format!("{destination} {kind}")).collect();
    assert_eq!(names, ["all gsps", "all sc", "all sr", "reports sr"]);
    assert!(queued.values().all(|(reading, _)| read["id"] == reading.as_str()));
    assert_eq!(file_of(&queued, "all", "sr"), file_of(&queued, "reports", "sr"));

    let path = scratch.join("a.dcm");
    std::fs::write(&path, &bytes).unwrap();
    let mut by_hand = chexbox(&["read", "--json", "--lang", "zh"]);
    by_hand.env("TZ", "UTC");
    for kind in ["--sr", "--sc", "--gsps"] {
        by_hand.arg(kind).arg(scratch.join("out"));
    }
    assert!(by_hand.arg(&path).output().unwrap().status.success());
    let dciodvfy = tool("dciodvfy", "the judgement of queued objects by dciodvfy");
    for kind in ["sr", "sc", "gsps"] {
        let of_service = scratch.join(&format!("queued.{kind}.dcm"));
        std::fs::write(&of_service, file_of(&queued, "all", kind)).unwrap();
        assert!(timeless(&of_service) == timeless(&scratch.join(&format!("out/a.findings25.{kind}.dcm"))), "{kind}");
        assert_eq!(date_time(&of_service), read["created"].as_str().unwrap()[..19], "{kind} is of another time than its reading");
        if let Some(dciodvfy) = &dciodvfy {
            assert_eq!(errors(dciodvfy, &of_service), Vec::<String>::new(), "{kind}");
        }
    }
}

fn file_of<'a>(queued: &'a BTreeMap<(String, String), (String, Vec<u8>)>, destination: &str, kind: &str) -> &'a [u8] {
    &queued[&(destination.to_owned(), kind.to_owned())].1
}

/// Instance Creation Date and Time, as RFC 3339 begins.
fn date_time(path: &Path) -> String {
    let object = dicom_object::open_file(path).unwrap();
    let text = |tag| object.element(tag).unwrap().to_str().unwrap().into_owned();
    let (d, t) = (text(dicom_core::Tag(0x0008, 0x0012)), text(dicom_core::Tag(0x0008, 0x0013)));
    format!("{}-{}-{}T{}:{}:{}", &d[..4], &d[4..6], &d[6..8], &t[..2], &t[2..4], &t[4..6])
}

#[test]
fn an_object_that_cannot_be_made_costs_no_reading_and_is_audited_and_counted() {
    let scratch = Scratch::new("sent-on-unmade");
    let mut daemon = Daemon::start(&state(&scratch), &ARCHIVES);
    let made = daemon.read("", &film(b"DOE^JANE", "ISO_IR 192").without((0x0020, 0x000D)).bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let metrics = daemon.get("/metrics").text();
    for kind in ["sr", "sc", "gsps"] {
        for line in [format!("queued_total{{kind=\"{kind}\"}} 0"), format!("unmade_total{{kind=\"{kind}\"}} 1")] {
            assert!(metrics.contains(&format!("chexbox_objects_{line}\n")), "{line} is not in {metrics}");
        }
    }
    daemon.signal("TERM");
    daemon.ended();
    assert!(daemon.log().contains("StudyInstanceUID (0020,000D)"), "{}", daemon.log());
    assert!(queued(&state(&scratch)).is_empty());
    let audit = run(&["audit", "list", "--json", "--state", state(&scratch).to_str().unwrap()]);
    let records: Vec<String> = stdout(&audit).lines().filter(|l| l.contains("object_not_made")).map(str::to_owned).collect();
    assert_eq!(records.len(), 3, "{}{}", stdout(&audit), stderr(&audit));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(records.iter().all(|r| r.contains(&id) && r.contains("StudyInstanceUID")), "{records:?}");
}
