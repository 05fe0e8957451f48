//! What a person types in the chat: a message, or a command that begins with a slash.
//!
//! It says what a line means and when it is complete; it does nothing.

use std::path::PathBuf;

/// Opens and closes a message of several lines.
const QUOTES: &str = "\"\"\"";

/// Commands with what follows them, for help and completion.
pub(super) const COMMANDS: [(&str, &str, &str); 11] = [
    ("/help", "", "this list"),
    ("/model", "PATH", "go on with another model"),
    ("/system", "TEXT", "set the system message; without TEXT there is none"),
    ("/set", "NAME VALUE", "temperature, top_p, top_k, min_p, seed or max_tokens; none unsets"),
    ("/show", "", "model, settings and system message"),
    ("/clear", "", "forget the conversation"),
    ("/retry", "", "answer the last message again"),
    ("/undo", "", "forget the last message and its answer"),
    ("/save", "FILE", "write the conversation as JSON"),
    ("/load", "FILE", "read one and go on with it"),
    ("/exit", "", "leave, as Ctrl-D does"),
];

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Say(String),
    Help,
    Model(PathBuf),
    System(String),
    Set { name: String, value: String },
    Show,
    Clear,
    Retry,
    Undo,
    Save(PathBuf),
    Load(PathBuf),
    Exit,
}

/// Whether a message goes on in the next line.
pub(super) fn is_open(input: &str) -> bool {
    let input = input.trim();
    match input.strip_prefix(QUOTES) {
        Some(rest) => !rest.ends_with(QUOTES),
        None => input.ends_with('\\'),
    }
}

/// Reads a complete input; none if it is empty.
pub(super) fn parse(input: &str) -> Result<Option<Command>, String> {
    let input = input.trim();
    if input.is_empty() {
        return Ok(None);
    }
    if let Some(rest) = input.strip_prefix(QUOTES) {
        let message = rest.strip_suffix(QUOTES).unwrap_or(rest).trim_matches('\n');
        return Ok(Some(Command::Say(message.to_owned())).filter(|_| !message.is_empty()));
    }
    // Two slashes: a message that begins with one.
    let is_command = input.starts_with('/') && !input.starts_with("//");
    if is_command {
        return command(input).map(Some);
    }
    let message = input.strip_prefix('/').unwrap_or(input).replace("\\\n", "\n");
    Ok(Some(Command::Say(message)))
}

fn command(input: &str) -> Result<Command, String> {
    let (name, rest) = input.split_once(char::is_whitespace).unwrap_or((input, ""));
    let rest = rest.trim();
    let path = || match rest {
        "" => Err(format!("{name} needs a path after it")),
        _ => Ok(expand(rest)),
    };
    let command = match name {
        "/model" => Command::Model(path()?),
        "/save" => Command::Save(path()?),
        "/load" => Command::Load(path()?),
        "/system" => Command::System(rest.replace("\\\n", "\n")),
        "/set" => match rest.split_once(char::is_whitespace) {
            Some((name, value)) => {
                Command::Set { name: name.to_owned(), value: value.trim().to_owned() }
            }
            None => return Err("/set needs a name and a value, such as /set top_k 40".to_owned()),
        },
        _ if !rest.is_empty() && COMMANDS.iter().any(|(known, ..)| *known == name) => {
            return Err(format!("{name} stands alone; `{rest}` was found after it"));
        }
        "/help" | "/?" => Command::Help,
        "/show" => Command::Show,
        "/clear" => Command::Clear,
        "/retry" => Command::Retry,
        "/undo" => Command::Undo,
        "/exit" | "/quit" | "/bye" => Command::Exit,
        _ => {
            return Err(format!(
                "there is no command {name}; /help lists them, and // begins a message with a slash"
            ));
        }
    };
    Ok(command)
}

/// A path as a shell would read it: completion writes a space with a backslash.
fn expand(path: &str) -> PathBuf {
    let path = &path.replace("\\ ", " ");
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::{COMMANDS, Command, is_open, parse};
    use proptest::prelude::*;

    fn check(input: &str, expected: Command) {
        assert_eq!(parse(input), Ok(Some(expected)), "{input}");
    }

    fn say(message: &str) -> Command {
        Command::Say(message.to_owned())
    }

    #[test]
    fn messages_are_taken_as_they_are() {
        check("  hello there ", say("hello there"));
        check("say \"\"\" twice", say("say \"\"\" twice"));
        check("//etc/passwd?", say("/etc/passwd?"));
        check("one\\\ntwo\\\nthree", say("one\ntwo\nthree"));
        check("\"\"\"\n  if x:\n    y\n\"\"\"", say("  if x:\n    y"));
        check("\"\"\"/help\"\"\"", say("/help"));
        for nothing in ["", "  \n ", "\"\"\"\"\"\"", "\"\"\"\n\"\"\""] {
            assert_eq!(parse(nothing), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn a_message_goes_on_until_it_is_closed() {
        for open in ["\"\"\"", "\"\"\"a", "\"\"\"a\nb\"\"", "one \\", "a\\\nb\\"] {
            assert!(is_open(open), "{open:?}");
        }
        for closed in ["", "a", "\"\"\"a\"\"\"", "\"\"\"a\nb\"\"\" ", "a\\\nb", "/help"] {
            assert!(!is_open(closed), "{closed:?}");
        }
    }

    #[test]
    fn commands_have_what_they_need() {
        check("/help", Command::Help);
        check("/system be brief", Command::System("be brief".to_owned()));
        check("/system", Command::System(String::new()));
        let set = |name: &str, value: &str| Command::Set { name: name.into(), value: value.into() };
        check("/set  top_k   40 ", set("top_k", "40"));
        check("/save my talk.json", Command::Save("my talk.json".into()));
        check("/load a.json", Command::Load("a.json".into()));
        check("/load my\\ talk.json", Command::Load("my talk.json".into()));
        check("/model /m/x.gguf", Command::Model("/m/x.gguf".into()));
        check("/quit", Command::Exit);
    }

    #[test]
    fn what_is_no_command_is_refused_by_name() {
        for (input, named) in [
            ("/hepl", "/hepl"),
            ("/set top_k", "/set"),
            ("/save", "/save"),
            ("/clear all", "/clear"),
            ("/", "/"),
        ] {
            assert!(parse(input).is_err_and(|message| message.contains(named)), "{input}");
        }
    }

    #[test]
    fn every_command_of_the_list_is_known() {
        for (name, argument, _) in COMMANDS {
            let input = format!("{name} {argument}");
            assert!(matches!(parse(&input), Ok(Some(command)) if command != say(&input)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_input_is_read(input in "[/\"\\\\ \na-z]{0,40}") {
            is_open(&input);
            match parse(&input) {
                Ok(Some(Command::Say(message))) => prop_assert!(!message.is_empty()),
                Err(message) => prop_assert!(message.contains('/')),
                Ok(_) => {}
            }
        }
    }
}
