//! The repository's own rules, as plain tests: floors, budgets, words and documents.
//!
//! The rules live in `tests/tidy/`; this library is empty, because a package needs a target to
//! carry tests. Style that rustfmt or clippy can decide is left to them.
