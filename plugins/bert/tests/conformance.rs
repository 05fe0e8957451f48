//! The testkit's suite, the two namings side by side, and where RoBERTa begins to count.

use plugin_api::graph::{Op, Output, Pooling};
use plugin_api::{Activation, Architecture, CheckpointView, Error, Graph, Scheme};
use plugin_bert::Bert;
use plugin_testkit::{DecoderCheckpoint, architecture};
use serde_json::json;

const VOCAB: usize = 70;
const WIDTH: usize = 24;
const FFN_WIDTH: usize = 40;
const POSITIONS: usize = 32;

/// Three layers in Hugging Face's naming, every name below `prefix`.
fn hf(architecture: &str, prefix: &str) -> DecoderCheckpoint {
    let square = [WIDTH, WIDTH];
    let sized = DecoderCheckpoint::empty(Scheme::Hf, architecture)
        .config("hidden_size", WIDTH.into())
        .config("intermediate_size", FFN_WIDTH.into())
        .config("num_hidden_layers", 3.into())
        .config("num_attention_heads", 4.into())
        .config("vocab_size", VOCAB.into())
        .config("max_position_embeddings", POSITIONS.into())
        .config("layer_norm_eps", json!(1e-12))
        .config("hidden_act", "gelu".into())
        .config("position_embedding_type", "absolute".into())
        .config("pad_token_id", 0.into());
    let tensors: [(&str, &[usize]); 5] = [
        ("embeddings.word_embeddings.weight", &[VOCAB, WIDTH]),
        ("embeddings.position_embeddings.weight", &[POSITIONS, WIDTH]),
        ("embeddings.token_type_embeddings.weight", &[2, WIDTH]),
        ("embeddings.LayerNorm.weight", &[WIDTH]),
        ("embeddings.LayerNorm.bias", &[WIDTH]),
    ];
    let layers: [(&str, &[usize]); 8] = [
        ("attention.self.query", &square),
        ("attention.self.key", &square),
        ("attention.self.value", &square),
        ("attention.output.dense", &square),
        ("attention.output.LayerNorm", &[WIDTH]),
        ("intermediate.dense", &[FFN_WIDTH, WIDTH]),
        ("output.dense", &[WIDTH, FFN_WIDTH]),
        ("output.LayerNorm", &[WIDTH]),
    ];
    let checkpoint = tensors
        .into_iter()
        .fold(sized, |all, (name, shape)| all.tensor(&format!("{prefix}{name}"), shape));
    layers.into_iter().fold(checkpoint, |all, (name, shape)| {
        let name = format!("{prefix}encoder.layer.{{}}.{name}");
        all.layer_tensor(&format!("{name}.weight"), shape)
            .layer_tensor(&format!("{name}.bias"), &shape[..1])
    })
}

fn gguf() -> DecoderCheckpoint {
    let square = [WIDTH, WIDTH];
    let checkpoint = DecoderCheckpoint::empty(Scheme::Gguf, "bert")
        .config("bert.embedding_length", WIDTH.into())
        .config("bert.feed_forward_length", FFN_WIDTH.into())
        .config("bert.block_count", 3.into())
        .config("bert.attention.head_count", 4.into())
        .config("bert.context_length", POSITIONS.into())
        .config("bert.attention.layer_norm_epsilon", json!(1e-12))
        .config("bert.pooling_type", 1.into())
        .tensor("token_embd.weight", &[VOCAB, WIDTH])
        .tensor("position_embd.weight", &[POSITIONS, WIDTH])
        .tensor("token_types.weight", &[2, WIDTH])
        .tensor("token_embd_norm.weight", &[WIDTH])
        .tensor("token_embd_norm.bias", &[WIDTH]);
    let layers: [(&str, &[usize]); 8] = [
        ("attn_q", &square),
        ("attn_k", &square),
        ("attn_v", &square),
        ("attn_output", &square),
        ("attn_output_norm", &[WIDTH]),
        ("ffn_up", &[FFN_WIDTH, WIDTH]),
        ("ffn_down", &[WIDTH, FFN_WIDTH]),
        ("layer_output_norm", &[WIDTH]),
    ];
    layers.into_iter().fold(checkpoint, |all, (name, shape)| {
        all.layer_tensor(&format!("{name}.weight"), shape)
            .layer_tensor(&format!("{name}.bias"), &shape[..1])
    })
}

fn built(checkpoint: &DecoderCheckpoint) -> Result<Graph, Error> {
    let graph = Bert::build(&CheckpointView::new(checkpoint.info()))?;
    graph.widths()?;
    Ok(graph)
}

fn graph(checkpoint: &DecoderCheckpoint) -> Graph {
    built(checkpoint).expect("a valid graph")
}

#[test]
fn it_conforms() {
    architecture::<Bert>(&hf("BertModel", "").info());
    architecture::<Bert>(&hf("BertForMaskedLM", "bert.").info());
    architecture::<Bert>(&hf("XLMRobertaModel", "").info());
    architecture::<Bert>(&hf("RobertaForMaskedLM", "roberta.").info());
    architecture::<Bert>(&gguf().info());
}

#[test]
fn every_naming_describes_the_same_model() {
    let plain = graph(&hf("BertModel", ""));
    assert_eq!(plain.nodes, graph(&hf("BertForMaskedLM", "bert.")).nodes);
    assert_eq!(plain.nodes, graph(&gguf()).nodes);
    assert_eq!((plain.output, plain.context_length), (Output::Embedding, POSITIONS));
    assert!(plain.needs_whole_sequences());
    assert_eq!(plain.caches.len(), 3);
    let types = plain.weights.iter().find(|weight| weight.role == "types").expect("token types");
    assert_eq!((types.shape.as_slice(), types.rows), (&[WIDTH][..], Some([0, 1])));
}

#[test]
fn a_layer_normalises_after_each_part() {
    let graph = graph(&hf("BertModel", ""));
    let names: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
    let begin = ["embed", "bias", "embed_position", "add", "layer_norm"];
    let attention = ["linear", "linear", "linear", "attention", "linear", "add", "layer_norm"];
    let feed_forward = ["linear", "activate", "linear", "add", "layer_norm"];
    let layer = [&attention[..], &feed_forward].concat();
    let end = ["pool", "normalize"];
    assert_eq!(names, [&begin[..], &layer, &layer, &layer, &end].concat());
    // Both parts add to what they got, which is normalised already.
    assert_eq!(graph.nodes[10].inputs, [4, 9]);
    assert_eq!(graph.nodes[15].inputs, [11, 14]);
}

#[test]
fn the_checkpoint_says_how_to_pool() {
    let end = |checkpoint: DecoderCheckpoint| {
        let ops = graph(&checkpoint).nodes.into_iter().map(|node| node.op);
        ops.skip_while(|op| !matches!(op, Op::Pool { .. } | Op::SelectRows)).collect::<Vec<_>>()
    };
    let files = |pooling: &str, normalize: bool| {
        let files = json!({"pooling": pooling, "normalize": normalize, "dense": []});
        hf("BertModel", "").config("sentence_transformers", files)
    };
    let normalize = Op::Normalize { eps: 1e-12 };
    assert_eq!(end(files("mean", false)), [Op::Pool { how: Pooling::Mean }]);
    assert_eq!(end(files("cls", true)), [Op::Pool { how: Pooling::First }, normalize.clone()]);
    assert_eq!(end(files("lasttoken", false)), [Op::SelectRows]);
    let first = gguf().config("bert.pooling_type", 2.into());
    assert_eq!(end(first), [Op::Pool { how: Pooling::First }, normalize]);
    let error = built(&files("max", true)).expect_err("unknown");
    assert!(error.message().contains("pooling `max` found"), "{error}");
    let error = built(&gguf().config("bert.pooling_type", 4.into())).expect_err("a reranker");
    assert!(error.message().contains("rerankers"), "{error}");
}

#[test]
fn roberta_counts_positions_after_its_padding() {
    let positions = |checkpoint: DecoderCheckpoint| {
        let graph = graph(&checkpoint);
        let weight = graph.weights.iter().find(|weight| weight.role == "positions");
        let weight = weight.expect("positions");
        (weight.shape[0], weight.rows, graph.context_length)
    };
    assert_eq!(positions(hf("BertModel", "")), (32, None, 32));
    assert_eq!(positions(hf("RobertaModel", "")), (31, Some([1, 32]), 31));
    let published = hf("XLMRobertaModel", "").config("pad_token_id", 1.into());
    assert_eq!(positions(published), (30, Some([2, 32]), 30));
}

#[test]
fn what_is_no_such_encoder_is_refused() {
    let check = |checkpoint: DecoderCheckpoint, expected: &str| {
        let error = built(&checkpoint).expect_err("refused");
        assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
    };
    let bert = || hf("BertModel", "");
    check(bert().config("position_embedding_type", "relative_key".into()), "`relative_key`");
    check(bert().config("is_decoder", true.into()), "or a decoder found");
    check(bert().config("num_attention_heads", 5.into()), "5 heads do not divide width 24");
    check(bert().config("hidden_act", "mish".into()), "config.json: hidden_act: activation `mish`");
    check(bert().config("num_hidden_layers", 600.into()), "600 layers found, at most 512");
    check(
        hf("RobertaModel", "").config("pad_token_id", 31.into()),
        "32 positions found, more than the 32 before",
    );
    let relu = graph(&bert().config("hidden_act", "relu".into()));
    let relu = relu
        .nodes
        .iter()
        .any(|node| matches!(node.op, Op::Activate { function: Activation::Relu }));
    assert!(relu);
}
