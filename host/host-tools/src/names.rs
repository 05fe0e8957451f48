//! What things from elsewhere are called here.
//!
//! `PREFIX__tool` for those of a server: the prefix comes from the configuration and never from the server, so no server
//! can take another's name, nor one of the host, which has no `__`. Clients disagree about the
//! letters of a name; what is outside the smallest alphabet, or too long, is shortened and gets a
//! few digits of its hash, so that two such names stay two.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::config::Names;

/// Longest name that every client takes.
const NAME_CHARS_MAX: usize = 64;

/// Characters of an odd name that are kept before its hash.
const KEPT_CHARS: usize = 40;

/// Between a prefix and the name that follows it.
pub(crate) const SEPARATOR: &str = "__";

/// The name of a tool or prompt here; none if it may not be offered under its own.
pub(crate) fn name(names: &Names, original: &str) -> Option<String> {
    let (prefix, custom) = match names {
        Names::Prefix(prefix) => (Some(prefix), None),
        Names::Custom(map, prefix) => (Some(prefix), map.get(original)),
        Names::Flat => (None, None),
    };
    if let Some(custom) = custom {
        return Some(fitted("", custom));
    }
    match prefix {
        Some(prefix) => Some(fitted(&format!("{prefix}{SEPARATOR}"), original)),
        // Such a name belongs to whoever has the prefix.
        None if original.contains(SEPARATOR) => None,
        None => Some(fitted("", original)),
    }
}

/// The address of a resource here.
pub(crate) fn uri(names: &Names, original: &str) -> String {
    match names {
        Names::Flat => original.to_owned(),
        Names::Prefix(prefix) | Names::Custom(_, prefix) => format!("{prefix}+{original}"),
    }
}

fn fitted(prefix: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = prefix.len() + name.len() <= NAME_CHARS_MAX;
    if fits && !name.is_empty() && name.chars().all(plain) {
        return format!("{prefix}{name}");
    }
    let digest = Sha256::digest(name.as_bytes());
    let kept = KEPT_CHARS.min(NAME_CHARS_MAX - 9 - prefix.len());
    let kept: String = name.chars().map(|c| if plain(c) { c } else { '_' }).take(kept).collect();
    let mut fitted = format!("{prefix}{kept}_");
    for byte in &digest[..4] {
        // Writing to a text cannot fail.
        let _written = write!(fitted, "{byte:02x}");
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::{NAME_CHARS_MAX, name, uri};
    use crate::config::Names;

    #[test]
    fn names_carry_the_prefix_and_odd_ones_a_hash() {
        let prefix = Names::Prefix("beta".to_owned());
        let check = |original: &str, expected: &str| {
            assert_eq!(name(&prefix, original).as_deref(), Some(expected));
        };
        check("echo", "beta__echo");
        check("alpha__echo", "beta__alpha__echo");
        check("weird name/ü", "beta__weird_name___d7bb7e83");
        let long = name(&prefix, &"x".repeat(120)).unwrap();
        assert_eq!(long.len(), "beta__".len() + 40 + 9);
        assert_ne!(long, name(&prefix, &"x".repeat(121)).unwrap());
        let longest = Names::Prefix("p".repeat(24));
        assert!(name(&longest, &"x".repeat(999)).unwrap().len() <= NAME_CHARS_MAX);
        assert_eq!(uri(&prefix, "file:///a"), "beta+file:///a");
    }

    #[test]
    fn flat_names_take_no_prefix_of_others() {
        assert_eq!(name(&Names::Flat, "echo").as_deref(), Some("echo"));
        assert_eq!(name(&Names::Flat, "alpha__echo"), None);
        let map = [("echo".to_owned(), "say".to_owned())].into();
        let custom = Names::Custom(map, "p".to_owned());
        assert_eq!(name(&custom, "echo").as_deref(), Some("say"));
        assert_eq!(name(&custom, "other").as_deref(), Some("p__other"));
    }
}
