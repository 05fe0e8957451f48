//! What the program says to the person at the terminal.
//!
//! Answers go to stdout, everything else to stderr: stdout may be a pipe, or a protocol.

use std::io::{self, Write as _};

/// Writes an answer to stdout; a closed pipe is the reader's choice, not an error.
pub(crate) fn answer(text: &str) {
    let mut out = io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to stderr.
pub(crate) fn note(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// Says why a command failed.
pub(crate) fn complain(failure: &crate::Failure) {
    note(&format!("error: {}", failure.to_string().printable()));
}

/// Keeps control characters of file names and file contents off the terminal.
pub(crate) trait Printable {
    /// The text with control characters but the newline escaped.
    fn printable(&self) -> String;
}

impl Printable for str {
    fn printable(&self) -> String {
        self.chars().fold(String::with_capacity(self.len()), |mut text, character| {
            if character.is_control() && character != '\n' {
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
