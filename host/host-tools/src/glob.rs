//! Patterns over names: `*` stands for any run of characters, `?` for one.

use std::fmt;

/// A pattern such as `fs__*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<[char]>);

impl Glob {
    /// The pattern as it is written; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether a whole name fits. Time is at most the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut from) = (0, 0);
        // Where the last `*` stands, and the first character that it does not take yet.
        let mut star: Option<(usize, usize)> = None;
        while from < name.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, from));
                    at += 1;
                }
                Some(&wanted) if wanted == '?' || wanted == name[from] => {
                    at += 1;
                    from += 1;
                }
                _ => {
                    let Some((star_at, taken)) = star else { return false };
                    star = Some((star_at, taken + 1));
                    (at, from) = (star_at + 1, taken + 1);
                }
            }
        }
        self.0[at..].iter().all(|&rest| rest == '*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|c| write!(f, "{c}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_star_takes_any_run_and_a_question_mark_one_character() {
        let check = |pattern: &str, name: &str, fits: bool| {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} on {name}");
        };
        check("fs__*", "fs__read", true);
        check("fs__*", "fs_read", false);
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("*_file", "read_text_file", true);
        check("*_file", "read_text_files", false);
        check("a*b*c", "a1b2b3c", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("?", "ü", true);
    }
}
