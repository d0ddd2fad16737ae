//! Promise: a worked day. A modality sends fifty films, five of which must be refused; the box is killed twice in the middle, and the
//! archive is away for a while. At the end the archive holds one structured report and one secondary capture of each film that could be
//! read, no more and no less, and the list tells the same story.
//!
//! Real films where they are present, drawn ones otherwise; dcmtk's storescu is the modality, Orthanc the archive.

use super::browser::webdriver::Browser;
use super::daemon::Daemon;
use super::data::real;
use super::dicom_file::DicomFile;
use super::dicom_objects::tool;
use super::orthanc::{Orthanc, free_port};
use super::run::{Scratch, chexbox, run, stderr, stdout};
use chexbox::radiograph::drawn::DrawnFilm;
use chexbox::store::Store;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FILMS: usize = 50;
/// What happens, and before which film.
const EVENTS: [(usize, Event); 4] =
    [(7, Event::ArchiveGoes), (14, Event::BoxDies), (33, Event::BoxDies), (42, Event::ArchiveComesBack)];
/// Longest wait for anything that happens by itself.
const PATIENCE: Duration = Duration::from_secs(300);

const STRUCTURED_REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.33";
const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";

#[derive(Clone, Copy, Debug)]
enum Event {
    ArchiveGoes,
    BoxDies,
    ArchiveComesBack,
}

/// Why these films must be refused, and what about each of them says so.
fn refused(place: usize, film: DicomFile) -> Option<(&'static str, DicomFile)> {
    match place {
        4 => Some(("wrong_modality", film.with((0x0008, 0x0060), "CS", "MG"))),
        13 => Some(("wrong_body_part", film.with((0x0018, 0x0015), "CS", "HAND"))),
        22 => Some(("not_frontal", film.with((0x0018, 0x5101), "CS", "LL"))),
        31 => Some(("too_young", film.with((0x0010, 0x1010), "AS", "004Y"))),
        40 => Some(("blank_film", film.with((0x7FE0, 0x0010), "OB", vec![90_u8; 512 * 512]))),
        _ => None,
    }
}

/// Grey pictures of 512 x 512 pixels: real ones, then drawn ones.
fn pictures() -> Vec<Vec<u8>> {
    let folder = real("radiographs/nih512", "the real films of the worked day");
    let files = folder.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "jpg")).collect();
    files.sort();
    let real = files.iter().take(40).map(|file| image::open(file).unwrap().into_luma8());
    let real = real.filter(|picture| picture.dimensions() == (512, 512)).map(image::GrayImage::into_raw);
    let drawn = (0..).map(|seed| DrawnFilm { width: 512, height: 512, seed }.png());
    let drawn = drawn.map(|png| image::load_from_memory(&png).unwrap().into_luma8().into_raw());
    real.chain(drawn).take(FILMS).collect()
}

/// A film of the day.
struct Film {
    path: PathBuf,
    instance: String,
    study: String,
    refusal: Option<&'static str>,
}

/// The films as the modality has them.
fn films(scratch: &Scratch) -> Vec<Film> {
    let film = |(place, samples): (usize, Vec<u8>)| {
        let uid = |what: usize| format!("2.25.{}", 1_000 * (place + 1) + what);
        let file = DicomFile::chest8(512, 512, &samples)
            .with((0x0008, 0x0018), "UI", uid(1).as_str())
            .with((0x0020, 0x000D), "UI", uid(2).as_str())
            .with((0x0020, 0x000E), "UI", uid(3).as_str())
            .with((0x0010, 0x0010), "PN", format!("DAY^PATIENT {place}").as_str())
            .with((0x0010, 0x0020), "LO", format!("DAY-{place:02}").as_str());
        let (refusal, file) = match refused(place, file.clone()) {
            Some((code, file)) => (Some(code), file),
            None => (None, file),
        };
        let path = scratch.join(&format!("film-{place:02}.dcm"));
        std::fs::write(&path, file.bytes()).unwrap();
        Film { path, instance: uid(1), study: uid(2), refusal }
    };
    pictures().into_iter().enumerate().map(film).collect()
}

/// The two processes of a box: the service and the one that sends on.
struct Appliance {
    service: Daemon,
    forwarder: Child,
    port: String,
}

impl Appliance {
    fn start(config: &Path, log: &Path) -> Self {
        let config = config.to_str().unwrap();
        let mut command = chexbox(&["serve", "--config", config]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let service = Daemon::of(command);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = chexbox(&["forward", "--config", config]);
        let forwarder = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        let port = loop {
            let said = service.log();
            let port = said.lines().find_map(|line| line.split_once("DICOM as CHEXBOX at 127.0.0.1:"));
            if let Some((_, port)) = port {
                break port.trim().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "{said}");
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { service, forwarder, port }
    }

    /// As a power failure would have it: both at once, in the middle of whatever they do.
    fn kill(mut self) {
        self.service.signal("KILL");
        self.forwarder.kill().unwrap();
        self.service.ended();
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.forwarder.kill();
        let _ = self.forwarder.wait();
    }
}

/// Sends what waits in one association; gives what was not acknowledged. `before` is told before each film how many of this
/// association were acknowledged.
fn send(port: &str, waiting: Vec<PathBuf>, mut before: impl FnMut(usize)) -> Vec<PathBuf> {
    let mut command = Command::new("sh");
    command.args(["-c", "exec storescu -v --no-halt -aet ROOM1 -aec CHEXBOX 127.0.0.1 \"$@\" 2>&1", "sh", port]).args(&waiting);
    let mut modality = command.stdout(Stdio::piped()).spawn().unwrap();
    let (mut sending, mut acknowledged) = (None, BTreeSet::new());
    for line in BufReader::new(modality.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some((_, file)) = line.split_once("Sending file: ") {
            sending = Some(PathBuf::from(file.trim()));
            before(acknowledged.len());
        } else if line.contains("Received Store Response (Success)") {
            acknowledged.extend(sending.take());
        }
    }
    modality.wait().unwrap();
    waiting.into_iter().filter(|film| !acknowledged.contains(film)).collect()
}

/// The objects in the archive: SOP class and the film that each is of, with its study.
fn held(archive: &Orthanc) -> Vec<(String, String, String)> {
    let instances = archive.json("/instances");
    let of = |id: &Value| {
        let tags = archive.json(&format!("/instances/{}/simplified-tags", id.as_str().unwrap()));
        let film = match tags["SOPClassUID"].as_str().unwrap() {
            STRUCTURED_REPORT => {
                let series = &tags["CurrentRequestedProcedureEvidenceSequence"][0]["ReferencedSeriesSequence"][0];
                &series["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"]
            }
            _ => &tags["SourceImageSequence"][0]["ReferencedSOPInstanceUID"],
        };
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{tags}")).to_owned();
        (text(&tags["SOPClassUID"]), text(film), text(&tags["StudyInstanceUID"]))
    };
    instances.as_array().unwrap().iter().map(of).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn at_the_end_of_the_day_the_archive_and_the_list_hold_each_film_once() {
    let what = "the worked day";
    let (Some(orthanc), Some(_)) = (tool("Orthanc", what), tool("storescu", what)) else { return };
    let scratch = Scratch::new("worked-day");
    let films = films(&scratch);
    let port = free_port();
    let opened = || Some(Orthanc::archive(&orthanc, scratch.path(), "PACS", port, None));
    let mut archive = opened();
    let (config, state, log) = (scratch.join("chexbox.toml"), scratch.join("state"), scratch.join("forward.log"));
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nstate = {state:?}\nmodel = [\"findings25\"]\ndicom = \"0\"\ndicom-peer = [\"ROOM1@127.0.0.1\"]\n\
         forward-lang = \"zh\"\n[[forward]]\nname = \"pacs\"\nto = \"dicom://PACS@127.0.0.1:{port}\"\n"
    );
    std::fs::write(&config, text).unwrap();

    let mut waiting: Vec<PathBuf> = films.iter().map(|film| film.path.clone()).collect();
    let mut running = Some(Appliance::start(&config, &log));
    let mut events = EVENTS.iter().peekable();
    while !waiting.is_empty() {
        let (done, port) = (FILMS - waiting.len(), running.as_ref().unwrap().port.clone());
        waiting = send(&port, waiting, |acknowledged| {
            while let Some((_, event)) = events.next_if(|(at, _)| *at <= done + acknowledged) {
                match event {
                    Event::ArchiveGoes => drop(archive.take()),
                    Event::BoxDies => running.take().into_iter().for_each(Appliance::kill),
                    Event::ArchiveComesBack => archive = opened(),
                }
            }
        });
        running.get_or_insert_with(|| Appliance::start(&config, &log));
    }
    assert!(events.next().is_none(), "not everything happened that was to happen");
    let (archive, day) = (archive.unwrap(), running.unwrap());
    let sent = || Store::open_beside(&state).unwrap().outbox_waiting().unwrap() == 0;
    until(&format!("sending on ({})", log.display()), sent);

    let could_be_read = films.iter().filter(|film| film.refusal.is_none());
    let mut want: Vec<_> = could_be_read
        .flat_map(|f| [STRUCTURED_REPORT, SECONDARY_CAPTURE].map(|class| (class.to_owned(), f.instance.clone(), f.study.clone())))
        .collect();
    let mut found = held(&archive);
    want.sort();
    found.sort();
    assert_eq!(want.len(), 2 * (FILMS - 5));
    assert!(found == want, "the archive holds {found:?}");

    let listed = day.service.get("/v1/readings?limit=200").json();
    let readings = listed["readings"].as_array().unwrap();
    let code = |reading: &Value| reading["refusal"]["code"].as_str().map(str::to_owned);
    let story: BTreeMap<String, Option<String>> =
        readings.iter().map(|r| (r["patient"]["id"].as_str().unwrap().to_owned(), code(r))).collect();
    let told: BTreeMap<String, Option<String>> =
        films.iter().enumerate().map(|(place, film)| (format!("DAY-{place:02}"), film.refusal.map(str::to_owned))).collect();
    assert_eq!((readings.len(), story), (FILMS, told));
    seen_on_the_page(&day.service, &films);

    let audit = run(&["audit", "verify", "--state", state.to_str().unwrap()]);
    assert!(audit.status.success(), "{}{}", stdout(&audit), stderr(&audit));
}

/// What somebody sees who opens the page at the end of the day.
fn seen_on_the_page(service: &Daemon, films: &[Film]) {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "the list of the worked day on the page") else { return };
    browser.go(&format!("http://{}/", service.address));
    browser.until("document.body.dataset.ready === ''");
    browser.until("document.querySelectorAll('#days a').length >= 40");
    browser.run("document.getElementById('list-more').hidden || document.getElementById('list-more').click()");
    browser.until(&format!("document.querySelectorAll('#days a').length === {FILMS}"));
    let refused = browser.run("return document.querySelectorAll('#days a.refused').length");
    assert_eq!(refused, films.iter().filter(|film| film.refusal.is_some()).count());
}
