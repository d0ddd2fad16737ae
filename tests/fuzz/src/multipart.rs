//! Forms of films: whatever the bytes, each part with a content is one of the films found, whole, and nothing else is; a form
//! made anew of the films gives the same ones.
//!
//! An input is the value of Content-Type, a line feed, and the body.

use crate::small::Target;
use chexbox::http::route::multipart::{Part, boundary, parts};
use chexbox::lang::Lang;
use chexbox::limits::{FILE_NAME_CHARS_MAX, PARTS_MAX};

/// The target.
pub const TARGET: Target = Target { name: "multipart", property: every_film_comes_out_as_it_was_put_in, draw };

fn every_film_comes_out_as_it_was_put_in(bytes: &[u8]) -> &'static str {
    let (head, body) = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let boundary = match boundary(&String::from_utf8_lossy(head)) {
        None => return "no form",
        Some(Err(problem)) => {
            problem_is_sound(&problem);
            return "no boundary";
        }
        Some(Ok(boundary)) => boundary,
    };
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(|b| (0x20..0x7F).contains(&b)), "{boundary:?}");
    let found = match parts(body, &boundary) {
        Ok(found) => found,
        Err(problem) => {
            problem_is_sound(&problem);
            return "refused";
        }
    };
    assert!(found.len() <= PARTS_MAX);
    found.iter().for_each(|part| part_is_sound(part, body, &boundary));
    assert!(found.windows(2).all(|two| two[0].range.end < two[1].range.start), "{found:?}");
    let contents: Vec<&[u8]> = found.iter().map(|part| &body[part.range.clone()]).collect();
    let expected: Vec<&[u8]> = split(body, &boundary).into_iter().filter(|content| !content.is_empty()).collect();
    let whole: Vec<&[u8]> = contents.iter().copied().filter(|content| !content.is_empty()).collect();
    assert_eq!(whole, expected, "a part was left out, cut or made up");
    made_anew_it_is_the_same(&found, &contents, &boundary);
    match found.len() {
        0 => "no film",
        1 => "one film",
        _ => "several films",
    }
}

fn problem_is_sound(problem: &chexbox::http::route::problem::Problem) {
    for lang in [Lang::En, Lang::Zh] {
        let value = problem.value(lang);
        let detail = value["detail"].as_str().expect("a detail");
        assert!(value["status"] == 400 && !detail.is_empty() && detail.chars().count() < 400, "{value:?}");
        assert!(!detail.chars().any(char::is_control), "{detail:?}");
    }
}

/// A part ends where the boundary stands, holds none, and has a name that no file system stumbles over.
fn part_is_sound(part: &Part, body: &[u8], boundary: &str) {
    let delimiter = format!("\r\n--{boundary}");
    assert!(body[part.range.end..].starts_with(delimiter.as_bytes()), "{part:?}");
    let content = &body[part.range.clone()];
    assert!(!content.windows(delimiter.len()).any(|w| w == delimiter.as_bytes()), "{part:?}");
    if let Some(name) = &part.name {
        assert!((1..=FILE_NAME_CHARS_MAX).contains(&name.chars().count()), "{name:?}");
        assert!(!name.contains(['/', '\\']) && !name.chars().any(char::is_control), "{name:?}");
    }
}

/// The contents of a form that was accepted, found in the simplest way: what lies between two delimiters, behind its head.
fn split<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    let stands = |at: usize| body.get(at..).is_some_and(|rest| rest.starts_with(delimiter));
    let next = |from: usize| (from..body.len()).find(|at| stands(*at)).expect("an accepted form ends with its boundary");
    // Without the line end only at the very start.
    let first = body.starts_with(&delimiter[2..]);
    let mut begin = if first { delimiter.len() - 2 } else { next(0) + delimiter.len() };
    let mut contents = Vec::new();
    while !body[begin..].starts_with(b"--") {
        let end = next(begin);
        let part = &body[begin..end];
        // A head that ends where the delimiter begins has no content behind it.
        let head = part.windows(4).position(|w| w == b"\r\n\r\n").map_or(part.len(), |at| at + 4);
        contents.push(&part[head..]);
        begin = end + delimiter.len();
    }
    contents
}

fn made_anew_it_is_the_same(found: &[Part], contents: &[&[u8]], boundary: &str) {
    let mut body = Vec::new();
    for (part, content) in found.iter().zip(contents) {
        let name = part.name.as_deref().unwrap_or_default().replace('"', "\\\"");
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"film\"; filename=\"{name}\"\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let again = parts(&body, boundary).expect("a form made of films");
    let films = |parts: &[Part], body: &[u8]| -> Vec<(Option<String>, Vec<u8>)> {
        parts.iter().map(|part| (part.name.clone(), body[part.range.clone()].to_vec())).collect()
    };
    let before: Vec<(Option<String>, Vec<u8>)> =
        found.iter().zip(contents).map(|(part, content)| (part.name.clone(), content.to_vec())).collect();
    assert_eq!(films(&again, &body), before);
}

fn draw() -> Vec<(String, Vec<u8>)> {
    const KIND: &str = "multipart/form-data; boundary=XbX\n";
    let part = |head: &str, content: &str| format!("--XbX\r\nContent-Disposition: form-data{head}\r\n\r\n{content}\r\n");
    let film = |name: &str, content: &str| part(&format!("; name=\"film\"; filename=\"{name}\""), content);
    let end = "--XbX--\r\n";
    let two = film("a.dcm", "first film") + &film("胸片 1.png", "second film") + end;
    let typed =
        "--XbX\r\nContent-Type: application/dicom\r\ncontent-disposition: FORM-DATA; filename=a.dcm; name=f\r\n\r\nfilm\r\n";
    let files = [
        ("two", KIND.to_owned() + &two),
        ("none", KIND.to_owned() + end),
        ("preamble", KIND.to_owned() + "to be ignored\r\n" + &two + "and this too"),
        ("typed", KIND.to_owned() + typed + end),
        ("empty_field", KIND.to_owned() + &film("", "") + &film("a", "x") + end),
        ("empty_film", KIND.to_owned() + &film("a", "") + end),
        ("unnamed_film", KIND.to_owned() + &film("", "film") + end),
        ("names", KIND.to_owned() + &film("C:\\films\\a\\\"b;c.dcm", "x") + &film("../../etc/passwd", "\r\n") + end),
        ("almost", KIND.to_owned() + &film("a", "\r\n--Xb\r\n--XbY\r\n-\r\n\r\n--") + end),
        ("longer_boundary", KIND.to_owned() + &film("a", "\r\n--XbXY\r\n") + end),
        ("padding", KIND.to_owned() + &two.replace("--XbX\r\n", "--XbX \t\r\n")),
        ("field", KIND.to_owned() + &part("; name=\"model\"", "findings10") + end),
        ("no_disposition", KIND.to_owned() + "--XbX\r\nContent-Type: a/b\r\n\r\nfilm\r\n" + end),
        ("no_head", KIND.to_owned() + &two.replacen("--XbX\r\n", "--XbX\r\n\r\n", 1)),
        ("bare_lf", KIND.to_owned() + &two.replace("\r\n", "\n")),
        ("cut", KIND.to_owned() + two.trim_end_matches("--\r\n")),
        ("head_is_all", KIND.to_owned() + "--XbX\r\nContent-Disposition: form-data; filename=a\r\n\r\n--XbX--\r\n"),
        ("quoted", "Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b\"\n".to_owned() + &two.replace("XbX", "a b")),
        ("dashes", "multipart/form-data; boundary=--\n".to_owned() + &two.replace("XbX", "--")),
        ("no_boundary", "multipart/form-data\n".to_owned() + &two),
        ("no_form", "application/dicom\n".to_owned() + &two),
        ("long_boundary", format!("multipart/form-data; boundary={}\n", "b".repeat(71)) + &two),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}
