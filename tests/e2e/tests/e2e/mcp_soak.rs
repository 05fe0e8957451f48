//! Calls of every kind for a while: none fails, and the host holds no more memory in the end.
//!
//! A few hundred calls in each run of the tests, and as many as fit in `HOST_TEST_SOAK_S` seconds
//! where that is set.

#![cfg(target_os = "linux")]

use crate::joined_servers::configuration;
use crate::mcp_peer::Peer;
use crate::{stories, text};
use serde_json::json;
use std::time::{Duration, Instant};
use std::{env, thread};
use support::{Client, PluginFolder, SHIPPED, Scratch, TestHost, eventually};

/// Rounds before the first look at memory: caches fill, and the allocator takes its reserves.
const WARM_ROUNDS: usize = 10;
/// Rounds after it, where no time is set.
const ROUNDS: usize = 40;
/// What the host may hold more in the end, whatever the time: an hour is about a million calls, so
/// a leak of twenty bytes a call is seen.
const GROWTH_MAX: u64 = 16 << 20;
/// A long run must not use up the ports of the machine.
const PAUSE: Duration = Duration::from_millis(20);

/// Uses of one client, each checked; how many there were.
fn calls(peer: &Peer) -> usize {
    assert!(peer.tools().contains(&"alpha__echo".to_owned()));
    let tokens = peer.call("tokenize", &json!({"text": "Once upon a time"}));
    assert!(tokens.structured()["count"].as_u64().is_some_and(|count| count > 2));
    // The same words each time: others would go on filling the prefix cache up to its limit.
    let prompt = json!({"prompt": "Once upon", "max_tokens": 4, "temperature": 0});
    assert_eq!(peer.call("generate", &prompt).structured()["usage"]["completion_tokens"], 4);
    let echoed = peer.call("alpha__echo", &json!({"text": "a"}));
    assert_eq!(echoed.result()["content"][0]["text"], "alpha:a");
    assert_eq!(peer.call("alpha__search", &json!({"q": "a"})).structured()["source"], "alpha");
    assert_eq!(peer.call("alpha__fail", &json!({})).result()["isError"], true);
    assert_eq!(peer.call("no_such", &json!({})).code(), -32602);
    peer.request("resources/read", json!({"uri": "host://config"})).result();
    8
}

/// A client of each era; the session of the older one is ended. Returns how many calls it made.
fn round(client: Client) -> usize {
    let modern = calls(&Peer::modern(client, None));
    let peer = Peer::legacy(client, "2025-11-25", None);
    let legacy = calls(&peer);
    let headers = [("mcp-session-id", peer.session()), ("mcp-protocol-version", "2025-11-25")];
    let ended = client.send("DELETE", "/mcp", &headers, "");
    assert!((200..300).contains(&ended.status), "{ended:?}");
    modern + legacy
}

#[test]
fn memory_does_not_grow_with_calls() {
    let (scratch, plugins) = (Scratch::new(), PluginFolder::with(SHIPPED));
    let (file, _) = configuration(&scratch, &[("alpha", "alpha", "")]);
    let model = format!("stories={}", stories());
    let flags = ["--model", &*model, "--mcp-config", text(&file)];
    let host = TestHost::serve(plugins.path(), &flags);
    let client = host.client();
    eventually("the server is joined", || {
        Peer::modern(client, None).tools().contains(&"alpha__echo".to_owned())
    });
    for _ in 0..WARM_ROUNDS {
        round(client);
    }
    let before = host.resident_bytes();
    let seconds = env::var("HOST_TEST_SOAK_S").ok();
    let seconds = seconds.map(|text| text.parse().expect("HOST_TEST_SOAK_S is a number"));
    let (begun, mut rounds, mut made) = (Instant::now(), 0, 0);
    let goes_on = |rounds: usize| match seconds {
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
        None => rounds < ROUNDS,
    };
    while goes_on(rounds) {
        made += round(client);
        rounds += 1;
        thread::sleep(PAUSE);
    }
    let after = host.resident_bytes();
    let (mib, took) = (|bytes: u64| bytes >> 20, begun.elapsed().as_secs());
    eprintln!("{made} calls in {took} s: {} MiB before, {} MiB after", mib(before), mib(after));
    assert!(after < before + GROWTH_MAX, "{made} calls: {before} bytes grew to {after}");
    let metrics = client.get("/metrics").body;
    assert!(metrics.contains("\nhttp_mcp_sessions 0\n"), "{metrics}");
    assert!(!metrics.contains("mcp_server_restarts_total{server=\"alpha\"} "), "{metrics}");
}
