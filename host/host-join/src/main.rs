//! `host-join URL`: carries MCP messages between stdin and stdout and a server at an address.
//!
//! The host speaks with every server through a child process; this is the child for those that are
//! reached by streamable HTTP. So the program that serves has no TLS and opens no connection, and
//! whatever goes wrong with a connection ends here. Headers come in `HOST_JOIN_HEADERS`, a JSON
//! object, because everybody may read the arguments of a process. Redirects lead nowhere else.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;

use http::{HeaderName, HeaderValue};
use rmcp::model::{
    ClientJsonRpcMessage, ErrorCode, ErrorData, JsonRpcMessage, ServerJsonRpcMessage,
};
use rmcp::service::RoleClient;
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// Code of an answer that stands for a failed request of HTTP.
const UNREACHABLE: i32 = -32_001;

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
    let url = std::env::args().nth(1).ok_or("host-join URL: the host starts it for its servers")?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "the cryptography was chosen already")?;
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let carried = runtime.block_on(carry(config));
    // A thread that waits for stdin would be waited for otherwise.
    runtime.shutdown_background();
    carried
}

fn headers() -> Result<HashMap<HeaderName, HeaderValue>, Failure> {
    let Ok(text) = std::env::var("HOST_JOIN_HEADERS") else { return Ok(HashMap::new()) };
    let pairs: HashMap<String, String> = serde_json::from_str(&text)?;
    let header = |(name, value): (String, String)| {
        let shown = format!("the header {name} is not valid");
        let parsed = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value).ok());
        parsed.ok_or_else(|| Failure::from(shown))
    };
    pairs.into_iter().map(header).collect()
}

type Server = StreamableHttpClientTransport<reqwest::Client>;

/// Carries messages until either side ends.
async fn carry(config: StreamableHttpClientTransportConfig) -> Result<(), Failure> {
    let mut server = Server::from_config(config.clone());
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
                    let error = ErrorData::new(ErrorCode(UNREACHABLE), error.to_string(), None);
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
                None => server = Server::from_config(config.clone()),
            },
        }
    }
    Transport::<RoleClient>::close(&mut server).await?;
    Ok(())
}

fn print(message: &ServerJsonRpcMessage) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    Ok(stdout.flush()?)
}
