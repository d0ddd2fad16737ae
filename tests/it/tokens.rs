//! Keys, fingerprints and tokens on the command line, from the company to the machine.

use super::run::{Scratch, chexbox, run, stderr, stdout};
use super::stored::{NOW, open, someone};
use chexbox::http::token::{Known, Scope, Tokens};
use chexbox::store::{Event, Kind};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

const HERE: &str = "0123-4567-89ab-cdef-0123-4567-89ab-cdef";

struct Nothing;

impl Known for Nothing {
    fn is_revoked(&self, _: &str) -> Result<bool, String> {
        Ok(false)
    }

    fn highest_ms(&self) -> Result<i64, String> {
        Ok(0)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn issue(key: &Path, more: &[&str]) -> std::process::Output {
    let base = ["token", "issue", "--key", text(key), "--fingerprint", HERE, "--scope", "read"];
    run(&[&base, more].concat())
}

fn keys(scratch: &Scratch) {
    let made = run(&["token", "keygen", "--out", text(scratch.path())]);
    assert!(made.status.success(), "{}", stderr(&made));
}

#[test]
fn a_token_goes_from_the_company_s_key_to_a_machine_that_lets_it_in() {
    let scratch = Scratch::new("tokens-way");
    keys(&scratch);
    let key = scratch.join("chexbox.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let issued = issue(&key, &["--name", "ward 3 / 三病区", "--expires", "90d"]);
    assert!(issued.status.success(), "{}", stderr(&issued));
    let token = stdout(&issued).trim().to_owned();
    assert!(!stderr(&issued).contains(&token), "a token is said once");
    let public = std::fs::read_to_string(scratch.join("chexbox.pub")).unwrap().parse().unwrap();
    let tokens = Tokens::new(vec![public], HERE, Box::new(Nothing));
    let now = jiff::Timestamp::now().as_millisecond();
    let claims = tokens.verify(&token, now, Scope::Read).unwrap();
    assert_eq!((claims.name.as_str(), claims.scope), ("ward 3 / 三病区", Scope::Read));
    assert_eq!(claims.expires.as_millisecond() - claims.issued.as_millisecond(), 90 * 86_400_000);
    assert_eq!(tokens.verify(&token, now, Scope::Admin).unwrap_err().fault.code(), "scope");
    let list = stdout(&run(&["token", "list", "--key", text(&key)]));
    assert!(list.contains(&claims.id) && list.contains("ward 3 / 三病区") && !list.contains(&token), "{list}");
}

#[test]
fn keys_are_never_written_over() {
    let scratch = Scratch::new("tokens-keep");
    keys(&scratch);
    let before = std::fs::read(scratch.join("chexbox.key")).unwrap();
    let again = run(&["token", "keygen", "--out", text(scratch.path())]);
    assert_eq!(again.status.code(), Some(3));
    assert!(stderr(&again).contains("chexbox.key cannot be written"), "{}", stderr(&again));
    assert_eq!(std::fs::read(scratch.join("chexbox.key")).unwrap(), before);
}

#[test]
fn what_could_not_be_meant_is_refused_with_the_right_form() {
    let scratch = Scratch::new("tokens-wrong");
    keys(&scratch);
    let key = scratch.join("chexbox.key");
    for (more, want) in [
        (["--name", "x", "--expires", "soon"], "write 90d, 2027-12-31 or 2027-12-31T18:00:00Z"),
        (["--name", "x", "--expires", "2020-01-01"], "expires before it is valid"),
        (["--name", " ", "--expires", "90d"], "1 to 100 characters"),
    ] {
        let refused = issue(&key, &more);
        assert!(!refused.status.success());
        assert!(stderr(&refused).contains(want), "{}", stderr(&refused));
    }
    let wrong = run(&[
        "token",
        "issue",
        "--key",
        text(&key),
        "--fingerprint",
        "abc",
        "--name",
        "x",
        "--scope",
        "read",
        "--expires",
        "1d",
    ]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("eight groups of four digits"), "{}", stderr(&wrong));
    let public = issue(&scratch.join("chexbox.pub"), &["--name", "x", "--expires", "1d"]);
    assert!(stderr(&public).contains("this is no secret key"), "{}", stderr(&public));
    assert!(!scratch.join("chexbox.issued.jsonl").exists(), "nothing was issued");
}

#[test]
fn a_token_is_shown_with_what_it_says_and_whether_its_signature_holds() {
    let scratch = Scratch::new("tokens-show");
    keys(&scratch);
    let token = stdout(&issue(&scratch.join("chexbox.key"), &["--name", "ward 3", "--expires", "2999-12-31"]));
    let shown = stdout(&run(&["token", "show", token.trim()]));
    assert!(shown.contains("ward 3") && shown.contains(HERE) && shown.contains("3000-01-01T00:00:00Z"), "{shown}");
    assert!(shown.contains("not checked"), "{shown}");
    let public = scratch.join("chexbox.pub");
    let mut child = chexbox(&["token", "show", "-", "--public-key", text(&public)]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(stdout(&child.wait_with_output().unwrap()).contains("holds"));
    let other = Scratch::new("tokens-show-other");
    keys(&other);
    let strange = run(&["token", "show", token.trim(), "--public-key", text(&other.join("chexbox.pub"))]);
    assert_eq!(strange.status.code(), Some(3));
    assert!(stderr(&strange).contains("fits none of the public keys"), "{}", stderr(&strange));
}

#[test]
fn a_fingerprint_is_of_the_files_that_name_the_machine() {
    let scratch = Scratch::new("tokens-machine");
    let (uuid, id) = (scratch.join("uuid"), scratch.join("id"));
    std::fs::write(&uuid, "4c4c4544-0042-3510-8052-b4c04f4e3432\n").unwrap();
    std::fs::write(&id, "3d1219c7c4c5404aaa1f6d2a48adfda4\n").unwrap();
    let of = |uuid: &Path| run(&["token", "fingerprint", "--product-uuid", text(uuid), "--machine-id", text(&id)]);
    let full = of(&uuid);
    assert_eq!(stdout(&full).trim().len(), HERE.len());
    assert!(stderr(&full).is_empty());
    let bare = of(&scratch.join("none"));
    assert!(stderr(&bare).contains("no product UUID"), "{}", stderr(&bare));
    assert_ne!(stdout(&bare), stdout(&full));
    std::fs::write(&id, "").unwrap();
    assert!(stderr(&of(&uuid)).contains("systemd-machine-id-setup"));
}

#[test]
fn a_token_is_revoked_on_the_machine_while_the_daemon_runs() {
    let scratch = Scratch::new("tokens-revoke");
    let at = text(scratch.path());
    let revoke = |id: &str| run(&["token", "revoke", id, "--reason", "lost", "--state", at]);
    assert!(stderr(&revoke("00ff00ff00ff00ff")).contains("holds no store"));
    let store = open(scratch.path());
    store.audit(&Event::new(Kind::TokenUsed).about("1111111111111111"), &someone(NOW)).unwrap();
    assert!(!store.is_revoked("00ff00ff00ff00ff").unwrap());
    assert!(stdout(&revoke("00ff00ff00ff00ff")).contains("is revoked"));
    assert!(store.is_revoked("00ff00ff00ff00ff").unwrap());
    assert!(stdout(&revoke("00ff00ff00ff00ff")).contains("was revoked before"));
    assert_eq!(revoke("ward 3").status.code(), Some(2));
    let list = stdout(&run(&["token", "list", "--state", at]));
    assert!(list.contains("1111111111111111  ward 3") && list.contains("00ff00ff00ff00ff") && list.contains("lost"), "{list}");
    assert_eq!(store.audit_records(Some("token_revoked"), None, 9).unwrap().len(), 1);
}

#[test]
fn a_clock_that_ran_ahead_is_accepted_again_by_hand() {
    let scratch = Scratch::new("tokens-clock");
    let store = open(scratch.path());
    let far = 4_000_000_000_000;
    store.audit(&Event::new(Kind::Started), &someone(far)).unwrap();
    assert_eq!(store.highest_ms().unwrap(), far);
    let said = run(&["token", "accept-clock", "--state", text(scratch.path())]);
    assert!(stdout(&said).contains("2096-10-02"), "{}{}", stdout(&said), stderr(&said));
    assert!(store.highest_ms().unwrap() < far);
}
