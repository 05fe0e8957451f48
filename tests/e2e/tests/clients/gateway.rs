//! Two hosts behind the gateway of SGLang: a conversation stays where its beginning is cached, and
//! a host that is told to stop meanwhile costs nobody an answer.
//!
//! Which host answered stands in its access log, under the request id that the client chose.

use crate::client::{GATEWAY, python};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{Client, PluginFolder, SHIPPED, Scratch, TestHost, data, eventually, target_dir};

const CLIENTS: usize = 8;
/// Turns of a conversation before a host is told to stop, and after.
const TURNS: usize = 6;
/// So that no client goes on for ever.
const ASKED_MAX: usize = 100_000;
/// Longer than the gateway takes to notice that a host is not ready any more.
const DRAIN_S: &str = "5";
/// As `docs/operating/scale-out.md` recommends.
const FLAGS: &[&str] = &[
    "--policy=cache_aware",
    "--health-check-endpoint=/ready",
    "--health-check-interval-secs=1",
    "--health-failure-threshold=2",
    "--worker-startup-check-interval=1",
    "--disable-circuit-breaker",
];

/// The gateway, until it is dropped.
struct Gateway {
    child: Child,
    client: Client,
}

impl Gateway {
    /// Starts the gateway that is installed in `place`, and waits until it has found both hosts.
    fn start(place: &Path, hosts: &[TestHost]) -> Self {
        let log = File::create(place.join("gateway.log")).expect("the target folder is writable");
        let [address, figures] = free_addresses();
        let mut command = Command::new(python(place));
        command.args(["-m", "sglang_router.launch_router"]).args(FLAGS);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--prometheus-host", "127.0.0.1"]);
        command.args(["--prometheus-port", &figures.port().to_string(), "--worker-urls"]);
        command.args(hosts.iter().map(|host| host.client().url()));
        let err = log.try_clone().expect("a file can be held twice");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(err).spawn();
        let gateway = Self { child: child.expect("Python starts"), client: Client::new(address) };
        eventually("the gateway finds both hosts", || {
            TcpStream::connect(address).is_ok()
                && gateway.client.get("/readiness").body.contains("\"healthy_workers\":2")
        });
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Addresses that nobody listens on; all are held until all are found.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound"))
}

/// A conversation; every two begin alike.
struct Conversation {
    index: usize,
    messages: Vec<Value>,
    asked: usize,
}

impl Conversation {
    fn new(index: usize) -> Self {
        let topic = index / 2;
        let facts: String = (0..40).map(|fact| format!("Fact {topic}.{fact}. ")).collect();
        let messages = vec![
            json!({"role": "system", "content": facts}),
            json!({"role": "user", "content": format!("I am {index}.")}),
        ];
        Self { index, messages, asked: 0 }
    }

    /// Sends it as it is and returns what came back, or why nothing did.
    fn ask(&mut self, gateway: Client) -> Result<Value, String> {
        let id = format!("{}-{}", self.index, self.asked);
        self.asked += 1;
        let body = json!({"model": "stories", "messages": self.messages, "max_tokens": 8});
        let headers = [("x-request-id", id.as_str())];
        let answer = gateway.send("POST", "/v1/chat/completions", &headers, &body.to_string());
        if answer.status != 200 {
            return Err(format!("request {id}: {}: {}", answer.status, answer.body));
        }
        Ok(answer.json()["choices"][0]["message"].clone())
    }

    /// Goes on by some turns.
    fn go_on(&mut self, gateway: Client) -> Result<(), String> {
        for _ in 0..TURNS {
            let answer = self.ask(gateway)?;
            self.messages.push(json!({"role": "assistant", "content": answer["content"]}));
            self.messages.push(json!({"role": "user", "content": "Go on."}));
        }
        Ok(())
    }
}

fn serve(plugins: &PluginFolder, access_log: &Path) -> TestHost {
    let model = data("tinyllama-stories260K/stories260K.gguf");
    let model = format!("stories={}", model.display());
    let log = access_log.to_str().expect("test paths are UTF-8");
    let context = ["--model", &model, "--context-length", "2048"];
    let stop = ["--access-log", log, "--drain-s", DRAIN_S];
    TestHost::serve(plugins.path(), &[context, stop].concat())
}

/// Which host answered what: for each conversation the hosts of its requests, in order.
fn homes(logs: &[std::path::PathBuf]) -> BTreeMap<usize, BTreeMap<usize, usize>> {
    let mut homes = BTreeMap::<usize, BTreeMap<usize, usize>>::new();
    for (host, log) in logs.iter().enumerate() {
        for line in fs::read_to_string(log).expect("the host keeps a log").lines() {
            let entry: Value = serde_json::from_str(line).expect("a line is JSON");
            let id = entry["request_id"].as_str().and_then(|id| id.split_once('-'));
            let number = |text: &str| text.parse::<usize>().ok();
            let Some((Some(conversation), Some(request))) =
                id.map(|(conversation, request)| (number(conversation), number(request)))
            else {
                continue;
            };
            assert_eq!(entry["status"], 200, "{line}");
            let twice = homes.entry(conversation).or_default().insert(request, host);
            assert_eq!(twice, None, "two hosts were asked: {line}");
        }
    }
    homes
}

/// All clients at once; after some turns the host is told to stop, and they go on until it is gone
/// and for some turns more. Returns the number of requests.
fn talk(gateway: Client, stopping: &mut TestHost) -> usize {
    let (begin, halfway) = (Barrier::new(CLIENTS), Barrier::new(CLIENTS + 1));
    let is_gone = AtomicBool::new(false);
    let client = |index| {
        let mut conversation = Conversation::new(index);
        begin.wait();
        let before = conversation.go_on(gateway);
        // Whatever came of it, the others wait for this one here.
        halfway.wait();
        before?;
        while !is_gone.load(Ordering::SeqCst) && conversation.asked < ASKED_MAX {
            conversation.ask(gateway)?;
        }
        conversation.go_on(gateway)?;
        Ok::<_, String>(conversation.asked)
    };
    let client = &client;
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|index| scope.spawn(move || client(index))).collect();
        halfway.wait();
        assert!(stopping.stop().success());
        is_gone.store(true, Ordering::SeqCst);
        let asked = clients.into_iter().map(|client| client.join().expect("no client panics"));
        asked.map(|asked| asked.unwrap_or_else(|lost| unreachable!("{lost}"))).sum()
    })
}

#[test]
fn conversations_stay_on_their_host_and_outlive_it() {
    let place = match GATEWAY.installed(&target_dir().join("clients")) {
        Ok(place) => place,
        Err(why) => {
            eprintln!("{}: skipped: {why}", GATEWAY.name);
            return;
        }
    };
    let (plugins, scratch) = (PluginFolder::with(SHIPPED), Scratch::new());
    let logs = [0, 1].map(|host| scratch.join(&format!("access-{host}.log")));
    let mut hosts = [&logs[0], &logs[1]].map(|log| serve(&plugins, log));
    let gateway = Gateway::start(&place, &hosts);
    let asked = talk(gateway.client, &mut hosts[1]);
    drop(gateway);
    assert!(hosts[0].stop().success());

    let homes = homes(&logs);
    assert_eq!(homes.values().map(BTreeMap::len).sum::<usize>(), asked, "requests answered once");
    let (mut stayed, mut left) = (0, 0);
    for requests in homes.values() {
        stayed += requests.range(..TURNS).filter(|(_, host)| **host == requests[&0]).count();
        left += usize::from(requests[&0] == 1);
        assert_eq!(requests.values().next_back(), Some(&0), "{requests:?}");
    }
    let turns = CLIENTS * TURNS;
    eprintln!(
        "{}: {asked} requests, none lost; {stayed} of {turns} turns on the host of the first; \
         {left} of {CLIENTS} conversations moved when their host stopped",
        GATEWAY.name
    );
    assert!(stayed * 100 >= turns * 95, "{stayed} of {turns} turns found their beginning cached");
    assert!((1..CLIENTS).contains(&left), "one host had all conversations: {homes:?}");
}
