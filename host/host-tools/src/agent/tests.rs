//! The loop with a model that says what a test wrote down, and tools that do as they are told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};

use super::{
    Agent, AgentCall, AgentLimits, Approval, Choice, Ending, Permission, Phase, Progress, Session,
    Stop, Turn,
};
use crate::{
    Answer, Caller, Catalog, Context, Glob, Map, Need, Owner, Provider, Settings, Surface, Tool,
    ToolOutcome, ToolRegistry,
};

/// Tools that behave in one way each.
struct Tools {
    catalog: Arc<Catalog>,
    changes: watch::Sender<u64>,
    /// Calls that run now.
    running: Arc<AtomicUsize>,
    /// How many of `meet` there must be at once.
    meeting: Barrier,
}

/// Counts a call for as long as it runs.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tools {
    fn new() -> Arc<Self> {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let tool = |name: &str| {
            let schema = schema.as_object().expect("an object").clone();
            Tool::new(name, "", schema, Owner::Plugin("fake".into()))
        };
        let mut tools: Vec<Tool> =
            ["echo", "meet", "wait", "fail", "big", "hang", "danger", "admin"].map(tool).into();
        tools[6].needs_approval = true;
        tools[7].need = Need::Admin;
        let catalog =
            Catalog { tools: tools.into_iter().map(Arc::new).collect(), ..Catalog::default() };
        Arc::new(Self {
            catalog: Arc::new(catalog),
            changes: watch::Sender::new(0),
            running: Arc::default(),
            meeting: Barrier::new(3),
        })
    }
}

impl Provider for Tools {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call_tool<'a>(
        &'a self,
        name: &'a str,
        arguments: Map,
        _: Context,
    ) -> Answer<'a, ToolOutcome> {
        Box::pin(async move {
            self.running.fetch_add(1, Ordering::SeqCst);
            let _counted = Counted(Arc::clone(&self.running));
            let n = arguments.get("n").and_then(Value::as_u64).unwrap_or(0);
            Ok(match name {
                "meet" => {
                    self.meeting.wait().await;
                    ToolOutcome::text("met")
                }
                "wait" => {
                    tokio::time::sleep(Duration::from_millis(n)).await;
                    ToolOutcome::text(format!("waited {n}"))
                }
                "hang" => std::future::pending().await,
                "fail" => ToolOutcome::failure("it broke"),
                "big" => ToolOutcome::structured(json!({"text": "x".repeat(n as usize)})),
                _ => ToolOutcome::text(format!("{name} {n}")),
            })
        })
    }
}

/// A model that says what is written down, and a person.
struct Script {
    turns: VecDeque<Turn>,
    approval: Approval,
    choices: Vec<Choice>,
    heard: Vec<String>,
}

impl Session for Script {
    type Error = String;

    async fn turn(&mut self, _: &[Value], choice: Choice) -> Result<Turn, String> {
        self.choices.push(choice);
        self.turns.pop_front().ok_or_else(|| "the script is at its end".to_owned())
    }

    async fn approve(&mut self, _: &AgentCall, _: &Tool) -> Approval {
        self.approval.clone()
    }

    async fn hear(&mut self, progress: Progress<'_>) {
        let Progress { round, call, phase } = progress;
        let word = match phase {
            Phase::Calling => "calls".to_owned(),
            Phase::Complete { result, .. } => format!("gave {result}"),
        };
        self.heard.push(format!("{round} {} {word}", call.id));
    }
}

fn script(turns: Vec<Turn>) -> Script {
    let approval = Approval::Refused("the person said no".to_owned());
    Script { turns: turns.into(), approval, choices: Vec::new(), heard: Vec::new() }
}

/// A turn that makes calls, each named and with its argument; they are `a`, `b` and so on.
fn calls(calls: &[(&str, u64)]) -> Turn {
    let call = |(id, (name, n)): (char, &(&str, u64))| AgentCall {
        id: id.to_string(),
        name: (*name).to_owned(),
        arguments: json!({ "n": n }).to_string(),
    };
    Turn { calls: ('a'..).zip(calls).map(call).collect(), ..Turn::default() }
}

fn says(text: &str) -> Turn {
    Turn { text: text.to_owned(), ..Turn::default() }
}

struct Scene {
    agent: Agent,
    tools: Arc<Tools>,
    conversation: Vec<Value>,
}

impl Scene {
    fn new() -> Self {
        let tools = Tools::new();
        let registry = ToolRegistry::new(Settings::default());
        registry.add(Arc::<Tools>::clone(&tools));
        let caller = Caller { surface: Surface::Agent, ..Caller::everything("test") };
        let offer = Agent::offer(&registry, &caller, &[Glob::new("*")]);
        let agent = Agent {
            registry,
            caller,
            tools: offer,
            others: vec!["own".to_owned()],
            permission: Permission::Auto,
            limits: AgentLimits::default(),
        };
        Self { agent, tools, conversation: Vec::new() }
    }

    async fn play(&mut self, script: &mut Script) -> Ending {
        let ended = self.agent.run(script, &mut self.conversation).await;
        ended.expect("the script is long enough")
    }

    /// Plays turns, and returns what came of each call.
    async fn results(&mut self, turns: Vec<Turn>) -> (Vec<String>, Option<Stop>) {
        let ending = self.play(&mut script(turns)).await;
        (ending.records.into_iter().map(|record| record.result).collect(), ending.stop)
    }
}

#[tokio::test]
async fn an_answer_without_calls_is_one_turn() {
    let mut scene = Scene::new();
    let mut script = script(vec![says("hello")]);
    assert_eq!(scene.play(&mut script).await, Ending::default());
    assert_eq!(script.choices, [Choice::AsAsked]);
    assert_eq!(scene.conversation, [json!({"role": "assistant", "content": "hello"})]);
}

#[tokio::test]
async fn what_changes_the_host_is_never_offered() {
    let names: Vec<_> = Scene::new().agent.tools.iter().map(|tool| tool.name.clone()).collect();
    assert_eq!(names, ["big", "danger", "echo", "fail", "hang", "meet", "wait"]);
}

#[tokio::test]
async fn calls_run_side_by_side_and_results_keep_the_order_of_calls() {
    let mut scene = Scene::new();
    let mut meeting = script(vec![calls(&[("meet", 1), ("meet", 2), ("meet", 3)]), says("done")]);
    let ending = scene.play(&mut meeting).await;
    assert!(ending.records.iter().all(|record| record.result == "met"), "{ending:?}");
    let mut late = script(vec![calls(&[("wait", 60), ("wait", 1)]), says("done")]);
    scene.conversation.clear();
    let ending = scene.play(&mut late).await;
    let results: Vec<_> = ending.records.iter().map(|record| &*record.result).collect();
    assert_eq!(results, ["waited 60", "waited 1"]);
    let expected = ["0 a calls", "0 b calls", "0 b gave waited 1", "0 a gave waited 60"];
    assert_eq!(late.heard, expected);
    let function = json!({"name": "wait", "arguments": {"n": 60}});
    assert_eq!(scene.conversation[0]["tool_calls"][0]["function"], function);
    let result =
        json!({"role": "tool", "tool_call_id": "a", "name": "wait", "content": "waited 60"});
    assert_eq!(scene.conversation[1], result);
    assert_eq!(scene.conversation[3]["content"], "done");
}

#[tokio::test]
async fn no_more_than_eight_calls_run_at_once() {
    let mut scene = Scene::new();
    let many: Vec<_> = (0..20).map(|n| ("hang", n)).collect();
    let tools = Arc::clone(&scene.tools);
    scene.agent.limits.time_max = Duration::from_millis(300);
    let mut script = script(vec![calls(&many)]);
    let most = async {
        let mut most = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            most = most.max(tools.running.load(Ordering::SeqCst));
            if most > 0 && tools.running.load(Ordering::SeqCst) == 0 {
                return most;
            }
        }
    };
    let (ending, most) = tokio::join!(scene.play(&mut script), most);
    assert_eq!((ending.stop, most), (Some(Stop::Time), 8));
    assert_eq!(ending.records.len(), 20);
    assert!(ending.records.iter().all(|record| record.result.contains("time")), "{ending:?}");
}

#[tokio::test]
async fn errors_go_back_to_the_model() {
    let mut turn = calls(&[("fail", 1), ("echo", 2), ("nothing", 3), ("echo", 4)]);
    turn.calls[1].arguments = "{\"n\": \"two\"}".to_owned();
    turn.calls[3].arguments = "{\"n\": ".to_owned();
    let mut scene = Scene::new();
    let (results, stop) = scene.results(vec![turn, says("sorry")]).await;
    assert_eq!(stop, None);
    for (result, part) in
        results.iter().zip(["it broke", "invalid arguments", "unknown tool: nothing", "no JSON"])
    {
        assert!(result.starts_with("Error: ") && result.contains(part), "{part}: {result}");
    }
    assert_eq!(scene.conversation.len(), 6, "the model hears of all");
}

#[tokio::test]
async fn after_the_last_round_the_model_must_answer() {
    let mut scene = Scene::new();
    scene.agent.limits.rounds_max = 2;
    let mut script =
        script(vec![calls(&[("echo", 1)]), calls(&[("echo", 2)]), says("that is all")]);
    let ending = scene.play(&mut script).await;
    assert_eq!((ending.records.len(), ending.stop), (2, Some(Stop::Rounds)));
    assert_eq!(script.choices, [Choice::AsAsked, Choice::Free, Choice::Nothing]);
    assert_eq!(ending.records[1].round, 1);
}

#[tokio::test]
async fn the_same_call_is_not_made_a_third_time() {
    let again = || calls(&[("echo", 7)]);
    let (results, stop) =
        Scene::new().results(vec![again(), again(), again(), says("I give up")]).await;
    assert_eq!(stop, Some(Stop::Repeated));
    assert_eq!(results[..2], ["echo 7", "echo 7"]);
    assert!(results[2].contains("twice before"), "{results:?}");
    let other = [calls(&[("echo", 1)]), calls(&[("echo", 2)]), calls(&[("echo", 3)]), says("")];
    assert_eq!(Scene::new().results(other.into()).await.1, None);
}

#[tokio::test]
async fn what_needs_approval_waits_for_a_word() {
    let turns = || vec![calls(&[("danger", 1), ("echo", 2)]), says("done")];
    let (results, _) = Scene::new().results(turns()).await;
    assert_eq!(results, ["Error: the person said no", "echo 2"]);
    let mut yes = script(turns());
    yes.approval = Approval::Given;
    let ending = Scene::new().play(&mut yes).await;
    assert_eq!(ending.records[0].result, "danger 1");
    let mut elsewhere = script(turns());
    elsewhere.approval = Approval::Elsewhere;
    let ending = Scene::new().play(&mut elsewhere).await;
    assert_eq!((ending.records.len(), &*ending.left[0].name), (1, "danger"));
    let mut scene = Scene::new();
    scene.agent.permission = Permission::Ask;
    let (results, _) = scene.results(turns()).await;
    assert_eq!(results, ["Error: the person said no"; 2]);
    scene.agent.permission = Permission::Deny;
    let (results, _) = scene.results(turns()).await;
    assert_eq!(results, ["Error: no tool may be run here"; 2]);
}

#[tokio::test]
async fn calls_of_the_clients_own_tools_are_handed_out_after_the_others_ran() {
    let mut scene = Scene::new();
    let mut script = script(vec![calls(&[("own", 1), ("echo", 2)])]);
    let ending = scene.play(&mut script).await;
    assert_eq!(ending.records[0].result, "echo 2");
    assert_eq!((ending.left.len(), &*ending.left[0].id, ending.stop), (1, "a", None));
}

#[tokio::test]
async fn results_share_the_room_there_is() {
    let mut scene = Scene::new();
    scene.agent.limits.result_bytes_max = 1000;
    scene.agent.limits.results_bytes_max = 1500;
    let turns = vec![calls(&[("big", 5000), ("big", 4000)]), says("done")];
    let (results, stop) = scene.results(turns).await;
    assert_eq!(stop, Some(Stop::Results));
    for result in results {
        assert!(result.len() <= 750 && result.starts_with("[The result has"), "{result}");
    }
    let small = AgentLimits::default().within_context(1000);
    assert_eq!((small.result_bytes_max, small.results_bytes_max), (1000, 2000));
}

#[tokio::test]
async fn a_turn_that_was_cut_calls_nothing() {
    let cut = Turn { is_cut: true, ..calls(&[("echo", 1)]) };
    let mut scene = Scene::new();
    assert_eq!(scene.play(&mut script(vec![cut])).await, Ending::default());
    assert!(scene.conversation[0].get("tool_calls").is_none());
}

#[tokio::test]
async fn dropping_the_loop_stops_its_calls() {
    let mut scene = Scene::new();
    let tools = Arc::clone(&scene.tools);
    let mut script = script(vec![calls(&[("hang", 1), ("hang", 2)])]);
    tokio::select! {
        ending = scene.play(&mut script) => unreachable!("{ending:?}"),
        () = async {
            while tools.running.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(tools.running.load(Ordering::SeqCst), 0);
}
