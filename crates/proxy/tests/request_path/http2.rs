//! Clients that speak HTTP/2, and backends that speak HTTP/1.1 (RFC 9113).

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::policy::UpstreamProtocol;
use cutover_core::time::Millis;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use tokio::runtime::Runtime;

use crate::app::App;
use crate::world::{SOON, Setup, World};

/// A client with one connection.
pub(crate) struct Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    /// How the connection ended, once it did.
    ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, ended) = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
            let (sender, connection) = builder.handshake(stream).await.unwrap();
            (sender, tokio::spawn(connection))
        });
        Self { runtime, sender, ended }
    }

    /// Opens a stream.
    pub(crate) fn send(
        &mut self,
        request: Request<()>,
        is_last: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            sender.send_request(request, is_last).unwrap()
        })
    }

    /// Waits for what happens soon, unless it is broken.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(SOON, future).await.expect("in time") })
    }

    /// Sends a request with this body and its trailers, and waits for the whole answer.
    pub(crate) fn exchange(
        &mut self,
        request: Request<()>,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let (answer, mut stream) = self.send(request, body.is_empty() && trailers.is_none());
        let sending = async {
            let mut left = Bytes::copy_from_slice(body);
            while !left.is_empty() {
                stream.reserve_capacity(left.len());
                let room = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                let piece = left.split_to(room.min(left.len()));
                stream.send_data(piece, left.is_empty() && trailers.is_none()).unwrap();
            }
            if let Some(trailers) = trailers {
                stream.send_trailers(trailers).unwrap();
            }
        };
        self.wait(async {
            let (read, ()) = tokio::join!(read(answer), sending);
            read
        })
    }

    /// A request that opens a tunnel (RFC 8441), once the other side has said that it may.
    pub(crate) fn tunnel(&self, path: &str, protocol: &str) -> Request<()> {
        self.wait(async {
            // The setting comes with the first frames.
            while !self.sender.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut open = request(Method::CONNECT, path);
        open.extensions_mut().insert(h2::ext::Protocol::from(protocol));
        open
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.exchange(get(path), b"", None).unwrap()
    }
}

pub(crate) fn get(path: &str) -> Request<()> {
    request(Method::GET, path)
}

pub(crate) fn request(method: Method, path: &str) -> Request<()> {
    let uri = format!("http://app.test{path}");
    Request::builder().method(method).uri(uri).version(Version::HTTP_2).body(()).unwrap()
}

/// Reads an answer to its end.
pub(crate) async fn read(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let body = read_body(&mut stream).await?;
    let trailers = stream.trailers().await?;
    Ok(Answer { status: head.status, fields: head.headers, body, trailers })
}

async fn read_body(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn world(app: &App) -> (World, Client) {
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).start();
    let client = Client::connect(world.address);
    (world, client)
}

#[test]
fn a_request_goes_to_the_app_as_one_of_http1() {
    let app = App::saying("hello");
    let (_world, mut client) = world(&app);
    let mut request = get("/x?y=1");
    let fields = request.headers_mut();
    fields.append("cookie", "a=1".parse().unwrap());
    fields.append("cookie", "b=2".parse().unwrap());
    fields.append("te", "trailers".parse().unwrap());
    let answer = client.exchange(request, b"", None).unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"hello"[..]));
    assert!(answer.fields.contains_key("set-cookie") && answer.fields["via"] == "1.1 cutover");
    assert!(!answer.fields.contains_key("connection"), "{:?}", answer.fields);
    let heard = app.heard();
    assert_eq!(heard.start, "GET /x?y=1 HTTP/1.1");
    assert_eq!(heard.field("host"), Some("app.test"));
    assert_eq!(heard.field("cookie"), Some("a=1; b=2"));
    assert_eq!(heard.field("via"), Some("2.0 cutover"));
    assert_eq!(heard.field("te"), Some("trailers"));
    assert_eq!(heard.field("transfer-encoding"), None);
}

#[test]
fn bodies_of_known_and_unknown_length_go_both_ways() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            let text = format!("{} bytes", request.body.len());
            let length = text.len();
            visit.send(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n0\r\n\r\n"
            ));
        }
    });
    let (_world, mut client) = world(&app);
    let body = vec![b'x'; 3 << 20];
    let answer = client.exchange(request(Method::POST, "/"), &body, None).unwrap();
    assert_eq!(answer.body, b"3145728 bytes");
    assert_eq!(app.heard().field("transfer-encoding"), Some("chunked"));
    let mut with_length = request(Method::POST, "/");
    with_length.headers_mut().insert("content-length", "4".parse().unwrap());
    assert_eq!(client.exchange(with_length, b"four", None).unwrap().body, b"4 bytes");
    assert_eq!(app.heard().field("content-length"), Some("4"));
}

#[test]
fn large_answers_obey_the_window() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
            visit.stream().get_mut().write_all(&vec![7; 8 << 20]).unwrap();
        }
    });
    let (_world, mut client) = world(&app);
    assert_eq!(client.get("/").body, vec![7; 8 << 20]);
}

#[test]
fn trailers_go_both_ways() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            visit.tell(request);
            visit.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n",
            );
        }
    });
    let (_world, mut client) = world(&app);
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "1".parse().unwrap());
    trailers.insert("content-length", "7".parse().unwrap());
    let answer = client.exchange(request(Method::POST, "/"), b"body", Some(trailers)).unwrap();
    assert_eq!(
        (&answer.body[..], &answer.trailers.unwrap()["grpc-status"]),
        (&b"hi"[..], &"0".parse().unwrap())
    );
    assert_eq!(app.heard().trailers, [("checksum".to_owned(), "1".to_owned())]);
}

#[test]
fn streams_do_not_wait_for_each_other() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.request() {
            if request.start.contains("slow") {
                visit.wait_for_close();
                return;
            }
            visit.say("quick");
        }
    });
    let (world, mut client) = world(&app);
    let (slow, _stream) = client.send(get("/slow"), true);
    for _ in 0..50 {
        assert_eq!(client.get("/").body, b"quick");
    }
    assert_eq!(world.in_flight("v1"), 1);
    drop((slow, _stream));
    world.eventually("a stream that its client gave up is over", || world.in_flight("v1") == 0);
    assert_eq!(client.get("/").body, b"quick");
}

#[test]
fn an_answer_that_breaks_off_is_reset() {
    let app = App::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"]);
    let (_world, mut client) = world(&app);
    let error = client.exchange(get("/"), b"", None).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
}

#[test]
fn our_own_answers_end_their_stream_only() {
    let app = App::saying("hello");
    let (_world, mut client) = world(&app);
    let mut bad = get("/");
    bad.headers_mut().insert("host", "other.test".parse().unwrap());
    let answer = client.exchange(bad, b"", None).unwrap();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&answer.body).contains("Host is not its authority"), "{answer:?}");
    assert_eq!(client.get("/").body, b"hello");
    let connect = Request::builder().method(Method::CONNECT).uri("app.test:80").body(()).unwrap();
    assert_eq!(client.exchange(connect, b"", None).unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.get("/").body, b"hello");
}

#[test]
fn rfc9113_8_2_1_values_have_no_whitespace_around_them() {
    let app = App::saying("hello");
    let (_world, mut client) = world(&app);
    let mut bad = get("/");
    bad.headers_mut().insert("x", http::HeaderValue::from_bytes(b" padded").unwrap());
    assert_eq!(client.exchange(bad, b"", None).unwrap().status, StatusCode::BAD_REQUEST);
}

#[test]
fn grpc_is_told_of_our_errors_in_its_own_words() {
    let (_world, mut client) = world(&App::answering(&[""]));
    let mut call = request(Method::POST, "/pkg.Service/Call");
    call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    let answer = client.exchange(call, b"\0\0\0\0\0", None).unwrap();
    assert_eq!((answer.status, &answer.fields["grpc-status"]), (StatusCode::OK, &"14".parse().unwrap()));
    assert!(answer.fields.contains_key("grpc-message") && answer.body.is_empty(), "{answer:?}");
}

#[test]
fn answers_before_the_answer_are_passed_on() {
    let app = App::answering(&[
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]);
    let (_world, mut client) = world(&app);
    let (mut answer, _) = client.send(get("/"), true);
    let hint = client.wait(poll_fn(|cx| answer.poll_informational(cx))).unwrap().unwrap();
    assert_eq!((hint.status().as_u16(), &hint.headers()["link"]), (103, &"</a>".parse().unwrap()));
    assert_eq!(client.wait(read(answer)).unwrap().body, b"ok");
}

#[test]
fn rfc9113_6_8_a_client_is_told_of_the_end_and_loses_nothing() {
    let app = App::playing(|mut visit| {
        while let Some(request) = visit.head() {
            visit.tell(request);
            std::thread::sleep(Duration::from_millis(50));
            visit.say("whole");
        }
    });
    let (world, mut client) = world(&app);
    let (answer, _) = client.send(get("/"), true);
    app.heard();
    world.shutdown(SOON);
    assert_eq!(client.wait(read(answer)).unwrap().body, b"whole");
    let Client { runtime, ended, .. } = client;
    runtime.block_on(async { tokio::time::timeout(SOON, ended).await.unwrap().unwrap().unwrap() });
    assert_eq!(world.ended(), 0);
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let app = App::playing(|mut visit| {
        while visit.request().is_some() {
            visit.send("HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
            if visit.stream().get_mut().write_all(&vec![7; 8 << 20]).is_err() {
                return;
            }
        }
    });
    let limits = |limits: &mut cutover_proxy::Limits| limits.body_idle_timeout = Duration::from_millis(100);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).limits(limits).start();
    let mut client = Client::connect(world.address);
    let (answer, _) = client.send(get("/"), true);
    let (_, mut stream) = client.wait(answer).unwrap().into_parts();
    world.eventually("it is given up", || world.in_flight("v1") == 0);
    let error = client.wait(async {
        loop {
            if let Err(error) = stream.data().await.unwrap() {
                return error;
            }
        }
    });
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
}

#[test]
fn rfc8441_a_websocket_is_opened_by_extended_connect() {
    let app = App::playing(|mut visit| {
        let Some(request) = visit.head() else { return };
        visit.tell(request);
        visit.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n");
        let mut bytes = [0; 4];
        visit.stream().read_exact(&mut bytes).unwrap();
        visit.stream().get_mut().write_all(&bytes).unwrap();
    });
    let (world, mut client) = world(&app);
    let mut open = client.tunnel("/chat", "websocket");
    open.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    let (answer, mut stream) = client.send(open, false);
    let (head, mut receive) = client.wait(answer).unwrap().into_parts();
    assert_eq!(head.status, StatusCode::OK);
    assert!(!head.headers.contains_key("sec-websocket-accept") && !head.headers.contains_key("upgrade"));
    let heard = app.heard();
    assert_eq!((heard.start.as_str(), heard.field("upgrade")), ("GET /chat HTTP/1.1", Some("websocket")));
    assert_eq!(heard.field("sec-websocket-key").unwrap().len(), 24);
    assert_eq!(world.tunnels("v1"), 1);
    stream.send_data(Bytes::from_static(b"ping"), false).unwrap();
    assert_eq!(client.wait(receive.data()).unwrap().unwrap(), "ping");
    stream.send_data(Bytes::new(), true).unwrap();
    world.eventually("the tunnel is over", || world.tunnels("v1") == 0);
}

#[test]
fn a_tunnel_has_no_length_and_a_protocol_of_one_line() {
    let app = App::saying("hello");
    let (_world, mut client) = world(&app);
    // A backend that opens no tunnel would take the next request for the body.
    let mut open = client.tunnel("/", "h2c");
    open.headers_mut().insert("content-length", "30".parse().unwrap());
    let (answer, _stream) = client.send(open, false);
    assert_eq!(client.wait(answer).unwrap().status(), StatusCode::BAD_REQUEST);
    for protocol in ["x\r\nContent-Length: 30", "x\r\n\r\nGET /admin HTTP/1.1\r\nHost: app.test"] {
        let (answer, _stream) = client.send(client.tunnel("/", protocol), false);
        assert_eq!(client.wait(answer).unwrap().status(), StatusCode::BAD_REQUEST, "{protocol:?}");
    }
    assert_eq!(client.get("/").body, b"hello");
}

#[test]
fn rfc8441_a_success_that_switches_to_nothing_opens_no_tunnel() {
    let app = App::saying("no frames of a WebSocket");
    let (world, mut client) = world(&app);
    let (answer, _stream) = client.send(client.tunnel("/chat", "websocket"), false);
    assert_eq!(client.wait(answer).unwrap().status(), StatusCode::NOT_IMPLEMENTED);
    assert!(world.set().backends[0].is_sendable());
    assert_eq!(client.get("/").body, b"no frames of a WebSocket");
}

#[test]
fn rfc8441_a_protocol_that_is_no_websocket_opens_no_tunnel_and_is_no_get() {
    let app = App::saying("no tunnel");
    let (_world, mut client) = world(&app);
    for protocol in ["h2c", "tls", "http", "connect-udp", "websocket, x", "websocketx"] {
        let (answer, _stream) = client.send(client.tunnel("/", protocol), false);
        assert_eq!(client.wait(answer).unwrap().status(), StatusCode::NOT_IMPLEMENTED, "{protocol}");
    }
    assert!(app.is_idle());
}

#[test]
fn rfc8441_no_answer_of_ours_is_taken_for_a_tunnel() {
    let app = App::saying("hello");
    let (_world, mut client) = world(&app);
    let (answer, _stream) = client.send(client.tunnel("/.cutover/version", "websocket"), false);
    assert_eq!(client.wait(answer).unwrap().status(), StatusCode::NOT_IMPLEMENTED);
    // Who calls by gRPC is told by a 200 what is wrong, but not here.
    let mut call = client.tunnel("/", "h2c");
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let (answer, _stream) = client.send(call, false);
    assert_eq!(client.wait(answer).unwrap().status(), StatusCode::NOT_IMPLEMENTED);
    assert!(app.is_idle());
    assert_eq!(client.get("/").body, b"hello");
}

#[test]
fn a_client_has_no_more_at_work_than_it_may_have_open() {
    // It never says what it allows, so that what is asked for waits.
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = Setup::new(&[("a", &backend.local_addr().unwrap().to_string(), "v1")])
        .policy(|policy| {
            policy.upstream.protocol = UpstreamProtocol::H2c;
            policy.upstream.connect_timeout = Millis::from_secs(60);
        })
        .limits(|limits| limits.h2_max_concurrent_streams = 4)
        .start();
    let mut client = Client::connect(world.address);
    // Streams that are given up at once (CVE-2023-44487).
    for _ in 0..200 {
        let sender = &mut client.sender;
        let sent = client.runtime.block_on(async {
            poll_fn(|cx| sender.poll_ready(cx)).await.ok()?;
            let (_answer, mut stream) = sender.send_request(get("/"), true).ok()?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            stream.send_reset(Reason::CANCEL);
            Some(())
        });
        if sent.is_none() {
            break;
        }
    }
    let Client { runtime, ended, .. } = client;
    let ended =
        runtime.block_on(async { tokio::time::timeout(SOON, ended).await.expect("it ends").unwrap() });
    assert_eq!(ended.unwrap_err().reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[test]
fn the_first_bytes_of_a_connection_may_come_one_by_one() {
    let app = App::saying("hello");
    let (world, _) = world(&app);
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        stream.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "SETTINGS come first");
}

#[test]
fn an_idle_connection_is_ended() {
    let app = App::saying("hello");
    let limits = |limits: &mut cutover_proxy::Limits| limits.keepalive_timeout = Duration::from_millis(50);
    let world = Setup::new(&[("a", &app.address.to_string(), "v1")]).limits(limits).start();
    let mut client = Client::connect(world.address);
    assert_eq!(client.get("/").body, b"hello");
    let Client { runtime, ended, sender } = client;
    runtime.block_on(async { tokio::time::timeout(SOON, ended).await.unwrap().unwrap().unwrap() });
    drop(sender);
}

#[test]
fn sessions_are_pinned_as_over_http1() {
    let apps = [App::saying("old"), App::saying("new")];
    let addresses = apps.each_ref().map(|app| app.address.to_string());
    let world = Setup::new(&[("a", &addresses[0], "v1"), ("b", &addresses[1], "v2")])
        .policy(|policy| policy.drain.deadline = Millis::from_secs(600))
        .start();
    let mut client = Client::connect(world.address);
    let first = client.get("/");
    assert_eq!(first.body, b"old");
    let cookie = first.fields["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    world.flip("v2");
    assert_eq!(client.get("/").body, b"new", "a new session on the same connection");
    let mut pinned = get("/");
    pinned.headers_mut().insert("cookie", cookie.parse().unwrap());
    let answer = client.exchange(pinned, b"", None).unwrap();
    assert_eq!((&answer.body[..], &answer.fields["cutover-update"]), (&b"old"[..], &"v2".parse().unwrap()));
}
