//! Rules of the repository that no compiler checks, each with a message that says what to do.
//!
//! The files of this folder hold one kind of rule each. A rule reads sources or `cargo metadata`;
//! none builds or runs anything, so that the whole of it takes about a second.

mod budgets;
mod documents;
mod duplication;
mod floors;
mod graph;
mod lexer;
mod names;
mod tree;
mod words;

/// Fails with every broken place at once, under the rule they break.
fn report(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}:\n  {}\n", problems.join("\n  "));
}
