//! Conformance suites a plugin author runs with cargo test.
