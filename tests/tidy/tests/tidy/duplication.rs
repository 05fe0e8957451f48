//! Duplication between plugins: lines that lie in a block of six or more found in another file.
//!
//! Hosts of this kind die of copied model code; whatever two plugins share belongs to the SDK.
//! Lines that say little (imports, comments, lone braces) do not count.

use crate::tree::{self, File};
use std::collections::HashMap;

/// Lines that make a block.
const BLOCK_LINES: usize = 6;
/// Most lines, in percent, that may lie in shared blocks, over all plugins and in any one of them
/// (a small plugin that is a copy would drown in the sum).
const SHARED_PERCENT_MAX: usize = 5;
const SHARED_PERCENT_OF_ONE_MAX: usize = 15;

#[test]
fn plugins_do_not_copy_each_other() {
    let files: Vec<_> = tree::rust_files()
        .filter(|file| file.path.starts_with("plugins/") && file.is_production())
        .map(|file| (file.path.as_str(), telling_lines(file)))
        .collect();
    assert!(!files.is_empty(), "no plugin was found");
    let shared = shared_lines(&files);
    let places: Vec<_> = shared.iter().filter(|(_, count)| *count > 0).collect();
    let check = |folder: &str, most: usize| {
        let inside = |path: &str| path.starts_with(folder);
        let lines: usize =
            files.iter().filter(|(path, _)| inside(path)).map(|(_, l)| l.len()).sum();
        let count: usize = shared.iter().filter(|(path, _)| inside(path)).map(|(_, c)| c).sum();
        assert!(
            count * 100 <= lines * most,
            "{count} of {lines} lines of {folder} are copies, at most {most} % may be: move what \
             plugins share into plugin-api\n  {places:?}"
        );
    };
    check("plugins/", SHARED_PERCENT_MAX);
    for (path, _) in &files {
        let plugin = path.split('/').nth(1).unwrap_or_default();
        check(&format!("plugins/{plugin}/"), SHARED_PERCENT_OF_ONE_MAX);
    }
}

fn telling_lines(file: &File) -> Vec<&str> {
    let quiet = |line: &&str| {
        let said_little = ["use ", "//", "mod ", "pub mod ", "#["];
        !said_little.iter().any(|start| line.starts_with(start))
            && line.chars().any(char::is_alphanumeric)
    };
    file.production().lines().map(str::trim).filter(quiet).collect()
}

/// By file: how many of its lines lie in a block that another file has too.
fn shared_lines<'a>(files: &[(&'a str, Vec<&str>)]) -> Vec<(&'a str, usize)> {
    let mut homes: HashMap<&[&str], Vec<usize>> = HashMap::new();
    for (index, (_, lines)) in files.iter().enumerate() {
        for block in lines.windows(BLOCK_LINES) {
            homes.entry(block).or_default().push(index);
        }
    }
    let elsewhere = |block: &[&str], index: usize| homes[block].iter().any(|&home| home != index);
    let count = |index: usize, lines: &[&str]| {
        let mut shared = vec![false; lines.len()];
        for (start, block) in lines.windows(BLOCK_LINES).enumerate() {
            if elsewhere(block, index) {
                shared[start..start + BLOCK_LINES].fill(true);
            }
        }
        shared.into_iter().filter(|&shared| shared).count()
    };
    files.iter().enumerate().map(|(index, (path, lines))| (*path, count(index, lines))).collect()
}

#[test]
fn a_copied_block_is_seen_and_a_short_one_is_not() {
    let block = ["a", "b", "c", "d", "e", "f"];
    let with = |extra: &'static str| [&[extra], block.as_slice(), &[extra]].concat();
    let check = |left: Vec<&str>, right: Vec<&str>, expected: [usize; 2]| {
        let found = shared_lines(&[("left", left), ("right", right)]);
        assert_eq!(found, [("left", expected[0]), ("right", expected[1])]);
    };
    check(with("x"), with("y"), [6, 6]);
    check(with("x"), block[1..].to_vec(), [0, 0]);
    check([block, block].concat(), vec!["z"], [0, 0]);
}
