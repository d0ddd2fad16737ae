//! The end of the audit chain, kept in a file beside the database: who cuts records off the end of the table must change
//! this too. Whoever must not trust the machine compares with a head noted elsewhere, for example in the journal, where the
//! daemon writes it (`chexbox audit verify --expect`).
//!
//! The file holds one line of fixed length that is written in place after each commit, so that it is never ahead of the
//! database and needs no room on a full disk. It is also the lock that lets one process write at a time.

use super::StoreError;
use super::reading::{Digest, Malformed};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::str::FromStr;

/// Name in the state folder.
pub(super) const HEAD_FILE: &str = "audit.head";

/// Longest line: 20 digits, a colon, 64 digits, a line feed.
const LINE_BYTES_MAX: u64 = 128;

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
    let mut line = Vec::new();
    file.take(LINE_BYTES_MAX).read_to_end(&mut line)?;
    let text = std::str::from_utf8(&line).unwrap_or_default();
    Ok(text.strip_suffix('\n').and_then(|line| line.parse().ok()).map_or(Noted::Unreadable, Noted::Head))
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

    /// Waits until no other process writes.
    ///
    /// # Errors
    /// Where the file cannot be locked.
    pub(super) fn turn(&self) -> Result<Turn<'_>, StoreError> {
        self.file.lock()?;
        Ok(Turn(&self.file))
    }

    /// Notes the head.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn note(&self, head: &Head) -> Result<(), StoreError> {
        let line = format!("{:020}:{}\n", head.count, head.hash);
        Ok(self.file.write_all_at(line.as_bytes(), 0)?)
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
    fn a_head_survives_its_text_and_nothing_else_is_one() {
        let head = Head { count: 12, hash: Digest::of(b"x") };
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(format!("{:020}:{}", 12, head.hash).parse(), Ok(head));
        for text in ["", "12", ":", "+1:00", &format!("-1:{}", head.hash), &format!("99999999999999999999999:{}", head.hash)] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }
}
