//! Lets this crate pass for `plugin-abi` where the layout checker asks for a type's package.
//!
//! The fault `layout` stands for a plugin that was built with a changed `plugin-abi`; without this
//! the checker would stop at the foreign package and never come to the changed field.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    writeln!(std::io::stdout(), "cargo::rustc-env=CARGO_PKG_NAME=plugin-abi")
}
