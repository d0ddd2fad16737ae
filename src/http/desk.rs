//! What the answers over HTTP ask of the rest of the program: to read films, to keep readings, to know who may ask.
//!
//! In: whole bounded requests, understood by `route`. Out: readings, or a [`Fault`] that has one answer of its own. Never: a
//! reading that is given out before it is durable.

use crate::model::Manifest;
use crate::radiograph::PatientIdentity;
use crate::report::Display;
use crate::report::kept::KeptReading;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// What an answer needs of the program.
pub trait Desk: Send + Sync {
    /// Lets a peer in for `what`, a method and an address's pattern, which needs `right`.
    ///
    /// # Errors
    /// [`Fault::NoToken`], [`Fault::WrongToken`], [`Fault::NotAllowed`], [`Fault::TooManyFailures`], or a fault of the store.
    fn admit(&self, authorization: Option<&str>, peer: IpAddr, right: Right, what: &str) -> Result<Caller, Fault>;

    /// The models that films are read with, the first one unless others are asked for.
    fn models(&self) -> Vec<&Manifest>;

    /// Reads films, one after another, each with the models asked for. The outer error is of the request, the inner ones of
    /// a single film.
    ///
    /// # Errors
    /// [`Fault::Busy`] where no more readings may wait, [`Fault::KeyUsed`], or a fault of the store.
    fn read(&self, films: Vec<Film>, ask: &Ask, by: &Caller) -> Result<Vec<FilmRead>, Fault>;

    /// A reading that was kept.
    ///
    /// # Errors
    /// A fault of the store.
    fn reading(&self, id: &str, by: &Caller) -> Result<Option<Entry>, Fault>;

    /// The heat maps of a reading's trained findings, see `report::kept`.
    ///
    /// # Errors
    /// A fault of the store.
    fn maps(&self, entry: &Entry) -> Result<Vec<u8>, Fault>;

    /// The film of a reading as it is shown, where it is still there.
    ///
    /// # Errors
    /// A fault of the store.
    fn film(&self, entry: &Entry) -> Result<Option<Arc<Display>>, Fault>;

    /// Readings that match, newest first.
    ///
    /// # Errors
    /// A fault of the store; [`Fault::WrongCursor`].
    fn find(&self, query: &Query, by: &Caller) -> Result<Found, Fault>;

    /// Removes a reading; whether there was one.
    ///
    /// # Errors
    /// A fault of the store.
    fn delete(&self, id: &str, by: &Caller) -> Result<bool, Fault>;

    /// Whether films can be read and kept now; what is wrong otherwise.
    ///
    /// # Errors
    /// A fault of the store, or [`Fault::Stopping`].
    fn ready(&self) -> Result<(), Fault>;

    /// What the program counts, in Prometheus' text format.
    fn metrics(&self) -> String;
}

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To read films and see readings.
    Read,
    /// To remove readings.
    Admin,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name in the token; none where no token is needed.
    pub token: Option<String>,
    /// Where from.
    pub peer: IpAddr,
}

/// A film as it came: a part of a request's body, which is not copied.
#[derive(Clone)]
pub struct Film {
    body: Arc<Vec<u8>>,
    range: Range<usize>,
    /// Name of the file, where one was given.
    pub name: Option<String>,
}

impl Film {
    /// A film that is the whole body.
    pub fn whole(body: &Arc<Vec<u8>>, name: Option<String>) -> Self {
        Self::part(body, 0..body.len(), name)
    }

    /// A film that is a part of the body.
    pub fn part(body: &Arc<Vec<u8>>, range: Range<usize>, name: Option<String>) -> Self {
        Self { body: Arc::clone(body), range, name }
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        self.body.get(self.range.clone()).unwrap_or_default()
    }
}

/// How films are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Places in [`Desk::models`].
    pub models: Vec<usize>,
    /// The client's key for this request.
    pub idempotency_key: Option<String>,
}

/// What became of one film: a reading for each model asked for.
pub type FilmRead = Vec<Result<Given, Fault>>;

/// A reading that is durable.
#[derive(Clone, Debug)]
pub struct Given {
    /// The reading.
    pub entry: Entry,
    /// Whether this request made it.
    pub made: Made,
}

/// Whether a reading was made now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// By this request.
    Now,
    /// By one before: the same film on the same model is the same reading.
    Before,
}

/// A reading as it is kept.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name in addresses.
    pub id: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// SHA-256 of the film's file.
    pub film_sha256: String,
    /// Name of the film's file, where one was given.
    pub film_name: Option<String>,
    /// Bytes of the film's file.
    pub film_bytes: u64,
    /// Whether the film can be shown.
    pub film_kept: bool,
    /// Who the film is of, as its header says.
    pub patient: Option<PatientIdentity>,
    /// What was read.
    pub kept: KeptReading,
}

/// Which readings are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Made at or after, milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Made before, milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Patient ID or accession number, exactly.
    pub patient: Option<String>,
    /// Id of a finding that is positive.
    pub finding: Option<String>,
    /// `read` or `refused`.
    pub status: Option<Status>,
    /// Words in the patient's name or ID, the accession number or the name of the file.
    pub text: Option<String>,
    /// Where a page before ended.
    pub cursor: Option<String>,
    /// Most readings.
    pub limit: usize,
}

/// Whether a film was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was.
    Read,
    /// It was not.
    Refused,
}

/// A page of readings.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

/// Why something was not done; each has one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// A token is needed.
    #[error("no token")]
    NoToken,
    /// The token does not hold here; the log says why.
    #[error("token not accepted")]
    WrongToken,
    /// The token holds, for less than this.
    #[error("token of a smaller scope")]
    NotAllowed,
    /// Too many wrong tokens from this peer; it may try again after so many seconds.
    #[error("too many failed sign-ins from this peer")]
    TooManyFailures(u64),
    /// As many readings wait as may.
    #[error("the queue of readings is full")]
    Busy,
    /// The program ends.
    #[error("the service is stopping")]
    Stopping,
    /// The key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyUsed,
    /// The cursor is none of ours.
    #[error("the cursor is not one that a page gave")]
    WrongCursor,
    /// The disk is full.
    #[error("the store is full")]
    StoreFull,
    /// The store could not make a record durable.
    #[error("the store failed")]
    StoreFailed,
    /// The program failed.
    #[error("the program failed")]
    Internal,
}
