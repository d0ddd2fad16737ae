//! The page, as people use it: headless Chromium in front of the real binary, with real uploads.

mod place;
mod standin;
pub mod webdriver;

use place::{Films, Place, lasting_address};
use serde_json::{Value, json};
use standin::Asked;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use webdriver::Browser;

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const LEFT: &str = "\u{E012}";
const RIGHT: &str = "\u{E014}";
const SHIFT: &str = "\u{E008}";
/// Widths that the page is made for: telephone, tablet, desk.
const SIZES: [(u32, u32); 3] = [(390, 844), (820, 1180), (1440, 900)];
/// All films have ended.
const ENDED: &str = "document.querySelector('#intake-rows li') && ![...document.querySelectorAll('#intake-rows li')].some(li => ['waiting', 'sending', 'held'].includes(li.dataset.state))";
/// A film stands on the canvas.
const FILM: &str = "!document.getElementById('reading').hidden && document.getElementById('film-waiting').hidden && document.getElementById('over-window').textContent";
/// A number for what the canvas shows.
const PIXELS: &str = "const c = document.getElementById('film'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let sum = 0; for (let i = 0; i < d.length; i += 4) sum = (sum * 31 + d[i] * 7 + d[i + 1] * 3 + d[i + 2]) % 4294967296; return [sum, c.width, c.height];";

/// Operating points at which every film is positive for one finding and for no other, whatever the model thinks of it.
fn positive() -> Vec<String> {
    let manifest: toml::Table = include_str!("../../models/findings25/manifest.toml").parse().unwrap();
    let trained = manifest["finding"].as_array().unwrap().iter().filter(|finding| finding["trained"].as_bool() == Some(true));
    let point = |finding: &toml::Value| {
        let id = finding["id"].as_str().unwrap();
        format!("{id}={}", if id == "pleural_effusion" { 0.002 } else { 0.998 })
    };
    let points = trained.flat_map(|finding| ["--threshold".to_owned(), point(finding)]);
    ["--model", "findings25"].map(str::to_owned).into_iter().chain(points).collect()
}

/// Opens the page as for the first time in this tab.
fn open(browser: &Browser, address: &str) {
    browser.go("about:blank");
    browser.go(&format!("{address}/"));
    browser.until("document.body.dataset.ready === ''");
}

/// Hands files to the page and waits until each has ended.
fn upload(browser: &Browser, films: &Films, names: &[&str]) {
    browser.write("#files", &films.named(names));
    browser.until(ENDED);
    browser.until(&format!("document.querySelectorAll('#days a').length >= {}", names.len()));
}

/// Opens the first reading of the list that matches.
fn choose(browser: &Browser, selector: &str) {
    let script = "location.hash = [...document.querySelectorAll('#days a')].find(a => a.matches(arguments[0])).hash";
    browser.run_with(script, &json!([selector]));
    browser.until("location.hash.includes(document.querySelector('#days a[aria-current]')?.dataset.reading)");
}

/// A number for what the canvas shows when nothing more changes.
fn settled(browser: &Browser) -> Value {
    browser.run_promise(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))",
    );
    browser.run(PIXELS)
}

/// Faults that the console tells of, without the lines that Chromium writes for every status from 400 on.
fn complaints(browser: &Browser) -> Vec<String> {
    browser.console().into_iter().filter(|l| l.starts_with("SEVERE") && !l.contains("Failed to load resource")).collect()
}

#[test]
fn films_sent_together_are_read_and_a_refused_one_says_why_and_what_to_do() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "films sent through the page") else { return };
    let films = Films::new("page-films");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    assert_eq!(browser.text("#welcome h1"), "Drop chest films here to have them read");
    browser.picture("1440-en-welcome");
    upload(&browser, &films, &["one.png", "patient.dcm", "notes.txt"]);
    assert_eq!(browser.text("#intake-count"), "3 of 3 done");
    let states = browser.run("return [...document.querySelectorAll('#intake-rows li')].map(li => li.dataset.state)");
    assert_eq!(states, json!(["done", "done", "refused"]));
    assert_eq!(browser.text("#list-count"), "3 films");

    choose(&browser, ".positive");
    browser.until(FILM);
    browser.picture("1440-en-positive");
    assert!(browser.text("#verdict").contains("is at or above its operating point"), "{}", browser.text("#verdict"));
    assert!(browser.text("#rows-above").contains("Pleural effusion"));
    let below =
        "return [...document.querySelectorAll('#rows-below .probability')].map(p => parseFloat(p.textContent.replace('<', '')))";
    let falling: Vec<f64> = browser.run(below).as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(falling.len() > 3 && falling.is_sorted_by(|a, b| a >= b), "{falling:?}");
    let marks = browser
        .run("return [...document.querySelectorAll('#findings .track')].every(t => t.style.getPropertyValue('--point') > 0)");
    assert_eq!(marks, json!(true), "every bar shows its operating point");
    let unavailable = browser.text("#unavailable");
    assert!(unavailable.contains("Scoliosis") && !unavailable.contains('%'), "{unavailable}");

    choose(&browser, ".refused");
    browser.until("!document.getElementById('refusal').hidden");
    assert_eq!(browser.text("#refusal-head"), "This film was not read");
    assert!(browser.text("#refusal-why").starts_with("The file is neither DICOM nor PNG"), "{}", browser.text("#refusal-why"));
    assert!(browser.text("#refusal-remedy").starts_with("Export the film"), "{}", browser.text("#refusal-remedy"));
    assert!(browser.run("return document.getElementById('findings').hidden") == json!(true), "a refusal looks like no finding");
    browser.picture("1440-en-refused");
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn heat_map_opacity_and_window_change_what_is_seen_and_reset_brings_the_film_back() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "the film on its canvas") else { return };
    let films = Films::new("page-canvas");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    upload(&browser, &films, &["one.png"]);
    browser.until(FILM);
    // The positive finding's map lies over the film from the beginning.
    browser.until("document.getElementById('heat').getAttribute('aria-pressed') === 'true' && document.getElementById('over-what').textContent");
    let settled = || settled(&browser);
    let with = settled();
    browser.click("#heat");
    browser.until("!document.getElementById('over-what').textContent");
    let alone = settled();
    assert_ne!(with, alone, "the heat map is seen");
    browser.press("h");
    browser.until("document.getElementById('over-what').textContent");
    assert_eq!(settled(), with, "the key H lays the same map over it again");
    browser.run("const o = document.getElementById('opacity'); o.value = 15; o.dispatchEvent(new Event('input'))");
    let faint = settled();
    assert_ne!(faint, with, "opacity changes it");
    browser.click("#rows-below button");
    browser.until("document.querySelector('#rows-below button').getAttribute('aria-pressed') === 'true'");
    // Its map is fetched first; what lies over the film is named when it is painted.
    browser.until(
        "document.getElementById('over-what').textContent.startsWith(document.querySelector('#rows-below .name').textContent)",
    );
    assert_ne!(settled(), faint, "another finding has a map of its own");
    browser.click("#heat");
    browser.until("!document.getElementById('over-what').textContent");
    browser.drag("#film", 90, 40);
    assert_ne!(settled(), alone, "dragging changes window and level");
    assert_ne!(browser.text("#over-window"), "W 256  L 128");
    browser.click("#invert");
    browser.click("#reset");
    assert_eq!(settled(), alone, "reset shows the film as at first");
    assert_eq!(browser.text("#over-window"), "W 256  L 128");
    let saved = "window.kept = null; URL.createObjectURL = (blob) => { window.kept = blob; return 'blob:' + location.origin + '/none'; }; HTMLAnchorElement.prototype.click = function () { window.named = this.download; };";
    browser.run(saved);
    browser.click("#save");
    browser.click("#save-png");
    browser.until("window.kept");
    assert_eq!(
        browser.run("return [window.kept.type, window.named.endsWith('.png'), window.kept.size > 10000]"),
        json!(["image/png", true, true])
    );
    browser.run("window.kept = null");
    browser.click("#save");
    browser.click("#save-json");
    browser.until("window.kept");
    let record = browser.run_promise("window.kept.text().then(JSON.parse).then((r) => [r.status, r.findings.length])");
    assert_eq!(record, json!(["read", 25]));
    let pdf = webdriver::base64(browser.devtools("Page.printToPDF", &json!({}))["data"].as_str().unwrap());
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 10_000);
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn films_dragged_in_from_outside_are_read_wherever_they_are_dropped() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "films dropped on the page") else { return };
    let films = Films::new("page-drop");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    let dropped = "document.getElementById('drop').hidden";
    browser.drop_files("#welcome", &["one.png", "patient.dcm"].map(|name| films.path(name)), || {
        browser.until(&format!("!{dropped}"));
        assert_eq!(browser.text("#drop"), "Let go to read these films");
        browser.picture("1440-en-drop");
    });
    browser.until(dropped);
    browser.until(ENDED);
    let rows = "return [...document.querySelectorAll('#intake-rows li')].map(li => [li.querySelector('.name').textContent, li.dataset.state])";
    assert_eq!(browser.run(rows), json!([["one.png", "done"], ["patient.dcm", "done"]]));
    browser.until(FILM);
    // Over a film that is open as well.
    browser.drop_files("#film", &[films.path("notes.txt")], || browser.until(&format!("!{dropped}")));
    browser.until("document.querySelectorAll('#intake-rows li').length === 3");
    browser.until(ENDED);
    assert_eq!(browser.run(rows)[2], json!(["notes.txt", "refused"]));
    // And by script, as tools for testing pages do it: the events are the page's own, whoever sends them.
    let synthetic = "const data = new DataTransfer(); data.items.add(new File(['no film'], 'text.txt')); const drag = (what, place) => place.dispatchEvent(new DragEvent(what, {bubbles: true, cancelable: true, dataTransfer: data})); drag('dragenter', document.body); drag('dragover', document.body); drag('drop', document.getElementById('rail'));";
    browser.run(synthetic);
    browser.until("document.querySelectorAll('#intake-rows li').length === 4");
    browser.until(ENDED);
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn a_film_is_zoomed_by_wheel_and_two_fingers_and_moved_by_mouse_and_keys() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "zoom of the film") else { return };
    let films = Films::new("page-zoom");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    upload(&browser, &films, &["one.png"]);
    browser.until(FILM);
    browser.until("document.getElementById('over-what').textContent");
    let whole = settled(&browser);
    let zoom = || browser.text("#over-window").split("  ").nth(2).map(str::to_owned);
    let window = "W 256  L 128";
    assert_eq!((zoom(), browser.text("#over-window").as_str()), (None, window));

    // What lies under the pointer stays there: turned in and out again, nothing has moved.
    browser.wheel("#film", (-120, 90), -400);
    browser.until("document.getElementById('over-window').textContent.endsWith('272 %')");
    let corner = settled(&browser);
    assert_ne!(corner, whole);
    browser.picture("1440-en-zoomed");
    browser.drag_with(1, "#film", 60, 30);
    let moved = settled(&browser);
    assert_ne!(moved, corner, "the middle button moves the film");
    assert!(browser.text("#over-window").starts_with(window), "and changes no window: {}", browser.text("#over-window"));
    browser.run("document.getElementById('film').focus()");
    browser.press_with(SHIFT, RIGHT);
    let beside = settled(&browser);
    assert_ne!(beside, moved, "so do Shift and the arrows");
    browser.press_with(SHIFT, LEFT);
    assert_eq!(settled(&browser), moved);
    browser.drag("#film", 40, 0);
    assert!(!browser.text("#over-window").starts_with(window), "a plain drag is for window and level");
    browser.press("0");
    assert_eq!(settled(&browser), whole, "0 shows all of it again");

    browser.pinch("#film", 50, 150);
    browser.until("document.getElementById('over-window').textContent.endsWith('300 %')");
    assert!(browser.text("#over-window").starts_with(window), "two fingers change no window: {}", browser.text("#over-window"));
    browser.picture("1440-en-pinched");
    browser.pinch("#film", 150, 50);
    browser.until("document.getElementById('over-window').textContent === 'W 256  L 128'");
    assert_eq!(settled(&browser), whole);
    browser.press("+");
    browser.until("document.getElementById('over-window').textContent.endsWith('125 %')");
    browser.click("#zoom-out");
    assert_eq!(settled(&browser), whole);
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn the_report_is_saved_as_one_file_that_names_no_patient_in_its_name() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "the report saved") else { return };
    let films = Films::new("page-report");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    let downloads = films.path("downloads");
    std::fs::create_dir(&downloads).unwrap();
    open(&browser, &place.address);
    browser.download_to(&downloads);
    upload(&browser, &films, &["patient.dcm"]);
    browser.until(FILM);
    browser.click("#save");
    browser.click("#save-html");
    browser.until("document.getElementById('toast').textContent.includes('was saved')");
    let saved = || {
        let names = std::fs::read_dir(&downloads).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".html")).collect::<Vec<_>>()
    };
    let begin = std::time::Instant::now();
    while saved().is_empty() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "nothing was downloaded");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let name = saved().remove(0);
    assert!(name.starts_with("chexbox-") && !name.contains("Muster") && !name.contains("417"), "{name}");
    let report = std::fs::read_to_string(downloads.join(&name)).unwrap();
    let ends = report.trim_end().ends_with("</html>");
    assert!(ends && report.contains("data:image/png;base64,") && report.contains("Muster"), "{} bytes", report.len());
    // As whoever gets the file sees it.
    browser.go(&format!("file://{}", downloads.join(&name).display()));
    browser.until("document.images.length > 0 && [...document.images].every(i => i.complete && i.naturalWidth > 100)");
    assert!(browser.run("return document.body.innerText").as_str().unwrap().contains("Pleural effusion"));
    browser.picture("1440-report");
}

#[test]
fn everything_is_reached_by_keyboard_alone_and_the_focus_is_always_seen() {
    let Some(browser) = Browser::open("en-GB", 1440, 900, "the page by keyboard") else { return };
    let films = Films::new("page-keys");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    upload(&browser, &films, &["one.png"]);
    browser.until(FILM);
    open(&browser, &place.address);
    let focus = "const e = document.activeElement, s = getComputedStyle(e), b = e.getBoundingClientRect(); return [e.id || e.dataset.reading && 'a reading' || e.dataset.finding && 'a finding' || e.className || e.tagName, e === document.body || (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2), b.width > 0 && b.bottom > 0]";
    let walk = |steps: usize| {
        let mut seen = Vec::new();
        for _ in 0..steps {
            browser.press(TAB);
            let at = browser.run(focus);
            assert_eq!((&at[1], &at[2]), (&json!(true), &json!(true)), "the focus on {} is not seen", at[0]);
            seen.push(at[0].as_str().unwrap_or_default().to_owned());
            if seen.last().is_some_and(|s| s == "BODY") {
                break;
            }
        }
        seen
    };
    assert_eq!(walk(1), ["skip"], "the first stop leads past the rest");
    let seen = walk(24);
    for stop in ["add", "tray", "q", "open-filters", "list-refresh", "a reading"] {
        assert!(seen.iter().any(|s| s == stop), "{stop} is not reached: {seen:?}");
    }
    browser.run("document.querySelector('#days a').focus()");
    browser.press(ENTER);
    browser.until(FILM);
    browser.until("document.activeElement.id === 'subject'");
    let seen = walk(30);
    for stop in ["print", "save", "delete", "film", "invert", "heat", "opacity", "a finding"] {
        assert!(seen.iter().any(|s| s == stop), "{stop} is not reached: {seen:?}");
    }
    browser.run("document.getElementById('film').focus()");
    browser.press(RIGHT);
    browser.until("document.getElementById('over-window').textContent.startsWith('W 264')");
    browser.press("2");
    browser.until("document.querySelector('#rows-below button').getAttribute('aria-pressed') === 'true'");
    browser.press("?");
    browser.until("document.getElementById('keys-box').open");
    browser.press(ENTER);
    browser.until("!document.getElementById('keys-box').open");
    assert!(browser.text("#said").len() < 400, "what is said aloud is a sentence");
}

#[test]
fn the_page_speaks_the_language_of_the_browser_and_remembers_another() {
    let Some(browser) = Browser::open("zh-CN", 1440, 900, "the page in Chinese") else { return };
    let films = Films::new("page-words");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    assert_eq!(browser.text("#welcome h1"), "将胸片拖到此处开始阅片");
    upload(&browser, &films, &["one.png", "notes.txt"]);
    choose(&browser, ".positive");
    browser.until(FILM);
    assert!(browser.text("#rows-above").contains("胸腔积液"), "{}", browser.text("#rows-above"));
    for (width, height) in SIZES {
        browser.size(width, height);
        browser.picture(&format!("{width}-zh-positive"));
    }
    let words = browser.run("return [...document.querySelectorAll('[data-word]')].filter(e => e.checkVisibility()).map(e => e.innerText).filter(t => /[a-z]{4}/i.test(t))");
    assert_eq!(words, json!([]), "English in the Chinese page");
    browser.click("[data-lang=en]");
    browser.until("document.getElementById('rows-above').innerText.includes('Pleural effusion')");
    assert_eq!(browser.run("return document.documentElement.lang"), "en");
    // No visible text in Chinese is left, whatever was fetched before.
    browser.until("![...document.body.querySelectorAll('*')].some(e => e.checkVisibility() && !e.closest('#languages') && [...e.childNodes].some(n => n.nodeType === 3 && /[\\u4e00-\\u9fff]/.test(n.data)))");
    open(&browser, &place.address);
    assert_eq!(browser.run("return document.documentElement.lang"), "en", "the choice is remembered");
}

#[test]
fn the_list_is_searched_by_patient_finding_status_and_day_and_a_reading_is_deleted() {
    let Some(browser) = Browser::open("en-GB", 820, 1180, "the list of films") else { return };
    let films = Films::new("page-list");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    upload(&browser, &films, &["one.png", "patient.dcm", "notes.txt"]);
    browser.run("location.hash = '#/'");
    let rows = "[...document.querySelectorAll('#days .who')].map(w => w.textContent).sort().join()";
    let shows = |want: &str| browser.until(&format!("{rows} === '{want}'"));
    shows("Muster Anna,notes.txt,one.png");
    browser.picture("820-en-list");
    browser.click("#open-filters");
    browser.write("[name=patient]", "A-417");
    shows("Muster Anna");
    browser.click("#filters [type=reset]");
    shows("Muster Anna,notes.txt,one.png");
    browser.run("const s = document.querySelector('[name=status]'); s.value = 'refused'; s.dispatchEvent(new Event('input', {bubbles: true}))");
    shows("notes.txt");
    browser.click("#filters [type=reset]");
    shows("Muster Anna,notes.txt,one.png");
    browser.run("const s = document.querySelector('[name=finding]'); s.value = 'pleural_effusion'; s.dispatchEvent(new Event('input', {bubbles: true}))");
    shows("Muster Anna,one.png");
    browser.click("#filters [type=reset]");
    browser.run("document.querySelector('[name=from]').value = '2001-01-01'; const t = document.querySelector('[name=to]'); t.value = '2001-01-02'; t.dispatchEvent(new Event('input', {bubbles: true}))");
    shows("");
    assert_eq!(browser.text("#list-nothing"), "No film matches.");
    browser.click("#filters [type=reset]");
    shows("Muster Anna,notes.txt,one.png");
    choose(&browser, ".refused");
    browser.until("!document.getElementById('refusal').hidden");
    browser.click("#delete");
    browser.until("document.getElementById('delete-box').open");
    browser.click("#delete-box [value=yes]");
    shows("Muster Anna,one.png");
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn axe_finds_no_fault_at_three_widths() {
    let Some(axe) = axe() else { return };
    let Some(browser) = Browser::open("en-GB", 1440, 900, "axe over the page") else { return };
    let films = Films::new("page-axe");
    let place = Place::start(films.folder(), "127.0.0.1:0", &positive());
    open(&browser, &place.address);
    let check = |what: &str| {
        browser.run(&axe);
        let found = browser.run_promise("axe.run(document).then((r) => [r.passes.length, r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 160)).join(' | '))])");
        assert!(found[0].as_u64().is_some_and(|passes| passes > 10), "axe looked at {what}: {found}");
        assert_eq!(found[1], json!([]), "{what}");
    };
    check("the page at first");
    upload(&browser, &films, &["one.png", "notes.txt"]);
    browser.click("#open-filters");
    for (width, height) in SIZES {
        browser.size(width, height);
        for (name, selector) in [("positive", ".positive"), ("refused", ".refused")] {
            choose(&browser, selector);
            browser.until(if name == "refused" { "!document.getElementById('refusal').hidden" } else { FILM });
            check(&format!("{name} at {width} px"));
            browser.picture(&format!("{width}-en-{name}"));
        }
        browser.run("location.hash = '#/'");
        browser.until("!document.getElementById('welcome').hidden");
        check(&format!("the list at {width} px"));
        browser.picture(&format!("{width}-en-list"));
    }
}

/// The source of axe-core; `None`, and a line that says what was skipped, where it was not fetched.
fn axe() -> Option<String> {
    let path =
        std::env::var("CHEXBOX_AXE").ok().or_else(|| Some(std::env::var("HOME").ok()? + "/.cache/chexbox/axe/axe.min.js"))?;
    let source = std::fs::read_to_string(Path::new(&path)).ok();
    if source.is_none() {
        println!("skipped: axe over the page ({path} is absent; `bash tools/browser.sh` fetches it)");
    }
    source
}

#[test]
fn a_token_is_asked_for_once_and_a_busy_service_is_tried_again() {
    let Some(browser) = Browser::open("en-GB", 820, 1180, "sign-in through the page") else { return };
    let tries = AtomicUsize::new(0);
    let reading = json!({"id": "abc", "created": "2026-01-02T03:04:05Z", "status": "refused", "film": {"sha256": "00", "name": "f.png", "bytes": 1, "href": null},
        "patient": null, "model": null, "refusal": {"code": "blank_film", "message": "the film shows nothing", "remedy": "check the exposure"},
        "findings": null, "notice": "", "links": {"self": "/v1/readings/abc", "report": "/v1/readings/abc/report.html"}});
    let address = standin::start(move |asked: &Asked| {
        let bearer = "WWW-Authenticate: Bearer\r\n".to_owned();
        match asked.line.as_str() {
            _ if asked.token != "Bearer right" => (401, bearer, json!({"code": "token_needed"}).to_string()),
            line if line.starts_with("POST ") => match tries.fetch_add(1, Ordering::SeqCst) {
                0 => (503, "Retry-After: 1\r\n".to_owned(), json!({"code": "busy", "detail": "all places are taken"}).to_string()),
                _ => (422, String::new(), json!({"code": "blank_film", "detail": "the film shows nothing", "remedy": "check the exposure", "reading": "abc"}).to_string()),
            },
            line if line.starts_with("GET /v1/readings/abc") => (200, String::new(), reading.to_string()),
            line if line.starts_with("GET /v1/readings") => (200, String::new(), json!({"readings": [reading], "next": null}).to_string()),
            _ => (200, String::new(), json!({"models": []}).to_string()),
        }
    });
    browser.go(&format!("{address}/"));
    browser.until("document.getElementById('token-box').open");
    browser.write("#token", "wrong");
    browser.press(ENTER);
    browser.until("document.getElementById('token-box').open && !document.getElementById('token-wrong').hidden");
    browser.picture("820-en-token");
    browser.write("#token", "right");
    browser.press(ENTER);
    browser.until("document.body.dataset.ready === '' && document.querySelector('#days a')");
    assert_eq!(browser.run("return [sessionStorage.length, localStorage.getItem('chexbox.token')]"), json!([1, null]));
    assert_eq!(browser.run("return document.getElementById('token').value"), "", "the field keeps no token");
    let films = Films::new("page-busy");
    browser.write("#files", &films.named(&["notes.txt"]));
    browser.until("document.querySelector('#intake-rows .state').textContent.startsWith('Busy, trying again')");
    browser.until(ENDED);
    browser.until("document.querySelector('#intake-rows .trouble-said').textContent.includes('Check the exposure')");
}

#[test]
fn a_service_that_goes_away_is_said_and_comes_back_by_itself() {
    let Some(browser) = Browser::open("en-GB", 820, 1180, "the page without its service") else { return };
    let films = Films::new("page-away");
    let place = Place::start(films.folder(), &lasting_address(), &positive());
    open(&browser, &place.address);
    let at = place.address.trim_start_matches("http://").to_owned();
    place.end();
    browser.click("#list-refresh");
    browser.until("!document.getElementById('offline').hidden");
    browser.write("#files", &films.named(&["one.png"]));
    browser.until("document.querySelector('#intake-rows li')?.dataset.state === 'held'");
    browser.picture("820-en-away");
    let again = Place::start(films.folder(), &at, &positive());
    browser.until("document.getElementById('offline').hidden");
    browser.until(ENDED);
    browser.until(FILM);
    again.end();
}
