//! What whoever balances load over several hosts relies on: figures to choose a host by, and a stop
//! that is announced.

use crate::stories;
use serde_json::json;
use support::{Client, EventStream, PluginFolder, SHIPPED, TestHost, eventually};

const NAMES: [&str; 4] = [
    "vllm:num_requests_waiting",
    "vllm:num_requests_running",
    "vllm:kv_cache_usage_perc",
    "vllm:cache_config_info",
];

fn serve(arguments: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", stories());
    TestHost::serve(plugins.path(), &[&["--model", &model], arguments].concat())
}

/// The labels and the value of the only series of a name.
fn series(metrics: &str, name: &str) -> (String, f64) {
    let found: Vec<_> =
        metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    let (labels, value) = found[0].rsplit_once("} ").expect("labels and a value");
    (labels.to_owned(), value.parse().expect("a value is a number"))
}

fn values(client: &Client) -> [f64; 4] {
    let metrics = client.get("/metrics").body;
    NAMES.map(|name| series(&metrics, name).1)
}

/// The model server protocol of the Gateway API Inference Extension: gauges of what waits, what
/// runs and the share of KV memory that is in use, and the shape of the KV cache in labels.
#[test]
fn the_figures_of_the_inference_extension_follow_the_load() {
    let host = serve(&["--sequences-max", "1", "--block-size", "16"]);
    let client = host.client();
    let metrics = client.get("/metrics").body;
    for name in NAMES {
        assert!(metrics.contains(&format!("# TYPE {name} gauge\n")), "{name} is no gauge");
        assert!(series(&metrics, name).0.starts_with("model_name=\"stories\""), "{name}");
    }
    // Whoever reads the older text format of Prometheus knows no other types.
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').nth(1));
    assert!(types.clone().all(|kind| ["counter", "gauge", "histogram"].contains(&kind)));
    let (shape, _) = series(&metrics, "vllm:cache_config_info");
    let label =
        |name: &str| shape.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(label("block_size"), Some("\"16\""));
    let blocks = label("num_gpu_blocks").map(|text| text.trim_matches('"').parse::<u32>());
    assert!(matches!(blocks, Some(Ok(1..))), "{shape}");
    assert_eq!(values(&client), [0.0, 0.0, 0.0, 1.0]);

    let body = json!({
        "model": "stories", "prompt": "Once upon a time", "max_tokens": 480, "n": 16,
        "ignore_eos": true, "stream": true,
    });
    let stream = client.stream("/v1/completions", &body);
    eventually("one sequence runs, others wait, and KV blocks are in use", || {
        let [waiting, running, usage, _] = values(&client);
        assert!((0.0..=1.0).contains(&usage), "{usage}");
        waiting >= 1.0 && running == 1.0 && usage > 0.0
    });
    EventStream::cut(stream);
    eventually("nothing runs", || values(&client) == [0.0, 0.0, 0.0, 1.0]);
}

#[cfg(unix)]
#[test]
fn a_host_that_is_told_to_stop_serves_on_while_it_is_not_ready() {
    let mut host = serve(&["--drain-s", "600"]);
    let client = host.client();
    assert_eq!(client.get("/ready").status, 200);
    host.ask_to_stop();
    eventually("/ready says that the host leaves", || client.get("/ready").status == 503);
    assert_eq!(client.get("/health").ok()["ready"], false);
    let body = json!({"model": "stories", "prompt": "Once upon a time", "max_tokens": 4});
    client.post("/v1/completions", &body).ok();
    // The second time it does not wait any longer.
    assert!(host.stop().success());
}
