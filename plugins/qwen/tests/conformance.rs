//! The testkit's suite, and what tells the generations apart.

use plugin_api::graph::{Op, Output};
use plugin_api::{Architecture, CheckpointInfo, CheckpointView, Graph};
use plugin_qwen::{Qwen2, Qwen2Moe, Qwen3, Qwen3Moe};
use plugin_testkit::{DecoderCheckpoint, architecture};
use serde_json::json;

/// Widths of the testkit's decoder.
fn widths() -> [usize; 3] {
    let info = DecoderCheckpoint::hf("-").info();
    let rows = |name: &str| {
        let found = info.tensors.iter().find(|tensor| tensor.name.ends_with(name));
        found.expect("the testkit's decoder has it").shape[0]
    };
    [rows("q_proj.weight"), rows("k_proj.weight"), rows("v_proj.weight")]
}

fn head_dim() -> usize {
    let heads = DecoderCheckpoint::hf("-").info().config["num_attention_heads"].as_u64();
    widths()[0] / usize::try_from(heads.expect("a count")).expect("a small count")
}

fn biased(checkpoint: DecoderCheckpoint) -> DecoderCheckpoint {
    let [q, k, v] = widths();
    checkpoint
        .layer_tensor("self_attn.q_proj.bias", &[q])
        .layer_tensor("self_attn.k_proj.bias", &[k])
        .layer_tensor("self_attn.v_proj.bias", &[v])
}

fn normalised(checkpoint: DecoderCheckpoint) -> DecoderCheckpoint {
    checkpoint
        .layer_tensor("self_attn.q_norm.weight", &[head_dim()])
        .layer_tensor("self_attn.k_norm.weight", &[head_dim()])
}

fn qwen2() -> DecoderCheckpoint {
    biased(DecoderCheckpoint::hf("Qwen2ForCausalLM"))
}

fn qwen3() -> DecoderCheckpoint {
    normalised(DecoderCheckpoint::hf("Qwen3ForCausalLM"))
}

/// Width of the testkit's decoder.
const WIDTH: usize = 48;
const EXPERTS: usize = 5;
const EXPERT_WIDTH: usize = 20;
const SHARED_WIDTH: usize = 36;

fn with_experts(checkpoint: DecoderCheckpoint) -> DecoderCheckpoint {
    let sized = checkpoint
        .config("num_experts", EXPERTS.into())
        .config("num_experts_per_tok", 2.into())
        .config("moe_intermediate_size", EXPERT_WIDTH.into())
        .layer_tensor("mlp.gate.weight", &[EXPERTS, WIDTH]);
    (0..EXPERTS).fold(sized, |all, expert| {
        let name = |matrix: &str| format!("mlp.experts.{expert}.{matrix}_proj.weight");
        all.layer_tensor(&name("gate"), &[EXPERT_WIDTH, WIDTH])
            .layer_tensor(&name("up"), &[EXPERT_WIDTH, WIDTH])
            .layer_tensor(&name("down"), &[WIDTH, EXPERT_WIDTH])
    })
}

fn qwen2_moe() -> DecoderCheckpoint {
    with_experts(biased(DecoderCheckpoint::hf("Qwen2MoeForCausalLM").without(&[".mlp."])))
        .config("shared_expert_intermediate_size", SHARED_WIDTH.into())
        .layer_tensor("mlp.shared_expert_gate.weight", &[1, WIDTH])
        .layer_tensor("mlp.shared_expert.gate_proj.weight", &[SHARED_WIDTH, WIDTH])
        .layer_tensor("mlp.shared_expert.up_proj.weight", &[SHARED_WIDTH, WIDTH])
        .layer_tensor("mlp.shared_expert.down_proj.weight", &[WIDTH, SHARED_WIDTH])
}

/// Layer 1 is dense.
fn qwen3_moe() -> DecoderCheckpoint {
    with_experts(normalised(DecoderCheckpoint::hf("Qwen3MoeForCausalLM")))
        .config("mlp_only_layers", json!([1]))
        .config("norm_topk_prob", true.into())
}

fn gguf_moe(architecture: &str) -> DecoderCheckpoint {
    let key = |name: &str| format!("{architecture}.{name}");
    DecoderCheckpoint::gguf(architecture)
        .without(&["ffn_gate.", "ffn_up.", "ffn_down."])
        .config(&key("expert_count"), EXPERTS.into())
        .config(&key("expert_used_count"), 2.into())
        .config(&key("expert_feed_forward_length"), EXPERT_WIDTH.into())
        .layer_tensor("ffn_gate_inp.weight", &[EXPERTS, WIDTH])
        .layer_tensor("ffn_gate_exps.weight", &[EXPERTS, EXPERT_WIDTH, WIDTH])
        .layer_tensor("ffn_up_exps.weight", &[EXPERTS, EXPERT_WIDTH, WIDTH])
        .layer_tensor("ffn_down_exps.weight", &[EXPERTS, WIDTH, EXPERT_WIDTH])
}

fn gguf_qwen2_moe() -> DecoderCheckpoint {
    let [q, k, v] = widths();
    gguf_moe("qwen2moe")
        .layer_tensor("attn_q.bias", &[q])
        .layer_tensor("attn_k.bias", &[k])
        .layer_tensor("attn_v.bias", &[v])
        .config("qwen2moe.expert_shared_feed_forward_length", SHARED_WIDTH.into())
        .layer_tensor("ffn_gate_inp_shexp.weight", &[WIDTH])
        .layer_tensor("ffn_gate_shexp.weight", &[SHARED_WIDTH, WIDTH])
        .layer_tensor("ffn_up_shexp.weight", &[SHARED_WIDTH, WIDTH])
        .layer_tensor("ffn_down_shexp.weight", &[WIDTH, SHARED_WIDTH])
}

fn gguf_qwen3_moe() -> DecoderCheckpoint {
    gguf_moe("qwen3moe")
        .layer_tensor("attn_q_norm.weight", &[head_dim()])
        .layer_tensor("attn_k_norm.weight", &[head_dim()])
}

/// Qwen3-Embedding as sentence-transformers has it: no output matrix, no `model.`.
fn embedding() -> CheckpointInfo {
    let files = json!({"pooling": "lasttoken", "normalize": true, "dense": []});
    let mut info = normalised(DecoderCheckpoint::hf("Qwen3Model"))
        .config("sentence_transformers", files)
        .info();
    for tensor in &mut info.tensors {
        tensor.name = tensor.name.replace("model.", "");
    }
    info
}

fn graph<T: Architecture>(checkpoint: &DecoderCheckpoint) -> Graph {
    T::build(&CheckpointView::new(checkpoint.info())).expect("a graph")
}

fn windows<T: Architecture>(checkpoint: &DecoderCheckpoint) -> Vec<Option<usize>> {
    let window = |op: &Op| match op {
        Op::Attention { window, .. } => Some(*window),
        _ => None,
    };
    graph::<T>(checkpoint).nodes.iter().filter_map(|node| window(&node.op)).collect()
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.op.name()).collect()
}

/// Experts of a row, and whether their weights are normalised, of each mixture.
fn mixtures(graph: &Graph) -> Vec<(usize, bool)> {
    let mixture = |op: &Op| match op {
        Op::Moe { top_k, normalize, .. } => Some((*top_k, *normalize)),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| mixture(&node.op)).collect()
}

#[test]
fn every_generation_conforms() {
    architecture::<Qwen2>(&qwen2().info());
    architecture::<Qwen3>(&qwen3().info());
    architecture::<Qwen3>(&embedding());
    architecture::<Qwen2Moe>(&qwen2_moe().info());
    architecture::<Qwen2Moe>(&gguf_qwen2_moe().info());
    architecture::<Qwen3Moe>(&qwen3_moe().info());
    architecture::<Qwen3Moe>(&gguf_qwen3_moe().info());
}

#[test]
fn layers_from_the_switch_on_see_a_window() {
    let sliding = |checkpoint: DecoderCheckpoint| {
        checkpoint.config("sliding_window", 8.into()).config("max_window_layers", 2.into())
    };
    let asked = |checkpoint| sliding(checkpoint).config("use_sliding_window", true.into());
    assert_eq!(windows::<Qwen2>(&sliding(qwen2())), [None; 3], "not asked for");
    assert_eq!(windows::<Qwen2>(&asked(qwen2())), [None, None, Some(8)]);
    assert_eq!(windows::<Qwen2Moe>(&asked(qwen2_moe())), [Some(8), None, None]);
    assert_eq!(windows::<Qwen3Moe>(&asked(qwen3_moe())), [Some(8); 3]);
}

#[test]
fn the_older_generation_needs_its_biases_and_the_newer_its_norms() {
    let plain = DecoderCheckpoint::hf("-").info();
    let error = Qwen2::build(&CheckpointView::new(plain.clone())).expect_err("no bias");
    assert!(error.message().contains("self_attn.q_proj.bias"), "{error}");
    let error = Qwen3::build(&CheckpointView::new(plain)).expect_err("no norm");
    assert!(error.message().contains("self_attn.q_norm.weight"), "{error}");
}

#[test]
fn experts_lie_apart_or_in_one_tensor() {
    let [apart, stacked] = [graph::<Qwen2Moe>(&qwen2_moe()), graph::<Qwen2Moe>(&gguf_qwen2_moe())];
    assert_eq!(names(&apart), names(&stacked));
    let weight = |graph: &Graph, role: &str| {
        let found = graph.weights.iter().find(|weight| weight.role == role);
        let found = found.expect("the role is there").clone();
        (found.tensor, found.shape, found.rows)
    };
    let shape = vec![EXPERT_WIDTH, WIDTH];
    let name = "model.layers.1.mlp.experts.3.up_proj.weight".to_owned();
    assert_eq!(weight(&apart, "layers.1.expert_up.3"), (name, shape.clone(), None));
    let name = "blk.1.ffn_up_exps.weight".to_owned();
    assert_eq!(weight(&stacked, "layers.1.expert_up.3"), (name, shape, Some([60, 80])));
    let name = "blk.0.ffn_gate_inp_shexp.weight".to_owned();
    let vector = (name, vec![1, WIDTH], Some([0, 1]));
    assert_eq!(weight(&stacked, "layers.0.shared_scale"), vector);
}

#[test]
fn a_shared_expert_is_scaled_and_added() {
    let graph = graph::<Qwen2Moe>(&qwen2_moe());
    assert_eq!(mixtures(&graph), [(2, false); 3]);
    let names = names(&graph);
    let at = names.iter().position(|name| *name == "moe").expect("a mixture");
    let expected =
        ["linear", "linear", "glu", "linear", "linear", "activate", "scale_rows", "add", "add"];
    assert_eq!(names[at + 1..at + 10], expected);
    let input = &graph.nodes[at].inputs[0];
    let scale = &graph.nodes[at + 5].inputs[0];
    assert_eq!(input, scale, "the scale comes from the row that the experts get");
}

#[test]
fn some_layers_have_no_experts() {
    let listed = graph::<Qwen3Moe>(&qwen3_moe());
    assert_eq!(mixtures(&listed), [(2, true); 2]);
    let dense = listed.weights.iter().filter(|weight| weight.role.ends_with("ffn_up"));
    assert_eq!(dense.map(|w| w.role.as_str()).collect::<Vec<_>>(), ["layers.1.ffn_up"]);
    let stepped = qwen3_moe().config("decoder_sparse_step", 3.into());
    assert_eq!(mixtures(&graph::<Qwen3Moe>(&stepped)).len(), 1, "the last of three");
    assert_eq!(mixtures(&graph::<Qwen3Moe>(&gguf_qwen3_moe())), [(2, true); 3]);
}

#[test]
fn what_the_numbers_cannot_mean_is_refused() {
    let check = |checkpoint: DecoderCheckpoint, expected: &str| {
        let error = Qwen3Moe::build(&CheckpointView::new(checkpoint.info())).expect_err("wrong");
        assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
    };
    check(qwen3_moe().config("num_experts_per_tok", 6.into()), "6 of 5 experts for a row");
    check(qwen3_moe().config("num_experts", 5000.into()), "2 of 5000 experts");
    check(qwen3_moe().config("mlp_only_layers", "1".into()), "mlp_only_layers is \"1\"");
    check(qwen3_moe().config("num_experts", 6.into()), "mlp.gate.weight: shape [6, 48]");
}

#[test]
fn an_embedding_model_answers_with_the_last_row() {
    let graph = Qwen3::build(&CheckpointView::new(embedding())).expect("a graph");
    assert_eq!(graph.output, Output::Embedding);
    let names = names(&graph);
    assert_eq!(names[names.len() - 3..], ["rms_norm", "select_rows", "normalize"]);
    assert!(graph.weights.iter().all(|weight| !weight.tensor.starts_with("model.")));
    let gguf = DecoderCheckpoint::gguf("qwen3")
        .layer_tensor("attn_q_norm.weight", &[head_dim()])
        .layer_tensor("attn_k_norm.weight", &[head_dim()])
        .config("qwen3.pooling_type", 3.into());
    let gguf = self::graph::<Qwen3>(&gguf);
    assert_eq!(self::names(&gguf), names);
    assert_eq!(self::graph::<Qwen3>(&qwen3()).output, Output::Logits);
}
