//! The hub's interface, as far as it is needed: what a revision holds, and the files.
//!
//! Source: the hub's API documentation, and the behaviour of its Python library. A token is sent to
//! the hub itself and not to where it redirects.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use crate::error::PullError;
use crate::repository::Repository;

/// Most bytes of the list of files.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Time for a connection, and for the head of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a repository holds at a revision.
#[derive(Debug, Deserialize)]
pub(crate) struct Revision {
    #[serde(rename = "sha")]
    pub(crate) commit: String,
    #[serde(rename = "siblings")]
    pub(crate) files: Vec<RemoteFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RemoteFile {
    #[serde(rename = "rfilename")]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) size: Option<u64>,
    /// Its id in git, if it lies there.
    #[serde(default, rename = "blobId")]
    blob_id: Option<String>,
    #[serde(default)]
    lfs: Option<LargeFile>,
}

/// A file that is kept beside git.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct LargeFile {
    sha256: String,
}

/// What the content of a file must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha256(String),
    /// Of git's header and the content.
    GitSha1(String),
}

impl Digest {
    pub(crate) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitSha1(hex) => hex,
        }
    }
}

impl RemoteFile {
    /// A file of which nothing but its name is known.
    pub(crate) fn named(path: &str) -> Self {
        Self { path: path.to_owned(), size: None, blob_id: None, lfs: None }
    }

    /// What it must come to; none if the hub does not say.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let is_hex = |hex: &String, length| {
            hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        match (&self.lfs, &self.blob_id) {
            (Some(LargeFile { sha256 }), _) if is_hex(sha256, 64) => {
                Some(Digest::Sha256(sha256.to_ascii_lowercase()))
            }
            (None, Some(id)) if is_hex(id, 40) => Some(Digest::GitSha1(id.to_ascii_lowercase())),
            _ => None,
        }
    }
}

/// A connection to the hub.
pub(crate) struct Hub {
    agent: Agent,
    endpoint: String,
    authorization: Option<String>,
}

impl Hub {
    pub(crate) fn new(endpoint: &str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(ANSWER_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("host/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// What a repository holds at a branch, tag or commit.
    pub(crate) fn revision(
        &self,
        repository: &Repository,
        revision: &str,
    ) -> Result<Revision, PullError> {
        let revision = encode(revision);
        let url =
            format!("{}/api/models/{repository}/revision/{revision}?blobs=true", self.endpoint);
        let what = format!("repository {repository}");
        let answer = self.get(&url, &what, 0)?;
        let mut text = String::new();
        let read = answer.into_body().into_reader().take(LIST_BYTES_MAX).read_to_string(&mut text);
        let wrong = |reason: String| PullError::Answer { what: what.clone(), reason };
        read.map_err(|error| wrong(error.to_string()))?;
        let revision: Revision =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if revision.commit.is_empty() || !revision.commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong(format!("`{}` is no commit", revision.commit)));
        }
        Ok(revision)
    }

    /// The content of a file from a byte on; whether it does begin there.
    pub(crate) fn open(
        &self,
        repository: &Repository,
        commit: &str,
        path: &str,
        from: u64,
    ) -> Result<(impl Read + use<>, bool), PullError> {
        let path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
        let url = format!("{}/{repository}/resolve/{commit}/{path}", self.endpoint);
        let answer = self.get(&url, &path, from)?;
        let begins_there = from == 0 || answer.status() == StatusCode::PARTIAL_CONTENT;
        Ok((answer.into_body().into_reader(), begins_there))
    }

    fn get(&self, url: &str, what: &str, from: u64) -> Result<Response<ureq::Body>, PullError> {
        let mut request = self.agent.get(url);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let failed = |reason: String| PullError::Connection { what: what.to_owned(), reason };
        let answer = request.call().map_err(|error| failed(error.to_string()))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                let status = answer.status().as_u16();
                Err(PullError::NotShown { what: what.to_owned(), status })
            }
            status => Err(failed(format!("the hub answers with status {status}"))),
        }
    }
}

/// A part of a path as it stands in an address.
fn encode(part: &str) -> String {
    let mut encoded = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
