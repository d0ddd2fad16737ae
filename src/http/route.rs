//! Every address of the service: who may ask, and who answers.
//!
//! In: a whole, bounded [`Request`]. Out: an [`Answer`]; whatever goes wrong is a problem with a stable code in the user's
//! language. Never: a panic that costs more than its own answer, or an address that /openapi.json does not describe.

mod about;
pub mod answer;
mod fhir;
pub mod multipart;
mod pictures;
pub mod problem;
mod reading_json;
mod readings;
pub mod request;
mod tally;

pub use about::OPENAPI;

use super::desk::{Caller, Desk, Right};
use answer::Answer;
use problem::{Code, Problem};
use request::Request;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tally::Tally;

/// What all answers share.
pub struct Context {
    /// The rest of the program.
    pub desk: Arc<dyn Desk>,
    /// Most bytes of a body.
    pub body_bytes_max: u64,
    /// Who counts as the peer.
    pub peers: Peers,
    tally: Tally,
}

/// Who counts as the peer of a request: its failed sign-ins are counted, and the audit names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Who connected.
    Connected,
    /// Whom a proxy of the site's own names last in X-Forwarded-For, where it names one.
    Forwarded,
}

/// Answers a request that is allowed; the places of its address in braces, in order.
type Handler = fn(&Context, &mut Request, &Caller, &[&str]) -> Result<Answer, Problem>;

/// Who answers, and whether anybody may ask.
enum Who {
    /// Whoever may do this.
    Allowed(Right, Handler),
    /// Anybody.
    Anybody(fn(&Context, &mut Request, &[&str]) -> Result<Answer, Problem>),
}

/// One address with one method.
struct Route {
    method: &'static str,
    pattern: &'static str,
    who: Who,
}

const fn allowed(method: &'static str, pattern: &'static str, right: Right, handler: Handler) -> Route {
    Route { method, pattern, who: Who::Allowed(right, handler) }
}

const fn open(
    method: &'static str,
    pattern: &'static str,
    handler: fn(&Context, &mut Request, &[&str]) -> Result<Answer, Problem>,
) -> Route {
    Route { method, pattern, who: Who::Anybody(handler) }
}

/// Every address; the first that fits answers.
const ROUTES: &[Route] = &[
    allowed("POST", "/v1/readings", Right::Read, |c, r, by, _| readings::create(c, r, by)),
    allowed("GET", "/v1/readings", Right::Read, |c, r, by, _| readings::list(c, r, by)),
    allowed("GET", "/v1/readings/{id}", Right::Read, |c, r, by, at| readings::show(c, r, by, at[0])),
    allowed("DELETE", "/v1/readings/{id}", Right::Admin, |c, r, by, at| readings::delete(c, r, by, at[0])),
    allowed("GET", "/v1/readings/{id}/heatmaps/{finding}.png", Right::Read, |c, r, by, at| {
        pictures::heat_map(c, r, by, at[0], at[1])
    }),
    allowed("GET", "/v1/readings/{id}/film.png", Right::Read, |c, r, by, at| pictures::film(c, r, by, at[0])),
    allowed("GET", "/v1/readings/{id}/report.html", Right::Read, |c, r, by, at| pictures::report(c, r, by, at[0])),
    allowed("GET", "/v1/readings/{id}/fhir", Right::Read, |c, r, by, at| fhir::bundle(c, r, by, at[0])),
    allowed("GET", "/v1/models", Right::Read, |c, r, _, _| about::models(c, r)),
    allowed("GET", "/metrics", Right::Read, |c, r, _, _| about::metrics(c, r)),
    open("GET", "/healthz", |_, r, _| about::health(r)),
    open("GET", "/readyz", |c, r, _| about::ready(c, r)),
    open("GET", "/openapi.json", |_, r, _| about::openapi(r)),
    open("GET", "/", |_, r, _| about::page(r, "")),
    open("GET", "/page/{file}", |_, r, at| about::page(r, at[0])),
];

/// Method and pattern of every address, for the document's test.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|r| (r.method, r.pattern))
}

impl Context {
    /// What all answers share.
    pub fn new(desk: Arc<dyn Desk>, body_bytes_max: u64, peers: Peers) -> Self {
        Self { desk, body_bytes_max, peers, tally: Tally::default() }
    }

    /// The answer to a request; a panic on its way costs this answer alone.
    pub fn answer(&self, request: &mut Request) -> Answer {
        let lang = request.lang();
        let (pattern, answer) = catch_unwind(AssertUnwindSafe(|| self.route(request)))
            .unwrap_or_else(|_| ("", Err(Problem::internal().because("a panic; the log says where"))));
        let answer = answer.unwrap_or_else(|problem| problem.answer(lang));
        self.tally.count(pattern, answer.status);
        answer
    }

    fn route(&self, request: &mut Request) -> (&'static str, Result<Answer, Problem>) {
        let path = std::mem::take(&mut request.path);
        let fits: Vec<&Route> = ROUTES.iter().filter(|r| places(r.pattern, &path).is_some()).collect();
        // HEAD is GET without the body, which the server leaves out.
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        let Some(route) = fits.iter().find(|r| r.method == method) else {
            let mut methods: Vec<&str> = fits.iter().map(|r| r.method).collect();
            if methods.contains(&"GET") {
                methods.push("HEAD");
            }
            return match fits.first() {
                None => ("", Err(Problem::new(Code::NoSuchAddress))),
                Some(r) => (r.pattern, Err(Problem::new(Code::NoSuchMethod).with("Allow", methods.join(", ")))),
            };
        };
        let at = places(route.pattern, &path).unwrap_or_default();
        let answer = match &route.who {
            Who::Anybody(handler) => handler(self, request, &at),
            Who::Allowed(right, handler) => {
                let what = format!("{} {}", route.method, route.pattern);
                let admitted = self.desk.admit(request.header("authorization"), request.peer, *right, &what);
                let admitted = admitted.map_err(Problem::from).and_then(|caller| of_this_machine(caller, request));
                admitted.and_then(|caller| handler(self, request, &caller, &at))
            }
        };
        (route.pattern, answer)
    }
}

/// The caller, where it showed a token or asks as this machine. A page of another site can send requests here, and under a name
/// of its own that it points at this machine it could read the answers; its browser names both in Host and Origin.
fn of_this_machine(caller: Caller, request: &Request) -> Result<Caller, Problem> {
    let names = [request.header("host"), request.header("origin").map(|o| o.split_once("://").map_or(o, |(_, name)| name))];
    match names.into_iter().flatten().find(|name| !is_loopback(name)) {
        Some(name) if caller.token.is_none() => Err(Problem::new(Code::ForeignName).because(name.to_owned())),
        _ => Ok(caller),
    }
}

/// Whether an authority (RFC 3986, 3.2: name or address, and a port) means this machine and nothing else.
fn is_loopback(authority: &str) -> bool {
    let address =
        authority.parse::<SocketAddr>().map(|a| a.ip()).or_else(|_| authority.trim_matches(['[', ']']).parse::<IpAddr>());
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    address.map_or_else(|_| name.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
}

/// What stands in the braces of a pattern; none where the path does not fit. A place is never empty.
fn places<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return Some(found),
            (Some(pattern), Some(part)) => match pattern.strip_prefix('{').and_then(|p| p.split_once('}')) {
                None if pattern == part => {}
                None => return None,
                Some((_, suffix)) => found.push(part.strip_suffix(suffix).filter(|p| !p.is_empty())?),
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_a_pattern_place_by_place() {
        for (pattern, path, want) in [
            ("/", "/", Some(vec![])),
            ("/v1/readings", "/v1/readings", Some(vec![])),
            ("/v1/readings", "/v1/readings/", None),
            ("/v1/readings/{id}", "/v1/readings/a", Some(vec!["a"])),
            ("/v1/readings/{id}", "/v1/readings/", None),
            ("/v1/readings/{id}", "/v1/readings/a/b", None),
            ("/h/{a}/{f}.png", "/h/x/y.png", Some(vec!["x", "y"])),
            ("/h/{a}/{f}.png", "/h/x/.png", None),
            ("/h/{a}/{f}.png", "/h/x/y", None),
            ("/", "", None),
        ] {
            assert_eq!(places(pattern, path), want, "{pattern} {path}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.9:80", "[::1]:8080", "[::1]"] {
            assert!(is_loopback(own), "{own}");
        }
        for foreign in ["rebound.example:8080", "10.0.0.7", "localhost.example", "null", "", "127.0.0.1.example:80", "[::2]:1"] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }

    #[test]
    fn handlers_ask_for_no_more_places_than_their_pattern_has() {
        for (_, pattern) in routes() {
            let braces = pattern.matches('{').count();
            let want = if pattern.contains("{finding}") { 2 } else { usize::from(braces > 0) };
            assert_eq!(braces, want, "{pattern}");
        }
    }
}
