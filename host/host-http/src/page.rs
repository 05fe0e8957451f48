//! The page for people: a document and its files, all of them inside this program.
//!
//! It needs nothing from elsewhere, so it works without a network and on a machine that has only
//! the host. Files lie under a folder that is named after their content, so a browser keeps them for
//! good and never mixes two versions. Nothing here is secret: what the page shows it asks of the
//! same routes as every client.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// Scripts and styles are files of this host, nothing is fetched from elsewhere, and no text can
/// become markup: trusted types forbid every function that would make it so.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Stands in the document where the folder of its files is named.
const FOLDER_MARK: &str = "@folder@";

macro_rules! texts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../page/", $name)))),*]
    };
}

/// Every file of the page by name.
const FILES: &[(&str, &str)] = texts! {
    "favicon.svg" "index.html"
    "base.css" "chat.css" "views.css"
    "answer.mjs" "api-view.mjs" "api.mjs" "app.mjs" "branches.mjs" "chart.mjs" "chat.mjs"
    "chat-list.mjs" "dom.mjs" "events.mjs" "format.mjs" "highlight.mjs" "inline.mjs" "library.mjs"
    "markdown.mjs" "markup.mjs" "message.mjs" "metrics.mjs" "models.mjs" "notices.mjs"
    "openmetrics.mjs" "plugins.mjs" "prompt.mjs" "sampling.mjs" "session.mjs" "settings.mjs"
    "snippets.mjs" "state.mjs" "theme.mjs" "tool-calls.mjs"
};

/// Name of the folder, which changes with any of the files.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let bytes = FILES.iter().flat_map(|(name, text)| name.bytes().chain(text.bytes()));
    // 64-bit FNV-1a: a name that stays the same on every machine, not a seal.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
});

/// The document.
pub(crate) async fn document(headers: HeaderMap) -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        text("index.html").unwrap_or_default().replace(FOLDER_MARK, &format!("/page/{}", *VERSION))
    });
    answer(&headers, "index.html", &TEXT, Keep::AskAgain)
}

/// The icon, where browsers look for one.
pub(crate) async fn icon(headers: HeaderMap) -> Response {
    let name = "favicon.svg";
    answer(&headers, name, text(name).unwrap_or_default(), Keep::AskAgain)
}

/// A file of the document, as `NAME` or, to be kept for good, as `VERSION/NAME`.
pub(crate) async fn file(
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (folder, name) = path.split_once('/').unwrap_or(("", &path));
    let keep = if folder == *VERSION { Keep::ForGood } else { Keep::AskAgain };
    let text = text(name).filter(|_| folder.is_empty() || matches!(keep, Keep::ForGood));
    text.map(|text| answer(&headers, name, text, keep)).ok_or_else(|| {
        let message = "the page has no such file; load the page again";
        ApiError::refused(StatusCode::NOT_FOUND, "not_found", message)
    })
}

/// How long a browser may use its copy.
#[derive(Debug, Clone, Copy)]
enum Keep {
    ForGood,
    AskAgain,
}

fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn answer(headers: &HeaderMap, name: &str, text: &'static str, keep: Keep) -> Response {
    let tag = format!("\"{}\"", *VERSION);
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_fresh = seen.is_some_and(|seen| seen.split(',').any(|one| one.trim() == tag));
    let keep = match keep {
        Keep::ForGood => "public, max-age=31536000, immutable",
        Keep::AskAgain => "no-cache",
    };
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let head = [
        (header::ETAG, HeaderValue::from_str(&tag).expect("digits and quotes")),
        fixed(header::CACHE_CONTROL, keep),
        fixed(header::CONTENT_TYPE, content_type(name)),
        fixed(header::CONTENT_SECURITY_POLICY, POLICY),
        fixed(header::REFERRER_POLICY, "no-referrer"),
    ];
    if is_fresh {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, text).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, FOLDER_MARK, text};

    /// Names in quotes after `before`, in the lines of a file.
    fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        text.match_indices(before)
            .filter_map(move |(at, _)| text[at + before.len()..].split('"').next())
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let entries = std::fs::read_dir(folder).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut found: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        let mut known: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn what_a_file_names_is_there() {
        let mut count = 0;
        for (file, source) in FILES {
            let folder = format!("\"{FOLDER_MARK}/");
            for name in quoted(source, " from \"./").chain(quoted(source, &folder)) {
                assert!(text(name).is_some(), "{file} names {name}");
                count += 1;
            }
        }
        assert!(count > FILES.len(), "only {count} names were found: mend this test");
    }

    #[test]
    fn no_text_becomes_markup_or_code_and_nothing_comes_from_elsewhere() {
        let markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
        for (file, source) in FILES {
            for word in markup {
                assert!(!source.contains(word), "{file}: {word}");
            }
            assert!(!source.contains("style=\"") && !source.contains("<script>"), "{file}: inline");
            let elsewhere = ["src=\"http", "href=\"http", ": url(", "from \"http", "import("];
            for word in elsewhere {
                assert!(!source.contains(word), "{file}: {word}");
            }
        }
    }
}
