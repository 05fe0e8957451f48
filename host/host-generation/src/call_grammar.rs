//! Grammars of tool calls in a model's own form, in llguidance's dialect of Lark.
//!
//! A call has a name that was offered and arguments that its schema allows. Where arguments are not
//! JSON, what they are made of is written out here: each value by its type, texts by their length,
//! arguments in the order of the schema. It compiles nothing.

use host_model::{CallSyntax, ToolCallForm};
use serde_json::{Map, Value};

use crate::chat_form::{ChatForm, Piece};
use crate::grammar::{Rule, escape};
use crate::schema::{is_required, is_text, properties, resolve, with_definitions};
use crate::tools::Tool;

/// An answer that is calls and nothing else.
pub(crate) fn calls(form: &ChatForm, offered: &[Tool], calls_max: usize) -> Rule {
    let ToolCallForm { open, between, close, .. } = &form.tool_calls;
    let mut lark = Lark::new(form);
    let (open, between, close) = (lark.mark(open), lark.mark(between), lark.mark(close));
    let more = match calls_max - 1 {
        0 => String::new(),
        more => format!("({between} call){{0,{more}}}"),
    };
    lark.calls(offered);
    lark.finish(&format!("{open} call {more} {close}"))
}

/// What comes after the first piece of the mark that begins calls: one call, or all that stand
/// between marks of their own. White space after that piece may be missing or be more.
pub(crate) fn calls_after_mark(form: &ChatForm, offered: &[Tool], calls_max: usize) -> Rule {
    let ToolCallForm { open, begin, end, between, close, .. } = &form.tool_calls;
    let mut lark = Lark::new(form);
    let (begin_mark, end_mark) = (lark.mark(begin), lark.mark(end));
    let (between, close) = (lark.mark(between), lark.mark(close));
    let rest = lark.rest(form.tool_calls.first_mark());
    let opened = if open.is_empty() { "" } else { &*begin_mark };
    let more = match calls_max - 1 {
        more if more > 0 && form.tool_calls.stand_together() => {
            format!("({between} call){{0,{more}}}")
        }
        _ => String::new(),
    };
    lark.calls(offered);
    lark.finish(&format!("{rest} {opened} any_call {end_mark} {more} {close}"))
}

/// Objects and lists in one another that a grammar follows; what is deeper may be anything.
const DEPTH_MAX: usize = 16;

/// What all parts of a schema have in common.
#[derive(Clone, Copy)]
struct Keyed<'a> {
    root: &'a Value,
    /// The mark around texts.
    around: &'a str,
    depth: usize,
}

/// A grammar being written.
struct Lark<'a> {
    form: &'a ChatForm,
    rules: String,
    count: usize,
}

impl<'a> Lark<'a> {
    fn new(form: &'a ChatForm) -> Self {
        Self { form, rules: String::new(), count: 0 }
    }

    fn finish(self, start: &str) -> Rule {
        Rule::Lark(format!("start: {start}\n{}", self.rules))
    }

    /// Adds a rule and answers its name.
    fn rule(&mut self, body: &str) -> String {
        self.rule_with("", body)
    }

    /// As [`Lark::rule`], with what stands behind the name.
    fn rule_with(&mut self, attributes: &str, body: &str) -> String {
        let name = format!("r{}", self.count);
        self.count += 1;
        self.rules += &format!("{name}{attributes}: {body}\n");
        name
    }

    /// A mark as it is.
    fn mark(&self, mark: &str) -> String {
        self.pieces(&self.form.pieces(mark))
    }

    fn pieces(&self, pieces: &[Piece<'_>]) -> String {
        let literal = |piece: &Piece<'_>| match piece {
            Piece::Control(token) => format!("<[{token}]>"),
            Piece::Text(text) => quote(text),
        };
        pieces.iter().map(literal).collect::<Vec<_>>().join(" ")
    }

    /// What a mark has after its first piece, with some white space before it.
    fn rest(&self, mark: &str) -> String {
        let pieces = self.form.pieces(mark);
        let rest = pieces.get(1..).unwrap_or_default();
        let space = if pieces.is_empty() { "" } else { "(/[ \\n]{1,4}/)?" };
        format!("{space} {}", self.pieces(rest))
    }

    fn calls(&mut self, offered: &[Tool]) {
        let names: Vec<String> = offered.iter().map(|tool| self.call(tool)).collect();
        let ToolCallForm { begin, end, .. } = &self.form.tool_calls;
        let (begin, end) = (self.mark(begin), self.mark(end));
        self.rules += &format!("call: {begin} any_call {end}\nany_call: {}\n", names.join(" | "));
    }

    fn call(&mut self, tool: &Tool) -> String {
        let form = self.form;
        let schema = tool.parameters.as_ref();
        match &form.tool_calls.call {
            CallSyntax::Json { arguments } => {
                // Models were shown spaces in these places, but may do without.
                let [name, key] = [&*tool.name, &**arguments].map(|text| escape(&quote(text)));
                let head = format!("/\\{{ ?\"name\" ?: ?{name} ?, ?{key} ?: ?/");
                let arguments = self.json(schema);
                self.rule(&format!("{head} {arguments} /\\s?\\}}/"))
            }
            CallSyntax::Named { mark } => {
                let (name, mark) = (quote(&tool.name), self.mark(mark));
                let arguments = self.json(schema);
                self.rule(&format!("{name} {mark} {arguments}"))
            }
            CallSyntax::Tagged { function: [open, named, close], argument } => {
                let name =
                    format!("{} {} {}", self.mark(open), quote(&tool.name), self.mark(named));
                let arguments = self.tagged(schema, argument);
                let close = self.mark(close);
                self.rule(&format!("{name} {arguments} {close}"))
            }
            CallSyntax::Keyed { before, quote: around } => {
                let name = format!("{} {}", self.mark(before), quote(&tool.name));
                let object = serde_json::json!({ "type": "object" });
                let schema = schema.unwrap_or(&object);
                let arguments = self.keyed(schema, Keyed { root: schema, around, depth: 0 });
                self.rule(&format!("{name} {arguments}"))
            }
        }
    }

    fn json(&mut self, schema: Option<&Value>) -> String {
        self.rule(&format!("%json {}", Rule::schema(schema)))
    }

    /// Arguments between tags, those that are not required perhaps.
    fn tagged(&mut self, schema: Option<&Value>, marks: &[String; 3]) -> String {
        let [open, named, close] = marks;
        let (open, named) = (self.mark(open), self.mark(named));
        let Some(properties) = schema.and_then(properties) else {
            let value = self.text_before(close, "(?s:.*)");
            return format!("({open} /[A-Za-z0-9_.-]{{1,64}}/ {named} {value})*");
        };
        let schema = schema.unwrap_or(&Value::Null);
        let argument = |(key, of): (&String, &Value)| {
            let of = resolve(of, schema);
            let value = match texts(of) {
                Some(texts) => format!("({}) {}", texts.join(" | "), self.mark(close)),
                None if is_text(of) => self.text_before(close, &text_pattern(of)),
                None => {
                    let value = self.json(Some(&with_definitions(of, schema)));
                    format!("{value} {}", self.mark(close))
                }
            };
            let argument = format!("{open} {} {named} {value}", quote(key));
            if is_required(schema, key) { argument } else { format!("({argument})?") }
        };
        properties.iter().map(argument).collect::<Vec<_>>().join(" ")
    }

    /// Text up to a mark, and the mark.
    fn text_before(&mut self, mark: &str, pattern: &str) -> String {
        match self.form.pieces(mark).first() {
            // No text has it in it, so text ends there by itself.
            Some(Piece::Control(_)) => format!("(/{pattern}/)? {}", self.mark(mark)),
            _ => self.rule_with(&format!("[suffix={}]", quote(mark)), &format!("/{pattern}/")),
        }
    }

    /// A value whose texts have marks around them and whose keys have none.
    fn keyed(&mut self, schema: &Value, whole: Keyed<'_>) -> String {
        let Keyed { root, around, depth } = whole;
        let schema = resolve(schema, root);
        if depth > DEPTH_MAX {
            return self.any_keyed(around);
        }
        let whole = Keyed { depth: depth + 1, ..whole };
        if let Some(Value::Array(values)) = schema.get("enum") {
            let values: Vec<String> =
                values.iter().map(|it| self.keyed_value(it, around)).collect();
            return self.rule(&values.join(" | "));
        }
        let mark = self.mark(around);
        match schema["type"].as_str() {
            Some("string") => {
                let text = self.text_before(around, &text_pattern(schema));
                self.rule(&format!("{mark} {text}"))
            }
            Some("integer" | "number" | "boolean" | "null") => {
                self.json(Some(&with_definitions(schema, root)))
            }
            Some("array") => {
                let item = match schema.get("items") {
                    Some(items @ Value::Object(_)) => self.keyed(items, whole),
                    _ => self.any_keyed(around),
                };
                let items = list_of(&item, schema);
                self.rule(&format!("\"[\" {items} \"]\""))
            }
            Some("object") if properties(schema).is_some() => {
                let fields = self.keyed_fields(schema, whole);
                self.rule(&format!("\"{{\" {fields} \"}}\""))
            }
            Some("object") => {
                let value = self.any_keyed(around);
                let field = format!("/[A-Za-z0-9_.-]{{1,64}}/ \":\" {value}");
                self.rule(&format!("\"{{\" ({field} (\",\" {field})*)? \"}}\""))
            }
            _ => self.any_keyed(around),
        }
    }

    /// The fields of an object, with a comma before each but the first that is there.
    fn keyed_fields(&mut self, schema: &Value, whole: Keyed<'_>) -> String {
        let empty = Map::new();
        let fields = properties(schema).unwrap_or(&empty);
        let (mut first, mut more) = ("\"\"".to_owned(), "\"\"".to_owned());
        // From the last to the first: what may follow is written already.
        for (key, of) in fields.iter().rev() {
            let value = self.keyed(of, whole);
            let field = format!("{} {value} {more}", quote(&format!("{key}:")));
            let is_optional = !is_required(schema, key);
            let or = |other: &str| if is_optional { format!(" | {other}") } else { String::new() };
            let (with, after) =
                (format!("{field}{}", or(&first)), format!("\",\" {field}{}", or(&more)));
            (first, more) = (self.rule(&with), self.rule(&after));
        }
        first
    }

    fn keyed_value(&mut self, value: &Value, around: &str) -> String {
        let mark = self.mark(around);
        match value {
            Value::String(text) => format!("{mark} {} {mark}", quote(text)),
            other => quote(&other.to_string()),
        }
    }

    /// Any value; its rule is written once.
    fn any_keyed(&mut self, around: &str) -> String {
        if !self.rules.contains("any_value:") {
            let (mark, text) = (self.mark(around), self.text_before(around, "(?s:.*)"));
            self.rules += "any_field: /[A-Za-z0-9_.-]{1,64}/ \":\" any_value\n";
            self.rules += &format!(
                "any_value: {mark} {text} | \"true\" | \"false\" | \"null\" \
                 | /-?[0-9]{{1,18}}(\\.[0-9]{{1,18}})?/ \
                 | \"[\" (any_value (\",\" any_value)*)? \"]\" \
                 | \"{{\" (any_field (\",\" any_field)*)? \"}}\"\n"
            );
        }
        "any_value".to_owned()
    }
}

/// A Lark literal of this text.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// As many items with commas between them as a schema allows.
fn list_of(item: &str, schema: &Value) -> String {
    let least = schema["minItems"].as_u64().unwrap_or(0);
    let most = match schema["maxItems"].as_u64() {
        Some(0) => return "\"\"".to_owned(),
        Some(most) => most.saturating_sub(1).to_string(),
        None => String::new(),
    };
    let more = format!("{item} (\",\" {item}){{{},{most}}}", least.saturating_sub(1));
    if least == 0 { format!("({more})?") } else { more }
}

/// The texts that a schema names, as literals, if it allows those and nothing else.
fn texts(schema: &Value) -> Option<Vec<String>> {
    let values = schema.get("enum")?.as_array()?;
    values.iter().map(|value| value.as_str().map(quote)).collect()
}

/// A regular expression of texts of the length that a schema allows.
fn text_pattern(schema: &Value) -> String {
    let least = schema["minLength"].as_u64().unwrap_or(0);
    match schema["maxLength"].as_u64() {
        Some(most) => format!("(?s:.{{{least},{most}}})"),
        None if least > 0 => format!("(?s:.{{{least},}})"),
        None => "(?s:.*)".to_owned(),
    }
}
