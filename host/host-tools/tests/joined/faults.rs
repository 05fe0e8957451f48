//! Servers that hang, die, print, and say too much; and what is left of them.

use std::time::{Duration, Instant};

use host_tools::{ServerState, ToolError};
use serde_json::{Value, json};

use crate::desk::Desk;

fn at(moment: &str) -> Value {
    json!({"env": {"FIXTURE_AT": moment}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_ends_and_holds_up_no_other() {
    let desk = Desk::with("hang", json!({"timeout_ms": 1500})).await;
    let begun = Instant::now();
    let beside = async {
        assert_eq!(desk.text("hang__ok", json!({})).await, "ok");
        begun.elapsed()
    };
    let (hung, beside) = tokio::join!(desk.call("hang__hang", json!({})), beside);
    assert_eq!(hung, Err(ToolError::Timeout { after: Duration::from_millis(1500) }));
    assert!(beside < Duration::from_millis(1500), "{beside:?}");
    assert_eq!(desk.text("hang__ok", json!({})).await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_hang_at_their_start_hold_up_nobody() {
    let begun = Instant::now();
    let desk = Desk::new(&[
        ("mute", "hang", at("init")),
        ("listless", "hang", at("list")),
        ("alpha", "alpha", json!({})),
    ]);
    assert!(begun.elapsed() < Duration::from_millis(500), "joining waits for nobody");
    desk.ready("alpha").await;
    assert_eq!(desk.text("alpha__echo", json!({"text": ""})).await, "alpha:");
    for name in ["mute", "listless"] {
        let status = desk.status(name);
        assert_eq!((status.state, status.tool_count), (ServerState::Starting, 0));
        assert!(status.pid.is_some());
    }
    desk.joined.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_died_answers_again_soon() {
    let desk = Desk::with("crash", json!({})).await;
    for fatal in ["crash__crash", "crash__half"] {
        let before = desk.text("crash__ok", json!({})).await;
        let error = desk.call(fatal, json!({})).await.unwrap_err();
        assert!(matches!(&error, ToolError::Unavailable { server, .. } if server == "crash"));
        let begun = Instant::now();
        let after = desk.text("crash__ok", json!({})).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_ne!(before, after, "a new process");
    }
    assert_eq!(desk.status("crash").restart_count, 2);
    assert_eq!(desk.text("crash__garbage", json!({})).await, "after garbage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_at_its_start_is_started_seldom() {
    for moment in ["start", "init"] {
        let desk = Desk::new(&[("crash", "crash", at(moment))]);
        desk.until("backoff", |desk| desk.status("crash").state == ServerState::Backoff).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let status = desk.status("crash");
        assert!(status.restart_count <= 3, "{status:?}");
        let code = if moment == "start" { "exit status: 3" } else { "exit status: 4" };
        let reason = status.reason.or_else(|| desk.status("crash").reason).unwrap_or_default();
        assert!(status.state == ServerState::Starting || reason.contains(code), "{reason}");
        desk.joined.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_named() {
    let desk = Desk::new(&[("none", "alpha", json!({"command": "/no/such/program"}))]);
    desk.until("backoff", |desk| desk.status("none").state == ServerState::Backoff).await;
    let reason = desk.status("none").reason.unwrap();
    assert!(reason.contains("cannot be started"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_the_rest_goes_on() {
    let desk = Desk::with("big", json!({"max_result_bytes": 1 << 20})).await;
    let begun = Instant::now();
    let (big, small) = tokio::join!(
        desk.call("big__big", json!({"kib": 10 << 10})),
        desk.text("big__small", json!({}))
    );
    assert!(matches!(big, Err(ToolError::TooLarge { .. })), "{:?}", big.map(|_| ()));
    assert!(begun.elapsed() < Duration::from_secs(20), "it is told before the time-out");
    assert_eq!(small, "small");
    let outcome = desk.call("big__big", json!({"kib": 512})).await.unwrap();
    assert_eq!(outcome.content[0]["text"].as_str().unwrap().len(), 512 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_by_pages_up_to_a_number() {
    let desk = Desk::with("big", json!({"env": {"FIXTURE_LIST": "5000"}})).await;
    let status = desk.status("big");
    assert!((400..=500).contains(&status.tool_count), "{}", status.tool_count);
    assert!(status.problems.iter().any(|line| line.contains("only the first")), "{status:?}");
    let few = json!({"env": {"FIXTURE_LIST": "250"}, "max_tools": 120});
    assert_eq!(Desk::with("big", few).await.status("big").tool_count, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_in_one_answer_is_offered_up_to_the_same_number() {
    let env = json!({"FIXTURE_LIST": "5000", "FIXTURE_PAGE": "5000"});
    let desk = Desk::with("big", json!({"env": env, "max_result_bytes": 1 << 20})).await;
    assert!((400..=500).contains(&desk.status("big").tool_count));
    // For results the limit is the usual one again.
    let big = desk.call("big__big", json!({"kib": 2 << 10})).await;
    assert!(matches!(big, Err(ToolError::TooLarge { .. })), "{:?}", big.map(|_| ()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_no_larger_while_a_list_is_read() {
    let mut entry = at("relist");
    entry["max_result_bytes"] = json!(1 << 20);
    let desk = Desk::with("big", entry).await;
    // Tells that its list changed, and then does not give it.
    assert_eq!(desk.text("big__small", json!({})).await, "small");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let big = desk.call("big__big", json!({"kib": 2 << 10})).await;
    assert!(matches!(big, Err(ToolError::TooLarge { .. })), "{:?}", big.map(|_| ()));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_want_to_end_is_ended() {
    let desk = Desk::new(&[("hang", "hang", at("exit")), ("alpha", "alpha", json!({}))]);
    desk.ready("hang").await;
    desk.ready("alpha").await;
    let pids: Vec<_> = desk.joined.status().iter().filter_map(|status| status.pid).collect();
    assert_eq!(pids.len(), 2);
    desk.joined.stop().await;
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
}
