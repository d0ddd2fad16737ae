//! The files of the page for people, embedded.

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

/// The file of this name; the empty name is the page itself.
pub fn file(name: &str) -> Option<PageFile> {
    let index = PageFile {
        content_type: "text/html; charset=utf-8",
        content: b"<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>chexbox</title><a href=\"/openapi.json\">API</a></html>",
        etag: "\"0\"",
    };
    name.is_empty().then_some(index)
}
