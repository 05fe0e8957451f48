//! What a streamed answer says, and when.
//!
//! Servers differ in their chunks: some send text that waits for more bytes later, some end with a
//! chunk of usage, some do not. Nothing here reads a socket or a clock.

use super::events::Event;
use serde_json::Value;
use std::time::Duration;

/// Most characters of a server's words that an error repeats.
const QUOTE_CHARS_MAX: usize = 300;

/// One measured answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// From the request to the first text.
    pub(super) first: Duration,
    /// From the request to the last text.
    pub(super) last: Duration,
    /// Tokens of the prompt, if the server counts them.
    pub(super) prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the server counts them; else its chunks.
    pub(super) completion_tokens: u64,
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Reading {
    first: Option<Duration>,
    last: Duration,
    chunks: u64,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    finished: bool,
    done: bool,
}

impl Reading {
    /// Takes an event that came so long after the request.
    pub(super) fn take(&mut self, event: &Event, time: Duration) -> Result<(), String> {
        if event.is_error {
            return Err(failed(&event.data));
        }
        if event.data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(&event.data)
            .map_err(|error| format!("a chunk is no JSON ({error}): {}", quote(&event.data)))?;
        if !chunk["error"].is_null() {
            return Err(failed(&event.data));
        }
        let choice = &chunk["choices"][0];
        let has_text = choice["text"].as_str().is_some_and(|text| !text.is_empty());
        let finishes = !choice["finish_reason"].is_null();
        if has_text || finishes {
            self.first.get_or_insert(time);
            self.last = time;
            self.chunks += u64::from(has_text);
            self.finished |= finishes;
        }
        let count = |name: &str| chunk["usage"][name].as_u64();
        self.prompt_tokens = count("prompt_tokens").or(self.prompt_tokens);
        self.completion_tokens = count("completion_tokens").or(self.completion_tokens);
        Ok(())
    }

    /// Whether the server has said that nothing more comes.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The answer, if it is whole.
    pub(super) fn answer(self) -> Result<Answer, String> {
        let completion_tokens = self.completion_tokens.unwrap_or(self.chunks);
        let Some(first) = self.first.filter(|_| completion_tokens > 0) else {
            return Err("the answer has no text: is it an event stream of completions?".to_owned());
        };
        if !self.finished && !self.done {
            return Err(format!("the answer broke off after {} chunks", self.chunks));
        }
        Ok(Answer { first, last: self.last, prompt_tokens: self.prompt_tokens, completion_tokens })
    }
}

fn failed(data: &str) -> String {
    format!("an error in the stream: {}", error_text(data.as_bytes()))
}

/// The message of an error's JSON, or what there is instead.
pub(super) fn error_text(body: &[u8]) -> String {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let places = ["/error/message", "/message", "/error", "/detail"];
    let message = places.iter().find_map(|place| parsed.pointer(place)?.as_str());
    quote(message.unwrap_or(&String::from_utf8_lossy(body)))
}

fn quote(text: &str) -> String {
    match text.trim() {
        "" => "(nothing)".to_owned(),
        text => text.chars().take(QUOTE_CHARS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Event, Reading, error_text};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// Reads events that come a millisecond apart.
    fn read(events: &[Value]) -> Result<Answer, String> {
        let mut reading = Reading::default();
        for (index, event) in events.iter().enumerate() {
            let data = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
            let time = Duration::from_millis(index as u64 + 1);
            reading.take(&Event { is_error: false, data }, time)?;
        }
        reading.answer()
    }

    fn text(text: &str) -> Value {
        json!({ "choices": [{ "text": text, "finish_reason": null }], "usage": null })
    }

    fn end() -> Value {
        json!({ "choices": [{ "text": "", "finish_reason": "length" }] })
    }

    fn usage() -> Value {
        json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 5 } })
    }

    fn answer(times_ms: [u64; 2], prompt: Option<u64>, completion: u64) -> Result<Answer, String> {
        let [first, last] = times_ms.map(Duration::from_millis);
        Ok(Answer { first, last, prompt_tokens: prompt, completion_tokens: completion })
    }

    #[test]
    fn the_time_is_that_of_the_text_and_the_count_that_of_the_usage() {
        let events = [text(""), text("a"), text("b"), end(), usage(), json!("[DONE]")];
        assert_eq!(read(&events), answer([2, 4], Some(9), 5));
    }

    #[test]
    fn chunks_are_counted_where_the_server_counts_no_tokens() {
        assert_eq!(read(&[text("a"), text("b"), end()]), answer([1, 3], None, 2));
    }

    #[test]
    fn an_answer_without_text_counts_until_its_end() {
        assert_eq!(read(&[end(), usage()]), answer([1, 1], Some(9), 5));
    }

    #[test]
    fn what_is_no_whole_answer_is_refused() {
        let check = |events: &[Value], expected: &str| {
            let error = read(events).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        check(&[], "no text");
        check(&[end(), json!("[DONE]")], "no text");
        check(&[text("a")], "broke off after 1 chunks");
        check(&[json!("<html>")], "no JSON");
        check(&[text("a"), json!({ "error": { "message": "out of memory" } })], "out of memory");
    }

    #[test]
    fn an_error_is_told_in_the_servers_words() {
        let check = |body: &str, expected: &str| assert_eq!(error_text(body.as_bytes()), expected);
        check(r#"{"error":{"message":"too long","code":400}}"#, "too long");
        check(r#"{"error":"no such model"}"#, "no such model");
        check(r#"{"code":500,"message":"oops"}"#, "oops");
        check("Bad Gateway\n", "Bad Gateway");
        check("", "(nothing)");
    }
}
