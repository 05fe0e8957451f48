//! Reads a call that is one JSON object, character by character.
//!
//! Only the object's own members matter, and of those the name and the arguments; the rest is
//! skipped. It keeps no text but what has not been taken.

use super::{Progress, Reader};

#[derive(Debug, Default)]
pub(super) struct JsonReader {
    /// Open braces and brackets.
    depth: usize,
    string: Option<Escape>,
    /// The member being read.
    key: Option<String>,
    /// Text of the value or key being read, if it matters.
    value: String,
    name: Option<String>,
    /// Arguments not given out yet.
    arguments: String,
    has_arguments: bool,
    whole: bool,
}

/// Whether the next character of a string is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    Yes,
}

impl Reader for JsonReader {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn take_arguments(&mut self) -> String {
        if self.whole && !self.has_arguments {
            self.has_arguments = true;
            return "{}".to_owned();
        }
        std::mem::take(&mut self.arguments)
    }

    fn push(&mut self, c: char) -> Progress {
        if self.depth == 0 {
            return match c {
                '{' => {
                    self.depth = 1;
                    Progress::More
                }
                c if c.is_whitespace() => Progress::More,
                _ => Progress::Malformed,
            };
        }
        if let Some(escape) = self.string {
            self.keep(c);
            self.string = match (escape, c) {
                (Escape::No, '\\') => Some(Escape::Yes),
                (Escape::No, '"') => None,
                _ => Some(Escape::No),
            };
            return Progress::More;
        }
        self.push_outside_strings(c)
    }
}

impl JsonReader {
    fn push_outside_strings(&mut self, c: char) -> Progress {
        match c {
            '"' => {
                self.keep(c);
                self.string = Some(Escape::No);
            }
            ':' if self.depth == 1 && self.key.is_none() => {
                let Ok(key) = serde_json::from_str(&self.value) else { return Progress::Malformed };
                self.key = Some(key);
                self.value.clear();
            }
            ',' if self.depth == 1 => return self.end_member(Progress::More),
            '{' | '[' => {
                self.depth += 1;
                self.keep(c);
            }
            '}' | ']' if self.depth == 1 => {
                if self.key.is_none() && !self.value.trim().is_empty() {
                    return Progress::Malformed;
                }
                return self.end();
            }
            '}' | ']' => {
                self.keep(c);
                self.depth -= 1;
            }
            // Space around a member is not part of it.
            c if c.is_whitespace() && self.depth == 1 => {}
            c => self.keep(c),
        }
        Progress::More
    }

    /// Keeps a character of a key, a name or arguments.
    fn keep(&mut self, c: char) {
        match self.key.as_deref() {
            // Its first character tells whether the object comes as a text.
            Some("arguments" | "parameters")
                if !self.has_arguments && (c == '"' || !self.value.is_empty()) =>
            {
                self.value.push(c);
            }
            Some("arguments" | "parameters") => {
                self.has_arguments = true;
                self.arguments.push(c);
            }
            None | Some("name") => self.value.push(c),
            Some(_) => {}
        }
    }

    fn end_member(&mut self, progress: Progress) -> Progress {
        let value = std::mem::take(&mut self.value);
        match self.key.take().as_deref() {
            None => return Progress::Malformed,
            Some("name") => match serde_json::from_str(&value) {
                Ok(name) => self.name = Some(name),
                Err(_) => return Progress::Malformed,
            },
            // Some models write the object as the text of one.
            Some("arguments" | "parameters") if !value.is_empty() => {
                let Ok(text) = serde_json::from_str::<String>(&value) else {
                    return Progress::Malformed;
                };
                self.has_arguments = true;
                self.arguments.push_str(&text);
            }
            Some(_) => {}
        }
        progress
    }

    fn end(&mut self) -> Progress {
        if self.key.is_some() && self.end_member(Progress::More) == Progress::Malformed {
            return Progress::Malformed;
        }
        self.depth = 0;
        self.whole = true;
        if self.name.is_some() { Progress::Whole } else { Progress::Malformed }
    }
}
