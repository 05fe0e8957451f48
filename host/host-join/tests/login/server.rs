//! An MCP server with an authorization server of its own, which keep count.
//!
//! A token is the name of whom it was given to, a number and the rights; only the newest is good.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

#[derive(Default)]
struct Seen {
    /// Good tokens; a good one is also the name of whom it was given to.
    accepted: Vec<String>,
    count: u32,
    tokens: Vec<String>,
    scopes: Vec<String>,
    wanted: Option<String>,
    forgetful: bool,
}

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

struct Request {
    path: String,
    query: String,
    token: Option<String>,
    body: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                thread::spawn(move || serve(stream, address, &seen));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics")
    }

    /// The bodies of all requests for a token.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.seen().tokens.clone()
    }

    /// The rights that were asked for at each login.
    pub(crate) fn scopes(&self) -> Vec<String> {
        self.seen().scopes.clone()
    }

    /// Takes back every token.
    pub(crate) fn revoke(&self) {
        self.seen().accepted.clear();
    }

    /// Takes back every token, and those that renew them.
    pub(crate) fn forget(&self) {
        self.revoke();
        self.seen().forgetful = true;
    }

    /// Wants a further right from now on.
    pub(crate) fn want(&self, scope: &str) {
        self.seen().wanted = Some(scope.to_owned());
    }

    /// Takes a token that it never gave.
    pub(crate) fn accept(&self, token: &str) {
        self.seen().accepted.push(token.to_owned());
    }
}

fn serve(stream: TcpStream, address: SocketAddr, seen: &Mutex<Seen>) {
    let Some(request) = read(&stream) else { return };
    let mut seen = seen.lock().expect("nobody panics");
    let own = format!("http://{address}");
    let (status, headers, body) = match request.path.as_str() {
        "/mcp" => mcp(&request, &seen, &own),
        "/metadata" => found(&json!({
            "resource": format!("{own}/mcp"), "authorization_servers": [own],
        })),
        "/.well-known/oauth-authorization-server" => found(&json!({
            "issuer": own, "authorization_endpoint": format!("{own}/authorize"),
            "token_endpoint": format!("{own}/token"),
            "registration_endpoint": format!("{own}/register"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        })),
        "/register" => found(&json!({
            "client_id": "registered", "client_secret": "given", "redirect_uris": [],
        })),
        "/authorize" => authorize(&request.query, &mut seen),
        "/token" => token(&request.body, &mut seen),
        _ => ("404 Not Found", String::new(), String::new()),
    };
    let bytes = body.len();
    let mut stream = stream;
    let _gone = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\
         Connection: close\r\n{headers}\r\n{body}"
    );
}

type Page = (&'static str, String, String);

fn found(value: &Value) -> Page {
    ("200 OK", String::new(), value.to_string())
}

/// Answers a call of whoever has a good token.
fn mcp(request: &Request, seen: &Seen, own: &str) -> Page {
    let metadata = format!("resource_metadata=\"{own}/metadata\"");
    let token = request.token.as_deref().filter(|token| seen.accepted.iter().any(|t| t == token));
    let Some(token) = token else {
        let header = format!("WWW-Authenticate: Bearer scope=\"use\", {metadata}\r\n");
        return ("401 Unauthorized", header, "{}".to_owned());
    };
    let (name, scopes) = token.split_once('-').unwrap_or((token, ""));
    if let Some(wanted) = seen.wanted.as_deref().filter(|wanted| !scopes.contains(*wanted)) {
        let error = "error=\"insufficient_scope\"";
        let header =
            format!("WWW-Authenticate: Bearer {error}, scope=\"{wanted}\", {metadata}\r\n");
        return ("403 Forbidden", header, "{}".to_owned());
    }
    let call: Value = serde_json::from_str(&request.body).expect("JSON");
    let content = json!([{"type": "text", "text": format!("hello {name}")}]);
    found(&json!({
        "jsonrpc": "2.0", "id": call["id"], "result": {"resultType": "complete", "content": content},
    }))
}

/// Sends the browser back with a code, or as its address says.
fn authorize(query: &str, seen: &mut Seen) -> Page {
    let scope = value(query, "scope").unwrap_or_default();
    seen.scopes.push(scope.replace('+', " ").replace("%20", " "));
    let back = value(query, "redirect_uri").expect("where to");
    let back = back.replace("%3A", ":").replace("%2F", "/");
    let state = value(query, "state").expect("a state");
    assert!(value(query, "code_challenge").is_some(), "PKCE, in {query}");
    let end = match (value(query, "deny"), value(query, "iss")) {
        (Some(_), _) => "error=access_denied".to_owned(),
        (None, Some(issuer)) => format!("code=c0de&iss={issuer}"),
        (None, None) => "code=c0de".to_owned(),
    };
    ("302 Found", format!("Location: {back}?state={state}&{end}\r\n"), String::new())
}

fn token(body: &str, seen: &mut Seen) -> Page {
    seen.tokens.push(body.to_owned());
    let refused =
        |error: &str| ("400 Bad Request", String::new(), json!({ "error": error }).to_string());
    let name = match value(body, "grant_type").as_deref() {
        Some("client_credentials") if body.contains("client_secret=s3cret") => "robot",
        Some("authorization_code") if body.contains("code_verifier=") => "person",
        Some("refresh_token") if !seen.forgetful => "person",
        Some("refresh_token") => return refused("invalid_grant"),
        _ => return refused("invalid_client"),
    };
    seen.count += 1;
    let scopes = seen.scopes.last().cloned().unwrap_or_default();
    let token = format!("{name}-{}-{}", seen.count, scopes.replace(' ', "-"));
    seen.accepted = vec![token.clone()];
    found(&json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "again",
    }))
}

fn value(pairs: &str, name: &str) -> Option<String> {
    let mut pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut token) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Request { path, query, token, body: String::from_utf8(body).ok()? })
}
