//! One turn of the model after another, for a client that listens.
//!
//! Calls are held back while a turn runs: whether they are the client's is known when it has ended.

use host_generation::{
    ChatPrompt, Delta, FinishReason, GenerationEvent, GenerationRequest, Generator, Prompt,
    TokenCounts, ToolChoice, Tools,
};
use host_tools::Tool;
use host_tools::agent::{AgentCall, Approval, Choice, Progress, Session, Turn};
use serde_json::Value;
use tokio::sync::mpsc;

use super::stream::Event;
use crate::answer::Gathered;
use crate::body;
use crate::error::ApiError;
use crate::ids::random_id;
use crate::merge::MergedStream;
use crate::wire::ToolCallProgress;

/// Between the texts of two turns.
const BETWEEN_TURNS: &str = "\n\n";

/// A client and a model.
pub(super) struct Client {
    generator: Generator,
    prompt: ChatPrompt,
    request: GenerationRequest,
    events: mpsc::Sender<Event>,
    /// What all turns used.
    pub(super) prompt_tokens: usize,
    pub(super) tokens: TokenCounts,
    /// Why the last turn ended.
    pub(super) reason: FinishReason,
    is_begun: bool,
    /// An earlier turn has said something.
    has_spoken: bool,
}

impl Client {
    pub(super) fn new(
        generator: Generator,
        prompt: ChatPrompt,
        request: GenerationRequest,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            generator,
            prompt,
            request,
            events,
            prompt_tokens: 0,
            tokens: TokenCounts::default(),
            reason: FinishReason::Length,
            is_begun: false,
            has_spoken: false,
        }
    }

    /// Tokens that the answer may still have; none is no limit.
    fn tokens_left(&self) -> Option<usize> {
        self.request.tokens_max.map(|most| most.saturating_sub(self.tokens.completion))
    }

    async fn submit(
        &self,
        conversation: &[Value],
        choice: Choice,
    ) -> Result<MergedStream, ApiError> {
        let tools = self.request.tools.clone().and_then(|tools| match choice {
            Choice::AsAsked => Some(tools),
            Choice::Free => Some(Tools { choice: ToolChoice::Auto, ..tools }),
            Choice::Nothing => None,
        });
        let prompt = ChatPrompt {
            messages: conversation.to_vec(),
            tools: self.prompt.tools.clone().filter(|_| tools.is_some()),
            add_generation_prompt: self.prompt.add_generation_prompt,
            kwargs: self.prompt.kwargs.clone(),
        };
        let tokens_max = self.tokens_left();
        let request = GenerationRequest { tools, tokens_max, ..self.request.clone() };
        let generator = self.generator.clone();
        body::run_once(move || {
            let text = generator.render_chat(&prompt)?;
            // The template writes the special tokens itself.
            let prompt = Prompt::Text { text, add_special: false };
            let stream = generator.submit(GenerationRequest { prompt, ..request })?;
            Ok(MergedStream::new(vec![stream], 1))
        })
        .await
    }

    /// Passes on what is new but for calls.
    async fn show(&mut self, delta: Delta, turn: &mut Gathered) {
        let is_first = turn.text.is_empty() && !delta.text.is_empty();
        let mut shown = Delta { tool_calls: Vec::new(), ..delta.clone() };
        if is_first && self.has_spoken {
            shown.text.insert_str(0, BETWEEN_TURNS);
        }
        self.has_spoken |= !delta.text.is_empty();
        turn.add(Delta { tokens: Vec::new(), ..delta });
        if !(shown.text.is_empty() && shown.reasoning.is_empty() && shown.tokens.is_empty()) {
            self.send(Event::Delta(shown)).await;
        }
    }

    async fn send(&self, event: Event) {
        // Whoever reads them owns this too, so there is always a reader.
        self.events.send(event).await.ok();
    }
}

impl Session for Client {
    type Error = ApiError;

    async fn turn(&mut self, conversation: &[Value], choice: Choice) -> Result<Turn, ApiError> {
        self.reason = FinishReason::Length;
        if self.tokens_left() == Some(0) {
            return Ok(Turn { is_cut: true, ..Turn::default() });
        }
        let mut stream = self.submit(conversation, choice).await?;
        stream.begin().await?;
        if !std::mem::replace(&mut self.is_begun, true) {
            self.send(Event::Begun).await;
        }
        self.prompt_tokens += stream.prompt_token_count();
        let mut turn = Gathered::EMPTY;
        while let Some(event) = stream.next().await {
            match event {
                GenerationEvent::Delta { delta, .. } => self.show(delta, &mut turn).await,
                GenerationEvent::Finished { reason, tokens, .. } => {
                    self.tokens.completion += tokens.completion;
                    self.tokens.reasoning += tokens.reasoning;
                    self.tokens.cached += tokens.cached;
                    self.reason = reason;
                }
                GenerationEvent::Failed { error, .. } => return Err(error.into()),
            }
        }
        let call = |call: host_generation::ToolCallDelta| AgentCall {
            id: random_id("call_"),
            name: call.name.unwrap_or_default(),
            arguments: call.arguments,
        };
        Ok(Turn {
            reasoning: turn.reasoning,
            text: turn.text,
            calls: turn.tool_calls.into_iter().map(call).collect(),
            is_cut: self.reason == FinishReason::Length,
        })
    }

    /// The person is at the client, which can call the tool at `/mcp` when they say yes.
    async fn approve(&mut self, _: &AgentCall, _: &Tool) -> Approval {
        Approval::Elsewhere
    }

    async fn hear(&mut self, progress: Progress<'_>) {
        self.send(Event::Progress(ToolCallProgress::new(progress))).await;
    }
}
