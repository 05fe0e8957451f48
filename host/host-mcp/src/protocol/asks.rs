//! A client that can be asked something while its request runs, as revisions with sessions allow.

use std::fmt;
use std::sync::Arc;

use host_tools::{Answer, Client, ToolError};
use rmcp::RoleServer;
use rmcp::model::{CustomRequest, ServerRequest};
use rmcp::service::{Peer, ServiceError};
use serde_json::Value;

use super::convert;

/// The client of a session.
pub(super) struct Session {
    peer: Peer<RoleServer>,
}

impl Session {
    pub(super) fn client(peer: &Peer<RoleServer>) -> Arc<dyn Client> {
        Arc::new(Self { peer: peer.clone() })
    }
}

impl Session {
    /// A client is asked nothing that it did not say it can do. What stands before the slash of a
    /// method is the name of a capability.
    fn check(&self, method: &str) -> Result<(), ToolError> {
        let needed = method.split('/').next().unwrap_or_default();
        let declared = self.peer.peer_info().map(|info| info.capabilities.clone());
        if convert::capabilities(declared).contains_key(needed) {
            return Ok(());
        }
        Err(ToolError::MissingCapability(needed.to_owned()))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Client for Session {
    fn ask<'a>(&'a self, method: &'a str, params: Value) -> Answer<'a, Value> {
        let params = Some(params).filter(|params| !params.is_null());
        Box::pin(async move {
            self.check(method)?;
            let request = ServerRequest::CustomRequest(CustomRequest::new(method, params));
            let result = self.peer.send_request(request).await.map_err(failed)?;
            serde_json::to_value(result).map_err(|error| ToolError::Protocol {
                code: -32603,
                message: format!("the client's answer cannot be read: {error}"),
                data: None,
            })
        })
    }
}

fn failed(error: ServiceError) -> ToolError {
    match error {
        ServiceError::McpError(error) => ToolError::Protocol {
            code: error.code.0,
            message: error.message.into_owned(),
            data: error.data,
        },
        ServiceError::Cancelled { .. } => ToolError::Cancelled,
        ServiceError::Timeout { timeout } => ToolError::Timeout { after: timeout },
        other => {
            ToolError::Unavailable { server: "the client".to_owned(), reason: other.to_string() }
        }
    }
}
