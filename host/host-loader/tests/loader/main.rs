//! The loader with real libraries: every kind of bad file, routing, rescans, memory.
//!
//! Libraries are opened in this process and stay mapped, as in a host. What a test needs of the
//! process as a whole (working directory, signals) it asks of a process of its own.
#![expect(unsafe_code, reason = "asks for the locale and calls a kernel")]
#![expect(clippy::panic, reason = "says in which file a fixture is not as expected")]

mod bad_files;
mod c_plugin;
mod environment;
mod faults;
mod fixture;
mod kit;
mod memory;
mod rescan;
mod routing;
mod switching;
mod tools;
