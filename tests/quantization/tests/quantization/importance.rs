//! Importance matrices: made here, written in llama.cpp's form, and worth their while.

use crate::divergence::Reference;
use crate::model::Plugins;
use host_model::{Calibration, Importance, LoadOptions, calibrate};
use std::fs::File;
use std::path::Path;
use support::{Scratch, shared};

fn calibrated(plugins: &Plugins, path: &Path, text: &str, file: &Path) {
    let calibration = Calibration { chunk_tokens: 96, chunks_max: 24 };
    let options = LoadOptions::default();
    let made = calibrate(&plugins.registry, path, &options, (text, calibration), &|_, _| {});
    let made = made.expect("the model is calibrated");
    let mut to = File::create(file).expect("the folder is ours");
    made.importance.write(&mut to, made.chunks as i32).expect("it is written");
    let read = Importance::read(&plugins.registry, file).expect("it is read");
    assert_eq!(read.names().collect::<Vec<_>>(), made.importance.names().collect::<Vec<_>>());
}

#[test]
fn an_importance_matrix_brings_a_quantized_model_nearer_to_the_full_one() {
    let Some(folder) = shared("models/qwen2-kq", "quantization with an importance matrix") else {
        return;
    };
    let (plugins, scratch) = (Plugins::load(), Scratch::new());
    let (path, file) = (folder.join("hf"), scratch.join("imatrix.dat"));
    let reference = Reference::read(&folder);
    // A random model has no language of its own, so it is calibrated with the kind of text it is
    // measured with.
    let text = plugins.model(&path, None, None).text(&reference.sequences);
    calibrated(&plugins, &path, &text, &file);
    for recipe in
        ["q6k", "q5k", "q4k", "q3k", "q2k", "q4_0", "q5_0", "q8_0", "iq4_xs", "iq4_nl", "q4_1"]
    {
        let without = reference.divergence(&mut plugins.model(&path, Some(recipe), None));
        let with = reference.divergence(&mut plugins.model(&path, Some(recipe), Some(&file)));
        let line = format!("{recipe}: {with:.5} with, {without:.5} without an importance matrix");
        let _closed = std::io::Write::write_all(
            &mut std::io::stderr().lock(),
            format!("{line}\n").as_bytes(),
        );
    }
}
