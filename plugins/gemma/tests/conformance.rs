//! The testkit's suite, and what tells the generations apart.

use plugin_api::graph::{Op, Output};
use plugin_api::{Architecture, CheckpointInfo, CheckpointView, Error, Graph};
use plugin_gemma::{Gemma2, Gemma3};
use plugin_testkit::{DecoderCheckpoint, architecture};
use serde_json::json;

fn count(info: &CheckpointInfo, key: &str) -> usize {
    let value = info.config[key].as_u64().expect("the testkit's decoder has it");
    usize::try_from(value).expect("a small count")
}

fn decoder(architecture: &str) -> DecoderCheckpoint {
    let width = count(&DecoderCheckpoint::hf("-").info(), "hidden_size");
    DecoderCheckpoint::hf(architecture)
        .layer_tensor("pre_feedforward_layernorm.weight", &[width])
        .layer_tensor("post_feedforward_layernorm.weight", &[width])
        .config("sliding_window", 8.into())
}

fn gemma2() -> DecoderCheckpoint {
    decoder("Gemma2ForCausalLM").config("query_pre_attn_scalar", 16.into())
}

fn gemma3(architecture: &str) -> DecoderCheckpoint {
    let head_dim = count(&DecoderCheckpoint::hf("-").info(), "head_dim");
    decoder(architecture)
        .layer_tensor("self_attn.q_norm.weight", &[head_dim])
        .layer_tensor("self_attn.k_norm.weight", &[head_dim])
        .config("sliding_window_pattern", 3.into())
}

/// A checkpoint that sees images, as far as its text part goes.
fn with_vision() -> CheckpointInfo {
    let mut info = gemma3("Gemma3ForConditionalGeneration").info();
    for tensor in &mut info.tensors {
        tensor.name.insert_str(0, "language_model.");
    }
    let text = std::mem::take(&mut info.config);
    info.config.insert("text_config".to_owned(), text.into());
    info
}

/// EmbeddingGemma as sentence-transformers has it: no `model.`, dense layers in other files.
fn embedding() -> CheckpointInfo {
    let dense = ["2_Dense.linear.weight", "3_Dense.linear.weight"];
    let files = json!({
        "pooling": "mean",
        "normalize": true,
        "dense": dense.map(|tensor| json!({"tensor": tensor, "activation": "identity"})),
    });
    let width = count(&DecoderCheckpoint::hf("-").info(), "hidden_size");
    let mut info = gemma3("Gemma3TextModel")
        .config("use_bidirectional_attention", true.into())
        .config("sentence_transformers", files)
        .tensor(dense[0], &[3 * width, width])
        .tensor(dense[1], &[width, 3 * width])
        .info();
    for tensor in &mut info.tensors {
        tensor.name = tensor.name.replace("model.", "");
    }
    info
}

fn gguf_embedding() -> DecoderCheckpoint {
    let info = DecoderCheckpoint::hf("-").info();
    let (width, head_dim) = (count(&info, "hidden_size"), count(&info, "head_dim"));
    let name = "gemma-embedding";
    DecoderCheckpoint::gguf(name)
        .layer_tensor("attn_q_norm.weight", &[head_dim])
        .layer_tensor("attn_k_norm.weight", &[head_dim])
        .layer_tensor("post_attention_norm.weight", &[width])
        .layer_tensor("post_ffw_norm.weight", &[width])
        .config(&format!("{name}.attention.sliding_window"), 8.into())
        .config(&format!("{name}.attention.sliding_window_pattern"), 3.into())
        .config(&format!("{name}.pooling_type"), 1.into())
        .config(&format!("{name}.dense_2_feat_out"), (3 * width).into())
        .config(&format!("{name}.dense_3_feat_out"), width.into())
        .tensor("dense_2.weight", &[3 * width, width])
        .tensor("dense_3.weight", &[width, 3 * width])
}

fn built<T: Architecture>(info: CheckpointInfo) -> Result<Graph, Error> {
    T::build(&CheckpointView::new(info))
}

fn graph<T: Architecture>(info: CheckpointInfo) -> Graph {
    built::<T>(info).expect("a graph")
}

fn windows(graph: &Graph) -> Vec<Option<usize>> {
    let window = |op: &Op| match op {
        Op::Attention { window, .. } => Some(*window),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| window(&node.op)).collect()
}

/// The rope table of each rotation of queries.
fn tables(graph: &Graph) -> Vec<usize> {
    let table = |op: &Op| match op {
        Op::Rope { table, .. } => Some(*table),
        _ => None,
    };
    graph.nodes.iter().filter_map(|node| table(&node.op)).step_by(2).collect()
}

fn scale_and_caps(graph: &Graph) -> (f32, Option<f32>, Option<f32>) {
    let attention = graph.nodes.iter().find_map(|node| match node.op {
        Op::Attention { scale, softcap, .. } => Some((scale, softcap)),
        _ => None,
    });
    let (scale, attention) = attention.expect("an attention node");
    let last = graph.nodes.last().map(|node| &node.op);
    let logits = if let Some(Op::Softcap { cap }) = last { Some(*cap) } else { None };
    (scale, attention, logits)
}

fn check_refused<T: Architecture>(checkpoint: &DecoderCheckpoint, expected: &str) {
    let error = built::<T>(checkpoint.info()).expect_err("the configuration is wrong");
    assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
}

#[test]
fn both_generations_conform() {
    architecture::<Gemma2>(&gemma2().info());
    architecture::<Gemma3>(&gemma3("Gemma3ForCausalLM").info());
    architecture::<Gemma3>(&with_vision());
    architecture::<Gemma3>(&embedding());
    architecture::<Gemma3>(&gguf_embedding().info());
}

#[test]
fn embedding_gemma_sees_both_sides_and_ends_with_its_dense_layers() {
    let [hf, gguf] = [graph::<Gemma3>(embedding()), graph::<Gemma3>(gguf_embedding().info())];
    let names =
        |graph: &Graph| -> Vec<_> { graph.nodes.iter().map(|node| node.op.name()).collect() };
    let end = names(&hf)[names(&hf).len() - 5..].to_vec();
    assert_eq!(end, ["rms_norm", "pool", "linear", "linear", "normalize"]);
    assert_eq!(names(&hf), names(&gguf));
    for graph in [hf, gguf] {
        assert_eq!(graph.output, Output::Embedding);
        assert!(graph.needs_whole_sequences());
        // 8 positions over both sides: 4 on each, and the row itself.
        assert_eq!(windows(&graph), [Some(5), Some(5), None]);
    }
}

#[test]
fn a_text_model_without_pooling_generates() {
    let graph = graph::<Gemma3>(gemma3("Gemma3TextModel").info());
    assert_eq!(graph.output, Output::Logits);
    assert!(!graph.needs_whole_sequences());
}

#[test]
fn the_text_part_is_the_same_model_under_longer_names() {
    let mut inside = graph::<Gemma3>(with_vision());
    assert!(inside.weights.iter().all(|weight| weight.tensor.starts_with("language_model.")));
    for weight in &mut inside.weights {
        weight.tensor.drain(.."language_model.".len());
    }
    let mut alone = graph::<Gemma3>(gemma3("Gemma3ForCausalLM").info());
    alone.architecture.clone_from(&inside.architecture);
    assert_eq!(inside, alone);
}

#[test]
fn the_older_generation_caps_scores_and_sees_a_window_in_every_other_layer() {
    let older = graph::<Gemma2>(gemma2().info());
    assert_eq!(windows(&older), [Some(8), None, Some(8)]);
    assert_eq!(scale_and_caps(&older), (0.25, Some(50.0), Some(30.0)));
    assert_eq!(tables(&older), [0; 3]);
    let uncapped = gemma2().config("attn_logit_softcapping", ().into());
    assert_eq!(scale_and_caps(&graph::<Gemma2>(uncapped.info())).1, None);
}

#[test]
fn the_newer_generation_rotates_by_the_kind_of_layer() {
    let newer = graph::<Gemma3>(gemma3("Gemma3ForCausalLM").info());
    assert_eq!(windows(&newer), [Some(8), Some(8), None]);
    assert_eq!(tables(&newer), [1, 1, 0]);
    assert_eq!(scale_and_caps(&newer), (0.0625, None, None), "the default of 256");
    let [global, local] = &newer.rope_tables[..] else { unreachable!("two tables") };
    assert_eq!(global.frequencies, local.frequencies, "both bases are 10000 here");
    let other = gemma3("Gemma3ForCausalLM").config("rope_local_base_freq", 100.into());
    let other = graph::<Gemma3>(other.info());
    assert_eq!(other.rope_tables[0], *global);
    assert!(other.rope_tables[1].frequencies[1] > local.frequencies[1]);
}

#[test]
fn what_the_numbers_cannot_mean_is_refused() {
    let newer = || gemma3("Gemma3ForCausalLM");
    check_refused::<Gemma2>(
        &gemma2().config("query_pre_attn_scalar", 0.into()),
        "query_pre_attn_scalar is 0",
    );
    check_refused::<Gemma2>(
        &gemma2().config("final_logit_softcapping", (-1).into()),
        "final_logit_softcapping is -1",
    );
    check_refused::<Gemma3>(&newer().config("rope_local_base_freq", 1.into()), "rope base is 1");
    check_refused::<Gemma3>(&newer().config("hidden_activation", "relu".into()), "is `relu`");
    let kinds = vec!["sliding_attention", "full_attention"];
    check_refused::<Gemma3>(&newer().config("layer_types", kinds.into()), "each of 3 layers");
    let kinds = vec!["sliding_attention", "full_attention", "none"];
    check_refused::<Gemma3>(&newer().config("layer_types", kinds.into()), "each of 3 layers");
}

#[test]
fn listed_kinds_of_layers_come_before_the_pattern() {
    let kinds = vec!["full_attention", "sliding_attention", "full_attention"];
    let listed = gemma3("Gemma3ForCausalLM").config("layer_types", kinds.into());
    assert_eq!(windows(&graph::<Gemma3>(listed.info())), [None, Some(8), None]);
}
