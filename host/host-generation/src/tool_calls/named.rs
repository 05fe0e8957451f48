//! Reads a call that is a name, a mark and the arguments as a JSON object.

use super::{Progress, Reader};

/// Most bytes of a name and the mark after it.
const NAME_BYTES_MAX: usize = 512;

#[derive(Debug)]
pub(super) struct NamedReader {
    mark: String,
    /// What has come before the mark ended.
    held: String,
    name: Option<String>,
    arguments: String,
    /// Open braces and brackets.
    depth: usize,
    string: bool,
    escaped: bool,
}

impl NamedReader {
    pub(super) fn new(mark: &str) -> Self {
        Self {
            mark: mark.trim().to_owned(),
            held: String::new(),
            name: None,
            arguments: String::new(),
            depth: 0,
            string: false,
            escaped: false,
        }
    }

    fn push_name(&mut self, c: char) -> Progress {
        self.held.push(c);
        if let Some(name) = self.held.strip_suffix(&*self.mark).map(str::trim) {
            let is_name = !name.is_empty();
            self.name = is_name.then(|| name.to_owned());
            return if is_name { Progress::More } else { Progress::Malformed };
        }
        if self.held.len() > NAME_BYTES_MAX { Progress::Malformed } else { Progress::More }
    }
}

impl Reader for NamedReader {
    fn push(&mut self, c: char) -> Progress {
        if self.name.is_none() {
            return self.push_name(c);
        }
        if self.depth == 0 {
            match c {
                c if c.is_whitespace() => return Progress::More,
                '{' => {}
                _ => return Progress::Malformed,
            }
        }
        self.arguments.push(c);
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' if self.string => self.escaped = true,
            '"' => self.string = !self.string,
            _ if self.string => {}
            '{' | '[' => self.depth += 1,
            '}' | ']' => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 { Progress::Whole } else { Progress::More }
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn take_arguments(&mut self) -> String {
        std::mem::take(&mut self.arguments)
    }
}
