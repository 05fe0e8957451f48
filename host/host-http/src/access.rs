//! Who may ask: the listening address, the API keys, the host and the origin a request names.
//!
//! A local host is reachable by every web page the user visits, so being local is no protection:
//! a page of another origin is refused, and so is a name that was rebound to this address. It only
//! judges; the answers are given elsewhere.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use host_tools::{Caller, Need};

use crate::error::ApiError;
use crate::keys::ApiKeys;
use crate::state::HttpOptions;

/// Paths that anyone may read: they tell a monitor or a browser nothing it must not know.
const OPEN_PATHS: [&str; 4] = ["/", "/favicon.svg", "/health", "/ready"];

/// Paths that change what the host serves.
const ADMIN_PATHS: [&str; 5] = [
    "/v1/models/load",
    "/v1/models/unload",
    "/v1/plugins/rescan",
    "/v1/plugins/disable",
    "/v1/plugins/enable",
];

/// Routes that judge each request by its content.
const OTHERS: &str = "/mcp";

/// The page's files, which are the same on every host.
const OPEN_FOLDER: &str = "/page/";

/// Why an address must not be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines and no API key is set; set one with --api-key or \
     --api-key-file, listen on 127.0.0.1, or pass --insecure to serve whoever connects"
)]
pub struct BindError {
    /// The address.
    pub address: IpAddr,
}

/// Whether an address may be listened on: any with a key, loopback without.
///
/// # Errors
/// Other machines could connect and nobody would be asked for a key.
pub fn check_bind(address: IpAddr, has_key: bool, insecure: bool) -> Result<(), BindError> {
    if address.is_loopback() || has_key || insecure { Ok(()) } else { Err(BindError { address }) }
}

/// Refuses a request that names a host or an origin which is not ours, or that brings no key.
pub(crate) fn check(options: &HttpOptions, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    let Some(host) = host else {
        let message = "the request has no Host header";
        return Err(ApiError::refused(StatusCode::BAD_REQUEST, "missing_host", message));
    };
    // A page that was rebound to this address has no key, so with one any name is welcome: a proxy
    // passes its own on.
    let is_open = options.loopback_only && options.keys.is_empty();
    if is_open && !is_loopback_name(host_name(host)) {
        let message = "the Host header names another machine than this one";
        return Err(ApiError::refused(StatusCode::FORBIDDEN, "forbidden_host", message));
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && !origin.to_str().is_ok_and(|origin| is_own_origin(origin, host))
    {
        let message = "web pages of this origin may not use the host";
        return Err(ApiError::refused(StatusCode::FORBIDDEN, "forbidden_origin", message));
    }
    Ok(())
}

/// Whose key a request brings, by its index; none where nobody is asked for one.
///
/// # Errors
/// A key is needed, and none or a wrong one was sent.
pub(crate) fn check_key(
    keys: &ApiKeys,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<usize>, ApiError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()));
    let found = sent.and_then(|sent| keys.find(sent));
    if found.is_some() || is_open(path) {
        return Ok(found);
    }
    let message = if sent.is_some() {
        "the API key is wrong"
    } else {
        "an API key is needed: send it as `Authorization: Bearer KEY`"
    };
    Err(ApiError::refused(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
}

/// Whether a caller may do what a request asks for, as far as its path tells.
///
/// # Errors
/// Their key is not good for it.
pub(crate) fn check_scope(caller: &Caller, method: &Method, path: &str) -> Result<(), ApiError> {
    if method != Method::POST || path.starts_with(OTHERS) {
        return Ok(());
    }
    let need = if ADMIN_PATHS.contains(&path) { Need::Admin } else { Need::Infer };
    if caller.scopes.allow(need) {
        return Ok(());
    }
    let scope = if need == Need::Admin { "mcp:admin" } else { "infer" };
    let message = format!("this needs a key with the scope {scope}");
    Err(ApiError::refused(StatusCode::FORBIDDEN, "insufficient_scope", message))
}

/// Whether anyone may read a path.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN_PATHS.contains(&path) || path.starts_with(OPEN_FOLDER)
}

/// The name in `name:port`, brackets taken off.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

fn is_loopback_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Pages served from this machine or by this host itself.
fn is_own_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    matches!(scheme, "http" | "https")
        && (authority == host || is_loopback_name(host_name(authority)))
}

#[cfg(test)]
mod tests {
    use super::{check_bind, is_own_origin};

    fn check_origin(origin: &str, expected: bool) {
        assert_eq!(is_own_origin(origin, "box.lan:8080"), expected, "{origin}");
    }

    #[test]
    fn only_local_and_own_pages_are_welcome() {
        check_origin("http://localhost:3000", true);
        check_origin("http://127.0.0.1", true);
        check_origin("https://[::1]:8080", true);
        check_origin("http://box.lan:8080", true);
        check_origin("http://box.lan:9999", false);
        check_origin("http://evil.example", false);
        check_origin("http://localhost.evil.example", false);
        check_origin("http://127.0.0.1.evil.example", false);
        check_origin("null", false);
        check_origin("file://localhost", false);
    }

    #[test]
    fn other_machines_need_a_key() {
        let check = |address: &str, has_key, insecure, expected| {
            let address = address.parse().expect("an address");
            assert_eq!(check_bind(address, has_key, insecure).is_ok(), expected, "{address}");
        };
        check("127.0.0.1", false, false, true);
        check("127.8.8.8", false, false, true);
        check("::1", false, false, true);
        check("0.0.0.0", false, false, false);
        check("192.168.1.5", false, false, false);
        check("0.0.0.0", true, false, true);
        check("::", false, true, true);
    }
}
