//! Sends a generation's events as one JSON answer or as an event stream.
//!
//! Both are made from the same events and differ in nothing but when they are sent. What chat and
//! text completions have of their own is a [`Form`].

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use host_generation::{
    Delta, FinishReason, GenerationEvent, TokenCounts, TokenPiece, ToolCallDelta,
};
use serde::Serialize;

use crate::error::{ApiError, ErrorBody};
use crate::event_stream::{self, EventWriter, write_data};
use crate::merge::MergedStream;
use crate::wire::{self, AgentReport, CompletionDetails, Envelope, PromptDetails, Usage};

/// What an endpoint's answers look like.
pub(crate) trait Form: Send + Unpin + 'static {
    /// A choice of a whole answer.
    type Whole: Serialize + Send;
    /// A choice of a chunk.
    type Chunk: Serialize;

    const OBJECT: &'static str;
    const CHUNK_OBJECT: &'static str;

    /// Sent before anything else of a choice.
    fn opening(index: usize) -> Option<Self::Chunk>;
    fn delta(&self, index: usize, delta: Delta) -> Self::Chunk;
    fn closing(index: usize, reason: FinishReason) -> Self::Chunk;
    fn whole(&self, index: usize, gathered: Gathered) -> Self::Whole;
}

/// All deltas of a choice.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    /// One for each call, with all of its arguments.
    pub(crate) tool_calls: Vec<ToolCallDelta>,
    pub(crate) pieces: Vec<TokenPiece>,
    pub(crate) reason: FinishReason,
}

impl Gathered {
    /// A stream ends only when each of its choices has, and then says why.
    pub(crate) const EMPTY: Self = Self {
        reasoning: String::new(),
        text: String::new(),
        tool_calls: Vec::new(),
        pieces: Vec::new(),
        reason: FinishReason::Stop,
    };

    pub(crate) fn add(&mut self, delta: Delta) {
        self.reasoning.push_str(&delta.reasoning);
        self.text.push_str(&delta.text);
        self.pieces.extend(delta.tokens);
        for call in delta.tool_calls {
            match self.tool_calls.get_mut(call.index) {
                Some(begun) => begun.arguments.push_str(&call.arguments),
                None => self.tool_calls.push(call),
            }
        }
    }
}

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Stream {
        /// Whether a last chunk tells the tokens used.
        include_usage: bool,
    },
}

/// What all chunks of an answer have in common.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) fingerprint: String,
}

/// An answer about to be sent.
#[derive(Debug)]
pub(crate) struct Job<F> {
    pub(crate) stream: MergedStream,
    pub(crate) head: Head,
    pub(crate) form: F,
    pub(crate) delivery: Delivery,
}

/// Sends it.
pub(crate) async fn respond<F: Form>(mut job: Job<F>) -> Result<Response, ApiError> {
    job.stream.begin().await?;
    match job.delivery {
        Delivery::Whole => whole(job).await,
        Delivery::Stream { include_usage } => Ok(streamed(job, include_usage)),
    }
}

async fn whole<F: Form>(mut job: Job<F>) -> Result<Response, ApiError> {
    let mut gathered = vec![Gathered::EMPTY; job.stream.choice_count()];
    let mut usage = Tally::of(&job.stream);
    while let Some(event) = job.stream.next().await {
        match event {
            GenerationEvent::Delta { choice, delta } => gathered[choice].add(delta),
            GenerationEvent::Finished { choice, reason, tokens, .. } => {
                usage.add(choice, tokens);
                gathered[choice].reason = reason;
            }
            GenerationEvent::Failed { error, .. } => return Err(error.into()),
        }
    }
    let choice = |(index, gathered)| job.form.whole(index, gathered);
    let choices: Vec<F::Whole> = gathered.into_iter().enumerate().map(choice).collect();
    let body = job.head.envelope(F::OBJECT, &choices, Some(Some(usage.usage())));
    Ok((wire::JSON, wire::to_json(&body)).into_response())
}

fn streamed<F: Form>(job: Job<F>, include_usage: bool) -> Response {
    let mut writer = ChunkWriter::new(job.head, job.form, include_usage, job.stream.choice_count());
    writer.set_usage(Tally::of(&job.stream));
    event_stream::streamed(job.stream, writer)
}

/// The answer as chunks.
pub(crate) struct ChunkWriter<F> {
    head: Head,
    form: F,
    include_usage: bool,
    usage: Tally,
    /// Which choices have had their opening.
    opened: Vec<bool>,
    /// What chunks tell of tools that were run, from when that is known on.
    agent: Option<AgentReport>,
}

impl<F: Form> EventWriter for ChunkWriter<F> {
    fn write(&mut self, event: GenerationEvent, out: &mut Vec<u8>) {
        match event {
            GenerationEvent::Delta { choice, delta } => {
                self.open(choice, out);
                let chunk = self.form.delta(choice, delta);
                self.write_chunk(&[chunk], out);
            }
            GenerationEvent::Finished { choice, reason, tokens, .. } => {
                self.usage.add(choice, tokens);
                self.close(choice, reason, out);
            }
            GenerationEvent::Failed { error, .. } => {
                write_data(&ErrorBody { error: &ApiError::from(error) }, out);
            }
        }
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        if self.include_usage {
            let usage = Some(Some(self.usage.usage()));
            let choices: &[F::Chunk] = &[];
            self.write_envelope(choices, usage, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl<F: Form> ChunkWriter<F> {
    pub(crate) fn new(head: Head, form: F, include_usage: bool, choices: usize) -> Self {
        let (usage, opened) = (Tally::new(0, choices), vec![false; choices]);
        Self { head, form, include_usage, usage, opened, agent: None }
    }

    pub(crate) fn set_usage(&mut self, usage: Tally) {
        self.usage = usage;
    }

    pub(crate) fn set_agent(&mut self, agent: AgentReport) {
        self.agent = Some(agent);
    }

    /// Ends a choice.
    pub(crate) fn close(&mut self, choice: usize, reason: FinishReason, out: &mut Vec<u8>) {
        self.open(choice, out);
        self.write_chunk(&[F::closing(choice, reason)], out);
    }

    pub(crate) fn open(&mut self, choice: usize, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.opened[choice], true)
            && let Some(chunk) = F::opening(choice)
        {
            self.write_chunk(&[chunk], out);
        }
    }

    fn write_chunk(&self, choices: &[F::Chunk], out: &mut Vec<u8>) {
        // With a usage chunk to come, the others say that theirs is not it.
        let usage = self.include_usage.then_some(None);
        self.write_envelope(choices, usage, out);
    }

    fn write_envelope(
        &self,
        choices: &[F::Chunk],
        usage: Option<Option<Usage>>,
        out: &mut Vec<u8>,
    ) {
        let mut envelope = self.head.envelope(F::CHUNK_OBJECT, choices, usage);
        envelope.agent = self.agent.as_ref();
        write_data(&envelope, out);
    }
}

impl Head {
    pub(crate) fn envelope<'a, C>(
        &'a self,
        object: &'static str,
        choices: &'a [C],
        usage: Option<Option<Usage>>,
    ) -> Envelope<'a, C> {
        Envelope {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            system_fingerprint: &self.fingerprint,
            choices,
            usage,
            agent: None,
        }
    }
}

/// Counts the tokens of an answer.
#[derive(Debug)]
pub(crate) struct Tally {
    prompt: usize,
    completion: usize,
    reasoning: usize,
    choices_per_prompt: usize,
    /// By prompt, once one of its choices has ended.
    cached: BTreeMap<usize, usize>,
}

impl Tally {
    /// Of an answer of which nothing has come.
    fn of(stream: &MergedStream) -> Self {
        Self::new(stream.prompt_token_count(), stream.choices_per_prompt())
    }

    pub(crate) fn new(prompt: usize, choices_per_prompt: usize) -> Self {
        let cached = BTreeMap::new();
        Self { prompt, completion: 0, reasoning: 0, choices_per_prompt, cached }
    }

    pub(crate) fn add(&mut self, choice: usize, tokens: TokenCounts) {
        let TokenCounts { completion, reasoning, cached } = tokens;
        self.completion += completion;
        self.reasoning += reasoning;
        // The choices of a prompt share it and count it once, so what one of them ran was not cached.
        let least = self.cached.entry(choice / self.choices_per_prompt).or_insert(cached);
        *least = cached.min(*least);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt,
            completion_tokens: self.completion,
            total_tokens: self.prompt + self.completion,
            prompt_tokens_details: PromptDetails { cached_tokens: self.cached.values().sum() },
            completion_tokens_details: CompletionDetails { reasoning_tokens: self.reasoning },
        }
    }
}
