//! Finds, checks, loads and lists plugins.
