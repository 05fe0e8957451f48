//! What happens to every request before and after its handler.
//!
//! One place gives each answer its request id, asks who is asking and whether they may ask for more,
//! answers a browser's preflight, counts the outcome and writes it down, so that no route can be
//! forgotten. It reads no body.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::access;
use crate::access_log::Entry;
use crate::anthropic;
use crate::body::discard;
use crate::error::ApiError;
use crate::ids::random_id;
use crate::limits::REQUEST_ID_BYTES_MAX;
use crate::meter::Meter;
use crate::ollama;
use crate::rate_limit::{Account, Caller};
use crate::router::route_label;
use crate::server::Peer;
use crate::state::AppState;

/// The caller where nobody needs a key.
const ANYBODY: &str = "anybody";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers that scripts of welcome pages may read.
const EXPOSED: &str = "x-request-id, mcp-session-id, retry-after, x-ratelimit-limit-requests, \
     x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, \
     x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// What stands before every handler.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    state: AppState,
}

/// What became of a request at the front.
enum Outcome {
    /// It goes to its handler.
    Passed,
    /// It has its answer.
    Answered(Response),
    Refused(ApiError),
}

/// What is known of a request before it is answered.
struct Admission {
    outcome: Outcome,
    /// Whether the page that sent it, if one did, may read the answer.
    is_welcome: bool,
    /// Whose key it brings.
    key: Option<usize>,
    /// Who that is; whoever can connect, where nobody needs a key.
    caller: Option<host_tools::Caller>,
    /// What it is charged to.
    account: Option<Account>,
}

impl Admission {
    fn new(outcome: Outcome, is_welcome: bool) -> Self {
        Self { outcome, is_welcome, key: None, caller: None, account: None }
    }
}

impl Front {
    pub(crate) fn new(state: AppState) -> Self {
        Self { state }
    }

    /// Whether the request may go to its handler, and for whom.
    fn admit(&self, request: &Request) -> Admission {
        let (options, headers) = (self.state.options(), request.headers());
        if let Err(refusal) = access::check(options, request.uri(), headers) {
            return Admission::new(Outcome::Refused(refusal), false);
        }
        let asks_first = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() == Method::OPTIONS && asks_first {
            return Admission::new(Outcome::Answered(preflight()), true);
        }
        let path = request.uri().path();
        let key = match access::check_key(&options.keys, path, headers) {
            Ok(key) => key,
            Err(refusal) => return Admission::new(Outcome::Refused(refusal), true),
        };
        let limiter = self.state.limiter().filter(|_| !access::is_open(path));
        let account = limiter.map(|limiter| limiter.account(caller(key, request)));
        // What only reads is free.
        let costs = request.method() == Method::POST;
        let caller = match key {
            Some(index) => Some(options.keys.caller(index)),
            None => options.keys.is_empty().then(|| host_tools::Caller::everything(ANYBODY)),
        };
        let allowed = match &caller {
            Some(caller) => access::check_scope(caller, request.method(), path),
            None => Ok(()),
        };
        let admitted = account.as_ref().filter(|_| costs).map_or(Ok(()), Account::admit);
        let outcome = match allowed.and(admitted) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok(()) => Outcome::Passed,
        };
        Admission { outcome, is_welcome: true, key, caller, account }
    }

    /// The request's line in the access log, if there is one.
    fn entry(
        &self,
        request: &Request,
        request_id: &HeaderValue,
        key: Option<usize>,
        meter: &Arc<Meter>,
    ) -> Option<Entry> {
        let options = self.state.options();
        let log = options.access_log.clone()?;
        let id = String::from_utf8_lossy(request_id.as_bytes()).into_owned();
        let key = key.map(|index| options.keys.name(index).to_owned());
        let asked = (request.method(), route(request));
        Some(Entry::new(log, id, key, asked, Arc::clone(meter)))
    }
}

/// Wraps every handler.
pub(crate) async fn front(
    State(front): State<Front>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let route = route(&request);
    let Admission { outcome, is_welcome, key, caller, account } = front.admit(&request);
    // Other surfaces judge each request by who asks.
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let meter = Meter::new(started, account.clone());
    let mut entry = front.entry(&request, &request_id, key, &meter);
    let span = span(&request, route, &request_id);
    let mut response = match outcome {
        Outcome::Passed => {
            Arc::clone(&meter).measure(next.run(request)).instrument(span.clone()).await
        }
        Outcome::Answered(response) => response,
        Outcome::Refused(refusal) => {
            discard(request).await;
            refusal.into_response()
        }
    };
    let status = response.status();
    front.state.metrics().count_request(route, status.as_u16());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if status.is_client_error() {
            front.state.metrics().count_rejected(error.code());
        }
        if anthropic::ROUTES.contains(&route) {
            anthropic::reshape(&mut response, &error, &request_id);
        } else if ollama::ROUTES.contains(&route) {
            ollama::reshape(&mut response, &error);
        }
    }
    tracing::debug!(route, status = status.as_u16(), request_id = ?request_id, "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if front.state.is_leaving() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(account) = account {
        account.write_headers(headers);
    }
    if let (Some(origin), true) = (origin, is_welcome) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    if let Some(entry) = &mut entry {
        entry.set_status(status);
    }
    span.record("http.response.status_code", status.as_u16());
    watched(response, entry, Watch { span, meter })
}

/// What a trace tells of a request: never what was said.
fn span(request: &Request, route: &'static str, request_id: &HeaderValue) -> Span {
    tracing::info_span!(
        target: "host::request",
        "request",
        otel.name = route,
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        http.response.status_code = Empty,
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        host.request_id = ?request_id,
    )
}

/// Ends the span of a request with its last byte, when its tokens are known.
struct Watch {
    span: Span,
    meter: Arc<Meter>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(model) = self.meter.model() {
            self.span.record("gen_ai.response.model", model);
            self.span.record("gen_ai.usage.input_tokens", self.meter.prompt_tokens());
            self.span.record("gen_ai.usage.output_tokens", self.meter.completion_tokens());
        }
    }
}

/// The response whose bytes its entry counts, until the last is sent or nobody wants more.
fn watched(response: Response, mut entry: Option<Entry>, watch: Watch) -> Response {
    if entry.is_none() && watch.span.is_disabled() {
        return response;
    }
    response.map(|body| {
        Body::new(body.inspect_frame(move |frame: &Frame<Bytes>| {
            // It lives as long as the body.
            let _watch = &watch;
            if let Some(entry) = &mut entry {
                entry.add_bytes(frame.data_ref().map_or(0, Bytes::len));
            }
        }))
    })
}

fn route(request: &Request) -> &'static str {
    route_label(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str))
}

/// Who asks: the owner of a key, or whoever is at the other end of the connection.
fn caller(key: Option<usize>, request: &Request) -> Caller {
    let peer = request.extensions().get::<Peer>();
    key.map(Caller::Key).or(peer.map(|peer| Caller::at(peer.0))).unwrap_or(Caller::Others)
}

fn preflight() -> Response {
    let allow = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-api-key, x-request-id, mcp-session-id, \
             mcp-protocol-version, mcp-method, mcp-name, last-event-id",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}

/// The id the client gave, if it is fit for a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_fit = |id: &&HeaderValue| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(REQUEST_ID).filter(is_fit).cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&random_id("req-")).expect("hexadecimal digits are a header value")
    })
}
