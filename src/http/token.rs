//! Who may ask: access tokens, PASETO v4.public, signed offline with a key that never lies on the machine.
//!
//! In: the text of a token, the time, what it is to open. Out: its claims, or why it opens nothing. Never: a claim that is
//! looked at before the signature holds; a fault that tells the client more than that it was not let in. The module reads no
//! clock and no file; what the machine knows of tokens comes through [`Known`].

use crate::limits::{CLOCK_TOLERANCE_MS, TOKEN_BYTES_MAX, TOKEN_NAME_CHARS_MAX};
use jiff::Timestamp;
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, AsymmetricSecretKey, Generate};
use pasetors::paserk::FormatAsPaserk;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use pasetors::{Public, errors};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading films and looking at readings.
    Read,
    /// That, and deleting.
    Admin,
}

impl Scope {
    /// `read` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a token says. Unknown claims are refused: one could be a restriction that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Names the token, for logs and revocation.
    #[serde(rename = "jti")]
    pub id: String,
    /// Who uses it.
    #[serde(rename = "sub")]
    pub name: String,
    /// Fingerprint of the machine it is for.
    #[serde(rename = "aud")]
    pub fingerprint: String,
    /// What it opens.
    pub scope: Scope,
    /// When it was issued.
    #[serde(rename = "iat")]
    pub issued: Timestamp,
    /// From when on it is valid.
    #[serde(rename = "nbf")]
    pub not_before: Timestamp,
    /// Until when.
    #[serde(rename = "exp")]
    pub expires: Timestamp,
}

/// Why a token opens nothing: for the log and the audit, never for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than any token of ours.
    #[error("it has {0} bytes, at most {TOKEN_BYTES_MAX} are read")]
    TooLong(usize),
    /// Not a PASETO v4.public token, or not with our claims.
    #[error("it is not a token of chexbox")]
    Malformed,
    /// Signed with no key that is trusted here, or changed since.
    #[error("its signature fits none of the public keys")]
    Signature,
    /// For another machine.
    #[error("it was issued for machine {0}")]
    OtherMachine(String),
    /// Revoked.
    #[error("it was revoked")]
    Revoked,
    /// The clock shows an earlier time than before.
    #[error("the clock was set back by {0} s: correct it, or accept it with chexbox token accept-clock")]
    ClockSteppedBack(i64),
    /// Not valid yet.
    #[error("it is valid from {0} on")]
    NotYetValid(Timestamp),
    /// Expired.
    #[error("it expired on {0}")]
    Expired(Timestamp),
    /// For less than this.
    #[error("its scope is {has}, {needed} is needed")]
    Scope {
        /// What it opens.
        has: Scope,
        /// What was asked.
        needed: Scope,
    },
    /// What is known of tokens could not be looked up.
    #[error("it could not be looked up: {0}")]
    Unknown(String),
}

impl TokenFault {
    /// One word for the audit and for counting.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too_long",
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::OtherMachine(_) => "other_machine",
            Self::Revoked => "revoked",
            Self::ClockSteppedBack(_) => "clock_stepped_back",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::Expired(_) => "expired",
            Self::Scope { .. } => "scope",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// A token that was not let in, with its id where the signature held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Rejected {
    /// Why.
    pub fault: TokenFault,
    /// The token's id and name, which only a signature makes worth a record.
    pub claims: Option<Box<Claims>>,
}

/// What the machine knows of tokens.
pub trait Known: Send + Sync {
    /// Is this token revoked?
    ///
    /// # Errors
    /// A sentence, where it cannot be said; then nothing is let in.
    fn is_revoked(&self, id: &str) -> Result<bool, String>;

    /// The highest time seen, milliseconds since 1970.
    ///
    /// # Errors
    /// A sentence, where it cannot be said; then nothing is let in.
    fn highest_ms(&self) -> Result<i64, String>;
}

/// Why a key or a token cannot be made or read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not the text of a key.
    #[error("this is no {0} key: a file of chexbox token keygen begins with k4.{0}.")]
    Malformed(&'static str),
    /// The name is empty, too long or not one line.
    #[error("a token's name has 1 to {TOKEN_NAME_CHARS_MAX} characters on one line")]
    Name,
    /// It would never be valid.
    #[error("a token that expires before it is valid opens nothing")]
    NeverValid,
    /// The system gave no random numbers, or the key does not sign.
    #[error("the key cannot be used: {0}")]
    Crypto(String),
}

impl From<errors::Error> for KeyError {
    fn from(error: errors::Error) -> Self {
        Self::Crypto(format!("{error:?}"))
    }
}

/// The company's key. It never lies on the machine.
pub struct SecretKey(AsymmetricSecretKey<V4>);

/// The key that a machine verifies with.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey(AsymmetricPublicKey<V4>);

impl SecretKey {
    /// A new pair of keys.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn generate() -> Result<(Self, PublicKey), KeyError> {
        let pair = AsymmetricKeyPair::<V4>::generate()?;
        Ok((Self(pair.secret), PublicKey(pair.public)))
    }

    /// The key as a PASERK text.
    ///
    /// # Errors
    /// Never in practice: a key of the right size has a text.
    pub fn to_text(&self) -> Result<String, KeyError> {
        paserk(&self.0)
    }

    /// Signs claims.
    ///
    /// # Errors
    /// Where the claims could never be valid.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let name = claims.name.chars();
        if claims.name.trim().is_empty() || name.clone().count() > TOKEN_NAME_CHARS_MAX || name.into_iter().any(char::is_control)
        {
            return Err(KeyError::Name);
        }
        if claims.expires <= claims.not_before {
            return Err(KeyError::NeverValid);
        }
        let message = serde_json::to_vec(claims).map_err(|e| KeyError::Crypto(e.to_string()))?;
        Ok(PublicToken::sign(&self.0, &message, None, None)?)
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        const WRONG: KeyError = KeyError::Malformed("secret");
        // The public half of a key of zeros, which the library must not be asked to derive.
        let zeros = format!("k4.secret.{}", "A".repeat(42));
        if text.trim().starts_with(&zeros) {
            return Err(WRONG);
        }
        AsymmetricSecretKey::try_from(text.trim()).map(Self).map_err(|_| WRONG)
    }
}

impl PublicKey {
    /// The key as a PASERK text.
    ///
    /// # Errors
    /// Never in practice: a key of the right size has a text.
    pub fn to_text(&self) -> Result<String, KeyError> {
        paserk(&self.0)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        AsymmetricPublicKey::try_from(text.trim()).map(Self).map_err(|_| KeyError::Malformed("public"))
    }
}

fn paserk(key: &impl FormatAsPaserk) -> Result<String, KeyError> {
    let mut text = String::new();
    key.fmt(&mut text).map_err(|e| KeyError::Crypto(e.to_string()))?;
    Ok(text)
}

/// The claims of a token whose signature one of these keys made.
///
/// # Errors
/// Where it is too long, malformed, or signed by nobody we know.
pub fn signed_claims(keys: &[PublicKey], text: &str) -> Result<Claims, TokenFault> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::TooLong(text.len()));
    }
    let untrusted = UntrustedToken::<Public, V4>::try_from(text).map_err(|_| TokenFault::Malformed)?;
    // Our tokens have no footer; one would be bytes that nobody looks at.
    if !untrusted.untrusted_footer().is_empty() {
        return Err(TokenFault::Malformed);
    }
    let trusted = keys.iter().find_map(|key| PublicToken::verify(&key.0, &untrusted, None, None).ok());
    let trusted = trusted.ok_or(TokenFault::Signature)?;
    serde_json::from_str(trusted.payload()).map_err(|_| TokenFault::Malformed)
}

/// The claims of a token as it stands, for showing it to whoever holds it: nothing says that they are true.
///
/// # Errors
/// Where it is too long or malformed.
pub fn unverified_claims(text: &str) -> Result<Claims, TokenFault> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(TokenFault::TooLong(text.len()));
    }
    let untrusted = UntrustedToken::<Public, V4>::try_from(text).map_err(|_| TokenFault::Malformed)?;
    serde_json::from_slice(untrusted.untrusted_payload()).map_err(|_| TokenFault::Malformed)
}

/// Lets tokens in, or not.
pub struct Tokens {
    keys: Vec<PublicKey>,
    fingerprint: String,
    known: Box<dyn Known>,
}

impl Tokens {
    /// Tokens that one of these keys signed for the machine of this fingerprint.
    pub fn new(keys: Vec<PublicKey>, fingerprint: impl Into<String>, known: Box<dyn Known>) -> Self {
        Self { keys, fingerprint: fingerprint.into(), known }
    }

    /// The claims of a token that opens what is needed now.
    ///
    /// # Errors
    /// Why it does not. The client learns only that it was not let in.
    pub fn verify(&self, text: &str, now_ms: i64, needed: Scope) -> Result<Claims, Rejected> {
        let claims = signed_claims(&self.keys, text).map_err(|fault| Rejected { fault, claims: None })?;
        match self.valid(&claims, now_ms, needed) {
            Ok(()) => Ok(claims),
            Err(fault) => Err(Rejected { fault, claims: Some(Box::new(claims)) }),
        }
    }

    fn valid(&self, claims: &Claims, now_ms: i64, needed: Scope) -> Result<(), TokenFault> {
        if claims.fingerprint != self.fingerprint {
            return Err(TokenFault::OtherMachine(claims.fingerprint.clone()));
        }
        if self.known.is_revoked(&claims.id).map_err(TokenFault::Unknown)? {
            return Err(TokenFault::Revoked);
        }
        let back_ms = self.known.highest_ms().map_err(TokenFault::Unknown)?.saturating_sub(now_ms);
        if back_ms > CLOCK_TOLERANCE_MS {
            return Err(TokenFault::ClockSteppedBack(back_ms / 1_000));
        }
        if now_ms.saturating_add(CLOCK_TOLERANCE_MS) < claims.not_before.as_millisecond() {
            return Err(TokenFault::NotYetValid(claims.not_before));
        }
        if now_ms >= claims.expires.as_millisecond() {
            return Err(TokenFault::Expired(claims.expires));
        }
        if claims.scope < needed {
            return Err(TokenFault::Scope { has: claims.scope, needed });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "token/tests.rs"]
mod tests;
