//! What goes on beside the requests: signals, housekeeping of the store, and the word to systemd's watchdog, which is given
//! only when films are read.

use super::admission::now_ms;
use super::desk::{FrontDesk, note_turned_away};
use crate::cli::Failure;
use chexbox::appliance::notify::{Notify, watchdog};
use chexbox::http::gate::Gate;
use chexbox::limits::{AUDIT_CUTS_MAX, HOUSEKEEPING_MS, RETENTION_ROUNDS_MAX};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether store and gate still work.
const LOOK: Duration = Duration::from_millis(200);

/// What the main thread is woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// To end in order.
    Stop,
    /// To read the certificate again.
    Reload,
    /// To end, because the store must be opened anew.
    StoreFailed,
    /// To end, because nobody can be reached any more.
    GateEnded,
}

/// What wakes the main thread.
pub struct Wakes {
    sender: Sender<Wake>,
    receiver: Receiver<Wake>,
}

impl Wakes {
    /// The next one.
    pub fn next(&self) -> Wake {
        // It cannot be closed while its own sender lives.
        self.receiver.recv().unwrap_or(Wake::Stop)
    }
}

/// Signals, from now on.
///
/// # Errors
/// What the system said.
pub fn signals() -> std::io::Result<Wakes> {
    let (sender, receiver) = channel();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let to = sender.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let _ = to.send(if signal == SIGHUP { Wake::Reload } else { Wake::Stop });
        }
    })?;
    Ok(Wakes { sender, receiver })
}

/// Starts the rounds. Between two of them they hold nothing of the service, so that it can be closed.
///
/// # Errors
/// What the system said.
pub fn start(desk: &Arc<FrontDesk>, notify: &Arc<Notify>, wakes: &Wakes) -> Result<(), Failure> {
    let (housekept, to) = (Arc::downgrade(desk), wakes.sender.clone());
    thread::Builder::new().name("housekeeping".to_owned()).spawn(move || housekeeping(&housekept, &to))?;
    if let Some(patience) = watchdog() {
        let (desk, notify) = (Arc::downgrade(desk), Arc::clone(notify));
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&desk, &notify, patience))?;
    }
    Ok(())
}

/// Looks after store and gate until the service stops.
fn housekeeping(desk: &Weak<FrontDesk>, wake: &Sender<Wake>) {
    let every = Duration::from_millis(HOUSEKEEPING_MS);
    let mut last: Option<Instant> = None;
    while let Some(desk) = desk.upgrade().filter(|d| !d.queue.is_stopping()) {
        if last.is_none_or(|at| at.elapsed() >= every) {
            last = Some(Instant::now());
            retain(&desk);
            archive(&desk);
            note_turned_away(&desk);
        }
        let gate_runs = desk.gate.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(Gate::is_running);
        if desk.shelf.store.must_be_opened_anew() {
            let _ = wake.send(Wake::StoreFailed);
            return;
        }
        if !gate_runs {
            let _ = wake.send(Wake::GateEnded);
            return;
        }
        drop(desk);
        thread::sleep(LOOK);
    }
}

fn retain(desk: &FrontDesk) {
    for _ in 0..RETENTION_ROUNDS_MAX {
        match desk.shelf.store.retain(now_ms()) {
            Ok(retained) if retained.more => {}
            Ok(_) => return,
            Err(e) => return log::error!("retention: {e}"),
        }
    }
}

/// Old audit records leave the database.
fn archive(desk: &FrontDesk) {
    for _ in 0..AUDIT_CUTS_MAX {
        match desk.shelf.store.archive_audit(now_ms()) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(e) => return log::error!("old audit records stay in the database: {e}"),
        }
    }
}

/// Tells the watchdog that films are read: because one was, or, when none came, because the drawn film was.
fn watch(desk: &Weak<FrontDesk>, notify: &Notify, patience: Duration) {
    let pause = patience / 4;
    let mut seen = None;
    while let Some(desk) = desk.upgrade().filter(|d| !d.queue.is_stopping()) {
        let finished = desk.queue.finished();
        if seen != Some(finished) || desk.queue.prove(patience / 2) {
            notify.alive();
        } else {
            log::error!("no film was read within {} s", (patience / 2).as_secs());
        }
        seen = Some(desk.queue.finished());
        drop(desk);
        thread::sleep(pause);
    }
}
