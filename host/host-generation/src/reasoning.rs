//! Tells what a model thinks from what it answers.
//!
//! Thoughts stand between two marks at the beginning of an answer; some chat templates begin them in
//! the prompt. Only the beginning is looked at, so that an answer may talk about the marks. It must
//! not know tool calls: they are looked for in what is left.

use host_model::ReasoningForm;

/// A part of an answer as thoughts and the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) reasoning: String,
    pub(crate) text: String,
}

/// Splits one answer.
#[derive(Debug)]
pub(crate) struct ReasoningSplitter {
    begin: String,
    end: String,
    place: Place,
    /// Text that may yet turn out to be part of a mark, or only space around one.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first mark or the first word.
    Opening,
    /// After that mark, before the first thought.
    Beginning,
    Thoughts,
    /// After the last mark, before the first word.
    Closing,
    Answer,
}

impl ReasoningSplitter {
    /// A splitter of an answer to `prompt`, the end of which may have begun the thoughts.
    pub(crate) fn new(form: &ReasoningForm, prompt: &str) -> Self {
        let (begin, end) = (form.begin.trim().to_owned(), form.end.trim().to_owned());
        let place = if has_begun(form, prompt) { Place::Beginning } else { Place::Opening };
        Self { begin, end, place, held: String::new() }
    }

    /// Whether what comes now are thoughts.
    pub(crate) fn is_thinking(&self) -> bool {
        matches!(self.place, Place::Beginning | Place::Thoughts)
    }

    pub(crate) fn push(&mut self, text: &str) -> Split {
        let mut split = Split::default();
        if self.place == Place::Answer {
            split.text.push_str(text);
            return split;
        }
        self.held.push_str(text);
        while self.advance(&mut split) {}
        split
    }

    /// What was held back, once nothing follows.
    pub(crate) fn finish(&mut self) -> Split {
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Thoughts => Split { reasoning: held.trim_end().to_owned(), ..Split::default() },
            Place::Beginning | Place::Closing => Split::default(),
            Place::Opening | Place::Answer => Split { text: held, ..Split::default() },
        }
    }

    /// Goes over what is held; whether there may be more to see in it.
    fn advance(&mut self, split: &mut Split) -> bool {
        match self.place {
            Place::Opening => {
                let begun = self.held.trim_start();
                if let Some(rest) = begun.strip_prefix(&*self.begin) {
                    self.held = rest.to_owned();
                    self.place = Place::Beginning;
                    return true;
                }
                if self.begin.starts_with(begun) {
                    return false;
                }
                self.place = Place::Answer;
                true
            }
            Place::Thoughts => {
                if let Some(at) = self.held.find(&*self.end) {
                    split.reasoning.push_str(self.held[..at].trim_end());
                    self.held.drain(..at + self.end.len());
                    self.place = Place::Closing;
                    return true;
                }
                let is_open = |at: &usize| self.end.starts_with(&self.held[*at..]);
                let mark = self.held.char_indices().map(|(at, _)| at).find(is_open);
                let sure = self.held[..mark.unwrap_or(self.held.len())].trim_end().len();
                split.reasoning.extend(self.held.drain(..sure));
                false
            }
            Place::Beginning => self.skip_space_to(Place::Thoughts),
            Place::Closing => self.skip_space_to(Place::Answer),
            Place::Answer => {
                split.text.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }

    /// Drops space; whether something else is there.
    fn skip_space_to(&mut self, next: Place) -> bool {
        self.held.drain(..self.held.len() - self.held.trim_start().len());
        let is_there = !self.held.is_empty();
        if is_there {
            self.place = next;
        }
        is_there
    }
}

/// Whether a prompt ends where the model is to think.
pub(crate) fn has_begun(form: &ReasoningForm, prompt: &str) -> bool {
    prompt.trim_end().ends_with(form.begin.trim())
}

#[cfg(test)]
mod tests {
    use host_model::ReasoningForm;

    use super::ReasoningSplitter;

    #[track_caller]
    fn check(prompt: &str, answer: &str, reasoning: &str, text: &str) {
        for size in [1, 2, 3, 5, 1000] {
            let mut splitter = ReasoningSplitter::new(&ReasoningForm::think(), prompt);
            let mut found = (String::new(), String::new());
            let chars: Vec<char> = answer.chars().collect();
            let mut splits: Vec<_> = chars
                .chunks(size)
                .map(|piece| splitter.push(&piece.iter().collect::<String>()))
                .collect();
            splits.push(splitter.finish());
            for split in splits {
                found.0 += &split.reasoning;
                found.1 += &split.text;
            }
            assert_eq!(found, (reasoning.to_owned(), text.to_owned()), "in pieces of {size}");
        }
    }

    #[test]
    fn thoughts_end_at_their_mark() {
        check("user: hi\n", "<think>\nlet me see\n</think>\n\nyes", "let me see", "yes");
        check("user: hi\n<think>\n", "a < b </thin </think>c", "a < b </thin", "c");
        check("", "\n<think>\n\n</think>\n\nno </think> <think>", "", "no </think> <think>");
    }

    #[test]
    fn thoughts_that_are_cut_are_thoughts() {
        check("", "<think>\nlet me", "let me", "");
        check("<think>", "let me </thi", "let me </thi", "");
    }

    #[test]
    fn an_answer_without_thoughts_is_as_it_is() {
        check("", " plain <think>x</think>", "", " plain <think>x</think>");
        check("<think>\n\n</think>\n\n", "<thin air", "", "<thin air");
        check("", "<th", "", "<th");
    }
}
