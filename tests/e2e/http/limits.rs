//! Limits and broken requests: each has its status, and the answer says what is wrong in the form that was asked for.

use crate::support::config::{Config, Service};
use crate::support::http::{Answer, Request};
use crate::support::script::Script;
use crate::support::stage::Stage;

use super::messages::{scripted, scripted_with};

#[tokio::test]
async fn a_request_that_is_no_http_is_400_and_the_end_of_its_connection() {
    let stage = Stage::v1().await;
    let broken = [
        "GET\r\n\r\n",
        "GET / HTTP/1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];

    for request in broken {
        let mut connection = stage.connect().await;
        connection.send(request).await;
        let answer = connection.answer("GET").await;
        assert_eq!(answer.status(), 400, "{request:?}: {answer:?}");
        assert!(connection.is_closed().await, "{request:?}: the connection goes on");
    }
    assert_eq!(stage.ask(&Request::get("/")).await.status(), 200);
}

#[tokio::test]
async fn a_request_with_two_framings_is_refused_or_goes_by_its_chunks_and_is_the_last_of_its_connection() {
    let upstream = Script::start(async |mut peer| {
        while peer.head().await.is_some() {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let cutover = scripted(&upstream).await;
    let mut connection = cutover.connect().await;

    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    connection.send(format!("{head}{smuggled}")).await;
    let answer = connection.answer("POST").await;

    assert!([200, 400].contains(&answer.status()), "{answer:?}");
    assert!(connection.is_closed().await, "it goes on after a request that two readers may read differently");
    assert!(upstream.heads().iter().all(|head| !head.to_lowercase().contains("content-length")));
    assert!(upstream.heads().iter().all(|head| !head.contains("/smuggled")), "{:?}", upstream.heads());
}

#[tokio::test]
async fn heads_that_are_too_long_are_414_and_431() {
    let stage = Stage::v1().await;
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 * 1024));
    let one = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));

    for (status, request) in [(414, line), (431, one), (431, many)] {
        let mut connection = stage.connect().await;
        connection.send(&request).await;
        let answer = connection.answer("GET").await;
        assert_eq!(answer.status(), status, "{} bytes: {answer:?}", request.len());
        assert!(connection.is_closed().await);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_whether_it_says_so_or_not() {
    let stage = Stage::open(&Config::of(Service::new("web")).set("limits.body", "1KiB")).await;

    assert_eq!(stage.ask(&Request::post("/sink", vec![b'x'; 1024])).await.status(), 200);
    assert_eq!(stage.ask(&Request::post("/sink", vec![b'x'; 1025])).await.status(), 413);
    let mut connection = stage.connect().await;
    connection.send("POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    connection.send([b"800\r\n", vec![b'x'; 0x800].as_slice(), b"\r\n"].concat()).await;
    assert_eq!(connection.answer("POST").await.status(), 413);
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_its_request_is_408() {
    let config = Config::of(Service::new("web"))
        .set("limits.header_timeout", "200ms")
        .set("limits.body_idle_timeout", "200ms");
    let stage = Stage::open(&config).await;

    for part in ["GET / HTTP/1.1\r\nHo", "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"] {
        let mut connection = stage.connect().await;
        connection.send(part).await;
        assert_eq!(connection.answer("GET").await.status(), 408, "{part:?}");
        assert!(connection.is_closed().await);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer() {
    let stage = Stage::open(&Config::of(Service::new("web")).set("limits.keepalive_timeout", "200ms")).await;
    let mut connection = stage.connect().await;

    assert_eq!(connection.ask(&Request::get("/")).await.status(), 200);

    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_504() {
    let stage = Stage::v1_with(Service::new("web").set("upstream.response_timeout", "200ms")).await;

    assert_eq!(stage.ask(&Request::get("/slow?ms=20000")).await.status(), 504);
}

#[tokio::test]
async fn an_upstream_that_hangs_up_or_talks_nonsense_is_502() {
    let answers = ["", "HTTP/1.1 2", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"];
    for answer in answers {
        let upstream = Script::start(move |mut peer| async move {
            if peer.head().await.is_some() {
                peer.write(answer).await;
            }
        })
        .await;
        let cutover =
            scripted_with(&upstream, Service::new("web").set("outlier.consecutive_errors", 0)).await;

        let answered = cutover.ask(&Request::post("/", "abc")).await;

        assert_eq!(answered.status(), 502, "{answer:?}: {answered:?}");
        assert_eq!(upstream.heads().len(), 1, "a request that may have had an effect was sent again");
    }
}

#[tokio::test]
async fn a_service_without_a_usable_backend_is_503_with_a_time_to_come_again() {
    let mut stage = Stage::v1_with(Service::new("web").set("queue_timeout", "100ms")).await;

    stage.app("a").kill();
    crate::support::wait::until("a is down", async || {
        (stage.admin().backend("a").await["usable"] == false).then_some(())
    })
    .await;
    let answer = stage.ask(&Request::get("/")).await;

    assert_eq!(answer.status(), 503, "{answer:?}");
    let seconds: u32 = answer.field("retry-after").expect("a Retry-After").parse().unwrap();
    assert!(seconds > 0);
}

#[tokio::test]
async fn what_nobody_serves_is_404_in_the_form_that_was_asked_for() {
    let stage = Stage::v1_with(Service::new("web").set("hosts", vec!["web.test"])).await;
    let asked = async |accept: &str| -> Answer {
        stage.ask(&Request::get("/").field("Host", "other.test").field("Accept", accept)).await
    };

    let (page, problem) =
        (asked("text/html,application/xhtml+xml,*/*;q=0.8").await, asked("application/json").await);

    assert_eq!((page.status(), problem.status()), (404, 404));
    assert!(page.field("content-type").unwrap().starts_with("text/html"), "{page:?}");
    assert!(problem.field("content-type").unwrap().contains("json"), "{problem:?}");
    assert_eq!(problem.json()["status"], 404);
}

#[tokio::test]
async fn a_request_waits_for_a_backend_that_comes_in_time() {
    let mut stage = Stage::v1_with(Service::new("web").set("queue_timeout", "15s")).await;
    stage.app("a").stop().await;
    crate::support::wait::until("a is down", async || {
        (stage.admin().backend("a").await["usable"] == false).then_some(())
    })
    .await;

    let mut connection = stage.connect().await;
    connection.send(Request::get("/").render()).await;
    stage.app("a").restart("v1").await;

    assert_eq!(connection.answer("GET").await.status(), 200);
}

#[tokio::test]
async fn a_scripted_backend_is_asked_as_the_client_asked() {
    let upstream = Script::start(async |mut peer| {
        while peer.head().await.is_some() {
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let cutover = scripted(&upstream).await;

    let answer = cutover.ask(&Request::get("/a?b").field("X-A", "1")).await;

    assert_eq!(answer.text(), "ok");
    let head = upstream.heads().pop().unwrap();
    assert!(
        head.starts_with("GET /a?b HTTP/1.1\r\n") && head.to_lowercase().contains("x-a: 1\r\n"),
        "{head}"
    );
}
