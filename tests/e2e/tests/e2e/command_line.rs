//! `host run` in a pipe: the prompt comes in, the answer goes out, nothing else does.

use crate::{stories, text};
use std::fs::{self, File};
use support::{Finished, PluginFolder, SHIPPED, Scratch, run_host, run_host_reading};

const PROMPT: &str = "Once upon a time";

/// Runs the model with a text on stdin.
fn pipe(stdin: &[u8], more: &[&str]) -> Finished {
    let (plugins, scratch) = (PluginFolder::with(SHIPPED), Scratch::new());
    let file = scratch.join("stdin");
    fs::write(&file, stdin).expect("a scratch folder can be written to");
    let stdin = File::open(&file).expect("it was written");
    let model = stories();
    let arguments = ["run", &model, "--raw", "-n", "24", "--plugins", text(plugins.path())];
    run_host_reading(arguments.into_iter().chain(more.iter().copied()), stdin)
}

fn answer(stdin: &str, more: &[&str]) -> String {
    let done = pipe(stdin.as_bytes(), more);
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(done.stderr, "");
    done.stdout
}

#[test]
fn a_prompt_on_stdin_is_answered_as_one_of_the_arguments() {
    let plugins = PluginFolder::with(SHIPPED);
    let model = stories();
    let greedy = ["--temperature", "0"];
    let arguments = ["run", &model, PROMPT, "--raw", "-n", "24", "--plugins", text(plugins.path())];
    let done = run_host(arguments.into_iter().chain(greedy));
    assert!(done.stdout.contains("there was a little girl"), "{}{}", done.stdout, done.stderr);
    assert_eq!(answer(PROMPT, &greedy), done.stdout);
    // What `echo` adds is no part of the prompt.
    assert_eq!(answer(&format!("{PROMPT}\n"), &greedy), done.stdout);
}

#[test]
fn flags_choose_the_tokens_and_the_end() {
    let greedy = answer(PROMPT, &["--temperature", "0"]);
    assert_eq!(answer(PROMPT, &["--temperature", "2", "--top-k", "1"]), greedy);
    assert_eq!(answer(PROMPT, &["--temperature", "2", "--min-p", "1"]), greedy);
    let stopped = answer(PROMPT, &["--temperature", "0", "--stop", "xyz", "--stop", " girl"]);
    let (before, _) = greedy.split_once(" girl").expect("there is one");
    assert_eq!(stopped.trim_end(), before);
}

#[test]
fn what_cannot_be_a_prompt_is_refused_before_the_model_is_loaded() {
    for (stdin, more, named) in [
        (&b""[..], &[][..], "stdin is empty"),
        (b"\n", &[], "stdin is empty"),
        (b"\xff\xfe", &[], "stdin"),
        (b"x", &["--temperature=-1"], "temperature is -1"),
        (b"x", &["--min-p", "1.5"], "min_p is 1.5"),
    ] {
        let done = pipe(stdin, more);
        assert_eq!(done.status.code(), Some(1), "{}", done.stderr);
        assert!(done.stderr.contains(named), "{named}: {}", done.stderr);
        assert_eq!(done.stdout, "");
    }
}
