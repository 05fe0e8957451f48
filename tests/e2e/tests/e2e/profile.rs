//! `host bench --profile` says where the time goes, if the compute plugin can.

use crate::{stories, text};
use serde_json::Value;
use support::{PluginFolder, SHIPPED, run_host};

const ARGUMENTS: [&str; 8] = [
    "bench",
    "--profile",
    "--json",
    "--prompt-tokens=40",
    "--decode-tokens=6",
    "--repeats=2",
    "--threads=2",
    "--plugins",
];

/// The ops of a phase, whose shares make up its steps.
fn ops(phase: &Value) -> Vec<&str> {
    let ops = phase["ops"].as_array().expect("a list");
    let number = |op: &Value, key: &str| op[key].as_f64().filter(|n| n.is_finite() && *n >= 0.0);
    for key in ["time_ms", "gb_per_s", "gop_per_s", "read_limit_share", "multiply_limit_share"] {
        assert!(ops.iter().all(|op| number(op, key).is_some()), "{key}: {phase}");
    }
    let shares: f64 = ops.iter().filter_map(|op| number(op, "share")).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}: {phase}");
    let outside = number(phase, "outside_share").expect("a number");
    assert!(outside < 1.0, "{phase}");
    ops.iter().filter_map(|op| op["op"].as_str()).collect()
}

#[test]
fn every_kind_of_op_is_named_and_the_shares_make_up_a_step() {
    let (plugins, model) = (PluginFolder::with(SHIPPED), stories());
    let done = run_host(ARGUMENTS.into_iter().chain([text(plugins.path()), &model]));
    assert!(done.status.success(), "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).expect("JSON");
    for limit in ["bytes_per_s", "int8_operations_per_s", "f32_operations_per_s"] {
        assert!(report["limits"][limit].as_f64().is_some_and(|rate| rate > 0.0), "{report}");
    }
    for (phase, steps) in [("prefill", 2), ("decode", 2 * 6)] {
        let (found, phase) = (ops(&report[phase]), &report[phase]);
        for op in ["attention", "norm", "rope", "elementwise", "embedding rows", "kv store"] {
            assert!(found.contains(&op), "{op} is not among {found:?}");
        }
        for purpose in ["linear ", "logits "] {
            assert!(found.iter().any(|op| op.starts_with(purpose)), "{purpose}: {found:?}");
        }
        assert_eq!(found.last(), Some(&"rest of the step"));
        assert_eq!(phase["steps"], steps, "{phase}");
    }
}

#[test]
fn a_compute_plugin_that_does_not_profile_is_named() {
    let (plugins, model) = (PluginFolder::with(SHIPPED), stories());
    plugins.add_fault("no_profile");
    let device = [text(plugins.path()), "--device", "idle", &model];
    let done = run_host(ARGUMENTS.into_iter().chain(device));
    assert!(!done.status.success());
    let says = "the compute plugin `fault_no_profile` does not profile";
    assert!(done.stderr.contains(says), "{}", done.stderr);
}
