//! The page in a browser: what a person can do there, done by a script of clicks and keys.
//!
//! It is skipped where there is no Chromium. That no script throws and that the page's policy
//! refuses nothing is part of every test.

use crate::{stories, text};
use serde_json::{Value, json};
use std::fs;
use support::{Browser, Client, PluginFolder, SHIPPED, Scratch, TestHost, data};

const ANSWERS: &str = "document.querySelectorAll('.message.assistant .message-footer p.figures')";

/// A host with a model that can chat, and one that brought no chat template.
fn serve(plain: &Scratch, arguments: &[&str]) -> TestHost {
    let plugins = PluginFolder::with(SHIPPED);
    let (stories, plain) =
        (format!("stories={}", stories()), format!("plain={}", text(plain.path())));
    let models = ["--model", &stories, "--model", &plain];
    TestHost::serve(plugins.path(), &[&models, arguments].concat())
}

/// The trained model again, without its chat template.
fn without_template() -> Scratch {
    let (copy, original) = (Scratch::new(), data("tinyllama-stories260K/hf"));
    for entry in fs::read_dir(original).expect("the golden set is readable") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("the folder is ours");
    }
    let file = copy.join("tokenizer_config.json");
    let config = fs::read(&file).expect("it was copied");
    let mut config: Value = serde_json::from_slice(&config).expect("it is JSON");
    config.as_object_mut().expect("an object").remove("chat_template").expect("it had one");
    fs::write(file, config.to_string()).expect("the folder is ours");
    copy
}

fn start(skipped: &str, host: &TestHost) -> Option<Browser> {
    let mut browser = Browser::start(skipped)?;
    browser.resize(1280, 800);
    browser.open(&host.client().url());
    Some(browser)
}

/// Sends a message with the key and waits for so many answers.
fn say(browser: &mut Browser, message: &str, answers: usize) {
    browser.write("#message", message);
    browser.press("Enter");
    browser.wait(&format!("{ANSWERS}.length === {answers}"));
}

/// Sets the answer to be the likeliest one and short.
fn be_exact(browser: &mut Browser) {
    browser.click("#settings-toggle");
    browser.choose("#preset", "Exact");
    browser.write("#setting-max_tokens", "24");
    browser.click("#settings-close");
}

/// The words of a text, however it is broken into lines.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn done(browser: &Browser) {
    assert!(browser.problems().is_empty(), "{:#?}", browser.problems());
}

#[test]
fn a_person_chats_edits_branches_and_stops() {
    let plain = without_template();
    let host = serve(&plain, &[]);
    let Some(mut browser) = start("a chat in the page", &host) else { return };
    browser.wait("document.querySelector('#chat-model').value === 'stories'");
    be_exact(&mut browser);
    say(&mut browser, "Tell me a story.", 1);
    let answer = browser.text(".message.assistant > .prose");
    assert_eq!(words(&answer), words(&exact(&host.client(), "Tell me a story.")));
    let figures = browser.text(".message.assistant .message-footer p");
    for word in ["tokens/s", "first token", "24 completion tokens", "cut by the token limit"] {
        assert!(figures.contains(word), "{figures}");
    }
    browser.wait_text("#context", "of 512 tokens of context");

    browser.click(".message.assistant .message-actions button:nth-child(2)");
    browser.wait_text(".message.assistant .branches", "2/2");
    browser.click(".message.user .message-actions button:nth-child(2)");
    browser.write(".edit textarea", "Tell me about a dog.");
    browser.press("Enter");
    browser.wait_text(".message.user .branches", "2/2");
    browser.wait(&format!("{ANSWERS}.length === 1"));
    let other = browser.text(".message.assistant > .prose");
    assert_eq!(words(&other), words(&exact(&host.client(), "Tell me about a dog.")));
    browser.click(".message.user .branches button");
    browser.wait_text(".message.user > .prose", "Tell me a story.");
    browser.wait_text(".message.assistant .branches", "2/2");

    // Both clicks come before the first token can.
    browser.write("#message", "And then?");
    browser
        .evaluate("{ const send = document.querySelector('#send'); send.click(); send.click(); }");
    browser.wait_text(".message.assistant:last-child .message-footer", "stopped");
    done(&browser);
}

/// The likeliest answer as any client gets it.
fn exact(client: &Client, message: &str) -> String {
    let messages = json!([{"role": "user", "content": message}]);
    let body =
        json!({"model": "stories", "messages": messages, "temperature": 0, "max_tokens": 24});
    let answer = client.post("/v1/chat/completions", &body).ok();
    answer["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
}

#[test]
fn conversations_are_kept_found_renamed_and_deleted() {
    let plain = without_template();
    let host = serve(&plain, &[]);
    let Some(mut browser) = start("conversations in the page", &host) else { return };
    browser.wait("document.querySelector('#chat-model').value === 'stories'");
    be_exact(&mut browser);
    say(&mut browser, "Tell me about Zanzibar.", 1);
    browser.click("#new-chat");
    browser.wait("document.querySelectorAll('.message').length === 0");
    browser.choose("#chat-model", "plain");
    browser.wait("!document.querySelector('#plain-note').hidden");
    say(&mut browser, "Once upon a time", 1);
    assert!(!browser.text(".message.assistant > .prose").is_empty());
    browser.wait("document.querySelectorAll('.item').length === 2");

    browser.write("#search", "zanzibar");
    browser.wait("document.querySelectorAll('.item').length === 1");
    browser.click(".item a");
    browser.wait_text(".message.user > .prose", "Tell me about Zanzibar.");
    browser.click(".item button[aria-label^=Rename]");
    browser.write(".item input", "A girl");
    browser.press("Enter");
    browser.write("#search", "girl");
    browser.wait_text(".item a", "A girl");

    browser.reload();
    browser.wait_text(".item.open a", "A girl");
    browser.wait_text(".message.user > .prose", "Tell me about Zanzibar.");
    let stored = browser.evaluate(
        "import('/page/library.mjs').then(({ Library }) => {
           const file = new Library(localStorage).exported();
           const other = { length: 0, key() {}, setItem() {}, removeItem() {} };
           return new Library(other).imported(file);
         })",
    );
    assert_eq!(stored, 2, "an export can be imported");

    browser.click(".item.open button[aria-label^=Delete]");
    browser.click("dialog .danger");
    browser.wait("document.querySelectorAll('.item').length === 1");
    assert!(browser.text(".item a").contains("Once upon a time"));
    done(&browser);
}

#[test]
fn models_and_plugins_are_shown_and_switched() {
    let plain = without_template();
    let host = serve(&plain, &[]);
    let Some(mut browser) = start("the page's models and plugins", &host) else { return };
    browser.click("nav a[href='#models']");
    browser.wait_text("[aria-label=stories]", "ready");
    browser.wait_text("[aria-label=stories]", "512 tokens");
    browser.write("#load-path", &stories());
    browser.write("#load-id", "second");
    browser.press("Enter");
    browser.wait_text("[aria-label=second]", "ready");
    browser.evaluate("[...document.querySelectorAll('[aria-label=second] button')].at(-1).click()");
    browser.click("dialog .danger");
    browser.wait("!document.querySelector('[aria-label=second]')");
    browser.write("#load-path", "no/such/model.gguf");
    browser.press("Enter");
    browser.wait_text(".notice.error", "no/such/model.gguf");

    browser.click("nav a[href='#plugins']");
    browser.wait_text("[aria-label=llama]", "ABI");
    browser.click("[aria-label='Disable llama']");
    browser.wait_text("[aria-label=llama]", "disabled by the operator");
    let client = host.client();
    let refused = client.post("/v1/models/load", &json!({"path": stories(), "id": "third"}));
    assert_eq!(refused.status, 400, "nobody describes it now: {}", refused.body);
    assert!(!exact(&client, "Tell me a story.").is_empty(), "models in use go on");
    browser.click("[aria-label='Enable llama']");
    browser.wait("document.querySelector('[aria-label=\"Disable llama\"]')");
    let loaded = client.post("/v1/models/load", &json!({"path": stories(), "id": "third"}));
    assert_eq!(loaded.status, 201, "{}", loaded.body);
    browser.click("#rescan");
    browser.wait_text("#notices", "looked at again");
    done(&browser);
}

#[test]
fn figures_snippets_and_themes_fit_a_phone() {
    let plain = without_template();
    let host = serve(&plain, &[]);
    let Some(mut browser) = start("the page's figures", &host) else { return };
    browser.click("nav a[href='#metrics']");
    browser.wait("document.querySelector('.chart .line')");
    exact(&host.client(), "Tell me a story.");
    browser.wait("[...document.querySelectorAll('.chart-values')].at(-1).innerText.includes('ms')");
    browser.click("nav a[href='#api']");
    browser.wait_text("#snippet", &format!("{}/v1/chat/completions", host.client().url()));
    browser.click("#api-language input[value=Python]");
    browser.wait_text("#snippet", "model=\"stories\"");
    browser.click("#theme input[value=dark]");
    let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(19, 20, 24)'";
    browser.wait(dark);
    browser.reload();
    browser.wait(dark);
    browser.resize(360, 740);
    for view in ["chat", "models", "plugins", "metrics", "api"] {
        browser.evaluate(&format!("location.hash = '#{view}'"));
        browser.wait(&format!("!document.querySelector('#{view}').hidden"));
        let width = browser.evaluate(
            "Math.max(...[...document.querySelectorAll('main:not([hidden]), main:not([hidden]) *')]
               .filter((one) => !one.closest('pre, svg, .hidden'))
               .map((one) => one.getBoundingClientRect().right))",
        );
        assert!(width.as_f64().is_some_and(|width| width <= 360.5), "{view}: {width}");
    }
    done(&browser);
}

#[test]
fn a_key_is_asked_for_and_kept_for_the_tab() {
    let plain = without_template();
    let host = serve(&plain, &["--api-key", "secret"]);
    let Some(mut browser) = start("the page's question for the key", &host) else { return };
    for (key, asked) in [("wrong", "an API key is needed"), ("secret", "the API key is wrong")] {
        browser.wait_text("dialog", asked);
        browser.write("#key", key);
        browser.press("Enter");
    }
    browser.wait("document.querySelector('#chat-model').value === 'stories'");
    browser.reload();
    browser.wait("document.querySelector('#chat-model')?.value === 'stories'");
    assert_eq!(browser.evaluate("localStorage.getItem('host.key')"), Value::Null);
    done(&browser);
}
