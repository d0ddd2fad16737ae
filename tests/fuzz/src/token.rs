//! Tokens: what opens is exactly what was signed.

use crate::small::Target;
use chexbox::http::token::{Claims, Known, PublicKey, Scope, SecretKey, Tokens, signed_claims, unverified_claims};
use std::sync::OnceLock;

/// The target.
pub const TARGET: Target = Target { name: "token", property: only_what_was_signed_opens, draw: corpus };

/// Keys of the test vectors 4-S of the PASETO specification, which everybody knows.
const SECRET: &str = "k4.secret.tMv7Q99M4hByfZU-SnEzB_oZu32fhQQUONnhG5QqN3Qeudu7vAR8A_1wYE4AcfCYfhayi3VyJcEfAEFdDiCxog";
const PUBLIC: &str = "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI";

/// Token 4-S-1 of the specification: a signature that holds over claims that are not ours.
const SPECIFICATION: &str = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9bg_XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQEDA";

const HERE: &str = "0123-4567-89ab-cdef-0123-4567-89ab-cdef";
const NOW_MS: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;
const REVOKED: &str = "00000000000000ff";

struct Machine;

impl Known for Machine {
    fn is_revoked(&self, id: &str) -> Result<bool, String> {
        Ok(id == REVOKED)
    }

    fn highest_ms(&self) -> Result<i64, String> {
        Ok(NOW_MS)
    }
}

/// Tokens of one key; only the first two open anything.
fn signed() -> Vec<(&'static str, String)> {
    let at = |days: i64| jiff::Timestamp::from_millisecond(NOW_MS + days * DAY_MS).expect("a time of this century");
    let claims = || Claims {
        id: "0000000000000001".to_owned(),
        name: "ward 3".to_owned(),
        fingerprint: HERE.to_owned(),
        scope: Scope::Read,
        issued: at(-1),
        not_before: at(-1),
        expires: at(90),
    };
    let key: SecretKey = SECRET.parse().expect("the specification's key");
    let sign = |claims: &Claims| key.sign(claims).expect("claims that can be signed");
    vec![
        ("read", sign(&claims())),
        ("admin", sign(&Claims { scope: Scope::Admin, name: "管理员".to_owned(), ..claims() })),
        ("expired", sign(&Claims { not_before: at(-9), expires: at(-1), ..claims() })),
        ("later", sign(&Claims { not_before: at(9), ..claims() })),
        ("elsewhere", sign(&Claims { fingerprint: "x".to_owned(), ..claims() })),
        ("revoked", sign(&Claims { id: REVOKED.to_owned(), ..claims() })),
    ]
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let others = [("specification", SPECIFICATION), ("secret", SECRET), ("public", PUBLIC), ("local", "v4.local.AAAA")];
    let others = others.map(|(name, text)| (name, text.to_owned()));
    signed().into_iter().chain(others).map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// Any text opens only if it is, byte for byte, a token that was signed for this machine and time; it has the claims that
/// were signed; and no text makes a key that does not survive being written.
fn only_what_was_signed_opens(bytes: &[u8]) -> &'static str {
    static PLACE: OnceLock<(Tokens, Vec<PublicKey>, Vec<String>)> = OnceLock::new();
    let (tokens, keys, opening) = PLACE.get_or_init(|| {
        let keys: Vec<PublicKey> = vec![PUBLIC.parse().expect("the specification's key")];
        let opening = signed().into_iter().take(2).map(|(_, text)| text).collect();
        (Tokens::new(keys.clone(), HERE, Box::new(Machine)), keys, opening)
    });
    let text = String::from_utf8_lossy(bytes);
    let verified = tokens.verify(&text, NOW_MS, Scope::Read);
    assert_eq!(verified.is_ok(), opening.contains(&text.clone().into_owned()), "{text}");
    let unverified = unverified_claims(&text);
    if let Ok(claims) = signed_claims(keys, &text) {
        assert_eq!(unverified.as_ref(), Ok(&claims), "{text}");
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        let written = key.to_text().expect("a key has a text");
        assert_eq!(written.parse::<PublicKey>().expect("a written key"), key);
    }
    if let Ok(key) = text.parse::<SecretKey>() {
        let written = key.to_text().expect("a key has a text");
        assert!(written.parse::<SecretKey>().is_ok());
        return "a secret key";
    }
    match verified {
        Ok(_) => "opens",
        Err(rejected) => rejected.fault.code(),
    }
}
