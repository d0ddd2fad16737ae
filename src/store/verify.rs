//! Checks the whole audit chain: every link, its end against the head outside the database, and every reading against the
//! record of its making. Reads only, also beside a running daemon.

use super::archive::{BINDING, Cut};
use super::audit::{AuditRecord, Kind, digest};
use super::chain::origin;
use super::connection::{DATABASE, broken};
use super::head::{Head, noted};
use super::reading::Digest;
use super::readings::content;
use super::{StoreError, schema};
use crate::limits::{AUDIT_FAULTS_MAX, STORE_BUSY_MS};
use rusqlite::{Connection, OpenFlags};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which record; none where it is not one record's.
    pub record: Option<i64>,
    /// What is wrong.
    pub what: String,
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The chain's length and end as they are in the database.
    pub head: Head,
    /// Readings that are stored.
    pub readings: u64,
    /// Cuts whose records are no longer in the database, and whether their file lies in the folder.
    pub cuts: Vec<(Cut, bool)>,
    /// What is not as it was written, the first ones.
    pub faults: Vec<Fault>,
}

/// Checks the store in this folder.
///
/// # Errors
/// Where it cannot be read at all. What is wrong with the chain is no error but a fault in the answer.
pub fn verify_audit(dir: &Path) -> Result<Verified, StoreError> {
    if !dir.join(DATABASE).exists() {
        return Err(StoreError::Absent(dir.display().to_string()));
    }
    // Before the snapshot of the database is taken, which then cannot be behind it.
    let noted = noted(dir)?;
    let mut connection = Connection::open_with_flags(dir.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_millis(STORE_BUSY_MS))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "query_only", true)?;
    schema::version(&connection)?;
    let snapshot = connection.transaction()?;
    let mut check = Check {
        expected: HashMap::new(),
        faults: Vec::new(),
        head: Head { count: 0, hash: origin() },
        start: None,
        cuts: Vec::new(),
    };
    check.chain(&snapshot)?;
    check.start(dir)?;
    if let Some(how) = broken(&snapshot, noted)? {
        check.fault(None, how);
    }
    let readings = check.readings(&snapshot)?;
    let cuts = check.cuts.into_iter().map(|cut| (dir.join(cut.file_name()).exists(), cut)).map(|(there, cut)| (cut, there));
    Ok(Verified { head: check.head, readings, cuts: cuts.collect(), faults: check.faults })
}

impl Verified {
    /// Adds a fault unless the chain holds this head, which was noted elsewhere.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn expect(mut self, dir: &Path, head: &Head) -> Result<Self, StoreError> {
        let seq = i64::try_from(head.count).unwrap_or(i64::MAX);
        let cut = self.cuts.iter().find(|(cut, _)| (cut.first..=cut.last).contains(&seq));
        if let Some((cut, _)) = cut {
            let what = match cut.held(dir, seq, &head.hash)? {
                Some(true) => return Ok(self),
                Some(false) => format!("record {seq} is not the one that was written"),
                None => format!("record {seq} was cut; put {} back into the folder to compare", cut.file_name()),
            };
            self.faults.push(Fault { record: None, what: format!("against the head that was expected: {what}") });
            return Ok(self);
        }
        let connection = Connection::open_with_flags(dir.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if let Some(how) = broken(&connection, super::head::Noted::Head(*head))? {
            self.faults.push(Fault { record: None, what: format!("against the head that was expected: {how}") });
        }
        Ok(self)
    }
}

struct Check {
    /// Readings by id, and the content that the chain says they have.
    expected: HashMap<String, (i64, String)>,
    faults: Vec<Fault>,
    head: Head,
    /// The first record's number, and what it follows.
    start: Option<(i64, Digest)>,
    /// What the chain says was cut.
    cuts: Vec<Cut>,
}

impl Check {
    fn fault(&mut self, record: Option<i64>, what: impl Into<String>) {
        if self.faults.len() < AUDIT_FAULTS_MAX {
            self.faults.push(Fault { record, what: what.into() });
        }
    }

    fn chain(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut rows = connection.prepare(&format!("SELECT {} FROM audit ORDER BY seq", AuditRecord::COLUMNS))?;
        let mut next = 1;
        for record in rows.query_map([], AuditRecord::of)? {
            let record = record?;
            if self.start.is_none() {
                // Whether it may begin here is said further on in the chain.
                let follows = digest(&record.previous).unwrap_or_else(origin);
                self.start = Some((record.seq, follows));
                (next, self.head.hash) = if record.seq > 1 { (record.seq, follows) } else { (1, origin()) };
            }
            if record.seq != next {
                self.fault(Some(record.seq), format!("records {next} to {} are missing", record.seq.saturating_sub(1)));
            } else if record.previous != self.head.hash.0 {
                self.fault(Some(record.seq), "it does not follow the record before it");
            }
            let before = digest(&record.previous).unwrap_or(self.head.hash);
            if record.hash != record.link().after(&before).0 {
                self.fault(Some(record.seq), "it is not as it was written");
            }
            let hash = digest(&record.hash).unwrap_or_else(|| Digest::of(&record.hash));
            self.head = Head { count: u64::try_from(record.seq).unwrap_or_default(), hash };
            next = record.seq.saturating_add(1);
            self.cuts.extend(Cut::of(&record));
            self.expect(&record);
        }
        Ok(())
    }

    /// A chain that does not begin with its first record begins where a cut says, and the files of cuts are as they were written.
    fn start(&mut self, dir: &Path) -> Result<(), StoreError> {
        let (first, follows) = self.start.unwrap_or((1, origin()));
        if first > 1 && !self.cuts.iter().any(|cut| cut.last == first - 1 && cut.hash == follows) {
            self.fault(Some(first), format!("records 1 to {} are missing", first - 1));
        }
        for cut in self.cuts.clone() {
            if let Some(what) = cut.fault(dir)? {
                self.fault(None, what);
            }
        }
        Ok(())
    }

    /// What a record says about the readings that must be there.
    fn expect(&mut self, record: &AuditRecord) {
        let is = |kind: Kind| record.event == kind.as_str();
        if is(Kind::ChainBroken) {
            self.fault(Some(record.seq), format!("when the store was opened: {}", record.detail));
        }
        let Some(subject) = &record.subject else { return };
        if BINDING.into_iter().any(is) {
            let detail: serde_json::Value = serde_json::from_str(&record.detail).unwrap_or_default();
            let content = detail.get("content").and_then(|c| c.as_str()).unwrap_or_default().to_owned();
            self.expected.insert(subject.clone(), (record.seq, content));
        } else if is(Kind::Deleted) || is(Kind::Retired) {
            self.expected.remove(subject);
        }
    }

    /// Compares the readings with what the chain says; gives their number.
    fn readings(&mut self, connection: &Connection) -> Result<u64, StoreError> {
        let mut rows = connection.prepare("SELECT seq FROM readings ORDER BY seq")?;
        let mut count = 0;
        for seq in rows.query_map([], |row| row.get::<_, i64>(0))? {
            count += 1;
            let Some((id, found)) = content(connection, seq?)? else { continue };
            match self.expected.remove(&id) {
                None => self.fault(None, format!("reading {id} has no audit record")),
                Some((record, content)) if content != found.to_string() => {
                    self.fault(Some(record), format!("reading {id} is not as it was recorded"));
                }
                Some(_) => {}
            }
        }
        let mut gone: Vec<(String, i64)> = self.expected.drain().map(|(id, (record, _))| (id, record)).collect();
        gone.sort_by_key(|(_, record)| *record);
        for (id, record) in gone {
            self.fault(Some(record), format!("reading {id} is gone without a record of its deletion"));
        }
        Ok(count)
    }
}
