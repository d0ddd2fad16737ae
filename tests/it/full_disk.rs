//! A disk that is full: what comes is told so by name and may come again, and nothing that was acknowledged is lost.

use super::daemon::{Daemon, Reply, film, serve, state};
use super::run::{Scratch, run, stderr, stdout};
use super::store_crash::faults;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn id(reply: &Reply) -> String {
    let json = reply.json();
    json["id"].as_str().or(json["reading"].as_str()).unwrap_or_else(|| panic!("no reading: {json}")).to_owned()
}

/// Every reading of the list.
fn listed(daemon: &Daemon) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = Some("/v1/readings?limit=200".to_owned());
    while let Some(target) = next {
        let page: Value = daemon.get(&target).json();
        for reading in page["readings"].as_array().unwrap() {
            assert!(found.insert(reading["id"].as_str().unwrap().to_owned()), "a reading stands twice");
        }
        next = page["next"].as_str().map(str::to_owned);
    }
    found
}

fn verified(state: &Path) {
    let output = run(&["audit", "verify", "--state", state.to_str().unwrap()]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
}

fn is_full(reply: &Reply) {
    assert_eq!((reply.status, reply.json()["code"].as_str()), (507, Some("store_full")), "{}", reply.text());
    assert!(reply.json()["remedy"].as_str().is_some_and(|remedy| remedy.contains("free some space")), "{}", reply.text());
}

/// Every write to the state folder fails with ENOSPC while a file exists: nothing but a C compiler is needed for that.
#[test]
fn a_full_disk_is_507_until_there_is_room_and_what_was_acknowledged_survives_a_death_after_it() {
    let scratch = Scratch::new("full-daemon");
    let (state, full) = (state(&scratch), scratch.join("full"));
    let mut command = serve(&state, &["--model", "findings10"]);
    command.env("LD_PRELOAD", faults()).env("FAULT_DIR", &state).env("FAULT_CALLS", "write,truncate").env("FAULT_AT", "0");
    command.env("FAULT_HOW", "28").env("FAULT_WHILE", &full);
    let mut daemon = Daemon::of(command);
    let mut acknowledged = BTreeSet::from([id(&daemon.read("", &film(1)))]);
    std::fs::write(&full, b"").unwrap();
    for _ in 0..3 {
        is_full(&daemon.read("", &film(2)));
        is_full(&daemon.read("", b"no film, and no room for its refusal"));
    }
    assert_eq!(listed(&daemon), acknowledged, "what is there is shown, and nothing else");
    assert_eq!(daemon.get("/healthz").status, 200, "a restart would make no room");
    std::fs::remove_file(&full).unwrap();
    let made = daemon.read("", &film(2));
    assert_eq!(made.status, 201, "what was refused comes again as new: {}", made.text());
    acknowledged.extend([id(&made), id(&daemon.read("", &film(3)))]);
    daemon.signal("KILL");
    daemon.ended();
    let mut daemon = Daemon::start(&state, &["--model", "findings10"]);
    assert_eq!(listed(&daemon), acknowledged);
    daemon.signal("TERM");
    daemon.ended();
    verified(&state);
}

/// On a file system of its own of 40 MB, in a mount namespace of its own; where that is forbidden, this says so.
#[test]
fn a_daemon_on_a_disk_that_is_really_full_shows_deletes_and_goes_on_when_there_is_room() {
    let scratch = Scratch::new("full-really");
    let state = state(&scratch);
    std::fs::create_dir_all(&state).unwrap();
    let serving = serve(&state, &["--model", "findings10"]);
    let mounted = |then: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
        shell.arg(format!("mount -t tmpfs -o size=40m tmpfs \"$0\" && {then}")).arg(&state);
        shell
    };
    if !mounted("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: this system lets nobody mount a file system of their own");
        return;
    }
    let mut command = mounted("exec \"$@\"");
    command.arg(serving.get_program()).args(serving.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("RUST_LOG").env("LANG", "en_GB.UTF-8");
    let daemon = Daemon::of(command);
    let filler =
        Path::new("/proc").join(daemon.pid().to_string()).join("root").join(state.strip_prefix("/").unwrap()).join("filler");
    let mut acknowledged = BTreeSet::from([id(&daemon.read("", &film(1)))]);
    let mut file = std::fs::File::create(&filler).expect("the daemon's file system is seen from here");
    while file.write_all(&[0; 4096]).is_ok() {}
    // The log has room of its own for a while.
    let mut come = 0;
    let refused = loop {
        come += 1;
        assert!(come < 2_000, "the disk never fills");
        let reply = daemon.read("", format!("no film {come}").as_bytes());
        match reply.status {
            422 => drop(acknowledged.insert(id(&reply))),
            _ => break reply,
        }
    };
    is_full(&refused);
    is_full(&daemon.read("", &film(2)));
    assert_eq!(listed(&daemon), acknowledged);
    let one = acknowledged.pop_first().unwrap();
    assert_eq!(daemon.ask("DELETE", &format!("/v1/readings/{one}"), &[], b"").status, 204, "there is a reserve for deleting");
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    let made = daemon.read("", &film(2));
    assert_eq!(made.status, 201, "{}", made.text());
    acknowledged.insert(id(&made));
    assert_eq!(listed(&daemon), acknowledged);
}
