//! What must hold of the reading of any bytes whatever. Replayed over the corpus by the tests of the
//! main package and of this one, and over mutations of it by this package's program.

use chexbox::lang::Lang;
use chexbox::limits::{PIXELS_MAX, SIDE_MAX_PX, SIDE_MIN_PX};
use chexbox::radiograph::{Lineage, Radiograph, Refusal, decode, deidentify, identity, memory_estimate};

/// Part of the text in the identifying attributes of every corpus file.
const PLANTED: &str = "Planted^";

/// Any bytes are a film within all bounds or a refusal that says why in both languages; neither
/// carries what stands in the identifying attributes, and a second reading agrees with the first. The
/// memory it takes can be told before, and no identity shows anything of itself. One word says what came of them.
pub fn radiograph_never_lies(bytes: &[u8]) -> &'static str {
    let outcome = decode(bytes);
    match &outcome {
        Ok(film) => film_is_sound(film),
        Err(refusal) => refusal_is_sound(refusal),
    }
    let again = decode(bytes);
    assert_eq!(outcome.as_ref().err(), again.as_ref().err(), "two readings of the same bytes differ");
    assert!(memory_estimate(bytes) >= bytes.len() as u64, "less memory than the file itself");
    if let Ok(who) = identity(bytes) {
        assert_eq!(format!("{who:?} {who}"), "PatientIdentity(redacted) redacted");
    }
    if let Ok(lineage) = Lineage::of(bytes) {
        assert_eq!(format!("{lineage:?}"), "Lineage(redacted)");
    }
    copy_is_sound(bytes, outcome.as_ref().ok());
    outcome.map_or_else(|refusal| refusal.code().as_str(), |_| "read")
}

/// A copy without its patient is a DICOM file that can be copied again, has no identity, and the same pixels.
fn copy_is_sound(bytes: &[u8], film: Option<&Radiograph>) {
    let copy = match deidentify(bytes, b"the property's key") {
        Ok(copy) => copy.file,
        Err(refusal) => return refusal_is_sound(&refusal),
    };
    let who = identity(&copy).expect("a copy is DICOM");
    assert_eq!((who.name(), who.birth_date(), who.accession()), (None, None, None));
    if let Err(refusal) = deidentify(&copy, b"another") {
        panic!("a copy cannot be copied: {}", refusal.detail());
    }
    if let (Some(film), Ok(again)) = (film, decode(&copy)) {
        assert!(film.grey.samples() == again.grey.samples(), "the copy has other pixels");
    }
}

fn film_is_sound(film: &Radiograph) {
    let (width, height) = (film.grey.width(), film.grey.height());
    let (shorter, longer) = (width.min(height) as u64, width.max(height) as u64);
    assert!(shorter >= u64::from(SIDE_MIN_PX) && longer <= u64::from(SIDE_MAX_PX), "{width} x {height}");
    assert!(shorter * longer <= PIXELS_MAX, "{width} x {height}");
    assert_eq!(film.grey.samples().len(), width * height);
    assert_eq!(film.grey.tone().len(), film.grey.samples().levels());
    assert!(film.grey.tone().iter().all(|t| (0.0..=1.0).contains(t)), "a tone is no grey");
    assert_eq!(film.facts.columns * film.facts.rows, width * height);
    assert!((1..=16).contains(&film.facts.bits), "{} bits", film.facts.bits);
    assert!(film.facts.age_years.is_none_or(|age| age <= 150));
    assert_eq!(film.steps.first().map(|s| s.step), Some("decode"));
    let shown = format!("{:?} {:?}", film.facts, film.steps);
    assert!(!shown.contains(PLANTED), "identity in the record: {shown}");
}

fn refusal_is_sound(refusal: &Refusal) {
    assert!(!refusal.detail().is_empty(), "{} without a detail", refusal.code().as_str());
    assert!(refusal.detail().len() < 400, "a detail of {} bytes", refusal.detail().len());
    for lang in [Lang::En, Lang::Zh] {
        assert!(!refusal.message(lang).is_empty() && !refusal.remedy(lang).is_empty());
    }
    let shown = format!("{refusal} {refusal:?} {}", refusal.message(Lang::Zh));
    assert!(!shown.contains(PLANTED), "identity in a refusal: {shown}");
}
