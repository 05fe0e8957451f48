//! Requests with a token, sent once more with a fresh one when the server refuses the first.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use reqwest::StatusCode;
use reqwest::redirect::{Attempt, Policy};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

use crate::access::Access;
use crate::settings::Headers;

/// Most redirects of a request.
const REDIRECTS_MAX: usize = 10;

/// Largest event when the transport names none.
const EVENT_BYTES_MAX: usize = 16 << 20;

type Error = StreamableHttpError<reqwest::Error>;

/// A client that says who asks.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    access: Arc<Access>,
}

impl Client {
    pub(crate) fn new(access: Arc<Access>) -> Result<Self, reqwest::Error> {
        // A connection that is used again may wait 40 ms for an acknowledgement.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0);
        Ok(Self { http: http.redirect(Policy::custom(follow)).build()?, access })
    }

    async fn send<T, Sent>(
        &self,
        send: impl Fn(reqwest::Client, Option<String>) -> Sent + Send,
    ) -> Result<T, Error>
    where
        Sent: Future<Output = Result<T, Error>> + Send,
    {
        let token = self.access.token().await?;
        match send(self.http.clone(), token.clone()).await {
            Err(StreamableHttpError::AuthRequired(refused)) => {
                let challenge = &refused.www_authenticate_header;
                match self.access.renew(token.as_deref(), challenge).await? {
                    Some(fresh) => send(self.http.clone(), Some(fresh)).await,
                    None => Err(StreamableHttpError::AuthRequired(refused)),
                }
            }
            sent => sent,
        }
    }
}

impl StreamableHttpClient for Client {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let most = EVENT_BYTES_MAX;
        self.post_message_with_max_sse_event_size(uri, message, session, token, headers, most).await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<StreamableHttpPostResponse, Error> {
        self.send(|http, token| {
            let (uri, message) = (Arc::clone(&uri), message.clone());
            let (session, headers) = (session.clone(), headers.clone());
            async move {
                http.post_message_with_max_sse_event_size(
                    uri, message, session, token, headers, most,
                )
                .await
            }
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        headers: Headers,
    ) -> Result<(), Error> {
        self.send(|http, token| {
            let (uri, session) = (Arc::clone(&uri), Arc::clone(&session));
            let headers = headers.clone();
            async move { http.delete_session(uri, session, token, headers).await }
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let most = EVENT_BYTES_MAX;
        self.get_stream_with_max_sse_event_size(uri, session, last, token, headers, most).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        _: Option<String>,
        headers: Headers,
        most: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        self.send(|http, token| {
            let uri = Arc::clone(&uri);
            let (session, last, headers) = (session.clone(), last.clone(), headers.clone());
            async move {
                http.get_stream_with_max_sse_event_size(uri, session, last, token, headers, most)
                    .await
            }
        })
        .await
    }
}

/// Only to the same server, and only where the request stays what it is.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let kept = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT]
        .contains(&attempt.status());
    let first = attempt.previous().first();
    let same = first.is_some_and(|first| first.origin() == attempt.url().origin());
    match kept && same {
        false => attempt.stop(),
        true if attempt.previous().len() > REDIRECTS_MAX => attempt.error("too many redirects"),
        true => attempt.follow(),
    }
}
