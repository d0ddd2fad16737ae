//! Whether a DICOM header speaks of a frontal chest film. Decided before any pixel is decoded.
//!
//! The rules, in order:
//! 1. SOP Class (0008,0016): Computed Radiography, Digital X-Ray or Secondary Capture, or absent;
//!    another known class of images is another modality.
//! 2. Modality (0008,0060): `CR`, `DX` or `RG`. `OT` or absent is read only in a Secondary Capture
//!    or a file without a class, and only where the body part says chest. Anything else is another modality.
//! 3. Body Part Examined (0018,0015): chest, thorax or lung, in any case, also 胸部. Absent: the code
//!    of the Anatomic Region Sequence (0008,2218) if it is a SNOMED one, otherwise left to the pixels.
//! 4. View Position (0018,5101): `PA` or `AP`, also with a supplement (`AP_SUPINE`, 后前位). Absent:
//!    Patient Position (0018,5100) where a writer put the projection there; its defined terms
//!    (`HFS` and so on) say how the patient lies and are ignored, any other value is refused. Both
//!    absent: a lateral or oblique code of the View Code Sequence (0054,0220) is refused, otherwise
//!    left to the pixels.
//! 5. Patient Orientation (0020,0020): rows that run from front to back or back to front are a lateral.
//! 6. Series Description (0008,103E): where no attribute states the view, one that speaks of a lateral and of no frontal view is refused.
//! 7. Presentation Intent Type (0008,0068): `FOR PROCESSING` is raw detector data and refused.

use super::header::{Header, chinese, named, quoted};
use super::refusal::{Code, Refusal};
use dicom_dictionary_std::tags;

const COMPUTED_RADIOGRAPHY: &str = "1.2.840.10008.5.1.4.1.1.1";
const DIGITAL_XRAY: &str = "1.2.840.10008.5.1.4.1.1.1.1";
const DIGITAL_XRAY_FOR_PROCESSING: &str = "1.2.840.10008.5.1.4.1.1.1.1.1";
const SECONDARY_CAPTURES: [&str; 5] = [
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.1",
    "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.7.4",
];

/// Words that mean the chest, and words that mean a part of it shown for itself or more than it.
const CHEST: [&str; 4] = ["CHEST", "THORAX", "LUNG", "LUNGS"];
const NOT_THE_CHEST: [&str; 12] =
    ["ABDOMEN", "RIB", "RIBS", "RIBCAGE", "SPINE", "STERNUM", "CLAVICLE", "NECK", "PELVIS", "SHOULDER", "HEAD", "EXTREMITY"];
/// SNOMED codes, new and old form, of chest, thorax, lung and the inside of the thorax.
const CHEST_CODES: [&str; 8] = ["816094009", "51185008", "39607008", "43799004", "T-D3000", "T-28000", "T-D3200", "T-D3050"];

/// Defined terms of Patient Position (PS3.3 C.7.3.1.1.2).
const PATIENT_POSITIONS: [&str; 18] = [
    "HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS", "LFP", "LFS", "RFP", "RFS", "AFDR", "AFDL", "AFP", "AFS", "PFDR",
    "PFDL",
];
/// Words beside `PA` or `AP` that make a view not frontal or not upright.
const NOT_FRONTAL_WORDS: [&str; 16] = [
    "LAT",
    "LATERAL",
    "LL",
    "RL",
    "LLAT",
    "RLAT",
    "LLD",
    "RLD",
    "LAO",
    "RAO",
    "LPO",
    "RPO",
    "LLO",
    "RLO",
    "OBLIQUE",
    "DECUBITUS",
];
/// SNOMED codes of CID 4010 that are lateral or oblique, new and old form.
const NOT_FRONTAL_CODES: [&str; 28] = [
    "399198007",
    "399173006",
    "399067008",
    "399352003",
    "399260004",
    "399236003",
    "399184004",
    "399182000",
    "399135007",
    "399356000",
    "399038007",
    "399006002",
    "260427002",
    "260426006",
    "R-10232",
    "R-10236",
    "R-102CD",
    "R-10228",
    "R-10224",
    "R-10234",
    "R-10238",
    "R-102C1",
    "R-10220",
    "R-40985",
    "R-10210",
    "R-10212",
    "R-40783",
    "R-40782",
];
const SNOMED_SCHEMES: [&str; 4] = ["SCT", "SRT", "SNM3", "99SDM"];

/// Refuses a header that speaks of anything but a frontal chest film.
///
/// # Errors
/// `WrongModality`, `WrongBodyPart`, `NotFrontal` or, for raw detector data, `UnsupportedEncoding`.
pub(super) fn check(header: &Header<'_>) -> Result<(), Refusal> {
    let sop_class = header.text(tags::SOP_CLASS_UID);
    let body_part = header.text(tags::BODY_PART_EXAMINED).map(|part| chinese(&part));
    modality(sop_class.as_deref(), header.text(tags::MODALITY).as_deref(), body_part.as_deref())?;
    match body_part {
        Some(part) => named_body_part(&part)?,
        None => coded_body_part(snomed_code(header, tags::ANATOMIC_REGION_SEQUENCE).as_deref())?,
    }
    projection(
        header.text(tags::VIEW_POSITION).as_deref(),
        header.text(tags::PATIENT_POSITION).as_deref(),
        snomed_code(header, tags::VIEW_CODE_SEQUENCE).as_deref(),
    )?;
    orientation(header.text(tags::PATIENT_ORIENTATION).as_deref())?;
    if stated_view(header).is_none() {
        description(header.text(tags::SERIES_DESCRIPTION).as_deref())?;
    }
    intent(sop_class.as_deref(), header.text(tags::PRESENTATION_INTENT_TYPE).as_deref())
}

/// What the header says of the projection, wherever it says it: for the record.
pub(super) fn stated_view(header: &Header<'_>) -> Option<String> {
    let view = header.text(tags::VIEW_POSITION).map(|view| chinese(&view));
    view.or_else(|| header.text(tags::PATIENT_POSITION).filter(|p| !is_patient_position(p)))
}

fn modality(sop_class: Option<&str>, modality: Option<&str>, body_part: Option<&str>) -> Result<(), Refusal> {
    let class = sop_class.unwrap_or_default();
    let capture = class.is_empty() || SECONDARY_CAPTURES.contains(&class);
    let film = matches!(class, COMPUTED_RADIOGRAPHY | DIGITAL_XRAY | DIGITAL_XRAY_FOR_PROCESSING);
    let shown = modality.map_or_else(|| "absent".to_owned(), quoted);
    if let Some(known) = modality.filter(|m| !matches!(*m, "CR" | "DX" | "RG" | "OT")) {
        let detail = format!("{} is {}, allowed are CR, DX and RG", named(tags::MODALITY), quoted(known));
        return Err(Refusal::new(Code::WrongModality, detail));
    }
    if !capture && !film {
        let detail = format!(
            "{} is {}, allowed are Computed Radiography, Digital X-Ray and Secondary Capture",
            named(tags::SOP_CLASS_UID),
            class_name(class)
        );
        return Err(Refusal::new(Code::WrongModality, detail));
    }
    let stated = matches!(modality, Some("CR" | "DX" | "RG"));
    let vouched = film || (capture && body_part.is_some_and(|part| named_body_part(part).is_ok()));
    if stated || vouched {
        return Ok(());
    }
    let detail = format!(
        "{} is {shown}, allowed are CR, DX and RG, or OT where {} is CHEST",
        named(tags::MODALITY),
        named(tags::BODY_PART_EXAMINED)
    );
    Err(Refusal::new(Code::WrongModality, detail))
}

/// A SOP class by its number, where it is one of the standard's; a private one may hold anything.
pub(super) fn class_name(class: &str) -> String {
    let standard = class.starts_with("1.2.840.10008.") && class.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if standard && class.len() <= 40 { class.to_owned() } else { "not one of the standard's".to_owned() }
}

fn named_body_part(part: &str) -> Result<(), Refusal> {
    let upper = part.to_uppercase();
    let words: Vec<&str> = words_of(&upper).collect();
    let other = words.iter().any(|word| NOT_THE_CHEST.contains(word)) || upper.contains(['椎', '骨', '锁', '腹', '肋']);
    let chest = words.iter().any(|word| CHEST.contains(word)) || upper.contains(['胸', '肺']);
    if chest && !other {
        return Ok(());
    }
    let detail = format!("{} is {}, allowed are CHEST and THORAX", named(tags::BODY_PART_EXAMINED), quoted(part));
    Err(Refusal::new(Code::WrongBodyPart, detail))
}

fn coded_body_part(code: Option<&str>) -> Result<(), Refusal> {
    match code {
        Some(code) if !CHEST_CODES.contains(&code) => Err(Refusal::new(
            Code::WrongBodyPart,
            format!("the code in {} is {}, allowed are those of the chest", named(tags::ANATOMIC_REGION_SEQUENCE), quoted(code)),
        )),
        _ => Ok(()),
    }
}

fn projection(view: Option<&str>, position: Option<&str>, code: Option<&str>) -> Result<(), Refusal> {
    let not_frontal = |tag, value: &str| {
        let detail = format!("{} is {}, allowed are PA and AP", named(tag), quoted(value));
        Err(Refusal::new(Code::NotFrontal, detail))
    };
    if let Some(view) = view.map(chinese) {
        return if is_frontal(&view) { Ok(()) } else { not_frontal(tags::VIEW_POSITION, &view) };
    }
    if let Some(position) = position.filter(|p| !is_patient_position(p)) {
        return if is_frontal(position) { Ok(()) } else { not_frontal(tags::PATIENT_POSITION, position) };
    }
    match code {
        Some(code) if NOT_FRONTAL_CODES.contains(&code) => Err(Refusal::new(
            Code::NotFrontal,
            format!("the code in {} is {}, a lateral or oblique view", named(tags::VIEW_CODE_SEQUENCE), quoted(code)),
        )),
        _ => Ok(()),
    }
}

/// The direction of the rows is `L` or `R` on a frontal film (PS3.3 C.7.6.1.1.1).
fn orientation(rows: Option<&str>) -> Result<(), Refusal> {
    match rows.map(str::to_uppercase) {
        Some(rows) if rows.starts_with(['A', 'P']) => {
            let detail = format!(
                "the rows of {} run along {}, those of a frontal film along L or R",
                named(tags::PATIENT_ORIENTATION),
                quoted(&rows)
            );
            Err(Refusal::new(Code::NotFrontal, detail))
        }
        _ => Ok(()),
    }
}

/// Free text decides only against a film, and is not quoted: it may hold anything.
fn description(text: Option<&str>) -> Result<(), Refusal> {
    let Some(upper) = text.map(|t| chinese(t).to_uppercase()) else { return Ok(()) };
    let lateral = words_of(&upper).any(|word| matches!(word, "LAT" | "LATERAL")) || upper.contains("侧位");
    let frontal = words_of(&upper).any(|word| matches!(word, "PA" | "AP" | "FRONTAL" | "BILATERAL")) || upper.contains("正位");
    if lateral && !frontal {
        let detail = format!("{} speaks of a lateral and no attribute states the view", named(tags::SERIES_DESCRIPTION));
        return Err(Refusal::new(Code::NotFrontal, detail));
    }
    Ok(())
}

fn is_patient_position(value: &str) -> bool {
    PATIENT_POSITIONS.contains(&value.to_uppercase().as_str())
}

fn is_frontal(view: &str) -> bool {
    let upper = view.to_uppercase();
    let frontal = words_of(&upper).any(|word| matches!(word, "PA" | "AP" | "FRONTAL"))
        || ["后前", "前后", "正位"].iter().any(|word| upper.contains(word));
    let other = words_of(&upper).any(|word| NOT_FRONTAL_WORDS.contains(&word)) || upper.contains(['侧', '斜']);
    frontal && !other
}

fn intent(sop_class: Option<&str>, intent: Option<&str>) -> Result<(), Refusal> {
    let processing = intent.is_some_and(|text| text.eq_ignore_ascii_case("FOR PROCESSING"));
    if processing || sop_class == Some(DIGITAL_XRAY_FOR_PROCESSING) {
        let detail = format!(
            "{} is FOR PROCESSING, raw detector data; allowed is FOR PRESENTATION",
            named(tags::PRESENTATION_INTENT_TYPE)
        );
        return Err(Refusal::new(Code::UnsupportedEncoding, detail));
    }
    Ok(())
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The code of the first item of a code sequence, if its scheme is SNOMED.
fn snomed_code(header: &Header<'_>, sequence: dicom_core::Tag) -> Option<String> {
    let item = header.item(sequence)?;
    let scheme = item.text(tags::CODING_SCHEME_DESIGNATOR)?;
    SNOMED_SCHEMES.contains(&scheme.as_str()).then(|| item.text(tags::CODE_VALUE)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    fn code(result: Result<(), Refusal>) -> Option<Code> {
        result.err().map(|refusal| refusal.code())
    }

    #[test]
    fn projection_radiography_passes_and_every_other_modality_is_refused() {
        for (class, stated, part, refused) in [
            (Some(COMPUTED_RADIOGRAPHY), Some("CR"), None, false),
            (Some(DIGITAL_XRAY), Some("DX"), None, false),
            (Some(CAPTURE), Some("DX"), None, false),
            (Some(CAPTURE), Some("RG"), None, false),
            (Some(CAPTURE), Some("OT"), Some("CHEST"), false),
            (Some(CAPTURE), None, Some("thorax"), false),
            (None, None, Some("CHEST"), false),
            (None, Some("DX"), None, false),
            (Some(DIGITAL_XRAY), None, None, false),
            (Some(CAPTURE), Some("OT"), None, true),
            (Some(CAPTURE), Some("OT"), Some("HAND"), true),
            (None, None, None, true),
            (Some(CAPTURE), Some("CT"), Some("CHEST"), true),
            (Some(CT), Some("CT"), Some("CHEST"), true),
            (Some(CT), Some("CR"), Some("CHEST"), true),
            (Some(CT), None, Some("CHEST"), true),
            (Some(COMPUTED_RADIOGRAPHY), Some("MG"), None, true),
        ] {
            let found = code(modality(class, stated, part));
            assert_eq!(found, refused.then_some(Code::WrongModality), "{class:?} {stated:?} {part:?}");
        }
    }

    #[test]
    fn the_chest_is_recognised_in_any_writing_and_its_bones_are_not_it() {
        for part in ["CHEST", "Chest", "CHEST PA", "THORAX", "LUNG", "胸部", "胸", "胸部正位", "CHEST_1"] {
            assert_eq!(code(named_body_part(part)), None, "{part}");
        }
        for part in
            ["RIBCAGE", "EXTREMITY", "CHEST ABDOMEN", "CHESTABDOMEN", "TSPINE", "THORACIC SPINE", "胸椎", "胸骨", "腹部", "HAND"]
        {
            assert_eq!(code(named_body_part(part)), Some(Code::WrongBodyPart), "{part}");
        }
        for (snomed, refused) in [(None, false), (Some("T-D3000"), false), (Some("51185008"), false), (Some("T-D8700"), true)] {
            assert_eq!(code(coded_body_part(snomed)), refused.then_some(Code::WrongBodyPart), "{snomed:?}");
        }
    }

    #[test]
    fn frontal_views_pass_wherever_they_are_written_and_others_are_refused() {
        for (view, position, snomed) in [
            (Some("PA"), None, None),
            (Some("ap"), None, None),
            (Some("AP_SUPINE"), Some("XX"), None),
            (Some("AP PORTABLE"), None, None),
            (Some("后前位"), None, None),
            (None, Some("PA"), None),
            (None, Some("HFS"), None),
            (None, Some("ffs"), Some("R-10206")),
            (None, None, None),
        ] {
            assert_eq!(code(projection(view, position, snomed)), None, "{view:?} {position:?} {snomed:?}");
        }
        for (view, position, snomed) in [
            (Some("LL"), None, None),
            (Some("RL"), Some("PA"), None),
            (Some("LATERAL"), None, None),
            (Some("PA LAT"), None, None),
            (Some("LLO"), None, None),
            (Some("侧位"), None, None),
            (Some("PATELLA"), None, None),
            (None, Some("XX"), None),
            (None, Some("HFS"), Some("399173006")),
            (None, None, Some("R-10236")),
        ] {
            assert_eq!(code(projection(view, position, snomed)), Some(Code::NotFrontal), "{view:?} {position:?} {snomed:?}");
        }
    }

    #[test]
    fn raw_detector_data_is_refused_by_intent_or_class() {
        assert_eq!(code(intent(None, Some("FOR PROCESSING"))), Some(Code::UnsupportedEncoding));
        assert_eq!(code(intent(Some(DIGITAL_XRAY_FOR_PROCESSING), None)), Some(Code::UnsupportedEncoding));
        assert_eq!(code(intent(Some(DIGITAL_XRAY), Some("FOR PRESENTATION"))), None);
        assert_eq!(code(intent(None, None)), None);
    }

    #[test]
    fn a_refusal_quotes_no_name_that_stands_in_the_wrong_attribute() {
        let refusal = named_body_part("DOE^JANE").unwrap_err();
        assert!(!refusal.detail().contains("JANE"), "{}", refusal.detail());
        assert_eq!(class_name("1.2.3.4711"), "not one of the standard's");
    }
}
