//! What happened, in a table that only grows: each record holds the hash of the one before it.
//!
//! An event's words come from a fixed list, its details from the caller; a patient's identity never does, which is why
//! details are made of names known here and short values, and why a film's name has no place in them.

use super::StoreError;
use super::chain::{Link, origin};
use super::connection::Store;
use super::head::Head;
use super::reading::Digest;
use crate::limits::{AUDIT_PAGE_MAX, AUDIT_TEXT_CHARS_MAX};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::net::IpAddr;

/// Who did it, from where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A token's name, `local` for the loopback without one, `chexbox` for the daemon itself.
    pub name: String,
    /// Address it came from.
    pub peer: Option<IpAddr>,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
}

impl Actor {
    /// The daemon itself.
    pub fn daemon(at_ms: i64) -> Self {
        Self { name: "chexbox".to_owned(), peer: None, at_ms }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $text:literal,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// As it stands in the table.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }
        }
    };
}

kinds! {
    /// The daemon started.
    Started => "started",
    /// It stopped in order.
    Stopped => "stopped",
    /// A film was read. Subject: the reading. Written by the store itself.
    Reading => "reading",
    /// A film was refused. Subject: the reading. Written by the store itself.
    Refusal => "refusal",
    /// A film came again whose reading was stored. Subject: the reading. Written by the store itself.
    Repeated => "repeated",
    /// A film could not be read because the program failed. Details: code.
    ReadingFailed => "reading_failed",
    /// A reading was deleted by somebody. Subject: the reading. Written by the store itself.
    Deleted => "deleted",
    /// A reading was removed by the rules of retention. Subject: the reading. Written by the store itself.
    Retired => "retired",
    /// A sign-in failed. Subject: the token's id where it is known. Details: fault.
    SignInFailed => "sign_in_failed",
    /// A peer failed too often and is not asked again for a while.
    SignInsBlocked => "sign_ins_blocked",
    /// A token was used. Subject: its id. Details: what.
    TokenUsed => "token_used",
    /// A token was revoked. Subject: its id. Written by the store itself.
    TokenRevoked => "token_revoked",
    /// The configuration is another one than before.
    ConfigurationChanged => "configuration_changed",
    /// Certificates were loaded anew.
    TlsReloaded => "tls_reloaded",
    /// A request was turned away before it was read: queue full, disk full.
    TurnedAway => "turned_away",
    /// A DICOM association was opened or refused. Details: calling and called AE title, outcome.
    Association => "association",
    /// An object that a destination wants could not be made of a reading. Subject: the reading. Details: kind, why.
    ObjectNotMade => "object_not_made",
    /// Something was sent on. Subject: the reading. Written by the store itself.
    Forwarded => "forwarded",
    /// Something could not be sent on, and will be tried again. Subject: the reading. Written by the store itself.
    ForwardFailed => "forward_failed",
    /// Something went unsent, because its reading was removed. Subject: the reading. Written by the store itself.
    ForwardGivenUp => "forward_given_up",
    /// The highest time seen was set back by hand. Written by the store itself.
    ClockAccepted => "clock_accepted",
    /// Old records were cut off and lie in a file. Details: first, last, hash, file. Written by the store itself.
    AuditCut => "audit_cut",
    /// A stored reading whose own record was cut. Subject: the reading. Written by the store itself.
    Carried => "carried",
    /// The chain did not agree with its head when the store was opened. Written by the store itself.
    ChainBroken => "chain_broken",
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    kind: Kind,
    subject: Option<String>,
    detail: serde_json::Map<String, serde_json::Value>,
}

impl Event {
    /// An event of this kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, subject: None, detail: serde_json::Map::new() }
    }

    /// What it happened to: the id of a reading or of a token.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.subject = Some(plain(subject));
        self
    }

    /// One detail. Never a patient's identity, nor a film's name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.detail.insert(name.to_owned(), plain(&value.to_string()).into());
        self
    }
}

/// One line of bounded length: what comes from outside must not draw on an auditor's terminal.
fn plain(text: &str) -> String {
    text.chars().take(AUDIT_TEXT_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A record as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuditRecord {
    /// Its number; the first is 1.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What happened.
    pub event: String,
    /// Who did it.
    pub actor: String,
    /// From where.
    pub peer: Option<String>,
    /// To what.
    pub subject: Option<String>,
    /// Details as a JSON object.
    pub detail: String,
    #[serde(skip)]
    pub(super) previous: Vec<u8>,
    #[serde(skip)]
    pub(super) hash: Vec<u8>,
}

impl AuditRecord {
    pub(super) const COLUMNS: &'static str = "seq, at_ms, event, actor, peer, subject, detail, previous, hash";

    pub(super) fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            event: row.get(2)?,
            actor: row.get(3)?,
            peer: row.get(4)?,
            subject: row.get(5)?,
            detail: row.get(6)?,
            previous: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    pub(super) fn link(&self) -> Link<'_> {
        Link {
            seq: self.seq,
            at_ms: self.at_ms,
            event: &self.event,
            actor: &self.actor,
            peer: self.peer.as_deref(),
            subject: self.subject.as_deref(),
            detail: &self.detail,
        }
    }
}

/// The chain's end in the database.
pub(super) fn tip(connection: &Connection) -> Result<Head, StoreError> {
    let last = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((seq, hash)) = last else { return Ok(Head { count: 0, hash: origin() }) };
    Ok(Head { count: u64::try_from(seq).map_err(|_| damaged(seq))?, hash: digest(&hash).ok_or_else(|| damaged(seq))? })
}

fn damaged(seq: i64) -> StoreError {
    StoreError::Corrupt(format!("audit record {seq} has no hash"))
}

/// A stored hash.
pub(super) fn digest(bytes: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(bytes).ok().map(Digest)
}

/// Adds a record to the chain, inside the caller's transaction.
pub(super) fn append(connection: &Connection, event: &Event, by: &Actor) -> Result<(), StoreError> {
    let head = tip(connection)?;
    let seq = i64::try_from(head.count).ok().and_then(|n| n.checked_add(1));
    let seq = seq.ok_or_else(|| StoreError::Internal("the audit chain is full".to_owned()))?;
    let (actor, peer) = (plain(&by.name), by.peer.map(|p| p.to_string()));
    let detail = serde_json::Value::Object(event.detail.clone()).to_string();
    let link = Link {
        seq,
        at_ms: by.at_ms,
        event: event.kind.as_str(),
        actor: &actor,
        peer: peer.as_deref(),
        subject: event.subject.as_deref(),
        detail: &detail,
    };
    let hash = link.after(&head.hash);
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, at_ms, event, actor, peer, subject, detail, previous, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![seq, link.at_ms, link.event, link.actor, link.peer, link.subject, link.detail, head.hash.0, hash.0])?;
    connection
        .prepare_cached(
            "INSERT INTO state (name, value) VALUES ('highest_ms', ?1)
             ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        )?
        .execute([by.at_ms])?;
    Ok(())
}

impl Store {
    /// Records that something happened.
    ///
    /// # Errors
    /// Where it is not durable; then no answer may be given.
    pub fn audit(&self, event: &Event, by: &Actor) -> Result<(), StoreError> {
        self.write(|transaction| append(transaction, event, by))
    }

    /// The newest records below number `before`, newest first, of one kind or of all.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn audit_records(&self, kind: Option<&str>, before: Option<i64>, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let limit = i64::try_from(limit.min(AUDIT_PAGE_MAX)).unwrap_or(i64::MAX);
        self.read(|connection| {
            let mut rows = connection.prepare_cached(&format!(
                "SELECT {} FROM audit WHERE (?1 IS NULL OR event = ?1) AND (?2 IS NULL OR seq < ?2) ORDER BY seq DESC LIMIT ?3",
                AuditRecord::COLUMNS
            ))?;
            let records = rows.query_map(params![kind, before, limit], AuditRecord::of)?;
            Ok(records.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How long the chain is and what it ends with: for the journal, where nobody on this machine's disk can change it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn head(&self) -> Result<Head, StoreError> {
        self.read(tip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_share_a_word() {
        let mut words: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Kind::ALL.len());
    }

    #[test]
    fn what_comes_from_outside_is_one_line_of_bounded_length() {
        let event = Event::new(Kind::SignInFailed).about("a\nb\u{1b}[2J").with("fault", "x".repeat(100_000));
        assert_eq!(event.subject.as_deref(), Some("a\u{fffd}b\u{fffd}[2J"));
        assert_eq!(event.detail["fault"].as_str().unwrap().len(), AUDIT_TEXT_CHARS_MAX);
    }
}
