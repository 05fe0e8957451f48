//! A browser that opens one address and goes where it is sent; whoever asks is answered yes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failure;

/// How often it lets itself be sent elsewhere.
const REDIRECTS_MAX: usize = 5;

/// Opens an address.
pub(crate) async fn open(address: &str) -> Result<(), Failure> {
    let mut address = address.to_owned();
    for _ in 0..REDIRECTS_MAX {
        match look(&address).await? {
            Some(next) => address = next,
            None => return Ok(()),
        }
    }
    Err("sent from one address to the next".into())
}

/// Opens an address without going further, and says where it leads.
async fn look(address: &str) -> Result<Option<String>, Failure> {
    let rest = address.strip_prefix("http://").ok_or("http only")?;
    let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(place).await?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let head = format!("GET {slash}{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    Ok(found.map(|(_, value)| value.to_owned()))
}
