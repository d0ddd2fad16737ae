//! A tiny client of W3C WebDriver over HTTP: headless Chromium through chromedriver, both as Debian packages them.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page may take until something holds; far beyond what it needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser of this test's own; it ends with the test.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

/// Where a program is, among the usual places and PATH.
fn program(name: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/bin:/usr/local/bin";
    path.split(':').map(|dir| format!("{dir}/{name}")).find(|p| Path::new(p).is_file())
}

impl Browser {
    /// A browser whose user prefers `language`; `None`, and a line that says what was skipped, where there is none.
    pub fn open(language: &str, width: u32, height: u32, what: &str) -> Option<Self> {
        let (Some(driver), Some(chromium)) = (program("chromedriver"), program("chromium")) else {
            println!("skipped: {what} (chromium and chromedriver are absent; `bash tools/browser.sh` installs them)");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|l| l.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok())
            .expect("chromedriver says its port");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let mut browser = Self { driver, port, session: String::new() };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        let options = json!({
            "binary": chromium,
            "args": arguments.iter().map(|a| (*a).to_owned()).chain([format!("--lang={language}")]).collect::<Vec<_>>(),
            "prefs": {"intl.accept_languages": language, "download.default_directory": std::env::temp_dir()},
        });
        let wanted =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}});
        let made = browser.ask("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        browser.size(width, height);
        Some(browser)
    }

    /// One command to the driver.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        stream.set_read_timeout(Some(2 * PATIENCE)).expect("a timeout is allowed");
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).expect("the driver takes a command");
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("the driver answers");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes).expect("the answer is whole");
        let value: Value = serde_json::from_slice(&bytes).expect("the driver speaks JSON");
        assert!(value["value"]["error"].is_null(), "{method} {path}: {}", value["value"]["message"]);
        value["value"].clone()
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{name}", self.session), body)
    }

    /// The viewport, in CSS pixels.
    pub fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// A command of the DevTools protocol, for what WebDriver has no word for.
    pub fn devtools(&self, name: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    pub fn go(&self, address: &str) {
        self.command("url", &json!({"url": address}));
    }

    /// The value of a script's `return`.
    pub fn run(&self, script: &str) -> Value {
        self.run_with(script, &json!([]))
    }

    /// The value of a script's `return`, with `arguments`.
    pub fn run_with(&self, script: &str, arguments: &Value) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// The value that a promise comes to.
    pub fn run_promise(&self, promise: &str) -> Value {
        let script = format!("const done = arguments[0]; ({promise}).then(done, (e) => done('failed: ' + e));");
        self.command("execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression is true.
    pub fn until(&self, expression: &str) {
        let start = Instant::now();
        while self.run(&format!("return Boolean({expression})")) != json!(true) {
            if start.elapsed() > PATIENCE {
                let shown = self.run("return document.body.innerText");
                panic!("never came true: {expression}\n{shown}\n{}", self.console().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn element(&self, selector: &str) -> String {
        let found = self.command("element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no element {selector}")).to_owned()
    }

    /// Clicks as a user does: fails where something lies over it.
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Writes into a field, or hands files to a file input (a path a line).
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.command(&format!("element/{element}/value"), &json!({"text": text}));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key.to_string()}), json!({"type": "keyUp", "value": key.to_string()})]
            })
            .collect();
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}));
    }

    /// Presses a key while another one is held down.
    pub fn press_with(&self, held: &str, key: &str) {
        let act = |what: &str, key: &str| json!({"type": what, "value": key});
        let actions = json!([act("keyDown", held), act("keyDown", key), act("keyUp", key), act("keyUp", held)]);
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}));
    }

    /// Drags from the middle of an element by so many pixels.
    pub fn drag(&self, selector: &str, x: i32, y: i32) {
        self.drag_with(0, selector, x, y);
    }

    /// Drags with a button of the mouse: 0 the left one, 1 the middle one.
    pub fn drag_with(&self, button: u8, selector: &str, x: i32, y: i32) {
        let origin = json!({ELEMENT: self.element(selector)});
        let actions = json!([
            {"type": "pointerMove", "origin": origin, "x": 0, "y": 0},
            {"type": "pointerDown", "button": button},
            {"type": "pointerMove", "origin": "pointer", "x": x / 2, "y": y / 2, "duration": 20},
            {"type": "pointerMove", "origin": "pointer", "x": x - x / 2, "y": y - y / 2, "duration": 20},
            {"type": "pointerUp", "button": button},
        ]);
        self.command("actions", &json!({"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]}));
    }

    /// Turns the wheel over a place of an element, in pixels from its middle.
    pub fn wheel(&self, selector: &str, (x, y): (i32, i32), by: i32) {
        let origin = json!({ELEMENT: self.element(selector)});
        let turn = json!({"type": "scroll", "origin": origin, "x": x, "y": y, "deltaX": 0, "deltaY": by});
        self.command("actions", &json!({"actions": [{"type": "wheel", "id": "wheel", "actions": [turn]}]}));
    }

    /// Two fingers on an element, so many pixels left and right of its middle at first and at last.
    pub fn pinch(&self, selector: &str, from: i32, to: i32) {
        let element = self.element(selector);
        let finger = |name: &str, side: i32| {
            let origin = json!({ELEMENT: element});
            let at = |x: i32, duration: u32| json!({"type": "pointerMove", "origin": origin, "x": side * x, "y": 0, "duration": duration});
            let actions = json!([at(from, 0), {"type": "pointerDown", "button": 0}, at((from + to) / 2, 20), at(to, 20), {"type": "pointerUp", "button": 0}]);
            json!({"type": "pointer", "id": name, "parameters": {"pointerType": "touch"}, "actions": actions})
        };
        self.command("actions", &json!({"actions": [finger("thumb", -1), finger("finger", 1)]}));
    }

    /// Drags files in from outside and lets go of them over the middle of an element; `over` is done while they are held there.
    pub fn drop_files(&self, selector: &str, paths: &[PathBuf], over: impl Fn()) {
        let middle = "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]";
        let at = self.run_with(middle, &json!([selector]));
        let data = json!({"items": [], "files": paths, "dragOperationsMask": 1});
        let drag = |what: &str| {
            let event = json!({"type": what, "x": at[0], "y": at[1], "data": data});
            self.devtools("Input.dispatchDragEvent", &event);
        };
        drag("dragEnter");
        drag("dragOver");
        over();
        drag("drop");
    }

    /// What is downloaded goes to this folder from now on.
    pub fn download_to(&self, folder: &Path) {
        self.devtools("Page.setDownloadBehavior", &json!({"behavior": "allow", "downloadPath": folder}));
    }

    /// The text that an element shows.
    pub fn text(&self, selector: &str) -> String {
        let text = self.run_with("return document.querySelector(arguments[0])?.innerText ?? ''", &json!([selector]));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A picture of what is seen, where `CHEXBOX_SCREENSHOTS` names a folder.
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("CHEXBOX_SCREENSHOTS") else { return };
        let picture = self.devtools("Page.captureScreenshot", &json!({"format": "png"}));
        let bytes = base64(picture["data"].as_str().unwrap_or_default());
        std::fs::create_dir_all(&folder).expect("the folder for pictures can be made");
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).expect("a picture can be written");
    }

    /// What the page complained about since the last call: errors and breaches of its policy.
    pub fn console(&self) -> Vec<String> {
        let lines = self.command("se/log", &json!({"type": "browser"}));
        let line =
            |l: &Value| format!("{} {}", l["level"].as_str().unwrap_or_default(), l["message"].as_str().unwrap_or_default());
        lines.as_array().into_iter().flatten().map(line).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without asserting: a browser must also end after a test that failed.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = write!(stream, "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", self.session);
            let _ = stream.read(&mut [0; 512]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Decodes base64.
pub fn base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(u32::from(letter - b'A')),
        b'a'..=b'z' => Some(u32::from(letter - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(letter - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u32> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for four in digits.chunks(4) {
        let group = (0..4).fold(0, |sum, i| (sum << 6) | four.get(i).copied().unwrap_or(0));
        let whole = [(group >> 16) as u8, (group >> 8) as u8, group as u8];
        bytes.extend_from_slice(&whole[..four.len().saturating_sub(1)]);
    }
    bytes
}
