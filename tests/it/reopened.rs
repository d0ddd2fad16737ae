//! Promise: a disk that did not confirm a write ends the service, which says so; the next one opens what is on the disk, says how it
//! was left, and goes on.

use super::daemon::{Daemon, film, serve, state};
use super::run::{Scratch, run, stderr, stdout};
use super::store_crash::faults;
use std::time::{Duration, Instant};

#[test]
fn a_disk_that_confirms_no_write_ends_the_service_and_the_next_one_goes_on() {
    let scratch = Scratch::new("reopened");
    let (kept, failing) = (film(1), scratch.join("failing"));
    let mut command = serve(&state(&scratch), &["--model", "findings10"]);
    command.env("LD_PRELOAD", faults()).env("FAULT_DIR", state(&scratch)).env("FAULT_CALLS", "sync");
    // Linux's EIO, on every call while the file is there.
    command.env("FAULT_AT", "0").env("FAULT_HOW", "5").env("FAULT_WHILE", &failing);
    let id = {
        let mut daemon = Daemon::of(command);
        let made = daemon.read("", &kept);
        assert_eq!(made.status, 201, "{}", made.text());
        std::fs::write(&failing, "").unwrap();
        let lost = daemon.read("", &film(2));
        assert_eq!((lost.status, lost.json()["code"].as_str()), (500, Some("store_failed")));
        let status = daemon.ended();
        assert!(!status.success(), "{status}: {}", daemon.log());
        // Its last words may still be on their way.
        let begun = Instant::now();
        while !daemon.log().contains("did not confirm a write") {
            assert!(begun.elapsed() < Duration::from_secs(10), "{}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        made.json()["id"].as_str().unwrap().to_owned()
    };
    std::fs::remove_file(&failing).unwrap();
    let mut daemon = Daemon::start(&state(&scratch), &["--model", "findings10"]);
    assert_eq!(daemon.get("/readyz").status, 200);
    assert_eq!(daemon.read("", &kept).json()["id"], id.as_str());
    assert!([200, 201].contains(&daemon.read("", &film(2)).status));
    assert_eq!(daemon.get("/v1/readings").json()["readings"].as_array().unwrap().len(), 2);
    daemon.signal("TERM");
    daemon.ended();
    let folder = state(&scratch);
    let audit = |verb: &[&str]| {
        let output = run(&[&["audit"][..], verb, &["--state", folder.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        stdout(&output)
    };
    let starts: Vec<bool> =
        audit(&["list", "--json"]).lines().filter(|l| l.contains("\"started\"")).map(|l| l.contains("recovered")).collect();
    assert_eq!(starts.iter().filter(|recovered| **recovered).count(), 1, "{starts:?}");
    assert_eq!(starts.len(), 2);
    audit(&["verify"]);
}
