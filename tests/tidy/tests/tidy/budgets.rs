//! Budgets: how long files may be, and how much code a kind of crate may have.
//!
//! Lengths count the lines before a file's test module. An exception is named here with its
//! reason, so that it is a decision and not an accident.

use crate::report;
use crate::tree::{self, File};

/// Production lines of any file.
const FILE_LINES_MAX: usize = 600;
/// Production lines of a `lib.rs`, which documents, declares and re-exports.
const LIB_LINES_MAX: usize = 150;
/// Production lines of the median file.
const MEDIAN_LINES_MAX: usize = 200;
/// Production lines of a whole architecture plugin.
const ARCHITECTURE_LINES_MAX: usize = 250;
/// Production lines of the boundary, `plugin-abi` and `plugin-api` together.
const BOUNDARY_LINES_MAX: usize = 5300;

/// Files that may be longer, with the reason (data tables and kernels).
const LONGER: &[(&str, &str)] = &[];

fn lines(file: &File) -> usize {
    file.production().lines().count()
}

fn production() -> Vec<&'static File> {
    tree::rust_files().filter(|file| file.is_production()).collect()
}

#[test]
fn files_are_short_enough_to_be_read() {
    let mut problems = Vec::new();
    for file in production() {
        let most = if file.name() == "lib.rs" && !file.path.starts_with("plugins/") {
            LIB_LINES_MAX
        } else {
            FILE_LINES_MAX
        };
        let excused = LONGER.iter().any(|(path, _)| *path == file.path);
        if lines(file) > most && !excused {
            problems.push(format!(
                "{}: {} lines, at most {most}: one idea a file, so split off the second",
                file.path,
                lines(file)
            ));
        }
    }
    report("file length", &problems);
}

#[test]
fn the_median_file_is_short() {
    let mut lengths: Vec<_> = production().into_iter().map(lines).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    assert!(median > 0, "no production file was found");
    assert!(median <= MEDIAN_LINES_MAX, "the median file has {median} lines: split the long ones");
}

#[test]
fn an_architecture_says_what_differs_and_nothing_else() {
    let is_architecture = |file: &File| file.text.contains("register!(architecture");
    let crates: Vec<_> = production_of_plugins()
        .into_iter()
        .filter(|(_, files)| files.iter().any(|file| is_architecture(file)))
        .collect();
    assert!(crates.len() >= 2, "the architecture plugins were not found: {crates:?}");
    let problems: Vec<_> = crates
        .iter()
        .map(|(name, files)| (name, files.iter().map(|file| lines(file)).sum::<usize>()))
        .filter(|(_, total)| *total > ARCHITECTURE_LINES_MAX)
        .map(|(name, total)| {
            format!(
                "{name}: {total} lines, at most {ARCHITECTURE_LINES_MAX}: what other families \
                 share belongs to the decoder of plugin-api"
            )
        })
        .collect();
    report("size of an architecture plugin", &problems);
}

/// Production files by plugin folder, the example's plugins included.
fn production_of_plugins() -> Vec<(String, Vec<&'static File>)> {
    let mut crates: Vec<(String, Vec<&'static File>)> = Vec::new();
    for file in tree::rust_files() {
        let parts: Vec<_> = file.path.split('/').collect();
        if let ["plugins" | "examples", name, "src", ..] = parts.as_slice() {
            match crates.last_mut() {
                Some((last, files)) if last == name => files.push(file),
                _ => crates.push(((*name).to_owned(), vec![file])),
            }
        }
    }
    crates
}

#[test]
fn the_boundary_stays_small() {
    let total: usize = production()
        .into_iter()
        .filter(|file| {
            ["plugin-api/plugin-abi/", "plugin-api/plugin-api/"]
                .iter()
                .any(|folder| file.path.starts_with(folder))
        })
        .map(lines)
        .sum();
    assert!(total > 0, "the boundary was not found");
    assert!(
        total <= BOUNDARY_LINES_MAX,
        "plugin-abi and plugin-api have {total} lines, at most {BOUNDARY_LINES_MAX}: every author \
         reads them, so move what only the host needs into the host"
    );
}

#[test]
fn exceptions_are_still_needed() {
    let stale = LONGER
        .iter()
        .filter(|(path, _)| tree::file(path).is_none_or(|file| lines(file) <= FILE_LINES_MAX));
    let problems: Vec<_> =
        stale.map(|(path, _)| format!("{path}: remove it from {}", file!())).collect();
    report("file length exceptions", &problems);
}
