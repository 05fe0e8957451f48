//! Documents that must follow the code: the ABI page, the plugin table, the operating guide.
//!
//! A document nobody is reminded of is wrong within a month; each rule here names the line to
//! change.

use crate::tree::{self, File};
use crate::{lexer, report};

/// Documents a reader is promised.
const PROMISED: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "docs/abi.md",
    "docs/mcp.md",
    "docs/openai.md",
    "docs/operating/README.md",
    "docs/operating/flags.md",
    "docs/performance.md",
    "docs/plugin-guide/README.md",
    "docs/plugin-guide/architecture.md",
    "docs/plugin-guide/compute.md",
    "docs/plugin-guide/first-plugin.md",
    "docs/plugin-guide/format.md",
    "docs/plugin-guide/quantization.md",
    "docs/plugin-guide/shipping.md",
    "docs/plugin-guide/testing.md",
    "docs/plugin-guide/tools.md",
];

#[test]
fn promised_documents_exist() {
    let missing = PROMISED.iter().filter(|path| tree::file(path).is_none());
    report("documents", &missing.map(|path| format!("{path}: write it")).collect::<Vec<_>>());
}

/// The page about the ABI carries a hash of the crate it describes.
#[test]
fn the_abi_page_was_read_again_after_the_last_change_of_the_abi() {
    let hash =
        hash(tree::rust_files().filter(|f| f.path.starts_with("plugin-api/plugin-abi/src/")));
    let line = format!("<!-- plugin-abi/src: {hash:016x} -->");
    let page = tree::file("docs/abi.md").map_or("", |file| file.text.as_str());
    assert!(
        page.contains(&line),
        "plugin-abi changed: check what docs/abi.md says about it, then let its last line be\n{line}"
    );
}

/// 64-bit FNV-1a over paths and texts.
fn hash<'a>(files: impl Iterator<Item = &'a File>) -> u64 {
    let bytes = files.flat_map(|file| file.path.bytes().chain([0]).chain(file.text.bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn every_plugin_has_a_row_in_the_readme() {
    let readme = tree::file("README.md").map_or("", |file| file.text.as_str());
    let mut problems = Vec::new();
    for file in tree::files() {
        let parts: Vec<_> = file.path.split('/').collect();
        if let ["plugins", name, "Cargo.toml"] = parts.as_slice()
            && !readme.lines().any(|line| line.starts_with(&format!("| `{name}` |")))
        {
            problems.push(format!("plugins/{name}: add a row `| `{name}` | ..` to README.md"));
        }
    }
    report("table of plugins", &problems);
}

#[test]
fn every_flag_is_in_the_operating_guide() {
    let guide = tree::file("docs/operating/flags.md").map_or("", |file| file.text.as_str());
    let mut problems = Vec::new();
    let mut count = 0;
    for file in tree::rust_files().filter(|file| file.path.starts_with("host/host/src/")) {
        for flag in flags(&file.text) {
            count += 1;
            if !guide.contains(&format!("`{flag}`")) {
                problems.push(format!("{}: `{flag}` is not in docs/operating/flags.md", file.path));
            }
        }
    }
    assert!(count > 20, "only {count} flags were found in host/host/src: mend {}", file!());
    report("operating guide", &problems);
}

/// Long flags (`--name`) and environment twins that the argument structs declare.
fn flags(source: &str) -> Vec<String> {
    let mut flags = Vec::new();
    let mut pending: Option<Option<String>> = None;
    for line in source.lines().map(str::trim) {
        if let Some(arguments) = line.strip_prefix("#[arg(") {
            let quoted = |key: &str| {
                let (_, rest) = arguments.split_once(&format!("{key} = \""))?;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            };
            flags.extend(quoted("env"));
            let bare = lexer::identifiers(&lexer::code(arguments)).any(|word| word == "long");
            if bare {
                pending = Some(quoted("long"));
            }
        } else if let Some((name, _)) = line.split_once(':')
            && let Some(named) =
                pending.take_if(|_| !line.starts_with("//") && !line.starts_with('#'))
        {
            let field = name.rsplit(' ').next().unwrap_or_default().replace('_', "-");
            flags.push(format!("--{}", named.unwrap_or(field)));
        }
    }
    flags
}

#[test]
fn flags_are_read_from_the_argument_structs() {
    let source = "
        /// Threads: how many.
        #[arg(long, short = 't', env = \"HOST_THREADS\", default_value_t = 0)]
        pub(crate) threads: usize,
        #[arg(long = \"plugins\", value_name = \"DIR\")]
        #[arg(hide_short_help = true)]
        pub(crate) dirs: Vec<PathBuf>,
        #[arg(env = \"HOST_MODEL\")]
        pub(crate) model: PathBuf,
        #[arg(long)]
        probe_timeout_s: u64,";
    let expected = ["HOST_THREADS", "--threads", "--plugins", "HOST_MODEL", "--probe-timeout-s"];
    assert_eq!(flags(source), expected);
}

/// One sentence a line keeps the difference between two versions small.
#[test]
fn markdown_has_one_sentence_a_line() {
    let mut problems = Vec::new();
    for file in tree::files().iter().filter(|file| file.path.ends_with(".md")) {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let skipped = fenced || line.starts_with('|') || line.starts_with("    ");
            if !skipped && has_two_sentences(line) {
                problems.push(format!(
                    "{}:{}: break after the first sentence",
                    file.path,
                    index + 1
                ));
            }
        }
    }
    report("one sentence a line", &problems);
}

fn has_two_sentences(line: &str) -> bool {
    line.match_indices(". ").any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + 2..].chars().next();
        before.is_some_and(|c| c.is_lowercase() || ")`".contains(c))
            && after.is_some_and(char::is_uppercase)
    })
}

/// Links inside the repository lead somewhere.
#[test]
fn links_lead_to_files() {
    let mut problems = Vec::new();
    for file in tree::files().iter().filter(|file| file.path.ends_with(".md")) {
        let folder = tree::root().join(&file.path);
        let folder = folder.parent().unwrap_or(tree::root());
        for (at, _) in file.text.match_indices("](") {
            let target = file.text[at + 2..].split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") {
                continue;
            }
            if !folder.join(path).exists() {
                problems.push(format!("{}: {target} is not there", file.path));
            }
        }
    }
    report("links", &problems);
}
