//! What the program says to the person at the terminal.
//!
//! Answers go to stdout, everything else to stderr: stdout may be a pipe, or a protocol.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

/// Writes an answer to stdout, without control characters if that is a terminal; false once nobody
/// reads it any more, which is the reader's choice and no error.
pub(crate) fn answer(text: &str) -> bool {
    let mut out = io::stdout().lock();
    let text = match out.is_terminal() {
        true => Cow::Owned(text.printable()),
        false => Cow::Borrowed(text),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Writes a line to stderr.
pub(crate) fn note(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// A remark for stderr, less bright than an answer where colours are wanted.
pub(crate) fn dim(text: &str) -> String {
    if wants_colours(&io::stderr()) { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
}

/// A prompt for stdout that stands out where colours are wanted.
pub(crate) fn bold(text: &str) -> Cow<'_, str> {
    if wants_colours(&io::stdout()) { format!("\x1b[1m{text}\x1b[0m").into() } else { text.into() }
}

/// On a terminal, unless `NO_COLOR` says otherwise.
fn wants_colours(out: &impl io::IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says why a command failed.
pub(crate) fn complain(failure: &crate::Failure) {
    note(&format!("error: {}", failure.to_string().printable()));
}

/// Keeps control characters of file names and file contents off the terminal.
pub(crate) trait Printable {
    /// The text with control characters but line end and tab escaped.
    fn printable(&self) -> String;
}

impl Printable for str {
    fn printable(&self) -> String {
        self.chars().fold(String::with_capacity(self.len()), |mut text, character| {
            if character.is_control() && !matches!(character, '\n' | '\t') {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
            text
        })
    }
}

/// Lays out rows as a table with aligned columns; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
