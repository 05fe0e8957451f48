//! `host run --agent`: the model at the terminal may call tools.
//!
//! Calls and results are shown on stderr, a line each. A call that needs a person's word is asked
//! about where one sits at the terminal, and refused elsewhere.

use crate::args::RunArgs;
use crate::chat::settings::Settings;
use crate::console::{Printable as _, answer, dim, note};
use crate::reply::{self, Reply};
use crate::{Failure, servers};
use host_generation::{
    ChatPrompt, FinishReason, GenerationRequest, Generator, Prompt, ToolChoice, Tools,
};
use host_loader::Registry;
use host_tools::agent::{
    Agent, AgentCall, AgentLimits, Approval, Choice, Permission, Phase, Progress, Session, Stop,
    Turn,
};
use host_tools::{
    Caller, Glob, Joined, PluginTools, ServerState, Settings as RegistrySettings, Surface, Tool,
    ToolRegistry,
};
use serde_json::Value;
use std::io::{IsTerminal as _, stdin, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long servers may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How often they are looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Characters of a call or a result that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// The tools of a run, and what a model may do with them.
pub(crate) struct Toolbox {
    registry: ToolRegistry,
    joined: Option<Joined>,
    patterns: Vec<Glob>,
    permission: Permission,
    time_max: Duration,
}

impl Toolbox {
    /// Takes in the tools of plugins, joins the servers of the flags, and waits until each is ready
    /// or has failed. Call it on a tokio runtime.
    pub(crate) async fn open(args: &RunArgs, plugins: &Registry) -> Result<Self, Failure> {
        let registry = ToolRegistry::new(RegistrySettings::default());
        let of_plugins = PluginTools::default();
        of_plugins.replace(plugins.tools());
        registry.add(Arc::new(of_plugins));
        let config = servers::read(&args.join)?;
        let joined = config.map(|config| Joined::start(config, &registry));
        if let Some(joined) = &joined {
            settle(joined).await;
        }
        let given = args.tools.tools();
        let patterns = if given.is_empty() { vec![Glob::new("*")] } else { given };
        let (permission, time_max) = (args.tools.agent_permission, args.tools.time_max());
        let toolbox = Self { registry, joined, patterns, permission, time_max };
        if toolbox.tools().is_empty() {
            toolbox.close().await;
            let message = "--agent: there is no tool to call; name servers with --mcp-config, and \
                           see what is wrong with them with `host mcp test`, or add a plugin that \
                           offers tools";
            return Err(message.into());
        }
        Ok(toolbox)
    }

    /// Ends the servers.
    pub(crate) async fn close(self) {
        if let Some(joined) = self.joined {
            joined.stop().await;
        }
    }

    /// The tools in one line.
    pub(crate) fn describe(&self) -> String {
        let tools = self.tools();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        format!("{} tools: {}", names.len(), names.join(", "))
    }

    fn tools(&self) -> Vec<Arc<Tool>> {
        Agent::offer(&self.registry, &caller(), &self.patterns)
    }

    /// Answers a conversation, and adds to it what was said and called; prints the answer as it
    /// comes.
    pub(crate) async fn answer(
        &self,
        generator: &Generator,
        settings: &Settings,
        conversation: &mut Vec<Value>,
    ) -> Result<Reply, Failure> {
        let limits = AgentLimits { time_max: self.time_max, ..AgentLimits::default() };
        let agent = Agent {
            registry: self.registry.clone(),
            caller: caller(),
            tools: self.tools(),
            others: Vec::new(),
            permission: self.permission,
            limits: limits.within_context(generator.limits().sequence_tokens_max()),
        };
        let mut terminal = Terminal { generator, settings, tools: &agent.tools, last: None };
        let ending = agent.run(&mut terminal, conversation).await?;
        if let Some(stop) = ending.stop {
            note(&dim(reason(stop)));
        }
        Ok(terminal.last.ok_or("the time was up before the model said anything")?)
    }
}

fn reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Rounds => "it called tools in as many rounds as it may",
        Stop::Time => "the time was up, see --agent-timeout-s",
        Stop::Repeated => "it made the same call again and again",
        Stop::Results => "there is no room for further results",
    }
}

/// The person at the terminal, for whom a model calls.
fn caller() -> Caller {
    Caller { surface: Surface::Agent, ..Caller::everything("console") }
}

/// Waits until no server is starting any more, but not for ever.
async fn settle(joined: &Joined) {
    let begun = Instant::now();
    let is_starting = || joined.status().iter().any(|it| it.state == ServerState::Starting);
    while is_starting() && begun.elapsed() < READY_LIMIT {
        tokio::time::sleep(PAUSE).await;
    }
    for status in joined.status() {
        if !matches!(status.state, ServerState::Ready | ServerState::Degraded) {
            let reason = status.reason.unwrap_or_else(|| "no answer in time".to_owned());
            note(&format!("{} is {}: {}", status.name, status.state, reason).printable());
        }
    }
}

/// A model and the person before it.
struct Terminal<'a> {
    generator: &'a Generator,
    settings: &'a Settings,
    tools: &'a [Arc<Tool>],
    last: Option<Reply>,
}

impl Terminal<'_> {
    fn request(
        &self,
        conversation: &[Value],
        choice: Choice,
    ) -> Result<GenerationRequest, Failure> {
        let may_call = choice != Choice::Nothing;
        let text = self.generator.render_chat(&ChatPrompt {
            messages: conversation.to_vec(),
            tools: may_call.then(|| self.tools.iter().map(|tool| tool.function()).collect()),
            add_generation_prompt: true,
            ..ChatPrompt::default()
        })?;
        let tools = may_call.then(|| Tools {
            offered: self.tools.iter().map(|tool| offered(tool)).collect(),
            choice: ToolChoice::Auto,
            parallel: true,
        });
        // The template writes the special tokens itself.
        let request = self.settings.request(Prompt::Text { text, add_special: false });
        Ok(GenerationRequest { tools, chat: true, ..request })
    }
}

fn offered(tool: &Tool) -> host_generation::Tool {
    let parameters = Some(Value::Object((*tool.input_schema).clone()));
    host_generation::Tool { name: tool.name.clone(), parameters }
}

impl Session for Terminal<'_> {
    type Error = Failure;

    async fn turn(&mut self, conversation: &[Value], choice: Choice) -> Result<Turn, Failure> {
        let request = self.request(conversation, choice)?;
        let reply = reply::print(self.generator, request, std::future::pending()).await?;
        let call = |(index, call): (usize, &host_generation::ToolCallDelta)| AgentCall {
            id: format!("call_{}_{index}", conversation.len()),
            name: call.name.clone().unwrap_or_default(),
            arguments: call.arguments.clone(),
        };
        let turn = Turn {
            reasoning: reply.reasoning.clone(),
            text: reply.text.clone(),
            calls: reply.tool_calls.iter().enumerate().map(call).collect(),
            is_cut: reply.reason != Some(FinishReason::ToolCalls),
        };
        if !turn.text.is_empty() && !turn.calls.is_empty() {
            answer("\n");
        }
        self.last = Some(reply);
        Ok(turn)
    }

    async fn approve(&mut self, call: &AgentCall, _: &Tool) -> Approval {
        if !(stdin().is_terminal() && stdout().is_terminal()) {
            let reason = "it needs the word of a person and nobody sits at the terminal";
            return Approval::Refused(reason.to_owned());
        }
        // The editor blocks its thread, and takes Ctrl-C for itself.
        tokio::task::block_in_place(|| ask(call))
    }

    async fn hear(&mut self, progress: Progress<'_>) {
        let Progress { call, phase, .. } = progress;
        let line = match phase {
            Phase::Calling => format!("-> {} {}", call.name, short(&call.arguments)),
            Phase::Complete { result, .. } => format!("<- {} {}", call.name, short(result)),
        };
        note(&dim(&line.printable()));
    }
}

/// Asks the person at the terminal; whatever is no clear yes is a no.
fn ask(call: &AgentCall) -> Approval {
    let question = format!("run {} {}? [y/N] ", call.name.printable(), call.arguments.printable());
    let answer = rustyline::DefaultEditor::new().and_then(|mut editor| editor.readline(&question));
    match answer {
        Ok(word) if ["y", "yes"].contains(&word.trim().to_lowercase().as_str()) => Approval::Given,
        _ => Approval::Refused("the person at the terminal said no".to_owned()),
    }
}

/// The beginning of a text, in one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn what_is_shown_is_one_short_line() {
        assert_eq!(short("a\n  b\t c"), "a b c");
        let long = short(&"ü".repeat(1000));
        assert_eq!(long.chars().count(), 201);
        assert!(long.ends_with('…'));
    }
}
