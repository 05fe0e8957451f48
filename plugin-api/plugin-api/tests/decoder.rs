//! The decoder builder against hand-made checkpoint descriptions.

use plugin_api::graph::{Op, Output};
use plugin_api::{
    Activation, CheckpointInfo, CheckpointView, Decoder, Error, Experts, Graph, NormPlacement,
    Scheme, TensorInfo,
};
use serde_json::{Value, json};

fn config() -> Value {
    json!({
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    })
}

fn tensors() -> Vec<TensorInfo> {
    let mut list = vec![("model.embed_tokens.weight".to_owned(), vec![20, 16])];
    list.push(("model.norm.weight".to_owned(), vec![16]));
    for layer in 0..2 {
        let mut add = |name: &str, shape: &[usize]| {
            list.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[16]);
        add("post_attention_layernorm", &[16]);
        add("self_attn.q_proj", &[16, 16]);
        add("self_attn.k_proj", &[8, 16]);
        add("self_attn.v_proj", &[8, 16]);
        add("self_attn.o_proj", &[16, 16]);
        add("mlp.gate_proj", &[24, 16]);
        add("mlp.up_proj", &[24, 16]);
        add("mlp.down_proj", &[16, 24]);
    }
    list.into_iter().map(|(name, shape)| TensorInfo::new(name, "f32".into(), shape)).collect()
}

fn view(config: Value, tensors: Vec<TensorInfo>) -> CheckpointView {
    let Value::Object(config) = config else { unreachable!("an object literal") };
    CheckpointView::new(CheckpointInfo::new(Scheme::Hf, "Tiny".into(), config, tensors, 0))
}

fn build(config: Value, tensors: Vec<TensorInfo>) -> Result<Graph, Error> {
    let view = view(config, tensors);
    let graph = Decoder::new(&view)?.build()?;
    graph.widths()?;
    Ok(graph)
}

fn check_refused(change: impl FnOnce(&mut Value), expected: &str) {
    let mut config = config();
    change(&mut config);
    let error = build(config, tensors()).expect_err("the configuration is wrong");
    assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
}

#[test]
fn a_plain_decoder_is_valid_and_ties_its_embedding() {
    let graph = build(config(), tensors()).expect("valid");
    assert_eq!(graph.caches.len(), 2);
    let embed = graph.weights.iter().filter(|w| w.tensor == "model.embed_tokens.weight").count();
    assert_eq!(embed, 1, "embedding and output are one weight");
}

#[test]
fn bad_sizes_are_refused_by_key() {
    check_refused(|c| c["num_attention_heads"] = json!(0), "num_attention_heads is 0");
    check_refused(|c| c["num_attention_heads"] = json!(-1), "num_attention_heads is -1");
    check_refused(|c| c["num_attention_heads"] = json!(3), "3 heads do not divide width 16");
    check_refused(|c| c["num_key_value_heads"] = json!(7), "7 key/value heads do not divide 4");
    check_refused(|c| c["num_hidden_layers"] = json!(1_000_000_000), "num_hidden_layers is");
    check_refused(|c| c["num_hidden_layers"] = json!(600), "600 layers found, at most 512");
    check_refused(|c| c["vocab_size"] = json!(1_000_000_000_000_u64), "vocab_size is");
    check_refused(|c| c["vocab_size"] = json!(21), "vocabulary of 21");
    check_refused(|c| c["hidden_size"] = json!(16.5), "hidden_size is 16.5");
    check_refused(|c| c["hidden_size"] = json!("16"), "hidden_size is \"16\"");
    check_refused(|c| c["hidden_size"] = Value::Null, "hidden_size is missing");
    check_refused(|c| c["head_dim"] = json!(5), "5 rotated values found, an even number");
    check_refused(|c| c["rope_theta"] = json!(0.5), "rope base is 0.5");
    check_refused(|c| c["rms_norm_eps"] = json!(-1.0), "norm epsilon is -1");
    check_refused(|c| c["rope_scaling"] = json!({"type": "ntk"}), "rope scaling `ntk` found");
    check_refused(|c| c["rope_scaling"] = json!({"type": "yarn"}), "no factor");
    check_refused(
        |c| c["tie_word_embeddings"] = json!(false),
        "lm_head.weight (output) is missing",
    );
}

#[test]
fn a_missing_or_misshapen_tensor_is_named() {
    let gone = "model.layers.1.mlp.up_proj.weight";
    let mut list = tensors();
    list.retain(|tensor| tensor.name != gone);
    let error = build(config(), list).expect_err("a tensor is missing");
    assert!(error.message().contains(gone), "{error}");
    let mut list = tensors();
    list.iter_mut().filter(|tensor| tensor.name == gone).for_each(|t| t.shape = vec![23, 16]);
    let error = build(config(), list).expect_err("a tensor is misshapen");
    assert!(error.message().contains("[24, 16] expected, [23, 16] found"), "{error}");
}

#[test]
fn options_change_the_layer_where_they_say() {
    let mut list = tensors();
    for layer in 0..2 {
        for name in ["pre_feedforward_layernorm", "post_feedforward_layernorm"] {
            let name = format!("model.layers.{layer}.{name}.weight");
            list.push(TensorInfo::new(name, "f32".into(), vec![16]));
        }
        for name in ["q_norm", "k_norm"] {
            let name = format!("model.layers.{layer}.self_attn.{name}.weight");
            list.push(TensorInfo::new(name, "f32".into(), vec![4]));
        }
    }
    let view = view(config(), list);
    let graph = Decoder::new(&view)
        .and_then(|decoder| {
            decoder
                .qk_norm()
                .norms(NormPlacement::Around, 1.0)
                .activation(Activation::GeluTanh)
                .embedding_scale(4.0)
                .attention_scale(0.25)
                .softcaps(Some(50.0), Some(30.0))
                .windows(|layer| (layer % 2 == 0).then_some(8))
                .rename(
                    "ffn_norm",
                    "model.layers.{}.pre_feedforward_layernorm.weight",
                    "blk.{}.ffn_norm.weight",
                )
                .build()
        })
        .expect("valid");
    graph.widths().expect("valid");
    let count = |name: &str| graph.nodes.iter().filter(|node| node.op.name() == name).count();
    assert_eq!((count("scale"), count("softcap"), count("rms_norm")), (1, 1, 2 * 6 + 1));
    let windows: Vec<_> = graph
        .nodes
        .iter()
        .filter_map(|node| match node.op {
            Op::Attention { window, scale, softcap, .. } => Some((window, scale, softcap)),
            _ => None,
        })
        .collect();
    assert_eq!(windows, [(Some(8), 0.25, Some(50.0)), (None, 0.25, Some(50.0))]);
}

#[test]
fn a_decoder_may_subtract_means_gate_nothing_and_see_both_sides() {
    let mut list = tensors();
    let mut add = |name: String, length: usize| {
        list.push(TensorInfo::new(name, "f32".into(), vec![length]));
    };
    add("model.norm.bias".to_owned(), 16);
    for layer in 0..2 {
        add(format!("model.layers.{layer}.input_layernorm.bias"), 16);
        add(format!("model.layers.{layer}.post_attention_layernorm.bias"), 16);
        add(format!("model.layers.{layer}.mlp.up_proj.bias"), 24);
        add(format!("model.layers.{layer}.mlp.down_proj.bias"), 16);
    }
    let view = view(config(), list);
    let decoder = Decoder::new(&view).expect("valid").layer_norm(1e-3).plain_feed_forward();
    let graph = decoder.feed_forward_bias(true).bidirectional().build().expect("valid");
    graph.widths().expect("valid");
    let count = |name: &str| graph.nodes.iter().filter(|node| node.op.name() == name).count();
    let found = ["layer_norm", "rms_norm", "activate", "glu"].map(count);
    assert_eq!(found, [5, 0, 2, 0]);
    assert!(graph.needs_whole_sequences());
    assert!(!graph.weights.iter().any(|weight| weight.role.ends_with("ffn_gate")));
}

#[test]
fn experts_stand_in_the_layers_that_have_them() {
    let mut config = config();
    config["num_experts"] = json!(3);
    config["num_experts_per_tok"] = json!(2);
    let mut list = tensors();
    let mut add = |name: &str, shape: [usize; 2]| {
        let name = format!("model.layers.1.mlp.{name}.weight");
        list.push(TensorInfo::new(name, "f32".into(), shape.to_vec()));
    };
    add("gate", [3, 16]);
    for expert in 0..3 {
        // 24 over two experts of a row, as older files count.
        add(&format!("experts.{expert}.gate_proj"), [12, 16]);
        add(&format!("experts.{expert}.up_proj"), [12, 16]);
        add(&format!("experts.{expert}.down_proj"), [16, 12]);
    }
    let view = view(config, list);
    let experts = Experts::read(&view).expect("sizes");
    assert_eq!((experts.width, experts.shared_width, experts.normalize), (12, None, false));
    let decoder = Decoder::new(&view).expect("valid");
    let graph = decoder.experts(|layer| (layer == 1).then_some(experts)).build().expect("valid");
    graph.widths().expect("valid");
    let kinds: Vec<_> = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Glu { .. } | Op::Moe { .. }))
        .map(|node| node.op.name())
        .collect();
    assert_eq!(kinds, ["glu", "moe"]);
}

#[test]
fn an_embedding_model_needs_no_output_matrix_and_no_prefix() {
    let mut config = config();
    config["tie_word_embeddings"] = json!(false);
    config["sentence_transformers"] = json!({"pooling": "mean", "normalize": true});
    let bare = tensors().into_iter().map(|mut tensor| {
        tensor.name = tensor.name.replace("model.", "");
        tensor
    });
    let graph = build(config.clone(), bare.collect()).expect("valid");
    assert_eq!(graph.output, Output::Embedding);
    let names: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(names[names.len() - 3..], ["rms_norm", "pool", "normalize"]);
    assert_eq!(build(config, tensors()).expect("valid").nodes, graph.nodes);
}

#[test]
fn listed_kinds_of_layers_have_the_window() {
    let windows = |kinds: Value| {
        let mut config = config();
        config["layer_types"] = kinds;
        let view = view(config, tensors());
        let decoder = Decoder::new(&view)?.windows_by_kind(Some(8), |layer| layer == 0)?;
        let nodes = decoder.build()?.nodes;
        Ok::<_, Error>(nodes.into_iter().fold(Vec::new(), |mut all, node| {
            if let Op::Attention { window, .. } = node.op {
                all.push(window);
            }
            all
        }))
    };
    assert_eq!(windows(Value::Null), Ok(vec![Some(8), None]));
    let listed = json!(["full_attention", "sliding_attention"]);
    assert_eq!(windows(listed), Ok(vec![None, Some(8)]));
    let error = windows(json!(["full_attention"])).expect_err("one kind for two layers");
    assert!(error.message().contains("for each of 2 layers"), "{error}");
}

#[test]
fn layers_with_a_window_have_a_rope_base_of_their_own() {
    let mut config = config();
    config["rope_parameters"] = json!({
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    });
    let view = view(config, tensors());
    let decoder = Decoder::new(&view).expect("valid").windows(|layer| (layer == 0).then_some(8));
    let graph = decoder.clone().window_rope_base(100.0).build().expect("valid");
    let tables: Vec<_> = graph
        .nodes
        .iter()
        .filter_map(|node| if let Op::Rope { table, .. } = node.op { Some(table) } else { None })
        .collect();
    assert_eq!(tables, [1, 1, 0, 0], "q and k of two layers");
    let frequencies: Vec<_> = graph.rope_tables.iter().map(|t| t.frequencies.as_slice()).collect();
    assert_eq!(frequencies, [[0.25, 0.0025], [1.0, 0.1]], "only the first is scaled");
    let error = decoder.window_rope_base(1.0).build().expect_err("a base of 1");
    assert!(error.message().contains("rope base is 1,"), "{error}");
}

#[test]
fn a_part_has_its_own_configuration_and_longer_tensor_names() {
    let prefixed = |tensor: TensorInfo| {
        TensorInfo::new(format!("inner.{}", tensor.name), tensor.dtype, tensor.shape)
    };
    let whole = json!({"text": config(), "other": 3});
    let whole = view(whole, tensors().into_iter().map(prefixed).collect());
    let part = whole.part("text", "inner.").expect("an object");
    let graph = Decoder::new(&part).and_then(Decoder::build).expect("valid");
    assert!(graph.weights.iter().all(|weight| weight.tensor.starts_with("inner.model.")));
    let error = part.count("head_count", "-").expect_err("no such key");
    assert!(error.message().contains("config.json: text.head_count is missing"), "{error}");
    for key in ["other", "none"] {
        let error = whole.part(key, "").expect_err("no object");
        assert!(error.message().contains(&format!("config.json: {key} is no object")), "{error}");
    }
}

#[test]
fn defaults_stand_in_for_what_is_absent_but_not_for_null() {
    let view = view(json!({"a": 1, "b": null}), Vec::new());
    let view = view.with_defaults(&[("a", 7), ("b", 8), ("c", 9)]);
    let count = |key| view.optional_count(key, "-").expect("a count");
    assert_eq!([count("a"), count("b"), count("c")], [Some(1), None, Some(9)]);
}

/// Expected values: the formulas of the papers, worked out by hand for one low, one middle and one
/// high frequency.
#[test]
fn rope_laws_change_low_frequencies_only() {
    let plain = build(config(), tensors()).expect("valid").rope_tables[0].clone();
    assert_eq!(plain.frequencies, [1.0, 0.01]);
    let law = |law: Value| {
        let mut config = config();
        config["rope_scaling"] = law;
        build(config, tensors()).expect("valid").rope_tables[0].clone()
    };
    let linear = law(json!({"type": "linear", "factor": 4.0}));
    assert_eq!(linear.frequencies, [0.25, 0.0025]);
    let llama3 = law(json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64
    }));
    assert_eq!(llama3.frequencies, [1.0, 0.01 / 8.0], "10 rotations keep, 0.1 divide");
    let yarn = law(json!({"rope_type": "yarn", "factor": 4.0}));
    assert_eq!(yarn.frequencies[1], 0.0025, "less than one rotation over the context");
    assert!((yarn.magnitude - (0.1 * 4f32.ln() + 1.0)).abs() < 1e-6);
}
