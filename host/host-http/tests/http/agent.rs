//! Chats whose tools the host runs itself: the loop as clients see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use host_generation::Generator;
use host_http::{AgentOptions, ApiKeys, HttpOptions};
use host_tools::agent::Permission;
use host_tools::{
    Answer, Catalog, Context, Glob, Map, Owner, Provider, Settings, Tool, ToolOutcome, ToolRegistry,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fake::{self, FakeModel};
use crate::test_host::{TestHost, chat};

const CHAT: &str = "/v1/chat/completions";

/// Shows all there is of a message, calls and results too.
const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<|turn|>{{ m.role }}:{{ m.content }}\
{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %};{% endfor %}\
{% if add_generation_prompt %}<|turn|>assistant:{% endif %}";

/// Tools of a server: `x__echo` answers, `x__hang` does not, `x__danger` needs approval.
struct Tools {
    catalog: Arc<Catalog>,
    changes: watch::Sender<u64>,
    running: Arc<AtomicUsize>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tools {
    fn new() -> Arc<Self> {
        let schema = json!({"type": "object", "properties": {"text": {"enum": ["one", "two"]}},
            "required": ["text"], "additionalProperties": false});
        let tool = |name: &str| {
            let schema = schema.as_object().expect("an object").clone();
            Tool::new(name, "", schema, Owner::Server("x".into()))
        };
        let mut tools: Vec<Tool> = ["x__echo", "x__hang", "x__danger"].map(tool).into();
        tools[2].needs_approval = true;
        let tools = tools.into_iter().map(Arc::new).collect();
        Arc::new(Self {
            catalog: Arc::new(Catalog { tools, ..Catalog::default() }),
            changes: watch::Sender::new(0),
            running: Arc::default(),
        })
    }
}

impl Provider for Tools {
    fn name(&self) -> &'static str {
        "x"
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        _: Context,
    ) -> Answer<'a, ToolOutcome> {
        Box::pin(async move {
            self.running.fetch_add(1, Ordering::SeqCst);
            let _counted = Counted(Arc::clone(&self.running));
            if name == "x__hang" {
                std::future::pending::<()>().await;
            }
            Ok(ToolOutcome::text(format!("said {}", arguments["text"].as_str().unwrap_or("?"))))
        })
    }
}

/// What the operator may set.
#[derive(Clone, Copy, Default)]
struct Operator {
    profile: &'static [&'static str],
    permission: Permission,
    keys: Option<&'static str>,
}

struct Scene {
    host: TestHost,
    tools: Arc<Tools>,
}

impl Scene {
    /// A host whose model gives these answers, each to the conversation that the ones before led to.
    async fn new(operator: Operator, answers: &[&str]) -> Self {
        let measure = Self::saying(operator, "");
        let mut script = String::new();
        let mut messages = chat(json!({}))["messages"].as_array().expect("messages").clone();
        for answer in answers {
            let body = json!({"model": "fake", "messages": messages});
            let mut request = Request::post("/tokenize").header("host", "localhost");
            if operator.keys.is_some() {
                request = request.header("authorization", "Bearer sk-all");
            }
            let measured = measure.host.call(request.body(body.to_string().into()).expect("one"));
            let length = measured.await.json()["tokens"].as_array().expect("tokens").len();
            let known = fake::tokenizer().encode(&script, false).expect("bytes").len();
            let gap = length.checked_sub(known).expect("a conversation grows");
            script += &".".repeat(gap);
            script += answer;
            script += "</s>";
            messages.extend(turn(answer));
        }
        Self::saying(operator, &script)
    }

    fn saying(operator: Operator, script: &str) -> Self {
        let (registry, tools) = (ToolRegistry::new(Settings::default()), Tools::new());
        registry.add(Arc::<Tools>::clone(&tools));
        let agent = AgentOptions {
            registry,
            profile: operator.profile.iter().map(|text| Glob::new(text)).collect(),
            permission: operator.permission,
            time_max: Duration::from_secs(60),
        };
        let keys = operator.keys.map(keys).unwrap_or_default();
        let options = HttpOptions { agent: Some(agent), keys, ..HttpOptions::default() };
        let host = TestHost::empty(options);
        let mut parts = fake::parts("fake", fake::limits());
        parts.chat_template = Some(TEMPLATE.to_owned());
        let model = FakeModel::saying(script);
        let generator = Generator::spawn_with(parts, model, host.metrics.clone());
        host.state.models().insert(generator.expect("the limits agree"));
        Self { host, tools }
    }

    async fn refusal(&self, more: Value) -> (StatusCode, String, String) {
        let answer = self.host.post(CHAT, &chat(more)).await;
        let error = answer.json()["error"].clone();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (answer.status, text("param"), text("message"))
    }

    async fn until_running(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.tools.running.load(Ordering::SeqCst) != count {
            assert!(Instant::now() < deadline, "not {count} calls are running");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn keys(lines: &str) -> ApiKeys {
    let folder = std::env::temp_dir();
    let file = folder.join(format!("agent-keys-{}-{}", std::process::id(), lines.len()));
    std::fs::write(&file, lines).expect("the folder can be written to");
    let keys = ApiKeys::read(&file).expect("keys");
    std::fs::remove_file(&file).ok();
    keys
}

fn call(name: &str, text: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {{\"text\": \"{text}\"}}}}\n</tool_call>"
    )
}

/// The messages that an answer of text and calls of `x__echo` leads to.
fn turn(answer: &str) -> Vec<Value> {
    let text = answer.split("<tool_call>").next().unwrap_or_default().trim_end();
    let parsed = answer.split("<tool_call>").skip(1).map(|rest| {
        let json = rest.split("</tool_call>").next().unwrap_or_default();
        serde_json::from_str::<Value>(json).expect("a call")
    });
    let id = format!("call_{}", "0".repeat(24));
    let calls: Vec<Value> = parsed
        .map(|function| json!({"id": id, "type": "function", "function": function}))
        .collect();
    let results = calls.iter().map(|call| {
        let said = call["function"]["arguments"]["text"].as_str().expect("a text");
        json!({"role": "tool", "tool_call_id": id, "content": format!("said {said}")})
    });
    let results: Vec<Value> = results.collect();
    let message = json!({"role": "assistant", "content": text, "tool_calls": calls});
    std::iter::once(message).chain(results).collect()
}

/// The events of a stream, each with its name.
async fn named_events(scene: &Scene, more: Value) -> Vec<(String, Value)> {
    let mut body = chat(more);
    body["stream"] = json!(true);
    let answer = scene.host.post(CHAT, &body).await;
    let (events, _) = answer.text.split_once("data: [DONE]\n\n").expect("the last word");
    let event = |text: &str| {
        let named = text.strip_prefix("event: ").and_then(|rest| rest.split_once('\n'));
        let (name, data) = named.unwrap_or(("", text));
        let data = data.strip_prefix("data: ").expect("data");
        (name.to_owned(), serde_json::from_str(data).expect("JSON"))
    };
    events.split_terminator("\n\n").map(event).collect()
}

fn two_rounds() -> [String; 3] {
    let both = format!("I look.\n{}\n{}", call("x__echo", "one"), call("x__echo", "two"));
    [both, call("x__echo", "one"), "All was said.".to_owned()]
}

async fn scene(operator: Operator, answers: &[String]) -> Scene {
    let answers: Vec<_> = answers.iter().map(String::as_str).collect();
    Scene::new(operator, &answers).await
}

#[tokio::test]
async fn the_host_runs_tools_until_there_is_an_answer() {
    let scene = scene(Operator::default(), &two_rounds()).await;
    let more = json!({"mcp_tools": ["x__*"], "temperature": 0});
    let whole = scene.host.ok(CHAT, &chat(more.clone())).await;
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"]["content"], "I look.\n\nAll was said.", "{whole}");
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["message"].get("tool_calls").is_none() && whole.get("agentic_stop").is_none());
    let calls = whole["agentic_tool_calls"].as_array().expect("calls");
    let parts = |call: &Value| {
        (call["round"].clone(), call["name"].clone(), call["result_content"].clone())
    };
    let expected = [(0, "said one"), (0, "said two"), (1, "said one")]
        .map(|(round, result)| (json!(round), json!("x__echo"), json!(result)));
    assert_eq!(calls.iter().map(parts).collect::<Vec<_>>(), expected);
    assert!(calls.iter().all(|call| call["is_error"] == false), "{calls:?}");
    let arguments = calls[1]["arguments"].as_str().expect("text");
    assert_eq!(serde_json::from_str::<Value>(arguments).expect("JSON"), json!({"text": "two"}));

    let mut more = more;
    more["stream_options"] = json!({"include_usage": true});
    let events = named_events(&scene, more).await;
    let content: String = events
        .iter()
        .filter_map(|(_, event)| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(content, "I look.\n\nAll was said.");
    let usage = &events.last().expect("events").1["usage"];
    // What was cached is another matter the second time.
    for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert_eq!(usage[count], whole["usage"][count], "the sum of all turns");
    }
    assert!(usage["prompt_tokens"].as_u64() > Some(200), "{usage}");
    let progress: Vec<_> =
        events.iter().filter(|(name, _)| name == "agentic_tool_call_progress").collect();
    assert_eq!(progress.len(), 6);
    let first = &progress[0].1;
    assert_eq!(first["type"], "agentic_tool_call_progress");
    assert_eq!((&first["round"], &first["phase"]), (&json!(0), &json!("calling")));
    assert_eq!((&first["tool_name"], &first["choices"]), (&json!("x__echo"), &json!([])));
    let last = &progress[5].1;
    assert_eq!((&last["round"], &last["phase"]), (&json!(1), &json!("complete")));
    assert_eq!(last["data"]["content"], "said one");
    scene.host.wait_idle();
}

#[tokio::test]
async fn a_call_that_is_asked_for_is_asked_for_once() {
    let scene = scene(Operator::default(), &two_rounds()).await;
    let named = json!({"type": "function", "function": {"name": "x__echo"}});
    let more = json!({"mcp_tools": ["x__echo"], "tool_choice": named, "temperature": 0});
    let whole = scene.host.ok(CHAT, &chat(more)).await;
    let calls = whole["agentic_tool_calls"].as_array().expect("calls");
    assert_eq!(calls[0]["name"], "x__echo");
    let said = calls[0]["result_content"].as_str().expect("a result");
    assert!(["said one", "said two"].contains(&said), "as the schema has it: {whole}");
    assert_ne!(whole["choices"][0]["finish_reason"], "tool_calls", "{whole}");
}

#[tokio::test]
async fn the_answer_ends_with_what_is_the_clients_to_run() {
    let both = format!("{}\n{}", call("own", "one"), call("x__echo", "two"));
    let scene = scene(Operator::default(), &[both]).await;
    let own = json!([{"type": "function", "function": {"name": "own"}}]);
    let more = json!({"mcp_tools": ["x__echo"], "tools": own, "temperature": 0});
    let whole = scene.host.ok(CHAT, &chat(more.clone())).await;
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "own", "{whole}");
    assert_eq!(choice["message"]["tool_calls"].as_array().map(Vec::len), Some(1));
    assert_eq!(whole["agentic_tool_calls"][0]["result_content"], "said two");
    let events = named_events(&scene, more).await;
    let deltas = events.iter().map(|(_, event)| &event["choices"][0]["delta"]["tool_calls"][0]);
    let names: Vec<_> = deltas.filter_map(|call| call["function"]["name"].as_str()).collect();
    assert_eq!(names, ["own"]);
    let last = &events.last().expect("events").1;
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn a_person_is_asked_at_the_client() {
    let answers = [call("x__danger", "one"), "No.".to_owned()];
    let ask = |operator, more: Value| {
        let answers = answers.clone();
        async move {
            let scene = scene(operator, &answers).await;
            let body = json!({"mcp_tools": ["*"], "temperature": 0, "agent_permission": more});
            scene.host.ok(CHAT, &chat(body)).await
        }
    };
    for permission in [json!(null), json!("auto"), json!("ask")] {
        let whole = ask(Operator::default(), permission).await;
        let message = &whole["choices"][0]["message"];
        assert_eq!(message["tool_calls"][0]["function"]["name"], "x__danger", "{whole}");
        assert_eq!(whole["agentic_tool_calls"], json!([]));
    }
    let strict = Operator { permission: Permission::Deny, ..Operator::default() };
    for whole in [ask(Operator::default(), json!("deny")).await, ask(strict, json!("auto")).await] {
        let call = &whole["agentic_tool_calls"][0];
        assert_eq!((&call["is_error"], &call["name"]), (&json!(true), &json!("x__danger")));
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_name() {
    let scene = Scene::saying(Operator::default(), "");
    let own = json!([{"type": "function", "function": {"name": "x__echo"}}]);
    for (more, named) in [
        (json!({"mcp_tools": ["y__*"]}), "mcp_tools[0]"),
        (json!({"mcp_tools": ["x__*", ""]}), "mcp_tools[1]"),
        (json!({"mcp_tools": ["x__*", 1]}), "mcp_tools[1]"),
        (json!({"mcp_tools": "x__*"}), "mcp_tools"),
        (json!({"mcp_tools": vec!["x"; 65]}), "mcp_tools"),
        (json!({"mcp_tools": ["x__*"], "tools": own}), "tools"),
        (json!({"mcp_tools": ["x__*"], "n": 2}), "n"),
        (json!({"mcp_tools": ["x__*"], "max_tool_rounds": 0}), "max_tool_rounds"),
        (json!({"mcp_tools": ["x__*"], "max_tool_rounds": 33}), "max_tool_rounds"),
        (json!({"mcp_tools": ["x__*"], "agent_permission": "never"}), "agent_permission"),
        (json!({"mcp_tools": ["x__*"], "tool_choice": {"function": {"name": "z"}}}), "tool_choice"),
    ] {
        let (status, param, message) = scene.refusal(more.clone()).await;
        assert_eq!((status.as_u16(), &*param), (400, named), "{more}: {message}");
        assert!(message.contains(named), "{message}");
    }
    let without = TestHost::saying("").post(CHAT, &chat(json!({"mcp_tools": ["x__*"]}))).await;
    assert_eq!(without.status.as_u16(), 400);
    assert_eq!(without.json()["error"]["param"], "mcp_tools");
}

#[tokio::test]
async fn the_operator_bounds_what_a_model_may_call() {
    let operator = Operator { profile: &["x__echo"], ..Operator::default() };
    let scene = scene(operator, &two_rounds()).await;
    let whole = scene.host.ok(CHAT, &chat(json!({"temperature": 0}))).await;
    let calls = whole["agentic_tool_calls"].as_array().expect("on without being asked for");
    assert_eq!(calls.len(), 3);
    let (status, param, _) = scene.refusal(json!({"mcp_tools": ["x__hang"]})).await;
    assert_eq!((status.as_u16(), &*param), (400, "mcp_tools[0]"));
    let off = scene.host.ok(CHAT, &chat(json!({"mcp_tools": [], "temperature": 0}))).await;
    assert!(off.get("agentic_tool_calls").is_none(), "{off}");
    // A client that knows nothing of it keeps a tool of the same name for itself.
    let own = json!([{"type": "function", "function": {"name": "x__echo"}}]);
    let plain = scene.host.ok(CHAT, &chat(json!({"tools": own, "temperature": 0}))).await;
    assert_eq!(plain["choices"][0]["message"]["tool_calls"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_key_that_may_not_call_a_tool_cannot_have_a_model_call_it() {
    let lines = "all sk-all\nsome sk-some infer\n";
    let operator = Operator { keys: Some(lines), ..Operator::default() };
    let scene = scene(operator, &two_rounds()).await;
    for (key, status) in [("sk-all", 200), ("sk-some", 400)] {
        let request = Request::post(CHAT)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {key}"))
            .body(Body::from(chat(json!({"mcp_tools": ["x__echo"]})).to_string()));
        let answer = scene.host.call(request.expect("a request")).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_calls_with_it() {
    let hang = [call("x__hang", "one")];
    let scene = scene(Operator::default(), &hang).await;
    let more = json!({"mcp_tools": ["x__hang"], "temperature": 0});
    let mut streamed = chat(more.clone());
    streamed["stream"] = json!(true);
    let mut body = scene.host.open(CHAT, &streamed).await;
    let mut seen = String::new();
    while !seen.contains("agentic_tool_call_progress") {
        let frame = body.frame().await.expect("it goes on").expect("the body never fails");
        seen += &String::from_utf8_lossy(frame.data_ref().expect("data"));
    }
    tokio::select! {
        frame = body.frame() => unreachable!("{frame:?}"),
        () = scene.until_running(1) => {}
    }
    drop(body);
    scene.until_running(0).await;
    let whole = chat(more);
    tokio::select! {
        answer = scene.host.post(CHAT, &whole) => unreachable!("{answer:?}"),
        () = scene.until_running(1) => {}
    }
    scene.until_running(0).await;
    scene.host.wait_idle();
}

#[tokio::test]
async fn tokens_are_those_of_the_whole_answer() {
    let scene = scene(Operator::default(), &two_rounds()).await;
    let more = json!({"mcp_tools": ["x__*"], "temperature": 0, "max_tokens": 240});
    let whole = scene.host.ok(CHAT, &chat(more)).await;
    assert_eq!(whole["choices"][0]["finish_reason"], "length", "{whole}");
    assert!(whole["usage"]["completion_tokens"].as_u64() <= Some(240), "{whole}");
    assert!(!whole["agentic_tool_calls"].as_array().expect("calls").is_empty());
}
