//! Upgrades one after the other under load over HTTP/1.1, HTTP/2 and a WebSocket, with flips in between.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use h2::client;
use http::Request;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::scene::Scene;
use crate::support::load::Load;
use crate::support::wait::within;

const CONNECTIONS: usize = 16;
/// Between two requests of a connection. The rest of the cores is for processes that start.
const PACE: Duration = Duration::from_millis(15);
/// A WebSocket that lives through several upgrades. Each of them keeps an old process.
const MESSAGES_PER_SOCKET: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrades_under_load_fail_nothing() {
    let upgrades: usize = std::env::var("CUTOVER_E2E_UPGRADES").map_or(5, |text| text.parse().unwrap());
    let scene = Scene::open(|config| config).await;
    let admin = scene.cutover.admin();
    let epoch = admin.get("/v1/services/web").await["epoch"].as_u64().unwrap();
    let load = Load::start_paced(scene.cutover.proxy(), CONNECTIONS, PACE);
    load.change("v1", load.go_on(200)).await;
    let (stop, stopped) = watch::channel(false);
    let streams = tokio::spawn(streams(scene.cutover.proxy(), stopped.clone()));
    let messages = tokio::spawn(messages(scene.cutover.proxy(), stopped));

    for number in 0..upgrades {
        scene.upgrade().await;
        let to = ["v2", "v1"][number % 2];
        load.change(to, admin.flip(to)).await;
        load.go_on(100).await;
    }
    stop.send_replace(true);
    let report = load.stop().await;
    let (streams, messages) = (finished(streams).await, finished(messages).await);

    eprintln!(
        "{upgrades} upgrades: {} requests in {} sessions over HTTP/1.1, {streams} over HTTP/2, {messages} WebSocket messages, 0 failed",
        report.requests, report.sessions
    );
    report.assert_flawless();
    assert!(streams > 10 && messages > 10);
    assert_eq!(admin.get("/v1/services/web").await["epoch"], epoch + upgrades as u64);
}

async fn finished(task: JoinHandle<u64>) -> u64 {
    within("the end of a client", task).await.unwrap()
}

/// Streams one after the other, over a connection for as long as it takes new ones. Answers how many there were.
async fn streams(address: std::net::SocketAddr, stopped: watch::Receiver<bool>) -> u64 {
    let mut count = 0;
    while !*stopped.borrow() {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        while !*stopped.borrow() {
            // A GOAWAY is how a connection ends in order: what was not sent goes over another one.
            let Ok(mut sender) = sender.clone().ready().await else { break };
            let request = Request::get(format!("http://{address}/set-header")).body(()).unwrap();
            let Ok((answer, _)) = sender.send_request(request, true) else { break };
            match within("an answer", answer).await {
                Ok(answer) => {
                    assert_eq!(answer.status(), 200);
                    let mut body = answer.into_body();
                    while let Some(data) = body.data().await {
                        let length = data.unwrap().len();
                        body.flow_control().release_capacity(length).unwrap();
                    }
                    count += 1;
                }
                // RFC 9113 section 6.8: what is above the last stream of a GOAWAY was not begun, and is sent again.
                Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => break,
                Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => break,
                Err(error) => panic!("a stream failed: {error}"),
            }
            tokio::time::sleep(PACE).await;
        }
        drop(sender);
        within("the end of a connection", connection).await.unwrap().unwrap();
    }
    count
}

/// Messages over one WebSocket after the other, none of which is ended by an upgrade. Answers how many there were.
async fn messages(address: std::net::SocketAddr, stopped: watch::Receiver<bool>) -> u64 {
    let mut count = 0;
    while !*stopped.borrow() {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/ws");
        let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        for _ in 0..MESSAGES_PER_SOCKET {
            let message = Message::text(count.to_string());
            socket.send(message.clone()).await.unwrap();
            let echo = within("an echo", socket.next()).await;
            assert_eq!(echo.unwrap().unwrap(), message);
            count += 1;
            tokio::time::sleep(PACE).await;
            if *stopped.borrow() {
                break;
            }
        }
        socket.close(None).await.unwrap();
    }
    count
}
