//! The one table from what went wrong to OpenAI's error object and its status.
//!
//! Clients branch on status and `code`, people read `message`, and libraries point at `param`. Every
//! refusal of this crate passes through here, so that no path answers in another shape; on the routes
//! of Anthropic's and Ollama's APIs the front puts the same words into theirs. Nothing is decided here beyond
//! the wire form.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use host_generation::{GenerationError, LoadFailure, Loading};
use host_model::LoadErrorKind;
use serde::Serialize;

use crate::limits::QUOTE_CHARS_MAX;
use crate::wire;

/// An error as it goes over the wire.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ApiError {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    message: Box<str>,
    r#type: &'static str,
    param: Option<Box<str>>,
    code: &'static str,
    /// Figures of a prompt that is too long, as clients of other hosts know them.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_prompt_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_ctx: Option<usize>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    /// The load that would have to end first.
    #[serde(skip)]
    pub(crate) loading: Option<Box<Loading>>,
}

/// The body of an error's answer, and of an error inside an event stream.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    pub(crate) error: &'a ApiError,
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        r#type: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            message: message.into().into(),
            r#type,
            param: None,
            code,
            n_prompt_tokens: None,
            n_ctx: None,
            retry_after_s: None,
            loading: None,
        }
    }

    fn bad(code: &'static str, param: impl Into<Box<str>>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, code, message);
        Self { param: Some(param.into()), ..error }
    }

    /// A field of the wrong JSON type.
    pub(crate) fn wrong_type(param: impl Into<Box<str>>, expected: &str, found: &str) -> Self {
        let param = param.into();
        let message = format!("{param} is {found}, expected {expected}");
        Self::bad("invalid_type", param, message)
    }

    /// A field of the right type and a wrong value.
    pub(crate) fn wrong_value(param: impl Into<Box<str>>, message: impl Into<String>) -> Self {
        Self::bad("invalid_value", param, message)
    }

    /// A field that must be there.
    pub(crate) fn missing(param: impl Into<Box<str>>) -> Self {
        let param = param.into();
        let message = format!("{param} is missing");
        Self::bad("missing_required_parameter", param, message)
    }

    /// A value that OpenAI's API knows and this host does not.
    pub(crate) fn unsupported(param: impl Into<Box<str>>, message: impl Into<String>) -> Self {
        Self::bad("unsupported_value", param, message)
    }

    /// A body that is no JSON object.
    pub(crate) fn invalid_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_json", message)
    }

    /// No such model.
    pub(crate) fn unknown_model(id: &str) -> Self {
        let id = quote(id);
        let message = format!("the model {id} does not exist; GET /v1/models lists those that do");
        let error = Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message);
        Self { param: Some("model".into()), ..error }
    }

    /// A model could not be loaded; where its checkpoint is to blame, the field `param` named it.
    pub(crate) fn load_failed(failure: LoadFailure, param: &'static str) -> Self {
        let (status, r#type, code) = match failure.kind {
            LoadErrorKind::NotFound => (StatusCode::NOT_FOUND, INVALID, "checkpoint_not_found"),
            LoadErrorKind::Invalid => (StatusCode::BAD_REQUEST, INVALID, "invalid_checkpoint"),
            LoadErrorKind::Unsupported => (StatusCode::BAD_REQUEST, INVALID, "unsupported_model"),
            LoadErrorKind::Memory => {
                (StatusCode::INSUFFICIENT_STORAGE, SERVER, "insufficient_memory")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, SERVER, "load_failed"),
        };
        let error = Self::new(status, r#type, code, failure.message);
        Self { param: status.is_client_error().then(|| param.into()), ..error }
    }

    /// As [`ApiError::load_failed`], for a request that came later and did not try again.
    pub(crate) fn failed_before(failure: &LoadFailure) -> Self {
        let again = "it was not tried again; POST /v1/models/load {\"id\"} does";
        let message = format!("{}; {again}", failure.message);
        Self::load_failed(LoadFailure { message, kind: failure.kind }, "model")
    }

    /// The model that a request names is being loaded.
    pub(crate) fn loading(id: &str, loading: Loading) -> Self {
        let message = format!("the model {} is being loaded", quote(id));
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, "model_loading", message);
        Self { retry_after_s: Some(1), loading: Some(Box::new(loading)), ..error }
    }

    /// The host stops.
    pub(crate) fn draining() -> Self {
        let message = "the host is shutting down and takes no new requests";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, "shutting_down", message);
        Self { retry_after_s: Some(1), ..error }
    }

    /// More than a caller may take.
    pub(crate) fn rate_limited(message: impl Into<String>, retry_after_s: u32) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = Self::new(status, "rate_limit_error", "rate_limit_exceeded", message);
        Self { retry_after_s: Some(retry_after_s), ..error }
    }

    /// A bug of the host.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "internal_error", message)
    }

    /// A refusal that concerns the way of asking and not the request's content.
    pub(crate) fn refused(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::new(status, INVALID, code, message)
    }

    fn server(code: &'static str, message: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, code, message)
    }

    /// The same error about another field.
    pub(crate) fn about(self, param: &str) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// The same error in the words of a request whose fields have other names.
    pub(crate) fn renamed(self, rename: impl FnOnce(&str) -> String) -> Self {
        let Some(old) = &self.param else { return self };
        let new = rename(old);
        let message = self.message.replacen(&**old, &new, 1).into();
        Self { param: Some(new.into()), message, ..self }
    }

    /// Its code, which labels the metrics.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Its words for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    fn too_long(message: String, tokens: Option<usize>, limit: usize) -> Self {
        let error = Self::bad("context_length_exceeded", "messages", message);
        Self { n_prompt_tokens: tokens, n_ctx: Some(limit), ..error }
    }
}

impl From<GenerationError> for ApiError {
    fn from(error: GenerationError) -> Self {
        let message = error.to_string();
        match error {
            GenerationError::InvalidRequest { param, .. } => Self::wrong_value(param, message),
            GenerationError::PromptTooLong { tokens, limit } => {
                Self::too_long(message, Some(tokens), limit)
            }
            GenerationError::PromptTextTooLong { limit, .. } => {
                Self::too_long(message, None, limit)
            }
            GenerationError::QueueFull { retry_after_s, .. } => {
                Self::rate_limited(message, retry_after_s)
            }
            GenerationError::OnlyEmbeds { .. } | GenerationError::OnlyGenerates { .. } => {
                Self::bad("unsupported_model", "model", message)
            }
            GenerationError::Template(_) => Self::bad("invalid_messages", "messages", message),
            GenerationError::Tokenizer { .. } => Self::server("tokenizer_error", message),
            GenerationError::Model { .. } => Self::server("model_error", message),
            GenerationError::NoFiniteLogits { .. } | GenerationError::NotFinite { .. } => {
                Self::server("model_error", message)
            }
            GenerationError::Faulted { .. } => Self::server("model_faulted", message),
            GenerationError::ReaderStuck => {
                Self::new(StatusCode::REQUEST_TIMEOUT, INVALID, "reader_stuck", message)
            }
            GenerationError::ShuttingDown => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let error = Self::new(status, SERVER, "shutting_down", message);
                Self { retry_after_s: Some(1), ..error }
            }
            GenerationError::Grammar { .. } => {
                Self::bad("invalid_grammar", "response_format", message)
            }
            GenerationError::Start { .. } => Self::server("model_error", message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = wire::to_json(&ErrorBody { error: &self });
        let mut response = (self.status, wire::JSON, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        // For the metrics, and for routes whose clients know another shape.
        response.extensions_mut().insert(self);
        response
    }
}

/// A client's words, short enough to repeat.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    format!("`{}`", quoted.escape_debug())
}
