//! A headless Chromium that does what a person would: opens a page, clicks, writes, looks.
//!
//! It is told what to do in the browser's own protocol over two pipes, which needs neither a port
//! nor a library. Where no Chromium is installed, tests say what they skip. Each has a profile of
//! its own, and ends with its value.

use crate::Scratch;
use crate::repository::note_skipped;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long a page may take for anything on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(30);
const MESSAGES_MAX: usize = 4096;
const PROGRAMS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser reads commands from descriptor 3 and answers on descriptor 4.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null"#;

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    problems: Vec<String>,
    _profile: Scratch,
}

impl Browser {
    /// Starts the browser; none, and a note of what is skipped, if there is none on this machine.
    ///
    /// # Panics
    /// It does not start, though it is there.
    #[must_use]
    pub fn start(skipped: &str) -> Option<Self> {
        let has = |program: &&&str| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|done| done.status.success())
        };
        let Some(program) = PROGRAMS.iter().find(has) else {
            note_skipped(skipped, "Chromium");
            return None;
        };
        let profile = Scratch::new();
        // Tests run in containers too, where Chromium cannot make its sandbox.
        let flags = ["--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu"];
        let mut child = Command::new("sh")
            .args(["-c", PIPES, "sh", program])
            .args(flags)
            .args(["--remote-debugging-pipe", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let commands = child.stdin.take().expect("stdin is piped");
        let (found, messages) = mpsc::sync_channel(MESSAGES_MAX);
        let answers = child.stdout.take().expect("stdout is piped");
        thread::spawn(move || read(answers, &found));
        let (session, problems) = (None, Vec::new());
        let mut browser =
            Self { child, commands, messages, session, last_id: 0, problems, _profile: profile };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let targets = self.call("Target.getTargets", &json!({}))["targetInfos"].clone();
        let is_page = |target: &&Value| target["type"] == "page";
        let pages = targets.as_array().expect("a list of targets");
        let page = pages.iter().find(is_page).expect("the first page")["targetId"].clone();
        let whole = json!({"targetId": page, "flatten": true});
        let session = self.call("Target.attachToTarget", &whole)["sessionId"].clone();
        self.session = session.as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Opens an address and waits until its scripts have run.
    pub fn open(&mut self, address: &str) {
        self.call("Page.navigate", &json!({ "url": address }));
        self.wait("location.protocol !== 'about:' && document.readyState === 'complete'");
    }

    /// Loads the page again and waits until its scripts have run.
    pub fn reload(&mut self) {
        self.evaluate("window.isBeforeReload = true");
        self.call("Page.reload", &json!({}));
        self.wait("!window.isBeforeReload && document.readyState === 'complete'");
    }

    /// Makes the page so large.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    /// It throws.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let how = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &how);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{script}: {thrown}");
        answer["result"]["value"].clone()
    }

    /// The text of the first element of that selector.
    pub fn text(&mut self, selector: &str) -> String {
        let text =
            self.evaluate(&format!("document.querySelector({})?.innerText", json!(selector)));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// It is not within a minute; what the page shows is told.
    pub fn wait(&mut self, condition: &str) {
        let start = Instant::now();
        let (_open, pause) = mpsc::sync_channel::<()>(0);
        let how = json!({"expression": format!("Boolean({condition})"), "returnByValue": true});
        // While one document follows another there is nobody to ask.
        while self.exchange("Runtime.evaluate", &how)["result"]["result"]["value"] != true {
            if start.elapsed() > LIMIT {
                let shown = self.text("body");
                unreachable!("not within {LIMIT:?}: {condition}\nthe page shows:\n{shown}");
            }
            let _timeout = pause.recv_timeout(PAUSE);
        }
    }

    /// Waits until the first element of that selector shows that text.
    pub fn wait_text(&mut self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.wait(&format!("document.querySelector({selector})?.innerText.includes({text})"));
    }

    /// Clicks the first element of that selector once it is there.
    pub fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.wait(&format!("document.querySelector({selector})"));
        self.evaluate(&format!("document.querySelector({selector}).click()"));
    }

    /// Writes into the first field of that selector in place of what stands there.
    pub fn write(&mut self, selector: &str, text: &str) {
        let selector = json!(selector);
        self.wait(&format!("document.querySelector({selector})"));
        self.evaluate(&format!(
            "{{ const field = document.querySelector({selector}); field.focus(); field.select(); }}"
        ));
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Chooses an option of the first select of that selector.
    pub fn choose(&mut self, selector: &str, value: &str) {
        let (selector, value) = (json!(selector), json!(value));
        self.evaluate(&format!(
            "{{ const select = document.querySelector({selector}); select.value = {value}; \
             select.dispatchEvent(new Event('change', {{ bubbles: true }})); }}"
        ));
    }

    /// Presses a key where the focus is.
    pub fn press(&mut self, key: &str) {
        let code = if key == "Enter" { 13 } else { 27 };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({"type": kind, "key": key, "code": key, "text": text,
                               "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Exceptions of the page's scripts, and what its policy refused.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let message = self.exchange(method, params);
        assert!(message["error"].is_null(), "{method} {params}: {}", message["error"]);
        message["result"].clone()
    }

    /// Sends a command and waits for its answer, which may be an error.
    fn exchange(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let sent = self.commands.write_all(format!("{command}\0").as_bytes());
        sent.expect("the browser reads its commands");
        loop {
            let message = self.messages.recv_timeout(LIMIT);
            let message = message.unwrap_or_else(|e| unreachable!("{method} is not answered: {e}"));
            if message["id"] == id {
                return message;
            }
            self.note(&message);
        }
    }

    /// Keeps what a person would see in the console. A request that a test means to be refused is
    /// no problem of the page.
    fn note(&mut self, message: &Value) {
        let (details, entry) =
            (&message["params"]["exceptionDetails"], &message["params"]["entry"]);
        if message["method"] == "Runtime.exceptionThrown" {
            self.problems.push(details.to_string());
        }
        let is_bad = entry["level"] == "error" && entry["source"] != "network";
        if message["method"] == "Log.entryAdded" && is_bad {
            self.problems.push(entry.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reads messages, each ended by a zero, until the browser is gone or nobody listens.
fn read(pipe: impl Read, found: &mpsc::SyncSender<Value>) {
    for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
        let message = serde_json::from_slice(&message).expect("the browser writes JSON");
        if found.send(message).is_err() {
            return;
        }
    }
}
