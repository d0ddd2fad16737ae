//! Readings for the tests of the store, each made of its number.

use chexbox::radiograph::PatientIdentity;
use chexbox::store::{Actor, Digest, FilmRef, ModelRef, NewForward, NewReading, ReadingId, Settings, Status, Store};
use std::path::Path;

/// A time in 2027.
pub const NOW: i64 = 1_800_000_000_000;

/// A day, milliseconds.
pub const DAY: i64 = 86_400_000;

/// Who records in these tests.
pub fn someone(at_ms: i64) -> Actor {
    Actor { name: "ward 3".to_owned(), peer: Some([127, 0, 0, 1].into()), at_ms }
}

/// The id of reading `n`.
pub fn id(n: u64) -> ReadingId {
    ReadingId::of(&Digest::of(&n.to_be_bytes()), &Digest::of(b"weights"), b"")
}

/// Reading `n`: even ones have a pneumothorax, every fifth film is refused.
pub fn reading(n: u64) -> NewReading {
    let status = if n % 5 == 4 { Status::Refused } else { Status::Read };
    let read = status == Status::Read;
    let probability = (n % 100) as f32 / 100.0;
    let record = if read {
        serde_json::json!({"number": n, "findings": [
            {"id": "pneumothorax", "probability": probability, "positive": n % 2 == 0},
            {"id": "scoliosis", "probability": null, "positive": null},
        ]})
    } else {
        serde_json::json!({"number": n, "findings": null, "refusal": {"code": "blank_film"}})
    };
    let findings = vec![("pneumothorax".to_owned(), Some(probability)), ("scoliosis".to_owned(), None)];
    NewReading {
        id: id(n),
        created_ms: NOW + i64::try_from(n).unwrap(),
        film: FilmRef { sha256: Digest::of(&n.to_be_bytes()), name: Some(format!("film {n}.dcm")), bytes: 1_000 + n },
        model: ModelRef { name: "findings25".to_owned(), version: "1.0.0".to_owned(), sha256: Digest::of(b"weights") },
        status,
        record_json: record.to_string(),
        positives: if read && n % 2 == 0 { vec!["pneumothorax".to_owned()] } else { Vec::new() },
        findings: if read { findings } else { Vec::new() },
        maps: vec![u8::try_from(n % 251).unwrap(); 700],
        identity: None,
        image: None,
        idempotency: None,
        forwards: Vec::new(),
    }
}

/// Reading `n` with something to send on.
pub fn with_forward(n: u64) -> NewReading {
    let forward = NewForward { destination: "archive".to_owned(), kind: "sr".to_owned(), payload: n.to_be_bytes().to_vec() };
    NewReading { forwards: vec![forward], ..reading(n) }
}

/// Reading `n` of a patient.
pub fn of_patient(n: u64, name: &str, id: &str, accession: &str) -> NewReading {
    let text = |t: &str| Some(t.to_owned());
    NewReading { identity: Some(PatientIdentity::kept(text(name), text(id), text("19700131"), text(accession))), ..reading(n) }
}

/// The store in this folder, with the settings a site starts with.
pub fn open(dir: &Path) -> Store {
    Store::open(dir, &Settings::default()).expect("the store opens").0
}

/// The store with the first `n` readings.
pub fn filled(dir: &Path, n: u64) -> Store {
    let store = open(dir);
    for n in 0..n {
        let new = reading(n);
        assert!(store.record(&new, &someone(new.created_ms)).unwrap().fresh);
    }
    store
}
