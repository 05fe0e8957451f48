//! The one form of every refusal: `field: found X, expected Y; what to do`.
//!
//! Whoever opened the file puts its path before it. Text out of a file is shortened and escaped
//! here, because it ends up in terminals and logs.

use plugin_api::Error;
use std::fmt::Display;

/// Characters of a file's own text that a message repeats.
const SHOWN_MAX: usize = 64;

/// What to do about a file that ends too soon.
pub(crate) const CUT_SHORT: &str = "the file is cut short, download it again";

/// A field is not what it has to be.
pub(crate) fn fault(field: impl Display, found: impl Display, expected: impl Display) -> Error {
    Error::invalid(format!("{field}: found {found}, expected {expected}"))
}

/// As [`fault`], saying what to do about it.
pub(crate) fn fault_with_hint(
    field: impl Display,
    found: impl Display,
    expected: impl Display,
    hint: impl Display,
) -> Error {
    Error::invalid(format!("{field}: found {found}, expected {expected}; {hint}"))
}

/// Text of a file as a message may repeat it: quoted, escaped, not too long.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * SHOWN_MAX).unwrap_or(bytes));
    let mut start: String = text.chars().take(SHOWN_MAX).collect();
    if start.len() < bytes.len() && start.chars().count() == SHOWN_MAX {
        start.push('…');
    }
    format!("`{}`", start.escape_debug())
}
