//! A model that says what a test wrote down, and a tokenizer whose tokens are bytes.
//!
//! The model is a pure function of positions, so a test knows every answer in advance; a gate lets
//! it step only when the test says so. Token ids below 256 are bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use host_engine::{Batch, EngineLimits, StepError, StepModel};
use host_generation::{Generator, ModelParts};
use host_metrics::Metrics;
use host_model::{ChatConventions, ModelPlugins, ModelSummary, SpecialTokens, Tokenizer};
use serde_json::json;

/// Begins each tokenized text.
pub(crate) const BOS: u32 = 256;
/// Ends a completion.
pub(crate) const EOS: u32 = 257;
pub(crate) const VOCAB_SIZE: usize = 264;
/// Control tokens, the first of which has the id after EOS.
const CONTROL: [&str; 6] = [
    "<|turn|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "<start_function_call>",
    "<end_function_call>",
    "<escape>",
];
/// What follows the most likely token at each place, with this much smaller logits.
pub(crate) const RIVALS: [(u32, f32); 2] = [(b'~' as u32, 0.5), (b'#' as u32, 1.0)];

/// Says `script` from position 0 on, then EOS.
pub(crate) struct FakeModel {
    script: Vec<u32>,
    gate: Option<Receiver<()>>,
    /// Steps that still succeed, and the error of the one after them.
    fault: Option<(usize, StepError)>,
}

impl FakeModel {
    pub(crate) fn saying(script: &str) -> Self {
        let script = tokenizer().encode(script, false).expect("bytes and control tokens");
        Self { script, gate: None, fault: None }
    }

    /// Steps once for each unit sent; freely once the sender is gone.
    pub(crate) fn gated(mut self) -> (Self, SyncSender<()>) {
        let (sender, receiver) = sync_channel(100_000);
        self.gate = Some(receiver);
        (self, sender)
    }

    /// Fails once, after `steps` good steps.
    pub(crate) fn failing_after(mut self, steps: usize, panicked: bool) -> Self {
        let (plugin, message) = ("fake-compute".to_owned(), "matmul went wrong".to_owned());
        self.fault = Some((steps, StepError::Model { plugin, message, panicked }));
        self
    }
}

impl StepModel for FakeModel {
    fn step(&mut self, batch: &Batch, logits: &mut [f32]) -> Result<(), StepError> {
        wait_for(&mut self.gate);
        match self.fault.take() {
            Some((0, error)) => return Err(error),
            Some((steps, error)) => self.fault = Some((steps - 1, error)),
            None => {}
        }
        logits.fill(-10.0);
        for (row, logits) in batch.logit_rows.iter().zip(logits.chunks_mut(VOCAB_SIZE)) {
            let next = batch.positions[*row as usize] as usize + 1;
            let token = self.script.get(next).copied().unwrap_or(EOS);
            logits[token as usize] = 5.0;
            for (rival, behind) in RIVALS {
                logits[rival as usize] = logits[rival as usize].max(5.0 - behind);
            }
        }
        Ok(())
    }
}

/// Waits for the gate's next unit; a gate whose sender is gone stays open.
pub(crate) fn wait_for(gate: &mut Option<Receiver<()>>) {
    if gate.as_ref().is_some_and(|gate| gate.recv().is_err()) {
        *gate = None;
    }
}

pub(crate) fn tokenizer() -> Tokenizer {
    let bytes: BTreeMap<String, u32> =
        (0..256).map(|byte| (format!("<0x{byte:02X}>"), byte)).collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let all = ["<s>", "</s>"].into_iter().chain(CONTROL);
    let added: Vec<_> = (BOS..).zip(all).map(|(id, content)| special(id, content)).collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "pre_tokenizer": null,
        "added_tokens": added,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}}
        },
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true,
            "ignore_merges": false, "vocab": bytes, "merges": []
        }
    });
    Tokenizer::from_json(json.to_string().as_bytes(), VOCAB_SIZE).expect("the tokenizer is valid")
}

/// Writes each message as `<|turn|>role:content;`, and refuses the role `tool`.
pub(crate) const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}\
{% if m.role == 'tool' %}{{ raise_exception('tools are not known here') }}{% endif %}\
<|turn|>{{ m.role }}:{{ m.content if m.content is string else m.content | map(attribute='text') | join }};\
{% endfor %}{% if add_generation_prompt %}<|turn|>assistant:{% endif %}";

pub(crate) fn limits() -> EngineLimits {
    EngineLimits {
        block_size: 16,
        block_count: 512,
        sequences_max: 16,
        batch_tokens_max: 256,
        prefill_tokens_beside_decode_max: 128,
        queue_max: 16,
        context_length: 2048,
        vocab_size: VOCAB_SIZE,
        long_above: None,
        draft_tokens_max: 0,
        prefix_cache: true,
    }
}

pub(crate) fn parts(id: &str, limits: EngineLimits) -> ModelParts {
    ModelParts {
        summary: ModelSummary {
            id: id.to_owned(),
            path: PathBuf::from("/models/fake.gguf"),
            name: Some("Fake".to_owned()),
            architecture: "llama".to_owned(),
            plugins: ModelPlugins {
                format: "gguf".to_owned(),
                architecture: "llama".to_owned(),
                compute: "cpu".to_owned(),
                quantizations: vec!["gguf".to_owned()],
            },
            dtypes: BTreeMap::from([("f32".to_owned(), 3)]),
            parameters: 12,
            context_length: limits.context_length,
            vocab_size: VOCAB_SIZE,
            embedding_width: None,
            weights_bytes: 48,
            kv_bytes: 64,
            kv_dtype: "f32".to_owned(),
            load_ms: 1,
            created_unix: 1_700_000_000,
        },
        tokenizer: tokenizer(),
        chat_template: Some(CHAT_TEMPLATE.to_owned()),
        chat: ChatConventions::default(),
        special: SpecialTokens {
            bos: Some(BOS),
            eos: vec![EOS],
            bos_text: "<s>".to_owned(),
            eos_text: "</s>".to_owned(),
        },
        limits,
        reader_patience: Duration::from_secs(60),
    }
}

pub(crate) fn generator(id: &str, model: FakeModel, metrics: &Metrics) -> Generator {
    Generator::spawn_with(parts(id, limits()), model, metrics.clone()).expect("the limits agree")
}
