//! What opens and what does not.

use super::*;
use crate::limits::CLOCK_TOLERANCE_MS;

const NOW: i64 = 1_800_000_000_000;
const HERE: &str = "0123-4567-89ab-cdef-0123-4567-89ab-cdef";

struct Box_ {
    revoked: &'static [&'static str],
    highest_ms: Result<i64, &'static str>,
}

impl Known for Box_ {
    fn is_revoked(&self, id: &str) -> Result<bool, String> {
        Ok(self.revoked.contains(&id))
    }

    fn highest_ms(&self) -> Result<i64, String> {
        self.highest_ms.map_err(str::to_owned)
    }
}

const QUIET: Box_ = Box_ { revoked: &[], highest_ms: Ok(NOW) };

fn claims() -> Claims {
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
    Claims {
        id: "00ff00ff00ff00ff".into(),
        name: "ward 3".into(),
        fingerprint: HERE.into(),
        scope: Scope::Read,
        issued: at(NOW - 1_000),
        not_before: at(NOW - 1_000),
        expires: at(NOW + 1_000),
    }
}

/// A key of this test, and the tokens of a machine that trusts it.
fn pair(known: Box_) -> (SecretKey, Tokens) {
    let (secret, public) = SecretKey::generate().unwrap();
    let (_, other) = SecretKey::generate().unwrap();
    (secret, Tokens::new(vec![other, public], HERE, Box::new(known)))
}

fn fault(known: Box_, claims: &Claims, now_ms: i64, needed: Scope) -> Option<&'static str> {
    let (secret, tokens) = pair(known);
    tokens.verify(&secret.sign(claims).unwrap(), now_ms, needed).err().map(|rejected| rejected.fault.code())
}

#[test]
fn a_token_opens_its_scope_on_its_machine_in_its_time() {
    let (secret, tokens) = pair(QUIET);
    let text = secret.sign(&claims()).unwrap();
    assert!(text.starts_with("v4.public."));
    assert_eq!(tokens.verify(&text, NOW, Scope::Read).unwrap(), claims());
    let admin = Claims { scope: Scope::Admin, ..claims() };
    for needed in [Scope::Read, Scope::Admin] {
        assert_eq!(fault(QUIET, &admin, NOW, needed), None);
    }
}

#[test]
fn every_reason_not_to_open_is_told_apart() {
    let elsewhere = Claims { fingerprint: "else".into(), ..claims() };
    assert_eq!(fault(QUIET, &elsewhere, NOW, Scope::Read), Some("other_machine"));
    assert_eq!(fault(QUIET, &claims(), NOW, Scope::Admin), Some("scope"));
    let revoked = Box_ { revoked: &["00ff00ff00ff00ff"], ..QUIET };
    assert_eq!(fault(revoked, &claims(), NOW, Scope::Read), Some("revoked"));
    let lost = Box_ { highest_ms: Err("the disk is gone"), ..QUIET };
    assert_eq!(fault(lost, &claims(), NOW, Scope::Read), Some("unknown"));
}

#[test]
fn a_token_ends_at_its_end_and_begins_with_the_tolerance_of_clocks() {
    for (now_ms, what) in [(NOW, None), (NOW + 999, None), (NOW + 1_000, Some("expired")), (i64::MAX, Some("expired"))] {
        assert_eq!(fault(QUIET, &claims(), now_ms, Scope::Read), what, "{now_ms}");
    }
    let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
    let later = |ms: i64| Claims { not_before: at(ms), expires: at(ms + 1), ..claims() };
    assert_eq!(fault(QUIET, &later(NOW + CLOCK_TOLERANCE_MS), NOW, Scope::Read), None);
    assert_eq!(fault(QUIET, &later(NOW + CLOCK_TOLERANCE_MS + 1), NOW, Scope::Read), Some("not_yet_valid"));
}

#[test]
fn a_clock_that_was_set_back_opens_nothing() {
    let seen = |ms| Box_ { highest_ms: Ok(ms), ..QUIET };
    assert_eq!(fault(seen(NOW + CLOCK_TOLERANCE_MS), &claims(), NOW, Scope::Read), None);
    assert_eq!(fault(seen(NOW + CLOCK_TOLERANCE_MS + 1), &claims(), NOW, Scope::Read), Some("clock_stepped_back"));
    assert_eq!(fault(seen(i64::MAX), &claims(), i64::MIN, Scope::Read), Some("clock_stepped_back"));
}

#[test]
fn a_signature_of_a_stranger_and_a_changed_byte_are_refused_without_a_look_at_the_claims() {
    let (secret, tokens) = pair(QUIET);
    let (stranger, _) = SecretKey::generate().unwrap();
    let strange = tokens.verify(&stranger.sign(&claims()).unwrap(), NOW, Scope::Read).unwrap_err();
    assert_eq!((strange.fault, strange.claims), (TokenFault::Signature, None));
    let text = secret.sign(&claims()).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let rejected = tokens.verify(std::str::from_utf8(&changed).unwrap(), NOW, Scope::Read).unwrap_err();
        assert!(matches!(rejected.fault, TokenFault::Signature | TokenFault::Malformed), "{at}: {rejected}");
    }
}

#[test]
fn a_token_that_is_no_token_of_ours_is_malformed() {
    let (secret, tokens) = pair(QUIET);
    let sign = |message: &str, footer: Option<&[u8]>| PublicToken::sign(&secret.0, message.as_bytes(), footer, None).unwrap();
    let good = serde_json::to_string(&claims()).unwrap();
    let more = good.replacen('{', "{\"only_at_night\":true,", 1);
    for text in [sign(&more, None), sign("{}", None), sign("x", None), sign(&good, Some(b"f"))] {
        assert_eq!(tokens.verify(&text, NOW, Scope::Read).unwrap_err().fault, TokenFault::Malformed, "{text}");
    }
    for text in ["", "v4.public.", "v4.local.AAAA", "v2.public.AAAA", "Bearer x", "v4.public.====", "v4.public.A.A.A"] {
        assert_eq!(tokens.verify(text, NOW, Scope::Read).unwrap_err().fault, TokenFault::Malformed, "{text}");
    }
    let long = "v4.public.".to_owned() + &"A".repeat(TOKEN_BYTES_MAX);
    assert!(matches!(tokens.verify(&long, NOW, Scope::Read).unwrap_err().fault, TokenFault::TooLong(_)));
}

#[test]
fn keys_survive_their_text_and_a_key_of_zeros_is_none() {
    let (secret, public) = SecretKey::generate().unwrap();
    let text = secret.to_text().unwrap();
    assert_eq!(text.parse::<SecretKey>().unwrap().to_text().unwrap(), text);
    assert_eq!(public.to_text().unwrap().parse::<PublicKey>().unwrap(), public);
    let zeros = format!("k4.secret.{}", "A".repeat(86));
    for wrong in ["", "k4.secret.", &zeros, &public.to_text().unwrap(), "k4.local.AAAA"] {
        assert!(wrong.parse::<SecretKey>().is_err(), "{wrong}");
    }
    assert!(text.parse::<PublicKey>().is_err());
}

#[test]
fn claims_that_could_never_open_are_not_signed() {
    let (secret, _) = SecretKey::generate().unwrap();
    let backwards = Claims { expires: claims().not_before, ..claims() };
    assert_eq!(secret.sign(&backwards), Err(KeyError::NeverValid));
    for name in ["", "  ", "a\nb", &"x".repeat(TOKEN_NAME_CHARS_MAX + 1)] {
        assert_eq!(secret.sign(&Claims { name: name.into(), ..claims() }), Err(KeyError::Name));
    }
}

/// Test vector 4-S-1 of the PASETO specification, signature and claims of another kind than ours.
#[test]
fn the_specification_s_own_token_verifies_and_has_not_our_claims() {
    let key = "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI".parse::<PublicKey>().unwrap();
    let token = "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCswMDowMCJ9bg_XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQEDA";
    assert_eq!(signed_claims(std::slice::from_ref(&key), token), Err(TokenFault::Malformed));
    assert_eq!(signed_claims(&[], token), Err(TokenFault::Signature));
    let (_, other) = SecretKey::generate().unwrap();
    assert_eq!(signed_claims(&[other], token), Err(TokenFault::Signature));
}
