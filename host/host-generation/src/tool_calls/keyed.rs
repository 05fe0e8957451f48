//! Reads a call that is a name and an object whose keys are bare and whose texts have marks of their
//! own around them.

use serde_json::Value;

use super::{Progress, Reader};

/// Most bytes of a name, a key or a bare value.
const WORD_BYTES_MAX: usize = 512;

#[derive(Debug)]
pub(super) struct KeyedReader {
    before: String,
    quote: String,
    place: Place,
    held: String,
    name: Option<String>,
    /// Arguments as JSON, not given out yet.
    arguments: String,
    /// The brackets that are open, as what closes them.
    open: Vec<char>,
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    /// A key, or the end of an object.
    Key,
    /// A bare value, or what another begins with.
    Value,
    Text,
    /// A value has ended.
    After,
}

impl KeyedReader {
    pub(super) fn new(before: &str, quote: &str) -> Self {
        Self {
            before: before.to_owned(),
            quote: quote.to_owned(),
            place: Place::Name,
            held: String::new(),
            name: None,
            arguments: String::new(),
            open: Vec::new(),
        }
    }

    fn push_name(&mut self, c: char) -> Progress {
        if c != '{' {
            self.held.push(c);
            let begun = self.held.trim_start();
            let is_open = self.before.starts_with(begun) || begun.starts_with(&self.before);
            let fits = is_open && self.held.len() <= WORD_BYTES_MAX;
            return if fits { Progress::More } else { Progress::Malformed };
        }
        let name = self.held.trim().strip_prefix(&*self.before).unwrap_or_default().trim();
        if name.is_empty() {
            return Progress::Malformed;
        }
        self.name = Some(name.to_owned());
        self.held.clear();
        self.begin('{', '}', Place::Key);
        Progress::More
    }

    fn push_key(&mut self, c: char) -> Progress {
        match c {
            '}' if self.held.trim().is_empty() => return self.end(c),
            ':' => {
                let key = std::mem::take(&mut self.held);
                self.arguments += &format!("{}: ", Value::from(key.trim()));
                self.place = Place::Value;
            }
            c => self.held.push(c),
        }
        self.bounded()
    }

    fn push_value(&mut self, c: char) -> Progress {
        let is_first = self.held.trim().is_empty();
        match c {
            '{' if is_first => self.begin('{', '}', Place::Key),
            '[' if is_first => self.begin('[', ']', Place::Value),
            // An empty list.
            ']' if is_first && self.open.last() == Some(&']') => return self.end(c),
            ',' | '}' | ']' => {
                let word = std::mem::take(&mut self.held);
                let word = word.trim();
                let is_json = serde_json::from_str::<Value>(word).is_ok();
                self.arguments +=
                    &if is_json { word.into() } else { Value::from(word).to_string() };
                self.place = Place::After;
                return self.push_after(c);
            }
            c => {
                self.held.push(c);
                if self.held.trim_start() == self.quote {
                    self.held.clear();
                    self.place = Place::Text;
                }
            }
        }
        self.bounded()
    }

    fn push_text(&mut self, c: char) -> Progress {
        self.held.push(c);
        if let Some(text) = self.held.strip_suffix(&*self.quote) {
            self.arguments += &Value::from(text).to_string();
            self.held.clear();
            self.place = Place::After;
        }
        Progress::More
    }

    fn push_after(&mut self, c: char) -> Progress {
        match c {
            ',' => {
                self.arguments.push_str(", ");
                let in_list = self.open.last() == Some(&']');
                self.place = if in_list { Place::Value } else { Place::Key };
                Progress::More
            }
            '}' | ']' => self.end(c),
            c if c.is_whitespace() => Progress::More,
            _ => Progress::Malformed,
        }
    }

    fn begin(&mut self, bracket: char, close: char, place: Place) {
        self.held.clear();
        self.arguments.push(bracket);
        self.open.push(close);
        self.place = place;
    }

    fn end(&mut self, c: char) -> Progress {
        if self.open.pop() != Some(c) {
            return Progress::Malformed;
        }
        self.held.clear();
        self.arguments.push(c);
        self.place = Place::After;
        if self.open.is_empty() { Progress::Whole } else { Progress::More }
    }

    fn bounded(&self) -> Progress {
        if self.held.len() > WORD_BYTES_MAX { Progress::Malformed } else { Progress::More }
    }
}

impl Reader for KeyedReader {
    fn push(&mut self, c: char) -> Progress {
        match self.place {
            Place::Name => self.push_name(c),
            Place::Key => self.push_key(c),
            Place::Value => self.push_value(c),
            Place::Text => self.push_text(c),
            Place::After => self.push_after(c),
        }
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn take_arguments(&mut self) -> String {
        std::mem::take(&mut self.arguments)
    }
}
