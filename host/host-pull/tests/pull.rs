//! The program against a hub that a test plays: files, ranges, broken connections, wrong contents.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &[u8] = &[7; 300_000];
const CONFIG: &[u8] = b"{}";
/// Of `blob 2`, a zero byte and `{}`.
const CONFIG_ID: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";

/// How the hub behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    /// Its first answer with weights ends half way.
    Breaks,
    /// Other weights than it says.
    Lies,
}

/// A hub on this machine, and every path it was asked for with its `Range` and `Authorization`.
struct Hub {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut breaks = mood == Mood::Breaks;
            for stream in listener.incoming().flatten() {
                answer(stream, mood, &mut breaks, &log);
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no test panics with it"))
    }
}

fn answer(mut stream: TcpStream, mood: Mood, breaks: &mut bool, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let head: Vec<String> =
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let value = |name: &str| {
        let of = |line: &String| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        head.iter().find_map(of).unwrap_or_default()
    };
    let range = value("range");
    log.lock().expect("as above").push(format!("{path} {range} {}", value("authorization")));
    let from = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
    let (status, body) = match path.rsplit('/').next().unwrap_or_default() {
        "main?blobs=true" if path.starts_with("/api/models/org/name/") => ("200 OK", listing()),
        "config.json" => ("200 OK", CONFIG.to_vec()),
        "model.safetensors" if mood == Mood::Lies => ("200 OK", vec![8; WEIGHTS.len()]),
        "model.safetensors" if from > 0 => ("206 Partial Content", WEIGHTS[from..].to_vec()),
        "model.safetensors" => ("200 OK", WEIGHTS.to_vec()),
        _ => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let sent =
        if path.ends_with(".safetensors") && std::mem::take(breaks) { length / 2 } else { length };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    // A client that leaves is no failure of the hub.
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body[..sent])).ok();
}

fn listing() -> Vec<u8> {
    let sha256: String = Sha256::digest(WEIGHTS).iter().map(|byte| format!("{byte:02x}")).collect();
    let files = json!([
        {"rfilename": "config.json", "size": CONFIG.len(), "blobId": CONFIG_ID},
        {"rfilename": "model.safetensors", "size": WEIGHTS.len(), "blobId": "00",
         "lfs": {"sha256": sha256, "size": WEIGHTS.len()}},
        {"rfilename": "../../evil.json", "size": 2, "blobId": CONFIG_ID},
    ]);
    json!({"sha": COMMIT, "siblings": files}).to_string().into_bytes()
}

/// A folder of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_dir_all(&folder));
    folder
}

fn pull(hub: &Hub, home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host-pull"))
        .args(arguments)
        .env_clear()
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", &hub.endpoint)
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn a_checkpoint_comes_whole_and_once() {
    let (hub, home) = (Hub::start(Mood::Good), scratch("whole"));
    let done = pull(&hub, &home, &["org/name"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let folder = PathBuf::from(text(&done.stdout));
    let cache = home.join("hub/models--org--name");
    assert_eq!(folder, cache.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("weights"), WEIGHTS);
    assert_eq!(std::fs::read(folder.join("config.json")).expect("a configuration"), CONFIG);
    assert_eq!(std::fs::read_to_string(cache.join("refs/main")).expect("a name"), COMMIT);
    assert!(cache.join("blobs").join(CONFIG_ID).is_file());
    assert!(!home.join("evil.json").exists() && !home.join("hub/evil.json").exists());
    assert_eq!(hub.asked().len(), 3);
    let again = pull(&hub, &home, &["org/name"]);
    assert_eq!((text(&again.stdout), hub.asked().len()), (text(&done.stdout), 1));
    let offline = pull(&hub, &home, &["org/name", "--offline"]);
    assert_eq!((text(&offline.stdout), hub.asked().len()), (text(&done.stdout), 0));
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let (hub, home) = (Hub::start(Mood::Breaks), scratch("broken"));
    let done = pull(&hub, &home, &["org/name"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let folder = PathBuf::from(text(&done.stdout));
    assert_eq!(std::fs::read(folder.join("model.safetensors")).expect("weights"), WEIGHTS);
    let asked = hub.asked();
    let ranges: Vec<&String> = asked.iter().filter(|line| line.contains("bytes=")).collect();
    assert_eq!(ranges.len(), 1, "{asked:?}");
    assert!(ranges[0].contains("bytes=150000-"), "{asked:?}");
}

#[test]
fn what_is_not_what_the_hub_has_is_thrown_away() {
    let (hub, home) = (Hub::start(Mood::Lies), scratch("lies"));
    let done = pull(&hub, &home, &["org/name"]);
    assert!(!done.status.success() && done.stdout.is_empty());
    assert!(
        text(&done.stderr).contains("model.safetensors came with the hash"),
        "{}",
        text(&done.stderr)
    );
    let cache = home.join("hub/models--org--name");
    let blobs = std::fs::read_dir(cache.join("blobs")).expect("blobs").count();
    assert_eq!(blobs, 1, "the configuration alone is kept");
    assert!(!cache.join("refs/main").exists(), "a revision is noted when it is whole");
}

#[test]
fn refusals_say_what_to_do() {
    let (hub, home) = (Hub::start(Mood::Good), scratch("refusals"));
    let rows = [
        (&["org/other"][..], "the hub shows no repository org/other (status 404)"),
        (&["org/name:Q4_0"], "no GGUF files"),
        (&["org/name", "--offline"], "HF_HUB_OFFLINE"),
        (&["name"], "expected ORGANISATION/NAME"),
        (&["../name"], "is no name"),
    ];
    for (arguments, words) in rows {
        let done = pull(&hub, &home, arguments);
        assert!(!done.status.success(), "{arguments:?}");
        assert!(text(&done.stderr).contains(words), "{arguments:?}: {}", text(&done.stderr));
    }
}

#[test]
fn a_token_is_shown_to_the_hub() {
    let (hub, home) = (Hub::start(Mood::Good), scratch("token"));
    std::fs::create_dir_all(&home).expect("a home");
    std::fs::write(home.join("token"), "hf_secret\n").expect("a token");
    assert!(pull(&hub, &home, &["org/name"]).status.success());
    let asked = hub.asked();
    assert!(asked.iter().all(|line| line.ends_with("Bearer hf_secret")), "{asked:?}");
}
