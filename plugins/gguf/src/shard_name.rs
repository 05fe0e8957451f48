//! The file names of shards: `NAME-00002-of-00003.gguf`, as llama.cpp's `llama-gguf-split` writes
//! them.
//!
//! Names only: nothing here looks at a file.

const EXTENSION: &str = ".gguf";
/// Digits of both numbers.
const DIGITS: usize = 5;

/// A shard's file name, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardName<'a> {
    /// What the names of all shards begin with.
    pub(crate) prefix: &'a str,
    /// From 1 to `count`.
    pub(crate) number: u64,
    pub(crate) count: u64,
}

impl<'a> ShardName<'a> {
    /// Takes a file name apart; nothing if it is not that of a shard.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let (rest, count) = name.strip_suffix(EXTENSION)?.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let (number, count) = (digits(number)?, digits(count)?);
        (1..=count).contains(&number).then_some(Self { prefix, number, count })
    }

    /// The name of another shard of the same checkpoint.
    pub(crate) fn sibling(&self, number: u64) -> String {
        let Self { prefix, count, .. } = self;
        format!("{prefix}-{number:0DIGITS$}-of-{count:0DIGITS$}{EXTENSION}")
    }
}

fn digits(text: &str) -> Option<u64> {
    let all_digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_and_put_together() {
        let name = ShardName::parse("a-00001-of-00002-00002-of-00003.gguf").expect("a shard");
        assert_eq!(name, ShardName { prefix: "a-00001-of-00002", number: 2, count: 3 });
        assert_eq!(name.sibling(3), "a-00001-of-00002-00003-of-00003.gguf");
    }

    #[test]
    fn other_names_are_no_shards() {
        for name in [
            "model.gguf",
            "a-00001-of-00002.bin",
            "a-0001-of-0002.gguf",
            "a-00000-of-00002.gguf",
            "a-00003-of-00002.gguf",
            "a-+0001-of-00002.gguf",
            "00001-of-00002.gguf",
        ] {
            assert_eq!(ShardName::parse(name), None, "{name}");
        }
    }
}
