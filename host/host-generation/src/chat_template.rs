//! Turns a conversation into a prompt with the checkpoint's own chat template.
//!
//! Templates are written for `transformers`, so what they see here is what they see there: its
//! variables, its white space rules, Python's `json.dumps` and Python's printing of values. A
//! template is data from a file that nobody checked, hence the bounds on its size, its steps and its
//! output. This module must not know tokens, and never takes a template from a client.

use std::collections::BTreeMap;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};

use crate::conversation::{self, Abilities};
use crate::error::TemplateError;
use crate::limits::{
    TEMPLATE_BYTES_MAX, TEMPLATE_FUEL_MAX, TEMPLATE_OUTPUT_BYTES_MAX, TEMPLATE_RECURSION_MAX,
};
use crate::{growth, python};

const NAME: &str = "chat template";

/// A conversation as the template sees it.
#[derive(Debug, Clone, Default)]
pub struct ChatPrompt {
    /// The messages, each an object with a role.
    pub messages: Vec<serde_json::Value>,
    /// The tools offered to the model, as OpenAI's list of functions.
    pub tools: Option<serde_json::Value>,
    /// Whether the prompt ends where the assistant is to speak.
    pub add_generation_prompt: bool,
    /// Variables that this template knows beside the usual ones.
    pub kwargs: serde_json::Map<String, serde_json::Value>,
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_text: String,
    eos_text: String,
    abilities: Abilities,
}

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// The source is too long or is no template.
    pub fn new(source: &str, bos_text: &str, eos_text: &str) -> Result<Self, TemplateError> {
        if source.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong { bytes: source.len(), limit: TEMPLATE_BYTES_MAX });
        }
        if let Some(variable) = growth::doubled_variable(source) {
            return Err(TemplateError::Doubling { variable });
        }
        let mut environment = environment();
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(|error| TemplateError::Syntax { message: one_line(&error) })?;
        let mut template = Self {
            environment,
            bos_text: bos_text.to_owned(),
            eos_text: eos_text.to_owned(),
            abilities: Abilities { developer: source.contains("developer"), parts: true },
        };
        let probe = ChatPrompt { messages: conversation::probe(), ..ChatPrompt::default() };
        template.abilities.parts =
            template.render(&probe).is_ok_and(|text| conversation::reads_parts(&text));
        Ok(template)
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// The template refused the conversation, failed, or did too much.
    pub fn render(&self, chat: &ChatPrompt) -> Result<String, TemplateError> {
        let failed = |error: Error| TemplateError::Render { message: one_line(&error) };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let mut output = BoundedOutput::default();
        let outcome = template.render_captured_to(self.variables(chat), &mut output);
        if output.is_full {
            return Err(TemplateError::Render {
                message: format!("the prompt is longer than {TEMPLATE_OUTPUT_BYTES_MAX} bytes"),
            });
        }
        outcome.map_err(failed)?;
        String::from_utf8(output.bytes)
            .map_err(|error| TemplateError::Render { message: error.to_string() })
    }

    fn variables(&self, chat: &ChatPrompt) -> Value {
        let mut variables: BTreeMap<&str, Value> = chat
            .kwargs
            .iter()
            .map(|(name, value)| (name.as_str(), Value::from(Serde(value))))
            .collect();
        // The conversation is not a client's extra variable: it wins over one of its name.
        let messages = conversation::adapt(&chat.messages, self.abilities);
        variables.insert("messages", Value::from(Serde(messages)));
        variables.insert("tools", Value::from(Serde(&chat.tools)));
        variables.insert("documents", Value::from(()));
        variables.insert("add_generation_prompt", chat.add_generation_prompt.into());
        variables.insert("bos_token", self.bos_text.as_str().into());
        variables.insert("eos_token", self.eos_text.as_str().into());
        Value::from_pairs(variables)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters are valid"));
    environment.set_fuel(Some(TEMPLATE_FUEL_MAX));
    environment.set_recursion_limit(TEMPLATE_RECURSION_MAX);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(python::method);
    environment.add_filter("tojson", tojson);
    environment.add_test("iterable", is_iterable);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| python::strftime_now(format));
    environment
}

/// As in Jinja, where nothing can be iterated over but an undefined value can.
fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// `json.dumps` with the arguments that `transformers` gives it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands keyword arguments over by value"
)]
fn tojson(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    let indent = match options.get::<Option<usize>>("indent")? {
        Some(indent) => Some(indent),
        None => indent,
    };
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let style = python::JsonStyle {
        indent,
        separators: separators.and_then(|pair| pair.try_into().ok()),
        ensure_ascii: ensure_ascii.unwrap_or(false),
        sort_keys: sort_keys.unwrap_or(false),
    };
    python::json_dumps(value, &style)
}

/// A template's complaint in one line: its own words where it raised them.
fn one_line(error: &Error) -> String {
    let text = match (error.kind(), error.detail()) {
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        _ => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `{% generation %}` marks the assistant's words for training; as a block that is always entered it
/// changes nothing.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start + 2);
        out.push_str(before);
        let word_start = tag.len() - tag.trim_start_matches(['-', '+']).trim_start().len();
        let word = &tag[word_start..];
        let name_len = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &word[..name_len.unwrap_or(word.len())];
        let substitute = match name {
            "generation" => "if true",
            "endgeneration" => "endif",
            other => other,
        };
        out.push_str(&tag[..word_start]);
        out.push_str(substitute);
        rest = &word[name.len()..];
    }
    out.push_str(rest);
    out
}

/// What the template wrote, up to the limit.
#[derive(Default)]
struct BoundedOutput {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for BoundedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
