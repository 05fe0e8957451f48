//! A model elsewhere, behind OpenAI's API.
//!
//! What may pass by itself is tried again for as long as there is time: no connection, a server that
//! fails or is busy. Its answer is a JSON object or a failure that says what was wrong with it.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::http::{Authority, Reply, exchange};
use super::run::TOKENS_MAX;
use super::{CodeTool, schemas};
use crate::own::Failure;

/// Tries of a request.
const TRIES_MAX: u32 = 3;

/// Time before the second try; before each further one it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Most characters of a server's words that an error repeats.
const QUOTE_CHARS_MAX: usize = 300;

/// Models elsewhere that tools may use, each with what it is for.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// For `generate_code` and `review_code`.
    pub code: Option<Endpoint>,
    /// For `formalize_task`.
    pub language: Option<Endpoint>,
}

impl Endpoints {
    pub(crate) fn of(&self, tool: CodeTool) -> Option<&Endpoint> {
        match tool {
            CodeTool::FormalizeTask => self.language.as_ref(),
            CodeTool::GenerateCode | CodeTool::ReviewCode => self.code.as_ref(),
        }
    }
}

/// A server of OpenAI's API.
#[derive(Clone)]
pub struct Endpoint {
    authority: Authority,
    /// Path of the API, such as `/v1`.
    base: String,
    key: Option<String>,
    timeout: Duration,
}

/// Why there is no answer of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The address cannot be used.
    #[error("{url}: {reason}, expected http://HOST[:PORT][/PATH]")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There was no connection, or it broke.
    #[error("{authority} cannot be reached: {reason}")]
    Connection {
        /// Whom to reach.
        authority: String,
        /// What the system says.
        reason: String,
    },
    /// It refused or failed.
    #[error("{authority} answered with status {status}: {said}")]
    Status {
        /// Who.
        authority: String,
        /// The status.
        status: u16,
        /// The beginning of its words.
        said: String,
    },
    /// It took too long.
    #[error("{authority} did not answer within {} s", timeout.as_secs())]
    Timeout {
        /// Who.
        authority: String,
        /// The time it had.
        timeout: Duration,
    },
    /// It did not answer as OpenAI's API does.
    #[error("{authority} gave no answer that can be used: {reason}")]
    Answer {
        /// Who.
        authority: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What came of one try.
struct Tried {
    error: EndpointError,
    /// When to try again, if that may help.
    again_after: Option<Duration>,
}

impl Endpoint {
    /// The endpoint at an address, with the key it asks for and the time a whole answer may take.
    ///
    /// # Errors
    /// The address is not one of HTTP.
    pub fn new(url: &str, key: Option<String>, timeout: Duration) -> Result<Self, EndpointError> {
        let bad = |reason| EndpointError::Address { url: url.to_owned(), reason };
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => return Err(bad("https is not supported, use a local proxy")),
            _ => return Err(bad("it has no scheme")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = Authority::parse(authority).ok_or_else(|| bad("it names no host"))?;
        let path = path.trim_end_matches('/').trim_end_matches("chat/completions");
        let path = path.trim_matches('/');
        let base = format!("/{}", if path.is_empty() { "v1" } else { path });
        Ok(Self { authority, base, key, timeout })
    }

    /// Asks for a JSON object.
    pub(crate) async fn ask(
        &self,
        name: &str,
        [system, user]: [String; 2],
        schema: &Value,
        model: Option<&str>,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + self.timeout;
        let failed = |error: EndpointError| Failure::new(error.to_string());
        let model = match model {
            Some(model) => model.to_owned(),
            None => self.first_model(deadline).await.map_err(failed)?,
        };
        let schema = schemas::bounded(schema.clone());
        let format = json!({"name": name, "strict": true, "schema": schema});
        let body = json!({
            "model": model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
            "temperature": 0,
            "seed": 0,
            "max_tokens": TOKENS_MAX,
            "response_format": {"type": "json_schema", "json_schema": format},
        });
        let answer = self.request("chat/completions", Some(&body), deadline).await;
        self.object(&answer.map_err(failed)?)
    }

    /// The first model that it lists.
    async fn first_model(&self, deadline: Instant) -> Result<String, EndpointError> {
        let list = self.request("models", None, deadline).await?;
        let id = list["data"][0]["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| self.bad_answer("it lists no model"))
    }

    /// The object in an answer.
    fn object(&self, answer: &Value) -> Result<Value, Failure> {
        let choice = &answer["choices"][0];
        let Some(text) = choice["message"]["content"].as_str() else {
            return Err(Failure::new(self.bad_answer("there is no text in it").to_string()));
        };
        let failed = |reason: &str| Failure::Failed {
            message: self.bad_answer(reason).to_string(),
            partial: Some(text.to_owned()),
        };
        if choice["finish_reason"] == "length" {
            return Err(failed("it was cut off"));
        }
        match serde_json::from_str(unfenced(text)) {
            Ok(object @ Value::Object(_)) => Ok(object),
            Ok(_) => Err(failed("its text is JSON and no object")),
            Err(_) => Err(failed("its text is not JSON")),
        }
    }

    /// An exchange, tried again while that may help.
    async fn request(
        &self,
        path: &str,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<Value, EndpointError> {
        let mut pause = FIRST_PAUSE;
        for tries_left in (0..TRIES_MAX).rev() {
            let Tried { error, again_after } =
                match timeout_at(deadline, self.attempt(path, body)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(tried)) => tried,
                    Err(_) => return Err(self.too_slow()),
                };
            let Some(asked) = again_after.filter(|_| tries_left > 0) else { return Err(error) };
            let again = Instant::now() + asked.max(pause);
            if again >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, "an endpoint is asked again");
            sleep_until(again).await;
            pause *= 2;
        }
        Err(self.too_slow())
    }

    async fn attempt(&self, path: &str, body: Option<&Value>) -> Result<Value, Tried> {
        let path = format!("{}/{path}", self.base);
        let reply = exchange(&self.authority, &path, self.key.as_deref(), body).await;
        let Reply { status, retry_after, body } = reply.map_err(|reason| Tried {
            error: EndpointError::Connection { authority: self.authority.to_string(), reason },
            again_after: Some(Duration::ZERO),
        })?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|_| Tried {
                error: self.bad_answer("it is not JSON"),
                again_after: None,
            });
        }
        let said: String = String::from_utf8_lossy(&body).chars().take(QUOTE_CHARS_MAX).collect();
        let authority = self.authority.to_string();
        Err(Tried {
            error: EndpointError::Status { authority, status, said },
            again_after: (status == 429 || status >= 500).then(|| retry_after.unwrap_or_default()),
        })
    }

    fn bad_answer(&self, reason: &str) -> EndpointError {
        EndpointError::Answer { authority: self.authority.to_string(), reason: reason.to_owned() }
    }

    fn too_slow(&self) -> EndpointError {
        EndpointError::Timeout { authority: self.authority.to_string(), timeout: self.timeout }
    }
}

/// Keys stay out of logs.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint(http://{}{})", self.authority, self.base)
    }
}

/// A text without the fence that models like to put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else {
        return text;
    };
    inner.strip_prefix("json").unwrap_or(inner).trim()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Endpoint, unfenced};

    #[test]
    fn an_address_may_be_written_in_several_ways() {
        let check = |url: &str, expected: &str| {
            let endpoint = Endpoint::new(url, None, Duration::from_secs(1)).expect(url);
            assert_eq!(format!("{endpoint:?}"), format!("Endpoint({expected})"));
        };
        check("http://localhost:8001", "http://localhost:8001/v1");
        check("http://localhost:8001/", "http://localhost:8001/v1");
        check("http://box/api/v1/", "http://box:80/api/v1");
        check("http://[::1]:9/v1/chat/completions", "http://[::1]:9/v1");
        for wrong in ["localhost:8001", "https://box/v1", "http://", "http://:80", "ftp://a"] {
            let error = Endpoint::new(wrong, None, Duration::from_secs(1)).expect_err(wrong);
            assert!(error.to_string().starts_with(wrong), "{error}");
        }
    }

    #[test]
    fn a_fence_is_taken_off() {
        assert_eq!(unfenced("```json\n{}\n```"), "{}");
        assert_eq!(unfenced(" {} "), "{}");
        assert_eq!(unfenced("```\n{}```"), "{}");
    }
}
