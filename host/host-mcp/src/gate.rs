//! What happens to an HTTP request before the protocol library reads it, and to its answer.
//!
//! One place bounds the body, refuses what is no message with the code it must have, keeps the books
//! of sessions and counts. Keys, hosts and origins were checked before by whoever serves the route.

mod body;
mod refusal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host_tools::Caller;
use rmcp::transport::streamable_http_server::session::SessionManager as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::McpOptions;
use crate::envelope::{Envelope, INVALID_REQUEST, is_modern, knows_empty_events};
use crate::protocol::{Handler, Shared};
use crate::sessions::{Place, Purpose, Sessions, Use};
use body::{Watched, read};
use refusal::Refusal;

/// Name of the header that carries a session's id.
const SESSION_ID: &str = "mcp-session-id";

/// Time between two looks for sessions that nobody uses.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// What a client of the library's must accept.
const BOTH_MEDIA: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The MCP surface over HTTP.
pub(crate) struct Gate {
    service: Service,
    /// The same for clients that read no streams: without sessions, each answer a JSON object.
    plain: Service,
    manager: Arc<LocalSessionManager>,
    sessions: Arc<Sessions>,
    shared: Arc<Shared>,
    options: McpOptions,
}

type Service = StreamableHttpService<Handler, LocalSessionManager>;

/// What is known of a request when it goes to the library.
struct Passing {
    method: &'static str,
    /// The session that it opens.
    place: Option<Place>,
    /// The session that it belongs to.
    used: Option<Use>,
    /// The answer is a stream of whatever may come, and ends when the host stops.
    is_open_end: bool,
    /// The client is of a revision that knows no empty events.
    skips_empty: bool,
}

impl Gate {
    /// A gate; sessions that nobody uses are closed for as long as it is there. Call it on a tokio
    /// runtime.
    pub(crate) fn new(shared: Arc<Shared>, options: McpOptions) -> Arc<Self> {
        let mut manager = LocalSessionManager::default();
        // Which session is idle is known here: one whose client listens is not.
        manager.session_config.keep_alive = None;
        let manager = Arc::new(manager);
        // Hosts and origins were checked already, and the body's size is checked here.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_max_request_body_bytes(options.body_bytes_max);
        let handlers = Arc::clone(&shared);
        let handler = move || Ok(Handler::new(Arc::clone(&handlers), None));
        let plain = config.clone().with_legacy_session_mode(false).with_json_response(true);
        let plain = StreamableHttpService::new(handler.clone(), Arc::clone(&manager), plain);
        let service = StreamableHttpService::new(handler, Arc::clone(&manager), config);
        let sessions = Sessions::new(options.sessions_max);
        let gate = Arc::new(Self { service, plain, manager, sessions, shared, options });
        tokio::spawn(sweep(Arc::downgrade(&gate)));
        gate
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let started = Instant::now();
        let metrics = &self.shared.metrics;
        let is_message = request.method() == Method::POST;
        let answered =
            if is_message { self.post(request).await } else { self.other(request).await };
        let (passing, response) = answered.unwrap_or_else(|(method, refusal)| {
            metrics.count_error(refusal.kind, method);
            (Passing::of(method), refusal.into_response())
        });
        metrics.count_request(passing.method, response.status().as_u16());
        let watched = |body| Watched {
            body,
            ends: passing
                .is_open_end
                .then(|| Box::pin(self.shared.draining.clone().cancelled_owned())),
            skips_empty: passing.skips_empty,
            answer: metrics.answer_started(passing.method, started),
            _used: passing.used,
        };
        response.map(|body| Body::new(watched(body)))
    }

    /// A message of a client.
    async fn post(&self, request: Request) -> Result<(Passing, Response), (&'static str, Refusal)> {
        let limit = self.options.body_bytes_max;
        let (mut parts, body) = request.into_parts();
        let bytes =
            read(&parts.headers, body, limit).await.map_err(|refusal| ("other", refusal))?;
        if !is_json(&parts.headers) {
            // The library says what it expects.
            let response = call(&self.service, Request::from_parts(parts, Body::empty())).await;
            return Ok((Passing::of("other"), response));
        }
        let envelope = Envelope::read(&bytes)
            .map_err(|fault| ("other", Refusal::bad_message(fault.code, fault.message)))?;
        let method = envelope.method;
        let caller = parts.extensions.get::<Caller>();
        let subject = caller.map_or_else(|| Arc::from(""), |caller| Arc::clone(&caller.subject));
        let version = version(&parts.headers).or(envelope.version.as_deref());
        let is_modern = version.is_some_and(is_modern);
        let mut passing = Passing::of(method);
        passing.is_open_end = method == "subscriptions/listen";
        passing.skips_empty = !version.is_some_and(knows_empty_events);
        if reads_no_streams(&parts.headers) {
            parts.headers.insert(header::ACCEPT, BOTH_MEDIA);
            let response = call(&self.plain, Request::from_parts(parts, Body::from(bytes))).await;
            return known(response).map(|response| (passing, response)).map_err(|it| (method, it));
        }
        if method == "initialize" {
            passing.place = Some(self.reserve().await.ok_or((method, Refusal::sessions_full()))?);
        } else if let (Some(id), false) = (session_id(&parts.headers), is_modern) {
            let used = self.sessions.enter(id, &subject, Purpose::Answer);
            passing.used = Some(used.ok_or((method, Refusal::unknown_session()))?);
        }
        let response = call(&self.service, Request::from_parts(parts, Body::from(bytes))).await;
        let response = known(response).map_err(|refusal| (method, refusal))?;
        if let (Some(place), Some(id)) = (passing.place.take(), session_id(response.headers())) {
            place.open(id, subject);
            self.shared.metrics.set_sessions(self.sessions.count());
        }
        Ok((passing, response))
    }

    /// A request to listen to a session, or to end it.
    async fn other(
        &self,
        request: Request,
    ) -> Result<(Passing, Response), (&'static str, Refusal)> {
        let method = match *request.method() {
            Method::GET => "listen",
            Method::DELETE => "end",
            _ => "other",
        };
        let mut passing = Passing::of(method);
        passing.is_open_end = true;
        let version = version(request.headers());
        passing.skips_empty = !version.is_some_and(knows_empty_events);
        let is_modern = version.is_some_and(is_modern);
        let caller = request.extensions().get::<Caller>();
        let subject = caller.map_or("", |caller| &*caller.subject);
        let id = session_id(request.headers()).map(str::to_owned);
        if let (Some(id), false) = (&id, is_modern) {
            let used = self.sessions.enter(id, subject, Purpose::Stream);
            passing.used = Some(used.ok_or((method, Refusal::unknown_session()))?);
        }
        let is_end = *request.method() == Method::DELETE;
        let response = call(&self.service, request).await;
        if let (Some(id), true, true) = (id, is_end, response.status().is_success()) {
            self.sessions.forget(&id);
            self.shared.metrics.set_sessions(self.sessions.count());
        }
        Ok((passing, response))
    }

    /// Takes a place for a new session; the one that has to make room is closed.
    async fn reserve(&self) -> Option<Place> {
        let place = self.sessions.reserve()?;
        if let Some(evicted) = &place.evicted {
            self.close(evicted).await;
        }
        Some(place)
    }

    async fn close(&self, id: &str) {
        if let Err(error) = self.manager.close_session(&id.to_owned().into()).await {
            tracing::debug!(%error, "a session had ended already");
        }
    }
}

async fn call(service: &Service, request: Request) -> Response {
    service.handle(request).await.map(Body::new)
}

/// The answer to a message, unless the library does not know such a message.
fn known(response: Response) -> Result<Response, Refusal> {
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        let message = "the message is not one that MCP knows".to_owned();
        return Err(Refusal::bad_message(INVALID_REQUEST, message));
    }
    Ok(response)
}

/// Closes sessions that nobody uses, until the gate is gone.
async fn sweep(gate: std::sync::Weak<Gate>) {
    loop {
        tokio::time::sleep(SWEEP_PAUSE).await;
        let Some(gate) = gate.upgrade() else { return };
        for id in gate.sessions.take_idle(gate.options.session_idle, Instant::now()) {
            gate.close(&id).await;
        }
        gate.shared.metrics.set_sessions(gate.sessions.count());
    }
}

impl Passing {
    fn of(method: &'static str) -> Self {
        Self { method, place: None, used: None, is_open_end: false, skips_empty: false }
    }
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_ID)?.to_str().ok()
}

/// The revision that a request names; one that nobody knows is the library's to refuse.
fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get("mcp-protocol-version")?.to_str().ok()
}

/// Whether a client wants its answers as JSON and has begun no session: it says nothing of streams,
/// as plain clients of HTTP do.
fn reads_no_streams(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).map(|accepted| accepted.to_str().unwrap_or("?"));
    let reads_json = accepted.is_none_or(|accepted| {
        !accepted.contains("text/event-stream")
            && (accepted.contains("application/json") || accepted.contains("*/*"))
    });
    reads_json && session_id(headers).is_none()
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}
