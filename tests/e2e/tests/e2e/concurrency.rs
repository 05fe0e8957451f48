//! Many clients at once: the same bits as alone, room given back on hang-up, a bounded queue.

use crate::stories;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::thread;
use support::{Client, PluginFolder, SHIPPED, TestHost, eventually};

const CLIENTS: usize = 64;
/// As long as the model's context allows.
const LONG: usize = 480;

fn serve(arguments: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let model = format!("stories={}", stories());
    let mut all = vec!["--model", &model];
    all.extend(arguments);
    TestHost::serve(plugins.path(), &all)
}

/// Different prompts, lengths, seeds and temperatures, so that batches are ragged.
fn request(client: usize) -> Value {
    let prompts =
        ["Once upon a time", "Lily and Tom went to the park", "The dog", "One day, a big"];
    let temperature = [0.0, 0.7, 1.3][client % 3];
    json!({
        "model": "stories", "prompt": prompts[client % prompts.len()].repeat(1 + client % 3),
        "max_tokens": 24 + client % 17, "temperature": temperature,
        "seed": client, "logprobs": 3, "stream": true,
    })
}

/// Everything a client sees that must not depend on who else is served.
fn answer(client: &Client, request: &Value) -> Vec<Value> {
    let stream = client.stream("/v1/completions", request);
    assert_eq!(stream.status, 200);
    let choices: Vec<_> = stream.map(|event| event["choices"][0].clone()).collect();
    let text = choices.iter().filter_map(|choice| choice["text"].as_str()).collect::<String>();
    let of = |key: &str| {
        let lists = choices.iter().filter_map(|choice| choice["logprobs"][key].as_array());
        Value::from(lists.flatten().cloned().collect::<Vec<_>>())
    };
    vec![Value::from(text), of("tokens"), of("token_logprobs"), of("top_logprobs")]
}

#[test]
fn sixty_four_streams_equal_their_solo_runs_bit_for_bit() {
    let host = serve(&[]);
    let client = host.client();
    let alone: Vec<_> = (0..CLIENTS).map(|index| answer(&client, &request(index))).collect();
    assert!(alone.iter().all(|seen| seen[2].as_array().is_some_and(|list| list.len() >= 8)));
    let barrier = Barrier::new(CLIENTS);
    let together: Vec<_> = thread::scope(|scope| {
        let run = |index| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                answer(&client, &request(index))
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
    });
    for (index, (alone, together)) in alone.iter().zip(&together).enumerate() {
        assert_eq!(alone, together, "client {index}");
    }
}

/// Value of a metric, summed over its labels.
fn metric(client: &Client, name: &str) -> f64 {
    let page = client.get("/metrics").body;
    let values = page.lines().filter_map(|line| {
        let (key, value) = line.rsplit_once(' ')?;
        (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok()).flatten()
    });
    values.sum()
}

#[test]
fn hanging_up_frees_the_place_and_the_memory() {
    let host = serve(&[]);
    let client = host.client();
    let clients = 16;
    let body = json!({
        "model": "stories", "prompt": "Once upon a time", "max_tokens": LONG, "n": 4,
        "temperature": 1, "seed": 5, "ignore_eos": true, "stream": true,
    });
    let mut streams: Vec<_> =
        (0..clients).map(|_| client.stream("/v1/completions", &body)).collect();
    for stream in &mut streams {
        assert!(stream.next().is_some(), "the stream has begun");
    }
    streams.into_iter().for_each(support::EventStream::cut);
    eventually("no sequence runs and no block is used", || {
        metric(&client, "host_sequences_running") == 0.0
            && metric(&client, "host_requests_waiting") == 0.0
            && metric(&client, "host_kv_blocks_used") == 0.0
    });
    let made = metric(&client, "host_completion_tokens_total");
    let asked = (clients * 4 * LONG) as f64;
    assert!(made < asked / 2.0, "{made} of {asked} tokens were made for clients that had left");
}

#[test]
fn a_full_queue_answers_429_and_says_when_to_come_back() {
    let host = serve(&["--sequences-max", "1", "--queue-max", "2"]);
    let client = host.client();
    let body = json!({
        "model": "stories", "prompt": "Once upon a time", "max_tokens": LONG, "temperature": 0,
        "ignore_eos": true,
    });
    let barrier = Barrier::new(CLIENTS);
    let answers: Vec<_> = thread::scope(|scope| {
        let run = |_| {
            scope.spawn(|| {
                barrier.wait();
                client.post("/v1/completions", &body)
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).collect()
    });
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!(served + refused.len(), CLIENTS, "{answers:?}");
    assert!(served >= 1 && !refused.is_empty(), "{served} of {CLIENTS} were served");
    for answer in refused {
        let seconds = answer.header("retry-after").and_then(|text| text.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds >= 1), "{:?}", answer.headers);
        assert!(answer.json()["error"]["message"].is_string(), "{}", answer.body);
    }
    client.post("/v1/completions", &body).ok();
}
