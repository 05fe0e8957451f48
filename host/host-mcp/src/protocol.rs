//! The one place that speaks the types of the protocol library; everything else has plain data.

mod asks;
mod convert;
mod handler;
mod hear;
mod watch;

pub(crate) use handler::{Handler, Shared};
