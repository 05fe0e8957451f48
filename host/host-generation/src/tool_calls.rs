//! Finds tool calls in the text of an answer while it is being written.
//!
//! A call is a JSON object with a name and arguments between two marks, the form that Hermes, Qwen
//! and many after them were trained on. What is outside of calls is passed on as text, the arguments
//! as they come, so that a streamed answer says the same as a whole one. What only looks like a call
//! stays text. It must not judge arguments: the grammar does, where calls are asked for.

mod scanner;

use scanner::{Progress, Scanner};

/// Begins a call.
pub(crate) const BEGIN: &str = "<tool_call>";
/// Ends a call.
pub(crate) const END: &str = "</tool_call>";

/// Something new of a tool call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// Which call of the answer.
    pub index: usize,
    /// The function's name, with the first delta of a call.
    pub name: Option<String>,
    /// Further text of its arguments, a JSON object.
    pub arguments: String,
}

/// Text and calls that are new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) text: String,
    pub(crate) calls: Vec<ToolCallDelta>,
}

/// Splits one answer into text and calls.
#[derive(Debug)]
pub(crate) struct ToolCallParser {
    state: State,
    /// Text that may yet turn out to be part of a mark, or only space before one.
    held: String,
    calls: usize,
    calls_max: usize,
}

#[derive(Debug)]
enum State {
    Text,
    /// In a call, with all of its text as long as nothing of it was given out.
    Call(Scanner, String),
    /// After a call's object, up to the end mark.
    Ending,
}

impl ToolCallParser {
    /// A parser that takes at most `calls_max` calls.
    pub(crate) fn new(calls_max: usize) -> Self {
        Self { state: State::Text, held: String::new(), calls: 0, calls_max }
    }

    /// Calls found so far.
    pub(crate) fn call_count(&self) -> usize {
        self.calls
    }

    /// Whether a call has ended and no other has begun.
    pub(crate) fn is_between_calls(&self) -> bool {
        self.calls > 0 && !matches!(self.state, State::Call(..))
    }

    /// Whether all calls that may come have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.calls >= self.calls_max && self.is_between_calls()
    }

    pub(crate) fn push(&mut self, text: &str) -> Parsed {
        let mut parsed = Parsed::default();
        for c in text.chars() {
            self.push_char(c, &mut parsed);
        }
        parsed
    }

    /// What was held back, once nothing follows.
    pub(crate) fn finish(&mut self) -> String {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Text => std::mem::take(&mut self.held),
            // Nothing was given out: it was no call, or not enough of one.
            State::Call(scanner, raw) if !scanner.has_begun() => format!("{BEGIN}{raw}"),
            State::Call(..) | State::Ending => String::new(),
        }
    }

    fn push_char(&mut self, c: char, parsed: &mut Parsed) {
        match &mut self.state {
            State::Text => self.push_text(c, parsed),
            State::Ending => {
                self.held.push(c);
                if self.held.ends_with(END) {
                    self.held.clear();
                    self.state = State::Text;
                }
            }
            State::Call(scanner, raw) => {
                let had_begun = scanner.has_begun();
                if !had_begun {
                    raw.push(c);
                }
                match scanner.push(c) {
                    Progress::More => self.give_out(had_begun, parsed),
                    Progress::Whole => {
                        self.give_out(had_begun, parsed);
                        self.state = State::Ending;
                    }
                    Progress::Malformed if had_begun => self.state = State::Ending,
                    Progress::Malformed => {
                        parsed.text.push_str(BEGIN);
                        parsed.text.push_str(raw);
                        self.state = State::Text;
                    }
                }
            }
        }
    }

    /// Passes text on as far as it can neither be the beginning of a mark nor the space before one.
    fn push_text(&mut self, c: char, parsed: &mut Parsed) {
        self.held.push(c);
        if self.held.ends_with(BEGIN) {
            let before = self.held.len() - BEGIN.len();
            parsed.text.push_str(self.held[..before].trim_end());
            self.held.clear();
            self.state = State::Call(Scanner::default(), String::new());
            return;
        }
        let is_open = |at: &usize| BEGIN.starts_with(&self.held[*at..]);
        let mark = self.held.char_indices().map(|(at, _)| at).find(is_open);
        let text = &self.held[..mark.unwrap_or(self.held.len())];
        let sure = text.trim_end().len();
        parsed.text.push_str(&self.held[..sure]);
        self.held.drain(..sure);
    }

    fn give_out(&mut self, had_begun: bool, parsed: &mut Parsed) {
        let State::Call(scanner, _) = &mut self.state else { return };
        if !scanner.has_begun() {
            return;
        }
        let name = (!had_begun).then(|| scanner.name().to_owned());
        let arguments = scanner.take_arguments();
        if name.is_none() && arguments.is_empty() {
            return;
        }
        self.calls += usize::from(name.is_some());
        let index = self.calls - 1;
        match parsed.calls.last_mut() {
            Some(last) if last.index == index => last.arguments.push_str(&arguments),
            _ => parsed.calls.push(ToolCallDelta { index, name, arguments }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Parsed, ToolCallDelta, ToolCallParser};

    /// Text and calls of an answer that comes in pieces of `size` characters.
    fn parse(answer: &str, size: usize) -> (String, Vec<(String, String)>) {
        let mut parser = ToolCallParser::new(usize::MAX);
        let (mut text, mut calls) = (String::new(), Vec::<(String, String)>::new());
        let mut take = |parsed: Parsed| {
            text.push_str(&parsed.text);
            for ToolCallDelta { index, name, arguments } in parsed.calls {
                assert_eq!(name.is_some(), index == calls.len(), "a name comes once and first");
                calls.extend(name.map(|name| (name, String::new())));
                calls[index].1.push_str(&arguments);
            }
        };
        let chars: Vec<char> = answer.chars().collect();
        for piece in chars.chunks(size) {
            take(parser.push(&piece.iter().collect::<String>()));
        }
        take(Parsed { text: parser.finish(), calls: Vec::new() });
        (text, calls)
    }

    #[track_caller]
    fn check(answer: &str, text: &str, calls: &[(&str, &str)]) {
        let calls: Vec<_> = calls.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect();
        for size in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(
                parse(answer, size),
                (text.to_owned(), calls.clone()),
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn calls_are_taken_out_of_the_text() {
        let call = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2, {}]}}\n</tool_call>";
        let arguments = "{\"a\": 1, \"b\": [2, {}]}";
        check(call, "", &[("add", arguments)]);
        check(&format!("I add.\n\n{call}"), "I add.", &[("add", arguments)]);
        check(&format!("{call}\n{call}"), "", &[("add", arguments), ("add", arguments)]);
        check(&format!("x {call} y"), "x y", &[("add", arguments)]);
    }

    #[test]
    fn strings_may_hold_anything() {
        let call =
            r#"<tool_call>{"name":"say","arguments":{"t":"}\" </tool_call> \\"}}</tool_call>"#;
        check(call, "", &[("say", r#"{"t":"}\" </tool_call> \\"}"#)]);
        let call = r#"<tool_call>{"name":"s\u00e4g","arguments":"{\"a\": 1}"}</tool_call>"#;
        check(call, "", &[("säg", r#"{"a": 1}"#)]);
    }

    #[test]
    fn keys_come_in_any_order_and_others_are_skipped() {
        let call =
            r#"<tool_call>{"id": {"x": "name"}, "arguments": {"a": 1}, "name": "f"}</tool_call>"#;
        check(call, "", &[("f", r#"{"a": 1}"#)]);
        check(r#"<tool_call>{"name": "f"}</tool_call>"#, "", &[("f", "{}")]);
        check(r#"<tool_call>{"name": "f", "parameters": {}}</tool_call>"#, "", &[("f", "{}")]);
    }

    #[test]
    fn what_only_looks_like_a_call_stays_text() {
        for text in ["<tool_", "a < b <tool_cal> c", "no call\n", "<tool_call>", " <tool_call>f(x)"]
        {
            check(text, text.trim_start_matches(' '), &[]);
        }
    }

    #[test]
    fn a_call_that_is_cut_gives_what_there_is() {
        check("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1", "", &[("f", "{\"a\": 1")]);
    }

    #[test]
    fn no_more_calls_are_taken_than_asked_for() {
        let mut parser = ToolCallParser::new(1);
        assert!(!parser.is_done());
        parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {}");
        assert!(!parser.is_done());
        parser.push("}");
        assert!(parser.is_done() && parser.call_count() == 1);
    }
}
