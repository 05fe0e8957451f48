//! Finds tool calls in the text of an answer while it is being written.
//!
//! Where calls stand and how they are written is the form that the model was trained on, which its
//! architecture plugin declares. What is outside of calls is passed on as text, the arguments as
//! they come and always as JSON, so that a streamed answer says the same as a whole one. What only
//! looks like a call stays text. It must not judge arguments: the grammar does.

mod json;
mod keyed;
mod named;
mod tagged;

use std::fmt::Debug;
use std::sync::Arc;

use host_model::{CallSyntax, ToolCallForm};

use crate::tools::Tool;

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

/// Reads one call character by character.
trait Reader: Debug + Send {
    fn push(&mut self, c: char) -> Progress;

    /// The function's name, once it is known.
    fn name(&self) -> Option<&str>;

    /// Text of the arguments that is new since the name is known.
    fn take_arguments(&mut self) -> String;
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    /// The character ended the call.
    Whole,
    /// It is no call.
    Malformed,
}

/// Splits one answer into text and calls.
#[derive(Debug)]
pub(crate) struct ToolCallParser {
    form: ToolCallForm,
    tools: Arc<[Tool]>,
    state: State,
    /// Text that may yet turn out to be part of a mark, or only space before one.
    held: String,
    /// All text of a call from its mark on, as long as nothing of it was given out; after a call,
    /// all text since.
    raw: String,
    calls: usize,
    calls_max: usize,
}

#[derive(Debug)]
enum State {
    /// Nothing but space has come, and calls have no mark: the answer may be one.
    Opening,
    Text,
    BeforeCall,
    Call(Box<dyn Reader>),
    AfterCall,
    /// Among calls that have marks around them all, or none.
    Between,
}

/// What became of a mark that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Open,
    Mark(usize),
    Other,
}

impl ToolCallParser {
    /// A parser of calls in this form that takes at most `calls_max` of them.
    pub(crate) fn new(form: &ToolCallForm, tools: Arc<[Tool]>, calls_max: usize) -> Self {
        let trimmed = |mark: &str| mark.trim().to_owned();
        let form = ToolCallForm {
            open: trimmed(&form.open),
            begin: trimmed(&form.begin),
            end: trimmed(&form.end),
            between: trimmed(&form.between),
            close: trimmed(&form.close),
            ..form.clone()
        };
        let state = if form.first_mark().is_empty() { State::Opening } else { State::Text };
        let (held, raw) = (String::new(), String::new());
        Self { form, tools, state, held, raw, calls: 0, calls_max }
    }

    /// Calls found so far.
    pub(crate) fn call_count(&self) -> usize {
        self.calls
    }

    /// Whether a call has ended and no other has begun.
    pub(crate) fn is_between_calls(&self) -> bool {
        self.calls > 0 && !matches!(self.state, State::Call(_) | State::BeforeCall)
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
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::Text) {
            State::Opening | State::Text => held,
            State::BeforeCall => std::mem::take(&mut self.raw),
            // Nothing was given out: it was no call, or not enough of one.
            State::Call(reader) if reader.name().is_none() => std::mem::take(&mut self.raw),
            State::Call(_) | State::AfterCall | State::Between => String::new(),
        }
    }

    fn push_char(&mut self, c: char, parsed: &mut Parsed) {
        match self.state {
            State::Opening if c.is_whitespace() => self.held.push(c),
            State::Opening => {
                self.raw = std::mem::take(&mut self.held);
                self.state = State::Call(self.reader());
                self.push_call(c, parsed);
            }
            State::Text => self.push_text(c, parsed),
            State::Call(_) => self.push_call(c, parsed),
            State::BeforeCall | State::AfterCall | State::Between => self.push_mark(c, parsed),
        }
    }

    /// Passes text on as far as it can neither be the beginning of a mark nor the space before one.
    fn push_text(&mut self, c: char, parsed: &mut Parsed) {
        self.held.push(c);
        let mark = self.form.first_mark();
        if !mark.is_empty() && self.held.ends_with(mark) {
            let before = self.held.len() - mark.len();
            parsed.text.push_str(self.held[..before].trim_end());
            self.raw = self.held.split_off(before);
            self.held.clear();
            let opened = !self.form.open.is_empty();
            self.enter(if opened { State::BeforeCall } else { State::Call(self.reader()) });
            return;
        }
        let is_open = |at: &usize| mark.starts_with(&self.held[*at..]);
        let mark = self.held.char_indices().map(|(at, _)| at).find(is_open);
        let text = &self.held[..mark.unwrap_or(self.held.len())];
        let sure = text.trim_end().len();
        parsed.text.push_str(&self.held[..sure]);
        self.held.drain(..sure);
    }

    fn push_call(&mut self, c: char, parsed: &mut Parsed) {
        let State::Call(reader) = &mut self.state else { return };
        let had_name = reader.name().is_some();
        if !had_name {
            self.raw.push(c);
        }
        let progress = reader.push(c);
        if !had_name && !self.is_call(progress) {
            parsed.text.push_str(&std::mem::take(&mut self.raw));
            self.state = State::Text;
            return;
        }
        self.give_out(had_name, parsed);
        if progress != Progress::More {
            self.raw.clear();
            self.enter(State::AfterCall);
        }
    }

    /// Whether what has come of a call can be one. Without a mark only its name tells.
    fn is_call(&self, progress: Progress) -> bool {
        let State::Call(reader) = &self.state else { return false };
        let is_offered = |name| self.tools.iter().any(|tool| tool.name == name);
        let is_marked = !self.form.first_mark().is_empty();
        progress != Progress::Malformed && (is_marked || reader.name().is_none_or(is_offered))
    }

    /// Skips space and the mark that comes now; what else comes is text.
    fn push_mark(&mut self, c: char, parsed: &mut Parsed) {
        self.raw.push(c);
        let form = &self.form;
        let marks = match self.state {
            State::BeforeCall => [&*form.begin, ""],
            State::AfterCall => [&*form.end, ""],
            _ => [&*form.between, &*form.close],
        };
        match expect(&mut self.held, c, marks) {
            Found::Open => {}
            Found::Mark(which) => {
                self.held.clear();
                let next = match (&self.state, which) {
                    (State::BeforeCall, _) => State::Call(self.reader()),
                    (State::AfterCall, _) => State::Between,
                    (_, 0) => State::BeforeCall,
                    _ => State::Text,
                };
                self.enter(next);
            }
            Found::Other => {
                self.held.clear();
                let raw = std::mem::take(&mut self.raw);
                let had_call = !matches!(self.state, State::BeforeCall);
                self.state = State::Text;
                if had_call {
                    raw.chars().for_each(|c| self.push_text(c, parsed));
                } else {
                    parsed.text.push_str(&raw);
                }
            }
        }
    }

    /// Goes on to a state, past the marks that the form does not have.
    fn enter(&mut self, next: State) {
        let form = &self.form;
        self.state = match next {
            State::BeforeCall if form.begin.is_empty() => State::Call(self.reader()),
            State::AfterCall if form.end.is_empty() => return self.enter(State::Between),
            State::Between if !form.stand_together() => State::Text,
            next => next,
        };
        if matches!(self.state, State::Text | State::Between) {
            self.raw.clear();
        }
    }

    fn reader(&self) -> Box<dyn Reader> {
        match &self.form.call {
            CallSyntax::Json { .. } => Box::<json::JsonReader>::default(),
            CallSyntax::Named { mark } => Box::new(named::NamedReader::new(mark)),
            CallSyntax::Tagged { function, argument } => {
                Box::new(tagged::TaggedReader::new(function, argument, Arc::clone(&self.tools)))
            }
            CallSyntax::Keyed { before, quote } => Box::new(keyed::KeyedReader::new(before, quote)),
        }
    }

    fn give_out(&mut self, had_name: bool, parsed: &mut Parsed) {
        let State::Call(reader) = &mut self.state else { return };
        let name = match reader.name() {
            None => return,
            Some(name) => (!had_name).then(|| name.to_owned()),
        };
        let arguments = reader.take_arguments();
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

/// Adds a character to what has come of a mark, unless it is space before it.
fn expect(held: &mut String, c: char, marks: [&str; 2]) -> Found {
    if held.is_empty() && c.is_whitespace() {
        return Found::Open;
    }
    held.push(c);
    let of = |wanted: &str| marks.iter().position(|mark| !mark.is_empty() && *mark == wanted);
    match of(held) {
        Some(which) => Found::Mark(which),
        None if marks.iter().any(|mark| mark.starts_with(&*held)) => Found::Open,
        None => Found::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use host_model::{CallSyntax, ToolCallForm};
    use serde_json::json;

    use super::{Parsed, ToolCallDelta, ToolCallParser};
    use crate::tools::Tool;

    fn parser(form: &ToolCallForm, calls_max: usize) -> ToolCallParser {
        let properties = json!({"a": {"type": "integer"}, "t": {"type": "string"}, "l": {}});
        let parameters = Some(json!({"type": "object", "properties": properties}));
        let tools = Arc::new([Tool { name: "f".to_owned(), parameters }]);
        ToolCallParser::new(form, tools, calls_max)
    }

    /// Text and calls of an answer that comes in pieces of `size` characters.
    fn parse(form: &ToolCallForm, answer: &str, size: usize) -> (String, Vec<(String, String)>) {
        let mut parser = parser(form, usize::MAX);
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
        check_form(&ToolCallForm::hermes(), answer, text, calls);
    }

    #[track_caller]
    fn check_form(form: &ToolCallForm, answer: &str, text: &str, calls: &[(&str, &str)]) {
        let calls: Vec<_> = calls.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect();
        for size in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(
                parse(form, answer, size),
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
        let mut parser = parser(&ToolCallForm::hermes(), 1);
        assert!(!parser.is_done());
        parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {}");
        assert!(!parser.is_done());
        parser.push("}");
        assert!(parser.is_done() && parser.call_count() == 1);
    }

    #[test]
    fn text_after_a_call_whose_end_mark_is_missing_is_kept() {
        let call = "<tool_call>{\"name\": \"f\", \"arguments\": {}}";
        check(&format!("{call} and then"), " and then", &[("f", "{}")]);
        check(&format!("{call}\n{call}"), "", &[("f", "{}"), ("f", "{}")]);
    }

    #[test]
    fn calls_without_marks_are_told_by_an_offered_name() {
        let call = CallSyntax::Json { arguments: "parameters".to_owned() };
        let form = ToolCallForm::new("", call).between("; ");
        let f = r#"{"name": "f", "parameters": {"a": 1}}"#;
        check_form(&form, f, "", &[("f", "{\"a\": 1}")]);
        check_form(&form, &format!(" {f}; {f}"), "", &[("f", "{\"a\": 1}"), ("f", "{\"a\": 1}")]);
        for text in [r#"{"name": "g", "parameters": {}}"#, r#"{"a": 1} x"#, "x {\"name\": \"f\"}"] {
            check_form(&form, text, text, &[]);
        }
    }

    #[test]
    fn calls_in_a_list_end_with_it() {
        let call = CallSyntax::Json { arguments: "arguments".to_owned() };
        let form = ToolCallForm::new("", call).around_all("[TOOL_CALLS][", "]").between(", ");
        let f = r#"{"name": "f", "arguments": {"a": 1}}"#;
        let calls = [("f", "{\"a\": 1}"), ("f", "{\"a\": 1}")];
        check_form(&form, &format!("so: [TOOL_CALLS][{f},{f}] done"), "so: done", &calls);
        check_form(&form, "[TOOL_CALLS] none", "[TOOL_CALLS] none", &[]);
    }

    #[test]
    fn a_name_may_stand_before_its_arguments() {
        let call = CallSyntax::Named { mark: "[ARGS]".to_owned() };
        let form = ToolCallForm::new("", call).around_each("[TOOL_CALLS]", "");
        let f = r#"[TOOL_CALLS]f[ARGS]{"t": "}\\\"{"}"#;
        let arguments = r#"{"t": "}\\\"{"}"#;
        check_form(&form, &format!("{f}{f}"), "", &[("f", arguments), ("f", arguments)]);
        check_form(&form, "[TOOL_CALLS][ARGS]{}", "[TOOL_CALLS][ARGS]{}", &[]);
    }

    #[test]
    fn arguments_between_tags_have_the_types_of_the_schema() {
        let call = CallSyntax::Tagged {
            function: ["<function=", ">\n", "</function>"].map(str::to_owned),
            argument: ["<parameter=", ">\n", "\n</parameter>\n"].map(str::to_owned),
        };
        let form = ToolCallForm::new("", call).around_each("<tool_call>\n", "\n</tool_call>");
        let call = "<tool_call>\n<function=f>\n<parameter=a>\n5\n</parameter>\n\
             <parameter=t>\n5\n\n</parameter>\n<parameter=l>\n[1, \"<\"]\n</parameter>\n\
             </function>\n</tool_call>";
        let arguments = r#"{"a": 5, "t": "5\n", "l": [1, "<"]}"#;
        check_form(&form, call, "", &[("f", arguments)]);
        let none = "<tool_call><function=f></function></tool_call>";
        check_form(&form, none, "", &[("f", "{}")]);
        check_form(&form, "<tool_call>f(5)", "<tool_call>f(5)", &[]);
    }

    #[test]
    fn keys_may_be_bare_and_texts_marked() {
        let [before, quote] = ["call:", "<escape>"].map(str::to_owned);
        let form = ToolCallForm::new("", CallSyntax::Keyed { before, quote })
            .around_each("<start_function_call>", "<end_function_call>");
        let call = "<start_function_call>call:f{a:5,t:<escape>x, {\"y\"}<escape>,l:[1,{b:true},[]],\
                    o:{}}<end_function_call>";
        let arguments = r#"{"a": 5, "t": "x, {\"y\"}", "l": [1, {"b": true}, []], "o": {}}"#;
        check_form(&form, call, "", &[("f", arguments)]);
        check_form(&form, "<start_function_call>f{}", "<start_function_call>f{}", &[]);
    }
}
