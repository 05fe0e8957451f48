//! A blocking HTTP/1.1 client: JSON answers, server-sent events, and hanging up.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest silence of a server that still counts as alive.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Talks to one server, one connection a request.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    address: SocketAddr,
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

/// An answer that arrives event by event; an iterator over the `data:` objects before `[DONE]`.
#[derive(Debug)]
pub struct EventStream {
    /// Status code.
    pub status: u16,
    body: BufReader<Body>,
    done: bool,
}

impl Client {
    /// A client of the server at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The address, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `GET path`.
    ///
    /// # Panics
    /// The server does not answer in HTTP.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], "")
    }

    /// `POST path` with a JSON body.
    ///
    /// # Panics
    /// The server does not answer in HTTP.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, &[], &body.to_string())
    }

    /// Any request, with further headers.
    ///
    /// # Panics
    /// The server does not answer in HTTP.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.request(method, path, headers, body).read()
    }

    /// `POST path` for an answer in events.
    ///
    /// # Panics
    /// The server does not answer in HTTP.
    #[must_use]
    pub fn stream(&self, path: &str, body: &Value) -> EventStream {
        let answer = self.request("POST", path, &[], &body.to_string());
        EventStream { status: answer.status, body: BufReader::new(answer.body), done: false }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.try_request(method, path, headers, body);
        answer.unwrap_or_else(|error| unreachable!("{method} {path}: {error}"))
    }

    fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Answer> {
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        let further: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n{further}\r\n",
            self.address,
            body.len()
        );
        socket.write_all(format!("{head}{body}").as_bytes())?;
        Answer::begin(BufReader::new(socket))
    }
}

impl Response {
    /// The body as JSON.
    ///
    /// # Panics
    /// It is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| unreachable!("{error}: {}", self.body))
    }

    /// Value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, if the status says success.
    ///
    /// # Panics
    /// It does not; the body is shown.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.json()
    }
}

impl Iterator for EventStream {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        while !self.done {
            let mut line = String::new();
            let length = self.body.read_line(&mut line).expect("the server goes on sending");
            assert!(length > 0, "the stream ended without [DONE]");
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            if data == "[DONE]" {
                self.done = true;
                break;
            }
            return Some(serde_json::from_str(data).expect("an event is JSON"));
        }
        None
    }
}

impl EventStream {
    /// Hangs up.
    pub fn cut(self) {
        let _closed = self.body.get_ref().socket().shutdown(Shutdown::Both);
    }
}

/// Status and headers of an answer, and the body still to be read.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Answer {
    fn begin(mut socket: BufReader<TcpStream>) -> io::Result<Self> {
        let bad = || io::Error::other("no HTTP answer");
        let first = line(&mut socket)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut socket)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let value = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, v)| v);
        let chunked = value("transfer-encoding").is_some_and(|value| value.contains("chunked"));
        let length = value("content-length").and_then(|length| length.parse().ok());
        let left = if chunked { Left::Chunk(0) } else { Left::Bytes(length.unwrap_or(u64::MAX)) };
        Ok(Self { status, headers, body: Body { socket, left } })
    }

    fn read(mut self) -> Response {
        let mut body = Vec::new();
        self.body.read_to_end(&mut body).expect("the server sends the whole body");
        let body = String::from_utf8(body).expect("a body is UTF-8");
        Response { status: self.status, headers: self.headers, body }
    }
}

/// The body of an answer, its framing removed.
#[derive(Debug)]
struct Body {
    socket: BufReader<TcpStream>,
    left: Left,
}

/// What is still to come.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// So many bytes, or all until the server hangs up.
    Bytes(u64),
    /// So many bytes of this chunk; at 0 the next one begins.
    Chunk(u64),
    /// Nothing.
    Nothing,
}

impl Body {
    fn socket(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Left::Chunk(0) = self.left {
            let size =
                u64::from_str_radix(&line(&mut self.socket)?, 16).map_err(io::Error::other)?;
            self.left = if size == 0 { Left::Nothing } else { Left::Chunk(size) };
        }
        let (Left::Bytes(left) | Left::Chunk(left)) = self.left else { return Ok(0) };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.socket.read(&mut buffer[..most])?;
        let left = left - length as u64;
        match &mut self.left {
            Left::Bytes(known) if *known < u64::MAX => *known = left,
            Left::Chunk(_) if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Left::Chunk(known) => {
                *known = left;
                if left == 0 {
                    line(&mut self.socket)?;
                }
            }
            _ => {}
        }
        Ok(length)
    }
}

fn line(socket: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if socket.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
