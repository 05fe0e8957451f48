//! `host-join login URL`: a person logs in to a server with a browser.
//!
//! The browser is sent back to a listener on this machine with a code, which is exchanged for tokens
//! (authorization code with PKCE, OAuth 2.1). Whoever else calls the listener is answered and
//! passed over: only the right `state` counts.

use std::io::Write as _;
use std::time::Duration;

use reqwest::Url;
use rmcp::transport::auth::{AuthorizationManager, OAuthClientConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::access::Access;

/// What the host calls itself at an authorization server.
const NAME: &str = "host";

/// Path that the browser is sent back to.
const PATH: &str = "/callback";

/// How long a person may take.
const PERSON_LIMIT: Duration = Duration::from_secs(600);

/// How long a browser may take to say what it wants, and how much that may be.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: u64 = 16 << 10;

/// What comes back with the browser.
struct Returned {
    code: String,
    issuer: Option<String>,
}

/// Logs in and keeps the tokens.
pub(crate) async fn login(access: &Access) -> Result<(), Failure> {
    let settings = &access.settings;
    let record = access.store.read()?;
    let mut manager = AuthorizationManager::new(&access.url).await?;
    manager.set_credential_store(access.store.clone());
    let found = manager.resolve_metadata_from_challenge(record.challenge.as_deref()).await?;
    let documented = found.metadata.additional_fields.get("client_id_metadata_document_supported");
    let documented = documented.is_some_and(|value| value == true);
    manager.set_metadata(found.metadata);

    let mut scopes = settings.scopes.clone();
    if scopes.is_empty() {
        scopes = manager.select_initial_scopes(&[]).await;
    }
    // Further rights are asked for together with those that were given.
    let wanted = record.challenge.as_deref().map(|challenge| access.wanted(challenge));
    if wanted.is_some_and(|wanted| wanted.is_insufficient_scope()) {
        let given = record.credentials.into_iter().flat_map(|given| given.granted_scopes);
        let further: Vec<_> = given.filter(|scope| !scopes.contains(scope)).collect();
        scopes.splice(..0, further);
    }
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();

    let listener = TcpListener::bind(("127.0.0.1", settings.redirect_port)).await?;
    let back = format!("http://127.0.0.1:{}{PATH}", listener.local_addr()?.port());
    let own = settings.client_id.as_ref().filter(|_| documented || settings.document().is_none());
    let secret = if let Some(client_id) = own {
        let mut client = OAuthClientConfig::new(client_id, &back);
        client.client_secret.clone_from(&settings.client_secret);
        manager.configure_client(client)?;
        None
    } else {
        manager.register_client(NAME, &back, &scopes).await?.client_secret
    };
    let address = manager.get_authorization_url(&scopes).await?;
    say(&address)?;
    let state = parameter(&Url::parse(&address)?, "state").unwrap_or_default();
    let returning = wait(&listener, &state);
    let Ok(returned) = tokio::time::timeout(PERSON_LIMIT, returning).await else {
        return Err("nobody logged in within ten minutes".into());
    };
    let (mut browser, returned) = returned?;
    let kept = match returned {
        Ok(Returned { code, issuer }) => manager
            .exchange_code_for_token_with_issuer(&code, &state, issuer.as_deref())
            .await
            .map_err(Failure::from),
        Err(refused) => Err(refused),
    };
    match &kept {
        Ok(_) => answer(&mut browser, "200 OK", "Logged in. This page can be closed.").await,
        Err(error) => answer(&mut browser, "400 Bad Request", &error.to_string()).await,
    }
    kept?;
    access.store.change(|record| {
        record.challenge = None;
        record.client_secret = secret;
    })?;
    Ok(())
}

/// Prints the address to open.
fn say(address: &str) -> Result<(), Failure> {
    writeln!(std::io::stderr(), "open this address in a browser on this machine:")?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}")?;
    Ok(stdout.flush()?)
}

/// Waits for the browser that was sent back.
async fn wait(
    listener: &TcpListener,
    state: &str,
) -> Result<(TcpStream, Result<Returned, Failure>), Failure> {
    loop {
        let (mut browser, _) = listener.accept().await?;
        let target = tokio::time::timeout(HEAD_LIMIT, target(&mut browser)).await.ok().flatten();
        let ours = target.filter(|url| {
            url.path() == PATH && parameter(url, "state").is_some_and(|given| given == state)
        });
        let Some(url) = ours else {
            answer(&mut browser, "404 Not Found", "This is no answer to the login.").await;
            continue;
        };
        let returned = match (parameter(&url, "code"), parameter(&url, "error")) {
            (Some(code), None) => Ok(Returned { code, issuer: parameter(&url, "iss") }),
            (_, error) => {
                let error = error.unwrap_or_else(|| "there is no code".to_owned());
                let more = parameter(&url, "error_description").unwrap_or_default();
                Err(format!("the login was refused: {error} {more}").trim_end().into())
            }
        };
        return Ok((browser, returned));
    }
}

/// What a browser asks for.
async fn target(browser: &mut TcpStream) -> Option<Url> {
    let mut head = Vec::new();
    let mut limited = browser.take(HEAD_BYTES_MAX);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if limited.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.strip_prefix("GET ")?.split(' ').next()?;
    Url::parse("http://127.0.0.1").ok()?.join(path).ok()
}

/// Answers a browser; it may be gone.
async fn answer(browser: &mut TcpStream, status: &str, words: &str) {
    let bytes = words.len();
    let page = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {bytes}\r\n\
         Connection: close\r\n\r\n{words}"
    );
    let _gone = browser.write_all(page.as_bytes()).await;
    let _gone = browser.shutdown().await;
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
