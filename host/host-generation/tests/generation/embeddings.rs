//! Texts to vectors through the whole crate: tokenizer, thread, turns, and what is refused.

use std::time::{Duration, Instant};

use host_engine::EngineLimits;
use host_generation::{
    EMBEDDING_TEXTS_MAX, Embedder, GenerationError, ModelState, Models, Prompt, ServedModel,
};
use host_metrics::Metrics;

use crate::fake::{self, BOS, FakeModel};
use crate::fake_embedder::{self, FakeEmbedder, POISON, vector_of};

fn text(text: &str) -> Prompt {
    Prompt::Text { text: text.to_owned(), add_special: true }
}

fn embedder(model: FakeEmbedder) -> Embedder {
    fake_embedder::embedder("fake", model, &Metrics::new())
}

/// Waits for the thread, up to ten seconds.
#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it never comes");
        std::thread::yield_now();
    }
}

#[test]
fn texts_become_vectors_in_their_order() {
    let metrics = Metrics::new();
    let embedder = fake_embedder::embedder("fake", FakeEmbedder::default(), &metrics);
    let first = embedder.tokens(text("ab")).expect("a good text");
    assert_eq!(first, [BOS, 97, 98], "with the tokens that the model expects around it");
    let second = embedder.tokens(Prompt::Tokens(vec![7])).expect("good tokens");
    let texts = vec![first, second, vec![9, 8]];
    let found = embedder.embed(texts.clone()).expect("a good request").blocking_wait();
    let found = found.expect("nothing fails");
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| vector_of(text).to_vec()).collect();
    assert_eq!((found.vectors, found.prompt_tokens), (expected, 6));
    let page = metrics.encode();
    for line in [
        "host_prompt_tokens_total{model=\"fake\"} 6\n",
        "host_completion_tokens_total{model=\"fake\"} 0\n",
        "host_requests_in_flight{model=\"fake\"} 0\n",
        "gen_ai_server_request_duration_seconds_count{model=\"fake\"} 1\n",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
}

#[test]
fn requests_that_wait_run_together() {
    let (model, gate) = FakeEmbedder::default().gated();
    let steps = model.steps();
    let embedder = embedder(model);
    let request = |token: u32| embedder.embed(vec![vec![token]; 2]).expect("there is room");
    let first = request(1);
    wait_until(|| steps.lock().expect("unpoisoned").len() == 1);
    let (second, third) = (request(2), request(3));
    drop(gate);
    for (pending, token) in [(first, 1), (second, 2), (third, 3)] {
        let vectors = pending.blocking_wait().expect("nothing fails").vectors;
        assert_eq!(vectors, [vector_of(&[token]); 2]);
    }
    assert_eq!(*steps.lock().expect("unpoisoned"), [2, 4]);
}

#[test]
fn a_short_request_does_not_wait_for_the_end_of_a_long_one() {
    let (model, gate) = FakeEmbedder::default().gated();
    let steps = model.steps();
    let embedder = embedder(model);
    // Sixteen texts are a step.
    let long = embedder.embed(vec![vec![1]; 160]).expect("there is room");
    wait_until(|| steps.lock().expect("unpoisoned").len() == 1);
    let short = embedder.embed(vec![vec![2]]).expect("there is room");
    gate.send(()).expect("the model steps");
    gate.send(()).expect("the model steps");
    assert_eq!(short.blocking_wait().expect("nothing fails").vectors, [vector_of(&[2])]);
    drop(gate);
    assert_eq!(long.blocking_wait().expect("nothing fails").vectors, [vector_of(&[1]); 160]);
    assert_eq!(steps.lock().expect("unpoisoned").len(), 11);
}

#[test]
fn a_full_queue_refuses_and_a_reader_that_leaves_makes_room() {
    let (model, gate) = FakeEmbedder::default().gated();
    let steps = model.steps();
    let limits = EngineLimits { sequences_max: 1, queue_max: 1, ..fake::limits() };
    let metrics = Metrics::new();
    let parts = fake_embedder::parts("fake", limits);
    let embedder = Embedder::spawn_with(parts, model, metrics.clone()).expect("limits that agree");
    let request = || embedder.embed(vec![vec![1]; 3]);
    let first = request().expect("there is room");
    wait_until(|| steps.lock().expect("unpoisoned").len() == 1);
    let second = request().expect("there is room");
    let full = GenerationError::QueueFull { live: 2, limit: 2, retry_after_s: 1 };
    assert_eq!(request().expect_err("it is full"), full);
    drop((first, second));
    gate.send(()).expect("the model steps");
    wait_until(|| metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 0\n"));
    assert_eq!(*steps.lock().expect("unpoisoned"), [1], "what nobody waits for does not run");
    drop(gate);
    let third = request().expect("there is room again").blocking_wait().expect("nothing fails");
    assert_eq!(third.vectors, [vector_of(&[1]); 3]);
}

#[test]
fn a_failed_step_fails_its_requests_only() {
    let embedder = embedder(FakeEmbedder::failing(false));
    let error = embedder.embed(vec![vec![1]; 40]).expect("it is taken").blocking_wait();
    let (plugin, message) = ("fake-compute".to_owned(), "matmul went wrong".to_owned());
    assert_eq!(error, Err(GenerationError::Model { plugin, message }));
    let found = embedder.embed(vec![vec![1]]).expect("it still serves").blocking_wait();
    assert_eq!(found.expect("nothing fails").vectors, [vector_of(&[1])]);
}

#[test]
fn a_model_whose_plugin_panicked_is_out_of_service() {
    let embedder = embedder(FakeEmbedder::failing(true));
    let error = embedder.embed(vec![vec![1]; 40]).expect("it is taken").blocking_wait();
    assert!(matches!(error, Err(GenerationError::Faulted { .. })), "{error:?}");
    assert!(matches!(embedder.state(), ModelState::Faulted { .. }));
    let refused = embedder.embed(vec![vec![1]]).expect_err("it is out of service");
    assert!(matches!(refused, GenerationError::Faulted { .. }), "{refused:?}");
}

#[test]
fn a_vector_that_is_not_finite_fails_its_request() {
    let embedder = embedder(FakeEmbedder::default());
    let poisoned = embedder.embed(vec![vec![1], vec![POISON]]).expect("it is taken");
    let good = embedder.embed(vec![vec![1]]).expect("it is taken");
    let error = poisoned.blocking_wait().expect_err("it has NaN");
    assert!(matches!(error, GenerationError::NotFinite { .. }), "{error:?}");
    assert!(good.blocking_wait().is_ok());
}

#[test]
fn what_was_taken_is_finished_when_the_model_drains() {
    let (model, gate) = FakeEmbedder::default().gated();
    let embedder = embedder(model);
    let pending = embedder.embed(vec![vec![1]; 40]).expect("there is room");
    embedder.shutdown();
    assert_eq!(embedder.state(), ModelState::Draining);
    assert_eq!(embedder.embed(vec![vec![1]]).err(), Some(GenerationError::ShuttingDown));
    drop(gate);
    assert_eq!(pending.blocking_wait().expect("nothing fails").vectors.len(), 40);
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    let limits = EngineLimits { context_length: 300, ..fake::limits() };
    let parts = fake_embedder::parts("fake", limits);
    let embedder =
        Embedder::spawn_with(parts, FakeEmbedder::default(), Metrics::new()).expect("fine");
    let check = |prompt: Prompt, expected: &str| {
        let error = embedder.tokens(prompt).expect_err("it must be refused");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(text(&"a".repeat(300)), "context length is 300 tokens and the prompt has 301");
    // A step has 256 tokens.
    check(text(&"a".repeat(256)), "has 257 tokens and the model takes a text in one step");
    check(Prompt::Tokens(Vec::new()), "the text is empty");
    check(Prompt::Tokens(vec![264]), "token 264, expected less than the vocabulary size 264");
    check(text(&"a".repeat(300 * 64 + 1)), "the prompt has 19201 bytes");
    let check = |texts: Vec<Vec<u32>>, expected: &str| {
        let error = embedder.embed(texts).expect_err("it must be refused");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(Vec::new(), "0 texts found, expected 1 to 2048");
    check(vec![vec![1]; EMBEDDING_TEXTS_MAX + 1], "2049 texts found");
    check(vec![vec![1; 200]; 1501], "300200 tokens together, expected at most 300000");
    check(vec![vec![1], Vec::new()], "the text is empty");
}

#[test]
fn a_model_says_what_it_can_do() {
    let metrics = Metrics::new();
    let models = Models::default();
    models.insert(fake::generator("writer", FakeModel::saying(""), &metrics));
    let only = models.embedder("default").expect("a model serves");
    assert_eq!(only.err(), Some(GenerationError::OnlyGenerates { model: "writer".to_owned() }));
    models.insert(fake_embedder::embedder("encoder", FakeEmbedder::default(), &metrics));
    let id = |model: ServedModel| model.summary().id.clone();
    assert_eq!(models.get("default").map(id), Some("writer".to_owned()));
    let embedder = models.embedder("default").expect("a model serves").expect("it embeds");
    assert_eq!((embedder.summary().id.as_str(), embedder.width()), ("encoder", 4));
    assert!(models.generator("default").is_some_and(|found| found.is_ok()));
    let error = models.generator("encoder").expect("it serves").expect_err("it embeds");
    let expected = "model encoder computes embeddings and generates no text; use /v1/embeddings";
    assert!(error.to_string().starts_with(expected), "{error}");
    let error = models.embedder("writer").expect("it serves").expect_err("it generates");
    let expected = "model writer generates text and computes no embeddings";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(models.embedder("nobody").is_none());
    models.remove("encoder");
    assert_eq!(embedder.state(), ModelState::Draining);
}
