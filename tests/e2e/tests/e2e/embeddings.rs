//! Embeddings: a text answers with the vector that another implementation computed for it.
//!
//! The stored vectors are of unit length and come from runs of one text at a time, so they also
//! hold what a batch must not change.

use crate::golden::numbers;
use crate::text;
use serde_json::{Value, json};
use std::path::Path;
use support::{Client, PluginFolder, SHIPPED, TestHost, data, shared};

/// The least cosine of a vector and the stored one.
const COSINE: f64 = 0.99999;

/// How far a component may move when a text is not alone.
const BATCH: f64 = 1e-6;

/// A checkpoint with stored embeddings.
struct Embedder<'a> {
    client: &'a Client,
    model: &'a str,
    texts: Vec<Value>,
    tokens: Vec<Vec<u64>>,
    vectors: Vec<Vec<f64>>,
}

impl<'a> Embedder<'a> {
    fn new(client: &'a Client, model: &'a str, folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("golden.json")).expect("stored answers");
        let stored: Value = serde_json::from_str(&text).expect("stored answers are JSON");
        let cases = stored["cases"].as_array().expect("stored cases");
        let texts = cases.iter().map(|case| case["text"].clone()).collect();
        let tokens = cases.iter().map(|case| numbers(&case["ids"])).collect();
        let vectors = cases.iter().map(|case| floats(&case["embedding"])).collect();
        Self { client, model, texts, tokens, vectors }
    }

    fn ask(&self, input: &Value, encoding: &str) -> Value {
        let body = json!({ "model": self.model, "input": input, "encoding_format": encoding });
        self.client.post("/v1/embeddings", &body).ok()
    }

    /// The vectors of an answer, whose form and token count are checked.
    fn vectors(&self, input: &Value, prompt_tokens: usize) -> Vec<Vec<f64>> {
        let answer = self.ask(input, "float");
        assert_eq!(answer["object"], "list", "{answer}");
        assert_eq!(answer["model"], self.model);
        assert_eq!(answer["usage"]["prompt_tokens"], prompt_tokens, "{input}");
        assert_eq!(answer["usage"]["total_tokens"], prompt_tokens, "{input}");
        let data = answer["data"].as_array().expect("a list of embeddings");
        for (index, entry) in data.iter().enumerate() {
            assert_eq!((&entry["object"], &entry["index"]), (&json!("embedding"), &json!(index)));
        }
        data.iter().map(|entry| floats(&entry["embedding"])).collect()
    }

    fn check(&self) {
        let one = |(text, tokens): (&Value, &Vec<u64>)| {
            let mut vectors = self.vectors(text, tokens.len());
            assert_eq!(vectors.len(), 1, "one text, one vector");
            vectors.swap_remove(0)
        };
        let alone: Vec<_> = self.texts.iter().zip(&self.tokens).map(one).collect();
        for ((found, stored), text) in alone.iter().zip(&self.vectors).zip(&self.texts) {
            assert_eq!(found.len(), stored.len(), "{}: {text}", self.model);
            assert!((dot(found, found) - 1.0).abs() < 1e-5, "{}: not of unit length", self.model);
            let cosine = dot(found, stored) / dot(stored, stored).sqrt();
            assert!(cosine >= COSINE, "{}: cosine {cosine} for {text}", self.model);
        }
        let count = self.tokens.iter().map(Vec::len).sum();
        self.check_same(&alone, &self.vectors(&json!(self.texts), count));
        // Tokens are taken as they are, so the ones that the tokenizer adds are among them.
        self.check_same(&alone, &self.vectors(&json!(self.tokens), count));
        self.check_same(&alone[..1], &self.vectors(&json!(self.tokens[0]), self.tokens[0].len()));
        self.check_base64(&alone);
    }

    fn check_same(&self, alone: &[Vec<f64>], together: &[Vec<f64>]) {
        assert_eq!(alone.len(), together.len(), "{}", self.model);
        for (alone, together) in alone.iter().flatten().zip(together.iter().flatten()) {
            assert!((alone - together).abs() <= BATCH, "{}: {alone}, {together}", self.model);
        }
    }

    fn check_base64(&self, alone: &[Vec<f64>]) {
        let answer = self.ask(&json!(self.texts), "base64");
        let data = answer["data"].as_array().expect("a list of embeddings");
        let decode = |entry: &Value| {
            let text = entry["embedding"].as_str().expect("base64 is text");
            let bytes = decode_base64(text);
            let (floats, rest) = bytes.as_chunks();
            assert!(rest.is_empty(), "four bytes for each component");
            floats.iter().map(|float| f64::from(f32::from_le_bytes(*float))).collect()
        };
        let decoded: Vec<Vec<f64>> = data.iter().map(decode).collect();
        self.check_same(alone, &decoded);
    }
}

/// RFC 4648, section 4.
fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').chars();
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        bits = bits << 6 & 0xFFF | ALPHABET.find(digit).expect("a digit of base64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xFF).expect("eight bits"));
        }
    }
    bytes
}

fn floats(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a list of numbers");
    list.iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn check(folder: &Path, model: &str) {
    let plugins = PluginFolder::with(SHIPPED);
    let folder = folder.join(model);
    let argument = format!("{model}={}", text(&folder.join("hf")));
    let host = TestHost::serve(plugins.path(), &["--model", &argument]);
    Embedder::new(&host.client(), model, &folder).check();
}

#[test]
fn a_decoder_embeds_by_its_last_token() {
    check(&data(""), "qwen3-embedding");
}

#[test]
fn an_encoder_of_gemma_embeds_by_mean_and_dense_modules() {
    check(&data(""), "embeddinggemma");
}

#[test]
fn bert_embeds_by_its_first_token() {
    check(&data(""), "bert-cls");
}

#[test]
fn bert_embeds_by_mean() {
    let Some(folder) = shared("models", "a BERT with mean pooling") else { return };
    check(&folder, "bert-mean");
}

/// A flag that is meant for another model does not keep this one from its service.
#[test]
fn learned_positions_end_where_they_end() {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("bert={}", text(&data("bert-cls/hf")));
    let arguments = ["--model", &*model, "--context-length", "4096"];
    let host = TestHost::serve(plugins.path(), &arguments);
    let shown = host.client().get("/v1/models/bert").ok();
    assert_eq!(shown["max_model_len"], 64, "{shown}");
    assert!(host.log().contains("no positions beyond those learned"), "{}", host.log());
}
