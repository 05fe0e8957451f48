//! The page: its files, how browsers keep them, and its modules that need no browser.

use axum::body::Body;
use axum::http::Request;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::test_host::TestHost;

/// Paths of the files that the document names.
fn files(document: &str) -> Vec<&str> {
    let quoted = document.split('"').filter(|text| text.starts_with("/page/"));
    quoted.collect()
}

#[tokio::test]
async fn the_document_names_files_that_are_kept_for_good() {
    let host = TestHost::saying("");
    let document = host.get("/").await;
    assert_eq!(document.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(document.header("cache-control"), Some("no-cache"));
    let files = files(&document.text);
    assert!(files.iter().any(|path| path.ends_with(".css")), "{files:?}");
    assert!(files.iter().any(|path| path.ends_with("/app.mjs")), "{files:?}");
    for path in files {
        let file = host.get(path).await;
        assert_eq!((file.status.as_u16(), file.text.is_empty()), (200, false), "{path}");
        let cache = file.header("cache-control").unwrap_or_default();
        assert!(cache.contains("immutable"), "{path}: {cache}");
    }
}

#[tokio::test]
async fn a_file_without_its_version_is_asked_for_again() {
    let host = TestHost::saying("");
    for (path, kind) in [
        ("/page/app.mjs", "text/javascript; charset=utf-8"),
        ("/page/base.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let file = host.get(path).await;
        assert_eq!(file.header("content-type"), Some(kind), "{path}");
        assert_eq!(file.header("cache-control"), Some("no-cache"), "{path}");
        let tag = file.header("etag").expect("a tag");
        let again = Request::get(path).header("host", "localhost").header("if-none-match", tag);
        let answer = host.call(again.body(Body::empty()).expect("a request")).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{path}");
    }
    for path in ["/page/", "/page/gone.mjs", "/page/0123456789abcdef/app.mjs", "/page/a/b/app.mjs"]
    {
        assert_eq!(host.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_policy_allows_nothing_from_elsewhere() {
    let document = TestHost::saying("").get("/").await;
    let policy = document.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for word in ["unsafe", "http", "data:", "*"] {
        assert!(!policy.contains(word), "{policy}");
    }
}

/// Modules without a document are tested where they run, if there is a Node.js to run them.
#[test]
fn modules_that_need_no_browser_pass_their_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let entries = std::fs::read_dir(&folder).expect("the folder of the tests");
    let tests = entries.map(|entry| entry.expect("an entry").path());
    let done = Command::new("node").arg("--test").args(tests).output();
    let Ok(done) = done else {
        let note = b"skipped: tests of the page's modules (node is not there)\n";
        let _closed = std::io::stderr().lock().write_all(note);
        return;
    };
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
}
