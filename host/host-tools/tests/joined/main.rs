//! Servers that behave and servers that do not, joined and called.
//!
//! Each test joins real processes of the fixture server, which plays the parts that real servers
//! have been seen to play.

mod behaviour;
mod desk;
mod faults;
mod names;
