//! The suite itself: it accepts a good architecture and says what is wrong with bad ones.

use plugin_api::{Architecture, CheckpointView, Decoder, Error, Graph};
use plugin_testkit::{DecoderCheckpoint, architecture};
use serde_json::json;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};

/// Declares an architecture whose `build` is the block.
macro_rules! declare {
    ($name:ident, $build:expr) => {
        struct $name;
        impl Architecture for $name {
            const NAME: &'static str = "tiny";
            const CLAIMS: &'static [&'static str] = &["TinyForCausalLM"];
            fn build(checkpoint: &CheckpointView) -> Result<Graph, Error> {
                let build: fn(&CheckpointView) -> Result<Graph, Error> = $build;
                build(checkpoint)
            }
        }
    };
}

declare!(Good, |checkpoint| Decoder::new(checkpoint)?.build());
declare!(Panicking, |checkpoint| {
    let heads = checkpoint.optional_count("num_attention_heads", "-")?;
    assert!(heads.is_some(), "heads are always there");
    Decoder::new(checkpoint)?.build()
});
declare!(Forgetful, |checkpoint| {
    static BUILT: AtomicU32 = AtomicU32::new(0);
    let by = BUILT.fetch_add(1, Ordering::Relaxed);
    Decoder::new(checkpoint)?.embedding_scale(by as f32).build()
});
declare!(Silent, |checkpoint| Decoder::new(checkpoint)?
    .build()
    .map_err(|_| Error::invalid("something is wrong")));
declare!(Careless, |checkpoint| {
    let mut graph = Decoder::new(checkpoint)?.build()?;
    if checkpoint.switch("twist", "-") {
        graph.nodes.pop();
    }
    Ok(graph)
});

fn check<T: Architecture>(expected: &str) {
    let info = DecoderCheckpoint::hf("TinyForCausalLM").config("twist", json!(false)).info();
    let failure = catch_unwind(|| architecture::<T>(&info)).expect_err("the suite fails");
    let text = failure.downcast_ref::<String>().expect("a sentence");
    assert!(text.contains(expected), "`{text}` does not say `{expected}`");
}

#[test]
fn a_good_architecture_passes() {
    architecture::<Good>(&DecoderCheckpoint::hf("TinyForCausalLM").info());
    let scaled = DecoderCheckpoint::hf("TinyForCausalLM")
        .config("rope_scaling", json!({"rope_type": "linear", "factor": 2.0}));
    architecture::<Good>(&scaled.info());
}

#[test]
fn a_bad_architecture_is_told_what_is_wrong() {
    check::<Panicking>("tiny panics on a configuration with num_attention_heads removed");
    check::<Forgetful>("two builds of tiny differ");
    check::<Silent>("the message should name it, but says: something is wrong");
    check::<Careless>("twist set to true: the graph is not valid");
}

#[test]
fn a_foreign_checkpoint_is_no_claim() {
    let info = DecoderCheckpoint::hf("OtherForCausalLM").info();
    let failure = catch_unwind(|| architecture::<Good>(&info)).expect_err("the suite fails");
    let text = failure.downcast_ref::<String>().expect("a sentence");
    assert!(text.contains("`OtherForCausalLM` is not among the claims"), "{text}");
}
