//! Tunnels and streams: a WebSocket and server-sent events that were opened before a flip go on after it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::stage::Stage;
use crate::support::wait::{until, within};

#[tokio::test]
async fn a_websocket_goes_on_after_a_flip_and_its_version_drains_only_when_it_is_closed() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "1s")).await;
    let mut socket = open(&stage, "/ws?greet=1").await;
    assert_eq!(next(&mut socket).await, Message::text("v1"));
    stage.admin().flip("v2").await;

    for number in 0..50 {
        let message = Message::text(format!("{number} {}", "x".repeat(number * 100)));
        assert_eq!(echo(&mut socket, message.clone()).await, message);
    }
    assert_eq!(stage.admin().version("v1").await["tunnels"], 1);
    let open_still =
        stage.admin().call("GET", "/v1/services/web/versions/v1?wait=drained&timeout=2s", &Value::Null).await;
    assert_eq!(open_still.status(), 408, "drained under an open tunnel: {open_still:?}");
    assert_eq!(echo(&mut socket, Message::binary(vec![7; 70_000])).await, Message::binary(vec![7; 70_000]));
    close(socket).await;

    let drained = stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
    assert_eq!((&drained["drained"]["by"], &drained["tunnels"]), (&json!("proof"), &json!(0)), "{drained}");
    assert_eq!(next(&mut open(&stage, "/ws?greet=1").await).await, Message::text("v2"));
}

#[tokio::test]
async fn an_event_stream_goes_on_after_a_flip_and_its_version_drains_only_when_it_ends() {
    let stage = Stage::v1_and_v2_with(Service::new("web").set("pin.idle", "1s")).await;
    let mut events = stage.connect().await;
    events.send(Request::get("/sse?every_ms=20").render()).await;
    assert_eq!(
        within("the head", events.head()).await.unwrap().field("content-type"),
        Some("text/event-stream")
    );
    let mut seen = 0;
    let mut next = async |events: &mut crate::support::http::Connection| {
        let event = String::from_utf8(within("an event", events.chunk()).await.unwrap()).unwrap();
        assert!(event.contains(&format!("id: {seen}\n")), "{seen}: {event}");
        assert!(event.contains(r#""version":"v1""#), "{event}");
        seen += 1;
    };
    next(&mut events).await;
    stage.admin().flip("v2").await;

    for _ in 0..100 {
        next(&mut events).await;
    }
    assert_eq!(stage.admin().version("v1").await["in_flight"], 1);
    assert_eq!(stage.admin().version("v1").await["role"], "draining", "drained under an open stream");
    drop(events);

    stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
}

#[tokio::test]
async fn either_end_of_a_tunnel_can_close_it() {
    let stage = Stage::v1().await;
    close(open(&stage, "/ws").await).await;
    let dropped_by_client = open(&stage, "/ws").await;
    drop(dropped_by_client);

    until("no tunnel is left", async || (stage.admin().version("v1").await["tunnels"] == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn a_websocket_server_of_others_is_reached_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A health check opens a connection and says nothing.
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    // It may be gone before it gets its answer.
                    let _ = socket.send(message).await;
                }
            });
        }
    });
    let service = Service::new("web").set("identity", "label").set("health.protocol", "tcp");
    let cutover = Cutover::start(&Config::of(service.backend("a", address, "v1"))).await;
    cutover.admin().until_role("v1", "active").await;

    let mut socket = open(&cutover, "/chat").await;
    assert_eq!(echo(&mut socket, Message::text("hello")).await, Message::text("hello"));
}

#[tokio::test]
async fn at_the_deadline_of_its_version_a_websocket_is_told_to_connect_again() {
    let service = Service::new("web").set("drain.deadline", "1s").set("drain.spread", "0s");
    let stage = Stage::v1_and_v2_with(service).await;
    let mut socket = open(&stage, "/ws?greet=1").await;
    assert_eq!(next(&mut socket).await, Message::text("v1"));
    stage.admin().flip("v2").await;
    assert_eq!(echo(&mut socket, Message::text("still here")).await, Message::text("still here"));

    is_told_to_begin_anew(socket).await;

    assert_eq!(next(&mut open(&stage, "/ws?greet=1").await).await, Message::text("v2"));
    let drained = stage.admin().get("/v1/services/web/versions/v1?wait=drained&timeout=10s").await;
    assert_eq!(drained["tunnels"], 0, "{drained}");
}

#[tokio::test]
async fn websockets_leave_a_drained_backend_at_its_deadline_and_find_their_version_elsewhere() {
    let service = Service::new("web").set("drain.deadline", "1s").set("drain.spread", "500ms");
    let mut stage = Stage::v1_with(service.set("balance", "round-robin")).await;
    stage.add("c", "v1").await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(open(&stage, "/ws?greet=1").await);
    }
    for socket in &mut sockets {
        assert_eq!(next(socket).await, Message::text("v1"));
    }
    assert_eq!(stage.admin().backend("a").await["in_flight"], 2);

    let drained = stage.cli(&["drain", "web", "a", "--force", "--wait", "--timeout", "10s"]);
    let told = async {
        let mut stay = Vec::new();
        for mut socket in sockets {
            match tokio::time::timeout(Duration::from_secs(3), socket.next()).await {
                Ok(message) => is_restart(message.unwrap().unwrap()),
                Err(_) => stay.push(socket),
            }
        }
        stay
    };
    let (drained, mut stay) = tokio::join!(drained, told);

    assert_eq!(drained.code, 0, "{drained:?}");
    assert_eq!(stay.len(), 2, "those of the other backend");
    for socket in &mut stay {
        assert_eq!(echo(socket, Message::text("hello")).await, Message::text("hello"));
    }
    assert_eq!(next(&mut open(&stage, "/ws?greet=1").await).await, Message::text("v1"));
}

#[tokio::test]
async fn at_the_deadline_of_its_version_an_event_stream_ends_whole() {
    let service = Service::new("web").set("drain.deadline", "1s").set("drain.spread", "0s");
    let stage = Stage::v1_and_v2_with(service).await;
    let mut events = stage.connect().await;
    events.send(Request::get("/sse?every_ms=20").field("Accept", "text/event-stream").render()).await;
    let head = within("the head", events.head()).await.unwrap();
    stage.admin().flip("v2").await;

    let mut seen = Vec::new();
    within("the end", events.body(&head, "GET", |part| seen.extend_from_slice(part))).await.unwrap();

    assert!(seen.ends_with(b"\n\n"), "{:?}", String::from_utf8_lossy(&seen));
    events.send("GET /set-header HTTP/1.1\r\nHost: web.test\r\n\r\n").await;
    assert_eq!(events.answer("GET").await.status(), 200, "the stream had an end, and the connection goes on");
}

/// The proxy says goodbye with code 1012, and closes when the client has said it too.
pub(crate) async fn is_told_to_begin_anew(mut socket: WebSocketStream<TcpStream>) {
    is_restart(next(&mut socket).await);
    assert!(within("the end of the tunnel", socket.next()).await.is_none());
}

fn is_restart(message: Message) {
    let Message::Close(Some(close)) = message else { panic!("no close frame: {message:?}") };
    assert_eq!(close.code, CloseCode::Restart);
}

pub(crate) async fn open(cutover: &Cutover, path: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(cutover.proxy()).await.unwrap();
    let opened = tokio_tungstenite::client_async(format!("ws://web.test{path}"), stream);
    within("the handshake", opened).await.unwrap().0
}

pub(crate) async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    within("a message", socket.next()).await.expect("the tunnel ended").unwrap()
}

/// Closes as RFC 6455 section 7.1.1 has it: the server closes its connection first, and the client sees that.
async fn close(mut socket: WebSocketStream<TcpStream>) {
    socket.close(None).await.unwrap();
    assert!(matches!(next(&mut socket).await, Message::Close(_)));
    assert!(within("the end of the tunnel", socket.next()).await.is_none());
}

pub(crate) async fn echo(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Message {
    socket.send(message).await.unwrap();
    next(socket).await
}
