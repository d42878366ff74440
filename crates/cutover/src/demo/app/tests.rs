//! The app server over real sockets.

use hyper::{Method, StatusCode, body::Bytes};
use serde_json::Value;

use super::*;
use crate::demo::browser::Browser;

#[tokio::test]
async fn the_page_names_assets_of_its_own_build_and_others_are_missing() {
    let mut browser = start(&["--version", "v7"]).await;

    let page = browser.load("/").await.unwrap();
    let own = browser.load("/assets/app.v7.js").await.unwrap();
    let other = browser.load("/assets/app.v8.js").await.unwrap();

    assert!(String::from_utf8_lossy(&page.body).contains("/assets/app.v7.js"));
    assert_eq!(page.headers["x-app-version"], "v7");
    assert!(own.headers["cache-control"].to_str().unwrap().starts_with("public"));
    assert_eq!((own.status, other.status), (StatusCode::OK, StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn the_cart_knows_its_visitor_and_an_order_is_summed_up() {
    let mut browser = start(&[]).await;
    browser.load("/").await.unwrap();

    let cart = json(&browser.load("/api/cart").await.unwrap().body);
    let order = browser.send(Method::POST, "/api/order", Bytes::from_static(b"abc")).await.unwrap();

    assert_eq!(cart["visitor"].as_str(), browser.cookie(VISITOR_COOKIE));
    // SHA-256 of "abc", FIPS 180-4 example.
    let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(json(&order.body)["sha256"], sum);
}

#[tokio::test]
async fn health_follows_the_options_and_what_is_set_from_outside() {
    let mut failing = start(&["--fail-health"]).await;
    let mut loading = start(&["--health-delay-ms", "60000"]).await;

    assert_eq!(failing.load("/up").await.unwrap().status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(loading.load("/up").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        loading.send(Method::POST, "/up?status=204", Bytes::new()).await.unwrap().status.as_u16(),
        204
    );
    assert_eq!(loading.load("/up").await.unwrap().status.as_u16(), 204);
}

#[tokio::test]
async fn errors_come_at_the_rate_that_was_asked_for_but_never_from_health() {
    let mut browser = start(&["--error-rate", "1.0", "--no-version-header"]).await;

    let page = browser.load("/").await.unwrap();
    let health = browser.load("/up").await.unwrap();

    assert_eq!((page.status.as_u16(), health.status.as_u16()), (500, 200));
    assert!(!page.headers.contains_key("x-app-version"));
}

#[tokio::test]
async fn the_workbench_shows_what_came_and_answers_what_was_asked() {
    let mut browser = start(&[]).await;

    let headers = json(&browser.load("/headers?x=1").await.unwrap().body);
    let sunk = browser.send(Method::PUT, "/sink", Bytes::from(vec![0; 100_000])).await.unwrap();
    let teapot = browser.load("/status/418").await.unwrap();
    let set = browser.load("/set-header?name=Cutover-Pin&value=end").await.unwrap();
    let bytes = browser.load("/bytes?n=70000").await.unwrap();

    assert_eq!((&headers["method"], &headers["target"]), (&"GET".into(), &"/headers?x=1".into()));
    assert_eq!(json(&sunk.body)["bytes"], 100_000);
    assert_eq!(teapot.status.as_u16(), 418);
    assert_eq!(set.headers["cutover-pin"], "end");
    assert_eq!(bytes.headers["content-length"], "70000");
    assert_eq!(u64::from(bytes.body[69_999]), 69_999 % 251);
}

#[tokio::test]
async fn events_end_after_their_count() {
    let mut browser = start(&["--version", "v3"]).await;

    let events = browser.load("/events?every_ms=1&count=3").await.unwrap();

    let text = String::from_utf8(events.body.to_vec()).unwrap();
    assert_eq!(text.matches("event: tick\n").count(), 3);
    assert!(text.ends_with("data: {\"n\":2,\"version\":\"v3\"}\n\n"), "{text}");
}

#[tokio::test]
async fn a_websocket_echoes_and_is_told_when_the_server_goes() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (address, stop) = serve_with(&["--version", "v3"]).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // Key and answer are the example of RFC 6455 section 1.3; the frame is the masked "Hello" of section 5.7.
    let head = "GET /ws?greet=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"Hello") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    stop.send_replace(true);
    stream.read_to_end(&mut seen).await.unwrap();

    assert!(String::from_utf8_lossy(&seen).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(seen.ends_with(b"\x81\x02v3\x81\x05Hello\x88\x02\x03\xe9"), "{seen:?}");
}

#[test]
fn an_address_is_a_socket_address_or_a_path() {
    assert_eq!("127.0.0.1:80".parse(), Ok(Listen::Tcp(([127, 0, 0, 1], 80).into())));
    assert_eq!("unix:/run/app".parse(), Ok(Listen::Unix("/run/app".into())));
    assert!("localhost".parse::<Listen>().unwrap_err().contains("`localhost`"));
}

#[tokio::test]
async fn a_unix_socket_leaves_no_file_behind() {
    let path = std::env::temp_dir().join(format!("cutover-demo-app-{}", std::process::id()));

    let socket = Socket::bind(&Listen::Unix(path.clone())).await.unwrap();
    let connected = tokio::net::UnixStream::connect(&path).await;
    drop(socket);

    assert!(connected.is_ok() && !path.exists());
}

#[tokio::test]
async fn what_is_in_flight_is_finished_after_a_stop() {
    let (address, stop) = serve_with(&[]).await;
    let mut browser = Browser::new(address, "app.localhost");

    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.send_replace(true);
    };
    let (slow, ()) = tokio::join!(browser.load("/slow?ms=200"), stopping);

    assert_eq!(slow.unwrap().status, StatusCode::OK);
    assert!(browser.load("/").await.is_err(), "it still listens");
}

async fn start(arguments: &[&str]) -> Browser {
    let (address, stop) = serve_with(arguments).await;
    // The server of a test ends with the test's runtime.
    std::mem::forget(stop);
    Browser::new(address, "app.localhost")
}

/// A server in this process; it stops when the answered switch is thrown.
pub(in crate::demo) async fn serve_with(arguments: &[&str]) -> (SocketAddr, watch::Sender<bool>) {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
    let line: Line = clap::Parser::parse_from(["demo-app"].iter().chain(arguments));
    let socket = Socket::bind(&line.options.listen).await.unwrap();
    let address = socket.address().unwrap().parse().unwrap();
    let (stop, stopping) = watch::channel(false);
    let (alive, _) = mpsc::channel(1);
    let app = Arc::new(App::new(line.options, Instant::now(), stopping, alive).unwrap());
    let stopped = Arc::clone(&app);
    tokio::spawn(serve::accept(socket, app, async move { stopped.stopped().await }));
    (address, stop)
}

fn json(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}
