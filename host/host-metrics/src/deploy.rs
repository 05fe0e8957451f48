//! Dashboard and alerts name series that exist.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Metrics;

const DASHBOARD: &str = include_str!("../../../deploy/grafana/host.json");
const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yml");

/// Every series of the page by its name.
fn names() -> BTreeSet<String> {
    let metrics = Metrics::new();
    metrics.model("tiny");
    metrics.count_request("/v1/completions", 200);
    metrics.count_rejected("queue_full");
    metrics.count_plugin_fault("cpu");
    let page = metrics.encode();
    let series = page.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// The series that an expression names: words of ours that a label set or a range follows, or
/// nothing.
fn named(expression: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let words = expression.split(|c| !is_word(c));
    let ours =
        words.filter(|word| ["host_", "gen_ai_", "vllm:"].iter().any(|it| word.starts_with(it)));
    ours.map(str::to_owned).collect()
}

fn check(expression: &str, known: &BTreeSet<String>) {
    let named = named(expression);
    assert!(!named.is_empty(), "no series of the host in {expression}");
    let unknown: Vec<&String> = named.difference(known).collect();
    assert!(unknown.is_empty(), "{unknown:?} in {expression}");
    let open = |c| expression.matches(c).count();
    assert_eq!(open('('), open(')'), "{expression}");
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let (known, mut checked) = (names(), 0);
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64() <= Some(23) && place["w"].as_u64() <= Some(24), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            check(target["expr"].as_str().expect("an expression"), &known);
            checked += 1;
        }
    }
    assert!(checked > 15, "only {checked} expressions were found");
    let locks = panels.iter().filter(|panel| panel.to_string().contains("host_lock_")).count();
    assert_eq!(locks, 3, "three panels show locks");
}

#[test]
fn alerts_watch_what_there_is() {
    let known = names();
    let rules: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 5, "{} rules were found", rules.len());
    for rule in rules {
        let (_, rest) = rule.split_once("expr:").expect("an expression");
        let (expression, after) = rest.split_once("labels:").expect("labels after it");
        check(expression.split("for:").next().unwrap_or_default(), &known);
        assert!(after.contains("severity:") && after.contains("summary:"), "{rule}");
    }
}
