//! What the store keeps, finds, removes and sends on.

use super::run::Scratch;
use super::stored::{DAY, NOW, filled, id, of_patient, open, reading, someone, with_forward};
use chexbox::store::{
    Digest, Event, Idempotency, Images, Kind, NewReading, Opened, Page, Query, SCHEMA, Setback, Settings, Shutdown, Status,
    Store, StoreError, verify_audit,
};
use std::path::Path;

fn numbers(page: &Page) -> Vec<u64> {
    let number = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["number"].as_u64().unwrap();
    page.readings.iter().map(|r| number(&r.record_json)).collect()
}

fn found(store: &Store, query: Query) -> Vec<u64> {
    numbers(&store.find(&Query { limit: 200, ..query }).unwrap())
}

#[test]
fn a_reading_comes_back_as_it_was_recorded() {
    let scratch = Scratch::new("store-back");
    let store = open(scratch.path());
    let new = NewReading { image: Some(vec![7; 9]), ..of_patient(2, "DOE^JANE", "4711", "A0815") };
    let recorded = store.record(&new, &someone(NOW)).unwrap();
    assert!(recorded.fresh);
    drop(store);
    let store = open(scratch.path());
    let back = store.reading(&new.id).unwrap().unwrap();
    assert_eq!((&back.id, back.created_ms, back.status), (&new.id, new.created_ms, Status::Read));
    assert_eq!((&back.film, &back.model, &back.record_json), (&new.film, &new.model, &new.record_json));
    assert_eq!((&back.positives, &back.identity), (&new.positives, &new.identity));
    assert_eq!(store.maps(&new.id).unwrap(), Some(new.maps));
    assert_eq!((back.has_image, store.image(&new.id).unwrap()), (false, None), "pictures are kept only where a site says so");
    assert!(store.reading(&id(3)).unwrap().is_none() && store.maps(&id(3)).unwrap().is_none());
}

#[test]
fn pictures_are_kept_where_the_site_says_so() {
    let scratch = Scratch::new("store-pictures");
    let (store, _) = Store::open(scratch.path(), &Settings { images: Images::Keep, ..Settings::default() }).unwrap();
    let new = NewReading { image: Some(vec![7; 9]), ..reading(1) };
    assert!(store.record(&new, &someone(NOW)).unwrap().reading.has_image);
    assert_eq!(store.image(&new.id).unwrap(), Some(vec![7; 9]));
    assert!(store.delete(&new.id, &someone(NOW)).unwrap());
    assert_eq!(store.image(&new.id).unwrap(), None);
}

#[test]
fn the_same_film_on_the_same_model_stays_one_reading() {
    let scratch = Scratch::new("store-same");
    let store = open(scratch.path());
    let first = store.record(&reading(1), &someone(NOW)).unwrap();
    let later = NewReading { created_ms: NOW + DAY, record_json: "{}".to_owned(), ..reading(1) };
    let second = store.record(&later, &someone(NOW + DAY)).unwrap();
    assert!(first.fresh && !second.fresh);
    assert_eq!(second.reading.created_ms, first.reading.created_ms);
    assert_eq!(second.reading.record_json, first.reading.record_json);
    assert_eq!(store.count().unwrap(), 1);
    let events: Vec<String> = store.audit_records(None, None, 9).unwrap().into_iter().map(|r| r.event).collect();
    assert_eq!(events, ["repeated", "reading"]);
}

#[test]
fn readings_of_one_request_are_recorded_all_or_none() {
    let scratch = Scratch::new("store-all");
    let store = open(scratch.path());
    let key = |n: u64, digest: &[u8]| NewReading { idempotency: Some(("k".into(), Digest::of(digest))), ..reading(n) };
    assert_eq!(store.record_all(&[key(0, b"a"), key(1, b"a")], &someone(NOW)).unwrap().len(), 2);
    let refused = store.record_all(&[reading(2), key(3, b"b")], &someone(NOW)).unwrap_err();
    assert!(matches!(refused, StoreError::KeyOfAnother));
    assert_eq!(found(&store, Query::default()), [1, 0]);
    assert_eq!(store.audit_records(None, None, 9).unwrap().len(), 2);
}

#[test]
fn an_idempotency_key_gives_its_readings_for_a_day_and_conflicts_with_another_request() {
    let scratch = Scratch::new("store-key");
    let store = open(scratch.path());
    let (mine, other) = (Digest::of(b"mine"), Digest::of(b"other"));
    assert_eq!(store.idempotent("k", &mine).unwrap(), Idempotency::New);
    store.record(&NewReading { idempotency: Some(("k".into(), mine)), ..reading(1) }, &someone(NOW)).unwrap();
    assert_eq!(store.idempotent("k", &mine).unwrap(), Idempotency::Same(vec![id(1)]));
    assert_eq!(store.idempotent("k", &other).unwrap(), Idempotency::Conflict);
    assert!(matches!(store.idempotent(&"k".repeat(256), &mine), Err(StoreError::TooLarge { .. })));
    store.retain(NOW + DAY).unwrap();
    assert_eq!(store.idempotent("k", &mine).unwrap(), Idempotency::Same(vec![id(1)]), "made a millisecond after NOW");
    store.retain(NOW + DAY + 2).unwrap();
    assert_eq!(store.idempotent("k", &other).unwrap(), Idempotency::New);
}

#[test]
fn a_part_that_is_too_large_is_refused_by_name() {
    let scratch = Scratch::new("store-large");
    let store = open(scratch.path());
    let most = chexbox::limits::STORED_RECORD_BYTES_MAX;
    store.record(&NewReading { maps: vec![0; most], ..reading(1) }, &someone(NOW)).unwrap();
    let refused = store.record(&NewReading { maps: vec![0; most + 1], ..reading(2) }, &someone(NOW)).unwrap_err();
    assert_eq!(refused.to_string(), format!("the heat maps has {} bytes, at most {most} are stored", most + 1));
    assert_eq!(found(&store, Query::default()), [1]);
}

#[test]
fn readings_are_found_by_each_part_of_a_query_and_by_all_together() {
    let scratch = Scratch::new("store-find");
    let store = filled(scratch.path(), 20);
    store.record(&of_patient(20, "DOE^JANE", "4711", "A0815"), &someone(NOW + 20)).unwrap();
    store.record(&of_patient(21, "张^伟", "100%", "A_1"), &someone(NOW + 21)).unwrap();
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(found(&store, Query { since_ms: Some(NOW + 18), until_ms: Some(NOW + 20), ..Query::default() }), [19, 18]);
    assert_eq!(found(&store, Query { status: Some(Status::Refused), ..Query::default() }), [19, 14, 9, 4]);
    assert_eq!(
        found(&store, Query { finding: text("pneumothorax"), since_ms: Some(NOW + 14), ..Query::default() }),
        [20, 18, 16]
    );
    assert_eq!(found(&store, Query { finding: text("scoliosis"), ..Query::default() }), [0; 0], "a head without a number");
    for (patient, want) in [("4711", vec![20]), ("A0815", vec![20]), ("471", vec![]), ("DOE^JANE", vec![]), ("100%", vec![21])] {
        assert_eq!(found(&store, Query { patient: text(patient), ..Query::default() }), want, "{patient}");
    }
    for (words, want) in [
        ("jane", vec![20]),
        ("471", vec![20]),
        ("a08", vec![20]),
        ("张", vec![21]),
        ("0%", vec![21]),
        ("A_1", vec![21]),
        ("%%", vec![]),
        ("film 7", vec![7]),
        (id(3).as_str(), vec![3]),
        ("' OR 1=1 --", vec![]),
    ] {
        assert_eq!(found(&store, Query { text: text(words), ..Query::default() }), want, "{words}");
    }
    let all = Query {
        text: text("doe"),
        finding: text("pneumothorax"),
        status: Some(Status::Read),
        patient: text("4711"),
        ..Query::default()
    };
    assert_eq!(found(&store, all), [20]);
}

#[test]
fn pages_hold_every_reading_once_while_others_come_and_go() {
    let scratch = Scratch::new("store-pages");
    let store = filled(scratch.path(), 10);
    let mut seen = Vec::new();
    let mut before = None;
    for come in 10..20 {
        let page = store.find(&Query { before, limit: 3, ..Query::default() }).unwrap();
        seen.extend(numbers(&page));
        store.record(&reading(come), &someone(NOW)).unwrap();
        store.delete(&id(seen[0]), &someone(NOW)).unwrap();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    let whole = store.find(&Query { limit: usize::MAX, ..Query::default() }).unwrap();
    assert_eq!((whole.readings.len(), whole.next), (13, None));
}

#[test]
fn deleting_takes_everything_but_the_audit_and_leaves_no_identity_in_the_files() {
    let scratch = Scratch::new("store-delete");
    let store = open(scratch.path());
    let new = NewReading { forwards: with_forward(1).forwards, ..of_patient(1, "PLANTED^NAME", "PLANTED-ID", "PLANTED-ACC") };
    store.record(&new, &someone(NOW)).unwrap();
    assert!(store.delete(&new.id, &someone(NOW)).unwrap());
    assert!(!store.delete(&new.id, &someone(NOW)).unwrap());
    assert!(store.reading(&new.id).unwrap().is_none());
    assert_eq!(store.outbox_waiting().unwrap(), 0);
    assert!(store.record(&new, &someone(NOW)).unwrap().fresh, "it may come again");
    store.delete(&new.id, &someone(NOW)).unwrap();
    drop(store);
    for file in std::fs::read_dir(scratch.path()).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"PLANTED"), "{:?}", file.file_name());
    }
    assert_eq!(verify_audit(scratch.path()).unwrap().faults, []);
}

#[test]
fn identity_stands_in_its_columns_and_nowhere_else() {
    let scratch = Scratch::new("store-identity");
    let store = open(scratch.path());
    let recorded = store.record(&of_patient(1, "PLANTED^NAME", "PLANTED-ID", "PLANTED-ACC"), &someone(NOW)).unwrap();
    store.outbox_add(&id(1), &with_forward(1).forwards).unwrap();
    let taken = store.outbox_take("archive", NOW, DAY).unwrap().unwrap();
    assert!(!format!("{recorded:?} {taken:?}").contains("PLANTED"));
    drop(store);
    let database = rusqlite::Connection::open(scratch.join("chexbox.db")).unwrap();
    let values = |question: &str| -> Vec<Vec<u8>> {
        let mut rows = database.prepare(question).unwrap();
        rows.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let texts = |question: &str| values(question).into_iter().map(|v| String::from_utf8(v).unwrap());
    let mut places = 0;
    for table in texts("SELECT CAST(name AS BLOB) FROM sqlite_schema WHERE type = 'table'") {
        for column in texts(&format!("SELECT CAST(name AS BLOB) FROM pragma_table_info('{table}')")) {
            let values = values(&format!("SELECT coalesce(CAST(\"{column}\" AS BLOB), x'') FROM \"{table}\""));
            let planted = values.iter().any(|v| v.windows(7).any(|w| w == b"PLANTED"));
            let may = table == "readings" && ["patient_name", "patient_id", "accession"].contains(&column.as_str());
            assert_eq!(planted, may, "{table}.{column}");
            places += usize::from(planted);
        }
    }
    assert_eq!(places, 3);
}

#[test]
fn retention_removes_what_is_too_old_and_says_so_for_each() {
    let scratch = Scratch::new("store-age");
    let (store, _) = Store::open(scratch.path(), &Settings { keep_days: Some(2), ..Settings::default() }).unwrap();
    for n in 0..200 {
        let new = NewReading { created_ms: NOW + i64::try_from(n).unwrap() * DAY / 50, ..reading(n) };
        store.record(&new, &someone(new.created_ms)).unwrap();
    }
    // Four days of readings, fifty a day: at the end of the fourth, the first two days are too old.
    let retained = store.retain(NOW + 4 * DAY).unwrap();
    assert_eq!((retained.by_age, retained.by_share, retained.more), (100, 0, false));
    assert_eq!(store.count().unwrap(), 100);
    assert!(store.reading(&id(99)).unwrap().is_none() && store.reading(&id(100)).unwrap().is_some());
    assert_eq!(store.audit_records(Some("retired"), None, 1_000).unwrap().len(), 100);
    drop(store);
    assert_eq!(verify_audit(scratch.path()).unwrap().faults, []);
}

#[test]
fn retention_by_share_removes_the_oldest_and_gives_the_room_back() {
    let scratch = Scratch::new("store-share");
    let large = |n: u64| NewReading { maps: vec![1; 1 << 20], ..reading(n) };
    let (store, _) = Store::open(scratch.path(), &Settings { disk_percent: 0, ..Settings::default() }).unwrap();
    for n in 0..8 {
        store.record(&large(n), &someone(NOW)).unwrap();
    }
    let before = scratch.join("chexbox.db").metadata().unwrap().len();
    let retained = store.retain(NOW).unwrap();
    // No share at all: everything goes.
    assert_eq!((retained.by_age, retained.by_share), (0, 8));
    assert_eq!(store.count().unwrap(), 0);
    let after = scratch.join("chexbox.db").metadata().unwrap().len();
    assert!(before > 4 << 20 && after < 1 << 20, "{before} {after}");
    assert!(retained.bytes <= after);
}

#[test]
fn the_outbox_gives_each_thing_to_one_sender_until_it_is_done() {
    let scratch = Scratch::new("store-outbox");
    let store = open(scratch.path());
    for n in 0..3 {
        store.record(&with_forward(n), &someone(NOW)).unwrap();
        store.record(&with_forward(n), &someone(NOW)).unwrap();
    }
    assert_eq!(store.outbox_waiting().unwrap(), 3);
    let take = |now: i64| store.outbox_take("archive", now, 1_000).unwrap();
    assert_eq!(store.outbox_take("another", NOW, 1_000).unwrap(), None);
    let taken: Vec<_> = std::iter::from_fn(|| take(NOW)).collect();
    let readings: Vec<_> = taken.iter().map(|f| f.reading.clone()).collect();
    assert_eq!(readings, [id(0), id(1), id(2)]);
    assert!(store.outbox_done(&taken[0], &someone(NOW)).unwrap());
    assert!(!store.outbox_done(&taken[0], &someone(NOW)).unwrap());
    // The second is tried again after a wait, the third after its lease.
    assert_eq!(store.outbox_retry(&taken[1], Setback::Failed, "no answer", &someone(NOW)).unwrap(), Some(5_000));
    assert_eq!(take(NOW + 999), None);
    let third = take(NOW + 1_000).unwrap();
    assert_eq!((&third.reading, third.attempt), (&id(2), 2));
    assert!(!store.outbox_done(&taken[2], &someone(NOW)).unwrap(), "the lease is another's");
    assert_eq!(store.outbox_retry(&taken[2], Setback::Failed, "late", &someone(NOW)).unwrap(), None);
    assert!(store.outbox_done(&third, &someone(NOW)).unwrap());
    assert_eq!(take(NOW + 4_999), None);
    assert_eq!(take(NOW + 5_000).map(|f| (f.reading, f.attempt)), Some((id(1), 2)));
    assert_eq!(store.outbox_waiting().unwrap(), 1);
    let alone = store.outbox_alone().unwrap();
    assert!(matches!(Store::open_beside(scratch.path()).unwrap().outbox_alone(), Err(StoreError::Busy)));
    drop(alone);
    let _alone = store.outbox_alone().unwrap();
    assert_eq!(take(NOW + 5_001).map(|f| f.attempt), Some(3), "leases end with who held them");
    assert!(!store.outbox_add(&id(9), &with_forward(9).forwards).unwrap());
}

#[test]
fn a_failure_lets_others_go_first_a_refusal_stays_in_sight_and_neither_is_dropped() {
    let scratch = Scratch::new("store-setback");
    let store = open(scratch.path());
    for n in 0..3 {
        store.record(&with_forward(n), &someone(NOW)).unwrap();
    }
    let line = || store.outbox_lines().unwrap().pop().unwrap();
    let retry = |setback, at: i64, why: &str| {
        let taken = store.outbox_take("archive", at, 1_000).unwrap().unwrap();
        let wait = store.outbox_retry(&taken, setback, why, &someone(at)).unwrap().unwrap();
        (taken.reading, wait)
    };
    assert_eq!(retry(Setback::Away, NOW, "away"), (id(0), 0), "its turn is not lost");
    assert_eq!(line().failure, Some((NOW, "away".to_owned())));
    assert_eq!(retry(Setback::Refused, NOW + 1, "status A900"), (id(0), 5_000));
    assert_eq!(retry(Setback::Failed, NOW + 2, "timeout"), (id(1), 5_000));
    assert_eq!(retry(Setback::Failed, NOW + 3, "timeout"), (id(2), 5_000));
    assert!(!store.outbox_due("archive", NOW + 4_000).unwrap());
    let mut at = NOW + 5_010;
    let held = store.outbox_take("archive", at, 1_000).unwrap().unwrap();
    for _ in 0..2 {
        let taken = store.outbox_take("archive", at, 1_000).unwrap().unwrap();
        assert!(store.outbox_done(&taken, &someone(at)).unwrap());
    }
    assert_eq!(store.outbox_retry(&held, Setback::Refused, "status A900", &someone(at)).unwrap(), Some(10_000));
    for expected in [20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 3_600_000, 3_600_000] {
        at += expected;
        assert_eq!(retry(Setback::Refused, at, "status A900"), (id(0), expected));
    }
    let found = line();
    assert_eq!((found.waiting, found.refused, found.oldest_ms), (1, 1, NOW));
    let refused = store.outbox_refused(9).unwrap().pop().unwrap();
    assert_eq!((refused.reading.as_str(), refused.why.as_str(), refused.attempts), (id(0).as_str(), "status A900", 13));
    let noted = store.audit_records(Some("forward_failed"), None, 9_999).unwrap();
    assert_eq!(noted.len(), 15, "each attempt that failed has a record");
    for _ in 0..20 {
        at += 3_600_000;
        assert!(retry(Setback::Failed, at, "timeout").1 <= 300_000);
    }
    assert_eq!((line().waiting, line().refused), (1, 0), "it is not refused any more");
}

#[test]
fn what_goes_unsent_with_its_reading_is_said_in_the_audit() {
    let scratch = Scratch::new("store-unsent");
    let store = open(scratch.path());
    for n in 0..2 {
        store.record(&with_forward(n), &someone(NOW)).unwrap();
    }
    store.delete(&id(0), &someone(NOW)).unwrap();
    drop(store);
    let (store, _) = Store::open(scratch.path(), &Settings { keep_days: Some(1), ..Settings::default() }).unwrap();
    store.retain(NOW + 2 * DAY).unwrap();
    assert_eq!((store.count().unwrap(), store.outbox_waiting().unwrap()), (0, 0));
    let said = store.audit_records(Some("forward_given_up"), None, 9).unwrap();
    let subjects: Vec<_> = said.iter().filter_map(|record| record.subject.as_deref()).collect();
    assert_eq!(subjects, [id(1).as_str(), id(0).as_str()]);
    assert!(said[0].detail.contains("archive") && said[0].detail.contains("sr"), "{}", said[0].detail);
}

#[test]
fn who_sends_beside_a_daemon_is_told_when_a_newer_one_has_migrated_the_store() {
    let scratch = Scratch::new("store-migrated-meanwhile");
    drop(filled(scratch.path(), 1));
    let beside = Store::open_beside(scratch.path()).unwrap();
    let database = scratch.join("chexbox.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    let told = beside.outbox_take("archive", NOW, DAY).unwrap_err();
    assert!(matches!(told, StoreError::TooNew { .. } | StoreError::Reopen), "{told}");
}

#[test]
fn a_daemon_that_ended_in_order_beside_one_who_sends_is_not_said_to_have_crashed() {
    let scratch = Scratch::new("store-beside-left");
    let store = filled(scratch.path(), 1);
    let beside = Store::open_beside(scratch.path()).unwrap();
    let _alone = beside.outbox_alone().unwrap();
    assert_eq!(beside.outbox_waiting().unwrap(), 0);
    drop(store);
    let (_, opened) = Store::open(scratch.path(), &Settings::default()).unwrap();
    assert_eq!(opened.shutdown, Shutdown::Clean);
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_in_the_outbox() {
    let scratch = Scratch::new("store-outbox-clock");
    let store = open(scratch.path());
    store.record(&with_forward(0), &someone(NOW)).unwrap();
    let taken = store.outbox_take("archive", NOW + 365 * DAY, 1_000).unwrap().unwrap();
    assert!(store.outbox_due("archive", NOW).unwrap(), "a lease of next year");
    assert!(store.outbox_take("archive", NOW, 1_000).unwrap().is_some(), "a lease of next year");
    store.outbox_retry(&taken, Setback::Failed, "", &someone(NOW)).unwrap();
}

#[test]
fn a_second_daemon_is_refused_while_the_first_runs_and_verbs_are_not() {
    let scratch = Scratch::new("store-two");
    let store = filled(scratch.path(), 2);
    assert!(matches!(Store::open(scratch.path(), &Settings::default()), Err(StoreError::Busy)));
    let beside = Store::open_beside(scratch.path()).unwrap();
    assert!(beside.revoke("00ff00ff00ff00ff", "lost", &someone(NOW)).unwrap());
    assert!(store.is_revoked("00ff00ff00ff00ff").unwrap());
    store.record(&reading(2), &someone(NOW)).unwrap();
    assert!(!beside.revoke("00ff00ff00ff00ff", "lost", &someone(NOW)).unwrap());
    assert_eq!(verify_audit(scratch.path()).unwrap().head.count, 4);
    drop((store, beside));
    assert_eq!(verify_audit(scratch.path()).unwrap().faults, []);
    assert!(matches!(Store::open_beside(&scratch.join("nowhere")), Err(StoreError::Absent(_))));
}

#[test]
fn a_process_that_never_ends_its_writing_does_not_stop_the_daemon() {
    let scratch = Scratch::new("store-stuck");
    let store = filled(scratch.path(), 1);
    let stuck = std::fs::File::open(scratch.join("audit.head")).unwrap();
    stuck.lock().unwrap();
    assert!(matches!(store.record(&reading(1), &someone(NOW)), Err(StoreError::Busy)));
    assert!(store.reading(&id(0)).unwrap().is_some());
    stuck.unlock().unwrap();
    store.record(&reading(1), &someone(NOW)).unwrap();
}

#[test]
fn two_processes_that_write_at_once_keep_one_chain() {
    let scratch = Scratch::new("store-threads");
    let daemon = open(scratch.path());
    let beside = Store::open_beside(scratch.path()).unwrap();
    std::thread::scope(|scope| {
        for (store, from) in [(&daemon, 0), (&daemon, 100), (&beside, 200), (&beside, 300)] {
            scope.spawn(move || (from..from + 25).for_each(|n| drop(store.record(&reading(n), &someone(NOW)).unwrap())));
        }
    });
    drop((daemon, beside));
    let verified = verify_audit(scratch.path()).unwrap();
    assert_eq!((verified.head.count, verified.readings, verified.faults), (100, 100, vec![]));
}

#[test]
fn the_highest_time_seen_stays_until_it_is_set_back_by_hand() {
    let scratch = Scratch::new("store-clock");
    let store = open(scratch.path());
    assert_eq!(store.highest_ms().unwrap(), 0);
    for at_ms in [NOW, NOW + DAY, NOW] {
        store.audit(&Event::new(Kind::TokenUsed).about("t"), &someone(at_ms)).unwrap();
    }
    assert_eq!(store.highest_ms().unwrap(), NOW + DAY);
    store.accept_clock(&someone(NOW + 1)).unwrap();
    assert_eq!(store.highest_ms().unwrap(), NOW + 1);
}

#[test]
fn a_store_of_the_first_schema_is_migrated_with_everything_in_it() {
    let scratch = Scratch::new("store-migrate");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store/v1");
    for file in ["chexbox.db", "audit.head"] {
        std::fs::copy(old.join(file), scratch.join(file)).unwrap();
    }
    let before = verify_audit(scratch.path()).unwrap();
    assert_eq!((before.readings, &before.faults), (3, &vec![]), "an older store verifies as it is");
    assert!(matches!(Store::open_beside(scratch.path()), Err(StoreError::TooOld { found: 1, .. })), "only the daemon migrates");
    let (store, opened) = Store::open(scratch.path(), &Settings::default()).unwrap();
    assert_eq!((opened.migrated, opened.shutdown), (Some((1, SCHEMA)), Shutdown::Clean));
    store.audit(&opened.started("0.1.0"), &someone(NOW + DAY)).unwrap();
    assert!(store.audit_records(None, None, 1).unwrap()[0].detail.contains("\"migrated_from\":\"1\""));
    assert_eq!(found(&store, Query::default()), [2, 1, 0]);
    assert_eq!(found(&store, Query { finding: Some("pneumothorax".into()), ..Query::default() }), [2, 0]);
    assert_eq!(found(&store, Query { patient: Some("4711".into()), ..Query::default() }), [1]);
    let back = store.reading(&id(2)).unwrap().unwrap();
    assert_eq!(back.positives, ["pneumothorax"]);
    assert_eq!(back.record_json, reading(2).record_json);
    assert!(store.record(&with_forward(7), &someone(NOW + DAY)).unwrap().fresh);
    drop(store);
    assert_eq!(verify_audit(scratch.path()).unwrap().faults, []);
    let (_, again) = Store::open(scratch.path(), &Settings::default()).unwrap();
    assert_eq!(again.migrated, None);
}

#[test]
fn a_newer_schema_and_a_file_that_is_no_store_are_refused_and_left_as_they_are() {
    let scratch = Scratch::new("store-newer");
    drop(filled(scratch.path(), 1));
    let database = scratch.join("chexbox.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    let refused = |dir: &Path| Store::open(dir, &Settings::default()).map(|_| ()).unwrap_err();
    let newer = refused(scratch.path());
    assert!(matches!(newer, StoreError::TooNew { .. }), "{newer}");
    assert!(newer.to_string().contains("install the newer version"));
    std::fs::write(&database, b"not a database, and long enough to be looked at").unwrap();
    assert!(matches!(refused(scratch.path()), StoreError::Corrupt(_)));
    assert_eq!(std::fs::read(&database).unwrap(), b"not a database, and long enough to be looked at");
}

#[test]
fn opening_says_how_the_store_was_left() {
    let scratch = Scratch::new("store-left");
    let state = |opened: Opened| (opened.migrated, opened.shutdown);
    let (store, opened) = Store::open(scratch.path(), &Settings::default()).unwrap();
    assert_eq!(state(opened), (None, Shutdown::First));
    store.record(&reading(1), &someone(NOW)).unwrap();
    drop(store);
    let (store, opened) = Store::open(scratch.path(), &Settings::default()).unwrap();
    assert_eq!(state(opened), (None, Shutdown::Clean));
    drop(store);
}

#[test]
fn the_store_s_files_are_their_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("store-modes");
    let _store = filled(scratch.path(), 1);
    let mut names = Vec::new();
    for file in std::fs::read_dir(scratch.path()).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["audit.head", "chexbox.db", "chexbox.db-shm", "chexbox.db-wal", "chexbox.lock", "reserve"]);
}
