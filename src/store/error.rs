//! Why the store could not do what was asked, by what the caller must do about it.

use rusqlite::{ErrorCode, ffi};

/// A fault of the store. None of its sentences holds a value that was to be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing was recorded. It works again as soon as there is room.
    #[error("the disk is full: free some room, or let retention keep less")]
    Full,
    /// What was written could not be made durable. The store takes no more writes until it is opened anew, because
    /// the system may have forgotten what it could not write.
    #[error("the disk did not confirm a write (fsync failed): check the disk; the store must be opened anew")]
    Fsync,
    /// An earlier fsync failed in this process, or a newer chexbox has migrated the store meanwhile.
    #[error("the store must be opened anew: an earlier write was not confirmed by the disk, or a newer chexbox has migrated it")]
    Reopen,
    /// The disk or the file system failed in another way.
    #[error("the store cannot be read or written: {0}")]
    Io(String),
    /// The file is no database of ours, or it is damaged.
    #[error("the store is damaged or not a store of chexbox ({0}): move it aside and restore a copy")]
    Corrupt(String),
    /// A newer chexbox wrote this store.
    #[error("the store has schema {found}, this chexbox knows up to {known}: install the newer version again")]
    TooNew {
        /// Version in the file.
        found: u32,
        /// Newest version this program knows.
        known: u32,
    },
    /// An older chexbox wrote this store.
    #[error("the store has schema {found}; start chexbox serve once, which migrates it to {known}")]
    TooOld {
        /// Version in the file.
        found: u32,
        /// The version this program works with.
        known: u32,
    },
    /// Another process has it.
    #[error("another chexbox has this store open or writes to it: stop it first")]
    Busy,
    /// There is no store in this folder.
    #[error("{0} holds no store: has chexbox serve run with this state folder?")]
    Absent(String),
    /// The idempotency key was used for another film.
    #[error("this idempotency key was used for another request")]
    KeyOfAnother,
    /// A part of what was to be stored is larger than allowed.
    #[error("{what} has {found} bytes, at most {allowed} are stored")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        found: usize,
        /// What is allowed.
        allowed: usize,
    },
    /// A fault of this program.
    #[error("fault in the store: {0}")]
    Internal(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(cause, _) = &error else {
            return Self::Internal(error.to_string());
        };
        match (cause.code, cause.extended_code) {
            (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => Self::Fsync,
            // The shared-memory file beside the database could not grow.
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Self::Full,
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy,
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Corrupt(error.to_string()),
            (
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied,
                extended,
            ) => Self::Io(format!("{error}, code {extended}")),
            _ => Self::Internal(error.to_string()),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for StoreError {
    fn from(error: rustix::io::Errno) -> Self {
        std::io::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_sqlite_says_what_the_caller_must_do() {
        let of = |extended: i32| StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(extended), None));
        assert!(matches!(of(ffi::SQLITE_FULL), StoreError::Full));
        assert!(matches!(of(ffi::SQLITE_IOERR_SHMSIZE), StoreError::Full));
        assert!(matches!(of(ffi::SQLITE_IOERR_FSYNC), StoreError::Fsync));
        assert!(matches!(of(ffi::SQLITE_IOERR_DIR_FSYNC), StoreError::Fsync));
        assert!(matches!(of(ffi::SQLITE_IOERR_WRITE), StoreError::Io(_)));
        assert!(matches!(of(ffi::SQLITE_BUSY), StoreError::Busy));
        assert!(matches!(of(ffi::SQLITE_CORRUPT), StoreError::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_NOTADB), StoreError::Corrupt(_)));
        assert!(matches!(of(ffi::SQLITE_CONSTRAINT), StoreError::Internal(_)));
    }
}
