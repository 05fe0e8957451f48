//! The name of a repository, and which of its checkpoints is meant.

use std::fmt;
use std::str::FromStr;

/// Most bytes of a part of a name.
const NAME_BYTES_MAX: usize = 96;

/// A repository of models on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    organisation: String,
    name: String,
}

/// A repository, and perhaps one of its quantizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) repository: Repository,
    pub(crate) quantization: Option<String>,
}

impl Repository {
    /// Its folder in the cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}--{}", self.organisation, self.name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organisation, self.name)
    }
}

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (repository, quantization) = match text.split_once(':') {
            Some((repository, quantization)) => (repository, Some(quantization)),
            None => (text, None),
        };
        let (organisation, name) = repository
            .split_once('/')
            .ok_or_else(|| format!("`{text}` has no organisation, expected ORGANISATION/NAME"))?;
        for part in [organisation, name].into_iter().chain(quantization) {
            if !is_name(part) {
                return Err(format!(
                    "`{part}` is no name: expected letters, digits, `.`, `_` and `-`, no dots side \
                     by side"
                ));
            }
        }
        Ok(Self {
            repository: Repository { organisation: organisation.to_owned(), name: name.to_owned() },
            quantization: quantization.map(str::to_owned),
        })
    }
}

/// Whether a text may be a part of a path and of an address.
fn is_name(text: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.chars().all(is_fit)
        && !text.contains("..")
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::Checkpoint;

    #[test]
    fn names_have_two_parts_and_perhaps_a_quantization() {
        let read = |text: &str| text.parse::<Checkpoint>();
        let plain = read("Qwen/Qwen3-0.6B").expect("a name");
        assert_eq!(
            (plain.repository.to_string(), plain.quantization),
            ("Qwen/Qwen3-0.6B".into(), None)
        );
        assert_eq!(plain.repository.folder(), "models--Qwen--Qwen3-0.6B");
        let one = read("a/b:Q4_K_M").expect("a name");
        assert_eq!(one.quantization.as_deref(), Some("Q4_K_M"));
        for wrong in ["b", "a/b/c", "../b", "a/..", "a/b:", "a /b", "a/b:../x", "-a/b", "a/b?x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
