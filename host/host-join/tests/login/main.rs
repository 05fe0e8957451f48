//! `host-join` against a server that wants to know who asks.
//!
//! Server and authorization server are one small program in the test; the messages are lines, as
//! the host writes them, and the browser is a request for the address that the login prints.

mod joined;
mod server;

use joined::{Joined, Room};
use serde_json::{Value, json};
use server::Server;

#[test]
fn credentials_are_exchanged_for_a_token_once() {
    let server = Server::start();
    let room = Room::new();
    let auth =
        json!({"grant": "client_credentials", "client_id": "robot", "client_secret": "s3cret"});
    let mut joined = Joined::start(&server, &room, &auth);
    for _ in 0..3 {
        assert_eq!(joined.call()["result"]["content"][0]["text"], "hello robot");
    }
    let asked = server.token_requests();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let request = &asked[0];
    for part in ["grant_type=client_credentials", "client_id=robot", "client_secret=s3cret"] {
        assert!(request.contains(part), "{part} in {request}");
    }
    assert!(request.contains("scope=use"), "the scope of the challenge, in {request}");
    assert!(request.contains("resource=http"), "{request}");
    assert!(room.tokens().is_empty(), "nothing of a program is kept");
}

#[test]
fn a_token_that_the_server_takes_back_is_asked_for_again() {
    let server = Server::start();
    let room = Room::new();
    let auth =
        json!({"grant": "client_credentials", "client_id": "robot", "client_secret": "s3cret"});
    let mut joined = Joined::start(&server, &room, &auth);
    joined.call();
    server.revoke();
    assert_eq!(joined.call()["result"]["content"][0]["text"], "hello robot");
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn wrong_credentials_are_said_to_be_wrong() {
    let server = Server::start();
    let room = Room::new();
    let auth = json!({"grant": "client_credentials", "client_id": "robot", "client_secret": "no"});
    let answer = Joined::start(&server, &room, &auth).call();
    let message = answer["error"]["message"].as_str().expect("an error");
    assert!(message.contains("invalid_client"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
}

#[test]
fn without_a_login_it_says_what_to_do() {
    let server = Server::start();
    let room = Room::new();
    let answer = Joined::start(&server, &room, &json!({"server": "mail"})).call();
    let message = answer["error"]["message"].as_str().expect("an error");
    assert!(message.contains("run `host mcp login mail`"), "{message}");
    assert!(server.token_requests().is_empty());
}

#[test]
fn a_person_logs_in_and_the_token_is_renewed() {
    let server = Server::start();
    let room = Room::new();
    let auth = json!({"server": "mail"});
    // It runs already while the person logs in.
    let mut joined = Joined::start(&server, &room, &auth);
    assert!(joined.call()["error"].is_object());
    let login = joined::login(&server, &room, &auth, "");
    assert!(login.success, "{}", login.stderr);
    assert!(login.page.contains("Logged in"), "{}", login.page);
    assert_eq!(joined.call()["result"]["content"][0]["text"], "hello person");
    let mut later = Joined::start(&server, &room, &auth);
    assert_eq!(later.call()["result"]["content"][0]["text"], "hello person");
    server.revoke();
    assert_eq!(later.call()["result"]["content"][0]["text"], "hello person");
    assert_eq!(joined.call()["result"]["content"][0]["text"], "hello person");
    let asked = server.token_requests();
    let grants: Vec<_> = asked.iter().map(|request| grant(request)).collect();
    assert_eq!(grants, ["authorization_code", "refresh_token"], "{asked:?}");
    for request in &asked {
        assert!(request.contains("client_id=registered"), "{request}");
        assert!(request.contains("client_secret=given"), "a registered secret, in {request}");
    }
    server.forget();
    let message = later.call()["error"]["message"].to_string();
    assert!(message.contains("run `host mcp login mail`"), "{message}");
}

#[cfg(unix)]
#[test]
fn tokens_are_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start();
    let room = Room::new();
    assert!(joined::login(&server, &room, &json!({"server": "mail"}), "").success);
    let files = room.tokens();
    assert!(!files.is_empty());
    for file in files {
        let mode = file.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn further_rights_are_asked_for_beside_those_given() {
    let server = Server::start();
    let room = Room::new();
    let auth = json!({"server": "mail"});
    assert!(joined::login(&server, &room, &auth, "").success);
    server.want("write");
    let mut joined = Joined::start(&server, &room, &auth);
    let message = joined.call()["error"]["message"].to_string();
    assert!(message.contains("`write`") && message.contains("host mcp login mail"), "{message}");
    assert!(joined::login(&server, &room, &auth, "").success);
    assert_eq!(server.scopes(), ["use", "use write"]);
    assert_eq!(joined.call()["result"]["content"][0]["text"], "hello person");
}

#[test]
fn a_refusal_ends_the_login() {
    let server = Server::start();
    let room = Room::new();
    let auth = json!({"server": "mail"});
    let login = joined::login(&server, &room, &auth, "&deny=1");
    assert!(!login.success);
    assert!(login.stderr.contains("access_denied"), "{}", login.stderr);
    assert!(login.page.contains("access_denied"), "{}", login.page);
    let login = joined::login(&server, &room, &auth, "&iss=http://evil.example");
    assert!(!login.success, "another issuer");
    assert!(login.stderr.contains("issuer mismatch"), "{}", login.stderr);
}

#[test]
fn a_header_of_the_configuration_is_never_replaced() {
    let server = Server::start();
    let room = Room::new();
    let headers = json!({"Authorization": "Bearer mine"});
    let mut joined = Joined::with_headers(&server, &room, &headers);
    let message = joined.call()["error"]["message"].to_string();
    assert!(message.contains("refuses the credentials"), "{message}");
    server.accept("mine");
    assert_eq!(joined.call()["result"]["content"][0]["text"], "hello mine");
}

fn grant(request: &str) -> &str {
    let pairs = request.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == "grant_type").map_or("", |(_, value)| value)
}

/// The answer to one request, whatever else is said.
fn answer_to(id: i64, line: &str) -> Option<Value> {
    let message: Value = serde_json::from_str(line).ok()?;
    (message["id"] == id).then_some(message)
}
