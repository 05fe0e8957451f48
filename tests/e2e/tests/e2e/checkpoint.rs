//! Writes small checkpoints: a model that counts, and a file that only has an architecture.
//!
//! The counting model's answers are known in advance.
//! Its embedding is the identity and its output matrix moves every token to the next one; what
//! the layers compute is multiplied by zero before it is added. So after token 300 comes 301, if
//! and only if embedding, norms, residuals and output are right.

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use support::data;

/// Size of the vocabulary, which is that of the tokenizer it borrows, and of the hidden state.
const VOCAB: usize = 512;
const FFN_WIDTH: usize = 96;
const HEAD_DIM: usize = 16;

/// Writes the folder of a counting model for the named architecture.
pub(crate) fn write_counting_model(folder: &Path, architecture: &str) {
    write_wide_counting_model(folder, architecture, FFN_WIDTH);
}

/// As [`write_counting_model`], as large as its feed-forward layers are wide.
pub(crate) fn write_wide_counting_model(folder: &Path, architecture: &str, ffn_width: usize) {
    fs::create_dir_all(folder).expect("the test's folder is writable");
    let config = json!({
        "architectures": [architecture], "model_type": "hello", "hidden_size": VOCAB,
        "intermediate_size": ffn_width, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": HEAD_DIM, "vocab_size": VOCAB,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "float32",
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("as above");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let source = data("tinyllama-stories260K/hf").join(file);
        fs::copy(source, folder.join(file)).expect("the golden set has a tokenizer");
    }
    fs::write(folder.join("model.safetensors"), safetensors(&tensors(ffn_width)))
        .expect("as above");
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn tensors(ffn_width: usize) -> Vec<Tensor> {
    let mut tensors = vec![
        filled("model.embed_tokens.weight", &[VOCAB, VOCAB], |at| at / VOCAB == at % VOCAB),
        filled("lm_head.weight", &[VOCAB, VOCAB], |at| at / VOCAB == (at % VOCAB + 1) % VOCAB),
        filled("model.norm.weight", &[VOCAB], |_| true),
    ];
    for layer in 0..2 {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            tensors.push(filled(&name(norm), &[VOCAB], |_| true));
        }
        // Some values that are not zero, so that the layers have something to compute.
        let some = |at: usize| at.is_multiple_of(7);
        tensors.push(filled(&name("self_attn.q_proj"), &[4 * HEAD_DIM, VOCAB], some));
        tensors.push(filled(&name("self_attn.k_proj"), &[2 * HEAD_DIM, VOCAB], some));
        tensors.push(filled(&name("self_attn.v_proj"), &[2 * HEAD_DIM, VOCAB], some));
        tensors.push(filled(&name("self_attn.o_proj"), &[VOCAB, 4 * HEAD_DIM], |_| false));
        tensors.push(filled(&name("mlp.gate_proj"), &[ffn_width, VOCAB], some));
        tensors.push(filled(&name("mlp.up_proj"), &[ffn_width, VOCAB], some));
        tensors.push(filled(&name("mlp.down_proj"), &[VOCAB, ffn_width], |_| false));
    }
    tensors
}

/// Ones where `is_one` says so, zeros elsewhere.
fn filled(name: &str, shape: &[usize], is_one: impl Fn(usize) -> bool) -> Tensor {
    let count = shape.iter().product();
    let values = (0..count).map(|at| f32::from(u8::from(is_one(at)))).collect();
    Tensor { name: name.to_owned(), shape: shape.to_vec(), values }
}

/// The format: length of the header, the header as JSON, the data end to end.
fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = Map::new();
    let mut bytes = Vec::new();
    for tensor in tensors {
        let begin = bytes.len();
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({
            "dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, bytes.len()],
        });
        header.insert(tensor.name.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

/// Writes a GGUF file of one tensor that asks for the named architecture.
pub(crate) fn write_gguf(path: &Path, architecture: &str) {
    const STRING: u32 = 8;
    const ALIGNMENT: usize = 32;
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    // Number of tensors, number of metadata entries.
    file.extend([1_u64, 1].iter().flat_map(|count| count.to_le_bytes()));
    text(&mut file, "general.architecture");
    file.extend(STRING.to_le_bytes());
    text(&mut file, architecture);
    // Name, dimensions, type F32, place in the data.
    text(&mut file, "embed");
    file.extend(2_u32.to_le_bytes());
    file.extend([2_u64, 4].iter().flat_map(|size| size.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    file.extend([0; 2 * 4 * 4]);
    fs::write(path, file).expect("the test's folder is writable");
}
