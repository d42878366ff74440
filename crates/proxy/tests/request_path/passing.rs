//! What passes through: methods, bodies, trailers, versions of the protocol.

use crate::app::App;
use crate::world::{Setup, World};

fn world(app: &App) -> World {
    Setup::new(&[("a", &app.address.to_string(), "v1")]).start()
}

#[test]
fn a_get_is_answered_by_the_app() {
    let app = App::saying("hello");
    let answer = world(&app).connect().get("/greet?x=1");
    assert_eq!((answer.status(), answer.body.as_str()), (200, "hello"));
    assert_eq!(app.heard().start, "GET /greet?x=1 HTTP/1.1");
}

#[test]
fn a_length_stays_a_length_and_chunks_stay_chunks() {
    let app = App::answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    ]);
    let world = world(&app);
    let mut client = world.connect();
    client.send("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345");
    let (answer, heard) = (client.answer(), app.heard());
    assert_eq!((answer.field("content-length"), answer.body.as_str()), (Some("3"), "abc"));
    assert_eq!((heard.field("content-length"), heard.body.as_str()), (Some("5"), "12345"));

    client.send(
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n1\r\n3\r\n0\r\n\r\n",
    );
    let (answer, heard) = (client.answer(), app.heard());
    assert_eq!((answer.field("transfer-encoding"), answer.body.as_str()), (Some("chunked"), "abcde"));
    assert_eq!((heard.field("transfer-encoding"), heard.body.as_str()), (Some("chunked"), "123"));
}

#[test]
fn a_get_may_have_a_chunked_body() {
    let app = App::saying("ok");
    let world = world(&app);
    world
        .connect()
        .send("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .answer();
    assert_eq!(app.heard().body, "abc");
}

#[test]
fn trailers_pass_both_ways() {
    let app = App::answering(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
    ]);
    let world = world(&app);
    let answer = world
        .connect()
        .send("POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        .send("1\r\nb\r\n0\r\nX-Sum: 9\r\n\r\n")
        .answer();
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(app.heard().trailers, [("x-sum".to_owned(), "9".to_owned())]);
}

#[test]
fn answers_without_a_body_keep_the_connection() {
    let app = App::answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast",
    ]);
    let world = world(&app);
    let mut client = world.connect();
    let head = client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!((head.status(), head.field("content-length")), (200, Some("1000")));
    assert_eq!(client.get("/").status(), 204);
    let unchanged = client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert_eq!((unchanged.status(), unchanged.field("etag")), (304, Some("\"e\"")));
    assert_eq!(client.get("/").body, "last");
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let app = App::playing(|mut visit| {
        visit.request();
        visit.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let world = world(&app);
    let mut client = world.connect();
    assert_eq!(client.get("/").body, "all of it");
    assert_eq!(client.get("/").body, "all of it", "the client's connection goes on");
}

#[test]
fn old_clients_get_the_answer_they_understand() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let app =
        App::answering(Box::leak(Box::new([chunked, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])));
    let world = world(&app);
    let text = world.connect().send("GET / HTTP/1.0\r\n\r\n").rest().unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nhello"), "{text}");
    assert!(!text.to_lowercase().contains("transfer-encoding"), "{text}");
    let kept = world.connect().send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
    assert_eq!((kept.field("connection"), kept.body.as_str()), (Some("keep-alive"), "hi"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            visit.say(request.start.split(' ').nth(1).unwrap());
        }
    });
    let world = world(&app);
    let mut client = world.connect();
    for path in ["/1", "/2", "/3"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    let bodies: Vec<_> = (0..3).map(|_| client.answer().body).collect();
    assert_eq!(bodies, ["/1", "/2", "/3"]);
}

#[test]
fn the_app_decides_about_an_expected_body() {
    let app = App::playing(|mut visit| {
        while let Some(mut request) = visit.head() {
            if request.start.contains("/refused") {
                visit.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
                return visit.wait_for_close();
            }
            visit.send("HTTP/1.1 100 Continue\r\n\r\n");
            visit.body_of(&mut request);
            visit.say(&request.body);
        }
    });
    let world = world(&app);
    let post = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    };
    let mut client = world.connect();
    assert_eq!(client.send(&post("/wanted")).head().status(), 100);
    assert_eq!(client.send("body").answer().body, "body");
    let mut refused = world.connect();
    assert_eq!(refused.send(&post("/refused")).answer().status(), 401, "before a byte of the body was sent");
}

#[test]
fn an_answer_may_come_before_the_request_is_over() {
    let app = App::playing(|mut visit| {
        visit.head();
        visit.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        visit.wait_for_close();
    });
    let world = world(&app);
    let mut client = world.connect();
    let answer =
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nfirst bytes").answer();
    assert_eq!((answer.status(), answer.body.as_str()), (403, "no"));
}

#[test]
fn the_app_sees_where_a_request_came_from() {
    let app = App::saying("ok");
    let world = world(&app);
    let answer = world
        .connect()
        .send("GET http://shop.example/a HTTP/1.1\r\nHost: other\r\nConnection: X-Secret\r\nX-Secret: 1\r\n\r\n")
        .answer();
    let heard = app.heard();
    assert_eq!(heard.start, "GET /a HTTP/1.1");
    assert_eq!(heard.field("host"), Some("shop.example"));
    assert_eq!(heard.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(heard.field("x-secret"), None);
    assert_eq!(heard.field("x-request-id"), answer.field("x-request-id"));
    assert_eq!(answer.field("via"), Some("1.1 cutover"));
}

#[test]
fn a_backend_may_be_named_by_a_host_name() {
    let app = App::saying("ok");
    let world = Setup::new(&[("a", &format!("localhost:{}", app.address.port()), "v1")]).start();
    assert_eq!(world.connect().get("/").body, "ok");
}

#[test]
fn requests_are_counted_by_service_and_version() {
    let app = App::saying("hello");
    let world = world(&app);
    world.connect().get("/");
    let requests = "cutover_requests_total{class=\"2xx\",service=\"web\",version=\"v1\"} 1";
    world.eventually("the request is counted", || world.metrics().contains(requests));
    let metrics = world.metrics();
    assert!(metrics.contains("cutover_pins_total{outcome=\"new\",service=\"web\"} 1"), "{metrics}");
    assert!(metrics.contains("cutover_sent_bytes_total{service=\"web\"} 5"), "{metrics}");
}

#[test]
fn rfc9112_6_3_an_answer_with_a_length_and_chunks_is_none() {
    let app = App::answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n",
    ]);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let answer = world.connect().get("/");
    assert_eq!(answer.status(), 502);
}
