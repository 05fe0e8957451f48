//! End-to-end tests: they live in `tests/e2e/`, this library is empty.
//!
//! A package needs a target to carry tests; nothing may depend on this one.
