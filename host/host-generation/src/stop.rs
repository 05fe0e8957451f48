//! Finds stop sequences in text that arrives in pieces.
//!
//! A stop sequence may begin in one token and end in another, and no part of it may reach the
//! client. So text is held back as long as it may be the beginning of one, and no longer. It sees
//! text only; which tokens the text came from is the assembler's business.

/// What became of the text pushed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    /// No stop sequence yet; this text is safe to show.
    None(String),
    /// A stop sequence was found; this is the last text before it.
    Stop(String),
}

/// Watches one choice for its stop sequences.
#[derive(Debug, Default)]
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: String,
    /// Which of the stops was found.
    found: Option<usize>,
}

impl StopMatcher {
    /// A matcher for these sequences; empty ones are ignored.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new(), found: None }
    }

    /// Adds text and returns what can be shown now.
    pub(crate) fn push(&mut self, text: &str) -> Match {
        if self.stops.is_empty() {
            return Match::None(text.to_owned());
        }
        self.held.push_str(text);
        // The first to be complete wins, so that the outcome does not depend on the pieces.
        let complete = |(index, stop): (usize, &String)| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start, index))
        };
        if let Some((_, start, index)) = self.stops.iter().enumerate().filter_map(complete).min() {
            self.found = Some(index);
            self.held.truncate(start);
            return Match::Stop(std::mem::take(&mut self.held));
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let kept = self.held.split_off(self.held.len() - keep);
        Match::None(std::mem::replace(&mut self.held, kept))
    }

    /// The stop sequence that was found.
    pub(crate) fn found(&self) -> Option<&str> {
        self.found.map(|index| self.stops[index].as_str())
    }

    /// The text still held back, once no more comes.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that `stop` begins with.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest)
        .rev()
        .find(|&len| {
            stop.is_char_boundary(len) && text.as_bytes().ends_with(&stop.as_bytes()[..len])
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Match, StopMatcher};

    /// Pushes the pieces; what is shown after each, then the end: `|` marks a stop.
    fn check(stops: &[&str], pieces: &[&str], expected: &[&str]) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut shown = Vec::new();
        for piece in pieces {
            match matcher.push(piece) {
                Match::None(text) => shown.push(text),
                Match::Stop(text) => {
                    shown.push(text + "|");
                    break;
                }
            }
        }
        shown.push(matcher.finish());
        assert_eq!(shown, expected, "{stops:?} in {pieces:?}");
    }

    #[test]
    fn text_without_a_stop_passes_at_once() {
        check(&[], &["ab", "c"], &["ab", "c", ""]);
        check(&[""], &["ab"], &["ab", ""]);
        check(&["xyz"], &["ab", "c"], &["ab", "c", ""]);
    }

    #[test]
    fn a_stop_across_pieces_never_leaks() {
        check(&["END"], &["aE", "N", "D", "b"], &["a", "", "|", ""]);
        check(&["END"], &["a", "ENDb"], &["a", "|", ""]);
        check(&["\n\n"], &["a\n", "b\n", "\nc"], &["a", "\nb", "|", ""]);
    }

    #[test]
    fn what_only_looked_like_a_stop_is_shown() {
        check(&["END"], &["aEN", "X"], &["a", "ENX", ""]);
        check(&["END"], &["aEN"], &["a", "EN"]);
        check(&["aab"], &["aa", "a", "b"], &["", "a", "|", ""]);
    }

    #[test]
    fn the_first_complete_of_several_stops_wins() {
        check(&["cd", "b"], &["abcd"], &["a|", ""]);
        check(&["abcd", "c"], &["abcd"], &["ab|", ""]);
        check(&["abcd", "c"], &["a", "b", "c", "d"], &["", "", "ab|", ""]);
        check(&["abc", "b"], &["xab"], &["xa|", ""]);
    }

    #[test]
    fn the_one_that_was_found_is_told() {
        let stops = ["", "cd", "b"].map(str::to_owned);
        let mut matcher = StopMatcher::new(&stops);
        matcher.push("ac");
        assert_eq!(matcher.found(), None);
        matcher.push("d");
        assert_eq!(matcher.found(), Some("cd"));
    }

    #[test]
    fn multi_byte_text_is_never_split() {
        check(&["日本x"], &["a日", "本", "y"], &["a", "", "日本y", ""]);
        check(&["é!"], &["é", "e"], &["", "ée", ""]);
        check(&["ôx"], &["é"], &["é", ""]);
    }
}
