//! The keys that clients may send, each with a name for logs and with what its owner may do.
//!
//! A file of keys has one a line, as `KEY`, `NAME KEY` or `NAME KEY SCOPE,SCOPE`; empty lines and
//! lines that begin with `#` are passed over. Without scopes a key is good for everything. Reading
//! them is done once; whoever needs no key is decided elsewhere.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use host_tools::{Caller, Scope, ScopeError, Scopes, Surface};

/// Most bytes of a file of keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most keys of a host: a request is compared with each of them.
const KEYS_MAX: usize = 1024;

/// Most bytes of a key, and of its name.
const WORD_BYTES_MAX: usize = 512;

/// The keys of a host; none: nobody is asked for one.
#[derive(Clone, Default)]
pub struct ApiKeys {
    keys: Vec<ApiKey>,
}

#[derive(Clone)]
struct ApiKey {
    name: Box<str>,
    key: Box<str>,
    scopes: Scopes,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there, or may not be read.
    #[error("the API keys of {file} cannot be read: {error}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A line, or the whole, is not as it must be.
    #[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// The file.
        file: String,
        /// The line, from 1, if it is about one.
        line: Option<usize>,
        /// What was found and expected; never the key.
        message: String,
    },
}

impl ApiKeys {
    /// One key, as a flag gives it.
    pub fn one(key: &str) -> Self {
        let (name, key) = ("api-key".into(), key.into());
        Self { keys: vec![ApiKey { name, key, scopes: Scopes::all() }] }
    }

    /// The keys of a file. A file that everybody on the machine may read is warned of.
    ///
    /// # Errors
    /// It cannot be read, holds no key, or a line is not as it must be.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let file = path.display().to_string();
        match read_text(path) {
            Err(error) => Err(KeyFileError::Io { file, error }),
            Ok(text) => Self::parse(&text).map_err(|(line, message)| KeyFileError::Invalid {
                file,
                line,
                message,
            }),
        }
    }

    /// Adds others, such as those of a file to that of a flag.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.keys.extend(others.keys);
        self
    }

    /// Whether nobody is asked for a key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The index of the key that was sent. Each key is compared, so that the time does not tell which
    /// one came near.
    pub(crate) fn find(&self, sent: &[u8]) -> Option<usize> {
        let mut found = None;
        for (index, entry) in self.keys.iter().enumerate() {
            if is_equal(sent, entry.key.as_bytes()) {
                found = Some(index);
            }
        }
        found
    }

    /// The name of the key at an index that [`ApiKeys::find`] gave.
    pub(crate) fn name(&self, index: usize) -> &str {
        &self.keys[index].name
    }

    /// The owner of the key at such an index.
    pub(crate) fn caller(&self, index: usize) -> Caller {
        let ApiKey { name, scopes, .. } = &self.keys[index];
        Caller { subject: (&**name).into(), scopes: scopes.clone(), surface: Surface::Mcp }
    }

    fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        let mut keys: Vec<ApiKey> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |message: String| Err((Some(index + 1), message));
            let words: Vec<&str> = line.split_whitespace().take(4).collect();
            let (name, key, scopes) = match words[..] {
                [key] => (format!("line-{}", index + 1), key, None),
                [name, key] => (name.to_owned(), key, None),
                [name, key, scopes] => (name.to_owned(), key, Some(scopes)),
                _ => return refuse("more than three words, expected NAME KEY SCOPES".to_owned()),
            };
            let scopes = match scopes.map(read_scopes).transpose() {
                Ok(scopes) => scopes.unwrap_or_else(Scopes::all),
                Err(error) => return refuse(error.to_string()),
            };
            let is_fit = |word: &str| {
                word.len() <= WORD_BYTES_MAX && word.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if !is_fit(&name) || !is_fit(key) {
                let expected = format!("expected printable ASCII, at most {WORD_BYTES_MAX} bytes");
                return refuse(format!("a name or a key that fits no header, {expected}"));
            }
            if keys.iter().any(|known| *known.name == name || &*known.key == key) {
                return refuse(format!("the name or the key of {name} is there twice"));
            }
            keys.push(ApiKey { name: name.into(), key: key.into(), scopes });
        }
        match keys.len() {
            0 => Err((None, "no key was found, expected one a line".to_owned())),
            found if found > KEYS_MAX => {
                Err((None, format!("{found} keys were found, expected at most {KEYS_MAX}")))
            }
            _ => Ok(Self { keys }),
        }
    }
}

fn read_scopes(words: &str) -> Result<Scopes, ScopeError> {
    words.split(',').map(str::parse::<Scope>).collect()
}

/// Keys stay out of logs.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|entry| &entry.name)).finish()
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    warn_of_readers(path, &file.metadata()?);
    let mut text = String::new();
    let length = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)? as u64;
    if length > FILE_BYTES_MAX {
        let message = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(std::io::Error::other(message));
    }
    Ok(text)
}

#[cfg(unix)]
fn warn_of_readers(path: &Path, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o004 != 0 {
        let file = path.display();
        tracing::warn!("everybody on this machine may read the keys of {file}: chmod 600 {file}");
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_path: &Path, _metadata: &std::fs::Metadata) {}

/// Compares without telling by its time how much was equal.
fn is_equal(sent: &[u8], key: &[u8]) -> bool {
    let mut difference = u8::from(sent.len() != key.len());
    for (index, byte) in sent.iter().enumerate() {
        difference |= byte ^ key.get(index % key.len().max(1)).copied().unwrap_or(0);
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use host_tools::Need;

    use super::{ApiKeys, is_equal};

    #[test]
    fn keys_are_equal_only_as_a_whole() {
        let check = |sent: &str, expected| {
            assert_eq!(is_equal(sent.as_bytes(), b"secret"), expected, "{sent}");
        };
        check("secret", true);
        check("Secret", false);
        check("secre", false);
        check("secretsecret", false);
        check("", false);
    }

    #[test]
    fn a_file_names_its_keys() {
        let keys = ApiKeys::parse("# ours\n\nalice a=b==\n  sk-2  \r\nbob\tsk-3\n").expect("keys");
        let name = |sent: &str| keys.find(sent.as_bytes()).map(|index| keys.name(index));
        assert_eq!(name("a=b=="), Some("alice"));
        assert_eq!(name("sk-2"), Some("line-4"));
        assert_eq!(name("sk-3"), Some("bob"));
        for wrong in ["alice", "bob sk-3", "# ours", "", "sk-4"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{keys:?}"), r#"["alice", "line-4", "bob"]"#);
    }

    #[test]
    fn a_key_may_be_good_for_some_things_only() {
        let keys = ApiKeys::parse("a sk-1\nb sk-2 infer,mcp:call:fs__*\n").expect("keys");
        let [all, some] = [0, 1].map(|index| keys.caller(index));
        assert_eq!((&*all.subject, &*some.subject), ("a", "b"));
        assert!(all.scopes.allow(Need::Admin) && some.scopes.allow(Need::Infer));
        assert!(!some.scopes.allow(Need::Admin) && !some.scopes.allow(Need::Call));
    }

    #[test]
    fn a_bad_file_is_refused_without_its_keys() {
        let check = |text: &str, line: Option<usize>, about: &str| {
            let (found, message) = ApiKeys::parse(text).expect_err("a bad file");
            assert_eq!(found, line, "{message}");
            assert!(message.contains(about) && !message.contains("sk-"), "{message}");
        };
        check("", None, "no key");
        check("# sk-1\n", None, "no key");
        check("a sk-1\nb sk-2 infer sk-3", Some(2), "NAME KEY");
        check("a sk-1\nb sk-2 infer,admin", Some(2), "`admin` is no scope");
        check("a sk-1 infer,", Some(1), "is no scope");
        check("a sk-1\na sk-2", Some(2), "twice");
        check("a sk-1\nb sk-1", Some(2), "twice");
        check("schlüssel sk-1", Some(1), "ASCII");
        check(&"sk-".repeat(400), Some(1), "ASCII");
        let many: String = (0..1025).map(|n| format!("{n} sk-{n}\n")).collect();
        check(&many, None, "1025 keys");
    }
}
