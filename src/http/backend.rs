//! tiny_http behind the gate: a fixed number of threads take requests and give the answers of [`route`](super::route).
//!
//! In: requests that the gate let through, over a private socket. Out: their answers. Never: a thread more than asked for
//! at the start, or a body beyond the limit in memory.

use super::route::answer::Answer;
use super::route::problem::{Code, Problem};
use super::route::request::Request;
use super::route::{Context, Peers};
use crate::lang::Lang;
use std::io::{Cursor, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tiny_http::{Header, Response, Server};

/// Where the gate says the request came from.
const PEER: &str = "x-chexbox-peer";

/// Where a proxy in front of it says that.
const FORWARDED: &str = "x-forwarded-for";

/// How often a stopping backend looks whether the last answer is out.
const STOP_STEP: Duration = Duration::from_millis(20);

/// Threads that answer.
pub struct Backend {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stopping: AtomicBool,
    answering: AtomicUsize,
}

impl Backend {
    /// Starts `threads` threads that answer what comes to `listener`.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(listener: tiny_http::Listener, context: &Arc<Context>, threads: usize) -> std::io::Result<Self> {
        let server = Arc::new(Server::from_listener(listener, None).map_err(std::io::Error::other)?);
        let state = Arc::new(State::default());
        let spawn = |i| {
            let (server, context, state) = (Arc::clone(&server), Arc::clone(context), Arc::clone(&state));
            thread::Builder::new().name(format!("answers {i}")).spawn(move || {
                while !state.stopping.load(Ordering::SeqCst) {
                    if let Ok(request) = server.recv() {
                        state.answering.fetch_add(1, Ordering::SeqCst);
                        answer(&context, request);
                        state.answering.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            })
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<Result<_, _>>()?;
        Ok(Self { server, threads, state })
    }

    /// Stops; answers that are being made go out first, if they do so within `patience`.
    pub fn stop(self, patience: Duration) {
        self.state.stopping.store(true, Ordering::SeqCst);
        let end = Instant::now() + patience;
        for _ in &self.threads {
            self.server.unblock();
        }
        while self.state.answering.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            thread::sleep(STOP_STEP);
        }
        if self.state.answering.load(Ordering::SeqCst) == 0 {
            for thread in self.threads {
                let _ = thread.join();
            }
        }
    }
}

fn answer(context: &Context, mut incoming: tiny_http::Request) {
    let answer = match taken(context, &mut incoming) {
        Ok(mut request) => context.answer(&mut request),
        Err(problem) => problem.answer(Lang::En),
    };
    if let Err(e) = incoming.respond(response(answer)) {
        log::info!("an answer was not taken: {e}");
    }
}

/// The request with its body.
fn taken(context: &Context, incoming: &mut tiny_http::Request) -> Result<Request, Problem> {
    let headers: Vec<(String, String)> =
        incoming.headers().iter().map(|h| (h.field.as_str().as_str().to_ascii_lowercase(), h.value.to_string())).collect();
    let method = incoming.method().as_str().to_owned();
    let (path, query) = Request::target(incoming.url())?;
    let mut body = Vec::with_capacity(incoming.body_length().unwrap_or(0).min(1 << 20));
    let limit = context.body_bytes_max;
    let read = incoming.as_reader().take(limit.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|e| Problem::new(Code::BadBody).because(format!("the body ended early: {e}")))?;
    if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit {
        return Err(Problem::new(Code::BodyTooLarge).because(format!("at most {limit} bytes are allowed")));
    }
    let mut request = Request { method, path, query, headers, peer: Ipv4Addr::LOCALHOST.into(), body };
    if let Some(peer) = peer(&request, context.peers) {
        request.peer = peer;
    }
    Ok(request)
}

/// Where the request came from. What a client writes in front of the proxy's own entry counts for nothing.
fn peer(request: &Request, peers: Peers) -> Option<IpAddr> {
    let address = |text: &str| text.trim().parse::<IpAddr>().ok();
    let forwarded =
        || request.headers.iter().rev().find(|(n, _)| n == FORWARDED).and_then(|(_, v)| address(v.rsplit(',').next()?));
    match peers {
        Peers::Connected => request.header(PEER).and_then(address),
        Peers::Forwarded => forwarded().or_else(|| request.header(PEER).and_then(address)),
    }
}

fn response(answer: Answer) -> Response<Cursor<Vec<u8>>> {
    let headers = answer.headers.into_iter().filter_map(|(n, v)| Header::from_bytes(n, v).ok()).collect();
    let length = answer.body.len();
    // Whole, with its length: the gate counts on it.
    Response::new(answer.status.into(), headers, Cursor::new(answer.body), Some(length), None).with_chunked_threshold(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_who_connected_or_whom_the_site_s_proxy_names_last() {
        let request = |headers: &[(&str, &str)]| Request {
            method: "GET".into(),
            path: "/".into(),
            query: Vec::new(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            peer: Ipv4Addr::LOCALHOST.into(),
            body: Vec::new(),
        };
        let both = request(&[(PEER, "10.0.0.1"), (FORWARDED, "1.1.1.1, 2.2.2.2"), (FORWARDED, "3.3.3.3, 4.4.4.4")]);
        assert_eq!(peer(&both, Peers::Connected), "10.0.0.1".parse().ok());
        assert_eq!(peer(&both, Peers::Forwarded), "4.4.4.4".parse().ok());
        let plain = request(&[(PEER, "::1")]);
        assert_eq!(peer(&plain, Peers::Forwarded), "::1".parse().ok());
        assert_eq!(peer(&request(&[(FORWARDED, "nobody")]), Peers::Connected), None);
    }
}
