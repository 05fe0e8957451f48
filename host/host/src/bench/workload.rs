//! The workload of a comparison: what each row asks of a server, and the prompts for it.
//!
//! Prompts are text, since not every server takes tokens, and of short common words, which nearly
//! every tokenizer has as one token each. They are new in every run, so that no server remembers
//! one; only the row that asks again wants that.

use super::client::Server;
use super::reading::Answer;
use super::report::Sample;
use crate::Failure;
use crate::args::BenchArgs;
use host_generation::Generator;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Tokens of a prompt where the prompt is not what is measured.
const SHORT_PROMPT_TOKENS: usize = 16;

/// What prompts are made of.
const WORDS: [&str; 32] = [
    "time", "people", "way", "water", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "group", "country", "hand", "part", "place", "case", "week",
    "company", "system", "work", "number", "night", "point", "home", "room", "mother", "money",
    "story",
];

/// A row of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Row {
    /// Time to the first token of a prompt.
    FirstToken,
    /// The same of that prompt once more.
    SamePrompt,
    /// Speed of one stream after its first token.
    Decode,
    /// Tokens of so many streams at once, over the time until all have ended.
    Streams(usize),
}

/// What is measured, on whichever server.
#[derive(Debug)]
pub(super) struct Workload {
    prompt_tokens: usize,
    decode_tokens: usize,
    streams: Vec<usize>,
    words: Vec<(&'static str, usize)>,
    /// Tokens that the model expects around a text.
    special_tokens: usize,
    random: RandomState,
}

impl Workload {
    /// The workload of the flags, its prompts measured with the tokenizer of this model.
    pub(super) fn new(args: &BenchArgs, model: &Generator) -> Result<Self, Failure> {
        let count = |text: &str| model.tokenizer().encode(text, false).map(|tokens| tokens.len());
        let mut words = Vec::with_capacity(WORDS.len());
        for word in WORDS {
            // Inside a text a word may be other tokens than alone.
            words.push((word, count(&format!("the {word}"))?.saturating_sub(count("the")?).max(1)));
        }
        Ok(Self {
            prompt_tokens: args.prompt_tokens,
            decode_tokens: args.decode_tokens,
            streams: args.versus.streams.clone(),
            words,
            special_tokens: model.tokenizer().encode("", true)?.len(),
            random: RandomState::new(),
        })
    }

    /// The rows in the order in which they are measured.
    pub(super) fn rows(&self) -> Vec<Row> {
        let streams = self.streams.iter().map(|count| Row::Streams(*count));
        [Row::FirstToken, Row::SamePrompt, Row::Decode].into_iter().chain(streams).collect()
    }

    /// What a row is called.
    pub(super) fn name(&self, row: Row) -> String {
        match row {
            Row::FirstToken => format!("first token after {}", self.prompt_tokens),
            Row::SamePrompt => "same prompt again".to_owned(),
            Row::Decode => format!("decode {}", self.decode_tokens),
            Row::Streams(1) => "1 stream".to_owned(),
            Row::Streams(count) => format!("{count} streams"),
        }
    }

    /// Measures a row on a server.
    pub(super) async fn measure(
        &self,
        server: &Server,
        row: Row,
        repeat: usize,
    ) -> Result<Sample, Failure> {
        match row {
            Row::FirstToken | Row::SamePrompt => {
                let prompt = self.prompt(self.prompt_tokens, (Row::FirstToken, repeat));
                let answer = server.complete(&prompt, 1).await?;
                Ok(Sample::new(answer.first.as_secs_f64() * 1e3, [&answer]))
            }
            Row::Decode => {
                let prompt = self.prompt(SHORT_PROMPT_TOKENS, (row, repeat));
                let answer = server.complete(&prompt, self.decode_tokens + 1).await?;
                // Text that came all at once can be timed only as a whole.
                let (tokens, time) = match answer.last - answer.first {
                    Duration::ZERO => (answer.completion_tokens, answer.last),
                    rest => (answer.completion_tokens.saturating_sub(1), rest),
                };
                Ok(Sample::new(tokens as f64 / time.as_secs_f64(), [&answer]))
            }
            Row::Streams(count) => self.streams(server, count, repeat).await,
        }
    }

    async fn streams(
        &self,
        server: &Server,
        count: usize,
        repeat: usize,
    ) -> Result<Sample, Failure> {
        let tokens = self.decode_tokens;
        let mut running = JoinSet::new();
        let started = Instant::now();
        for stream in 0..count {
            let prompt = self.prompt(SHORT_PROMPT_TOKENS, (Row::Streams(count), repeat, stream));
            let server = server.clone();
            running.spawn(async move { server.complete(&prompt, tokens).await });
        }
        let mut answers: Vec<Answer> = Vec::with_capacity(count);
        while let Some(answer) = running.join_next().await {
            answers.push(answer??);
        }
        let time = started.elapsed().as_secs_f64();
        let tokens: u64 = answers.iter().map(|answer| answer.completion_tokens).sum();
        Ok(Sample::new(tokens as f64 / time, &answers))
    }

    /// A text of at most so many tokens, the same for the same key, another in every run.
    fn prompt(&self, tokens: usize, key: impl Hash) -> String {
        let mut text = String::new();
        let mut count = self.special_tokens;
        for index in 0_u64.. {
            let chosen = self.random.hash_one((&key, index)) % self.words.len() as u64;
            let (word, cost) = self.words[chosen as usize];
            count += cost;
            if !text.is_empty() {
                if count > tokens {
                    break;
                }
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}
