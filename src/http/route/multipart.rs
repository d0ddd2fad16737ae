//! Films in one body of multipart/form-data (RFC 7578), taken apart in memory.
//!
//! In: a content type and a whole body. Out: the place and file name of each film. Never: a copy of a film, a walk that is
//! longer than the body, or a part that is silently left out.

use super::problem::{Code, Problem};
use super::request::quoted;
use crate::limits::{FILE_NAME_CHARS_MAX, PART_HEAD_BYTES_MAX, PARTS_MAX};
use std::ops::Range;

/// Longest boundary (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// A file of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it lies in the body.
    pub range: Range<usize>,
    /// Its file name without folders.
    pub name: Option<String>,
}

/// The boundary of a content type; none where it is no form.
pub fn boundary(content_type: &str) -> Option<Result<String, Problem>> {
    let (kind, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest, "boundary").unwrap_or_default();
    let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) && boundary.bytes().all(|b| (0x20..0x7F).contains(&b));
    Some(match fits {
        true => Ok(boundary),
        false => Err(bad("multipart/form-data needs a boundary of 1 to 70 characters")),
    })
}

/// The files of a form, in order. A file field left empty by a browser (no name, no content) is no film.
///
/// # Errors
/// [`Code::BadBody`] that says which part is wrong.
pub fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, Problem> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may stand at the very start, without the line end before it.
    let first = delimiter.get(2..).unwrap_or_default().as_bytes();
    let mut at = match body.starts_with(first) {
        true => first.len(),
        false => find(body, delimiter.as_bytes(), 0).ok_or_else(|| bad("the boundary does not stand in it"))? + delimiter.len(),
    };
    let mut parts = Vec::new();
    for number in 1.. {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            break;
        }
        if number > PARTS_MAX {
            return Err(bad(&format!("it has more than {PARTS_MAX} parts")));
        }
        // Spaces between boundary and line end are allowed (RFC 2046) and meaningless.
        let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let head = at + padding + 2;
        if rest.get(padding..padding + 2) != Some(b"\r\n") {
            return Err(bad(&format!("part {number} does not begin with a line of its own")));
        }
        let end = find(body, delimiter.as_bytes(), head.saturating_sub(2)).ok_or_else(|| bad("its last boundary is missing"))?;
        let (content, name) = part(body.get(head..end.max(head)).unwrap_or_default(), number)?;
        let range = head + content..end.max(head + content);
        match name {
            Some(name) if name.is_empty() && range.is_empty() => {}
            name => parts.push(Part { range, name: name.filter(|n| !n.is_empty()) }),
        }
        at = end + delimiter.len();
    }
    Ok(parts)
}

/// Where the content of a part begins, and its file name.
fn part(part: &[u8], number: usize) -> Result<(usize, Option<String>), Problem> {
    let searched = part.get(..PART_HEAD_BYTES_MAX.min(part.len())).unwrap_or_default();
    let undisposed = || bad(&format!("part {number} has no Content-Disposition"));
    // An empty line first: a part without a head (RFC 2046, 5.1), whatever its content looks like.
    if part.starts_with(b"\r\n") {
        return Err(undisposed());
    }
    let long = || bad(&format!("the head of part {number} does not end within {PART_HEAD_BYTES_MAX} bytes"));
    let end = find(searched, b"\r\n\r\n", 0).ok_or_else(long)?;
    let head = std::str::from_utf8(part.get(..end).unwrap_or_default());
    let head = head.map_err(|_| bad(&format!("the head of part {number} is not UTF-8")))?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim())
    });
    let disposition = disposition.ok_or_else(undisposed)?;
    let (_, parameters) = disposition.split_once(';').unwrap_or((disposition, ""));
    match parameter(parameters, "filename") {
        Some(name) => Ok((end + 4, Some(base_name(&name)))),
        None => {
            let field = parameter(parameters, "name").unwrap_or_default();
            Err(bad(&format!("part {number} ({}) is no file; options stand in the address, behind ?", quoted(&field))))
        }
    }
}

/// The value of a parameter such as `; name="a; b"`, with quotes and `\"` taken off. A backslash before anything else is
/// one: browsers of old sent paths.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            None => after.split_once(';').map_or((after.trim().to_owned(), ""), |(v, a)| (v.trim().to_owned(), a)),
            Some(quoted) => {
                let (value, length) = unquoted(quoted);
                (value, quoted.get(length..).unwrap_or(""))
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// The text up to the closing quote, and how many bytes it took with that quote.
fn unquoted(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, c)) = letters.next() {
        match (c, letters.peek()) {
            ('"', _) => return (value, at + 1),
            ('\\', Some((_, '"'))) => {
                value.push('"');
                letters.next();
            }
            _ => value.push(c),
        }
    }
    (value, text.len())
}

/// A file name without folders, without control characters, of bounded length.
pub fn base_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or("");
    last.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARS_MAX).collect()
}

/// Where `wanted`, which begins with a carriage return, first stands at or behind `from`.
fn find(text: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text.get(at..)?.iter().position(|b| *b == b'\r')?;
        if text.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

fn bad(what: &str) -> Problem {
    Problem::new(Code::BadBody).because(format!("multipart/form-data: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (head, content) in parts {
            body.extend_from_slice(format!("--B\r\nContent-Disposition: form-data{head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--B--\r\n");
        body
    }

    fn found(body: &[u8]) -> Vec<(Option<String>, Vec<u8>)> {
        parts(body, "B").unwrap().into_iter().map(|p| (p.name, body[p.range].to_vec())).collect()
    }

    #[test]
    fn each_file_comes_out_as_it_was_put_in() {
        let contents: [&[u8]; 5] = [b"", b"a", b"\r\n", b"-B", b"\r\n-\r\n--C\r\n\r\n"];
        for content in contents {
            let body = form(&[("; name=\"f\"; filename=\"a.dcm\"", content), ("; filename=b; name=f", b"second")]);
            let want = [(Some("a.dcm".to_owned()), content.to_vec()), (Some("b".to_owned()), b"second".to_vec())];
            assert_eq!(found(&body), want);
            let mut preamble = b"to be ignored\r\n".to_vec();
            preamble.extend(body);
            assert_eq!(found(&preamble), want);
        }
    }

    #[test]
    fn names_lose_folders_and_control_characters_and_keep_their_script() {
        for (given, want) in [
            ("\"C:\\films\\a.dcm\"", "a.dcm"),
            ("\"../../etc/passwd\"", "passwd"),
            ("\"胸片 1;2.png\"", "胸片 1;2.png"),
            ("\"a\\\"b.png\"", "a\"b.png"),
            ("\"a\u{1b}[31m\"", "a[31m"),
        ] {
            let body = form(&[(&format!("; name=\"f\"; filename={given}"), b"x")]);
            assert_eq!(found(&body)[0].0.as_deref(), Some(want));
        }
        assert_eq!(base_name(&"长".repeat(1_000)).chars().count(), FILE_NAME_CHARS_MAX);
    }

    #[test]
    fn a_field_that_a_browser_left_empty_is_no_film() {
        let body = form(&[("; name=\"f\"; filename=\"\"", b""), ("; name=\"f\"; filename=\"a\"", b"x")]);
        assert_eq!(found(&body).len(), 1);
        assert_eq!(found(b"--B--"), []);
    }

    #[test]
    fn what_is_no_form_of_files_is_refused_and_says_why() {
        let field = form(&[("; name=\"model\"", b"findings10")]);
        assert!(format!("{:?}", parts(&field, "B").unwrap_err()).contains("part 1 (\\\"model\\\") is no file"));
        let bodies: [&[u8]; 9] = [
            b"--B\r\n\r\nContent-Disposition: form-data; filename=a\r\n\r\nabc\r\n--B--",
            b"",
            b"--",
            b"--A--",
            b"--B\r\n",
            b"--B\r\n\r\n\r\n--B--",
            b"--Bx",
            b"--B\r\nContent-Disposition: form-data; filename=a\r\n\r\nabc",
            b"--B\r\nContent-Disposition: form-data; filename=\xff\r\n\r\nabc\r\n--B--",
        ];
        for body in bodies {
            assert!(parts(body, "B").is_err(), "{}", String::from_utf8_lossy(body));
        }
        let many = form(&vec![("; filename=a", b"x".as_slice()); PARTS_MAX]);
        assert_eq!(parts(&many, "B").unwrap().len(), PARTS_MAX);
        let more = form(&vec![("; filename=a", b"x".as_slice()); PARTS_MAX + 1]);
        assert!(parts(&more, "B").is_err());
        let long = form(&[(&format!("; filename={}", "a".repeat(PART_HEAD_BYTES_MAX)), b"x")]);
        assert!(parts(&long, "B").is_err());
    }

    #[test]
    fn every_cut_of_a_form_is_refused_or_read() {
        let body = form(&[("; name=\"f\"; filename=\"a.dcm\"", b"abc"), ("; filename=b", b"\r\n--")]);
        for cut in 0..body.len() {
            let _ = parts(&body[..cut], "B");
            let _ = parts(&body[cut..], "B");
        }
    }

    #[test]
    fn a_boundary_is_taken_from_the_content_type() {
        for (kind, want) in [
            ("multipart/form-data; boundary=abc", Some(Some("abc"))),
            ("Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b\"", Some(Some("a b"))),
            ("multipart/form-data", Some(None)),
            ("multipart/form-data; boundary=", Some(None)),
            ("application/dicom", None),
            ("", None),
        ] {
            assert_eq!(boundary(kind).map(Result::ok), want.map(|b| b.map(str::to_owned)), "{kind}");
        }
        assert!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))).unwrap().is_err());
    }
}
