//! The page for people: its files, embedded in the binary.
//!
//! In: a file's name. Out: the file with its content type and a tag that changes with its content. The page is plain
//! HTML, CSS and JavaScript modules without a build step; it loads nothing from elsewhere and holds no script or style
//! in its markup, so that a strict Content-Security-Policy fits it.

use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Its content type.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static [u8],
    /// Its ETag, quotes included.
    pub etag: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal, $content_type:ident, $path:literal;)+) => {
        /// Name, content type and content of every file.
        const FILES: &[(&str, &str, &[u8])] = &[$(($name, $content_type, include_bytes!(concat!("page/", $path))),)+];
    };
}

files! {
    "", HTML, "index.html";
    "page.css", CSS, "page.css";
    "print.css", CSS, "print.css";
    "icon.svg", SVG, "icon.svg";
    "page.js", SCRIPT, "page.js";
    "client.js", SCRIPT, "client.js";
    "film.js", SCRIPT, "film.js";
    "findings.js", SCRIPT, "findings.js";
    "intake.js", SCRIPT, "intake.js";
    "list.js", SCRIPT, "list.js";
    "reading.js", SCRIPT, "reading.js";
    "tools.js", SCRIPT, "tools.js";
    "words.js", SCRIPT, "words.js";
}

/// A tag for each file, in their order: half of its SHA-256.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |content: &[u8]| Sha256::digest(content).iter().take(16).map(|b| format!("{b:02x}")).collect::<String>();
    FILES.iter().map(|(_, _, content)| format!("\"{}\"", tag(content))).collect()
});

/// The file of this name; the empty name is the page itself.
pub fn file(name: &str) -> Option<PageFile> {
    let (place, &(_, content_type, content)) = FILES.iter().enumerate().find(|(_, (n, _, _))| *n == name)?;
    Some(PageFile { content_type, content, etag: TAGS.get(place)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn text(name: &str) -> &'static str {
        std::str::from_utf8(file(name).unwrap().content).unwrap()
    }

    /// What follows each `before` in a text, up to a quote.
    fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect()
    }

    #[test]
    fn every_file_that_the_page_names_is_embedded_and_every_embedded_one_is_named() {
        let mut named: BTreeSet<&str> = ["href=\"/page/", "src=\"/page/"].iter().flat_map(|b| quoted(text(""), b)).collect();
        for (name, _, _) in FILES.iter().filter(|(_, content_type, _)| *content_type == SCRIPT) {
            named.extend(quoted(text(name), "from \"./"));
        }
        let embedded: BTreeSet<&str> = FILES.iter().map(|(name, _, _)| *name).filter(|n| !n.is_empty()).collect();
        assert_eq!(named, embedded);
        assert!(file("words").is_none() && file("../page.rs").is_none());
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_the_markup_holds_no_script_or_style() {
        for (name, _, _) in FILES {
            let text = text(name).replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "@import", "eval(", "innerHTML"] {
                assert!(!text.contains(elsewhere), "{name} holds {elsewhere}");
            }
        }
        for inline in ["<style", " style=", "onclick", "onload", "javascript:"] {
            assert!(!text("").contains(inline), "{inline}");
        }
        assert_eq!(text("").matches("<script").count(), text("").matches("<script type=\"module\" src=").count());
    }

    #[test]
    fn every_text_that_the_markup_asks_for_is_there() {
        let words = text("words.js");
        for attribute in ["data-word=\"", "data-label=\"", "data-tip=\"", "data-hint=\""] {
            for key in quoted(text(""), attribute) {
                assert!(words.contains(&format!("\n  {key}: [")), "{key}");
            }
        }
        for (name, _, _) in FILES.iter().filter(|(_, content_type, _)| *content_type == SCRIPT) {
            for key in quoted(text(name), "word(\"") {
                assert!(words.contains(&format!("\n  {key}: [")), "{name} asks for {key}");
            }
        }
    }

    #[test]
    fn a_tag_changes_with_its_content() {
        let tags: BTreeSet<&str> = FILES.iter().map(|(name, _, _)| file(name).unwrap().etag).collect();
        assert_eq!(tags.len(), FILES.len());
        assert!(tags.iter().all(|t| t.len() == 34 && t.starts_with('"') && t.ends_with('"')));
    }
}
