//! The starter model as a newcomer meets it: it answers about the host, calls tools, writes JSON and
//! stops by itself. How often it is right on what it has not seen is told in its model card.

use crate::joined_servers::configuration;
use crate::mcp_peer::Peer;
use crate::text;
use serde_json::{Value, json};
use support::{Client, PluginFolder, SHIPPED, Scratch, TestHost, eventually, root, run_host};

const CHAT: &str = "/v1/chat/completions";

fn starter() -> String {
    let file = root().join("models/starter/starter-q8_0.gguf");
    format!("starter={}", text(&file))
}

fn serve(flags: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    TestHost::serve(plugins.path(), &[&["--model", &*starter()], flags].concat())
}

fn asked(question: &str) -> Value {
    let messages = json!([{"role": "user", "content": question}]);
    json!({"model": "starter", "messages": messages, "temperature": 0, "max_tokens": 120})
}

/// The text of the answer, which has come to its own end.
fn answer(client: Client, body: &Value) -> String {
    let whole = client.post(CHAT, body).ok();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "stop", "{whole}");
    choice["message"]["content"].as_str().expect("a text").to_owned()
}

#[test]
fn it_knows_the_host_and_says_what_it_is() {
    let host = serve(&[]);
    let client = host.client();
    for (question, key) in [
        ("How do I choose another port?", "--port"),
        ("Which command shows the plugins?", "host plugins list"),
        ("Hello!", "Hello"),
        ("Write a poem about a river.", "demonstration"),
    ] {
        let said = answer(client, &asked(question));
        assert!(said.contains(key), "{question} {said}");
    }
    let mut streamed = asked("How do I choose another port?");
    streamed["stream"] = json!(true);
    let pieces: String = client
        .stream(CHAT, &streamed)
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert!(pieces.contains("--port"), "{pieces}");
}

#[test]
fn it_answers_in_json() {
    let host = serve(&[]);
    let said = answer(host.client(), &asked("Write name Anna, age 31 as JSON."));
    let object: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(object, json!({"name": "Anna", "age": 31}));
}

#[test]
fn it_calls_a_tool_and_uses_the_result() {
    let host = serve(&[]);
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let about = "Current weather of a city";
    let function = json!({"name": "get_weather", "description": about, "parameters": parameters});
    let mut body = asked("What is the weather in Lisbon?");
    body["tools"] = json!([{"type": "function", "function": function}]);
    let whole = host.client().post(CHAT, &body).ok();
    let message = &whole["choices"][0]["message"];
    let call = &message["tool_calls"][0];
    assert_eq!(call["function"]["name"], "get_weather", "{whole}");
    let arguments = call["function"]["arguments"].as_str().expect("arguments");
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    assert_eq!(arguments, json!({"city": "Lisbon"}));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");

    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(message.clone());
    let result =
        json!({"role": "tool", "tool_call_id": call["id"], "content": "{\"temperature\": 17}"});
    messages.push(result);
    let said = answer(host.client(), &body);
    assert!(said.contains("17"), "{said}");
}

#[test]
fn it_uses_the_tools_of_a_joined_server_in_a_chat() {
    let scratch = Scratch::new();
    let (file, _) = configuration(&scratch, &[("alpha", "alpha", "")]);
    let host = serve(&["--mcp-config", text(&file)]);
    eventually("the server is joined", || {
        Peer::modern(host.client(), None).tools().contains(&"alpha__echo".to_owned())
    });
    let mut body = asked("Use alpha__echo with text copper.");
    body["mcp_tools"] = json!(["alpha__echo"]);
    let whole = host.client().post(CHAT, &body).ok();
    let calls = whole["agentic_tool_calls"].as_array().expect("calls");
    assert_eq!(calls.len(), 1, "{whole}");
    assert_eq!(calls[0]["result_content"], "alpha:copper", "{whole}");
    let said = whole["choices"][0]["message"]["content"].as_str().expect("an answer");
    assert!(said.contains("copper"), "{whole}");
}

#[test]
fn clients_of_mcp_chat_with_it() {
    let host = serve(&[]);
    let peer = Peer::modern(host.client(), None);
    let question = "How do I choose another port?";
    let messages = json!([{"role": "user", "content": question}]);
    let answer = peer.call("chat", &json!({"messages": messages, "temperature": 0}));
    assert!(answer.result().to_string().contains("--port"), "{answer:?}");
}

#[test]
fn its_checkpoint_in_full_precision_can_be_quantized_while_it_is_loaded() {
    let plugins = PluginFolder::with(SHIPPED);
    let folder = root().join("models/starter/safetensors");
    let run = |more: &[&str]| {
        let own = ["run", "--temperature", "0", "--plugins", text(plugins.path()), text(&folder)];
        run_host([&own, more].concat())
    };
    let question = "How do I choose another port?";
    for flags in [&[question][..], &[question, "--isq", "q8_0"]] {
        let done = run(flags);
        assert!(done.status.success(), "{}", done.stderr);
        assert!(done.stdout.contains("--port"), "{flags:?}: {}", done.stdout);
    }
}
