//! An MCP server that misbehaves in the ways servers do.
//!
//! The first argument names the part it plays: `alpha` behaves, `beta` takes the names of others,
//! `hang` does not answer, `crash` dies, `big` says too much. It speaks both eras, or the one that
//! `FIXTURE_ERA` names; `FIXTURE_AT` says when to misbehave. Nothing of the host is linked, and
//! messages are written by hand, so that it can be wrong on purpose.

mod parts;
mod speech;

use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use speech::Speech;

/// When to misbehave.
fn at(moment: &str) -> bool {
    std::env::var("FIXTURE_AT").is_ok_and(|at| at == moment)
}

/// Waits for ever.
fn forever() -> ! {
    loop {
        thread::park_timeout(Duration::from_secs(3600));
    }
}

fn main() {
    let part = std::env::args().nth(1).unwrap_or_else(|| "alpha".to_owned());
    if at("start") {
        die(3);
    }
    if at("exit") {
        ignore_sigterm();
    }
    let speech = Arc::new(Speech::new(&part));
    speech.note("up");
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match serde_json::from_str::<Value>(&line) {
            Ok(message) => speech.hear(&message),
            Err(_) => speech.refuse(&Value::Null, -32700, "Parse error"),
        }
    }
    speech.note("stdin closed");
    if at("exit") {
        forever();
    }
}

/// From now on only SIGKILL ends the process.
#[cfg(unix)]
#[expect(unsafe_code, reason = "std does not handle signals")]
fn ignore_sigterm() {
    // SAFETY: no handler is installed, so nothing runs in one.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

#[cfg(not(unix))]
fn ignore_sigterm() {}

/// Ends without unwinding, as a crash does.
#[expect(clippy::disallowed_methods, clippy::exit, reason = "a crash runs no destructors")]
fn die(code: i32) -> ! {
    std::process::exit(code)
}
