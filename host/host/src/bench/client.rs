//! A streaming client of completions, the same for every server that is measured.
//!
//! Each request has a connection of its own, made before the clock starts, so that nothing depends
//! on how long a server keeps idle ones. It measures one answer and knows no workload.

use super::events::EventParser;
use super::reading::{Answer, Reading, error_text};
use crate::Failure;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Most bytes that are read of an answer which is no stream.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What to do about a server that answers something else than was expected.
const HINT: &str = "see its log, or ask for less with --prompt-tokens and --streams, or for another \
                    model with --vs-model";

/// A server of OpenAI's interface.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// What people know it by: ours or theirs.
    pub(super) side: &'static str,
    /// Its address as it was given, without `/v1`.
    pub(super) url: String,
    /// The model that is asked for.
    pub(super) model: String,
    timeout: Duration,
}

impl Server {
    /// The server at a URL, once it has answered: one that cannot is known at once, and what a
    /// server does for its first request is done before anything counts.
    pub(super) async fn open(
        side: &'static str,
        url: &str,
        model: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let mut server = Self { side, url, model: String::new(), timeout };
        server.model = match model {
            Some(model) => model.to_owned(),
            None => server.within_time(server.first_model()).await?,
        };
        server.complete("time", 2).await?;
        Ok(server)
    }

    /// Sends a prompt and reads the answer of so many tokens as it comes.
    pub(super) async fn complete(&self, prompt: &str, tokens: usize) -> Result<Answer, Failure> {
        self.within_time(self.stream(prompt, tokens)).await
    }

    async fn first_model(&self) -> Result<String, String> {
        let (answer, _) = self.send(self.request("GET", "/v1/models", String::new())?).await?;
        let body = read_body(answer).await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let model = body["data"][0]["id"].as_str().map(str::to_owned);
        model.ok_or_else(|| "/v1/models lists no model; name one with --vs-model".to_owned())
    }

    async fn stream(&self, prompt: &str, tokens: usize) -> Result<Answer, String> {
        let body = json!({
            "model": self.model,
            "prompt": prompt,
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": true,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let request = self.request("POST", "/v1/completions", body.to_string())?;
        let (answer, started) = self.send(request).await?;
        read_stream(answer.into_body(), started).await.map_err(|what| format!("{what}; {HINT}"))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, String> {
        let uri: Uri = format!("{}{path}", self.url).parse().map_err(|e| not_a_url(&e))?;
        let authority = uri.authority().ok_or_else(|| not_a_url(&"it names no machine"))?;
        if uri.scheme_str() != Some("http") {
            return Err(not_a_url(&"only http is spoken here"));
        }
        Request::builder()
            .method(method)
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .uri(uri)
            .body(Full::from(body))
            .map_err(|e| not_a_url(&e))
    }

    /// Sends a request; gives the answer, if it says success, and when the request went out.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Instant), String> {
        let uri = request.uri();
        let path = uri.path().to_owned();
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((name, uri.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| format!("cannot connect: {error}; is a server running there?"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        // A server, unlike a proxy, is asked for the path alone.
        *request.uri_mut() = path.parse().map_err(|e| not_a_url(&e))?;
        let broken = |error: hyper::Error| format!("no HTTP answer to {path}: {error}");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends when the sender and the answer's body are dropped.
        drop(tokio::spawn(connection));
        let started = Instant::now();
        let answer = sender.send_request(request).await.map_err(broken)?;
        match answer.status() {
            StatusCode::OK => Ok((answer, started)),
            status => {
                let body = read_body(answer).await.unwrap_or_default();
                Err(format!(
                    "{path} answered {status}, expected 200: {}; {HINT}",
                    error_text(&body)
                ))
            }
        }
    }

    /// What a request gives, or why it gives nothing, with the server's name.
    async fn within_time<T>(
        &self,
        asked: impl Future<Output = Result<T, String>>,
    ) -> Result<T, Failure> {
        let seconds = self.timeout.as_secs();
        let outcome = tokio::time::timeout(self.timeout, asked).await.unwrap_or_else(|_| {
            Err(format!(
                "no whole answer within {seconds} s; it hangs, or needs a longer --timeout-s or \
                 fewer --streams"
            ))
        });
        outcome.map_err(|what| format!("{} at {}: {what}", self.side, self.url).into())
    }
}

fn not_a_url(why: &dyn std::fmt::Display) -> String {
    format!("not a URL such as http://127.0.0.1:8080: {why}")
}

async fn read_stream(mut body: Incoming, started: Instant) -> Result<Answer, String> {
    let (mut events, mut reading) = (EventParser::default(), Reading::default());
    while !reading.is_done() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        let time = started.elapsed();
        for event in events.push(frame.data_ref().map_or(&[], |data| data.as_ref()))? {
            reading.take(&event, time)?;
        }
    }
    reading.answer()
}

async fn read_body(answer: Response<Incoming>) -> Result<Bytes, String> {
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes())
}
