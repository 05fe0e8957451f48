//! The MCP surface of the host: a server of its own tools, and of all others in the registry.
//!
//! It speaks the revisions with sessions and those without, over HTTP routes that somebody serves
//! and over a pair of streams. What there is to call and who may is the
//! [registry's](host_tools::ToolRegistry); the host's own part of it is [`HostTools`]. It must not
//! know the HTTP surface, and types of the protocol library stay inside.

mod code;
mod envelope;
mod gate;
mod own;
mod protocol;
mod server;
mod sessions;

pub use code::{Endpoint, EndpointError, Endpoints};
pub use own::{HostTools, HostToolsParts};
pub use server::{McpOptions, McpServer, StdioError};
