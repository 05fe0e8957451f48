//! Chat templates: equal to `transformers`, and harmless when they mean harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host_generation::{ChatPrompt, ChatTemplate, TemplateError};
use serde_json::{Value, json};

fn user(text: &str) -> ChatPrompt {
    ChatPrompt {
        messages: vec![json!({"role": "user", "content": text})],
        add_generation_prompt: true,
        ..ChatPrompt::default()
    }
}

fn render(source: &str, chat: &ChatPrompt) -> Result<String, TemplateError> {
    ChatTemplate::new(source, "<s>", "</s>")?.render(chat)
}

#[track_caller]
fn check(source: &str, expected: &str) {
    assert_eq!(render(source, &user("hi")).as_deref(), Ok(expected), "{source}");
}

#[test]
fn templates_see_what_transformers_gives_them() {
    check("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "<s>hi</s>");
    check("{{ tools is none }} {{ documents is none }} {{ x is defined }}", "True True False");
    check("{% if add_generation_prompt %}go{% endif %}", "go");
    check("a\n  {% if true %}\nb\n  {% endif %}\nc", "a\nb\nc");
    check("{% generation %}a{% endgeneration %}{%- generation -%} b {%- endgeneration %}", "ab");
    check(
        "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
        "13",
    );
    check("{{ {'b': '<é>', 'a': [1.0]} | tojson }}", "{\"b\": \"<é>\", \"a\": [1.0]}");
    check("{{ 'abc'.removeprefix('a').removesuffix('c') }}{{ none }}{{ true }}", "bNoneTrue");
    check("{{ none is iterable }} {{ [] is iterable }} {{ y is iterable }}", "False True True");
    check("{{ strftime_now('%Y') | length }}", "4");
}

#[test]
fn kwargs_are_variables_and_hide_nothing() {
    let mut chat = user("hi");
    chat.kwargs.insert("enable_thinking".to_owned(), json!(false));
    chat.kwargs.insert("messages".to_owned(), json!([]));
    let source = "{{ enable_thinking }} {{ messages | length }}";
    assert_eq!(render(source, &chat).as_deref(), Ok("False 1"));
}

#[test]
fn complaints_of_a_template_are_its_own_words() {
    let error = render("{{ raise_exception('roles must\nalternate') }}", &user("hi"));
    assert_eq!(error, Err(TemplateError::Render { message: "roles must alternate".to_owned() }));
    let error = render("{{ messages[0].nothing.at_all }}", &user("hi")).unwrap_err().to_string();
    assert!(error.starts_with("the chat template refused the messages: "), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[track_caller]
fn check_bomb(source: &str, words: &str) {
    let started = Instant::now();
    let error = render(source, &user("hi")).expect_err("a bomb").to_string();
    assert!(error.contains(words), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{words}: {:?}", started.elapsed());
}

#[test]
fn bombs_are_refused_in_time_and_memory() {
    check_bomb("{% for m in messages %}{{ m.content ", "malformed");
    check_bomb("{% for i in range(1000000000) %}{{ i }}{% endfor %}", "too many elements");
    let loops: String = (0..5).map(|i| format!("{{% for x{i} in range(1000) %}}")).collect();
    check_bomb(&format!("{loops}x{}", "{% endfor %}".repeat(5)), "fuel");
    check_bomb(
        "{% set ns = namespace(s='AAAA') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}\
         {% endfor %}{{ ns.s }}",
        "joins `ns.s` with itself",
    );
    check_bomb("{{ 'A' * 10000000000 }}", "too large");
    check_bomb("{% for i in range(1000) %}{{ 'A' * 100000 }}{% endfor %}", "longer than 4194304");
    check_bomb("{{ 9 ** 9 ** 9 }}", "unable to calculate");
    check_bomb(
        &format!("{}x{}", "{% if true %}".repeat(20_000), "{% endif %}".repeat(20_000)),
        "recursion",
    );
    check_bomb(&format!("{{{{ {}1{} }}}}", "(".repeat(50_000), ")".repeat(50_000)), "recursion");
    check_bomb("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "recursion");
    check_bomb("{{ ''.__class__.__mro__[1].__subclasses__() }}", "undefined");
    check_bomb("{% include '/etc/passwd' %}", "not found");
    check_bomb(&format!("{{# {} #}}ok", "x".repeat(2 << 20)), "expected at most 1048576");
}

/// The folder of reference data beside the repository, if it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

fn template_of(checkpoint: &Path) -> ChatTemplate {
    let config = read_json(&checkpoint.join("tokenizer_config.json")).expect("a tokenizer config");
    let own = fs::read_to_string(checkpoint.join("chat_template.jinja")).ok();
    let source = own.or_else(|| config["chat_template"].as_str().map(str::to_owned));
    let token = |name: &str| {
        let token = &config[name];
        token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default().to_owned()
    };
    ChatTemplate::new(&source.expect("a template"), &token("bos_token"), &token("eos_token"))
        .expect("the template compiles")
}

#[test]
fn prompts_equal_those_of_transformers() {
    let Some(models) = shared("models") else { return };
    let mut count = 0;
    for folder in fs::read_dir(models).expect("a folder") {
        let folder = folder.expect("an entry").path();
        let golden = read_json(&folder.join("golden.json")).unwrap_or_default();
        let cases = golden["chat"].as_array().cloned().unwrap_or_default();
        if cases.is_empty() {
            continue;
        }
        let template = template_of(&folder.join("hf"));
        for case in cases {
            let chat = ChatPrompt {
                messages: case["messages"].as_array().cloned().unwrap_or_default(),
                tools: Some(case["tools"].clone()).filter(|tools| !tools.is_null()),
                add_generation_prompt: case["add_generation_prompt"] == true,
                kwargs: case["kwargs"].as_object().cloned().unwrap_or_default(),
            };
            let name = format!("{} {}", folder.display(), case["name"]);
            let rendered = template.render(&chat);
            match case["rendered"].as_str() {
                Some(expected) => assert_eq!(rendered.as_deref(), Ok(expected), "{name}"),
                None => assert!(rendered.is_err(), "{name}: {rendered:?}"),
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count} cases");
}

#[test]
fn templates_of_well_known_models_render() {
    let Some(templates) = shared("data/chat-templates") else { return };
    for file in fs::read_dir(templates).expect("a folder") {
        let file = file.expect("an entry").path();
        let source = fs::read_to_string(&file).expect("text");
        let mut chat = user("What is the weather?");
        let plain = render(&source, &chat).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(plain.contains("What is the weather?"), "{plain}");
        chat.tools = Some(json!([{"type": "function", "function": {
            "name": "look_outside", "description": "looks", "parameters": {
                "type": "object", "properties": {"where": {"type": "string", "description": "place"}},
                "required": ["where"]}}}]));
        let tools = render(&source, &chat).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(tools.contains("look_outside"), "{tools}");
    }
}
