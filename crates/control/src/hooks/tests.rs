//! Calls over real connections: what is sent, what is tried again, and what is answered.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover_core::hook::Turn;
use cutover_core::id::Epoch;
use cutover_core::policy::{Hook, HookPoint, Secret};
use cutover_core::time::{Millis, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::call::Means;
use super::deliver::{Patience, deliver};
use super::sign::signature;
use crate::world::{label, web};

/// A receiver that answers its calls with these, one after the other, and the last one again and again.
struct Receiver {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn answering(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?of=web", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                // The body is short and ends with its only closing brace.
                while !text.ends_with('}') {
                    let read = stream.read(&mut buffer).await.unwrap();
                    text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                }
                let answer = {
                    let mut calls = heard.lock().unwrap();
                    calls.push(text);
                    answers[(calls.len() - 1).min(answers.len() - 1)]
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, calls }
    }

    fn hook(&self) -> Hook {
        Hook {
            on: HookPoint::Drained,
            url: self.url.parse().unwrap(),
            secret: Secret::Given("s3cret".into()),
            ca: None,
            timeout: Millis(300),
        }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

fn means() -> Means {
    Means { connectors: Arc::default(), names: cutover_resolve::Names::default(), node: "lb-1".into() }
}

fn turn() -> Turn {
    let at = Timestamp(1_700_000_000_000);
    Turn { on: HookPoint::Drained, version: label("v1"), from: None, epoch: Epoch(2), at }
}

fn field<'a>(call: &'a str, name: &str) -> &'a str {
    let line = call.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {call}"))
}

/// Enough for receivers that are next door.
const PATIENCE: Patience =
    Patience { tries: 4, pause: Duration::from_millis(10), pause_max: Duration::from_millis(20) };
const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn a_call_is_signed_and_says_what_happened() {
    let receiver = Receiver::answering(&[TAKEN]).await;
    let ended = deliver(&means(), &web(), &receiver.hook(), (7, &turn()), PATIENCE).await;
    assert!(ended.is_delivered && ended.status == Some(204) && ended.tries == 1, "{ended:?}");

    let call = receiver.calls().pop().unwrap();
    let (head, body) = call.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks?of=web HTTP/1.1\r\n"), "{head}");
    let time = field(head, "cutover-hook-timestamp").parse().unwrap();
    assert_eq!(field(head, "cutover-hook-signature"), signature(b"s3cret", time, body.as_bytes()).unwrap());
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["id"], field(head, "cutover-hook-id"));
    assert_eq!(told["event"], "drained");
    assert_eq!(
        (&told["service"], &told["version"], &told["node"]),
        (&"web".into(), &"v1".into(), &"lb-1".into())
    );
    assert_eq!((&told["epoch"], &told["from"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(told["at"], "2023-11-14T22:13:20Z");
}

#[tokio::test]
async fn it_is_tried_again_under_the_same_id_until_it_is_taken() {
    let receiver = Receiver::answering(&["HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "", TAKEN]).await;
    let ended = deliver(&means(), &web(), &receiver.hook(), (7, &turn()), PATIENCE).await;
    assert!(ended.is_delivered && ended.tries == 3, "{ended:?}");
    let calls = receiver.calls();
    let ids: Vec<_> = calls.iter().map(|call| field(call, "cutover-hook-id")).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn what_it_refuses_is_not_tried_again_and_redirects_are_not_followed() {
    for (answer, said) in [
        ("HTTP/1.1 410 Gone\r\ncontent-length: 4\r\n\r\nno\r\n", "410: no"),
        (
            "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
            "307, and redirects are not followed",
        ),
    ] {
        let receiver = Receiver::answering(Box::leak(Box::new([answer]))).await;
        let ended = deliver(&means(), &web(), &receiver.hook(), (7, &turn()), PATIENCE).await;
        assert!(!ended.is_delivered && ended.tries == 1 && ended.said == said, "{ended:?}");
    }
}

#[tokio::test]
async fn one_that_is_away_or_silent_is_given_up_in_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", listener.local_addr().unwrap());
    let hook = |url: &str| Hook { url: url.parse().unwrap(), ..hook_of("x") };
    let ended = tokio::time::timeout(Duration::from_secs(60), async {
        let silent = deliver(&means(), &web(), &hook(&silent), (1, &turn()), PATIENCE).await;
        drop(listener);
        let away = deliver(&means(), &web(), &hook("http://127.0.0.1:1/"), (1, &turn()), PATIENCE).await;
        [silent, away]
    });
    let [silent, away] = ended.await.unwrap();
    assert!(silent.said == "no answer within its timeout" && silent.tries == 4, "{silent:?}");
    assert!(away.said.starts_with("can't connect") && away.tries == 4, "{away:?}");
}

#[tokio::test]
async fn a_secret_is_read_from_its_file_at_every_call() {
    let receiver = Receiver::answering(&[TAKEN]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    let secret = Secret::File(path.to_str().unwrap().into());
    for text in ["first\n", "second"] {
        std::fs::write(&path, text).unwrap();
        let hook = Hook { secret: secret.clone(), ..receiver.hook() };
        assert!(deliver(&means(), &web(), &hook, (1, &turn()), PATIENCE).await.is_delivered);
        let call = receiver.calls().pop().unwrap();
        let (head, body) = call.split_once("\r\n\r\n").unwrap();
        let time = field(head, "cutover-hook-timestamp").parse().unwrap();
        let signed = signature(text.trim_end().as_bytes(), time, body.as_bytes()).unwrap();
        assert_eq!(field(head, "cutover-hook-signature"), signed);
    }
}

fn hook_of(secret: &str) -> Hook {
    Hook {
        on: HookPoint::Drained,
        url: "http://127.0.0.1:1/".parse().unwrap(),
        secret: Secret::Given(secret.into()),
        ca: None,
        timeout: Millis(200),
    }
}
