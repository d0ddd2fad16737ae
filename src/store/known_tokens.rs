//! What the store knows of tokens: which are revoked, which were used, and the highest time seen.

use super::StoreError;
use super::audit::{Actor, Event, Kind, append};
use super::connection::Store;
use crate::limits::AUDIT_PAGE_MAX;
use rusqlite::{OptionalExtension, params};

/// A token that no longer opens anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The token's id.
    pub token: String,
    /// Since when, milliseconds since 1970.
    pub at_ms: i64,
    /// Why.
    pub reason: String,
}

/// That a token was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// The token's id.
    pub token: String,
    /// Its name when it was last used.
    pub name: String,
    /// How often.
    pub times: i64,
    /// When last, milliseconds since 1970.
    pub last_ms: i64,
}

impl Store {
    /// Revokes a token by its id. False where it was revoked before.
    ///
    /// # Errors
    /// Where it is not durable.
    pub fn revoke(&self, token: &str, reason: &str, by: &Actor) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let new = transaction
                .prepare_cached("INSERT OR IGNORE INTO revoked (token, at_ms, reason) VALUES (?1, ?2, ?3)")?
                .execute(params![token, by.at_ms, reason])?;
            if new > 0 {
                append(transaction, &Event::new(Kind::TokenRevoked).about(token).with("reason", reason), by)?;
            }
            Ok(new > 0)
        })
    }

    /// Is it revoked?
    ///
    /// # Errors
    /// Where the store cannot be read; then nothing may be let in.
    pub fn is_revoked(&self, token: &str) -> Result<bool, StoreError> {
        self.read(|c| Ok(c.prepare_cached("SELECT 1 FROM revoked WHERE token = ?1")?.exists([token])?))
    }

    /// All that are revoked, newest first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        self.read(|connection| {
            let mut rows = connection.prepare_cached("SELECT token, at_ms, reason FROM revoked ORDER BY at_ms DESC, token")?;
            let rows = rows.query_map([], |r| Ok(Revocation { token: r.get(0)?, at_ms: r.get(1)?, reason: r.get(2)? }))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The tokens that were used, the last one first.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        self.read(|connection| {
            // SQLite takes the actor of the row that has the maximum.
            let mut rows = connection.prepare_cached(
                "SELECT subject, actor, count(*), max(at_ms) AS last FROM audit
                 WHERE event = 'token_used' AND subject IS NOT NULL GROUP BY subject ORDER BY last DESC LIMIT ?1",
            )?;
            let rows = rows.query_map([i64::try_from(AUDIT_PAGE_MAX).unwrap_or(i64::MAX)], |row| {
                Ok(TokenUse { token: row.get(0)?, name: row.get(1)?, times: row.get(2)?, last_ms: row.get(3)? })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The highest time of any record: a clock that shows much less was set back.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn highest_ms(&self) -> Result<i64, StoreError> {
        let highest = |c: &rusqlite::Connection| {
            let mut row = c.prepare_cached("SELECT value FROM state WHERE name = 'highest_ms'")?;
            Ok(row.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
        };
        self.read(highest)
    }

    /// Takes the time of `by` for the right one, after a clock had run ahead and was corrected by hand.
    ///
    /// # Errors
    /// Where it is not durable.
    pub fn accept_clock(&self, by: &Actor) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM state WHERE name = 'highest_ms'", [])?;
            append(transaction, &Event::new(Kind::ClockAccepted), by)
        })
    }
}
