//! One exchange over HTTP/1.1 with a server that is asked now and then.

use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Most bytes of a reply.
const REPLY_BYTES_MAX: usize = 8 << 20;

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    host: String,
    port: u16,
}

/// A reply with any status.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let authority: axum::http::uri::Authority = text.parse().ok()?;
        let host = authority.host();
        let is_named = !host.is_empty() && !authority.as_str().contains('@');
        let port = authority.port_u16().unwrap_or(80);
        is_named.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Sends a request, with a JSON body if there is one, and reads the whole reply.
pub(super) async fn exchange(
    authority: &Authority,
    path: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Result<Reply, String> {
    let stream = TcpStream::connect(authority.to_string()).await.map_err(in_words)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(in_words)?;
    let mut request = Request::builder().uri(path).header(header::HOST, authority.to_string());
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if body.is_some() {
        request = request.method("POST").header(header::CONTENT_TYPE, "application/json");
    }
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = request.body(Full::new(bytes)).map_err(in_words)?;
    let exchange = async {
        let reply = sender.send_request(request).await.map_err(in_words)?;
        let (status, retry_after) = (reply.status().as_u16(), retry_after(reply.headers()));
        let body = Limited::new(reply.into_body(), REPLY_BYTES_MAX).collect().await;
        Ok(Reply { status, retry_after, body: body.map_err(in_words)?.to_bytes() })
    };
    // The connection works as long as somebody waits for the reply, and ends with it.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    let mut is_open = true;
    loop {
        tokio::select! {
            reply = &mut exchange => return reply,
            ended = &mut connection, if is_open => {
                ended.map_err(in_words)?;
                is_open = false;
            }
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn in_words(error: impl fmt::Display) -> String {
    error.to_string()
}
