//! A server that behaves: what reaches it, what comes back, what it may see.

use std::time::Duration;

use host_tools::{Caller, Context, Scopes, Surface, ToolError};
use serde_json::{Value, json};

use crate::desk::{Desk, Heard, context};

#[tokio::test(flavor = "multi_thread")]
async fn both_eras_are_spoken() {
    for (era, revision) in [("legacy", "2025-11-25"), ("modern", "2026-07-28")] {
        let desk = Desk::with("alpha", json!({"env": {"FIXTURE_ERA": era}})).await;
        assert_eq!(desk.status("alpha").revision.as_deref(), Some(revision));
        assert_eq!(desk.text("alpha__echo", json!({"text": "hi"})).await, "alpha:hi");
        desk.joined.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_pass_through_and_broken_promises_are_failures() {
    let desk = Desk::with("alpha", json!({})).await;
    let found = desk.call("alpha__search", json!({"q": "x"})).await.unwrap();
    assert_eq!(found.structured.unwrap()["source"], "alpha");
    let failed = desk.call("alpha__fail", json!({})).await.unwrap();
    assert_eq!((failed.is_error, &failed.content[0]["text"]), (true, &json!("nope")));
    let broken = desk.call("alpha__bad_structured", json!({})).await.unwrap();
    assert!(broken.is_error && broken.structured.is_none(), "{broken:?}");
    let refused = desk.call("alpha__echo", json!({})).await.unwrap_err();
    assert!(matches!(&refused, ToolError::InvalidArguments(why) if why.contains("text")));
    let unknown = desk.call("alpha__nothing", json!({})).await.unwrap_err();
    assert!(matches!(unknown, ToolError::Unknown { .. }));
    let page = desk.registry.list(&Caller::everything("test"));
    let echo = page.tools.iter().find(|tool| tool.name == "alpha__echo").unwrap();
    assert_eq!(echo.description, "alpha echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_sees_few_variables_of_the_host() {
    let own = json!({"env": {"MINE": "1"}, "env_pass": ["CARGO_PKG_NAME"]});
    let desk = Desk::with("alpha", own).await;
    let seen = async |name: &str| desk.text("alpha__env", json!({ "name": name })).await;
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it for tests");
    assert_eq!(seen("CARGO_MANIFEST_DIR").await, "<unset>");
    assert_eq!(seen("MINE").await, "1");
    assert_eq!(seen("CARGO_PKG_NAME").await, "host-tools");
    assert_ne!(seen("PATH").await, "<unset>");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_heard_and_begins_the_waiting_anew() {
    let desk = Desk::with("alpha", json!({"timeout_ms": 2000})).await;
    let (heard, context) = Heard::context();
    let slow = json!({"steps": 6, "each_ms": 500});
    let outcome = desk.call_with("alpha__slow", slow, context).await.unwrap();
    assert_eq!(outcome.content[0]["text"], "done 6");
    let values = heard.values();
    assert!(values.len() >= 2 && values.is_sorted(), "{values:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_not_take_for_ever_whatever_its_progress() {
    let desk = Desk::with("alpha", json!({"timeout_ms": 5000, "max_total_ms": 300})).await;
    let slow = json!({"steps": 1000, "each_ms": 50});
    let error = desk.call("alpha__slow", slow).await.unwrap_err();
    assert_eq!(error, ToolError::Timeout { after: Duration::from_millis(300) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_cancelled_at_the_server() {
    let desk = Desk::with("alpha", json!({})).await;
    for cancelled in [true, false] {
        let (heard, context) = Heard::context();
        let cancel = context.cancel.clone();
        let slow = json!({"steps": 100_000, "each_ms": 20});
        let call = desk.call_with("alpha__slow", slow, context);
        let started = async {
            while heard.values().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Cancelled by its caller, or dropped as when a connection closes.
        if cancelled {
            let (result, ()) = tokio::join!(call, async {
                started.await;
                cancel.cancel();
            });
            assert_eq!(result, Err(ToolError::Cancelled));
        } else {
            tokio::select! {
                _ = call => panic!("it cannot be done"),
                () = started => {}
            }
        }
        let count = heard.values().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(heard.values().len() <= count + 1);
    }
    assert_eq!(desk.text("alpha__echo", json!({"text": "a"})).await, "alpha:a");
    desk.joined.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_grows_is_listed_anew() {
    for era in ["legacy", "modern"] {
        let desk = Desk::with("alpha", json!({"env": {"FIXTURE_ERA": era}})).await;
        let mut changed = desk.registry.changed();
        changed.mark_unchanged();
        assert_eq!(desk.text("alpha__grow", json!({})).await, "grown");
        changed.changed().await.unwrap();
        desk.until("late", |desk| desk.names().contains(&"alpha__late_tool".to_owned())).await;
        assert_eq!(desk.text("alpha__late_tool", json!({})).await, "late");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_hidden_cannot_be_called() {
    let desk = Desk::with("alpha", json!({"deny": ["env"]})).await;
    assert!(!desk.names().contains(&"alpha__env".to_owned()));
    let error = desk.call("alpha__env", json!({"name": "PATH"})).await.unwrap_err();
    assert!(matches!(error, ToolError::Unknown { .. }));
    let scopes: Scopes = ["mcp:call:alpha__e*".parse().unwrap()].into_iter().collect();
    let caller = Caller { subject: "some".into(), scopes, surface: Surface::Mcp };
    let listed = desk.registry.list(&caller);
    let names: Vec<_> = listed.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["alpha__echo"]);
    let fail = desk.call_with("alpha__fail", json!({}), Context::new(caller)).await;
    assert!(matches!(fail, Err(ToolError::Unknown { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changes_nothing_is_kept() {
    let cache = json!({"cache": {"tools": ["*"], "ttl_s": 60}});
    let desk = Desk::with("alpha", cache).await;
    let search = async |q: &str| {
        let outcome = desk.call("alpha__search", json!({ "q": q })).await.unwrap();
        outcome.structured.unwrap()["hits"].clone()
    };
    let first = search("a").await;
    assert_eq!(search("a").await, first);
    assert_ne!(search("b").await, first);
    let now = async || desk.text("alpha__now", json!({})).await;
    assert_ne!(now().await, now().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_have_limits_of_their_own() {
    let desk = Desk::with("alpha", json!({"calls_per_minute": {"ec*": 2}})).await;
    let echo = async || desk.call("alpha__echo", json!({"text": ""})).await;
    assert!(echo().await.is_ok() && echo().await.is_ok());
    assert!(matches!(echo().await, Err(ToolError::RateLimited { .. })));
    assert_eq!(desk.text("alpha__env", json!({"name": "NOPE"})).await, "<unset>");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_beside_each_other_up_to_a_number() {
    let desk = Desk::with("alpha", json!({"max_concurrent": 2})).await;
    let slow = || desk.call("alpha__slow", json!({"steps": 1, "each_ms": 500}));
    let begun = std::time::Instant::now();
    let results: [_; 4] = tokio::join!(slow(), slow(), slow(), slow()).into();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_tool_and_outcome() {
    let desk = Desk::with("alpha", json!({})).await;
    let _results = (
        desk.call_with("alpha__fail", json!({}), context()).await,
        desk.call("alpha__echo", json!({"text": Value::Null})).await,
    );
    let page = desk.metrics.encode();
    for (tool, outcome) in [("alpha__fail", "tool_error"), ("alpha__echo", "invalid_arguments")] {
        let line =
            format!("mcp_calls_total{{server=\"alpha\",tool=\"{tool}\",outcome=\"{outcome}\"}} 1");
        assert!(page.contains(&line), "{line} in {page}");
    }
    assert!(page.contains("mcp_server_state{server=\"alpha\",state=\"ready\"} 1"), "{page}");
}
