//! A request, taken apart: path, query, the few headers that matter, the body.
//!
//! In: what the gate let through. Out: a [`Request`] with every name and value decoded. Never: a value that was cut, or
//! taken twice.

use super::problem::{Code, Problem};
use crate::lang::Lang;
use crate::limits::QUERY_PAIRS_MAX;
use std::net::IpAddr;

/// A request, whole.
pub struct Request {
    /// Its method, in capitals.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Where it came from.
    pub peer: IpAddr,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// Takes a target such as `/v1/readings?limit=3` apart.
    ///
    /// # Errors
    /// [`Code::BadQuery`] for escapes that are none, text that is not UTF-8, or more pairs than allowed.
    pub fn target(target: &str) -> Result<(String, Vec<(String, String)>), Problem> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let wrong = |what: &str| Problem::new(Code::BadQuery).because(format!("in the query: {what}"));
        let pairs: Vec<&str> = query.split('&').filter(|p| !p.is_empty()).collect();
        if pairs.len() > QUERY_PAIRS_MAX {
            return Err(wrong(&format!("{} values, at most {QUERY_PAIRS_MAX} are allowed", pairs.len())));
        }
        let mut decoded = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |s: &str| unescaped(&s.replace('+', " ")).ok_or_else(|| wrong("escapes must be %XX of UTF-8"));
            decoded.push((text(name)?, text(value)?));
        }
        Ok((path.to_owned(), decoded))
    }

    /// The value of a header, named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The value in the query.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Refuses values in the query that are not among `allowed`, or given twice: a misspelt filter must not look as if it
    /// had been applied.
    ///
    /// # Errors
    /// [`Code::BadQuery`] that names the value and what is allowed.
    pub fn only(&self, allowed: &[&str]) -> Result<(), Problem> {
        let known = |name: &str| name == "lang" || allowed.contains(&name);
        for (i, (name, _)) in self.query.iter().enumerate() {
            if !known(name) {
                let allowed: Vec<&str> = allowed.iter().copied().chain(["lang"]).collect();
                let what = format!("{} is not known here; allowed are {}", quoted(name), allowed.join(", "));
                return Err(Problem::new(Code::BadQuery).because(what));
            }
            if self.query.iter().take(i).any(|(n, _)| n == name) {
                return Err(Problem::new(Code::BadQuery).because(format!("{name} is given twice")));
            }
        }
        match self.value("lang") {
            None | Some("en" | "zh") => Ok(()),
            Some(other) => Err(Problem::new(Code::BadQuery).because(format!("lang is {}, allowed are en and zh", quoted(other)))),
        }
    }

    /// The language of the answer: `?lang=`, else Accept-Language, else English.
    pub fn lang(&self) -> Lang {
        let asked = self.value("lang").map(Lang::of_locale);
        asked.unwrap_or_else(|| self.header("accept-language").map_or(Lang::En, preferred))
    }
}

/// A text from outside as a message quotes it: short, and without anything but letters and plain marks.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_./: ".contains(c) { c } else { '?' };
    format!("\"{}\"", text.chars().take(40).map(plain).collect::<String>())
}

/// The language of the highest weight (RFC 9110, 12.5.4); the first of equals, English where neither is named.
fn preferred(accept: &str) -> Lang {
    let mut best = (Lang::En, 0.0_f32);
    for range in accept.split(',') {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or("").trim().to_ascii_lowercase();
        let weight = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let lang = match tag.split('-').next() {
            Some("zh") => Lang::Zh,
            Some("en") => Lang::En,
            _ => continue,
        };
        if weight > best.1 {
            best = (lang, weight);
        }
    }
    best.0
}

/// The text behind `%XX` escapes; none where an escape is broken or the bytes are not UTF-8.
pub fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok()
}

/// A value as an address carries it.
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_pair_by_pair() {
        let (path, query) = Request::target("/v1/readings?q=a%20b+c&finding=%E8%82%BA&empty&x=1=2").unwrap();
        assert_eq!(path, "/v1/readings");
        let want = [("q", "a b c"), ("finding", "肺"), ("empty", ""), ("x", "1=2")];
        assert_eq!(query, want.map(|(n, v)| (n.to_owned(), v.to_owned())));
        for broken in ["/?a=%", "/?a=%4", "/?a=%zz", "/?a=%ff", "/?%80=1", "/?a=%+1"] {
            assert!(Request::target(broken).is_err(), "{broken}");
        }
        assert!(Request::target(&format!("/?{}", "a&".repeat(QUERY_PAIRS_MAX))).is_ok());
        assert!(Request::target(&format!("/?{}", "a&".repeat(QUERY_PAIRS_MAX + 1))).is_err());
    }

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["", "a b", "肺/?&=%", "\u{0}\u{7f}"] {
            assert_eq!(unescaped(&escaped(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn the_language_of_the_highest_weight_is_chosen() {
        for (accept, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-GB,en;q=0.9,zh;q=0.8", Lang::En),
            ("de, zh;q=0.2", Lang::Zh),
            ("en;q=0.1, zh;q=0.2", Lang::Zh),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("fr", Lang::En),
            ("*", Lang::En),
            (";;q=x,,zh;q=x", Lang::Zh),
            ("", Lang::En),
        ] {
            assert_eq!(preferred(accept), lang, "{accept}");
        }
    }

    #[test]
    fn what_a_message_quotes_holds_no_codes() {
        assert_eq!(quoted("a\u{1b}[31m<b>\n"), "\"a??31m?b??\"");
    }
}
