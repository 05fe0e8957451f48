//! Settings from all four places, and files that are wrong.

use super::file::ConfigFile;
use super::show::{Effective, Origin, settings};
use super::{blamed_variable, flags, show};
use crate::args::Cli;
use clap::builder::ArgAction;
use clap::{Arg, Command, CommandFactory as _};
use std::ffi::OsString;
use std::path::Path;

/// A variable that every test of cargo has.
const SET: &str = "CARGO_PKG_NAME";
/// One that none has.
const UNSET: &str = "HOST_TEST_THAT_NOBODY_SETS";

/// Two commands with a flag whose variable is set and flags whose variable is not.
fn program() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).env(UNSET).default_value("default");
    let set = |name: &'static str| flag(name).env(SET);
    let command = |name: &'static str| Command::new(name).arg(flag("plain")).arg(set("set"));
    let dirs = flag("dirs").action(ArgAction::Append);
    let secret = flag("secret").hide_env_values(true);
    let serve = command("serve").args([dirs, secret, flag("other")]);
    Command::new("host").subcommands([serve, command("run")]).arg(flag("log").global(true))
}

fn file(text: &str, program: &Command) -> ConfigFile {
    ConfigFile::parse(Path::new("host.toml"), text, program).expect("a valid file")
}

fn effective(text: &str, words: &[&str]) -> Vec<Effective> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    settings(program(), Some(&file(text, &program())), &words).expect("settings")
}

#[track_caller]
fn check(settings: &[Effective], key: &str, value: &str, origin: &Origin) {
    let found = settings.iter().find(|setting| setting.key == key).expect("the key");
    let values = found.values.as_deref().map(<[String]>::concat);
    assert_eq!((values.as_deref(), &found.origin), (Some(value), origin), "{key}");
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let text = "plain = 'file'\nset = 'file'\nlog = 'file'\n";
    let place = |line| Origin::File(format!("host.toml:{line}"));
    let variable = Origin::Environment(SET.to_owned());
    let found = effective(text, &[]);
    check(&found, "plain", "file", &place(1));
    check(&found, "set", env!("CARGO_PKG_NAME"), &variable);
    check(&found, "log", "file", &place(3));
    check(&found, "other", "default", &Origin::Default);
    let found = effective(text, &["serve", "--plain=flag", "--set=flag", "--log=flag"]);
    for key in ["plain", "set", "log"] {
        check(&found, key, "flag", &Origin::Flag);
    }
}

#[test]
fn a_commands_own_table_goes_before_what_holds_for_all() {
    let text = "plain = 'all'\n[serve]\nplain = 'serve'\nother = 'serve'\n";
    let place = |line| Origin::File(format!("host.toml:{line}"));
    let found = effective(text, &["serve"]);
    check(&found, "plain", "serve", &place(3));
    check(&found, "other", "serve", &place(4));
    check(&effective(text, &["run"]), "plain", "all", &place(1));
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same_without_secrets() {
    let text = "dirs = ['a', 'b \"c\"']\nsecret = 'sk-1'\nplain = 12\n";
    let found = effective(text, &["serve"]);
    let toml = show::as_toml(&found, false);
    assert!(toml.contains("dirs = [\"a\", \"b \\\"c\\\"\"]\n"), "{toml}");
    assert!(toml.contains("plain = 12\n") && toml.contains("secret = \"***\"\n"), "{toml}");
    assert!(!show::as_json(&found).contains("sk-1"));
    let again = effective(&toml, &["serve"]);
    let values = |found: &[Effective]| -> Vec<_> {
        found.iter().map(|it| (it.key.clone(), it.values.clone())).collect()
    };
    assert_eq!(values(&found), values(&again));
    let toml = show::as_toml(&found, true);
    assert!(toml.lines().any(|line| line.ends_with("# file host.toml:3")), "{toml}");
    assert!(toml.lines().any(|line| line.ends_with("# env CARGO_PKG_NAME")), "{toml}");
}

#[test]
fn every_setting_of_the_host_may_stand_in_a_file() {
    let program = Cli::command();
    let serve = program.find_subcommand("serve").expect("the command");
    for arg in flags(&program).chain(flags(serve)) {
        let name = arg.get_long().expect("a long name");
        let default = arg.get_default_values().first().and_then(|value| value.to_str());
        let value = match (arg.get_action(), default) {
            (ArgAction::SetTrue, _) => "true".to_owned(),
            (_, Some(default)) => format!("'{default}'"),
            (_, None) => "1".to_owned(),
        };
        let key = name.replace('-', "_");
        assert_eq!(file(&format!("{key} = {value}"), &program).len(), 1);
        let text = format!("{name} = {value}");
        let found = settings(Cli::command(), Some(&file(&text, &program)), &[]).expect("settings");
        let found = found.iter().find(|setting| setting.key == name).expect("the key");
        assert_eq!(found.origin, Origin::File("host.toml:1".to_owned()), "{name}");
    }
}

#[test]
fn every_setting_is_in_the_guide_with_its_variable() {
    fn rows(program: &Command) -> Vec<String> {
        let row = |arg: &Arg| {
            let variable = arg.get_env().unwrap_or_default().to_string_lossy();
            format!("| `--{}` | `{variable}` |", arg.get_long().unwrap_or_default())
        };
        let own = program.get_arguments().filter(|arg| arg.get_env().is_some());
        let own = own.filter(|arg| arg.get_long().is_some()).map(row);
        own.chain(program.get_subcommands().flat_map(rows)).collect()
    }
    let guide = include_str!("../../../../docs/operating/flags.md");
    let rows = rows(&Cli::command());
    assert!(rows.len() > 30, "{rows:?}");
    let missing: Vec<_> = rows.iter().filter(|row| !guide.contains(*row)).collect();
    assert!(missing.is_empty(), "rows to write into docs/operating/flags.md: {missing:#?}");
}

#[test]
fn a_variable_that_cannot_be_read_is_named() {
    let number = Arg::new("number").long("number").env(SET).value_parser(clap::value_parser!(u16));
    let program = || Command::new("host").subcommand(Command::new("serve").arg(number.clone()));
    let blamed = |words: &[&str]| {
        let error = program().try_get_matches_from(words).expect_err("a bad number");
        let mut built = program();
        built.build();
        blamed_variable(&error, &built)
    };
    assert_eq!(blamed(&["host", "serve"]).as_deref(), Some(SET));
    assert_eq!(blamed(&["host", "serve", "--number=x"]), None);
    assert_eq!(blamed(&["host", "serve", "--nope"]), None);
}

/// What is said of a file of the real program.
#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let error = ConfigFile::parse(Path::new("host.toml"), text, &Cli::command());
    let said = error.expect_err("a bad file").to_string();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}\nexpected {expected}");
    }
}

#[test]
fn a_bad_file_is_refused_line_by_line() {
    refused(
        "prot = 1\n",
        &["host.toml:1: `prot` is no setting of any command; did you mean `port`"],
    );
    refused("zzz = 1\n", &["`host config show` lists them"]);
    refused("\n[serve]\nsystem = 'x'\n", &["host.toml:3: `system` is no setting of `host serve`"]);
    refused("[nothing]\na = 1\n", &["host.toml:1: `nothing` is no setting"]);
    refused("config = 'other.toml'\n", &["`config` is no setting"]);
    refused("port = 70000\n", &["host.toml:1: port: invalid value '70000'"]);
    refused("port = true\n", &["port: found boolean, expected a string or a number"]);
    refused("port = [1, 2]\n", &["port: found array, expected"]);
    refused("insecure = 'yes'\n", &["insecure: found string, expected true or false"]);
    refused("plugins = [['a']]\n", &["plugins: found array"]);
    refused("port = 0x1F90\nqueue_max = 99999\n", &["host.toml:2: queue-max: invalid value"]);
    refused("log_format = 'xml'\nprot = 1\n", &["host.toml:1: log-format", "host.toml:2: `prot`"]);
    refused("port = \n", &["host.toml:1: "]);
    refused("port = 1\nport = 2\n", &["host.toml:2: "]);
}
