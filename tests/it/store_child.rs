//! A process that uses the store until something happens to it: this test binary, started again by `store_crash`.

use super::stored::{NOW, id, reading, someone, with_forward};
use chexbox::store::{Settings, Store, StoreError};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the child does.
const MODE: &str = "CHEXBOX_CHILD";

/// The folder of its store.
const DIR: &str = "CHEXBOX_CHILD_DIR";

/// The number of its first reading.
const FROM: &str = "CHEXBOX_CHILD_FROM";

/// A child of this test, with its standard output in a pipe.
pub fn command(mode: &str, dir: &Path, from: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its own file"));
    command.args(["--exact", "store_child::works_for_store_crash", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env(MODE, mode).env(DIR, dir).env(FROM, from.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// What a child had said when it ended, in its words: the lines that begin with `:`.
pub fn said(child: Child) -> Vec<String> {
    let output = child.wait_with_output().expect("a child ends");
    words(&String::from_utf8_lossy(&output.stdout))
}

/// From when on a child's time runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// From its beginning.
    Start,
    /// From its first acknowledged reading: a loaded machine takes long to get there.
    FirstReading,
}

/// What a child had said when it was killed.
pub fn killed(mut child: Child, from: From, time: Duration) -> Vec<String> {
    let mut out = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let mut text = String::new();
    while from == From::FirstReading && !text.contains("\n:ack") && out.read_line(&mut text).expect("a child speaks UTF-8") > 0 {}
    std::thread::sleep(time);
    child.kill().expect("a child can be killed");
    out.read_to_string(&mut text).expect("a child speaks UTF-8");
    child.wait().expect("a child ends");
    words(&text)
}

fn words(text: &str) -> Vec<String> {
    // A line that was cut off by death was not said.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|l| l.strip_prefix(':')).map(str::to_owned).collect()
}

/// Says a line; the parent counts on it from then on.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n:{line}\n").as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

#[test]
#[ignore = "the child of store_crash, which starts it"]
fn works_for_store_crash() {
    let get = |name: &str| std::env::var(name).expect("store_crash starts this test");
    let dir = PathBuf::from(get(DIR));
    let from: u64 = get(FROM).parse().unwrap();
    match get(MODE).as_str() {
        "forever" => forever(&dir, from),
        "three" => three(&dir, from),
        "faulty" => faulty(&dir),
        "full" => full(&dir),
        mode => panic!("no such mode: {mode}"),
    }
}

/// Records readings and sends what belongs to them, until it is killed.
fn forever(dir: &Path, from: u64) {
    let (store, _) = Store::open(dir, &Settings::default()).unwrap();
    for n in from.. {
        store.record(&with_forward(n), &someone(NOW)).unwrap();
        say(&format!("ack {n}"));
        if let Some(taken) = n.is_multiple_of(3).then(|| store.outbox_take("archive", NOW, 1_000).unwrap()).flatten() {
            say(&format!("sent {}", taken.reading));
            store.outbox_done(&taken, &someone(NOW)).unwrap();
        }
        if n % 7 == 0 && n > 0 {
            say(&format!("deleting {}", n - 1));
            store.delete(&id(n - 1), &someone(NOW)).unwrap();
            say(&format!("deleted {}", n - 1));
        }
    }
}

/// Opens a store, records three readings, deletes one, closes.
fn three(dir: &Path, from: u64) {
    let (store, _) = Store::open(dir, &Settings::default()).unwrap();
    for n in from..from + 3 {
        store.record(&with_forward(n), &someone(NOW)).unwrap();
        say(&format!("ack {n}"));
    }
    say(&format!("deleting {from}"));
    store.delete(&id(from), &someone(NOW)).unwrap();
    say(&format!("deleted {from}"));
    drop(store);
    say("closed");
}

/// Records a reading before, during and after a fault that exists while the file `fault` does.
fn faulty(dir: &Path) {
    let (store, _) = Store::open(dir, &Settings::default()).unwrap();
    store.record(&reading(0), &someone(NOW)).unwrap();
    let fault = dir.with_extension("fault");
    std::fs::write(&fault, b"").unwrap();
    let outcome = |result: Result<_, StoreError>| match result {
        Ok(_) => "stored",
        Err(StoreError::Full) => "full",
        Err(StoreError::Fsync) => "fsync",
        Err(StoreError::Reopen) => "reopen",
        Err(StoreError::Io(_)) => "io",
        Err(_) => "other",
    };
    say(outcome(store.record(&reading(1), &someone(NOW)).map(|_| ())));
    std::fs::remove_file(&fault).unwrap();
    say(outcome(store.record(&reading(2), &someone(NOW)).map(|_| ())));
    say(outcome(store.reading(&id(0)).map(|r| assert!(r.is_some()))));
    say(if store.must_be_opened_anew() { "must be opened anew" } else { "goes on" });
}

/// Fills the file system, and gets out of it again.
fn full(dir: &Path) {
    let (store, _) = Store::open(dir, &Settings::default()).unwrap();
    for n in 0..40 {
        store.record(&reading(n), &someone(NOW)).unwrap();
    }
    let filler = dir.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let mut n = 40;
    let full = loop {
        match store.record(&reading(n), &someone(NOW)) {
            Ok(_) => say(&format!("ack {n}")),
            Err(e) => break e,
        }
        n += 1;
    };
    say(&format!("{full:?} {:?}", store.record(&reading(n + 1), &someone(NOW)).map(|_| ()).unwrap_err()));
    say(&format!("still read {}", store.reading(&id(0)).unwrap().is_some()));
    for n in 0..10 {
        assert!(store.delete(&id(n), &someone(NOW)).unwrap());
    }
    say("deleted ten");
    drop(file);
    std::fs::remove_file(filler).unwrap();
    store.record(&reading(n), &someone(NOW)).unwrap();
    say(&format!("ack {n}"));
}
