//! A client that can be asked something while its request runs, as revisions with sessions allow.

use std::fmt;
use std::sync::Arc;

use host_tools::{Answer, Client, ToolError};
use rmcp::RoleServer;
use rmcp::model::{CustomRequest, ServerRequest};
use rmcp::service::{Peer, ServiceError};
use serde_json::Value;

/// The client of a session.
pub(super) struct Session {
    peer: Peer<RoleServer>,
}

impl Session {
    pub(super) fn client(peer: &Peer<RoleServer>) -> Arc<dyn Client> {
        Arc::new(Self { peer: peer.clone() })
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
