//! Runs graphs on the CPU.
