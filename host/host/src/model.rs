//! `host model`: look into a model file without taking memory for it.

use crate::args::{LoadArgs, ModelCommand, PluginArgs};
use crate::console::{Printable as _, answer};
use crate::{Failure, wiring};
use host_model::Prepared;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Runs a `model` command.
pub(crate) fn model(command: &ModelCommand) -> Result<(), Failure> {
    match command {
        ModelCommand::Inspect { model, json, plugins, load } => {
            inspect(model, *json, plugins, load)
        }
        ModelCommand::Graph { model, json, dot, plugins, load } => {
            let prepared = prepare(model, plugins, load)?;
            print(&match (json, dot) {
                (true, _) => prepared.graph().to_json()?,
                (false, true) => prepared.graph().to_dot()?,
                (false, false) => prepared.graph().to_text()?,
            });
            Ok(())
        }
    }
}

/// Tells what a model is and what it would take.
pub(crate) fn inspect(
    path: &Path,
    is_json: bool,
    plugins: &PluginArgs,
    load: &LoadArgs,
) -> Result<(), Failure> {
    let prepared = prepare(path, plugins, load)?;
    let facts = if is_json {
        serde_json::to_string_pretty(&facts(&prepared))?
    } else {
        describe(&prepared)
    };
    print(&facts);
    Ok(())
}

fn prepare(path: &Path, plugins: &PluginArgs, load: &LoadArgs) -> Result<Prepared, Failure> {
    let registry = wiring::registry(plugins)?;
    let prepared = host_model::prepare(&registry, path, &wiring::load_options(load))?;
    prepared.read_tokenizer()?;
    Ok(prepared)
}

fn print(text: &str) {
    answer(&format!("{}\n", text.trim_end()));
}

fn facts(prepared: &Prepared) -> serde_json::Value {
    let (info, memory) = (prepared.info(), prepared.memory());
    let mut dtypes: BTreeMap<&str, usize> = BTreeMap::new();
    for tensor in &info.tensors {
        *dtypes.entry(&tensor.dtype).or_default() += 1;
    }
    json!({
        "name": info.name,
        "architecture": info.architecture,
        "scheme": info.scheme,
        "plugins": prepared.plugins(),
        "tensors": info.tensors.len(),
        "dtypes": dtypes,
        "vocab_size": prepared.graph().vocab_size,
        "context_length": prepared.graph().context_length,
        "served_context_length": memory.context_length,
        "layers": prepared.graph().caches.len(),
        "bos_token": info.bos_token,
        "eos_tokens": info.eos_tokens,
        "chat_template": prepared.chat_template().is_some(),
        "kv_dtype": memory.kv_dtype,
        "memory_bytes": memory.estimate,
    })
}

fn describe(prepared: &Prepared) -> String {
    let facts = facts(prepared);
    let mib = |key: &str| facts["memory_bytes"][key].as_u64().unwrap_or(0) as f64 / 1048576.0;
    let mut lines = vec![
        format!("model         {}", facts["name"].as_str().unwrap_or("(unnamed)").printable()),
        format!("architecture  {}", prepared.info().architecture.printable()),
        format!("plugins       {}", prepared.plugins().join(", ")),
        format!("tensors       {} ({})", facts["tensors"], counts(&facts["dtypes"])),
        format!("vocabulary    {}", facts["vocab_size"]),
        format!("context       {} of {}", facts["served_context_length"], facts["context_length"]),
        format!("layers        {}", facts["layers"]),
        format!("end tokens    {:?}", prepared.info().eos_tokens),
        format!("chat template {}", if prepared.chat_template().is_some() { "yes" } else { "no" }),
    ];
    lines.push(format!(
        "memory        weights {:.1} MiB, KV cache up to {:.1} MiB ({}), scratch {:.1} MiB",
        mib("weights"),
        mib("kv"),
        prepared.memory().kv_dtype,
        mib("scratch")
    ));
    lines.join("\n")
}

fn counts(dtypes: &serde_json::Value) -> String {
    let counts = dtypes.as_object().into_iter().flatten();
    counts.map(|(dtype, count)| format!("{count} {dtype}")).collect::<Vec<_>>().join(", ")
}
