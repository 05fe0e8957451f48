//! Tool calls and thoughts in the forms that families of models have.
//!
//! The fake model says nothing of the kind, so what a forced call looks like is chance within its
//! grammar: whatever comes, the parser must read it as a call that the schema allows.

use std::sync::Arc;

use host_engine::SamplingParams;
use host_generation::{
    FinishReason, GenerationEvent, GenerationRequest, Generator, Grammar, Prompt, Rule, Tool,
    ToolChoice, Tools,
};
use host_metrics::Metrics;
use host_model::{CallSyntax, ChatConventions, ReasoningForm, ToolCallForm};
use serde_json::{Value, json};

use crate::fake::{self, FakeModel};

/// Forms of every syntax, with marks that are text and marks that are control tokens.
fn forms() -> Vec<ToolCallForm> {
    let json = |arguments: &str| CallSyntax::Json { arguments: arguments.to_owned() };
    let tagged = CallSyntax::Tagged {
        function: ["<function=", ">\n", "</function>"].map(str::to_owned),
        argument: ["<parameter=", ">\n", "\n</parameter>\n"].map(str::to_owned),
    };
    let keyed =
        |quote: &str| CallSyntax::Keyed { before: "call:".to_owned(), quote: quote.to_owned() };
    vec![
        ToolCallForm::hermes(),
        ToolCallForm::new("m", json("parameters")).between("; "),
        ToolCallForm::new("m", json("arguments")).around_all("[TOOL_CALLS][", "]").between(", "),
        ToolCallForm::new("m", CallSyntax::Named { mark: "[ARGS]".to_owned() })
            .around_each("[TOOL_CALLS]", ""),
        ToolCallForm::new("m", tagged).around_each("<tool_call>\n", "\n</tool_call>").between("\n"),
        ToolCallForm::new("m", keyed("<escape>"))
            .around_each("<start_function_call>", "<end_function_call>"),
        ToolCallForm::new("m", keyed("<|\"|>")).around_each("<|tool_call>", "<tool_call|>"),
    ]
}

fn tools(choice: ToolChoice) -> Tools {
    let parameters = json!({
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 9},
            "unit": {"enum": ["celsius", "kelvin"]},
            "days": {"$ref": "#/$defs/days"},
            "exact": {"type": "boolean"},
            "at": {
                "type": "object",
                "properties": {
                    "x": {"type": "integer", "minimum": 0, "maximum": 9},
                    "names": {"type": "array", "maxItems": 2, "items": {"enum": ["a", "b"]}},
                },
                "required": ["x"],
                "additionalProperties": false,
            },
        },
        "required": ["city", "days"],
        "additionalProperties": false,
        "$defs": {"days": {"type": "integer", "minimum": 1, "maximum": 5}},
    });
    let weather = Tool { name: "get_weather".to_owned(), parameters: Some(parameters) };
    Tools { offered: Arc::new([weather]), choice, parallel: true }
}

/// A model of this form that says `script` after its prompt.
fn model(form: &ToolCallForm, script: &str) -> Generator {
    let mut parts = fake::parts("fake", fake::limits());
    let thoughts = ReasoningForm::think();
    parts.chat_template = Some(format!("{} {}", form.marker, thoughts.marker));
    parts.chat = ChatConventions { tool_calls: vec![form.clone()], reasoning: vec![thoughts] };
    Generator::spawn_with(parts, FakeModel::saying(script), Metrics::new()).expect("it starts")
}

/// An answer read to its end.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    reasoning: String,
    text: String,
    calls: Vec<(String, String)>,
    reason: Option<FinishReason>,
    reasoning_tokens: usize,
}

fn answer(model: &Generator, request: GenerationRequest) -> Answer {
    let mut stream = model.submit(request).expect("the request is taken");
    let mut answer = Answer::default();
    while let Some(event) = stream.blocking_next() {
        match event {
            GenerationEvent::Delta { delta, .. } => {
                answer.reasoning += &delta.reasoning;
                answer.text += &delta.text;
                for call in delta.tool_calls {
                    answer.calls.extend(call.name.map(|name| (name, String::new())));
                    answer.calls[call.index].1 += &call.arguments;
                }
            }
            GenerationEvent::Finished { reason, tokens, .. } => {
                answer.reason = Some(reason);
                answer.reasoning_tokens = tokens.reasoning;
            }
            GenerationEvent::Failed { error, .. } => unreachable!("{error}"),
        }
    }
    answer
}

fn request(prompt: &str) -> GenerationRequest {
    GenerationRequest {
        prompt: Prompt::Text { text: prompt.to_owned(), add_special: false },
        chat: true,
        tokens_max: Some(900),
        ..GenerationRequest::default()
    }
}

/// Whether arguments are what the schema of [`tools`] allows.
fn is_allowed(arguments: &str) -> bool {
    let Ok(Value::Object(arguments)) = serde_json::from_str(arguments) else { return false };
    let fits = |(key, value): (&String, &Value)| match key.as_str() {
        "city" => value.as_str().is_some_and(|city| city.chars().count() <= 9),
        "unit" => value == "celsius" || value == "kelvin",
        "days" => (1..=5).contains(&value.as_i64().unwrap_or_default()),
        "exact" => value.is_boolean(),
        "at" => {
            let names = value.get("names").and_then(Value::as_array);
            let is_name = |name: &Value| name == "a" || name == "b";
            (0..=9).contains(&value["x"].as_i64().unwrap_or(-1))
                && names.is_none_or(|names| names.iter().all(is_name))
        }
        _ => false,
    };
    arguments.contains_key("city") && arguments.contains_key("days") && arguments.iter().all(fits)
}

#[test]
fn a_forced_call_is_allowed_by_its_schema_in_every_form() {
    for form in forms() {
        let model = model(&form, "");
        for seed in 0..6 {
            let sampling = SamplingParams { temperature: 4.0, ..SamplingParams::default() };
            let request = GenerationRequest {
                tools: Some(tools(ToolChoice::Named(0))),
                sampling,
                seed: Some(seed),
                ..request("weather?")
            };
            let answer = answer(&model, request);
            let [(name, arguments)] = answer.calls.as_slice() else {
                unreachable!("{form:?}: {answer:?}")
            };
            assert_eq!(name, "get_weather");
            assert!(is_allowed(arguments), "{form:?}: {arguments:?}");
            assert_eq!((&*answer.text, answer.reason), ("", Some(FinishReason::ToolCalls)));
        }
    }
}

#[test]
fn calls_that_a_model_makes_are_found_in_every_form() {
    let written = [
        "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 2}}\n</tool_call>",
        "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\", \"days\": 2}}",
        "[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\", \"days\": 2}}]",
        "[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Rome\", \"days\": 2}",
        "<tool_call>\n<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        "<start_function_call>call:get_weather{city:<escape>Rome<escape>,days:2}<end_function_call>",
        "<|tool_call>call:get_weather{city:<|\"|>Rome<|\"|>,days:2}<tool_call|>",
    ];
    let call = ("get_weather".to_owned(), "{\"city\": \"Rome\", \"days\": 2}".to_owned());
    for (form, written) in forms().iter().zip(written) {
        let is_marked = !form.begin.is_empty() || !form.open.is_empty();
        let before = if is_marked { "Let me look." } else { "" };
        let model = model(form, &format!("weather?{before}{written}"));
        let tools = Some(tools(ToolChoice::Auto));
        let found = answer(&model, GenerationRequest { tools, ..request("weather?") });
        assert_eq!(found.calls, std::slice::from_ref(&call), "{form:?}: {found:?}");
        assert_eq!((&*found.text, found.reason), (before, Some(FinishReason::ToolCalls)));
        // Without tools it is text, of which control tokens are no part.
        let plain = answer(&model, request("weather?"));
        assert!(plain.calls.is_empty() && plain.reason == Some(FinishReason::Stop), "{plain:?}");
    }
}

#[test]
fn a_call_once_begun_is_held_to_its_schema() {
    let begun = [
        "<tool_call>\n{\"name\": \"no such tool\", \"arg",
        "{\"name\": \"get_we no such tool",
        "[TOOL_CALLS][{\"name\": 5}",
        "[TOOL_CALLS]no such tool[ARGS]{}",
        "<tool_call>\n<function=no such tool>",
        "<start_function_call>call:no such tool{}",
        "<|tool_call>call:no such tool{}",
    ];
    for (form, begun) in forms().iter().zip(begun) {
        let model = model(form, &format!("weather?{begun}"));
        let request = GenerationRequest {
            tools: Some(Tools { parallel: false, ..tools(ToolChoice::Auto) }),
            ..request("weather?")
        };
        let found = answer(&model, request);
        let [(name, arguments)] = found.calls.as_slice() else {
            unreachable!("{form:?}: {found:?}")
        };
        assert_eq!((&**name, &*found.text), ("get_weather", ""));
        assert!(is_allowed(arguments), "{form:?}: {arguments:?}");
    }
}

#[test]
fn thoughts_come_before_what_must_match() {
    let grammar = Grammar { param: "choice", rule: Rule::Choice(vec!["yes".into(), "no".into()]) };
    let prompt = "well?<think>\n";
    let model = model(&ToolCallForm::hermes(), &format!("{prompt}I am not sure.</think>\n\nnoon"));
    let grammar = Some(grammar);
    let found = answer(&model, GenerationRequest { grammar, ..request(prompt) });
    assert_eq!((&*found.reasoning, found.reason), ("I am not sure.", Some(FinishReason::Stop)));
    assert!(["yes", "no"].contains(&&*found.text), "{found:?}");
    assert_eq!(found.reasoning_tokens, "I am not sure.</think>".len());
    let free = answer(&model, request(prompt));
    assert_eq!((&*free.reasoning, &*free.text), ("I am not sure.", "noon"));
    let no_chat = answer(&model, GenerationRequest { chat: false, ..request(prompt) });
    assert_eq!(no_chat.text, "I am not sure.</think>\n\nnoon");
}
