//! Connections: what a socket may do to the host, and how the host lets go of it.

use std::time::Duration;

use host_http::{HttpOptions, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fake::{self, FakeModel};
use crate::test_host::{TestHost, chat, chat_script};

struct Served {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn served(host: &TestHost) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    let task = tokio::spawn(serve(listener, host.router.clone(), host.state.clone(), shutdown));
    Served { address, stop, task }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.expect("bytes are taken");
        stream
    }

    /// All that comes back until the host closes the connection.
    async fn exchange(&self, bytes: &[u8]) -> String {
        read_all(self.send(bytes).await).await
    }

    async fn stop(self) {
        self.stop.send(()).expect("the host runs");
        self.task.await.expect("the task ends").expect("the listener is whole");
    }
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    stream.read_to_end(&mut bytes).await.ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn request(body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn answers_come_over_a_socket() {
    let host = TestHost::saying(&chat_script("hello"));
    let served = served(&host).await;
    let answer = served.exchange(&request(&chat(json!({"temperature": 0})))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"hello\""), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_stop_lets_running_streams_finish_and_closes_idle_connections() {
    let (model, gate) = FakeModel::saying(&chat_script("hello")).gated();
    let host = TestHost::serving(model);
    let served = served(&host).await;
    let idle = served.connect().await;
    gate.send(()).expect("the model steps");
    let mut running = served.send(&request(&chat(json!({"stream": true, "temperature": 0})))).await;
    let mut first = [0; 64];
    running.read_exact(&mut first).await.expect("the stream began");
    let address = served.address;
    let stopping = tokio::spawn(served.stop());
    while !host.state.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(TcpStream::connect(address).await.is_err(), "nothing new is accepted");
    drop(gate);
    assert!(read_all(running).await.contains("data: [DONE]"));
    stopping.await.expect("it stops");
    assert_eq!(read_all(idle).await, "");
}

#[tokio::test]
async fn a_leaving_host_serves_closes_connections_and_is_not_ready() {
    let host = TestHost::saying(&chat_script("hello"));
    let served = served(&host).await;
    let ready = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(served.exchange(ready).await.starts_with("HTTP/1.1 200 "));
    host.state.leave();
    let refusal = served.exchange(ready).await;
    assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("retry-after"), "{refusal}");
    let kept = String::from_utf8(request(&chat(json!({"temperature": 0})))).expect("text");
    let kept = kept.replace("Connection: close\r\n", "");
    let answer = served.exchange(kept.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"hello\""), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_closed() {
    let options = HttpOptions { grace: Duration::from_millis(20), ..HttpOptions::default() };
    let host = TestHost::empty(options);
    let (model, gate) = FakeModel::saying("").gated();
    host.state.models().insert(fake::generator("fake", model, &host.metrics));
    gate.send(()).expect("the model steps");
    let served = served(&host).await;
    let body = chat(json!({"stream": true, "ignore_eos": true}));
    let mut running = served.send(&request(&body)).await;
    let mut first = [0; 64];
    running.read_exact(&mut first).await.expect("the stream began");
    served.stop().await;
    assert!(!read_all(running).await.contains("[DONE]"));
    drop(gate);
    host.wait_idle();
}

#[tokio::test]
async fn a_hang_up_while_waiting_for_a_whole_answer_cancels_it() {
    let (model, gate) = FakeModel::saying("").gated();
    let host = TestHost::serving(model);
    let served = served(&host).await;
    let waiting = served.send(&request(&chat(json!({"ignore_eos": true})))).await;
    while !host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 1\n") {
        tokio::task::yield_now().await;
    }
    drop(waiting);
    // Enough steps for a while, and far fewer than the whole answer needs.
    for _ in 0..200 {
        gate.send(()).expect("the model steps");
        tokio::task::yield_now().await;
    }
    while !host.metrics.encode().contains("host_requests_in_flight{model=\"fake\"} 0\n") {
        gate.send(()).expect("the model steps");
        tokio::task::yield_now().await;
    }
    served.stop().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let options =
        HttpOptions { header_timeout: Duration::from_millis(50), ..HttpOptions::default() };
    let host = TestHost::empty(options);
    let served = served(&host).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-a: ").await.expect("bytes are taken");
    assert!(!read_all(slow).await.contains("200 OK"));
    assert_eq!(read_all(served.connect().await).await, "", "an idle connection too");
    served.stop().await;
}

/// The status of the first answer, and that there is only one.
async fn check_raw(served: &Served, bytes: &[u8], statuses: &[&str]) {
    let answer = served.exchange(bytes).await;
    let found = answer.get(9..12).unwrap_or("closed");
    let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    assert!(statuses.contains(&found), "{found} to {sent:?}: {answer}");
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
}

#[tokio::test]
async fn malformed_heads_get_one_refusal() {
    let host = TestHost::saying("");
    let served = served(&host).await;
    let head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = format!("{head}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}");
    check_raw(&served, both.as_bytes(), &["400", "closed"]).await;
    let two = format!("{head}Content-Length: 5\r\nContent-Length: 50\r\n\r\n{{}}   ");
    check_raw(&served, two.as_bytes(), &["400"]).await;
    let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx\r\n");
    check_raw(&served, chunk.as_bytes(), &["400", "closed"]).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    check_raw(&served, long.as_bytes(), &["414", "431", "closed"]).await;
    let big = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    check_raw(&served, big.as_bytes(), &["431", "closed"]).await;
    check_raw(&served, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", &["400"]).await;
    check_raw(&served, b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", &["400"]).await;
    let declared = format!("{head}Content-Length: 68719476736\r\n\r\n{{");
    check_raw(&served, declared.as_bytes(), &["413"]).await;
    served.stop().await;
}

#[tokio::test]
async fn a_refusal_is_heard_although_the_body_is_long() {
    let host = TestHost::saying("");
    let served = served(&host).await;
    let body = "x".repeat(3 << 20);
    for (head, status) in [
        ("POST /nowhere HTTP/1.1\r\nHost: localhost\r\n", "404"),
        ("POST /health HTTP/1.1\r\nHost: localhost\r\n", "405"),
        ("POST /v1/completions HTTP/1.1\r\nHost: evil.example\r\n", "403"),
        ("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n", "415"),
    ] {
        let length = body.len();
        let bytes = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        check_raw(&served, bytes.as_bytes(), &[status]).await;
    }
    served.stop().await;
}
