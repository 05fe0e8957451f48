//! End to end: process, socket and file only.
