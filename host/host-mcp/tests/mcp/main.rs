//! The MCP server over a scripted model: messages in, messages out.
//!
//! One binary, so that it links once. Tests call the routes directly, as whoever serves them does.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod code;
#[cfg(test)]
mod endpoint;
#[cfg(test)]
#[path = "../../../host-generation/tests/generation/fake.rs"]
mod fake;
#[cfg(test)]
mod test_server;
