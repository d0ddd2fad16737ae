//! What a site sets for results that go out: the tables `[[forward]]` of `chexbox.toml`, each an archive, checked.

use super::config::Keys;
use super::dicom_in::{TITLE, is_title};
use crate::limits::{
    DESTINATION_NAME_CHARS_MAX, DESTINATIONS_MAX, FORWARD_ANSWER_S, FORWARD_CONNECT_S, FORWARD_SECONDS_MAX, URL_BYTES_MAX,
};
use serde::Deserialize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What may stand in `to`.
const TO: &str = "dicom://TITLE@HOST:PORT, dicom+tls://TITLE@HOST:PORT, http://HOST:PORT/PATH and https://HOST:PORT/PATH";

/// A table `[[forward]]`, or a flag `--forward` with the same keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForwardKeys {
    /// What the site calls it.
    pub name: String,
    /// Where it is and how it is spoken to.
    pub to: String,
    /// What it gets; `sr` and `sc` unless given.
    pub objects: Option<Vec<String>>,
    /// Our AE title towards it; that of `dicom-title` unless given.
    pub calling: Option<String>,
    /// Certificate to trust, PEM.
    pub ca: Option<PathBuf>,
    /// File with what stands in the field Authorization of each request.
    pub authorization_file: Option<PathBuf>,
    /// Longest wait for a connection and an association.
    pub connect_seconds: Option<u64>,
    /// Longest that the transfer of an object may take, its answer included.
    pub answer_seconds: Option<u64>,
}

impl FromStr for ForwardKeys {
    type Err = String;

    /// `name=pacs,to=dicom://PACS@10.0.0.5:104,objects=sr+sc`: the keys of the table.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut keys = Self::default();
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no KEY=VALUE"))?;
            let seconds = || value.parse().map_err(|_| format!("{key} is {value:?}, allowed are whole seconds"));
            match key.trim() {
                "name" => value.clone_into(&mut keys.name),
                "to" => value.clone_into(&mut keys.to),
                "objects" => keys.objects = Some(value.split('+').map(str::to_owned).collect()),
                "calling" => keys.calling = Some(value.to_owned()),
                "ca" => keys.ca = Some(value.into()),
                "authorization-file" => keys.authorization_file = Some(value.into()),
                "connect-seconds" => keys.connect_seconds = Some(seconds()?),
                "answer-seconds" => keys.answer_seconds = Some(seconds()?),
                other => {
                    return Err(format!(
                        "{other:?} is no key of forward, which has name, to, objects, calling, ca, authorization-file, \
                         connect-seconds and answer-seconds"
                    ));
                }
            }
        }
        Ok(keys)
    }
}

/// A kind of object that a reading gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// Comprehensive SR.
    StructuredReport,
    /// Secondary capture with the overlays.
    SecondaryCapture,
    /// Grayscale softcopy presentation state.
    PresentationState,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::StructuredReport, Self::SecondaryCapture, Self::PresentationState];

    /// As it stands in the configuration and in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StructuredReport => "sr",
            Self::SecondaryCapture => "sc",
            Self::PresentationState => "gsps",
        }
    }
}

/// Whether what is sent can be read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It can.
    Plain,
    /// It cannot: TLS.
    Tls,
}

/// How an archive is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// C-STORE, to this AE title.
    CStore {
        /// Its title.
        called: String,
    },
    /// STOW-RS, below this path, which does not end with a slash.
    Stow {
        /// For example `/dicom-web`.
        path: String,
    },
}

/// An archive that results are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What the site calls it: what stands in the outbox, in metrics and in the audit.
    pub name: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Name or address of its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to under TLS.
    pub secrecy: Secrecy,
    /// What it gets: each kind once, at least one.
    pub objects: Vec<ObjectKind>,
    /// Our AE title towards it.
    pub calling: String,
    /// Certificate to trust.
    pub ca: Option<PathBuf>,
    /// File with what stands in the field Authorization.
    pub authorization_file: Option<PathBuf>,
    /// Longest wait for a connection and an association.
    pub connect: Duration,
    /// Longest that the transfer of an object may take, its answer included.
    pub answer: Duration,
}

impl Destination {
    /// What the keys say, in their order.
    ///
    /// # Errors
    /// Every value that cannot be meant, in both languages.
    pub fn all(keys: &Keys) -> Result<Vec<Self>, Vec<String>> {
        let tables = keys.forward.as_deref().unwrap_or_default();
        let mut faults = Vec::new();
        if tables.len() > DESTINATIONS_MAX {
            let found = tables.len();
            faults.push(format!(
                "forward stands {found} times, at most {DESTINATIONS_MAX} are allowed / forward 最多 {DESTINATIONS_MAX} 个"
            ));
        }
        let mut destinations: Vec<Self> = Vec::new();
        for table in tables {
            let of_table = Self::of(table, keys.dicom_title.as_deref().unwrap_or(TITLE), &mut faults);
            if destinations.iter().any(|d| d.name == table.name) {
                let name = &table.name;
                faults.push(format!("forward has the name {name:?} twice: each needs its own / forward 的 name {name:?} 重复"));
            }
            destinations.extend(of_table);
        }
        if faults.is_empty() { Ok(destinations) } else { Err(faults) }
    }

    /// What one table says; its faults are added to the others.
    fn of(table: &ForwardKeys, our_title: &str, faults: &mut Vec<String>) -> Option<Self> {
        let before = faults.len();
        let name = &table.name;
        if !is_name(name) {
            faults.push(format!(
                "forward has the name {name:?}, allowed are 1 to {DESTINATION_NAME_CHARS_MAX} letters a-z A-Z, digits, '-', '_' \
                 and '.' / forward 的 name 应为 1 至 {DESTINATION_NAME_CHARS_MAX} 个字母、数字或 - _ ."
            ));
        }
        let place = Place::of(&table.to);
        if place.is_none() {
            let to = &table.to;
            faults.push(format!("forward {name}: to is {to:?}, allowed are {TO} / forward {name} 的 to 应为 {TO}"));
        }
        let calling = table.calling.as_deref().unwrap_or(our_title);
        let called = place.as_ref().and_then(|place| match &place.protocol {
            Protocol::CStore { called } => Some(called.as_str()),
            Protocol::Stow { .. } => None,
        });
        for (key, title) in [("calling", Some(calling)), ("to", called)] {
            if let Some(title) = title.filter(|t| !is_title(t)) {
                faults.push(format!(
                    "forward {name}: {key} has {title:?}, which is no AE title: 1 to 16 ASCII characters / \
                     forward {name} 的 {key}：{title:?} 不是有效的 AE 标题"
                ));
            }
        }
        if let Some(place) = &place {
            unfitting(table, place, faults);
        }
        let objects = objects(table, faults);
        let connect = seconds(name, "connect-seconds", table.connect_seconds, FORWARD_CONNECT_S, faults);
        let answer = seconds(name, "answer-seconds", table.answer_seconds, FORWARD_ANSWER_S, faults);
        let Place { protocol, host, port, secrecy } = place?;
        (faults.len() == before).then(|| Self {
            name: name.clone(),
            protocol,
            host,
            port,
            secrecy,
            objects,
            calling: calling.to_owned(),
            ca: table.ca.clone(),
            authorization_file: table.authorization_file.clone(),
            connect,
            answer,
        })
    }

    /// Where it is, for people; without any secret.
    pub fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let (port, tls) = (self.port, self.secrecy == Secrecy::Tls);
        match &self.protocol {
            Protocol::CStore { called } => format!("dicom{}://{called}@{host}:{port}", if tls { "+tls" } else { "" }),
            Protocol::Stow { path } => format!("http{}://{host}:{port}{path}", if tls { "s" } else { "" }),
        }
    }
}

/// Keys that say nothing about a destination of this protocol, and those that it needs.
fn unfitting(table: &ForwardKeys, place: &Place, faults: &mut Vec<String>) {
    let name = &table.name;
    if place.secrecy == Secrecy::Tls && table.ca.is_none() {
        faults.push(format!(
            "forward {name}: ca is missing: TLS needs the certificate of the archive, or of who signed it / \
             forward {name} 使用 TLS，请设置 ca"
        ));
    }
    if place.secrecy == Secrecy::Plain && table.ca.is_some() {
        faults.push(format!(
            "forward {name}: ca is set, but to has no TLS: write dicom+tls:// or https:// / forward {name} 设置了 ca 但 to 未使用 TLS"
        ));
    }
    let c_store = matches!(place.protocol, Protocol::CStore { .. });
    if c_store && table.authorization_file.is_some() {
        faults.push(format!(
            "forward {name}: authorization-file is for http and https alone / forward {name} 的 authorization-file 仅用于 http 和 https"
        ));
    }
    if !c_store && table.calling.is_some() {
        faults.push(format!("forward {name}: calling is for dicom alone / forward {name} 的 calling 仅用于 dicom"));
    }
}

fn objects(table: &ForwardKeys, faults: &mut Vec<String>) -> Vec<ObjectKind> {
    let name = &table.name;
    let Some(words) = &table.objects else { return vec![ObjectKind::StructuredReport, ObjectKind::SecondaryCapture] };
    let known = |word: &String| ObjectKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    for word in words.iter().filter(|word| known(word).is_none()) {
        faults.push(format!(
            "forward {name}: objects has {word:?}, allowed are \"sr\", \"sc\" and \"gsps\" / forward {name} 的 objects 只能是 sr、sc、gsps"
        ));
    }
    if words.is_empty() {
        faults.push(format!(
            "forward {name}: objects is empty: name at least one of \"sr\", \"sc\" and \"gsps\" / forward {name} 的 objects 不能为空"
        ));
    }
    let mut kinds: Vec<ObjectKind> = words.iter().filter_map(known).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn seconds(name: &str, key: &str, given: Option<u64>, default: u64, faults: &mut Vec<String>) -> Duration {
    let value = given.unwrap_or(default);
    if !(1..=FORWARD_SECONDS_MAX).contains(&value) {
        faults.push(format!(
            "forward {name}: {key} is {value}, allowed are 1 to {FORWARD_SECONDS_MAX} / \
             forward {name} 的 {key} 应在 1 到 {FORWARD_SECONDS_MAX} 之间"
        ));
    }
    Duration::from_secs(value)
}

/// What may stand as a name in a label of a metric, a log and a file alike.
fn is_name(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=DESTINATION_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(sound)
}

/// What `to` says.
struct Place {
    protocol: Protocol,
    host: String,
    port: u16,
    secrecy: Secrecy,
}

impl Place {
    fn of(to: &str) -> Option<Self> {
        let (scheme, rest) = to.split_once("://").filter(|_| to.len() <= URL_BYTES_MAX)?;
        let secrecy = match scheme {
            "dicom" | "http" => Secrecy::Plain,
            "dicom+tls" | "https" => Secrecy::Tls,
            _ => return None,
        };
        if scheme.starts_with("dicom") {
            let (called, authority) = rest.rsplit_once('@')?;
            let (host, port) = authority_of(authority)?;
            return Some(Self { protocol: Protocol::CStore { called: called.to_owned() }, host, port: port?, secrecy });
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        // What stands in a request's first line as it is.
        if !path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b)) {
            return None;
        }
        let (host, port) = authority_of(authority)?;
        let port = port.unwrap_or(if secrecy == Secrecy::Tls { 443 } else { 80 });
        Some(Self { protocol: Protocol::Stow { path: path.to_owned() }, host, port, secrecy })
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[::1]` and `[::1]:PORT`.
fn authority_of(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(sound) {
        return None;
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
    };
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Destination>, Vec<String>> {
        Destination::all(&Keys::parse(text).unwrap())
    }

    fn one(to: &str) -> Option<Destination> {
        let ca = if to.contains("tls") || to.contains("https") { "ca = \"ca.pem\"\n" } else { "" };
        of(&format!("[[forward]]\nname = \"pacs\"\nto = \"{to}\"\n{ca}")).ok()?.pop()
    }

    #[test]
    fn a_destination_has_a_name_and_a_place_and_everything_else_by_default() {
        let pacs = one("dicom://ARCHIVE@10.0.0.5:104").unwrap();
        assert_eq!(
            (pacs.host.as_str(), pacs.port, pacs.secrecy, pacs.calling.as_str()),
            ("10.0.0.5", 104, Secrecy::Plain, "CHEXBOX")
        );
        assert_eq!(pacs.protocol, Protocol::CStore { called: "ARCHIVE".to_owned() });
        assert_eq!(pacs.objects, [ObjectKind::StructuredReport, ObjectKind::SecondaryCapture]);
        assert_eq!(of("").unwrap(), []);
        let titled = of("dicom = \"1\"\ndicom-title = \"BOX7\"\n[[forward]]\nname = \"a\"\nto = \"dicom://A@b:1\"\n");
        assert_eq!(titled.unwrap()[0].calling, "BOX7");
    }

    #[test]
    fn a_place_is_read_in_each_of_its_forms_and_written_again() {
        for (to, host, port, again) in [
            ("dicom://A B@pacs:11112", "pacs", 11_112, "dicom://A B@pacs:11112"),
            ("dicom+tls://A@[::1]:2762", "::1", 2_762, "dicom+tls://A@[::1]:2762"),
            ("http://pacs/dicom-web/", "pacs", 80, "http://pacs:80/dicom-web"),
            ("https://pacs.example", "pacs.example", 443, "https://pacs.example:443"),
            ("http://[2001:db8::1]:8042/dicom-web", "2001:db8::1", 8_042, "http://[2001:db8::1]:8042/dicom-web"),
        ] {
            let found = one(to).unwrap_or_else(|| panic!("{to}"));
            assert_eq!((found.host.as_str(), found.port, found.place().as_str()), (host, port, again), "{to}");
        }
        for wrong in [
            "",
            "pacs",
            "dicom://pacs:104",
            "dicom://A@pacs",
            "dicom://A@pacs:0",
            "dicom://A@pacs:70000",
            "dicom://MORE THAN SIXTEEN@pacs:104",
            "dicom://@pacs:104",
            "dicom://A@:104",
            "ftp://pacs/",
            "http://",
            "http://user:word@pacs/",
            "http://pacs/a?b",
            "http://pacs/a b",
            "http://pacs\r\nX: y/",
            "http://[::1/",
            "http://::1/",
        ] {
            assert!(one(&wrong.replace(['\r', '\n'], " ")).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_key_its_value_and_what_is_allowed() {
        let table = |more: &str| format!("[[forward]]\nname = \"pacs\"\nto = \"dicom://A@b:1\"\n{more}\n");
        for (text, named) in [
            (table("") + &table(""), vec!["\"pacs\" twice"]),
            (table("objects = [\"pdf\"]"), vec!["pacs", "objects", "\"pdf\"", "\"gsps\""]),
            (table("objects = []"), vec!["objects is empty"]),
            (table("calling = \"SEVENTEEN LETTERS\""), vec!["calling", "\"SEVENTEEN LETTERS\"", "1 to 16"]),
            (table("connect-seconds = 0"), vec!["connect-seconds is 0", "1 to"]),
            (table("answer-seconds = 86400"), vec!["answer-seconds is 86400", "1 to"]),
            (table("ca = \"x\""), vec!["ca is set", "dicom+tls://"]),
            (table("authorization-file = \"x\""), vec!["authorization-file"]),
            (
                "[[forward]]\nname = \"a b\"\nto = \"x\"".to_owned(),
                vec!["\"a b\"", "letters", "\"x\"", "dicom://TITLE@HOST:PORT"],
            ),
            ("[[forward]]\nname = \"a\"\nto = \"https://b\"".to_owned(), vec!["ca is missing"]),
            ("[[forward]]\nname = \"a\"\nto = \"http://b\"\ncalling = \"A\"".to_owned(), vec!["calling is for dicom"]),
        ] {
            let said = of(&text).unwrap_err().join("\n");
            for part in named {
                assert!(said.contains(part), "{text}: {part}: {said}");
            }
        }
        let said = Keys::parse("[[forward]]\nname = \"a\"\nto = \"b\"\nobject = []").unwrap_err().to_string();
        assert!(said.contains("`object`") && said.contains("`objects`"), "{said}");
    }

    #[test]
    fn the_flag_has_the_keys_of_the_table() {
        let flag: ForwardKeys =
            "name=pacs,to=dicom://A@b:1,objects=sr+gsps,calling=BOX,connect-seconds=3,answer-seconds=9".parse().unwrap();
        let file = "[[forward]]\nname = \"pacs\"\nto = \"dicom://A@b:1\"\nobjects = [\"sr\", \"gsps\"]\ncalling = \"BOX\"\n\
                    connect-seconds = 3\nanswer-seconds = 9";
        assert_eq!(Keys::parse(file).unwrap().forward, Some(vec![flag]));
        for wrong in ["pacs", "name=a,objects", "nmae=a", "name=a,connect-seconds=soon"] {
            assert!(wrong.parse::<ForwardKeys>().is_err(), "{wrong}");
        }
    }
}
