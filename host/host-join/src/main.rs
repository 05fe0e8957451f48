//! `host-join URL`: carries MCP messages between stdin and stdout and a server at an address.
//!
//! The host speaks with every server through a child process; this is the child for those that are
//! reached by streamable HTTP. So the program that serves has no TLS and opens no connection, and
//! whatever goes wrong with a connection ends here. `host-join login URL` logs a person in to a
//! server. What else the host has to say comes in the environment ([`settings`]). Redirects lead
//! nowhere else.

mod access;
mod client;
mod login;
mod settings;
mod store;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use rmcp::model::{
    ClientJsonRpcMessage, ErrorCode, ErrorData, JsonRpcMessage, ServerJsonRpcMessage,
};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use access::Access;
use client::Client;
use settings::Settings;

/// Code of an answer that stands for a failed request of HTTP.
const UNREACHABLE: i32 = -32_001;

/// Code of one that says how the server can be told who asks; the host knows it.
const REFUSED: i32 = -32_003;

/// What it ends with: a line for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _closed = writeln!(std::io::stderr(), "host-join: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let first = words.next().ok_or("host-join URL: the host starts it for its servers")?;
    let login_url = (first == "login").then(|| words.next()).flatten();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "the cryptography was chosen already")?;
    let (settings, headers) = Settings::read()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    if let Some(url) = login_url {
        let access = Access::new(&url, settings);
        return runtime.block_on(login::login(&access));
    }
    let access = Access::new(&first, settings);
    let config = StreamableHttpClientTransportConfig::with_uri(first).custom_headers(headers);
    let carried = runtime.block_on(carry(config, Arc::new(access)));
    // A thread that waits for stdin would be waited for otherwise.
    runtime.shutdown_background();
    carried
}

type Server = StreamableHttpClientTransport<Client>;

/// Carries messages until either side ends.
async fn carry(
    config: StreamableHttpClientTransportConfig,
    access: Arc<Access>,
) -> Result<(), Failure> {
    let client = Client::new(Arc::clone(&access))?;
    let join = || Server::with_client(client.clone(), config.clone());
    let mut server = join();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut sending = tokio::task::JoinSet::new();
    let mut answered = false;
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                let Ok(message) = serde_json::from_str::<ClientJsonRpcMessage>(&line) else {
                    continue;
                };
                let id = match &message {
                    JsonRpcMessage::Request(request) => Some(request.id.clone()),
                    _ => None,
                };
                let sent = server.send(message);
                sending.spawn(async move { (id, sent.await.err()) });
            }
            Some(sent) = sending.join_next(), if !sending.is_empty() => {
                if let (Some(id), Some(error)) = sent? {
                    // Before the host hears of it: it asks in another way at once.
                    if !answered {
                        server = join();
                    }
                    let refused = error.auth_challenge().is_some();
                    let code = ErrorCode(if refused { REFUSED } else { UNREACHABLE });
                    let error = ErrorData::new(code, access.explain(&error), None);
                    print(&JsonRpcMessage::error(error, Some(id)))?;
                }
            }
            message = server.receive() => match message {
                Some(message) => {
                    answered = true;
                    print(&message)?;
                }
                None if answered => return Err("the server ended the conversation".into()),
                // An older server may refuse the first question with an error of HTTP. The host
                // hears of it and asks in the older way, for which a fresh start is needed.
                None => server = join(),
            },
        }
    }
    // A transport that carried nothing waits for its first message for ever.
    if answered {
        Transport::<RoleClient>::close(&mut server).await?;
    }
    Ok(())
}

fn print(message: &ServerJsonRpcMessage) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
