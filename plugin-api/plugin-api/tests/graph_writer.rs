//! The graph writer by itself: names, rows of larger tensors, experts and the ends of a graph.

use plugin_api::graph::{Graph, Op, Output, Pooling};
use plugin_api::{
    Activation, CheckpointInfo, CheckpointView, Embedding, Error, GraphWriter, Norm, Scheme,
    TensorInfo,
};
use serde_json::{Value, json};

fn view(scheme: Scheme, config: Value, tensors: &[(&str, &[usize])]) -> CheckpointView {
    let Value::Object(config) = config else { unreachable!("an object literal") };
    let tensor = |(name, shape): &(&str, &[usize])| {
        TensorInfo::new((*name).to_owned(), "f32".to_owned(), shape.to_vec())
    };
    let tensors = tensors.iter().map(tensor).collect();
    CheckpointView::new(CheckpointInfo::new(scheme, "tiny".to_owned(), config, tensors, 0))
}

fn hf(tensors: &[(&str, &[usize])]) -> CheckpointView {
    view(Scheme::Hf, json!({}), tensors)
}

fn check_refused<T: std::fmt::Debug>(result: Result<T, Error>, expected: &str) {
    let error = result.expect_err("refused");
    assert!(error.message().contains(expected), "`{error}` does not say `{expected}`");
}

#[test]
fn a_model_that_is_no_decoder_is_a_few_lines() {
    let checkpoint = hf(&[("words", &[10, 4]), ("layers.0.mix", &[4, 4]), ("layers.0.b", &[4])]);
    let mut writer = GraphWriter::new(&checkpoint, 16)
        .rename("embed", "words", "-")
        .rename("mix", "layers.{}.mix", "-")
        .rename("mix_bias", "layers.{}.b", "-");
    let words = writer.embed(4).expect("a matrix");
    writer.enter(Some(0));
    let mixed = writer.linear(words, "mix", [4, 4], true).expect("a matrix and a bias");
    writer.enter(None);
    let rows = writer.node(Op::SelectRows, &[mixed]);
    writer.logits(rows, 4).expect("the embedding again");
    let graph = writer.finish();
    graph.widths().expect("valid");
    assert_eq!((graph.vocab_size, graph.context_length, graph.output), (10, 16, Output::Logits));
    let roles: Vec<_> = graph.weights.iter().map(|weight| weight.role.as_str()).collect();
    assert_eq!(roles, ["embed", "layers.0.mix", "layers.0.mix_bias"]);
}

#[test]
fn a_norm_is_one_of_two_kinds() {
    let checkpoint = hf(&[("n", &[4]), ("b", &[4])]);
    let writer = || GraphWriter::new(&checkpoint, 1).rename("n", "n", "-");
    let mut plain = writer();
    plain.norm(0, "n", 4, Norm::Rms { eps: 0.5, weight_add: 1.0 }).expect("a weight");
    let op = Op::RmsNorm { weight: 0, eps: 0.5, groups: 1, weight_add: 1.0 };
    assert_eq!(plain.finish().nodes[0].op, op);
    let mut layer = writer().rename("n_bias", "b", "-");
    layer.norm(0, "n", 4, Norm::Layer { eps: 0.5 }).expect("a weight and a bias");
    let op = Op::LayerNorm { weight: 0, bias: Some(1), eps: 0.5 };
    assert_eq!(layer.finish().nodes[0].op, op);
    check_refused(writer().norm(0, "n", 4, Norm::Layer { eps: 0.5 }), "(n_bias) is missing");
}

#[test]
fn part_of_a_tensor_is_some_of_its_rows() {
    let checkpoint = hf(&[("m", &[6, 4]), ("v", &[4]), ("s", &[3, 2, 4])]);
    let writer = || {
        let writer = GraphWriter::new(&checkpoint, 1).rename("m", "m", "-");
        writer.rename("v", "v", "-").rename("s", "s", "-")
    };
    let rows = |role: &str, begin: usize, shape: &[usize]| {
        let mut writer = writer();
        writer.rows(role, begin, shape).map(|_| writer.finish().weights[0].rows)
    };
    assert_eq!(rows("m", 1, &[2, 4]), Ok(Some([1, 3])));
    assert_eq!(rows("m", 5, &[4]), Ok(Some([5, 6])), "a vector is one row");
    assert_eq!(rows("m", 0, &[6, 4]), Ok(None), "the whole tensor");
    assert_eq!(rows("s", 4, &[2, 4]), Ok(Some([4, 6])), "a stack has the rows of all");
    for (begin, shape) in [(5, [2, 4]), (0, [2, 3]), (usize::MAX, [2, 4]), (0, [usize::MAX, 4])] {
        check_refused(rows("m", begin, &shape), "tensor m: rows from");
    }
    check_refused(rows("none", 0, &[1]), "(none) is missing");
    let mut writer = writer();
    writer.weight("v", &[1, 4]).expect("a matrix of one row, stored as a vector");
    check_refused(writer.weight("v", &[2, 4]), "shape [2, 4] expected, [4] found");
    check_refused(writer.weight("m", &[1, 4]), "shape [1, 4] expected, [6, 4] found");
}

#[test]
fn experts_are_looked_up_apart_or_stacked() {
    let checkpoint = hf(&[("e.0", &[2, 4]), ("e.1", &[2, 4]), ("all", &[2, 2, 4])]);
    let experts = |name: &'static str, count: usize| {
        let mut writer = GraphWriter::new(&checkpoint, 1).rename("up", name, "-");
        writer.experts("up", count, [2, 4]).map(|_| {
            let weights = writer.finish().weights.into_iter();
            weights.map(|weight| (weight.role, weight.rows)).collect::<Vec<_>>()
        })
    };
    let named = |rows: [Option<[usize; 2]>; 2]| {
        vec![("up.0".to_owned(), rows[0]), ("up.1".to_owned(), rows[1])]
    };
    assert_eq!(experts("e.{expert}", 2), Ok(named([None, None])));
    assert_eq!(experts("all", 2), Ok(named([Some([0, 2]), Some([2, 4])])));
    check_refused(experts("e.{expert}", 3), "tensor e.2 (up) is missing");
    check_refused(experts("all", 3), "shape [3, 2, 4] expected, [2, 2, 4] found");
}

/// The end of a graph whose rows are 4 wide.
fn end(checkpoint: &CheckpointView) -> Result<Graph, Error> {
    let embedding = checkpoint.embedding()?.expect("an embedding model");
    let mut writer = GraphWriter::new(checkpoint, 8).rename("embed", "words", "words");
    let words = writer.embed(4)?;
    writer.embedding_output(words, 4, &embedding)?;
    let graph = writer.finish();
    graph.widths()?;
    Ok(graph)
}

fn sentence(pooling: &str, dense: &Value, tensors: &[(&str, &[usize])]) -> CheckpointView {
    let files = json!({"pooling": pooling, "normalize": true, "dense": dense});
    let words: [(&str, &[usize]); 1] = [("words", &[10, 4])];
    let config = json!({"sentence_transformers": files});
    view(Scheme::Hf, config, &[&words, tensors].concat())
}

#[test]
fn dense_layers_follow_the_pooled_vector() {
    let dense = json!([
        {"tensor": "2_Dense.linear.weight", "activation": "identity"},
        {"tensor": "3_Dense.linear.weight", "activation": "gelu"},
    ]);
    let tensors: [(&str, &[usize]); 3] = [
        ("2_Dense.linear.weight", &[6, 4]),
        ("2_Dense.linear.bias", &[6]),
        ("3_Dense.linear.weight", &[3, 6]),
    ];
    let graph = end(&sentence("mean", &dense, &tensors)).expect("valid");
    let ops: Vec<_> = graph.nodes.iter().skip(1).map(|node| node.op.clone()).collect();
    let expected = [
        Op::Pool { how: Pooling::Mean },
        Op::Linear { weight: 1, bias: Some(2) },
        Op::Linear { weight: 3, bias: None },
        Op::Activate { function: Activation::Gelu },
        Op::Normalize { eps: 1e-12 },
    ];
    assert_eq!(ops, expected);
    assert_eq!(graph.output, Output::Embedding);
    let missing = end(&sentence("cls", &dense, &tensors[..2]));
    check_refused(missing, "3_Dense.linear.weight (dense.1) is missing");
    let narrow: [(&str, &[usize]); 1] = [("2_Dense.linear.weight", &[6, 5])];
    check_refused(end(&sentence("cls", &dense, &narrow)), "shape [6, 4] expected, [6, 5] found");
    let odd = json!([{"tensor": "2_Dense.linear.weight", "activation": "tanh"}]);
    check_refused(end(&sentence("cls", &odd, &tensors)), "activation `tanh` found");
    check_refused(end(&sentence("cls", &json!([{}]), &tensors)), "names no tensor");
}

#[test]
fn the_checkpoint_says_whether_it_embeds() {
    assert_eq!(hf(&[]).embedding(), Ok(None));
    let pooled = |kind: u64| {
        let config = json!({"tiny.pooling_type": kind});
        view(Scheme::Gguf, config, &[("words", &[10, 4])])
    };
    assert_eq!(pooled(0).embedding(), Ok(None));
    assert_eq!(pooled(1).embedding(), Ok(Some(Embedding::mean())));
    let graph = end(&pooled(3)).expect("valid");
    assert_eq!(graph.nodes[1].op, Op::SelectRows, "the last row is the one that is asked for");
    check_refused(pooled(4).embedding(), "rerankers are not served");
}

#[test]
fn values_of_a_configuration_are_checked_where_they_are_read() {
    let config = json!({
        "eps": 2.0, "act": "mish", "known": "swish", "off": false, "sliding_window": 0,
    });
    let view = view(Scheme::Hf, config, &[("inner.embed", &[1])]);
    check_refused(view.epsilon("eps", "-", 1e-5), "norm epsilon is 2, from 0 to 1");
    assert_eq!(view.epsilon("none", "-", 0.5), Ok(0.5));
    check_refused(view.activation("act", Activation::Gelu), "config.json: act: activation `mish`");
    assert_eq!(view.activation("known", Activation::Gelu), Ok(Activation::Silu));
    assert_eq!(view.activation("none", Activation::Gelu), Ok(Activation::Gelu));
    assert!(!view.switch_or("off", "-", true));
    assert!(view.switch_or("none", "-", true));
    assert_eq!(view.window(), Ok(None));
    let below = view.clone().below_any(&["outer.", "inner."]);
    assert!(GraphWriter::new(&below, 1).rename("embed", "embed", "-").has("embed"));
    assert!(!GraphWriter::new(&view, 1).rename("embed", "embed", "-").has("embed"));
}
