//! Faults that strike when a provider is used: a panic while a graph is built, in a kernel, in a tool.
//!
//! The providers are registered with the SDK, so what is tried is the fence authors get.

use crate::name::{fault, plugin};
use plugin_api::plugin_abi::MatmulTileV1;
use plugin_api::{
    Architecture, CheckpointView, Compute, ComputeSession, Dtype, Error, Graph, MemoryEstimate,
    SessionOptions, StepBatch, ToolAnswer, ToolCall, ToolOffer, Tools,
};
use serde_json::{Map, Value, json};

plugin_api::register!(architecture: Fixed);
plugin_api::register!(compute: Idle);
plugin_api::register!(tools: Parrot);
plugin_api::register!(quantization "faulty": [Q80]);

struct Fixed;

impl Architecture for Fixed {
    const NAME: &'static str = "fixed";
    const CLAIMS: &'static [&'static str] = &["fault-build"];

    /// The smallest graph there is, under the name of the plugin.
    fn build(_: &CheckpointView) -> Result<Graph, Error> {
        assert!(fault() != "panic_build", "a layer\nis missing");
        let graph = json!({
            "opset": plugin_api::graph::OPSET.to_string(),
            "architecture": plugin(),
            "vocab_size": 4,
            "context_length": 8,
            "weights": [{ "role": "embed", "tensor": "embed", "shape": [4, 2] }],
            "caches": [],
            "rope_tables": [],
            "nodes": [
                { "op": "embed", "weight": 0 },
                { "op": "select_rows", "inputs": [0] },
                { "op": "linear", "weight": 0, "inputs": [1] },
            ],
        });
        Ok(Graph::from_json(&graph.to_string())?)
    }
}

/// A device whose sessions compute nothing, and cannot be profiled.
struct Idle;

impl Compute for Idle {
    const NAME: &'static str = "idle";
    type Session = Idle;

    fn estimate(_: &SessionOptions<'_>) -> Result<MemoryEstimate, Error> {
        Ok(MemoryEstimate::default())
    }

    fn create(_: SessionOptions<'_>) -> Result<Idle, Error> {
        Ok(Idle)
    }
}

impl ComputeSession for Idle {
    fn step(&mut self, _: &StepBatch<'_>, _: &mut [f32]) -> Result<(), Error> {
        Ok(())
    }

    fn copy_blocks(&mut self, _: &[u32], _: &[u32]) -> Result<(), Error> {
        Ok(())
    }
}

/// A tool that repeats its arguments to everybody: as progress, log, question and result.
struct Parrot;

impl Tools for Parrot {
    const NAME: &'static str = "parrot";

    fn offer() -> Result<ToolOffer, Error> {
        let repeat = json!({
            "name": "repeat", "description": "Repeats.", "inputSchema": {"type": "object"},
        });
        Ok(ToolOffer { tools: vec![repeat], ..ToolOffer::default() })
    }

    fn call(
        name: &str,
        arguments: &Map<String, Value>,
        call: &ToolCall<'_>,
    ) -> Result<ToolAnswer, Error> {
        assert!(fault() != "panic_tool", "{name}: a feather\nis missing");
        let said = Value::Object(arguments.clone());
        call.progress(1.0, Some(2.0), &said.to_string());
        call.log(plugin_api::LogLevel::Warning, &said);
        let answer = call.ask("roots/list", &said)?;
        Ok(ToolAnswer::structured(json!({"answer": answer, "cancelled": call.is_cancelled()})))
    }
}

/// `q8_0` with everything right but the multiplication.
struct Q80;

impl Dtype for Q80 {
    const NAME: &'static str = kernels::Q8_0.name;
    const INPUT_FORMAT: &'static str = kernels::Q8_0.input_format;
    const BLOCK_LEN: usize = kernels::Q8_0.block_len;
    const BLOCK_BYTES: usize = kernels::Q8_0.block_bytes;
    const ROW_GROUP: usize = kernels::ROW_GROUP;

    fn dequantize(src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
        kernels::Q8_0.dequantize(src, dst);
        Ok(())
    }

    fn input_bytes(k: usize) -> usize {
        kernels::Q8_0.input_bytes(k)
    }

    fn prepare_input(x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
        kernels::Q8_0.prepare_input(x, dst);
        Ok(())
    }

    fn packed_bytes(rows: usize, k: usize) -> usize {
        kernels::Q8_0.packed_bytes(rows, k)
    }

    fn pack(src: &[u8], _rows: usize, k: usize, dst: &mut [u8]) -> Result<(), Error> {
        kernels::Q8_0.pack(src, k, dst);
        Ok(())
    }

    unsafe fn matmul(tile: &MatmulTileV1) -> Result<(), Error> {
        panic!("row {} is out of range", tile.row_end)
    }
}
