//! The runtimes, loaded as the host loads them.

use crate::checkpoints::Checkpoint;
use crate::prompts::{BLOCK_SIZE, Prompts, Step};
use graph::Graph;
use host_engine::StepModel;
use host_loader::{Loader, LoaderOptions, Registry};
use host_model::{LoadOptions, ModelSession};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use support::{PluginFolder, SHIPPED, build_plugin, host_program};

/// A compute provider.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// What `--device` calls it.
    pub(crate) device: &'static str,
    /// How far a value may be from the reference.
    pub(crate) tolerance: f32,
}

/// The one that the others are compared with.
pub(crate) const ORACLE: Runtime = Runtime { device: "candle", tolerance: 2e-4 };

/// All of them. Quantized checkpoints have no tolerance of their own: those of this suite are small
/// enough to be multiplied exactly (decision 7).
pub(crate) const RUNTIMES: &[Runtime] = &[ORACLE, Runtime { device: "cpu", tolerance: 2e-4 }];

impl Runtime {
    /// How far the reference may be from what transformers computes.
    pub(crate) const TRANSFORMERS: f32 = 2e-4;

    pub(crate) fn load(&self, checkpoint: &Checkpoint) -> Result<Model, String> {
        let options = LoadOptions {
            device: Some(self.device.to_owned()),
            kv_dtype: "f32".to_owned(),
            block_size: BLOCK_SIZE,
            kv_bytes_max: 256 << 20,
            batch_tokens_max: 2048,
            sequences_max: 2,
            ..LoadOptions::default()
        };
        let registry = registry();
        let path = &checkpoint.path;
        let loaded = host_model::prepare(registry, path, &options).and_then(|prepared| {
            let loaded = host_model::load(registry, path, &options, &|_, _| {})?;
            Ok(Model { graph: prepared.graph().clone(), session: loaded.session })
        });
        loaded.map_err(|error| error.to_string())
    }
}

/// A checkpoint on a runtime.
#[derive(Debug)]
pub(crate) struct Model {
    graph: Graph,
    session: ModelSession,
}

impl Model {
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Every answer, by prompt.
    pub(crate) fn run(&mut self, prompts: &Prompts, steps: &[Step]) -> Vec<Vec<Vec<f32>>> {
        let widths = self.graph.widths().expect("the host loaded this graph");
        let width = *widths.width.last().expect("a graph has nodes");
        let mut answers = vec![Vec::new(); prompts.count()];
        for step in steps {
            let batch = prompts.batch(step);
            let mut values = vec![f32::NAN; batch.logit_rows.len() * width];
            self.session.step(&batch, &mut values).expect("a sound batch");
            let mut rows = values.chunks(width).map(<[f32]>::to_vec);
            for (sequence, positions) in step {
                answers[*sequence].extend(rows.by_ref().take(prompts.answer_count(positions)));
            }
        }
        answers
    }
}

/// The shipped plugins and the reference runtime.
fn registry() -> &'static Arc<Registry> {
    static LOADED: LazyLock<(PluginFolder, Arc<Registry>)> = LazyLock::new(|| {
        build_plugin("candle");
        let folder = PluginFolder::with(SHIPPED);
        folder.add("candle");
        let loader = Loader::new(LoaderOptions {
            plugin_dirs: vec![folder.path().to_owned()],
            cache_dir: None,
            probe_program: host_program(),
            probe_timeout: Duration::from_secs(60),
            file_bytes_max: 1 << 30,
            pins: BTreeMap::new(),
        });
        (folder, loader.scan())
    });
    &LOADED.1
}
