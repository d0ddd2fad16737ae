//! A service that misbehaves on purpose: it gives the page's real files and, for everything else, what a test scripts.

use chexbox::http::page;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// One request as the script sees it.
pub struct Asked {
    /// Method and path with query, `GET /v1/readings?limit=40`.
    pub line: String,
    /// The header Authorization, or nothing.
    pub token: String,
}

/// Status, further header lines (each with its line end), body.
pub type Said = (u16, String, String);

/// Starts it; it lives as long as the test's process. Returns its address.
pub fn start(script: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            // A browser that went away in the middle is no fault here.
            std::thread::spawn(move || answer(stream, script.as_ref()).ok());
        }
    });
    address
}

fn answer(stream: TcpStream, script: &dyn Fn(&Asked) -> Said) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut token) = (String::new(), 0, String::new());
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => token = value.to_owned(),
            _ => {}
        }
    }
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    let line = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let name = line.strip_prefix("GET /").map(|p| p.strip_prefix("page/").unwrap_or(p).to_owned());
    let mut stream = reader.into_inner();
    if let Some(file) = name.and_then(|n| page::file(&n)) {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            file.content_type,
            file.content.len()
        )?;
        return stream.write_all(file.content);
    }
    let (status, headers, body) = script(&Asked { line, token });
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
