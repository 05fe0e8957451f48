//! What a request gets back.

use std::time::{Duration, Instant};

use host_engine::{EngineLimits, SamplingParams};
use host_generation::{
    FinishReason, GenerationError, GenerationEvent, GenerationRequest, GenerationStream, Generator,
    ModelEntry, ModelState, Models, Prompt, TokenPiece,
};
use host_metrics::Metrics;

use crate::fake::{self, FakeModel};

/// A choice read to its end.
#[derive(Debug, Default)]
struct Answer {
    deltas: Vec<String>,
    text: String,
    tokens: Vec<TokenPiece>,
    token_count: usize,
    reason: Option<FinishReason>,
    completion_tokens: usize,
    error: Option<GenerationError>,
}

fn read(stream: &mut GenerationStream) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    while let Some(event) = stream.blocking_next() {
        let choice = match &event {
            GenerationEvent::Delta { choice, .. }
            | GenerationEvent::Finished { choice, .. }
            | GenerationEvent::Failed { choice, .. } => *choice,
        };
        if answers.len() <= choice {
            answers.resize_with(choice + 1, Answer::default);
        }
        let answer = &mut answers[choice];
        assert!(answer.reason.is_none() && answer.error.is_none(), "an event after the end");
        match event {
            GenerationEvent::Delta { delta, .. } => {
                answer.text.push_str(&delta.text);
                answer.deltas.push(delta.text);
                answer.tokens.extend(delta.tokens);
                answer.token_count += delta.token_count;
            }
            GenerationEvent::Finished { reason, tokens, .. } => {
                answer.reason = Some(reason);
                answer.completion_tokens = tokens.completion;
            }
            GenerationEvent::Failed { error, .. } => answer.error = Some(error),
        }
    }
    answers
}

fn answer(generator: &Generator, request: GenerationRequest) -> Answer {
    let mut stream = generator.submit(request).expect("the request is taken");
    let mut answers = read(&mut stream);
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The prompt `p`: with BOS two tokens, so the completion is the script from its third byte on.
fn request() -> GenerationRequest {
    let prompt = Prompt::Text { text: "p".to_owned(), add_special: true };
    GenerationRequest { prompt, ..GenerationRequest::default() }
}

fn generator(completion: &str) -> Generator {
    fake::generator("fake", FakeModel::saying(&format!("..{completion}")), &Metrics::new())
}

#[test]
fn an_end_token_ends_the_text_and_is_counted() {
    let found = answer(&generator("hello"), request());
    assert_eq!((found.text.as_str(), found.reason), ("hello", Some(FinishReason::Stop)));
    assert_eq!((found.completion_tokens, found.token_count), (6, 5));
    assert_eq!(found.deltas, ["h", "e", "l", "l", "o"]);
}

#[test]
fn tokens_max_ends_the_text_with_length() {
    let found = answer(&generator("hello"), GenerationRequest { tokens_max: Some(3), ..request() });
    assert_eq!((found.text.as_str(), found.reason), ("hel", Some(FinishReason::Length)));
    assert_eq!((found.completion_tokens, found.token_count), (3, 3));
}

#[test]
fn ignore_eos_goes_on_to_the_end_of_the_context() {
    let limits = EngineLimits { context_length: 32, ..fake::limits() };
    let model = FakeModel::saying("..abc");
    let generator =
        Generator::spawn_with(fake::parts("fake", limits), model, Metrics::new()).unwrap();
    let found = answer(&generator, GenerationRequest { ignore_eos: true, ..request() });
    assert_eq!((found.completion_tokens, found.reason), (30, Some(FinishReason::Length)));
}

/// The text, the reason and the tokens counted with these stop sequences.
#[track_caller]
fn check_stop(completion: &str, stop: &[&str], text: &str, reason: FinishReason, tokens: usize) {
    let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
    let found = answer(
        &generator(completion),
        GenerationRequest { stop: stop.clone(), logprobs: Some(1), ..request() },
    );
    assert_eq!((found.text.as_str(), found.reason), (text, Some(reason)), "{stop:?}");
    assert_eq!(found.completion_tokens, tokens, "{stop:?}");
    let joined: Vec<u8> = found.tokens.iter().flat_map(|piece| piece.bytes.clone()).collect();
    assert_eq!(String::from_utf8_lossy(&joined), text, "logprobs cover the text and no more");
}

#[test]
fn stop_sequences_end_the_text_before_them() {
    check_stop("one two three", &["two"], "one ", FinishReason::Stop, 7);
    check_stop("one two three", &["nope", " t"], "one", FinishReason::Stop, 5);
    check_stop("one", &["one"], "", FinishReason::Stop, 3);
    check_stop("one", &["e\n"], "one", FinishReason::Stop, 4);
    check_stop("naïve 日本", &["日本"], "naïve ", FinishReason::Stop, 13);
}

#[test]
fn a_character_is_never_split_over_deltas() {
    let text = "é😀日本語 مرحبا";
    let found = answer(&generator(text), request());
    assert_eq!(found.text, text);
    assert!(found.deltas.iter().all(|delta| !delta.contains('\u{fffd}')), "{:?}", found.deltas);
    let cut = answer(&generator(text), GenerationRequest { tokens_max: Some(3), ..request() });
    assert!(cut.text.starts_with('é') && cut.text.contains('\u{fffd}'), "{:?}", cut.text);
}

#[test]
fn logprobs_carry_ids_bytes_and_rivals() {
    let found = answer(&generator("ab"), GenerationRequest { logprobs: Some(2), ..request() });
    let ids: Vec<u32> = found.tokens.iter().map(|piece| piece.id).collect();
    assert_eq!(ids, [u32::from(b'a'), u32::from(b'b')]);
    let first = &found.tokens[0];
    assert_eq!(
        (first.text.as_str(), first.bytes.as_slice(), first.text_offset),
        ("a", &b"a"[..], 0)
    );
    assert_eq!(found.tokens[1].text_offset, 1);
    let top: Vec<&str> = first.top.iter().map(|top| top.text.as_str()).collect();
    assert_eq!(top, ["a", "~"]);
    assert_eq!(first.logprob, Some(first.top[0].logprob));
    assert!(first.top[0].logprob > first.top[1].logprob && first.top[0].logprob < 0.0);
}

#[test]
fn echo_begins_with_the_scored_prompt() {
    let prompt = Prompt::Text { text: "..x".to_owned(), add_special: false };
    let base = GenerationRequest { prompt, tokens_max: Some(2), ..GenerationRequest::default() };
    let model = || FakeModel::saying("...cd");
    let generator = fake::generator("fake", model(), &Metrics::new());
    let plain = answer(&generator, GenerationRequest { echo: true, ..base.clone() });
    assert_eq!((plain.text.as_str(), plain.tokens.len()), ("..xcd", 0));
    let scored =
        answer(&generator, GenerationRequest { echo: true, logprobs: Some(1), ..base.clone() });
    assert_eq!(scored.text, "..xcd");
    let logprobs: Vec<Option<f32>> = scored.tokens.iter().map(|piece| piece.logprob).collect();
    assert_eq!(logprobs.len(), 5);
    assert!(logprobs[0].is_none() && logprobs[1..].iter().all(Option::is_some), "{logprobs:?}");
    // The script has a dot where the prompt has an x.
    assert!(logprobs[1] > Some(-1.0) && logprobs[2] < Some(-10.0), "{logprobs:?}");
    let offsets: Vec<usize> = scored.tokens.iter().map(|piece| piece.text_offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
    let tokens = GenerationRequest {
        prompt: Prompt::Tokens(b"..x".map(u32::from).to_vec()),
        tokens_max: Some(0),
        echo: true,
        logprobs: Some(0),
        ..base
    };
    let prompt_only = answer(&generator, tokens);
    assert_eq!((prompt_only.text.as_str(), prompt_only.tokens.len()), ("..x", 3));
    assert_eq!(prompt_only.reason, Some(FinishReason::Length));
}

fn sampled(seed: Option<u64>, choices: usize) -> Vec<String> {
    let sampling = SamplingParams { temperature: 2.0, ..SamplingParams::default() };
    let request = GenerationRequest {
        sampling,
        seed,
        choices,
        tokens_max: Some(40),
        ignore_eos: true,
        ..request()
    };
    let mut stream = generator("a story that goes on and on").submit(request).unwrap();
    read(&mut stream).into_iter().map(|answer| answer.text).collect()
}

#[test]
fn seeds_repeat_and_choices_differ() {
    let first = sampled(Some(7), 3);
    assert_eq!(first.len(), 3);
    assert_eq!(first, sampled(Some(7), 3));
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_eq!(first[1..], sampled(Some(8), 2), "choice i has the seed + i");
    assert_ne!(sampled(None, 1), sampled(None, 1));
}

/// Waits for another thread, without sleeping, up to ten seconds.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn in_flight(metrics: &Metrics, count: usize) -> bool {
    let line = format!("host_requests_in_flight{{model=\"fake\"}} {count}\n");
    metrics.encode().contains(&line)
}

#[test]
fn dropping_the_stream_frees_its_places_within_a_step() {
    let metrics = Metrics::new();
    let (model, gate) = FakeModel::saying("..").gated();
    let generator = fake::generator("fake", model, &metrics);
    let endless = GenerationRequest { ignore_eos: true, choices: 16, ..request() };
    let first = generator.submit(endless.clone()).unwrap();
    let second = generator.submit(endless.clone()).unwrap();
    let full = generator.submit(request()).expect_err("32 places are taken");
    assert_eq!(full, GenerationError::QueueFull { live: 32, limit: 32, retry_after_s: 1 });
    assert!(in_flight(&metrics, 2));
    drop(first);
    // One step may be under way, the next one sees the letter.
    gate.send(()).unwrap();
    gate.send(()).unwrap();
    wait_until("the places of the dropped stream are free", || {
        generator.submit(endless.clone()).map(drop).is_ok()
    });
    drop(second);
    drop(gate);
    wait_until("nothing is in flight", || in_flight(&metrics, 0));
}

#[test]
fn a_slow_reader_is_paused_and_misses_nothing() {
    let script: String = (0..1500).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    let generator = generator(&script);
    let mut slow = generator.submit(GenerationRequest { choices: 2, ..request() }).unwrap();
    // The others finish although nobody reads the first.
    for _ in 0..3 {
        let found = answer(&generator, GenerationRequest { tokens_max: Some(600), ..request() });
        assert_eq!(found.text, script[..600]);
    }
    for found in read(&mut slow) {
        assert_eq!(found.text, script);
        assert_eq!(found.reason, Some(FinishReason::Stop));
    }
}

#[test]
fn a_stuck_reader_loses_its_place_to_others() {
    let script: String = "ab".repeat(750);
    let metrics = Metrics::new();
    let limits = EngineLimits { sequences_max: 1, queue_max: 0, ..fake::limits() };
    let mut parts = fake::parts("fake", limits);
    parts.reader_patience = Duration::from_millis(50);
    let model = FakeModel::saying(&script);
    let generator = Generator::spawn_with(parts, model, metrics.clone()).expect("it starts");
    let mut stuck = generator.submit(request()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // There is one place, which the first has until it is given up.
    let other = GenerationRequest { tokens_max: Some(5), ..request() };
    let mut other = loop {
        match generator.submit(other.clone()) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    };
    assert_eq!(read(&mut other)[0].text, script[2..7]);
    let found = read(&mut stuck).remove(0);
    assert_eq!(found.error, Some(GenerationError::ReaderStuck));
    assert!(script[2..].starts_with(&found.text) && !found.text.is_empty());
    assert!(metrics.encode().contains("host_answers_total{model=\"fake\",reason=\"abort\"} 1\n"));
}

#[test]
fn a_failed_step_fails_its_request_only() {
    let metrics = Metrics::new();
    let model = FakeModel::saying("..ok").failing_after(0, false);
    let generator = fake::generator("fake", model, &metrics);
    let failed = answer(&generator, request());
    let plugin = "fake-compute".to_owned();
    let message = "matmul went wrong".to_owned();
    assert_eq!(failed.error, Some(GenerationError::Model { plugin, message }));
    assert_eq!(generator.state(), ModelState::Ready);
    assert_eq!(answer(&generator, request()).text, "ok");
    assert!(metrics.encode().contains("host_plugin_faults_total{plugin=\"fake-compute\"} 1\n"));
}

#[test]
fn a_panic_of_a_plugin_takes_the_model_out_of_service() {
    let model = FakeModel::saying("..ok").failing_after(0, true);
    let generator = fake::generator("fake", model, &Metrics::new());
    let failed = answer(&generator, request());
    let (plugin, message) = ("fake-compute".to_owned(), "matmul went wrong".to_owned());
    let faulted = GenerationError::Faulted { plugin: plugin.clone(), message: message.clone() };
    assert_eq!(failed.error, Some(faulted.clone()));
    assert_eq!(generator.state(), ModelState::Faulted { plugin, message });
    assert_eq!(generator.submit(request()).expect_err("it is out of service"), faulted);
}

#[test]
fn shutdown_finishes_what_runs_and_takes_nothing_new() {
    let (model, gate) = FakeModel::saying("..hello").gated();
    let generator = fake::generator("fake", model, &Metrics::new());
    let mut running = generator.submit(request()).unwrap();
    generator.shutdown();
    assert_eq!(generator.state(), ModelState::Draining);
    let refused = generator.submit(request()).expect_err("it drains");
    assert_eq!(refused, GenerationError::ShuttingDown);
    drop(gate);
    assert_eq!(read(&mut running)[0].text, "hello");
}

/// The field that the request's error names.
#[track_caller]
fn check_refused(request: GenerationRequest, param: &str) {
    let error = match generator("x").submit(request) {
        Ok(mut stream) => read(&mut stream).remove(0).error.expect("an error"),
        Err(error) => error,
    };
    match error {
        GenerationError::InvalidRequest { param: found, .. } => assert_eq!(found, param),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_out_of_range_are_refused_by_field() {
    let tokens = |tokens: &[u32]| GenerationRequest {
        prompt: Prompt::Tokens(tokens.to_vec()),
        ..GenerationRequest::default()
    };
    let sampling = |sampling| GenerationRequest { sampling, ..request() };
    check_refused(tokens(&[]), "prompt");
    check_refused(tokens(&[5, 9999]), "prompt");
    check_refused(GenerationRequest { choices: 0, ..request() }, "n");
    check_refused(GenerationRequest { choices: 17, ..request() }, "n");
    check_refused(GenerationRequest { stop: vec![String::new()], ..request() }, "stop");
    check_refused(GenerationRequest { stop: vec!["x".to_owned(); 17], ..request() }, "stop");
    check_refused(GenerationRequest { stop: vec!["x".repeat(5000)], ..request() }, "stop");
    check_refused(GenerationRequest { logprobs: Some(21), ..request() }, "logprobs");
    let greedy = SamplingParams::default;
    check_refused(sampling(SamplingParams { temperature: -1.0, ..greedy() }), "temperature");
    check_refused(sampling(SamplingParams { top_p: 7.0, ..greedy() }), "top_p");
    check_refused(
        sampling(SamplingParams { logit_bias: vec![(9999, 1.0)], ..greedy() }),
        "logit_bias",
    );
}

#[test]
fn prompts_longer_than_the_context_are_refused() {
    let generator = generator("x");
    let submit = |prompt, tokens_max| {
        generator.submit(GenerationRequest { prompt, tokens_max, ..request() }).map(drop)
    };
    let tokens = |count| Prompt::Tokens(vec![65; count]);
    let too_long = |tokens| Err(GenerationError::PromptTooLong { tokens, limit: 2048 });
    assert_eq!(submit(tokens(2047), Some(1)), Ok(()));
    assert_eq!(submit(tokens(2048), Some(1)), too_long(2048));
    assert_eq!(submit(tokens(2048), Some(0)), Ok(()));
    let text = Prompt::Text { text: "a".repeat(1 << 20), add_special: true };
    let (bytes, bytes_max, limit) = (1 << 20, 2048 * 64, 2048);
    let expected = GenerationError::PromptTextTooLong { bytes, bytes_max, limit };
    assert_eq!(submit(text, Some(1)), Err(expected));
}

#[test]
fn models_are_found_by_id_and_by_default() {
    let models = Models::default();
    assert!(models.get("default").is_none() && !models.is_ready());
    models.insert_failure("broken", "no plugin for it".to_owned());
    assert_eq!(models.failure("broken").as_deref(), Some("no plugin for it"));
    assert!(models.get("broken").is_none() && models.get("default").is_none());
    let metrics = Metrics::new();
    models.insert(fake::generator("a", FakeModel::saying("..a"), &metrics));
    models.insert(fake::generator("b", FakeModel::saying("..b"), &metrics));
    models.insert(fake::generator("broken", FakeModel::saying("..c"), &metrics));
    models.insert_failure("a", "a reload failed".to_owned());
    let ids: Vec<String> =
        models.list().iter().map(|entry: &ModelEntry| entry.id().to_owned()).collect();
    assert_eq!(ids, ["broken", "a", "b"]);
    assert_eq!(models.get("default").map(|it| it.summary().id.clone()).as_deref(), Some("broken"));
    let removed = models.get("broken").unwrap();
    assert!(models.remove("broken").is_some() && models.remove("broken").is_none());
    assert_eq!(removed.state(), ModelState::Draining);
    let default = models.generator("default").unwrap().expect("it generates");
    assert_eq!(answer(&default, request()).text, "a");
    models.shutdown();
    assert!(!models.is_ready() && models.get("b").is_some());
}
