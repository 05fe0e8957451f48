//! One client: its environment below the target folder, and the run of its script.
//!
//! Each has an environment of its own, since they want different versions of the same packages.

use crate::process::{Ended, run};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};
use support::root;

const INSTALL_LIMIT: Duration = Duration::from_secs(900);
const CHECK_LIMIT: Duration = Duration::from_secs(600);

/// The folders beside this file, each with its language.
pub(crate) const CLIENTS: &[Client] = &[
    Client { name: "openai-python", language: Language::Python, only_with: None },
    Client { name: "openai-node", language: Language::Node, only_with: None },
    Client { name: "langchain", language: Language::Python, only_with: None },
    Client { name: "litellm", language: Language::Python, only_with: None },
    Client { name: "schemathesis", language: Language::Python, only_with: None },
    // 760 MB, installed.
    Client { name: "lm-eval", language: Language::Python, only_with: Some("HOST_TEST_LM_EVAL") },
];

/// No client, but it is installed as they are.
#[cfg(unix)]
pub(crate) const GATEWAY: Client =
    Client { name: "sglang-router", language: Language::Python, only_with: None };

#[derive(Debug, Clone, Copy)]
pub(crate) enum Language {
    Python,
    Node,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    language: Language,
    /// A variable that must be 1 for this one to run.
    only_with: Option<&'static str>,
}

pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => out.write_str("passed"),
            Self::Failed(what) => write!(out, "failed: {what}"),
            Self::Skipped(why) => write!(out, "skipped: {why}"),
        }
    }
}

impl Client {
    /// Installs it below `folder` and runs its script against the host at `url`.
    pub(crate) fn check(&self, folder: &Path, url: &str) -> Outcome {
        let place = match self.installed(folder) {
            Ok(place) => place,
            Err(why) => return Outcome::Skipped(why),
        };
        let mut check = self.script(&place);
        check.env("BASE_URL", url).env("MODEL", "stories").env("EMBED_MODEL", "bert");
        match run(check.current_dir(&place), &place.join("check.log"), CHECK_LIMIT) {
            Ok(Ended { is_success: true, .. }) => Outcome::Passed,
            Ok(Ended { log, .. }) | Err(log) => Outcome::Failed(log),
        }
    }

    /// Where it is installed below `folder`, or why it is not.
    pub(crate) fn installed(&self, folder: &Path) -> Result<PathBuf, String> {
        if let Some(name) = self.only_with
            && env::var(name).as_deref() != Ok("1")
        {
            return Err(format!("it is large; {name}=1 runs it"));
        }
        let installer = match self.language {
            Language::Python => "python3",
            Language::Node => "npm",
        };
        if Command::new(installer).arg("--version").output().is_err() {
            return Err(format!("{installer} is not there"));
        }
        let place = folder.join(self.name);
        fs::create_dir_all(&place).expect("the target folder is writable");
        self.install(&place)?;
        Ok(place)
    }

    /// Makes the environment, unless one was made for the same requirements.
    fn install(&self, place: &Path) -> Result<(), String> {
        let wanted = match self.language {
            Language::Python => "requirements.txt",
            Language::Node => "package.json",
        };
        let wanted = self.source(wanted);
        let text = fs::read(&wanted).expect("each client says what it requires");
        let stamp = place.join("installed");
        if fs::read(&stamp).is_ok_and(|installed| installed == text) {
            return Ok(());
        }
        for mut step in self.steps(place, &wanted) {
            let ended = run(step.current_dir(place), &place.join("install.log"), INSTALL_LIMIT)?;
            if !ended.is_success {
                return Err(format!("it cannot be installed:\n{}", ended.log));
            }
        }
        fs::write(stamp, text).expect("the target folder is writable");
        Ok(())
    }

    fn steps(&self, place: &Path, wanted: &Path) -> Vec<Command> {
        match self.language {
            Language::Python => {
                let mut venv = Command::new("python3");
                venv.args(["-m", "venv", "--clear"]).arg(place.join("venv"));
                let mut pip = Command::new(python(place));
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
                pip.arg("--requirement").arg(wanted);
                vec![venv, pip]
            }
            Language::Node => {
                let copy = place.join("package.json");
                fs::copy(wanted, copy).expect("the target folder is writable");
                let mut npm = Command::new("npm");
                npm.args(["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
                vec![npm]
            }
        }
    }

    fn script(&self, place: &Path) -> Command {
        match self.language {
            Language::Python => {
                let mut command = Command::new(python(place));
                // Without bytecode files, which would lie in the source tree.
                command.arg("-B").arg(self.source("check.py"));
                command
            }
            Language::Node => {
                // Node.js looks for packages beside the script.
                let script = place.join("check.mjs");
                fs::copy(self.source("check.mjs"), &script).expect("the target folder is writable");
                let mut command = Command::new("node");
                command.arg(script);
                command
            }
        }
    }

    fn source(&self, file: &str) -> PathBuf {
        root().join("tests/e2e/tests/clients").join(self.name).join(file)
    }
}

/// Python with what a folder has installed.
pub(crate) fn python(place: &Path) -> PathBuf {
    place.join(if cfg!(windows) { "venv/Scripts/python.exe" } else { "venv/bin/python" })
}
