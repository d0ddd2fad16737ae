//! The service's answers: one address after another, against the real binary.

use super::daemon::{Daemon, film, form, serve, state};
use super::dicom_file::{DicomFile, Tag};
use super::run::{Scratch, run, stderr, stdout};
use chexbox::http::route::{OPENAPI, routes};
use chexbox::radiograph::Samples;
use chexbox::radiograph::drawn::DrawnFilm;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is planted, and where: a string of its own in every attribute that names a patient or whoever stands near.
pub const PLANTED: [(Tag, &str, &str); 18] = [
    ((0x0008, 0x0050), "SH", "ZQACCESSION1"),
    ((0x0008, 0x0080), "LO", "ZQINSTITUTION2"),
    ((0x0008, 0x0081), "ST", "ZQSTREET3"),
    ((0x0008, 0x0090), "PN", "ZQREFERRER4"),
    ((0x0008, 0x1048), "PN", "ZQPHYSICIAN5"),
    ((0x0008, 0x1050), "PN", "ZQPERFORMER6"),
    ((0x0008, 0x1070), "PN", "ZQOPERATOR7"),
    ((0x0010, 0x0010), "PN", "ZQNAME8^ZQGIVEN9"),
    ((0x0010, 0x0020), "LO", "ZQID10"),
    ((0x0010, 0x0030), "DA", "19570809"),
    ((0x0010, 0x1000), "LO", "ZQOTHERID11"),
    ((0x0010, 0x1001), "PN", "ZQOTHERNAME12"),
    ((0x0010, 0x1040), "LO", "ZQADDRESS13"),
    ((0x0010, 0x1060), "PN", "ZQMOTHER14"),
    ((0x0010, 0x2154), "SH", "ZQPHONE15"),
    ((0x0010, 0x21B0), "LT", "ZQHISTORY16"),
    ((0x0010, 0x4000), "LT", "ZQCOMMENT17"),
    ((0x0020, 0x4000), "LT", "ZQIMAGECOMMENT18"),
];

/// A drawn film as a DICOM file with an identity planted in each attribute that can hold one.
pub fn planted() -> DicomFile {
    let film = DrawnFilm { width: 320, height: 320, seed: 11 }.draw_u16();
    let samples = match film.samples() {
        Samples::U16(v) => v.clone(),
        Samples::U8(v) => v.iter().map(|s| u16::from(*s) << 8).collect(),
    };
    let film = DicomFile::chest(320, 320, &samples);
    PLANTED.iter().fold(film, |film, (tag, vr, value)| film.with(*tag, vr, *value))
}

/// The same as the bytes of its file.
pub fn dicom() -> Vec<u8> {
    planted().bytes()
}

fn id(reading: &Value) -> String {
    reading["id"].as_str().unwrap_or_else(|| panic!("no id in {reading}")).to_owned()
}

#[test]
fn every_address_of_the_code_stands_in_the_document_and_the_other_way_round() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |m| (m.to_ascii_uppercase(), path.clone())))
        .collect();
    let answered: BTreeSet<(String, String)> = routes().map(|(m, p)| (m.to_owned(), p.to_owned())).collect();
    assert_eq!(described, answered);
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn a_film_sent_twice_is_one_reading_and_is_there_after_a_restart() {
    let scratch = Scratch::new("service-twice");
    let (first, film) = (film(3), film(4));
    let (a, b);
    {
        let mut daemon = Daemon::start(&state(&scratch), &[]);
        let made = daemon.read("?name=a%20film.png", &film);
        assert_eq!(made.status, 201, "{}", made.text());
        a = made.json();
        assert_eq!(made.header("location"), Some(format!("/v1/readings/{}", id(&a)).as_str()));
        assert_eq!((&a["film"]["name"], &a["patient"], &a["status"]), (&json!("a film.png"), &Value::Null, &json!("read")));
        let again = daemon.read("", &film);
        assert_eq!((again.status, id(&again.json())), (200, id(&a)));
        assert_ne!(id(&daemon.read("", &first).json()), id(&a), "another film is another reading");
        assert_ne!(id(&daemon.read("?model=findings10", &film).json()), id(&a), "another model is another reading");
        b = daemon.get(&format!("/v1/readings/{}", id(&a))).json();
        assert_eq!(a, b);
        daemon.signal("TERM");
        assert!(daemon.ended().success(), "{}", daemon.log());
    }
    let daemon = Daemon::start(&state(&scratch), &[]);
    let mut after = daemon.get(&format!("/v1/readings/{}", id(&a))).json();
    // The picture was in memory alone.
    assert_eq!(after["film"]["href"], Value::Null);
    after["film"]["href"] = b["film"]["href"].clone();
    assert_eq!(after, b);
    assert_eq!(daemon.get("/v1/readings").json()["readings"].as_array().unwrap().len(), 3);
}

#[test]
fn a_reading_holds_what_the_command_line_says_about_the_same_film() {
    let scratch = Scratch::new("service-same");
    let path = scratch.join("film.png");
    std::fs::write(&path, film(5)).unwrap();
    let said: Value = serde_json::from_str(&stdout(&run(&["read", "--json", path.to_str().unwrap()]))).unwrap();
    let daemon = Daemon::start(&state(&scratch), &[]);
    let given = daemon.read("", &film(5)).json();
    assert_eq!(given["model"], said["model"]);
    assert_eq!(given["provenance"]["steps"], said["provenance"]["steps"]);
    for (one, other) in given["findings"].as_array().unwrap().iter().zip(said["findings"].as_array().unwrap()) {
        for key in ["id", "name", "trained", "probability", "threshold", "positive"] {
            assert_eq!(one[key], other[key], "{key} of {one}");
        }
        assert_eq!(one["heatmap"].is_null(), one["trained"] == false);
    }
}

#[test]
fn a_refused_film_is_a_problem_with_its_code_and_remedy_and_has_a_record() {
    let scratch = Scratch::new("service-refused");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let refused = daemon.ask("POST", "/v1/readings", &[("Accept-Language", "zh-CN,en;q=0.5")], b"no film at all");
    assert_eq!((refused.status, refused.header("content-type")), (422, Some("application/problem+json")));
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:chexbox:problem:unknown_format");
    assert!(problem["remedy"].as_str().unwrap().contains("请"), "{problem}");
    let record = daemon.get(&format!("/v1/readings/{}", problem["reading"].as_str().unwrap())).json();
    assert_eq!((&record["status"], &record["findings"]), (&json!("refused"), &Value::Null));
    assert_eq!(record["refusal"]["code"], "unknown_format");
    let report = daemon.get(record["links"]["report"].as_str().unwrap());
    assert!(report.text().contains("NOT READ"));
}

#[test]
fn each_film_of_a_form_has_its_answer_in_order() {
    let scratch = Scratch::new("service-form");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let (films, none) = ([film(1), film(2), film(3)], b"none".to_vec());
    let (kind, body) = form(&[("a.png", &films[0]), ("肺.png", &none), ("c.png", &films[1]), ("d.png", &films[2])]);
    let answer = daemon.ask("POST", "/v1/readings?heatmaps=none", &[("Content-Type", &kind)], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let readings = answer.json()["readings"].as_array().unwrap().clone();
    let files: Vec<&str> = readings.iter().map(|r| r["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["a.png", "肺.png", "c.png", "d.png"]);
    let states: Vec<bool> = readings.iter().map(|r| r["status"] == "read").collect();
    assert_eq!(states, [true, false, true, true]);
    assert_eq!(readings[1]["code"], "unknown_format");
    assert!(readings[0]["findings"].as_array().unwrap().iter().all(|f| f["heatmap"].is_null()));
    for (film, reading) in films.iter().zip([&readings[0], &readings[2], &readings[3]]) {
        assert_eq!(id(&daemon.read("", film).json()), id(reading));
    }
    let broken = daemon.ask("POST", "/v1/readings", &[("Content-Type", "multipart/form-data; boundary=x")], b"--x\r\nno");
    assert_eq!((broken.status, &broken.json()["code"]), (400, &json!("bad_body")));
}

#[test]
fn pictures_and_report_of_a_reading_are_there_and_untrained_findings_have_none() {
    let scratch = Scratch::new("service-pictures");
    let daemon = Daemon::start(&state(&scratch), &["--keep-images"]);
    let reading = daemon.read("?name=x.png", &film(6)).json();
    let picture = |target: &str| {
        let answer = daemon.get(target);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")), "{target}: {}", answer.text());
        image::load_from_memory(&answer.body).unwrap()
    };
    assert_eq!(picture(reading["film"]["href"].as_str().unwrap()).into_luma8().dimensions(), (640, 640));
    let findings = reading["findings"].as_array().unwrap();
    let trained = findings.iter().find(|f| f["trained"] == true).unwrap();
    let map = trained["heatmap"].as_str().unwrap();
    let layer = picture(map).into_rgba8();
    assert_eq!(layer.dimensions(), (512, 512));
    assert!(layer.pixels().any(|p| p.0[3] > 200) && layer.pixels().any(|p| p.0[3] == 0), "heat is somewhere and not everywhere");
    assert!(picture(&format!("{map}?layer=film")).width() > 640);
    let untrained = findings.iter().find(|f| f["trained"] == false).unwrap()["id"].as_str().unwrap();
    let none = daemon.get(&format!("/v1/readings/{}/heatmaps/{untrained}.png", id(&reading)));
    assert_eq!((none.status, &none.json()["code"]), (404, &json!("no_such_heat_map")));
    let report = daemon.get(reading["links"]["report"].as_str().unwrap());
    assert!(report.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(report.text().contains("data:image/png;base64,") && report.text().contains("不作为诊断依据"));
    drop(daemon);
    let daemon = Daemon::start(&state(&scratch), &["--keep-images"]);
    let kept = daemon.get(&format!("/v1/readings/{}", id(&reading))).json();
    assert_eq!(daemon.get(kept["film"]["href"].as_str().unwrap()).status, 200, "the site keeps pictures");
}

#[test]
fn readings_are_found_page_by_page_and_removed() {
    let scratch = Scratch::new("service-list");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let made: Vec<String> = (0..5).map(|seed| id(&daemon.read(&format!("?name=f{seed}.png"), &film(seed)).json())).collect();
    let patient = daemon.read("", &dicom()).json();
    daemon.read("", b"no film");
    let mut found = Vec::new();
    let mut next = Some("/v1/readings?status=read&limit=2".to_owned());
    while let Some(target) = next {
        let page = daemon.get(&target).json();
        found.extend(page["readings"].as_array().unwrap().iter().map(id));
        next = page["next"].as_str().map(str::to_owned);
    }
    let newest_first: Vec<String> = made.iter().cloned().chain([id(&patient)]).rev().collect();
    assert_eq!(found, newest_first);
    let count = |query: &str| daemon.get(&format!("/v1/readings?{query}")).json()["readings"].as_array().unwrap().len();
    assert_eq!((count(""), count("status=refused"), count("q=f3.png")), (7, 1, 1));
    assert_eq!((count("since=2020-01-01"), count("until=2020-01-01")), (7, 0));
    assert_eq!(patient["patient"]["name"], "ZQNAME8^ZQGIVEN9");
    assert_eq!((count("patient=ZQID10"), count("q=zqname8"), count("patient=nobody")), (1, 1, 0));
    for wrong in ["limit=0", "statu=read", "cursor=x", "since=yesterday", "limit=1&limit=2"] {
        assert_eq!(daemon.get(&format!("/v1/readings?{wrong}")).status, 400, "{wrong}");
    }
    let target = format!("/v1/readings/{}", made[0]);
    assert_eq!(daemon.ask("DELETE", &target, &[], b"").status, 204);
    assert_eq!((daemon.get(&target).status, daemon.ask("DELETE", &target, &[], b"").status), (404, 404));
    assert_eq!(count(""), 6);
}

#[test]
fn an_idempotency_key_stands_for_one_request() {
    let scratch = Scratch::new("service-key");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let with_key = |film: &[u8]| daemon.ask("POST", "/v1/readings", &[("Idempotency-Key", "k-1")], film);
    let made = with_key(&film(1)).json();
    assert_eq!(id(&with_key(&film(1)).json()), id(&made));
    let other = with_key(&film(2));
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("idempotency_key_used")));
    assert_eq!(daemon.ask("POST", "/v1/readings", &[("Idempotency-Key", "a b")], &film(1)).status, 400);
}

#[test]
fn unknown_addresses_methods_and_models_are_problems() {
    let scratch = Scratch::new("service-unknown");
    let daemon = Daemon::start(&state(&scratch), &[]);
    for (method, target, status, code) in [
        ("GET", "/v2", 404, "no_such_address"),
        ("GET", "/v1/readings/", 404, "no_such_address"),
        ("GET", "/v1/readings/aaaaaaaaaaaaaaaaaaaaaaaaaa", 404, "no_such_reading"),
        ("GET", "/v1/readings/..%2f..%2fetc", 404, "no_such_reading"),
        ("DELETE", "/v1/readings", 405, "no_such_method"),
        ("POST", "/v1/readings?model=x", 404, "no_such_model"),
        ("GET", "/v1/models?lang=de", 400, "bad_query"),
        ("GET", "/page/none", 404, "no_such_page"),
    ] {
        let answer = daemon.ask(method, target, &[], b"");
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let allow = daemon.ask("DELETE", "/v1/readings", &[], b"");
    assert_eq!(allow.header("allow"), Some("POST, GET, HEAD"));
    let head = daemon.ask("HEAD", "/healthz", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn without_tokens_pages_of_other_sites_and_foreign_names_get_no_answer() {
    let scratch = Scratch::new("service-foreign");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let own = format!("http://{}", daemon.address);
    assert_eq!(daemon.ask("GET", "/v1/readings", &[("Origin", &own)], b"").status, 200);
    for origin in ["http://rebound.example", "https://127.0.0.1.example", "null"] {
        let answer = daemon.ask("GET", "/v1/readings", &[("Origin", origin)], b"");
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("foreign_name")), "{origin}");
    }
}

#[test]
fn no_identity_of_a_film_is_in_any_log_metric_audit_record_error_or_file_beside_the_store() {
    let scratch = Scratch::new("service-identity");
    let temporary = scratch.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = serve(&state(&scratch), &["--keep-images"]);
    command.env("RUST_LOG", "trace").env("TMPDIR", &temporary);
    let mut daemon = Daemon::of(command);
    let film = dicom();
    let read = daemon.read("", &film);
    assert_eq!(read.status, 201, "{}", read.text());
    let named = read.json()["patient"].to_string();
    assert!(named.contains("ZQNAME8") && named.contains("ZQID10"), "the answer itself says who the film is of: {named}");
    let mut said = String::new();
    // Cut in its pixels it is refused, and still names the patient in its header.
    said += &daemon.read("", &film[..film.len() - 1000]).text();
    let (kind, body) = form(&[("x.dcm", &film[..film.len() - 2000])]);
    said += &daemon.ask("POST", "/v1/readings", &[("Content-Type", &kind)], &body).text();
    daemon.ask("POST", "/v1/readings", &[("Idempotency-Key", "k")], &film);
    said += &daemon.ask("POST", "/v1/readings", &[("Idempotency-Key", "k")], b"another film").text();
    said += &daemon.get("/metrics").text();
    said += &daemon.get("/v1/readings?patient=nobody").text();
    daemon.signal("TERM");
    daemon.ended();
    said += &daemon.log();
    let audit = run(&["audit", "list", "--json", "--state", state(&scratch).to_str().unwrap()]);
    assert!(audit.status.success() && stdout(&audit).contains("reading"), "{}", stderr(&audit));
    said += &stdout(&audit);
    // Every file that the service wrote but the database of readings, which is where an identity belongs.
    let mut files = vec![temporary, state(&scratch)];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.is_file() && !path.file_name().unwrap().to_string_lossy().contains(".db") {
            said += &String::from_utf8_lossy(&std::fs::read(&path).unwrap());
        }
    }
    for (_, _, planted) in PLANTED {
        for part in planted.split('^') {
            assert!(!said.contains(part), "{part} stands in {said}");
        }
    }
}

#[test]
fn a_configuration_is_checked_and_its_faults_are_named() {
    let scratch = Scratch::new("service-config");
    let file = scratch.join("chexbox.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&["serve", "--check", "--config", file.to_str().unwrap()])
    };
    let good = check("listen = [\"127.0.0.1:8081\"]\nqueue = 4\nmodel = [\"findings10\"]\n");
    assert!(good.status.success(), "{}", stderr(&good));
    for part in ["http://127.0.0.1:8081", "4 waiting", "findings10"] {
        assert!(stdout(&good).contains(part), "{part}: {}", stdout(&good));
    }
    for (text, part) in [
        ("lisen = 1\n", "`listen`"),
        ("queue = 100000\n", "allowed are 0 to 256"),
        ("listen = [\"0.0.0.0:80\"]\n", "public-key"),
        ("model = [\"nix\"]\n", "findings25"),
        ("public-key = [\"/nowhere\"]\n", "/nowhere"),
        ("tls-cert = \"/nowhere\"\ntls-key = \"/nowhere\"\n", "/nowhere"),
        ("threshold = [\"pneumothorax=7\"]\n", "pneumothorax"),
    ] {
        let bad = check(text);
        assert!(!bad.status.success() && stderr(&bad).contains(part), "{text}: {}", stderr(&bad));
    }
}

#[test]
fn a_token_opens_what_its_scope_says_and_wrong_ones_learn_nothing() {
    let scratch = Scratch::new("service-token");
    let at = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    std::fs::write(scratch.join("machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let ok = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    ok(&["token", "keygen", "--out", &at("keys")]);
    let keys: Vec<_> = std::fs::read_dir(scratch.join("keys")).unwrap().map(|e| e.unwrap().path()).collect();
    let key = |end: &str| keys.iter().find(|k| k.to_string_lossy().ends_with(end)).unwrap().to_str().unwrap().to_owned();
    let fingerprint = ok(&["token", "fingerprint", "--machine-id", &at("machine-id"), "--product-uuid", &at("none")]);
    let fingerprint = fingerprint.split_whitespace().find(|w| w.len() > 30 && w.contains('-')).unwrap().to_owned();
    let issue = |scope: &str, fingerprint: &str| {
        let said = ok(&[
            "token",
            "issue",
            "--key",
            &key(".key"),
            "--fingerprint",
            fingerprint,
            "--name",
            "ward",
            "--scope",
            scope,
            "--expires",
            "2d",
        ]);
        said.split_whitespace().find(|w| w.starts_with("v4.public.")).unwrap().to_owned()
    };
    let (reader, admin) = (issue("read", &fingerprint), issue("admin", &fingerprint));
    let other = issue("admin", &fingerprint.chars().rev().collect::<String>());
    let (public, machine, uuid) = (key(".pub"), at("machine-id"), at("none"));
    let args = ["--public-key", &public, "--machine-id", &machine, "--product-uuid", &uuid];
    let daemon = Daemon::start(&state(&scratch), &args);
    let ask = |method: &str, target: &str, token: &str, body: &[u8]| {
        daemon.ask(method, target, &[("Authorization", &format!("Bearer {token}"))], body)
    };
    assert_eq!(daemon.get("/healthz").status, 200);
    let none = daemon.get("/v1/models");
    assert_eq!((none.status, none.header("www-authenticate").is_some()), (401, true));
    let made = ask("POST", "/v1/readings", &reader, &film(1));
    assert_eq!(made.status, 201, "{}", made.text());
    let target = format!("/v1/readings/{}", id(&made.json()));
    assert_eq!(ask("DELETE", &target, &reader, b"").status, 403);
    assert_eq!(ask("DELETE", &target, &admin, b"").status, 204);
    let (foreign, garbled) = (ask("GET", "/v1/models", &other, b""), ask("GET", "/v1/models", "v4.public.x", b""));
    assert_eq!((foreign.status, garbled.status), (401, 401));
    assert_eq!(foreign.body, garbled.body, "what is wrong with a token is for the log alone");
    for _ in 0..8 {
        assert_eq!(ask("GET", "/v1/models", "v4.public.x", b"").status, 401);
    }
    let blocked = ask("GET", "/v1/models", &admin, b"");
    assert_eq!((blocked.status, blocked.header("retry-after").is_some()), (429, true));
}

#[test]
fn a_probe_finds_a_good_service_good_and_says_what_is_wrong_with_others() {
    let scratch = Scratch::new("service-probe");
    let daemon = Daemon::start(&state(&scratch), &[]);
    let url = format!("http://{}", daemon.address);
    let good = run(&["probe", &url]);
    assert!(good.status.success() && stdout(&good).contains("within 0.001"), "{}{}", stdout(&good), stderr(&good));
    let moved = Scratch::new("service-probe-moved");
    let other = Daemon::start(&state(&moved), &["--model", "findings10"]);
    assert!(run(&["probe", &format!("http://{}", other.address)]).status.success());
    let url = format!("http://{}", other.address);
    let missing = run(&["probe", &url, "--model", "findings25"]);
    assert!(!missing.status.success() && stdout(&missing).contains("there are findings10"), "{}", stdout(&missing));
    // A port that is taken and not listened on: nobody else's service can come to it meanwhile.
    let silent = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&silent, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let silent = std::net::TcpListener::from(silent);
    let dead = run(&["probe", &format!("http://{}", silent.local_addr().unwrap())]);
    assert!(!dead.status.success() && stdout(&dead).contains("nothing answers there"), "{}", stdout(&dead));
    assert!(!run(&["probe", "box"]).status.success());
}

#[test]
fn the_service_is_ready_when_it_answers_lives_by_reading_and_ends_within_ten_seconds() {
    let scratch = Scratch::new("service-notify");
    let path = scratch.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = serve(&state(&scratch), &[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "4000000");
    let mut daemon = Daemon::of(command);
    let said = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let until = |wanted: &str| while said() != wanted {};
    until("READY=1");
    assert_eq!(daemon.get("/readyz").status, 200);
    let before = daemon.get("/metrics").text();
    // Nobody sends a film: the drawn one is read.
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    let finished = |text: &str| text.lines().find_map(|l| l.strip_prefix("chexbox_reading_seconds_count ")?.parse::<u64>().ok());
    assert!(finished(&daemon.get("/metrics").text()) > finished(&before));
    let start = Instant::now();
    daemon.signal("TERM");
    until("STOPPING=1");
    assert!(daemon.ended().success(), "{}", daemon.log());
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(!state(&scratch).join("chexbox.db-wal").metadata().is_ok_and(|m| m.len() > 0), "the store was not closed");
    let verified = run(&["audit", "verify", "--state", state(&scratch).to_str().unwrap()]);
    assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));
}

/// What systemd does: the sockets as descriptors from 3 on, their names, and the process that gets them named. None, and a word,
/// where there is no Python to do it.
fn with_sockets(scratch: &Scratch, names: &[&str], config: &str) -> Option<Command> {
    let python = ["python3", "python"].into_iter().find(|p| Command::new(p).arg("-V").output().is_ok_and(|o| o.status.success()));
    let Some(python) = python else {
        println!("skipped: no Python to pass a socket with");
        return None;
    };
    let pass = "import os, socket, sys\n\
        names = sys.argv[1].split(':')\n\
        sockets = [os.dup(socket.create_server(('127.0.0.1', 0)).detach()) for _ in names]\n\
        sockets = [os.dup2(s, 20 + i, False) for i, s in enumerate(sockets)]\n\
        for i, s in enumerate(sockets): os.dup2(s, 3 + i); os.set_inheritable(3 + i, True)\n\
        os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=sys.argv[1])\n\
        os.execv(sys.argv[2], sys.argv[2:])";
    let file = scratch.join("passed.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(python);
    command.args(["-c", pass, &names.join(":"), env!("CARGO_BIN_EXE_chexbox"), "serve", "--config"]).arg(file);
    command.arg("--state").arg(state(scratch));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    Some(command)
}

#[test]
fn a_socket_that_is_passed_is_listened_on() {
    let scratch = Scratch::new("service-passed");
    let Some(command) = with_sockets(&scratch, &["chexbox.socket"], "") else { return };
    let daemon = Daemon::of(command);
    assert_ne!(daemon.address.port(), 8080);
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn sockets_that_are_passed_are_told_apart_by_their_names() {
    for names in [["dicom", "chexbox.socket"], ["chexbox.socket", "dicom"]] {
        let scratch = Scratch::new("service-passed-dicom");
        let Some(command) = with_sockets(&scratch, &names, "dicom = \"systemd\"\n") else { return };
        let mut daemon = Daemon::of(command);
        assert_eq!(daemon.get("/healthz").status, 200);
        let begun = Instant::now();
        while !daemon.log().contains("DICOM as CHEXBOX at") {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = daemon.log();
        let port = log.lines().find_map(|line| line.split_once("DICOM as CHEXBOX at 127.0.0.1:")).unwrap().1.trim();
        assert_ne!(port, daemon.address.port().to_string());
        match Command::new("echoscu").args(["-aec", "CHEXBOX", "127.0.0.1", port]).output() {
            Ok(echo) => assert!(echo.status.success(), "{}", String::from_utf8_lossy(&echo.stderr)),
            Err(_) => println!("skipped: echoscu is not installed"),
        }
        let metrics = daemon.get("/metrics").text();
        for line in ["chexbox_dicom_stored_total 0", "chexbox_dicom_rejected_total{reason=\"calling_title\"} 0"] {
            assert!(metrics.lines().any(|l| l == line), "{line} is not in {metrics}");
        }
        // The provider ends without a connection of its own, which the units forbid; the store is closed behind it.
        daemon.signal("TERM");
        assert!(daemon.ended().success(), "{}", daemon.log());
        assert!(!state(&scratch).join("chexbox.db-wal").metadata().is_ok_and(|m| m.len() > 0), "the store was not closed");
    }
}

#[test]
fn a_socket_for_dicom_and_a_configuration_that_do_not_fit_each_other_are_refused() {
    for (names, config, named) in [
        (&["chexbox.socket", "dicom"][..], "", "set dicom = \"systemd\""),
        (&["chexbox.socket", "dicom"], "dicom = \"127.0.0.1:0\"\n", "set dicom = \"systemd\""),
        (&["chexbox.socket"], "dicom = \"systemd\"\n", "chexbox-dicom.socket"),
        (&["dicom", "dicom"], "dicom = \"systemd\"\nlisten = [\"127.0.0.1:0\"]\n", "several sockets"),
    ] {
        let scratch = Scratch::new("service-passed-wrong");
        let Some(mut command) = with_sockets(&scratch, names, config) else { return };
        let output = command.output().unwrap();
        assert!(!output.status.success() && stderr(&output).contains(named), "{names:?} {config}: {}", stderr(&output));
    }
}
