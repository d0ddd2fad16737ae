//! `chexbox deidentify`: nothing of the patient is left, the film is, and films of one study stay together.

use super::dicom_file::{DEFLATED, DicomFile, EXPLICIT_BIG, Elements, IMPLICIT_LITTLE, PLANTED, Value};
use super::dicom_objects::{filed, film, samples};
use super::run::{Scratch, chexbox, records, stderr};
use dicom_core::Tag;
use dicom_object::InMemDicomObject;
use std::path::Path;

/// Values that must not be in any copy. Each is longer than what the random digits of a new UID hold by chance: a
/// bare 4711 was in one of two hundred copies.
const SECRETS: [&str; 8] =
    [PLANTED, "MRN-4711", "A0815", "Ward^One", "19510203", "20200101", "1.2.826.0.1.3680043.10.1", "Hidden Words"];

/// A film with secrets in every place: patient, study, sequences, private attributes, overlays, comments.
fn secretive() -> DicomFile {
    let inner: Elements = [
        ((0x0008, 0x1155), ("UI".to_owned(), Value::from("1.2.826.0.1.3680043.10.1.3"))),
        ((0x0010, 0x0010), ("PN".to_owned(), Value::from(PLANTED))),
        ((0x0011, 0x0010), ("LO".to_owned(), Value::from("Hidden Words"))),
    ]
    .into();
    filed(DicomFile::chest(320, 320, &samples()))
        .with((0x0008, 0x1080), "LO", "Hidden Words")
        .with((0x0008, 0x1140), "SQ", inner.clone())
        .with((0x0009, 0x0010), "LO", "Hidden Words")
        .with((0x0010, 0x4000), "LT", "Hidden Words")
        .with((0x0032, 0x1064), "SQ", inner)
        .with((0x0040, 0xA123), "PN", PLANTED)
        .with((0x6000, 0x4000), "LT", "Hidden Words")
}

fn copy(scratch: &Scratch, name: &str, bytes: &[u8], options: &[&str]) -> (InMemDicomObject, Vec<u8>) {
    let path = scratch.join(&format!("{name}.dcm"));
    std::fs::write(&path, bytes).unwrap();
    let out = scratch.join(&format!("{name}-out"));
    let output = chexbox(&["deidentify", "--out"]).arg(&out).args(options).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
    let copy = out.join("film-0001.dcm");
    (dicom_object::open_file(&copy).unwrap().into_inner(), std::fs::read(copy).unwrap())
}

fn text(object: &InMemDicomObject, tag: (u16, u16)) -> Option<String> {
    object.get(Tag(tag.0, tag.1)).map(|element| element.to_str().unwrap().trim_end_matches('\0').to_owned())
}

fn findings(path: &Path) -> serde_json::Value {
    let output = chexbox(&["read", "--json"]).arg(path).output().unwrap();
    let record = records(&output).remove(0);
    assert_eq!(record["status"], "read", "{record}");
    record["findings"].clone()
}

#[test]
fn nothing_of_the_patient_is_left_in_any_encoding_and_the_film_reads_the_same() {
    let scratch = Scratch::new("deidentify-secrets");
    let eight: Vec<u8> = samples().iter().map(|v| v.to_be_bytes()[0]).collect();
    for (name, file) in [
        ("explicit", secretive()),
        ("implicit", secretive().syntax(IMPLICIT_LITTLE)),
        ("big", secretive().syntax(EXPLICIT_BIG)),
        ("deflated", secretive().syntax(DEFLATED)),
        ("bare", secretive().syntax(IMPLICIT_LITTLE).bare()),
        ("rle", secretive().rle()),
        ("jpeg", filed(DicomFile::chest8(320, 320, &eight).jpeg(1_000))),
    ] {
        let (object, bytes) = copy(&scratch, name, &file.bytes(), &[]);
        for secret in SECRETS {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{name}: {secret}");
        }
        assert_eq!(
            findings(&scratch.join(&format!("{name}.dcm"))),
            findings(&scratch.join(&format!("{name}-out/film-0001.dcm"))),
            "{name}"
        );
        assert_eq!(text(&object, (0x0012, 0x0062)).as_deref(), Some("YES"));
        assert_eq!(text(&object, (0x0008, 0x0060)).as_deref(), Some("CR"));
        assert!(object.iter().all(|element| element.header().tag.group() % 2 == 0), "{name}: a private attribute is left");
    }
}

#[test]
fn uids_are_the_same_for_the_same_under_one_key_and_others_under_another() {
    let scratch = Scratch::new("deidentify-uids");
    let key = |name: &str, bytes: &[u8]| {
        std::fs::write(scratch.join(name), bytes).unwrap();
        scratch.join(name).display().to_string()
    };
    let (key, other_key, short) = (key("key", &[1; 32]), key("other", &[2; 32]), key("short", b"password"));
    let second = secretive().with((0x0008, 0x0018), "UI", "1.2.826.0.1.3680043.10.1.77");
    let (first, _) = copy(&scratch, "a", &secretive().bytes(), &["--key", &key]);
    let (second, _) = copy(&scratch, "b", &second.bytes(), &["--key", &key]);
    let (other, _) = copy(&scratch, "c", &secretive().bytes(), &["--key", &other_key]);
    let uid = |object: &InMemDicomObject, element| text(object, (0x0020, element)).unwrap();
    assert_eq!(uid(&first, 0x000D), uid(&second, 0x000D));
    assert_ne!(uid(&first, 0x000D), uid(&other, 0x000D));
    assert_ne!(text(&first, (0x0008, 0x0018)), text(&second, (0x0008, 0x0018)));
    // A reference inside a sequence still leads to its series.
    let inner = &first.get(Tag(0x0008, 0x1140)).unwrap().items().unwrap()[0];
    assert_eq!(text(inner, (0x0008, 0x1155)).unwrap(), uid(&first, 0x000E));

    let output = chexbox(&["deidentify", "--out"])
        .arg(scratch.join("d"))
        .args(["--key", &short])
        .arg(scratch.join("a.dcm"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("at least 16"), "{}", stderr(&output));
}

#[test]
fn burned_in_text_is_warned_of_and_what_is_no_dicom_is_not_copied() {
    let scratch = Scratch::new("deidentify-cautions");
    let plain = film(b"DOE^JANE", "ISO_IR 192");
    for (name, file, words) in [
        ("yes", plain.clone().with((0x0028, 0x0301), "CS", "YES"), "says that text is burned"),
        ("silent", plain.clone(), "does not say whether"),
        ("overlay", plain.clone().with((0x6000, 0x0102), "US", 12), "overlay may lie"),
    ] {
        std::fs::write(scratch.join(name), file.bytes()).unwrap();
        let output = chexbox(&["deidentify", "--out"]).arg(scratch.join("out")).arg(scratch.join(name)).output().unwrap();
        assert!(output.status.success() && stderr(&output).contains(words), "{name}: {}", stderr(&output));
    }
    std::fs::write(scratch.join("a.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let output = chexbox(&["deidentify", "--out"]).arg(scratch.join("png")).arg(scratch.join("a.png")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_dir(scratch.join("png")).unwrap().count(), 0);
}
