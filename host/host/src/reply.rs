//! One answer on its way to stdout, and how long it took.
//!
//! What interrupts it and what the figures are shown for is decided by its callers.

use crate::Failure;
use crate::console::answer;
use host_generation::{
    Delta, FinishReason, GenerationEvent, GenerationRequest, GenerationStream, Generator,
    ToolCallDelta,
};
use std::future::Future;
use std::time::{Duration, Instant};

/// An answer that was printed, whole or up to an interruption.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    /// What was thought before, which is not printed.
    pub(crate) reasoning: String,
    /// Calls of tools, whole.
    pub(crate) tool_calls: Vec<ToolCallDelta>,
    /// None where it was interrupted.
    pub(crate) reason: Option<FinishReason>,
    prompt_tokens: usize,
    tokens: usize,
    first: Duration,
    total: Duration,
}

impl Reply {
    /// A reply to a prompt of so many tokens, of which nothing has come.
    fn to(prompt_tokens: usize) -> Self {
        Self {
            text: String::new(),
            reasoning: String::new(),
            tool_calls: Vec::new(),
            reason: None,
            prompt_tokens,
            tokens: 0,
            first: Duration::ZERO,
            total: Duration::ZERO,
        }
    }

    fn add(&mut self, delta: Delta) {
        self.tokens += delta.token_count;
        self.text.push_str(&delta.text);
        self.reasoning.push_str(&delta.reasoning);
        for call in delta.tool_calls {
            match self.tool_calls.get_mut(call.index) {
                Some(begun) => begun.arguments.push_str(&call.arguments),
                None => self.tool_calls.push(call),
            }
        }
    }

    /// The figures in one line; a sequence of this model holds `context` tokens.
    pub(crate) fn figures(&self, context: usize) -> String {
        let Self { prompt_tokens, tokens, first, total, .. } = self;
        let speed = match tokens.saturating_sub(1) {
            0 => String::new(),
            // The first one came out of the prompt.
            rest => format!(", {:.1} tok/s", rest as f64 / (*total - *first).as_secs_f64()),
        };
        let end = match self.reason {
            None => ", stopped",
            Some(FinishReason::Length) => ", cut at its limit",
            Some(FinishReason::Stop | FinishReason::ToolCalls) => "",
        };
        format!(
            "{tokens} tokens{speed}, first token {} ms, context {}/{context}{end}",
            first.as_millis(),
            prompt_tokens + tokens
        )
    }
}

/// Generates an answer and prints it as it comes, until it ends, nobody reads it any more, or it is
/// interrupted.
pub(crate) async fn print(
    generator: &Generator,
    request: GenerationRequest,
    interrupted: impl Future<Output = ()>,
) -> Result<Reply, Failure> {
    let started = Instant::now();
    let mut stream = generator.submit(request)?;
    let mut reply = Reply::to(stream.prompt_token_count());
    tokio::select! {
        outcome = follow(&mut stream, &mut reply, started) => outcome?,
        () = interrupted => {}
    }
    reply.total = started.elapsed();
    if reply.tokens == 0 {
        reply.first = reply.total;
    }
    Ok(reply)
}

async fn follow(
    stream: &mut GenerationStream,
    reply: &mut Reply,
    started: Instant,
) -> Result<(), Failure> {
    while let Some(event) = stream.next().await {
        match event {
            GenerationEvent::Delta { delta, .. } => {
                if reply.tokens == 0 {
                    reply.first = started.elapsed();
                }
                let is_read = answer(&delta.text);
                reply.add(delta);
                if !is_read {
                    break;
                }
            }
            GenerationEvent::Finished { reason, tokens, .. } => {
                reply.reason = Some(reason);
                reply.tokens = tokens.completion;
            }
            GenerationEvent::Failed { error, .. } => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_one_line() {
        let mut reply = Reply {
            reason: Some(FinishReason::Stop),
            tokens: 21,
            first: Duration::from_millis(40),
            total: Duration::from_millis(2040),
            ..Reply::to(30)
        };
        let line = "21 tokens, 10.0 tok/s, first token 40 ms, context 51/512";
        assert_eq!(reply.figures(512), line);
        reply.reason = None;
        assert_eq!(reply.figures(512), format!("{line}, stopped"));
        reply.tokens = 1;
        assert_eq!(reply.figures(99), "1 tokens, first token 40 ms, context 31/99, stopped");
    }
}
