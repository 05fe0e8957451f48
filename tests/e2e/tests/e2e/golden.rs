//! Comparison with stored answers: greedy tokens, log-probabilities, tokens of texts and chats.
//!
//! A greedy token may differ where the stored margin between first and second is below twice the
//! tolerance (each of the two may move by it); that is a tie, and what follows it is not
//! comparable. Everything else must agree.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::Client;

/// Log-probabilities asked for at each step.
const TOP: usize = 5;

/// A checkpoint with stored answers, as one of its files or folders.
#[derive(Debug)]
pub(crate) struct Golden {
    /// Id it is served under.
    pub(crate) id: String,
    /// The file or folder to load.
    pub(crate) path: PathBuf,
    /// Quantization of a GGUF file; none is the Hugging Face folder.
    gguf: Option<String>,
    stored: Value,
}

/// One greedy run.
struct Case {
    name: String,
    text: String,
    prompt: Vec<u64>,
    tokens: Vec<u64>,
    margins: Vec<f64>,
    logprobs: Vec<f64>,
    top: Option<Vec<Vec<f64>>>,
    answer: Option<String>,
}

impl Golden {
    /// Every checkpoint below `folder/model` that consists of these tensor types only.
    pub(crate) fn all(folder: &Path, model: &str, types: &[&str]) -> Vec<Self> {
        let folder = folder.join(model);
        let text = std::fs::read_to_string(folder.join("golden.json")).expect("stored answers");
        let stored: Value = serde_json::from_str(&text).expect("stored answers are JSON");
        let mut found = Vec::new();
        if folder.join("hf").exists() {
            let (id, path) = (format!("{model}-hf"), folder.join("hf"));
            found.push(Self { id, path, gguf: None, stored: stored.clone() });
        }
        for (name, facts) in stored["gguf"].as_object().into_iter().flatten() {
            let Some(file) = facts["file"].as_str() else { continue };
            let kinds = facts["tensor_types"].as_object().expect("types of tensors");
            if kinds.keys().all(|kind| types.contains(&kind.as_str())) {
                found.push(Self {
                    id: format!("{model}-{name}"),
                    path: folder.join(file),
                    gguf: Some(name.clone()),
                    stored: stored.clone(),
                });
            }
        }
        found
    }

    /// How far a log-probability may be off: float against float, or against llama.cpp, which
    /// rounds activations.
    fn tolerance(&self) -> f64 {
        if self.is_float() { 1e-3 } else { 0.15 }
    }

    fn is_float(&self) -> bool {
        matches!(self.gguf.as_deref(), None | Some("F32"))
    }

    /// Steps whose log-probabilities are compared: all of a float run; of llama.cpp's run on a
    /// quantized file the first, since its own rounding adds up from step to step. What such a
    /// file must answer exactly is in `dequantized`.
    fn compared_steps(&self, same: usize) -> usize {
        if self.is_float() { same } else { same.min(1) }
    }

    /// Greedy tokens of the file's weights run in f32 by transformers: no tie, no tolerance.
    fn dequantized(&self, client: &Client) -> Option<String> {
        let stored = &self.stored["gguf"][self.gguf.as_ref()?]["dequantized_weights_f32"];
        let expected = numbers(stored["greedy_short"].get("ids")?);
        let cases = self.stored["cases"].as_array().expect("stored cases");
        let short = cases.iter().find(|case| case["id"] == "short")?;
        let body = json!({
            "model": self.id, "prompt": short["ids"], "max_tokens": expected.len(),
            "temperature": 0, "logprobs": 1, "ignore_eos": true,
        });
        let answer = client.post("/v1/completions", &body);
        let found = numbers(&answer.json()["choices"][0]["logprobs"]["token_ids"]);
        (found != expected).then(|| format!("dequantized run: {expected:?} stored, {found:?}"))
    }

    /// Everything that differs, one sentence each.
    pub(crate) fn differences(&self, client: &Client) -> Vec<String> {
        let mut differences = self.tokenization(client);
        for case in self.cases() {
            differences.extend(self.greedy(client, &case).err());
        }
        if self.gguf.is_none() {
            differences.extend(self.end_of_text(client));
        }
        differences.extend(self.dequantized(client));
        differences.extend(self.chats(client));
        differences.into_iter().map(|what| format!("{}: {what}", self.id)).collect()
    }

    /// The stored runs, each up to its first end token: the references went on past it, a host
    /// does not.
    fn cases(&self) -> Vec<Case> {
        let ends = numbers(&self.stored["eos"]);
        let cases = self.stored["cases"].as_array().expect("stored cases");
        let case = |stored: &Value| {
            let name = stored["id"].as_str().expect("a case has a name").to_owned();
            let run = match &self.gguf {
                None => &stored["greedy"],
                Some(kind) => &self.stored["gguf"][kind]["cases"][&name]["greedy"],
            };
            let ids = numbers(&run["ids"]);
            let length = ids.iter().position(|id| ends.contains(id)).unwrap_or(ids.len());
            let steps = run["steps"].as_array();
            let floats = |key: &str| match steps {
                Some(steps) => steps.iter().map(|step| float(&step[key])).collect(),
                None => run[format!("{key}s")]
                    .as_array()
                    .map_or(Vec::new(), |v| v.iter().map(float).collect::<Vec<_>>()),
            };
            Case {
                text: stored["text"].as_str().expect("a case has a text").to_owned(),
                prompt: numbers(&stored["ids"]),
                margins: floats("margin"),
                logprobs: floats("logprob"),
                top: steps.map(|steps| steps.iter().map(|step| top_values(&step["top"])).collect()),
                answer: (length == ids.len())
                    .then(|| run["text"].as_str().map(str::to_owned))
                    .flatten(),
                tokens: ids[..length].to_vec(),
                name,
            }
        };
        cases.iter().map(case).filter(|case| !case.tokens.is_empty()).collect()
    }

    fn greedy(&self, client: &Client, case: &Case) -> Result<(), String> {
        let body = json!({
            "model": self.id, "prompt": case.text, "max_tokens": case.tokens.len(),
            "temperature": 0, "logprobs": TOP,
        });
        let answer = client.post("/v1/completions", &body);
        let wrong = |what: String| Err(format!("greedy {}: {what}", case.name));
        if answer.status != 200 {
            return wrong(format!("status {}: {}", answer.status, answer.body));
        }
        let answer = answer.json();
        let usage = |key: &str| answer["usage"][key].as_u64();
        if usage("prompt_tokens") != Some(case.prompt.len() as u64) {
            return wrong(format!("{} prompt tokens stored, {answer}", case.prompt.len()));
        }
        let choice = &answer["choices"][0];
        let steps = Steps::of(&choice["logprobs"]);
        let same = agreeing(case, choice, &steps, self.tolerance());
        if same < case.tokens.len() && case.margins[same] >= 2.0 * self.tolerance() {
            return wrong(format!(
                "differs at step {same}, where the stored margin is {}: {} / {:?}",
                case.margins[same], choice["text"], case.answer
            ));
        }
        if same == case.tokens.len() && usage("completion_tokens") != Some(same as u64) {
            return wrong(format!("{same} tokens agree, but usage is {}", answer["usage"]));
        }
        compare_logprobs(case, &steps, self.compared_steps(same), self.tolerance()).or_else(wrong)
    }

    fn end_of_text(&self, client: &Client) -> Option<String> {
        let stored = self.stored.get("eos_case")?;
        let text = stored["greedy"]["text"].as_str().expect("stored text");
        let most = numbers(&stored["greedy"]["ids"]).len() + 24;
        let body = json!({
            "model": self.id, "prompt": stored["text"], "max_tokens": most, "temperature": 0,
        });
        let answer = client.post("/v1/completions", &body);
        let choice = &answer.json()["choices"][0];
        let ended = choice["finish_reason"] == "stop" && choice["text"] == text;
        (!ended).then(|| format!("end of text: {text:?} and `stop` stored, {}", answer.body))
    }

    fn tokenization(&self, client: &Client) -> Vec<String> {
        let mut differences = Vec::new();
        let known = match &self.gguf {
            // llama.cpp skips a normalisation here, and the file cannot say so.
            Some(_) => self.stored["llama_cpp_tokenize_mismatch"].as_array().cloned(),
            None => None,
        };
        let known = known.unwrap_or_default();
        let stored = self.stored["tokenize"].as_array().expect("stored texts");
        for case in stored.iter().filter(|case| !known.contains(&case["text"])) {
            for (special, key) in [(false, "ids_no_special"), (true, "ids")] {
                let body = json!({
                    "model": self.id, "prompt": case["text"], "add_special_tokens": special,
                });
                let found = client.post("/tokenize", &body);
                if found.status != 200 || found.json()["tokens"] != case[key] {
                    differences.push(format!(
                        "tokens of {} with add_special_tokens {special}: {} stored, {}",
                        case["text"], case[key], found.body
                    ));
                }
            }
        }
        differences
    }

    fn chats(&self, client: &Client) -> Vec<String> {
        let stored = self.stored["chat"].as_array().expect("stored chats");
        let asked = stored.iter().filter(|chat| {
            let length = chat["ids"].as_array().map_or(0, Vec::len) as u64;
            chat["add_generation_prompt"] == true
                && length < self.stored["max_positions"].as_u64().unwrap_or(0)
        });
        asked.filter_map(|chat| self.chat(client, chat)).collect()
    }

    fn chat(&self, client: &Client, stored: &Value) -> Option<String> {
        let mut body = json!({
            "model": self.id, "messages": stored["messages"], "max_tokens": 1, "temperature": 0,
        });
        if stored["tools"].is_array() {
            body["tools"] = stored["tools"].clone();
        }
        if stored["kwargs"].as_object().is_some_and(|kwargs| !kwargs.is_empty()) {
            body["chat_template_kwargs"] = stored["kwargs"].clone();
        }
        let answer = client.post("/v1/chat/completions", &body);
        let wrong = |what: String| Some(format!("chat {}: {what}", stored["name"]));
        // The references see images, the host takes text only and must say so.
        if stored.get("error").is_some() || has_image(stored) {
            let refused = (400..500).contains(&answer.status);
            return if refused { None } else { wrong(format!("4xx expected: {}", answer.body)) };
        }
        if answer.status != 200 {
            return wrong(format!("status {}: {}", answer.status, answer.body));
        }
        let tokens = numbers(&stored["ids"]).len() as u64;
        if answer.json()["usage"]["prompt_tokens"] != tokens {
            return wrong(format!("{tokens} prompt tokens stored, {}", answer.body));
        }
        let greedy = stored.get("greedy")?;
        if self.gguf.is_some() || stored["tools"].is_array() {
            return None;
        }
        body["max_tokens"] = json!(numbers(&greedy["ids"]).len());
        let answer = client.post("/v1/chat/completions", &body);
        let trimmed = |text: &Value| text.as_str().map(|text| text.trim().to_owned());
        let found = trimmed(&answer.json()["choices"][0]["message"]["content"]);
        let tie = float(&greedy["min_margin"]) < 2.0 * self.tolerance();
        if found == trimmed(&greedy["text"]) || tie {
            return None;
        }
        wrong(format!("{} stored, {}", greedy["text"], answer.body))
    }
}

fn has_image(chat: &Value) -> bool {
    let messages = chat["messages"].as_array().into_iter().flatten();
    let mut parts = messages.filter_map(|message| message["content"].as_array()).flatten();
    parts.any(|part| part["type"] == "image")
}

/// The steps of an answer.
struct Steps {
    ids: Option<Vec<u64>>,
    logprobs: Vec<f64>,
    top: Vec<Vec<f64>>,
}

impl Steps {
    fn of(logprobs: &Value) -> Self {
        let list = |key: &str| logprobs[key].as_array().cloned().unwrap_or_default();
        let values = |step: &Value| {
            step.as_object().map_or(Vec::new(), |top| top.values().map(float).collect())
        };
        Self {
            ids: logprobs.get("token_ids").map(numbers),
            logprobs: list("token_logprobs").iter().map(float).collect(),
            top: list("top_logprobs").iter().map(values).collect(),
        }
    }
}

/// How many steps agree: by token, else by text, else as far as log-probabilities do.
fn agreeing(case: &Case, choice: &Value, steps: &Steps, tolerance: f64) -> usize {
    if let Some(ids) = &steps.ids {
        return ids.iter().zip(&case.tokens).take_while(|(found, stored)| found == stored).count();
    }
    if case.answer.is_some() && choice["text"].as_str() == case.answer.as_deref() {
        return case.tokens.len();
    }
    let close = |(found, stored): &(&f64, &f64)| (*found - *stored).abs() <= tolerance;
    let agree = steps.logprobs.iter().zip(&case.logprobs).take_while(close).count();
    agree.min(case.tokens.len())
}

fn compare_logprobs(case: &Case, steps: &Steps, same: usize, most: f64) -> Result<(), String> {
    if steps.logprobs.len() < same {
        return Err(format!("{same} tokens but {} log-probabilities", steps.logprobs.len()));
    }
    for step in 0..same {
        let (found, stored) = (steps.logprobs[step], case.logprobs[step]);
        if (found - stored).abs() > most {
            return Err(format!("step {step}: log-probability {stored} stored, {found} found"));
        }
        let Some(top) = &case.top else { continue };
        // Two tokens may have one text, so values are compared and not their keys.
        let near = |found: &f64| top[step].iter().any(|stored| (found - stored).abs() <= most);
        if let Some(far) = steps.top[step].iter().find(|found| !near(found)) {
            return Err(format!("step {step}: top {:?} stored, {far} found", top[step]));
        }
    }
    Ok(())
}

/// Values of a list of `[token, log-probability]`.
fn top_values(top: &Value) -> Vec<f64> {
    top.as_array().map_or(Vec::new(), |top| top.iter().map(|pair| float(&pair[1])).collect())
}

/// A list of whole numbers.
pub(crate) fn numbers(list: &Value) -> Vec<u64> {
    let list = list.as_array().expect("a list of numbers");
    list.iter().map(|value| value.as_u64().expect("a whole number")).collect()
}

fn float(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}
