//! Death and faults at every place: nothing that was acknowledged is lost or doubled, and the chain is whole.

use super::run::Scratch;
use super::store_child::{From, command, killed, said};
use super::stored::{NOW, id, reading, someone};
use chexbox::store::{Query, Settings, Shutdown, Store, verify_audit};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What the children of one store have said so far.
#[derive(Default)]
pub struct Told {
    acknowledged: BTreeSet<u64>,
    deleted: BTreeSet<u64>,
    /// May be there or not: its deletion was begun.
    deleting: BTreeSet<u64>,
    sent: BTreeSet<String>,
}

impl Told {
    /// Takes in lines that a child said.
    pub fn hear(&mut self, lines: &[String]) {
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "ack" => drop(self.acknowledged.insert(rest.parse().unwrap())),
                "deleting" => drop(self.deleting.insert(rest.parse().unwrap())),
                "deleted" => drop(self.deleted.insert(rest.parse().unwrap())),
                "sent" => drop(self.sent.insert(rest.to_owned())),
                _ => {}
            }
        }
    }

    /// Opens the store, and compares it with what was said. Gives the number after the last acknowledged one.
    pub fn check(&self, dir: &Path) -> u64 {
        let (store, _) = Store::open(dir, &Settings::default()).expect("a store opens after a crash without a hand");
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        let mut query = Query { limit: 200, ..Query::default() };
        loop {
            let page = store.find(&query).unwrap();
            for found in &page.readings {
                *counts.entry(found.film.sha256.to_string()).or_default() += 1;
            }
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert!(counts.values().all(|n| *n == 1), "a reading is doubled");
        let gone = self.acknowledged.difference(&self.deleting);
        for n in gone {
            assert!(store.reading(&id(*n)).unwrap().is_some(), "acknowledged reading {n} is lost");
        }
        for n in &self.deleted {
            assert!(store.reading(&id(*n)).unwrap().is_none(), "deleted reading {n} is back");
        }
        self.check_outbox(&store);
        let highest = self.acknowledged.last().map_or(0, |n| n + 1);
        let stored = store.count().unwrap();
        let expected = u64::try_from(self.acknowledged.difference(&self.deleting).count()).unwrap();
        // One reading a death may be there that nobody was told of, and one whose deletion was begun.
        assert!(stored >= expected, "{stored} {expected}");
        drop(store);
        assert_eq!(verify_audit(dir).unwrap().faults, []);
        highest
    }

    /// What was not sent is still to be sent.
    fn check_outbox(&self, store: &Store) {
        let mut waiting = BTreeSet::new();
        let _alone = store.outbox_alone().unwrap();
        while let Some(taken) = store.outbox_take("archive", NOW, 1_000_000).unwrap() {
            assert!(waiting.insert(taken.reading.to_string()), "queued twice: {taken:?}");
        }
        for n in self.acknowledged.difference(&self.deleting) {
            let id = id(*n).to_string();
            assert!(self.sent.contains(&id) || waiting.contains(&id), "what belongs to reading {n} is neither sent nor queued");
        }
    }
}

/// A number from a seed; deaths need not be unpredictable, only spread.
pub fn spread(round: u64, below: u64) -> u64 {
    round.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9) % below
}

/// `CHEXBOX_KILLS=300 cargo test --test it store_crash` is the long run.
#[test]
fn killed_at_random_instants_nothing_acknowledged_is_lost_or_doubled() {
    let kills: u64 = std::env::var("CHEXBOX_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let scratch = Scratch::new("crash-random");
    let mut told = Told::default();
    let (mut next, mut productive) = (0, 0);
    for round in 0..kills {
        let child = command("forever", scratch.path(), next).spawn().unwrap();
        // Every third dies while it opens the store or soon after, the others among their readings.
        let from = if round % 3 == 0 { From::Start } else { From::FirstReading };
        let lines = killed(child, from, Duration::from_millis(spread(round, 150)));
        productive += u64::from(lines.iter().any(|l| l.starts_with("ack")));
        told.hear(&lines);
        // Numbers that may have been recorded without a word are left out.
        next = told.check(scratch.path()).max(next) + 2;
    }
    assert!(productive * 3 > kills, "only {productive} of {kills} children recorded anything");
    println!("{kills} deaths, {} readings acknowledged", told.acknowledged.len());
}

/// The library that makes calls fail, compiled by the C compiler that SQLite needs anyway.
pub fn faults() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store/faults.c");
        let library = std::env::temp_dir().join(format!("chexbox-faults-{}.so", std::process::id()));
        let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let built = Command::new(cc).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        assert!(built.is_ok_and(|status| status.success()), "the C compiler makes a library");
        library
    };
    BUILT.get_or_init(build).clone()
}

/// A child whose calls fail.
fn with_faults(mut command: Command, dir: &Path, calls: &str, at: u64, how: &str) -> Command {
    command.env("LD_PRELOAD", faults()).env("FAULT_DIR", dir).env("FAULT_CALLS", calls).env("FAULT_AT", at.to_string());
    command.env("FAULT_HOW", how).env("FAULT_WHILE", dir.with_extension("fault"));
    command
}

fn killed_at_every_call(name: &str, how: &str, calls: &str) {
    let scratch = Scratch::new(name);
    let mut deaths = 0;
    for at in 1..2_000 {
        let dir = scratch.join(&format!("{at}"));
        std::fs::create_dir_all(&dir).unwrap();
        let child = with_faults(command("three", &dir, 0), &dir, calls, at, how).spawn().unwrap();
        let mut told = Told::default();
        let mut lines = said(child);
        told.hear(&lines);
        told.check(&dir);
        // The same work again, on what was left.
        lines.extend(said(command("three", &dir, 10).spawn().unwrap()));
        told.hear(&lines);
        told.check(&dir);
        assert_eq!(lines.last().map(String::as_str), Some("closed"));
        std::fs::remove_dir_all(&dir).unwrap();
        if lines.iter().filter(|l| *l == "closed").count() == 2 {
            break;
        }
        deaths += 1;
    }
    println!("{deaths} calls of {calls}");
    assert!(deaths > 5, "the library hit only {deaths} calls");
}

#[test]
fn killed_before_every_write_sync_truncation_and_removal_nothing_acknowledged_is_lost() {
    killed_at_every_call("crash-calls", "kill", "write,sync,truncate,unlink");
}

#[test]
fn killed_in_the_middle_of_every_write_nothing_acknowledged_is_lost() {
    killed_at_every_call("crash-torn", "torn", "write");
}

/// The error a disk gives; Linux numbers.
const EIO: &str = "5";
const ENOSPC: &str = "28";

fn faulty(name: &str, calls: &str, errno: &str) -> (Scratch, Vec<String>) {
    let scratch = Scratch::new(name);
    let dir = scratch.join("store");
    std::fs::create_dir_all(&dir).unwrap();
    let lines = said(with_faults(command("faulty", &dir, 0), &dir, calls, 0, errno).spawn().unwrap());
    (scratch, lines)
}

#[test]
fn a_failed_fsync_fails_the_request_and_ends_all_writing_until_the_store_is_opened_anew() {
    let (scratch, lines) = faulty("crash-fsync", "sync", EIO);
    assert_eq!(lines, ["fsync", "reopen", "stored", "must be opened anew"]);
    let (store, opened) = Store::open(&scratch.join("store"), &Settings::default()).unwrap();
    assert_ne!(opened.shutdown, Shutdown::First);
    assert!(store.reading(&id(0)).unwrap().is_some() && store.reading(&id(2)).unwrap().is_none());
    // Nobody was told about the second: it may be there, and it comes again once.
    store.record(&reading(1), &someone(NOW)).unwrap();
    assert_eq!(store.count().unwrap(), 2);
    drop(store);
    assert_eq!(verify_audit(&scratch.join("store")).unwrap().faults, []);
}

#[test]
fn a_failed_write_fails_the_request_and_the_next_one_is_stored() {
    let (scratch, lines) = faulty("crash-write", "write", EIO);
    assert_eq!(lines, ["io", "stored", "stored", "goes on"]);
    assert_eq!(verify_audit(&scratch.join("store")).unwrap().faults, []);
}

#[test]
fn a_full_disk_fails_the_request_by_name_and_the_next_one_is_stored() {
    let (scratch, lines) = faulty("crash-nospace", "write,truncate", ENOSPC);
    assert_eq!(lines, ["full", "stored", "stored", "goes on"]);
    assert_eq!(verify_audit(&scratch.join("store")).unwrap().faults, []);
}

/// On a file system of its own of 40 MB, in a mount namespace of its own.
#[test]
fn a_disk_that_is_really_full_lets_the_store_delete_and_recovers() {
    let scratch = Scratch::new("crash-full");
    let dir = scratch.join("mounted");
    std::fs::create_dir_all(&dir).unwrap();
    let child = command("full", &dir, 0);
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    shell.arg(r#"mount -t tmpfs -o size=40m tmpfs "$CHEXBOX_CHILD_DIR" && echo ":mounted" && exec "$0" "$@""#);
    shell.arg(child.get_program()).args(child.get_args()).stdout(std::process::Stdio::piped());
    for (name, value) in child.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let Ok(running) = shell.spawn() else {
        println!("SKIPPED: unshare is not installed");
        return;
    };
    let lines = said(running);
    if lines.is_empty() {
        println!("SKIPPED: this system lets nobody mount a file system of their own");
        return;
    }
    let tail: Vec<&str> = lines.iter().map(String::as_str).filter(|l| !l.starts_with("ack") && *l != "mounted").collect();
    assert_eq!(tail, ["Full Full", "still read true", "deleted ten"], "{lines:?}");
    assert!(lines.last().unwrap().starts_with("ack"));
}
