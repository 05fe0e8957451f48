//! Reads a call that has tags around the function and around each argument.
//!
//! Texts stand between tags as they are, so only the function's schema tells `5` from `"5"`. An
//! argument is given out when its tag closes.

use std::sync::Arc;

use serde_json::Value;

use super::{Progress, Reader};
use crate::schema::{is_text, properties, resolve};
use crate::tools::Tool;

/// Most bytes of a name.
const NAME_BYTES_MAX: usize = 512;

#[derive(Debug)]
pub(super) struct TaggedReader {
    function: [String; 3],
    argument: [String; 3],
    tools: Arc<[Tool]>,
    place: Place,
    /// What has come since the last tag.
    held: String,
    name: Option<String>,
    /// The argument that is being read.
    key: String,
    /// Arguments not given out yet.
    arguments: String,
    argument_count: usize,
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Function,
    Name,
    /// The tag of an argument, or the end.
    Argument,
    Key,
    Value,
}

impl TaggedReader {
    pub(super) fn new(function: &[String; 3], argument: &[String; 3], tools: Arc<[Tool]>) -> Self {
        let trimmed = |marks: &[String; 3]| marks.clone().map(|mark| mark.trim().to_owned());
        Self {
            function: trimmed(function),
            argument: trimmed(argument),
            tools,
            place: Place::Function,
            held: String::new(),
            name: None,
            key: String::new(),
            arguments: String::new(),
            argument_count: 0,
        }
    }

    /// The mark that ends what is being read.
    fn mark(&self) -> &str {
        match self.place {
            Place::Function => &self.function[0],
            Place::Name => &self.function[1],
            Place::Argument => &self.argument[0],
            Place::Key => &self.argument[1],
            Place::Value => &self.argument[2],
        }
    }

    /// Takes what stood before a mark.
    fn take(&mut self, before: &str) {
        self.place = match self.place {
            Place::Function => Place::Name,
            Place::Name => {
                self.name = Some(before.trim().to_owned());
                self.arguments.push('{');
                Place::Argument
            }
            Place::Argument => Place::Key,
            Place::Key => {
                self.key = before.trim().to_owned();
                Place::Value
            }
            Place::Value => {
                let text = before.strip_prefix('\n').unwrap_or(before);
                let value = self.value(text.strip_suffix('\n').unwrap_or(text));
                let separator = if self.argument_count == 0 { "" } else { ", " };
                let key = Value::from(&*self.key);
                self.arguments += &format!("{separator}{key}: {value}");
                self.argument_count += 1;
                Place::Argument
            }
        };
    }

    /// The JSON of a text between tags, as the schema has its type.
    fn value(&self, text: &str) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let schema = tool.and_then(|tool| tool.parameters.as_ref());
        let argument =
            schema.and_then(|schema| Some(resolve(properties(schema)?.get(&self.key)?, schema)));
        let is_text = argument.is_none_or(is_text);
        let is_json = !is_text && serde_json::from_str::<Value>(text).is_ok();
        if is_json { text.trim().to_owned() } else { Value::from(text).to_string() }
    }

    /// Whether what is held can still be space and then this mark.
    fn may_become(&self, mark: &str) -> bool {
        mark.starts_with(self.held.trim_start())
    }
}

impl Reader for TaggedReader {
    fn push(&mut self, c: char) -> Progress {
        self.held.push(c);
        if let Some(before) = self.held.strip_suffix(self.mark()).map(str::to_owned) {
            self.held.clear();
            if matches!(self.place, Place::Name | Place::Key) && before.trim().is_empty() {
                return Progress::Malformed;
            }
            self.take(&before);
            return Progress::More;
        }
        let is_open = match self.place {
            Place::Function => self.may_become(&self.function[0]),
            Place::Argument => {
                if self.held.trim_start() == self.function[2] {
                    self.arguments.push('}');
                    return Progress::Whole;
                }
                self.may_become(&self.argument[0]) || self.may_become(&self.function[2])
            }
            Place::Name | Place::Key => self.held.len() <= NAME_BYTES_MAX,
            Place::Value => true,
        };
        if is_open { Progress::More } else { Progress::Malformed }
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn take_arguments(&mut self) -> String {
        std::mem::take(&mut self.arguments)
    }
}
