//! Messages: methods, statuses, bodies and how they end (RFC 9112).

use sha2::{Digest as _, Sha256};

use crate::support::config::{Config, Service};
use crate::support::cutover::Cutover;
use crate::support::http::Request;
use crate::support::script::Script;
use crate::support::stage::Stage;

#[tokio::test]
async fn head_204_and_304_have_no_body_and_the_connection_goes_on() {
    let stage = Stage::v1().await;
    let mut connection = stage.connect().await;

    let get = connection.ask(&Request::get("/bytes?n=1000")).await;
    let head = connection.ask(&Request::new("HEAD", "/bytes?n=1000")).await;
    assert_eq!((get.body, head.body.len()), (pattern(1000), 0));
    assert_eq!(
        (get.head.field("content-length"), head.head.field("content-length")),
        (Some("1000"), Some("1000"))
    );

    for status in [204, 304, 200] {
        let answer = connection.ask(&Request::get(&format!("/status/{status}"))).await;
        assert_eq!((answer.status(), answer.body.is_empty()), (status, status != 200), "{answer:?}");
        assert_eq!(answer.field("transfer-encoding"), None, "{answer:?}");
    }
}

#[tokio::test]
async fn bodies_of_known_length_and_in_chunks_pass_both_ways() {
    let stage = Stage::v1().await;
    let body = pattern(300_000);
    let mut connection = stage.connect().await;

    let sized = connection.ask(&Request::post("/sink", body.clone())).await.json();
    connection.send("POST /sink HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in body.chunks(7001) {
        connection.send([format!("{:x};x=1\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()).await;
    }
    connection.send("0\r\n\r\n").await;
    let chunked = connection.answer("POST").await.json();
    for seen in [sized, chunked] {
        assert_eq!((&seen["bytes"], &seen["sha256"]), (&300_000.into(), &sha256(&body).into()));
    }

    let sized = connection.ask(&Request::get("/bytes?n=300000")).await;
    let chunked = connection.ask(&Request::get("/chunked?n=300000")).await;
    assert_eq!((sized.field("content-length"), chunked.field("content-length")), (Some("300000"), None));
    assert!(sized.body == body && chunked.body == body);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let stage = Stage::v1().await;
    let request = Request::get("/chunked?n=10&trailer=1").field("TE", "trailers").field("Connection", "TE");
    let answer = stage.ask(&request).await;
    assert_eq!(answer.trailers, [("x-app-bytes".to_owned(), "10".to_owned())], "{answer:?}");

    let upstream = Script::start(async |mut peer| {
        while let Some(head) = peer.head().await {
            assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
            // The chunks and the trailer section, which ends in an empty line as a head does.
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;
    connection
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        .await;
    connection.send("3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n").await;
    assert_eq!(connection.answer("POST").await.status(), 200);
    let body = upstream.heads().pop().unwrap();
    assert!(body.to_lowercase().contains("x-sum: 6"), "{body:?}");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_it_sends_the_body() {
    let stage = Stage::v1().await;
    let mut connection = stage.connect().await;

    connection
        .send("POST /sink HTTP/1.1\r\nHost: web.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let interim = connection.head().await.unwrap();
    connection.send("abc").await;
    let answer = connection.answer("POST").await;

    assert_eq!((interim.status, answer.status()), (100, 200));
    assert_eq!(answer.json()["sha256"], sha256(b"abc"));
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks_and_the_end_of_the_connection() {
    let stage = Stage::v1().await;

    let mut connection = stage.connect().await;
    connection.send("GET /chunked?n=5000 HTTP/1.0\r\n\r\n").await;
    let answer = connection.answer("GET").await;
    assert_eq!((answer.status(), answer.field("transfer-encoding")), (200, None), "{:?}", answer.head);
    assert!(answer.body == pattern(5000) && connection.is_closed().await);

    let mut connection = stage.connect().await;
    for _ in 0..2 {
        connection.send("GET /bytes?n=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        let answer = connection.answer("GET").await;
        assert_eq!((answer.field("content-length"), &answer.body), (Some("5"), &pattern(5)));
    }
}

#[tokio::test]
async fn requests_of_one_write_are_answered_in_their_order() {
    let stage = Stage::v1().await;
    let mut connection = stage.connect().await;
    let requests = [
        Request::get("/slow?ms=50"),
        Request::post("/sink", "abc"),
        Request::new("HEAD", "/bytes?n=9"),
        Request::get("/bytes?n=5"),
        Request::get("/status/404"),
    ];

    connection.send(requests.iter().flat_map(Request::render).collect::<Vec<_>>()).await;

    let mut answers = Vec::new();
    for request in &requests {
        answers.push(connection.answer(&request.method).await);
    }
    assert_eq!(answers[0].json()["slept_ms"], 50);
    assert_eq!(answers[1].json()["bytes"], 3);
    assert_eq!(answers[2].field("content-length"), Some("9"));
    assert_eq!(answers[3].body, pattern(5));
    assert_eq!(answers[4].status(), 404);
}

#[tokio::test]
async fn a_connection_serves_requests_until_one_asks_to_close_it() {
    let stage = Stage::v1().await;
    let mut connection = stage.connect().await;

    for _ in 0..5 {
        assert_eq!(connection.ask(&Request::get("/")).await.field("connection"), None);
    }
    let last = connection.ask(&Request::get("/").field("Connection", "close")).await;

    assert_eq!(last.field("connection"), Some("close"));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_connection_ends_after_as_many_requests_as_it_may_have() {
    let config = Config::of(Service::new("web")).set("limits.requests_per_connection", 3);
    let stage = Stage::open(&config).await;
    let mut connection = stage.connect().await;

    for number in 1..=3 {
        let answer = connection.ask(&Request::get("/")).await;
        assert_eq!(answer.field("connection"), (number == 3).then_some("close"), "request {number}");
    }

    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn parts_of_an_answer_reach_the_client_as_they_come() {
    let upstream = Script::start(async |mut peer| {
        if peer.head().await.is_none() {
            return;
        }
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        // The end never comes while the client waits for the beginning.
        peer.gone().await;
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;

    connection.send(Request::get("/").render()).await;
    let head = connection.head().await.unwrap();

    assert_eq!((head.status, connection.chunk().await.unwrap()), (200, b"first".to_vec()));
}

/// A cutover before a scripted backend.
pub(super) async fn scripted(upstream: &Script) -> Cutover {
    scripted_with(upstream, Service::new("web")).await
}

pub(super) async fn scripted_with(upstream: &Script, service: Service) -> Cutover {
    let service = service.set("identity", "label").set("health.protocol", "tcp");
    let cutover = Cutover::start(&Config::of(service.backend("a", upstream.address(), "v1"))).await;
    cutover.admin().until_role("v1", "active").await;
    cutover
}

/// What the app server sends as `n` bytes.
pub(super) fn pattern(n: usize) -> Vec<u8> {
    (0..=250).cycle().take(n).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
