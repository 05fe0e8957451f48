//! Lines of bounded length out of a server's output.
//!
//! A line that is too long is thrown away as it comes, with its ends kept: they may tell which
//! request it answers, so that its caller hears of it at once and not after a time-out.

use rmcp::model::RequestId;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Bytes of a long line that are kept at either end.
const END_BYTES: usize = 128;

/// Room that is given back after a long line.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A piece of a server's output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line, without its end.
    Whole(Vec<u8>),
    /// One that was too long, and the request that it seems to answer.
    TooLong(Option<RequestId>),
    /// Nothing will come any more.
    End,
}

/// Reads lines. A read that is dropped loses nothing.
pub(super) struct Lines<R> {
    read: BufReader<R>,
    line: Vec<u8>,
    /// The end of a line that is thrown away; its beginning is in `line`.
    tail: Option<Vec<u8>>,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(read: R, bytes_max: usize) -> Self {
        Self { read: BufReader::new(read), line: Vec::new(), tail: None, bytes_max }
    }

    /// The next line.
    pub(super) async fn next(&mut self) -> Line {
        loop {
            let Ok(available) = self.read.fill_buf().await else { return Line::End };
            if available.is_empty() {
                return Line::End;
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let piece = &available[..newline.unwrap_or(available.len())];
            let bytes = piece.len() + usize::from(newline.is_some());
            match &mut self.tail {
                Some(tail) => keep_end(tail, piece),
                None if self.line.len() + piece.len() > self.bytes_max => {
                    let mut tail = Vec::new();
                    keep_end(&mut tail, piece);
                    self.line.extend_from_slice(&piece[..piece.len().min(END_BYTES)]);
                    self.line.truncate(END_BYTES);
                    self.line.shrink_to(KEPT_BYTES_MAX);
                    self.tail = Some(tail);
                }
                None => self.line.extend_from_slice(piece),
            }
            self.read.consume(bytes);
            if newline.is_some() {
                let line = std::mem::take(&mut self.line);
                return match self.tail.take() {
                    Some(tail) => Line::TooLong(answered(&line, &tail)),
                    None => Line::Whole(line),
                };
            }
        }
    }
}

/// Appends to the end of a line and keeps its last bytes.
fn keep_end(tail: &mut Vec<u8>, piece: &[u8]) {
    tail.extend_from_slice(&piece[piece.len().saturating_sub(END_BYTES)..]);
    let surplus = tail.len().saturating_sub(END_BYTES);
    tail.drain(..surplus);
}

/// The id of an answer of which only the ends are known. It stands in the outermost object: in the
/// head no other may begin before it, in the tail none may end before the last.
fn answered(head: &[u8], tail: &[u8]) -> Option<RequestId> {
    let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
    let outermost = |before: &str| before.matches('{').count() == 1;
    let in_head = head.split_once("\"id\":").filter(|(before, _)| outermost(before));
    let in_tail = || {
        let found = tail.rsplit_once("\"id\":")?;
        (found.1.matches('}').count() == 1).then_some(found)
    };
    let (_, value) = in_head.or_else(in_tail)?;
    let value = value.trim_start();
    if let Some(text) = value.strip_prefix('"') {
        return text.split_once('"').map(|(id, _)| RequestId::String(id.into()));
    }
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(value.len());
    value[..end].parse().ok().map(RequestId::Number)
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};
    use rmcp::model::RequestId;

    async fn lines(output: &str, bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(output.as_bytes(), bytes_max);
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Line::End => return found,
                line => found.push(line),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_whole_or_too_long() {
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines("a\n\nbc\nhalf", 2).await, [whole("a"), whole(""), whole("bc")]);
        assert_eq!(lines("abc\nd\n", 2).await, [Line::TooLong(None), whole("d")]);
    }

    #[tokio::test]
    async fn a_long_answer_tells_whom_it_answers() {
        let text = "x".repeat(100_000);
        let check = async |line: String, id: Option<RequestId>| {
            assert_eq!(lines(&format!("{line}\nb\n"), 1000).await[0], Line::TooLong(id));
        };
        let head = format!(r#"{{"jsonrpc":"2.0","id": 17,"result":{{"text":"{text}"}}}}"#);
        check(head, Some(RequestId::Number(17))).await;
        let tail = format!(r#"{{"result":{{"id":3,"text":"{text}"}},"id":"a"}}"#);
        check(tail, Some(RequestId::String("a".into()))).await;
        let inner = format!(r#"{{"result":{{"id":3,"text":"{text}","id":4}}}}"#);
        check(inner, None).await;
    }
}
