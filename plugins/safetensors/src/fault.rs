//! The one form of every refusal: `path: field: found X, expected Y; what to do`.

use plugin_api::Error;
use std::fmt::Display;
use std::path::Path;

/// Characters of a file's own text that a message repeats.
const SHOWN_MAX: usize = 64;

/// A field of the file at `path` is not what it has to be.
pub(crate) fn fault(
    path: &Path,
    field: impl Display,
    found: impl Display,
    expected: impl Display,
) -> Error {
    Error::invalid(format!("{}: {field}: found {found}, expected {expected}", path.display()))
}

/// Text of a file as a message may repeat it: quoted, escaped, not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("`{}`", start.escape_debug())
}
