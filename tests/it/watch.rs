//! `chexbox watch`: every film that arrives ends in `done` or `refused`, once, with its record, whatever happens to the watch.

use super::dicom_file::DicomFile;
use super::dicom_objects::{film, samples};
use super::run::{Scratch, chexbox, stderr};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// The films, without what lies beside them, below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn record(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

fn number(at: usize) -> Vec<u8> {
    film(b"DOE^JANE", "ISO_IR 192").with((0x0008, 0x0018), "UI", format!("1.2.826.0.1.3680043.10.2.{at}").as_str()).bytes()
}

fn start(folder: &Path, objects: &Path) -> Child {
    let mut command = chexbox(&["watch", "--settle", "1", "--patience", "2", "--sr"]);
    command.arg(objects).arg(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn films_end_in_done_or_refused_with_their_records_and_reasons() {
    let scratch = Scratch::new("watch-once");
    let inbox = scratch.join("inbox");
    std::fs::create_dir_all(inbox.join("ward")).unwrap();
    let good = film(b"DOE^JANE", "ISO_IR 192").bytes();
    for (name, bytes) in [
        ("a.dcm", good.clone()),
        ("ward/a.dcm", number(2)),
        ("ct.dcm", film(b"DOE^JANE", "ISO_IR 192").with((0x0008, 0x0060), "CS", "CT").bytes()),
        ("half.dcm", good[..good.len() / 2].to_vec()),
        ("empty.dcm", Vec::new()),
        ("sending.dcm.part", good.clone()),
        (".hidden.dcm", good.clone()),
    ] {
        std::fs::write(inbox.join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink(scratch.join("elsewhere.dcm"), inbox.join("link.dcm")).unwrap();
    // One of this name was done before.
    std::fs::create_dir_all(inbox.join("done")).unwrap();
    std::fs::write(inbox.join("done/a.dcm"), b"yesterday's").unwrap();

    let mut command = chexbox(&["watch", "--once", "--settle", "1", "--patience", "2", "--sr"]);
    let output = command.arg(scratch.join("sr")).arg(&inbox).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));

    assert_eq!(names(&inbox), ["done", "link.dcm", "refused", "sending.dcm.part", "ward"]);
    assert_eq!(names(&inbox.join("done")), ["a-2.dcm", "a-2.dcm.json", "a.dcm", "ward"]);
    assert_eq!(names(&inbox.join("done/ward")), ["a.dcm", "a.dcm.json"]);
    let refused = ["ct.dcm", "empty.dcm", "half.dcm"].map(|n| [n.to_owned(), format!("{n}.json"), format!("{n}.txt")]).concat();
    assert_eq!(names(&inbox.join("refused")), refused);
    assert_eq!(names(&scratch.join("sr")).len(), 2);
    assert_eq!(std::fs::read(inbox.join("done/a-2.dcm")).unwrap(), good);
    assert_eq!(record(&inbox.join("done/a-2.dcm.json"))["status"], "read");
    assert_eq!(record(&inbox.join("refused/ct.dcm.json"))["refusal"]["code"], "wrong_modality");
    let reason = std::fs::read_to_string(inbox.join("refused/ct.dcm.txt")).unwrap();
    assert!(reason.contains("another modality"), "{reason}");
    assert!(stderr(&output).contains("ct.dcm") && !stderr(&output).contains("DOE"), "{}", stderr(&output));
}

#[test]
fn a_film_that_is_still_being_copied_is_read_when_it_is_whole() {
    let scratch = Scratch::new("watch-slow");
    let inbox = scratch.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let mut watch = start(&inbox, &scratch.join("sr"));
    until("the watch begins", || inbox.join("done").is_dir());
    let bytes = number(1);
    // It grows, rests as half a file for longer than it takes to settle, and grows again.
    let half = bytes.len() / 2;
    for end in [half / 2, half] {
        std::fs::write(inbox.join("slow.dcm"), &bytes[..end]).unwrap();
        std::thread::sleep(Duration::from_millis(700));
    }
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(names(&inbox.join("refused")), Vec::<String>::new());
    std::fs::write(inbox.join("slow.dcm"), &bytes).unwrap();
    until("the film is read", || inbox.join("done/slow.dcm").exists());
    assert_eq!(names(&inbox.join("refused")), Vec::<String>::new());

    // A second watch of the same folder is refused while the first goes on.
    let second = chexbox(&["watch", "--once"]).arg(&inbox).output().unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert!(stderr(&second).contains("watched already"), "{}", stderr(&second));
    rustix::process::kill_process(rustix::process::Pid::from_child(&watch), rustix::process::Signal::TERM).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn a_watch_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let scratch = Scratch::new("watch-kill");
    let (inbox, sr) = (scratch.join("inbox"), scratch.join("sr"));
    std::fs::create_dir_all(&inbox).unwrap();
    const FILMS: usize = 12;
    for at in 0..FILMS {
        let bytes = if at % 4 == 3 {
            DicomFile::chest(320, 320, &samples()).with((0x0008, 0x0060), "CS", "MR").bytes()
        } else {
            number(at)
        };
        std::fs::write(inbox.join(format!("{at:02}.dcm")), bytes).unwrap();
    }
    let moved = |room: &str| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(inbox.join(room)) else { return Vec::new() };
        entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "dcm")).collect()
    };
    for wanted in [2, 5, 8] {
        let mut watch = start(&inbox, &sr);
        until("films are read", || moved("done").len() + moved("refused").len() >= wanted);
        watch.kill().unwrap();
        watch.wait().unwrap();
    }
    let output = chexbox(&["watch", "--once", "--settle", "1", "--patience", "2", "--sr"]).arg(&sr).arg(&inbox).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    let read = FILMS - FILMS / 4;
    assert_eq!((moved("done").len(), moved("refused").len()), (read, FILMS / 4));
    assert_eq!(names(&sr).len(), read, "one report a film");
    for film in moved("done").iter().chain(&moved("refused")) {
        let beside = PathBuf::from(format!("{}.json", film.display()));
        assert_eq!(record(&beside)["status"] == "read", film.starts_with(inbox.join("done")));
    }
}
