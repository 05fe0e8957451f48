//! What the host says beside the address, in the environment: `HOST_JOIN_HEADERS`, a JSON object,
//! and `HOST_JOIN_AUTH`, the [`Settings`]. Everybody may read the arguments of a process.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;

use crate::Failure;

/// Headers of every request.
pub(crate) type Headers = HashMap<HeaderName, HeaderValue>;

/// Who asks a server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// The server's name in the configuration.
    pub(crate) server: String,
    /// How an access token is come by.
    pub(crate) grant: Grant,
    /// The host's name at the authorization server, or the address of a document that describes
    /// it; without it the host registers.
    pub(crate) client_id: Option<String>,
    /// What proves that name.
    pub(crate) client_secret: Option<String>,
    /// Rights to ask for; none: those that the server names.
    pub(crate) scopes: Vec<String>,
    /// Port that the browser is sent back to; 0: any.
    pub(crate) redirect_port: u16,
}

/// How an access token is come by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// A person logged in, with a browser.
    #[default]
    AuthorizationCode,
    /// The program has credentials of its own.
    ClientCredentials,
    /// There is none: the headers say who asks.
    #[serde(skip)]
    Headers,
}

impl Settings {
    /// Those of the environment, and the headers.
    pub(crate) fn read() -> Result<(Self, Headers), Failure> {
        let headers = match std::env::var("HOST_JOIN_HEADERS") {
            Ok(text) => headers(&text)?,
            Err(_) => Headers::new(),
        };
        let mut settings: Self = match std::env::var("HOST_JOIN_AUTH") {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Self::default(),
        };
        if headers.contains_key(&header::AUTHORIZATION) {
            settings.grant = Grant::Headers;
        }
        Ok((settings, headers))
    }

    /// The address of the document that describes the host, if that is its name.
    pub(crate) fn document(&self) -> Option<&str> {
        self.client_id.as_deref().filter(|id| id.starts_with("https://"))
    }
}

fn headers(text: &str) -> Result<Headers, Failure> {
    let pairs: HashMap<String, String> = serde_json::from_str(text)?;
    let header = |(name, value): (String, String)| {
        let shown = format!("the header {name} is not valid");
        let parsed = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value).ok());
        parsed.ok_or_else(|| Failure::from(shown))
    };
    pairs.into_iter().map(header).collect()
}
