//! Server-sent events out of pieces of a byte stream, cut anywhere.
//!
//! Only what completions use: `data`, `event: error`, comments, both kinds of line end. What the
//! data means is not known here.

/// Most bytes of an event, so that a server that never ends a line cannot fill the memory.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Whether the server calls it an error.
    pub(super) is_error: bool,
    /// Its data, lines joined by newlines.
    pub(super) data: String,
}

/// The part of a stream that is no whole event yet.
#[derive(Debug, Default)]
pub(super) struct EventParser {
    line: Vec<u8>,
    event: Event,
}

impl EventParser {
    /// Takes the next piece of the stream; gives the events that it completes.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + self.event.data.len() + part.len() > EVENT_BYTES_MAX {
                return Err(format!("an event of more than {EVENT_BYTES_MAX} bytes"));
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                events.extend(self.take(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    /// Takes a whole line; an empty one ends an event.
    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.is_error |= value == "error",
            // Older releases of llama.cpp name the field itself so.
            "data" | "error" => {
                self.event.is_error |= field == "error";
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENT_BYTES_MAX, Event, EventParser};
    use proptest::prelude::*;

    const STREAM: &str = ": ping\n\ndata: {\"text\":\"é 😀\"}\r\n\r\nid: 7\ndata:one\ndata: two\n\n\
                          event: error\ndata: {}\n\nerror: {\"code\":500}\n\ndata: [DONE]\n\n";

    fn expected() -> Vec<Event> {
        let event = |is_error, data: &str| Event { is_error, data: data.to_owned() };
        vec![
            event(false, "{\"text\":\"é 😀\"}"),
            event(false, "one\ntwo"),
            event(true, "{}"),
            event(true, "{\"code\":500}"),
            event(false, "[DONE]"),
        ]
    }

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
        let mut parser = EventParser::default();
        let push = |piece| parser.push(piece).expect("no event is too long");
        pieces.into_iter().flat_map(push).collect()
    }

    #[test]
    fn a_stream_in_one_piece_and_byte_by_byte() {
        assert_eq!(parse([STREAM.as_bytes()]), expected());
        assert_eq!(parse(STREAM.as_bytes().chunks(1)), expected());
    }

    proptest! {
        #[test]
        fn a_stream_may_be_cut_anywhere(
            mut cuts in prop::collection::vec(0..=STREAM.len(), 0..12),
        ) {
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]);
            prop_assert_eq!(parse(pieces), expected());
        }
    }

    #[test]
    fn an_event_without_its_end_is_not_given_out() {
        assert_eq!(parse([&b"data: half\n"[..]]), []);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = EventParser::default();
        let piece = vec![b'x'; EVENT_BYTES_MAX / 2 + 1];
        parser.push(&piece).expect("half of what is allowed");
        parser.push(&piece).expect_err("more than is allowed");
    }
}
