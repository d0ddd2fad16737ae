//! The end of the audit chain, kept in a file beside the database: who cuts records off the end of the table must change
//! this too. Whoever must not trust the machine compares with a head noted elsewhere, for example in the journal, where the
//! daemon writes it (`chexbox audit verify --expect`).
//!
//! The file holds two lines of fixed length, written in turns and in place after each commit, so that it is never ahead of
//! the database, needs no room on a full disk, and still has a whole line where a write was cut in the middle. It is also the
//! lock that lets one process write at a time.

use super::StoreError;
use super::reading::{Digest, Malformed};
use crate::limits::{STORE_TURN_PAUSE_MS, STORE_TURN_TRIES};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// Name in the state folder.
pub(super) const HEAD_FILE: &str = "audit.head";

/// A line: 20 digits, 64 digits of the hash, 8 of a check sum, two colons, a line feed.
const LINE_BYTES: u8 = 95;

/// How long the chain is, and what it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Records.
    pub count: u64,
    /// Hash of the last one; of the chain's name for none.
    pub hash: Digest,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.count, self.hash)
    }
}

impl FromStr for Head {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        const WRONG: Malformed = Malformed("a head is COUNT:HASH, for example 12:9f86d0...");
        let (count, hash) = text.split_once(':').ok_or(WRONG)?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WRONG);
        }
        Ok(Self { count: count.parse().map_err(|_| WRONG)?, hash: hash.parse()? })
    }
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// This head.
    Head(Head),
    /// Nothing: there is no file.
    Absent,
    /// Something that is no head.
    Unreadable,
}

/// What the file in this folder says.
///
/// # Errors
/// Where it exists and cannot be read.
pub(super) fn noted(dir: &Path) -> Result<Noted, StoreError> {
    let file = match File::open(dir.join(HEAD_FILE)) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Noted::Absent),
        Err(e) => return Err(e.into()),
    };
    let mut lines = Vec::new();
    file.take(2 * u64::from(LINE_BYTES)).read_to_end(&mut lines)?;
    let heads = lines.chunks(usize::from(LINE_BYTES)).filter_map(of_line);
    Ok(heads.max_by_key(|head| head.count).map_or(Noted::Unreadable, Noted::Head))
}

/// The head as a line with its check sum.
fn line(head: &Head) -> String {
    let text = format!("{:020}:{}", head.count, head.hash);
    let sum = Digest::of(text.as_bytes()).to_string();
    format!("{text}:{}\n", sum.get(..8).unwrap_or_default())
}

/// The head of a line that is whole.
fn of_line(bytes: &[u8]) -> Option<Head> {
    let (text, _) = std::str::from_utf8(bytes).ok()?.rsplit_once(':')?;
    let head = text.parse().ok()?;
    (line(&head).as_bytes() == bytes).then_some(head)
}

/// Creates a file in the state folder, for its owner alone, who owns the folder also where root creates it.
///
/// # Errors
/// Where it cannot be opened or created.
pub(super) fn own_file(dir: &Path, name: &str) -> Result<File, StoreError> {
    let path = dir.join(name);
    let new = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    let folder = dir.metadata()?;
    let made = file.metadata()?;
    if new && (made.uid(), made.gid()) != (folder.uid(), folder.gid()) {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(file)
}

/// The file, open for writing.
pub(super) struct HeadFile {
    file: File,
}

/// Nobody else writes to the store while this lives.
pub(super) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.0.unlock() {
            log::error!("the lock of the audit's head cannot be released: {e}");
        }
    }
}

impl HeadFile {
    /// # Errors
    /// Where it cannot be opened or created.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: own_file(dir, HEAD_FILE)? })
    }

    /// Waits until no other process writes, but not for one that never ends.
    ///
    /// # Errors
    /// `Busy` where another process keeps on writing, or where the file cannot be locked.
    pub(super) fn turn(&self) -> Result<Turn<'_>, StoreError> {
        for _ in 0..STORE_TURN_TRIES {
            match self.file.try_lock() {
                Ok(()) => return Ok(Turn(&self.file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(STORE_TURN_PAUSE_MS)),
                Err(TryLockError::Error(e)) => return Err(e.into()),
            }
        }
        Err(StoreError::Busy)
    }

    /// Notes the head.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn note(&self, head: &Head) -> Result<(), StoreError> {
        let place = head.count % 2 * u64::from(LINE_BYTES);
        Ok(self.file.write_all_at(line(head).as_bytes(), place)?)
    }

    /// Makes what was noted durable.
    ///
    /// # Errors
    /// Where the disk does not confirm it.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        Ok(self.file.sync_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_or_changed_is_none() {
        let whole = line(&Head { count: 7, hash: Digest::of(b"x") }).into_bytes();
        assert_eq!(whole.len(), usize::from(LINE_BYTES));
        assert!(of_line(&whole).is_some());
        for at in 0..whole.len() {
            assert_eq!(of_line(&whole[..at]), None, "{at}");
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(of_line(&changed), None, "{at}");
        }
    }

    #[test]
    fn a_head_survives_its_text_and_nothing_else_is_one() {
        let head = Head { count: 12, hash: Digest::of(b"x") };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!("{:020}:{}", 12, head.hash).parse(), Ok(head));
        for text in ["", "12", ":", "+1:00", &format!("-1:{}", head.hash), &format!("99999999999999999999999:{}", head.hash)] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }
}
