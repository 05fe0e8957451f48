//! Lines of bounded length out of a server's output.
//!
//! A line that is too long is thrown away as it comes, with its ends kept: they may tell which
//! request it answers, so that its caller hears of it at once and not after a time-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::model::RequestId;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Bytes of a long line that are kept at either end.
const END_BYTES: usize = 128;

/// Room that is given back after a long line.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// How long a line may be: as long as a result may be, and longer while lists are read.
pub(super) struct LengthMax {
    usual: usize,
    now: AtomicUsize,
}

impl LengthMax {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { usual: bytes, now: AtomicUsize::new(bytes) })
    }

    pub(super) fn bytes(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// At least so many bytes until the guard is dropped.
    pub(super) fn raise(self: &Arc<Self>, bytes: usize) -> Raised {
        self.now.store(bytes.max(self.usual), Ordering::Relaxed);
        Raised(Arc::clone(self))
    }
}

/// Longer lines are read until this is dropped.
pub(crate) struct Raised(Arc<LengthMax>);

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.now.store(self.0.usual, Ordering::Relaxed);
    }
}

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
    length_max: Arc<LengthMax>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(read: R, length_max: Arc<LengthMax>) -> Self {
        Self { read: BufReader::new(read), line: Vec::new(), tail: None, length_max }
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
                None if self.line.len() + piece.len() > self.length_max.bytes() => {
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
    use super::{LengthMax, Line, Lines};
    use rmcp::model::RequestId;

    async fn lines(output: &str, bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(output.as_bytes(), LengthMax::new(bytes_max));
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

    #[test]
    fn the_length_is_the_usual_one_again_when_lists_are_read() {
        let length = LengthMax::new(10);
        let raised = length.raise(100);
        assert_eq!(length.bytes(), 100);
        drop(raised);
        assert_eq!(length.bytes(), 10);
        let _lower = length.raise(5);
        assert_eq!(length.bytes(), 10);
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
