//! Names that are taken, odd, or meant for others.

use host_tools::{Map, Need, Owner, Provider, Tool, ToolOutcome};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::watch;

use crate::desk::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn no_server_answers_for_another() {
    let desk = Desk::new(&[("alpha", "alpha", json!({})), ("beta", "beta", json!({}))]);
    desk.ready("alpha").await;
    desk.ready("beta").await;
    assert_eq!(desk.text("alpha__echo", json!({"text": "x"})).await, "alpha:x");
    assert_eq!(desk.text("beta__echo", json!({})).await, "beta:echo");
    assert_eq!(desk.text("beta__alpha__echo", json!({})).await, "beta:alpha__echo");
    let names = desk.names();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for name in &names {
        assert!(name.len() <= 64 && name.chars().all(plain), "{name}");
    }
    let odd = names.iter().find(|name| name.starts_with("beta__weird")).unwrap();
    assert_eq!(desk.text(odd, json!({})).await, "beta:weird name/ü");
    let long = names.iter().find(|name| name.starts_with("beta__xxx")).unwrap();
    assert!(desk.text(long, json!({})).await.ends_with(&"x".repeat(120)));
    assert!(!names.iter().any(|name| name.contains("twin") || name.contains("no_schema")));
    assert_eq!(desk.status("beta").problems.len(), 3, "{:?}", desk.status("beta").problems);
    let remote = desk.registry.problems();
    assert!(remote.iter().any(|line| line.contains("`beta__remote`")), "{remote:?}");
    assert!(!names.contains(&"beta__remote".to_owned()));
}

/// The host's own `chat`.
struct House(watch::Sender<u64>);

impl Provider for House {
    fn name(&self) -> &str {
        "host"
    }

    fn catalog(&self) -> Arc<host_tools::Catalog> {
        let chat = Tool::new("chat", "talks", Map::new(), Owner::Host);
        let tools = vec![Arc::new(Tool { need: Need::Infer, ..chat })];
        Arc::new(host_tools::Catalog { tools, ..Default::default() })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn call_tool<'a>(
        &'a self,
        _: &'a str,
        _: Map,
        _: host_tools::Context,
    ) -> host_tools::Answer<'a, ToolOutcome> {
        Box::pin(async { Ok(ToolOutcome::text("host")) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flat_names_never_shadow_the_host_nor_each_other() {
    let flat = || json!({"strategy": "flat"});
    let desk = Desk::new(&[("one", "beta", flat()), ("two", "alpha", flat())]);
    desk.registry.add(Arc::new(House(watch::Sender::new(0))));
    let both = |desk: &Desk| ["one", "two"].iter().all(|name| desk.status(name).tool_count > 0);
    desk.until("both", both).await;
    desk.until("merged", |desk| desk.registry.problems().len() >= 3).await;
    assert_eq!(desk.text("chat", json!({})).await, "host");
    let names = desk.names();
    // Both offer `echo` and `search`, and neither gets them.
    for name in ["echo", "search", "alpha__echo"] {
        assert!(!names.contains(&name.to_owned()), "{names:?}");
    }
    assert!(names.contains(&"slow".to_owned()), "{names:?}");
}
