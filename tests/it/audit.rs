//! Nobody changes what happened without being found.

use super::run::{Scratch, run, stderr, stdout};
use super::stored::{NOW, filled, id, of_patient, open, reading, someone};
use chexbox::limits::AUDIT_CUT_RECORDS;
use chexbox::store::{Digest, Event, Head, HeadCheck, Kind, NewReading, Settings, Store, verify_audit};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

const DAY: i64 = 86_400_000;

/// Records in the store that is tampered with.
const RECORDS: i64 = 8;

/// A closed store with six readings, a deletion and an event.
fn closed(dir: &Path) -> Head {
    let store = filled(dir, 6);
    store.delete(&id(1), &someone(NOW)).unwrap();
    store.audit(&Event::new(Kind::Stopped), &someone(NOW)).unwrap();
    store.head().unwrap()
}

/// A copy of the store, changed by some SQL.
fn changed(scratch: &Scratch, name: &str, sql: &str) -> PathBuf {
    let copy = scratch.join(name);
    std::fs::create_dir_all(&copy).unwrap();
    for file in ["chexbox.db", "audit.head"] {
        std::fs::copy(scratch.path().join("whole").join(file), copy.join(file)).unwrap();
    }
    let database = Connection::open(copy.join("chexbox.db")).unwrap();
    database.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    copy
}

fn whole(name: &str) -> (Scratch, Head) {
    let scratch = Scratch::new(name);
    let dir = scratch.join("whole");
    std::fs::create_dir_all(&dir).unwrap();
    let head = closed(&dir);
    (scratch, head)
}

fn faults(dir: &Path) -> Vec<String> {
    verify_audit(dir).unwrap().faults.into_iter().map(|f| f.what).collect()
}

#[test]
fn a_chain_that_nobody_touched_is_whole() {
    let (scratch, head) = whole("audit-whole");
    let verified = verify_audit(&scratch.join("whole")).unwrap();
    assert_eq!((verified.head, verified.readings, verified.faults), (head, 5, vec![]));
    assert_eq!(head.count, RECORDS as u64);
    assert_eq!(faults(&changed(&scratch, "same", "UPDATE audit SET actor = actor")), [""; 0]);
}

#[test]
fn every_edit_of_every_column_of_every_record_is_found() {
    let (scratch, _) = whole("audit-edit");
    for seq in 1..=RECORDS {
        for edit in [
            "at_ms = at_ms + 1",
            "event = 'token_used'",
            "actor = 'nobody'",
            "peer = NULL",
            "peer = ''",
            "subject = subject || 'x'",
            "subject = coalesce(subject, '')",
            "detail = '{ }'",
            "previous = zeroblob(32)",
            "previous = x'00'",
            "hash = zeroblob(32)",
            "hash = x''",
        ] {
            let sql = format!("UPDATE audit SET {edit} WHERE seq = {seq}");
            let copy = changed(&scratch, "edited", &sql);
            let untouched = (edit.contains("coalesce") && seq < RECORDS) || (edit.contains("|| 'x'") && seq == RECORDS);
            assert_eq!(faults(&copy).is_empty(), untouched, "{sql}");
            std::fs::remove_dir_all(copy).unwrap();
        }
    }
}

#[test]
fn every_deletion_is_found_also_at_the_end() {
    let (scratch, _) = whole("audit-delete");
    for first in 1..=RECORDS {
        for last in first..=RECORDS {
            let sql = format!("DELETE FROM audit WHERE seq BETWEEN {first} AND {last}");
            let copy = changed(&scratch, "cut", &sql);
            assert_ne!(faults(&copy), [""; 0], "{sql}");
            std::fs::remove_dir_all(copy).unwrap();
        }
    }
}

#[test]
fn every_swap_and_every_closed_gap_is_found() {
    let (scratch, _) = whole("audit-swap");
    for a in 1..=RECORDS {
        for b in a + 1..=RECORDS {
            let swap = format!(
                "UPDATE audit SET seq = -1 WHERE seq = {a}; UPDATE audit SET seq = {a} WHERE seq = {b}; UPDATE audit SET seq = {b} WHERE seq = -1"
            );
            let copy = changed(&scratch, "swapped", &swap);
            assert_ne!(faults(&copy), [""; 0], "{swap}");
            std::fs::remove_dir_all(copy).unwrap();
        }
        let closed = format!(
            "DELETE FROM audit WHERE seq = {a}; UPDATE audit SET seq = -seq WHERE seq > {a}; UPDATE audit SET seq = -seq - 1 WHERE seq < 0"
        );
        let copy = changed(&scratch, "closed", &closed);
        assert_ne!(faults(&copy), [""; 0], "{closed}");
        std::fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn a_reading_that_is_changed_removed_or_smuggled_in_is_found() {
    let (scratch, _) = whole("audit-reading");
    for (sql, want) in [
        ("UPDATE readings SET record_json = replace(record_json, '0.', '1.') WHERE seq = 3", "is not as it was recorded"),
        ("UPDATE readings SET maps = zeroblob(700) WHERE seq = 3", "is not as it was recorded"),
        ("UPDATE readings SET status = 'refused' WHERE seq = 3", "is not as it was recorded"),
        ("UPDATE readings SET created_ms = 0 WHERE seq = 3", "is not as it was recorded"),
        ("UPDATE readings SET film_sha256 = model_sha256 WHERE seq = 3", "is not as it was recorded"),
        ("UPDATE readings SET model_version = '2' WHERE seq = 3", "is not as it was recorded"),
        ("DELETE FROM readings WHERE seq = 3", "is gone without a record of its deletion"),
        ("UPDATE readings SET id = 'aaaaaaaaaaaaaaaaaaaaaaaaaa' WHERE seq = 3", "has no audit record"),
    ] {
        let copy = changed(&scratch, "reading", sql);
        let found = faults(&copy);
        assert!(found.iter().any(|f| f.contains(want)), "{sql}: {found:?}");
        std::fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn a_head_that_is_missing_damaged_or_ahead_is_found_and_stays_in_the_chain_when_the_daemon_starts() {
    let (scratch, head) = whole("audit-head");
    let ahead = format!("{:020}:{}", head.count + 1, head.hash);
    let ahead = format!("{ahead}:{}\n", &Digest::of(ahead.as_bytes()).to_string()[..8]);
    let cut = format!("DELETE FROM audit WHERE seq = {RECORDS}");
    for (sql, content) in [("", None), ("", Some("nonsense")), ("", Some(ahead.as_str())), (cut.as_str(), Some("kept"))] {
        let copy = changed(&scratch, "headless", sql);
        match content {
            None => std::fs::remove_file(copy.join("audit.head")).unwrap(),
            Some("kept") => {}
            Some(content) => std::fs::write(copy.join("audit.head"), content).unwrap(),
        }
        assert_ne!(faults(&copy), [""; 0], "{sql} {content:?}");
        let (store, opened) = Store::open(&copy, &Settings::default()).unwrap();
        assert!(matches!(opened.head, HeadCheck::Broken(_)), "{sql} {content:?}");
        store.record(&reading(50), &someone(NOW)).unwrap();
        drop(store);
        let found = faults(&copy);
        assert!(found[0].starts_with("when the store was opened: "), "{found:?}");
        let (_, again) = Store::open(&copy, &Settings::default()).unwrap();
        assert_eq!(again.head, HeadCheck::Agrees);
        std::fs::remove_dir_all(copy).unwrap();
    }
}

#[test]
fn a_database_that_was_taken_away_is_said_in_the_new_one() {
    let (scratch, _) = whole("audit-gone");
    let copy = changed(&scratch, "gone", "");
    std::fs::remove_file(copy.join("chexbox.db")).unwrap();
    let (store, opened) = Store::open(&copy, &Settings::default()).unwrap();
    assert!(matches!(opened.head, HeadCheck::Broken(_)));
    assert_eq!(store.audit_records(None, None, 9).unwrap()[0].event, "chain_broken");
}

/// Whoever owns the machine can write a chain of their own; a head that was noted elsewhere shows it.
#[test]
fn a_chain_that_was_written_anew_is_found_by_a_head_noted_elsewhere() {
    let (scratch, head) = whole("audit-anew");
    let anew = scratch.join("anew");
    std::fs::create_dir_all(&anew).unwrap();
    filled(&anew, 12);
    assert_eq!(faults(&anew), [""; 0]);
    let verify = |dir: &Path, expect: &str| run(&["audit", "verify", "--state", dir.to_str().unwrap(), "--expect", expect]);
    let found = verify(&anew, &head.to_string());
    assert_eq!(found.status.code(), Some(1));
    assert!(stdout(&found).contains("WRONG") && stdout(&found).contains("expected"), "{}", stdout(&found));
    let good = verify(&scratch.join("whole"), &head.to_string());
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert_eq!(verify(&anew, "12").status.code(), Some(2));
}

#[test]
fn the_verb_says_what_is_wrong_and_ends_with_1() {
    let (scratch, head) = whole("audit-verb");
    let verify = |dir: &Path| run(&["audit", "verify", "--state", dir.to_str().unwrap()]);
    let good = verify(&scratch.join("whole"));
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert!(stdout(&good).contains(&head.to_string()) && stdout(&good).contains("8 records, 5 readings"), "{}", stdout(&good));
    let bad = verify(&changed(&scratch, "bad", "UPDATE audit SET actor = 'x' WHERE seq = 4"));
    assert_eq!(bad.status.code(), Some(1));
    assert!(stdout(&bad).contains("record 4: it is not as it was written"), "{}", stdout(&bad));
    let none = verify(&scratch.join("none"));
    assert_eq!(none.status.code(), Some(3));
    assert!(stderr(&none).contains("holds no store"), "{}", stderr(&none));
}

#[test]
fn records_are_listed_newest_first_by_event_and_as_json_while_the_daemon_runs() {
    let scratch = Scratch::new("audit-list");
    let store = filled(scratch.path(), 6);
    let at = scratch.path().to_str().unwrap();
    let table = stdout(&run(&["audit", "list", "--state", at]));
    assert_eq!(table.lines().count(), 7);
    assert!(table.lines().nth(1).unwrap().contains("2027-01-15T08:00:00.005Z  reading"), "{table}");
    let json = stdout(&run(&["audit", "list", "--state", at, "--event", "refusal", "--json", "--limit", "5"]));
    let record: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((record["seq"].as_i64(), record["subject"].as_str()), (Some(5), Some(id(4).as_str())));
    assert_eq!((record["peer"].as_str(), record["actor"].as_str()), (Some("127.0.0.1"), Some("ward 3")));
    let before = stdout(&run(&["audit", "list", "--state", at, "--before", "3", "--json"]));
    assert_eq!(before.lines().count(), 2);
    assert_eq!(run(&["audit", "list", "--state", at, "--event", "nonsense"]).status.code(), Some(2));
    drop(store);
}

#[test]
fn no_identity_stands_in_the_audit() {
    let scratch = Scratch::new("audit-identity");
    let store = open(scratch.path());
    store.record(&of_patient(1, "PLANTED^NAME", "PLANTED-ID", "PLANTED-ACC"), &someone(NOW)).unwrap();
    store.record(&of_patient(1, "PLANTED^NAME", "PLANTED-ID", "PLANTED-ACC"), &someone(NOW)).unwrap();
    store.delete(&id(1), &someone(NOW)).unwrap();
    let list = stdout(&run(&["audit", "list", "--state", scratch.path().to_str().unwrap(), "--json"]));
    assert_eq!(list.lines().count(), 3);
    assert!(!list.contains("PLANTED") && !list.contains("film 1.dcm"), "{list}");
}

/// A store with records of a year ago, of which the oldest are cut, and newer ones.
fn aged(dir: &Path) -> (Store, Head) {
    let settings = Settings { keep_audit_days: Some(30), ..Settings::default() };
    let (store, _) = Store::open(dir, &settings).unwrap();
    let then = NOW - 365 * DAY;
    for n in 0..6 {
        store.record(&reading(n), &someone(then)).unwrap();
    }
    store.delete(&id(1), &someone(then)).unwrap();
    // Deleted and read anew: only what was recorded last binds it.
    store.delete(&id(2), &someone(then)).unwrap();
    store.record(&NewReading { created_ms: then, ..reading(2) }, &someone(then)).unwrap();
    for _ in 0..2 * AUDIT_CUT_RECORDS {
        store.audit(&Event::new(Kind::TokenUsed).about("00ff"), &someone(then)).unwrap();
    }
    let noted = store.head().unwrap();
    store.record(&reading(7), &someone(NOW)).unwrap();
    (store, noted)
}

#[test]
fn old_records_leave_the_database_for_files_and_the_chain_is_whole_without_them() {
    let scratch = Scratch::new("audit-cut");
    let dir = scratch.join("whole");
    std::fs::create_dir_all(&dir).unwrap();
    let (store, noted) = aged(&dir);
    let before = store.head().unwrap();
    assert_eq!(store.archive_audit(NOW - 340 * DAY).unwrap(), None, "nothing is old enough yet");
    let first = store.archive_audit(NOW).unwrap().expect("a cut is due");
    let second = store.archive_audit(NOW).unwrap().expect("another one");
    assert_eq!(store.archive_audit(NOW).unwrap(), None, "too few are left for a third");
    let cut = i64::try_from(AUDIT_CUT_RECORDS).unwrap();
    assert_eq!((first.first, first.last, second.first, second.last), (1, cut, cut + 1, 2 * cut));
    // Four readings and the one that was read anew are carried on; the deleted one is not.
    assert_eq!(store.audit_records(Some("carried"), None, 100).unwrap().len(), 5);
    assert_eq!(store.audit_records(Some("audit_cut"), None, 100).unwrap().len(), 2);
    assert_eq!(store.head().unwrap().count, before.count + 7);
    store.audit(&Event::new(Kind::Stopped), &someone(NOW)).unwrap();
    drop(store);

    let verified = verify_audit(&dir).unwrap();
    assert_eq!((verified.readings, &verified.faults), (6, &vec![]));
    assert_eq!(verified.cuts, [(first.clone(), true), (second.clone(), true)]);
    let (again, opened) = Store::open(&dir, &Settings::default()).unwrap();
    assert_eq!(opened.head, HeadCheck::Agrees);
    drop(again);
    // Heads that were noted before the cut: in the database, in a file, at a cut, in a file that is elsewhere.
    let expect = |head: &Head| verify_audit(&dir).unwrap().expect(&dir, head).unwrap().faults.len();
    assert_eq!((expect(&before), expect(&noted)), (0, 0));
    assert_eq!(expect(&Head { count: 2 * AUDIT_CUT_RECORDS as u64, hash: second.hash }), 0);
    assert_eq!(expect(&Head { count: 7, hash: second.hash }), 1, "another record");
    std::fs::remove_file(dir.join(second.file_name())).unwrap();
    assert_eq!(verify_audit(&dir).unwrap().faults, []);
    assert_eq!(expect(&Head { count: 2 * AUDIT_CUT_RECORDS as u64 - 1, hash: second.hash }), 1, "its file is needed");
    let said = stdout(&run(&["audit", "verify", "--state", dir.to_str().unwrap()]));
    assert!(said.contains("records 1 to 500 lie in") && said.contains("records 501 to 1000 were cut"), "{said}");
}

#[test]
fn what_is_changed_before_or_after_a_cut_is_found_and_what_is_changed_is_never_cut() {
    let scratch = Scratch::new("audit-cut-edit");
    let dir = scratch.join("whole");
    std::fs::create_dir_all(&dir).unwrap();
    let (store, _) = aged(&dir);
    drop(store);
    // Changed before: it stays, and is found.
    let copy = changed(&scratch, "before", "UPDATE audit SET actor = 'nobody' WHERE seq = 3");
    let (store, _) = Store::open(&copy, &Settings { keep_audit_days: Some(30), ..Settings::default() }).unwrap();
    let kept = store.archive_audit(NOW).unwrap_err().to_string();
    assert!(kept.contains("chexbox audit verify"), "{kept}");
    drop(store);
    assert_ne!(faults(&copy), [""; 0]);

    let (store, _) = Store::open(&dir, &Settings { keep_audit_days: Some(30), ..Settings::default() }).unwrap();
    let cut = store.archive_audit(NOW).unwrap().unwrap();
    let after = store.head().unwrap().count;
    store.audit(&Event::new(Kind::Stopped), &someone(NOW)).unwrap();
    drop(store);
    assert_eq!(faults(&changed(&scratch, "same", "")), [""; 0]);
    let record = "(SELECT min(seq) FROM audit WHERE event = 'audit_cut')";
    for sql in [
        "DELETE FROM audit WHERE seq = (SELECT min(seq) FROM audit)".to_owned(),
        format!("DELETE FROM audit WHERE seq <= {}", cut.last + 40),
        format!("DELETE FROM audit WHERE seq = {record}"),
        format!("UPDATE audit SET detail = replace(detail, '\"last\":\"500\"', '\"last\":\"501\"') WHERE seq = {record}"),
        "UPDATE audit SET previous = zeroblob(32) WHERE seq = (SELECT min(seq) FROM audit)".to_owned(),
        "UPDATE audit SET detail = replace(detail, 'a', 'b') WHERE event = 'carried' AND seq % 2 = 0".to_owned(),
        "DELETE FROM audit WHERE event = 'carried'".to_owned(),
        "UPDATE readings SET record_json = replace(record_json, '0.', '1.') WHERE seq = 4".to_owned(),
        "DELETE FROM readings WHERE seq = 4".to_owned(),
        format!("DELETE FROM audit WHERE seq > {after}"),
    ] {
        let copy = changed(&scratch, "cut", &sql);
        assert_ne!(faults(&copy), [""; 0], "{sql}");
        std::fs::remove_dir_all(copy).unwrap();
    }
    let file = dir.join(cut.file_name());
    let whole = std::fs::read_to_string(&file).unwrap();
    for (from, to) in [("ward 3", "ward 4"), ("\"seq\":9,", "\"seq\":10,"), ("\n", "\n\n"), ("{\"seq\":1,", "")] {
        std::fs::write(&file, whole.replacen(from, to, 1)).unwrap();
        assert_eq!(faults(&dir), [format!("{} is not as it was written", cut.file_name())], "{from}");
    }
}
