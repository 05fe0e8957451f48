//! The conversation of a chat: system message, messages and answers, and its file.
//!
//! It knows no model and prints nothing.

use crate::Failure;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Largest file of a conversation that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What was said so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) system: Option<String>,
    /// Messages and answers in turn.
    turns: Vec<Value>,
}

impl Conversation {
    /// A new one.
    pub(crate) fn new(system: Option<&str>) -> Self {
        Self { system: system.map(str::to_owned), turns: Vec::new() }
    }

    /// All of it, as a chat template wants it.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let system = self.system.iter().map(|text| message("system", text));
        system.chain(self.turns.iter().cloned()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.turns.len()
    }

    pub(crate) fn ask(&mut self, text: &str) {
        self.turns.push(message("user", text));
    }

    pub(crate) fn answer(&mut self, text: &str) {
        self.turns.push(message("assistant", text));
    }

    /// Adds an answer with what was said and called on the way to it, or takes back what
    /// [`Conversation::reopen`] gave out.
    pub(crate) fn extend(&mut self, turns: Vec<Value>) {
        self.turns.extend(turns);
    }

    /// Forgets all but the system message.
    pub(crate) fn clear(&mut self) {
        self.turns.clear();
    }

    /// Forgets the last message and what was answered; false if there is none.
    pub(crate) fn undo(&mut self) -> bool {
        let last = self.turns.iter().rposition(|turn| turn["role"] == "user");
        self.turns.truncate(last.unwrap_or(0));
        last.is_some()
    }

    /// Forgets what was answered to the last message; returns it, or none if there is no message.
    pub(crate) fn reopen(&mut self) -> Option<Vec<Value>> {
        let last = self.turns.iter().rposition(|turn| turn["role"] == "user")?;
        Some(self.turns.split_off(last + 1))
    }

    /// Writes it to a file, over none but that of another conversation.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        if path.exists() && Self::load(path).is_err() {
            let path = path.display();
            return Err(format!("{path} is there already and holds no conversation").into());
        }
        let text = serde_json::to_string_pretty(&json!({ "messages": self.messages() }))?;
        fs::write(path, text + "\n").map_err(|error| in_file(path, &error.to_string()))
    }

    /// Reads one from a file.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| in_file(path, &error.to_string()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let found = format!("it has more than {FILE_BYTES_MAX} bytes");
            return Err(in_file(path, &found));
        }
        let file: Value =
            serde_json::from_slice(&bytes).map_err(|error| in_file(path, &error.to_string()))?;
        Self::read(&file).map_err(|reason| in_file(path, reason))
    }

    fn read(file: &Value) -> Result<Self, &'static str> {
        let messages = file["messages"].as_array().ok_or("a list `messages` is expected")?;
        let mut conversation = Self::default();
        for entry in messages {
            let Some(text) = entry["content"].as_str() else {
                return Err("each message must have a text as its `content`");
            };
            match entry["role"].as_str() {
                Some("user") => conversation.ask(text),
                // With what they say of calls.
                Some("assistant" | "tool") => conversation.turns.push(entry.clone()),
                Some("system") if conversation == Self::default() => {
                    conversation.system = Some(text.to_owned());
                }
                _ => return Err("a `role` is none of user, assistant, tool and, at first, system"),
            }
        }
        Ok(conversation)
    }
}

fn message(role: &str, content: &str) -> Value {
    json!({ "role": role, "content": content })
}

fn in_file(path: &Path, what: &str) -> Failure {
    format!("{}: {what}", path.display()).into()
}

#[cfg(test)]
mod tests {
    use super::Conversation;
    use serde_json::{Value, json};

    fn talk() -> Conversation {
        let mut talk = Conversation::new(Some("be brief"));
        for text in ["one", "two"] {
            talk.ask(text);
            talk.answer(&format!("{text} it is"));
        }
        talk
    }

    fn contents(talk: &Conversation) -> Vec<Value> {
        talk.messages().iter().map(|message| message["content"].clone()).collect()
    }

    #[test]
    fn the_last_message_can_be_taken_back() {
        let mut talk = talk();
        assert!(talk.undo());
        assert_eq!(contents(&talk), ["be brief", "one", "one it is"]);
        let answer = talk.reopen().expect("there is a message");
        assert_eq!(contents(&talk), ["be brief", "one"]);
        talk.extend(answer);
        assert_eq!(contents(&talk), ["be brief", "one", "one it is"]);
        assert!(talk.undo() && !talk.undo() && talk.reopen().is_none());
        assert_eq!(contents(&talk), ["be brief"]);
    }

    #[test]
    fn a_file_holds_it_all() {
        let path = std::env::temp_dir().join(format!("host-chat-{}.json", std::process::id()));
        let _none = std::fs::remove_file(&path);
        talk().save(&path).expect("it is new");
        assert_eq!(Conversation::load(&path).expect("it was saved"), talk());
        Conversation::default().save(&path).expect("a conversation may be replaced");
        assert_eq!(Conversation::load(&path).expect("it was saved"), Conversation::default());
        std::fs::write(&path, "{}").expect("the folder can be written to");
        assert!(talk().save(&path).is_err(), "anything else may not");
        std::fs::remove_file(&path).expect("it is there");
        assert!(Conversation::load(&path).is_err());
    }

    #[test]
    fn other_files_are_refused() {
        for file in [
            json!([]),
            json!({"messages": 1}),
            json!({"messages": [{"role": "user"}]}),
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            json!({"messages": [{"role": "user", "content": "x"},
                                {"role": "system", "content": "y"}]}),
        ] {
            assert!(Conversation::read(&file).is_err(), "{file}");
        }
    }
}
