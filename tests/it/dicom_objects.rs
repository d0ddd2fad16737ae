//! DICOM objects and FHIR bundles: judged by others' programs, not by our own reader. dciodvfy finds no error in them, pydicom and
//! highdicom read back what the record says, Orthanc stores and shows them, the FHIR schema accepts them. `tools/dicom_tools.sh` installs these; a test
//! whose program is missing says what it skipped.

use super::daemon::{Daemon, state};
use super::dicom_file::{DicomFile, PLANTED};
use super::orthanc::Orthanc;
use super::run::{Scratch, chexbox, records, stderr, stdout};
use chexbox::radiograph::Samples;
use chexbox::radiograph::drawn::DrawnFilm;
use dicom_core::Tag;
use dicom_object::InMemDicomObject;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SIDE: u16 = 320;
/// What lowers the operating points so far that the drawn film has positive findings.
const LOW: [&str; 4] = ["--threshold", "pneumothorax=0.000001", "--threshold", "nodule=0.000001"];

/// Sixteen-bit samples of a drawn film.
pub fn samples() -> Vec<u16> {
    let film = DrawnFilm { width: SIDE.into(), height: SIDE.into(), seed: 11 }.draw_u16();
    match film.samples() {
        Samples::U16(v) => v.clone(),
        Samples::U8(v) => v.iter().map(|s| u16::from(*s) << 8).collect(),
    }
}

/// A drawn film as a modality would send it: with a study, a machine and a patient.
pub fn film(name: &[u8], charset: &str) -> DicomFile {
    filed(DicomFile::chest(SIDE, SIDE, &samples())).with((0x0008, 0x0005), "CS", charset).with(
        (0x0010, 0x0010),
        "PN",
        name.to_vec(),
    )
}

/// The same identity on any drawn file.
pub fn filed(file: DicomFile) -> DicomFile {
    file.with((0x0008, 0x0018), "UI", "1.2.826.0.1.3680043.10.1.1")
        .with((0x0008, 0x0030), "TM", "101530.25")
        .with((0x0008, 0x0050), "SH", "A0815")
        .with((0x0008, 0x0070), "LO", "Drawn Machines")
        .with((0x0008, 0x0090), "PN", "Ward^One")
        .with((0x0008, 0x1090), "LO", "Crayon 3")
        .with((0x0010, 0x0010), "PN", PLANTED)
        .with((0x0010, 0x0020), "LO", "MRN-4711")
        .with((0x0010, 0x0040), "CS", "F")
        .with((0x0020, 0x000D), "UI", "1.2.826.0.1.3680043.10.1.2")
        .with((0x0020, 0x000E), "UI", "1.2.826.0.1.3680043.10.1.3")
        .with((0x0020, 0x0010), "SH", "S1")
}

/// Three films that differ in character set, polarity and coding.
fn films() -> Vec<(&'static str, DicomFile)> {
    let inverted: Vec<u16> = samples().iter().map(|v| u16::MAX - v).collect();
    let eight: Vec<u8> = samples().iter().map(|v| v.to_be_bytes()[0]).collect();
    // Wang^XiaoDong=王^小东 in GB 18030.
    let gb18030 = [b"Wang^XiaoDong=".as_slice(), &[0xCD, 0xF5], b"^", &[0xD0, 0xA1, 0xB6, 0xAB]].concat();
    vec![
        ("utf8", film("Wang^XiaoDong=王^小东".as_bytes(), "ISO_IR 192")),
        ("inverted", filed(DicomFile::chest(SIDE, SIDE, &inverted)).with((0x0028, 0x0004), "CS", "MONOCHROME1")),
        (
            "gb18030",
            filed(DicomFile::chest8(SIDE, SIDE, &eight).jpeg(4_000)).with((0x0008, 0x0005), "CS", "GB18030").with(
                (0x0010, 0x0010),
                "PN",
                gb18030,
            ),
        ),
    ]
}

fn read(scratch: &Scratch, name: &str, bytes: &[u8], options: &[&str]) -> Output {
    let (path, out) = (scratch.join(&format!("{name}.dcm")), scratch.join("out"));
    std::fs::write(&path, bytes).unwrap();
    let mut command = chexbox(&["read", "--json"]);
    for kind in ["--sr", "--sc", "--gsps", "--fhir"] {
        command.arg(kind).arg(&out);
    }
    command.args(options).arg(path).output().unwrap()
}

fn object(scratch: &Scratch, name: &str, kind: &str) -> PathBuf {
    scratch.join(&format!("out/{name}.findings25.{kind}"))
}

/// A program of others', or a line that says what was skipped.
pub fn tool(program: &str, what: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: {what} ({program} is not installed; tools/dicom_tools.sh)");
    }
    found
}

fn given(variable: &str, what: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    if value.is_none() {
        println!("skipped: {what} ({variable} names no file; eval \"$(tools/dicom_tools.sh)\")");
    }
    value
}

/// What `tools/check_objects.py` says of a file.
fn judged(python: &Path, kind: &str, file: &Path, beside: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_objects.py");
    let output = Command::new(python).arg(script).arg(kind).arg(file).arg(beside).output().unwrap();
    assert!(output.status.success(), "{kind}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The errors that dciodvfy finds.
pub fn errors(dciodvfy: &Path, file: &Path) -> Vec<String> {
    let output = Command::new(dciodvfy).arg(file).output().unwrap();
    let text = stderr(&output) + &stdout(&output);
    text.lines().filter(|line| line.starts_with("Error") || line.starts_with("Abort")).map(str::to_owned).collect()
}

#[test]
fn dciodvfy_finds_no_error_in_any_object() {
    let Some(dciodvfy) = tool("dciodvfy", "the judgement of the objects by dciodvfy") else { return };
    let scratch = Scratch::new("objects-dciodvfy");
    for (name, film) in films() {
        for options in [LOW.as_slice(), &["--lang", "zh"]] {
            let output = read(&scratch, name, &film.bytes(), options);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
            for kind in ["sr.dcm", "sc.dcm", "gsps.dcm"] {
                assert_eq!(errors(&dciodvfy, &object(&scratch, name, kind)), Vec::<String>::new(), "{name} {kind} {options:?}");
            }
        }
    }
    // The judge does judge: a report without its type 1 attributes is full of errors.
    let bare = DicomFile::chest(2, 2, &[0; 4]).with((0x0008, 0x0016), "UI", "1.2.840.10008.5.1.4.1.1.88.33");
    std::fs::write(scratch.join("bare.dcm"), bare.bytes()).unwrap();
    assert_ne!(errors(&dciodvfy, &scratch.join("bare.dcm")), Vec::<String>::new());
}

#[test]
fn pydicom_and_highdicom_read_back_what_the_record_says() {
    let Some(python) = given("CHEXBOX_DICOM_PYTHON", "reading the objects back with pydicom and highdicom") else { return };
    let scratch = Scratch::new("objects-readback");
    for (name, film) in films() {
        let output = read(&scratch, name, &film.bytes(), &LOW);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let record = records(&output).remove(0);
        let source = scratch.join(&format!("{name}.dcm"));

        let report = judged(&python, "sr", &object(&scratch, name, "sr.dcm"), &source);
        let (said, found) = (record["findings"].as_array().unwrap(), report["findings"].as_array().unwrap());
        let trained: Vec<&Value> = said.iter().filter(|f| f["trained"] == true).collect();
        assert_eq!(trained.len(), found.len());
        for (said, found) in trained.iter().zip(found) {
            assert_eq!((&said["id"], &said["positive"]), (&found["id"], &found["positive"]));
            for number in ["probability", "threshold"] {
                let (said, found) = (said[number].as_f64().unwrap(), found[number].as_f64().unwrap());
                assert!((said - found).abs() <= 1e-8, "{number}: {said} {found}");
            }
            let model = &record["model"];
            assert_eq!((&found["model"][0], &found["model"][1]), (&model["name"], &model["version"]));
            assert!(found["model"][2].as_str().unwrap().contains(model["sha256"].as_str().unwrap()));
        }
        let comments = report["comments"].to_string();
        assert!(
            comments.contains("not for diagnosis without review") && comments.contains("Unavailable (untrained)"),
            "{comments}"
        );

        let capture = judged(&python, "sc", &object(&scratch, name, "sc.dcm"), &source);
        assert!(capture["rows"].as_u64() > Some(400), "{capture}");

        let state = judged(&python, "gsps", &object(&scratch, name, "gsps.dcm"), &source);
        assert_eq!(state["shape"], if name == "inverted" { "INVERSE" } else { "IDENTITY" });
        let (entries, bytes) = if name == "gb18030" { (256, 512) } else { (0, 131_072) };
        assert_eq!((&state["descriptor"][0], &state["lut_bytes"]), (&entries.into(), &bytes.into()), "{name}");
        assert!(state["texts"].to_string().contains("Pneumothorax") || state["texts"].to_string().contains("Nodule"), "{state}");
        assert!(!state["boxes"].as_array().unwrap().is_empty());
    }
}

#[test]
fn fhir_bundles_are_valid_after_the_schema_of_r4() {
    let Some(python) = given("CHEXBOX_DICOM_PYTHON", "the FHIR schema's judgement") else { return };
    let Some(schema) = given("CHEXBOX_FHIR_SCHEMA", "the FHIR schema's judgement") else { return };
    let scratch = Scratch::new("objects-fhir");
    for lang in ["en", "zh"] {
        let output = read(&scratch, "a", &film(b"DOE^JANE", "ISO_IR 192").bytes(), &["--lang", lang]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let kinds = judged(&python, "fhir", &object(&scratch, "a", "fhir.json"), &schema)["kinds"].to_string();
        assert!(kinds.contains("DiagnosticReport") && kinds.contains("Observation") && kinds.contains("Device"), "{kinds}");
    }
}

#[test]
fn the_bundle_of_a_stored_reading_says_what_its_record_says_and_is_valid() {
    let scratch = Scratch::new("objects-fhir-stored");
    let daemon = Daemon::start(&state(&scratch), &["--threshold", "pneumothorax=0.000001"]);
    let read = daemon.read("", &film(b"DOE^JANE", "ISO_IR 192").bytes()).json();
    let address = read["links"]["fhir"].as_str().unwrap_or_else(|| panic!("{read}"));
    for lang in ["en", "zh"] {
        let answer = daemon.get(&format!("{address}?lang={lang}"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/fhir+json")), "{}", answer.text());
        let bundle = answer.json();
        let entries: Vec<&Value> = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
        assert_eq!(entries[0]["subject"]["identifier"]["value"], "MRN-4711");
        assert_eq!(entries[0]["basedOn"][0]["identifier"]["value"], "A0815");
        assert_eq!((&entries[0]["issued"], &entries[0]["id"]), (&read["created"], &read["id"]));
        assert!(!answer.text().contains("DOE"), "{}", answer.text());
        let said: Vec<(f64, f64, bool)> = entries
            .iter()
            .filter(|entry| entry["resourceType"] == "Observation")
            .map(|o| {
                let number = |value: &Value| value["value"].as_f64().unwrap();
                let positive = o["interpretation"][0]["coding"][0]["code"] == "POS";
                (number(&o["valueQuantity"]), number(&o["component"][0]["valueQuantity"]), positive)
            })
            .collect();
        let findings = read["findings"].as_array().unwrap().iter().filter(|f| f["trained"] == true);
        let number = |value: &Value| value.as_f64().unwrap();
        let want: Vec<_> =
            findings.map(|f| (number(&f["probability"]), number(&f["threshold"]), f["positive"] == true)).collect();
        assert_eq!(said, want);
        assert!(want.iter().any(|w| w.2) && want.iter().any(|w| !w.2), "both calls are there: {want:?}");
        let file = scratch.join("stored.fhir.json");
        std::fs::write(&file, &answer.body).unwrap();
        let what = "the FHIR schema's judgement of a stored reading";
        if let (Some(python), Some(schema)) = (given("CHEXBOX_DICOM_PYTHON", what), given("CHEXBOX_FHIR_SCHEMA", what)) {
            let kinds = judged(&python, "fhir", &file, &schema)["kinds"].to_string();
            assert!(kinds.contains("DiagnosticReport") && kinds.contains("Observation"), "{kinds}");
        }
    }
    let picture = daemon.read("", &DrawnFilm { width: 256, height: 256, seed: 4 }.png()).json();
    let of_picture = daemon.get(picture["links"]["fhir"].as_str().unwrap()).json();
    assert_eq!(of_picture["entry"][0]["resource"].get("subject"), None);
    let refused = daemon.read("", b"no film").json();
    let record = daemon.get(&format!("/v1/readings/{}", refused["reading"].as_str().unwrap())).json();
    assert_eq!(record["links"]["fhir"], Value::Null);
    let none = daemon.get(&format!("/v1/readings/{}/fhir", record["id"].as_str().unwrap()));
    assert_eq!((none.status, &none.json()["code"]), (404, &"nothing_to_report".into()));
}

#[test]
fn a_bundle_names_the_patient_by_identifier_alone() {
    let scratch = Scratch::new("objects-fhir-patient");
    assert!(read(&scratch, "a", &film(b"DOE^JANE", "ISO_IR 192").bytes(), &[]).status.success());
    let text = std::fs::read_to_string(object(&scratch, "a", "fhir.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let report = &bundle["entry"][0]["resource"];
    assert_eq!(report["subject"]["identifier"]["value"], "MRN-4711");
    assert_eq!(report["imagingStudy"][0]["identifier"]["value"], "urn:oid:1.2.826.0.1.3680043.10.1.2");
    assert_eq!((&report["effectiveDateTime"], &report["status"]), (&"2020-01-01".into(), &"preliminary".into()));
    assert!(!text.contains("DOE") && !text.contains("1951"), "{text}");
}

#[test]
fn orthanc_stores_and_shows_the_objects_and_holds_each_once() {
    let Some(program) = tool("Orthanc", "storing the objects in Orthanc") else { return };
    let scratch = Scratch::new("objects-orthanc");
    let bytes = film("Wang^XiaoDong=王^小东".as_bytes(), "ISO_IR 192").bytes();
    let orthanc = Orthanc::start(&program, scratch.path());
    orthanc.post("/instances", &bytes);
    // Read and sent twice, as after a crash.
    for _ in 0..2 {
        assert!(read(&scratch, "a", &bytes, &LOW).status.success());
        for kind in ["sr.dcm", "sc.dcm", "gsps.dcm"] {
            orthanc.post("/instances", &std::fs::read(object(&scratch, "a", kind)).unwrap());
        }
    }
    let studies = orthanc.json("/studies?expand");
    let study = &studies[0];
    assert_eq!((studies.as_array().unwrap().len(), study["Series"].as_array().unwrap().len()), (1, 4), "{studies}");
    assert_eq!(study["PatientMainDicomTags"]["PatientName"], "Wang^XiaoDong=王^小东");
    let instances = orthanc.json("/instances?expand");
    assert_eq!(instances.as_array().unwrap().len(), 4);
    let modalities: BTreeSet<String> =
        orthanc.json("/series?expand").as_array().unwrap().iter().map(|s| s["MainDicomTags"]["Modality"].to_string()).collect();
    assert_eq!(modalities, ["\"CR\"", "\"OT\"", "\"PR\"", "\"SR\""].map(str::to_owned).into());
    let series = orthanc.json("/series?expand");
    let capture = series.as_array().unwrap().iter().find(|s| s["MainDicomTags"]["Modality"] == "OT").unwrap();
    let preview = orthanc.get(&format!("/instances/{}/preview", capture["Instances"][0].as_str().unwrap()));
    let shown = image::load_from_memory(&preview).unwrap();
    assert!(shown.width() == 1_720 && shown.color().has_color(), "{:?}", shown.color());
}

/// SOP Instance UID and elements of an object, its times aside.
pub fn timeless(path: &Path) -> (String, Vec<String>) {
    let object: InMemDicomObject = dicom_object::open_file(path).unwrap().into_inner();
    let instance = object.get(Tag(0x0008, 0x0018)).unwrap().to_str().unwrap().into_owned();
    // Creation and content times, and Contributing Equipment, which has one.
    let times = [0x0008_0012, 0x0008_0013, 0x0008_0023, 0x0008_0033, 0x0018_A001, 0x0070_0082, 0x0070_0083];
    let number = |tag: Tag| u32::from(tag.group()) << 16 | u32::from(tag.element());
    let lines = object.iter().filter(|e| !times.contains(&number(e.header().tag)));
    (instance, lines.map(|element| format!("{element:?}")).collect())
}

#[test]
fn the_same_reading_gives_the_same_objects_and_another_gives_others() {
    let scratch = Scratch::new("objects-same");
    let bytes = film(b"DOE^JANE", "ISO_IR 192").bytes();
    let made = |options: &[&str], bytes: &[u8]| -> Vec<(String, Vec<String>)> {
        assert!(read(&scratch, "a", bytes, options).status.success());
        ["sr.dcm", "sc.dcm", "gsps.dcm"].map(|kind| timeless(&object(&scratch, "a", kind))).to_vec()
    };
    let (first, again) = (made(&[], &bytes), made(&["--threads", "1"], &bytes));
    assert!(first == again, "the objects of one reading differ");
    let other_film = film(b"DOE^JANE", "ISO_IR 192").with((0x0008, 0x0018), "UI", "1.2.826.0.1.3680043.10.1.9").bytes();
    for (options, bytes) in [(["--threshold", "nodule=0.5"], &bytes), (["--lang", "zh"], &bytes), (["--lang", "en"], &other_film)]
    {
        for (one, other) in first.iter().zip(made(&options, bytes)) {
            assert_ne!(one.0, other.0, "{options:?}");
        }
    }
}

#[test]
fn a_film_without_a_study_is_read_and_gets_no_object() {
    let scratch = Scratch::new("objects-nostudy");
    let png = DrawnFilm { width: 320, height: 320, seed: 11 }.png();
    let no_study = film(b"DOE^JANE", "ISO_IR 192").without((0x0020, 0x000D)).bytes();
    for (name, bytes, why) in [("png", png, "not DICOM"), ("nostudy", no_study, "StudyInstanceUID (0020,000D)")] {
        let output = read(&scratch, name, &bytes, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(records(&output)[0]["status"], "read");
        assert!(stderr(&output).contains("no DICOM objects were made") && stderr(&output).contains(why), "{}", stderr(&output));
        assert!(!object(&scratch, name, "sr.dcm").exists() && !object(&scratch, name, "sc.dcm").exists());
        let bundle: Value = serde_json::from_slice(&std::fs::read(object(&scratch, name, "fhir.json")).unwrap()).unwrap();
        assert!(bundle["entry"][0]["resource"].get("subject").is_none());
    }
}

#[test]
fn what_is_printed_names_no_patient_and_a_refused_film_has_no_object() {
    let scratch = Scratch::new("objects-names");
    let read_one = read(&scratch, "a", &filed(DicomFile::chest(SIDE, SIDE, &samples())).bytes(), &[]);
    assert!(read_one.status.success());
    let refused = read(&scratch, "ct", &film(PLANTED.as_bytes(), "ISO_IR 192").with((0x0008, 0x0060), "CS", "CT").bytes(), &[]);
    assert_eq!(refused.status.code(), Some(1));
    for output in [&read_one, &refused] {
        assert!(!stdout(output).contains(PLANTED) && !stderr(output).contains(PLANTED));
    }
    assert!(!object(&scratch, "ct", "sr.dcm").exists() && !object(&scratch, "ct", "fhir.json").exists());
}
