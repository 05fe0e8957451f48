//! `host bench --vs URL`: both servers are measured by the same client, and a server that fails is
//! named with what it said.

use crate::{stories, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use support::{Finished, PluginFolder, TestHost, run_host};

/// What the model needs.
const PLUGINS: &[&str] = &["cpu", "gguf", "llama"];
const PROMPT_TOKENS: u64 = 64;
const REPEATS: u64 = 2;
const ROWS: [&str; 5] =
    ["first token after 64", "same prompt again", "decode 8", "1 stream", "3 streams"];
/// Runs `host bench` against the server at a URL.
fn bench(plugins: &PluginFolder, url: &str, more: &[&str]) -> Finished {
    let model = stories();
    let workload = ["--prompt-tokens", "64", "--decode-tokens", "8", "--streams", "1,3"];
    let bench = ["bench", &model, "--plugins", text(plugins.path()), "--repeats", "2", "--vs", url];
    run_host(bench.into_iter().chain(workload).chain(more.iter().copied()))
}

#[test]
fn both_servers_are_measured_and_compared() {
    let plugins = PluginFolder::with(PLUGINS);
    let host = TestHost::serve(plugins.path(), &["--model", &format!("theirs={}", stories())]);
    let url = host.client().url();

    let done = bench(&plugins, &format!("{url}/v1"), &["--json"]);
    assert!(done.status.success(), "{}", done.stderr);
    let seen: Value = serde_json::from_str(&done.stdout).expect("JSON alone on stdout");
    assert_eq!((&seen["vs"], &seen["vs_model"]), (&json!(url), &json!("theirs")));
    let rows = seen["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ROWS);
    rows.iter().for_each(check_row);
    for name in ROWS {
        assert_eq!(done.stderr.matches(&format!("/2 {name}: ")).count(), 4, "{}", done.stderr);
    }

    let done = bench(&plugins, &url, &["--vs-model", "default"]);
    assert!(done.status.success(), "{}", done.stderr);
    for name in ROWS {
        let line = done.stdout.lines().find(|line| line.starts_with(name)).expect(name);
        check_line(line.strip_prefix(name).expect("it begins so"));
    }
}

/// The medians are those of the values, the ratio is that of the medians, the work was the same.
fn check_row(row: &Value) {
    let median = |side: &str| {
        let values = row[side]["values"].as_array().expect("values").iter();
        let mut values: Vec<_> = values.map(|value| value.as_f64().expect("a number")).collect();
        assert_eq!(values.len() as u64, REPEATS, "{row}");
        assert!(values.iter().all(|value| *value > 0.0), "{row}");
        values.sort_by(f64::total_cmp);
        let median = row[side]["median"].as_f64().expect("a median");
        assert_eq!(median, (values[0] + values[1]) / 2.0, "{row}");
        median
    };
    let (ours, theirs) = (median("ours"), median("theirs"));
    let (unit, ratio) = match row["name"].as_str() {
        Some("first token after 64" | "same prompt again") => ("ms", theirs / ours),
        _ => ("tok/s", ours / theirs),
    };
    assert_eq!((&row["unit"], row["ratio"].as_f64()), (&json!(unit), Some(ratio)), "{row}");
    let tokens = |side: &str, kind: &str| row[side][kind].as_u64().expect("a count");
    for kind in ["prompt_tokens", "completion_tokens"] {
        assert_eq!(tokens("ours", kind), tokens("theirs", kind), "{row}");
    }
    let expected = match row["name"].as_str() {
        Some("decode 8") => 9,
        Some("1 stream") => 8,
        Some("3 streams") => 24,
        _ => {
            let prompt = tokens("ours", "prompt_tokens");
            assert!((PROMPT_TOKENS - 8..=PROMPT_TOKENS).contains(&prompt), "{row}");
            1
        }
    };
    assert_eq!(tokens("ours", "completion_tokens"), expected, "{row}");
}

/// A line of the table: value and unit of ours, the same of theirs, the ratio, the tokens.
fn check_line(line: &str) {
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells.len(), 8, "{line}");
    assert_eq!(cells[1], cells[3], "{line}");
    for cell in [cells[0], cells[2], cells[4]] {
        assert!(cell.parse::<f64>().is_ok_and(|figure| figure > 0.0), "{line}");
    }
    assert_eq!(cells[5], cells[7], "both sides did the same: {line}");
}

#[test]
fn only_the_row_that_asks_again_repeats_a_prompt() {
    let answer = concat!(
        "data: {\"choices\": [{\"text\": \"a\"}]}\n\n",
        "data: {\"choices\": [{\"text\": \"b\", \"finish_reason\": \"length\"}]}\n\n",
        "data: [DONE]\n\n"
    );
    let server = Server::start("200 OK", answer);
    let plugins = PluginFolder::with(PLUGINS);
    for run in 0..2 {
        let done = bench(&plugins, &server.url, &[]);
        assert!(done.status.success(), "{run}: {}", done.stderr);
    }
    let requests: Vec<Value> = server.requests.try_iter().collect();
    for request in &requests {
        let told = ["model", "stream", "temperature", "ignore_eos"].map(|name| &request[name]);
        assert_eq!(told, [&json!("theirs"), &json!(true), &json!(0), &json!(true)], "{request}");
    }
    let one_token = requests.iter().filter(|request| request["max_tokens"] == 1);
    let prompts: Vec<&str> = one_token.filter_map(|request| request["prompt"].as_str()).collect();
    let (first, again): (Vec<_>, Vec<_>) = prompts.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
    assert_eq!(first, again);
    // What two prompts begin with alike would be remembered, so a beginning is looked at.
    let beginnings: BTreeSet<&str> = first.iter().map(|prompt| &prompt[..60]).collect();
    assert_eq!((first.len(), beginnings.len()), (4, 4), "{prompts:?}");
}

/// Fails with a message that has these words, and no figures.
fn check_failure(url: &str, more: &[&str], words: &[&str]) {
    let done = bench(&PluginFolder::with(PLUGINS), url, more);
    assert!(!done.status.success(), "{}", done.stdout);
    assert_eq!(done.stdout, "");
    let last = done.stderr.lines().last().unwrap_or_default();
    for word in words.iter().chain(&["error: theirs at", url]) {
        assert!(last.contains(word), "no `{word}` in: {}", done.stderr);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it has an address")
    };
    check_failure(&format!("http://{address}"), &[], &["cannot connect", "running"]);
    check_failure("https://127.0.0.1:1", &[], &["only http"]);
    check_failure("nonsense", &[], &["not a URL"]);
}

#[test]
fn a_server_that_answers_errors_is_quoted() {
    let check = |status, answer, words: &[&str]| {
        let server = Server::start(status, answer);
        check_failure(&server.url, &[], words);
    };
    let refusal = r#"{"error":{"message":"the request exceeds the context"}}"#;
    let words = ["/v1/completions answered 400", "the request exceeds the context", "see its log"];
    check("400 Bad Request", refusal, &words);
    let failing = concat!(
        "data: {\"choices\": [{\"text\": \"a\"}]}\n\n",
        "event: error\ndata: {\"message\": \"out of slots\"}\n\n"
    );
    check("200 OK", failing, &["an error in the stream: out of slots"]);
    let stopping = "data: {\"choices\": [{\"text\": \"a\"}]}\n\n";
    check("200 OK", stopping, &["broke off"]);
}

#[test]
fn a_server_that_hangs_is_given_up() {
    // Connections wait in the listener's queue and nobody takes them.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    check_failure(&format!("http://{address}"), &["--timeout-s", "1"], &["within 1 s"]);
}

/// A server with one model that gives every completion the same answer; it ends with the test.
struct Server {
    url: String,
    /// The completions that were asked for.
    requests: mpsc::Receiver<Value>,
}

impl Server {
    fn start(status: &'static str, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let (seen, requests) = mpsc::sync_channel(1000);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                let (status, answer) = match read_request(&mut stream) {
                    None => ("200 OK", r#"{"data":[{"id":"theirs"}]}"#),
                    Some(request) => {
                        seen.try_send(request).expect("there is room for all");
                        (status, answer)
                    }
                };
                let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{answer}");
                stream.get_mut().write_all(answer.as_bytes()).expect("the client reads");
            }
        });
        Self { url, requests }
    }
}

/// Reads a request to its end; gives its body, if it has one.
fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).expect("the client sends a head");
        match line.trim().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the client sends a body");
    serde_json::from_slice(&body).ok()
}
