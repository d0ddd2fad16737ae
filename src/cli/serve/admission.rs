//! Who may ask: tokens verified, failures counted, each use and each failure in the audit before anything is answered.

use super::shelf::fault;
use chexbox::http::desk::{Caller, Fault, Right};
use chexbox::http::failures::{Failed, Failures};
use chexbox::http::token::{Known, Scope, TokenFault, Tokens};
use chexbox::store::{Actor, Event, Kind, Store};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// Who asks, as the audit has it.
pub fn actor(caller: &Caller) -> Actor {
    let name = caller.token.clone().unwrap_or_else(|| "loopback".to_owned());
    Actor { name, peer: Some(caller.peer), at_ms: now_ms() }
}

/// What the store knows of tokens.
pub struct KnownToStore(pub Arc<Store>);

impl Known for KnownToStore {
    fn is_revoked(&self, id: &str) -> Result<bool, String> {
        self.0.is_revoked(id).map_err(|e| e.to_string())
    }

    fn highest_ms(&self) -> Result<i64, String> {
        self.0.highest_ms().map_err(|e| e.to_string())
    }
}

/// Lets callers in.
pub struct Admission {
    /// Tokens; none where the service listens on loopback alone and no key is configured.
    pub tokens: Option<Tokens>,
    /// Failures of each peer.
    pub failures: Failures,
}

impl Admission {
    /// The caller, let in for what it asks.
    ///
    /// # Errors
    /// Why it is not, or that the audit could not be written.
    pub fn admit(
        &self,
        store: &Store,
        authorization: Option<&str>,
        peer: IpAddr,
        right: Right,
        what: &str,
    ) -> Result<Caller, Fault> {
        let Some(tokens) = &self.tokens else { return Ok(Caller { token: None, peer }) };
        let now = now_ms();
        if let Some(seconds) = self.failures.blocked_s(peer, now) {
            return Err(Fault::TooManyFailures(seconds));
        }
        let text = authorization.ok_or(Fault::NoToken)?;
        let token = text.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer")).map_or("", |(_, t)| t.trim());
        let needed = match right {
            Right::Read => Scope::Read,
            Right::Admin => Scope::Admin,
        };
        let actor = |name: &str| Actor { name: name.to_owned(), peer: Some(peer), at_ms: now };
        match tokens.verify(token, now, needed) {
            Ok(claims) => {
                let used = Event::new(Kind::TokenUsed).about(&claims.id).with("what", what);
                store.audit(&used, &actor(&claims.name)).map_err(fault)?;
                Ok(Caller { token: Some(claims.name), peer })
            }
            Err(rejected) => {
                log::warn!("sign-in of {peer} failed: {}", rejected.fault);
                let scope = matches!(rejected.fault, TokenFault::Scope { .. });
                // Who holds a good token of a smaller scope is known by name and need not be stopped from guessing.
                let failed = if scope { Failed::Counted } else { self.failures.failed(peer, now) };
                if failed != Failed::Beyond {
                    let (id, name) = rejected.claims.map_or(("".to_owned(), "unknown".to_owned()), |c| (c.id, c.name));
                    let event = Event::new(Kind::SignInFailed).with("fault", rejected.fault.code());
                    let event = if id.is_empty() { event } else { event.about(&id) };
                    store.audit(&event, &actor(&name)).map_err(fault)?;
                }
                if failed == Failed::NowBlocked {
                    store.audit(&Event::new(Kind::SignInsBlocked), &actor("unknown")).map_err(fault)?;
                }
                Err(if scope { Fault::NotAllowed } else { Fault::WrongToken })
            }
        }
    }
}
