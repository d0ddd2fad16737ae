//! What the appliance keeps: readings, the audit chain, the outbox. SQLite, durable before an answer is given.
//!
//! Comes in: a reading that is complete, an event, a question. Goes out: what is on the disk. Never happens: an `Ok` before
//! the record and its audit record are durable (one transaction, WAL, synchronous=FULL); a reading without an audit record;
//! a patient's identity in the audit, an error or a log. Times come in as milliseconds since 1970; no clock is read here.
//!
//! Readings are written in `readings`, found in `search`, removed in `retention`; `audit` and `chain` link what happened,
//! `head` keeps the chain's end outside the database, `archive` takes old records out of it and `verify` checks all of it; `outbox` is what must still be sent.

mod archive;
mod audit;
mod chain;
mod connection;
mod error;
mod head;
mod idempotency;
mod known_tokens;
mod outbox;
mod reading;
mod readings;
mod retention;
mod schema;
mod search;
mod verify;

pub use archive::Cut;
pub use audit::{Actor, AuditRecord, Event, Kind};
pub use connection::{HeadCheck, Opened, Shutdown, Store};
pub use error::StoreError;
pub use head::Head;
pub use idempotency::Idempotency;
pub use known_tokens::{Revocation, TokenUse};
pub use outbox::{Forward, Line, NewForward, RefusedForward, SendsAlone, Setback};
pub use reading::{Digest, FilmRef, ModelRef, NewReading, ReadingId, Recorded, Status, Stored};
pub use retention::{Images, Retained, Settings};
pub use schema::NEWEST as SCHEMA;
pub use search::{Cursor, Page, Query};
pub use verify::{Fault, Verified, verify_audit};
