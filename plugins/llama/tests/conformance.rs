//! The testkit's suite, and what the family's switches change.

use plugin_api::graph::Op;
use plugin_api::{Architecture, CheckpointView, Graph};
use plugin_llama::{Llama, Phi3, Starcoder2};
use plugin_testkit::{DecoderCheckpoint, architecture};
use serde_json::json;

fn checkpoint() -> DecoderCheckpoint {
    DecoderCheckpoint::hf("LlamaForCausalLM")
}

fn windows<T: Architecture>(checkpoint: &DecoderCheckpoint) -> Vec<Option<usize>> {
    let graph = graph::<T>(checkpoint);
    let window = |op: &Op| match op {
        Op::Attention { window, .. } => Some(*window),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| window(&node.op)).collect()
}

#[test]
fn it_conforms() {
    architecture::<Llama>(&checkpoint().info());
    architecture::<Llama>(&DecoderCheckpoint::gguf("llama").info());
    architecture::<Phi3>(&phi3().info());
    architecture::<Phi3>(&long_phi3().info());
    architecture::<Phi3>(&gguf_phi3().info());
    architecture::<Starcoder2>(&starcoder2().info());
    architecture::<Starcoder2>(&gguf_starcoder2().info());
}

/// Width, width inside the feed-forward part, and rows of q and of k, of the testkit's decoder.
const WIDTH: usize = 48;
const FFN_WIDTH: usize = 80;
const QUERY: usize = 48;
const KV: usize = 16;
/// Rotated pairs of a head.
const PAIRS: usize = 4;

/// The testkit's decoder with tensors joined as Phi-3 has them.
fn phi3() -> DecoderCheckpoint {
    DecoderCheckpoint::hf("Phi3ForCausalLM")
        .without(&[".q_proj.", ".k_proj.", ".v_proj.", ".gate_proj.", ".up_proj."])
        .layer_tensor("self_attn.qkv_proj.weight", &[QUERY + 2 * KV, WIDTH])
        .layer_tensor("mlp.gate_up_proj.weight", &[2 * FFN_WIDTH, WIDTH])
}

fn long_phi3() -> DecoderCheckpoint {
    let law = json!({
        "type": "longrope",
        "short_factor": [1.0, 1.0, 1.0, 2.0],
        "long_factor": [1.0, 1.5, 2.0, 4.0],
    });
    phi3().config("rope_scaling", law).config("original_max_position_embeddings", 16.into())
}

fn gguf_phi3() -> DecoderCheckpoint {
    DecoderCheckpoint::gguf("phi3")
        .without(&["attn_q.", "attn_k.", "attn_v.", "ffn_gate.", "ffn_up."])
        .layer_tensor("attn_qkv.weight", &[QUERY + 2 * KV, WIDTH])
        .layer_tensor("ffn_up.weight", &[2 * FFN_WIDTH, WIDTH])
        .tensor("rope_factors_short.weight", &[PAIRS])
        .tensor("rope_factors_long.weight", &[PAIRS])
        .config("phi3.rope.scaling.original_context_length", 16.into())
        .config("phi3.rope.scaling.attn_factor", 1.25.into())
        .config("phi3.attention.sliding_window", 0.into())
}

fn starcoder2() -> DecoderCheckpoint {
    DecoderCheckpoint::hf("Starcoder2ForCausalLM")
        .without(&[".mlp."])
        .config("norm_epsilon", 1e-3.into())
        .config("sliding_window", 8.into())
        .tensor("model.norm.bias", &[WIDTH])
        .layer_tensor("input_layernorm.bias", &[WIDTH])
        .layer_tensor("post_attention_layernorm.bias", &[WIDTH])
        .layer_tensor("self_attn.q_proj.bias", &[QUERY])
        .layer_tensor("self_attn.k_proj.bias", &[KV])
        .layer_tensor("self_attn.v_proj.bias", &[KV])
        .layer_tensor("self_attn.o_proj.bias", &[WIDTH])
        .layer_tensor("mlp.c_fc.weight", &[FFN_WIDTH, WIDTH])
        .layer_tensor("mlp.c_fc.bias", &[FFN_WIDTH])
        .layer_tensor("mlp.c_proj.weight", &[WIDTH, FFN_WIDTH])
        .layer_tensor("mlp.c_proj.bias", &[WIDTH])
}

fn gguf_starcoder2() -> DecoderCheckpoint {
    DecoderCheckpoint::gguf("starcoder2")
        .without(&["ffn_gate."])
        .config("starcoder2.attention.layer_norm_epsilon", 1e-3.into())
        .tensor("output_norm.bias", &[WIDTH])
        .layer_tensor("attn_norm.bias", &[WIDTH])
        .layer_tensor("ffn_norm.bias", &[WIDTH])
        .layer_tensor("attn_q.bias", &[QUERY])
        .layer_tensor("attn_k.bias", &[KV])
        .layer_tensor("attn_v.bias", &[KV])
        .layer_tensor("attn_output.bias", &[WIDTH])
        .layer_tensor("ffn_up.bias", &[FFN_WIDTH])
        .layer_tensor("ffn_down.bias", &[WIDTH])
}

fn graph<T: Architecture>(checkpoint: &DecoderCheckpoint) -> Graph {
    T::build(&CheckpointView::new(checkpoint.info())).expect("a graph")
}

fn ops(graph: &Graph) -> Vec<&Op> {
    graph.nodes.iter().map(|node| &node.op).collect()
}

#[test]
fn both_schemes_describe_the_same_model() {
    let hf = starcoder2().config("sliding_window", ().into());
    let (hf, gguf) = (graph::<Starcoder2>(&hf), graph::<Starcoder2>(&gguf_starcoder2()));
    assert_eq!(ops(&hf), ops(&gguf));
    let roles = |graph: &Graph| -> Vec<_> {
        graph.weights.iter().map(|weight| weight.role.clone()).collect()
    };
    assert_eq!(roles(&hf), roles(&gguf));
    let (hf, gguf) = (graph::<Phi3>(&phi3()), graph::<Phi3>(&gguf_phi3()));
    let without_weights = |graph: &Graph| -> Vec<_> {
        graph.nodes.iter().map(|node| (node.op.name(), node.inputs.clone())).collect()
    };
    assert_eq!(without_weights(&hf), without_weights(&gguf));
}

#[test]
fn long_sequences_rotate_by_other_frequencies() {
    let [hf, gguf] = [long_phi3(), gguf_phi3()].map(|checkpoint| graph::<Phi3>(&checkpoint));
    let [short, long] = [[1.0, 0.1, 0.01, 0.0005], [1.0, 0.1 / 1.5, 0.005, 0.00025]];
    let table = &hf.rope_tables[0];
    let beyond = table.long.as_ref().expect("a law for long sequences");
    assert_eq!((beyond.above, table.divisors), (16, None));
    for (found, expected) in [(&table.frequencies, short), (&beyond.frequencies, long)] {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
    // 64 positions are four times 16: sqrt(1 + ln 4 / ln 16).
    assert!((table.magnitude - 1.5_f32.sqrt()).abs() < 1e-6, "{}", table.magnitude);

    let table = &gguf.rope_tables[0];
    let beyond = table.long.as_ref().expect("a law for long sequences");
    let tensor = |weight: Option<usize>| gguf.weights[weight.expect("divisors")].tensor.as_str();
    assert_eq!(tensor(table.divisors), "rope_factors_short.weight");
    assert_eq!(tensor(beyond.divisors), "rope_factors_long.weight");
    assert_eq!((beyond.above, table.magnitude), (16, 1.25));
    assert_eq!(beyond.frequencies, table.frequencies, "what the host divides");
}

#[test]
fn a_law_for_long_sequences_must_fit_the_head() {
    let law = json!({"type": "longrope", "short_factor": [1.0], "long_factor": [1.0, 2.0]});
    let error = Phi3::build(&CheckpointView::new(phi3().config("rope_scaling", law).info()))
        .expect_err("too few factors");
    assert!(error.message().contains("1 short and 2 long rope factors found, 4"), "{error}");
    let law = json!({"type": "longrope", "short_factor": [1.0, 0.0, 1.0, 1.0]});
    let error = Phi3::build(&CheckpointView::new(phi3().config("rope_scaling", law).info()))
        .expect_err("a factor of 0");
    assert!(error.message().contains("short_factor is no list of positive numbers"), "{error}");
}

#[test]
fn starcoder_subtracts_means_and_gates_nothing() {
    let graph = graph::<Starcoder2>(&starcoder2());
    let count = |name: &str| graph.nodes.iter().filter(|node| node.op.name() == name).count();
    let found = ["layer_norm", "activate", "glu", "rms_norm"].map(count);
    assert_eq!(found, [2 * 3 + 1, 3, 0, 0]);
    let eps = graph.nodes.iter().find_map(|node| match node.op {
        Op::LayerNorm { eps, .. } => Some(eps),
        _ => None,
    });
    assert_eq!(eps, Some(1e-3));
    let plain = starcoder2().config("use_bias", false.into());
    let graph = self::graph::<Starcoder2>(&plain);
    let biased = |op: &Op| matches!(op, Op::Linear { bias: Some(_), .. });
    assert!(!graph.nodes.iter().any(|node| biased(&node.op)));
}

#[test]
fn joined_tensors_are_shared_out_by_rows() {
    let graph = graph::<Phi3>(&phi3());
    let rows = |name: &str| -> Vec<_> {
        let named = graph.weights.iter().filter(|weight| weight.tensor.contains(name));
        named.take(3).map(|weight| (weight.role.as_str(), weight.rows)).collect()
    };
    let expected = [
        ("layers.0.attn_q", Some([0, 48])),
        ("layers.0.attn_k", Some([48, 64])),
        ("layers.0.attn_v", Some([64, 80])),
    ];
    assert_eq!(rows("qkv_proj"), expected);
    let expected = [("layers.0.ffn_gate", Some([0, 80])), ("layers.0.ffn_up", Some([80, 160]))];
    assert_eq!(rows("layers.0.mlp.gate_up_proj"), expected);
}

#[test]
fn a_window_applies_to_every_layer() {
    assert_eq!(windows::<Llama>(&checkpoint()), [None; 3]);
    let mistral = checkpoint().config("sliding_window", 8.into());
    assert_eq!(windows::<Llama>(&mistral), [Some(8); 3]);
    assert_eq!(windows::<Starcoder2>(&starcoder2()), [Some(8); 3]);
    assert_eq!(windows::<Phi3>(&gguf_phi3()), [None; 3], "0 is none");
}

#[test]
fn biases_are_asked_for_where_the_configuration_says() {
    let biased = checkpoint().config("attention_bias", true.into()).info();
    let error = Llama::build(&CheckpointView::new(biased)).expect_err("there is no bias tensor");
    assert!(error.message().contains("self_attn.q_proj.bias"), "{error}");
}
