//! Every route with what it takes and what it answers.

use super::answers;
use super::field::Field;
use super::fields::{
    APPLY_TEMPLATE, CHAT, COMPLETIONS, COUNT_TOKENS, DETOKENIZE, EMBEDDINGS, LOAD, MESSAGES,
    OLLAMA, OLLAMA_CHAT, OLLAMA_GENERATE, OLLAMA_SHOW, PLUGIN, RESPONSES, SAMPLING, SHARED,
    TOKENIZE, UNLOAD,
};

/// One route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) takes: Takes,
    /// The schema of the answer among the document's components.
    pub(super) answers: &'static str,
}

/// What a request brings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// `GET`: nothing but perhaps a part of the path.
    Nothing,
    /// `POST` without a body.
    NoBody,
    /// `POST` with a JSON object of these fields.
    Fields(&'static [&'static [Field]]),
}

impl Endpoint {
    pub(super) fn method(&self) -> &'static str {
        match self.takes {
            Takes::Nothing => "get",
            Takes::NoBody | Takes::Fields(_) => "post",
        }
    }

    /// The fields of the body.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'static Field> {
        let lists = match self.takes {
            Takes::Fields(lists) => lists,
            Takes::Nothing | Takes::NoBody => &[],
        };
        lists.iter().copied().flatten()
    }

    /// Whether a request can ask for events instead of one answer.
    pub(super) fn streams(&self) -> bool {
        self.fields().any(|field| field.name == "stream")
    }
}

const fn get(path: &'static str, about: &'static str, answers: &'static str) -> Endpoint {
    Endpoint { path, about, takes: Takes::Nothing, answers }
}

const fn post(
    path: &'static str,
    about: &'static str,
    lists: &'static [&'static [Field]],
    answers: &'static str,
) -> Endpoint {
    Endpoint { path, about, takes: Takes::Fields(lists), answers }
}

/// All of them but the pages for people.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    post(
        "/v1/chat/completions",
        "Answers a conversation",
        &[CHAT, SHARED, SAMPLING],
        answers::CHAT,
    ),
    post(
        "/v1/completions",
        "Continues prompts",
        &[COMPLETIONS, SHARED, SAMPLING],
        answers::COMPLETION,
    ),
    post(
        "/v1/responses",
        "Answers by OpenAI's Responses API",
        &[RESPONSES, SHARED],
        answers::OBJECT,
    ),
    post("/v1/embeddings", "Turns texts into vectors", &[EMBEDDINGS], answers::EMBEDDINGS),
    post(
        "/v1/messages",
        "Answers by Anthropic's Messages API",
        &[MESSAGES, SHARED],
        answers::OBJECT,
    ),
    post(
        "/v1/messages/count_tokens",
        "Counts the tokens of a conversation",
        &[COUNT_TOKENS],
        answers::OBJECT,
    ),
    get("/v1/models", "Lists models", answers::MODELS),
    get("/v1/models/{id}", "Shows a model", answers::MODEL),
    post("/v1/models/load", "Loads a model", &[LOAD], answers::MODEL),
    post("/v1/models/unload", "Takes a model out of service", &[UNLOAD], answers::OBJECT),
    get("/v1/plugins", "Lists plugin files", answers::OBJECT),
    Endpoint {
        path: "/v1/plugins/rescan",
        about: "Looks at the plugin folders again",
        takes: Takes::NoBody,
        answers: answers::OBJECT,
    },
    post("/v1/plugins/disable", "Offers a plugin to no model", &[PLUGIN], answers::OBJECT),
    post("/v1/plugins/enable", "Offers a plugin again", &[PLUGIN], answers::OBJECT),
    post("/tokenize", "Turns text into tokens", &[TOKENIZE], answers::OBJECT),
    post("/detokenize", "Turns tokens into text", &[DETOKENIZE], answers::OBJECT),
    post(
        "/apply-template",
        "Shows the prompt of a conversation",
        &[APPLY_TEMPLATE],
        answers::OBJECT,
    ),
    get("/api/version", "The version, as Ollama has it", answers::OBJECT),
    get("/api/tags", "Lists models, as Ollama has it", answers::OBJECT),
    post("/api/show", "Shows a model, as Ollama has it", &[OLLAMA_SHOW], answers::OBJECT),
    post("/api/chat", "Answers by Ollama's API", &[OLLAMA_CHAT, OLLAMA], answers::OBJECT),
    post("/api/generate", "Continues by Ollama's API", &[OLLAMA_GENERATE, OLLAMA], answers::OBJECT),
    get("/health", "200 while the process works", answers::OBJECT),
    get("/ready", "200 while a model can take requests", answers::OBJECT),
    get("/server_info", "The default model, as SGLang has it", answers::OBJECT),
];
