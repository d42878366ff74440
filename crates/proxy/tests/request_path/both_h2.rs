//! HTTP/2 on both sides, as gRPC uses it, and beside other protocols.

use std::sync::Arc;

use bytes::Bytes;
use cutover_core::policy::UpstreamProtocol::{H2c, Https, HttpsH2};
use h2::Reason;
use h2::server::Builder;
use http::{HeaderMap, Method, Response};
use tokio::sync::Notify;

use crate::backend::{Backend, Call, Certificate, send_all};
use crate::http2::{Client, request};

fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
}

/// Answers with what came, body and trailers.
async fn echo(mut call: Call) {
    let (body, came) = call.body().await;
    let mut stream =
        call.begin(Response::builder().header("content-type", "application/grpc").body(()).unwrap());
    send_all(&mut stream, body.into(), false).await;
    let mut trailers = trailers("grpc-status", "0");
    trailers.extend(came.unwrap_or_default());
    stream.send_trailers(trailers).unwrap();
}

#[test]
fn a_call_of_grpc_passes_with_its_trailers() {
    let app = Backend::h2c(echo);
    let world = app.alone(H2c).start();
    let mut client = Client::connect(world.address);
    let mut call = request(Method::POST, "/shop.Cart/Add");
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let answer = client.exchange(call, b"\0\0\0\0\x02hi", Some(trailers("x-sum", "7"))).unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"\0\0\0\0\x02hi"[..]));
    let told = answer.trailers.unwrap();
    assert_eq!((&told["grpc-status"], &told["x-sum"]), (&"0".parse().unwrap(), &"7".parse().unwrap()));
}

#[test]
fn both_sides_may_speak_in_turn() {
    let app = Backend::h2c(async |mut call: Call| {
        let mut stream = call.begin(Response::new(()));
        let body = call.request.body_mut();
        while let Some(Ok(piece)) = body.data().await {
            drop(body.flow_control().release_capacity(piece.len()));
            stream.send_data(piece, false).unwrap();
        }
        stream.send_trailers(trailers("grpc-status", "0")).unwrap();
    });
    let world = app.alone(H2c).start();
    let mut client = Client::connect(world.address);
    let (answer, mut stream) = client.send(request(Method::POST, "/"), false);
    let (_, mut back) = client.wait(answer).unwrap().into_parts();
    for piece in ["one", "two", "three"] {
        stream.send_data(Bytes::from_static(piece.as_bytes()), false).unwrap();
        assert_eq!(client.wait(back.data()).unwrap().unwrap(), piece);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(client.wait(back.data()).is_none());
    assert_eq!(client.wait(back.trailers()).unwrap().unwrap()["grpc-status"], "0");
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let go = Arc::new(Notify::new());
    let breaks = Arc::clone(&go);
    let app = Backend::h2c(move |mut call| {
        let go = Arc::clone(&go);
        async move {
            let mut stream = call.begin(Response::new(()));
            send_all(&mut stream, Bytes::from_static(b"half"), false).await;
            go.notified().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    });
    let world = app.alone(H2c).start();
    let mut client = Client::connect(world.address);
    let (answer, _) = client.send(request(Method::GET, "/"), true);
    let (_, mut body) = client.wait(answer).unwrap().into_parts();
    assert_eq!(client.wait(body.data()).unwrap().unwrap(), "half");
    breaks.notify_one();
    assert!(client.wait(body.data()).unwrap().is_err());
}

#[test]
fn clients_of_http_2_reach_backends_over_tls() {
    let certificate = Certificate::of("127.0.0.1");
    let h1 = Backend::https(certificate.acceptor(&["http/1.1"]), usize::MAX);
    let h2 = Backend::h2(Builder::new(), Some(certificate.acceptor(&["h2"])), echo);
    let body = b"0123456789abcdef".repeat(1 << 14);
    for (app, protocol) in [(h1, Https), (h2, HttpsH2)] {
        let world = app.alone(protocol).policy(|policy| certificate.believe(policy)).start();
        let mut client = Client::connect(world.address);
        let mut post = request(Method::POST, "/");
        post.headers_mut().insert("content-length", body.len().into());
        let answer = client.exchange(post, &body, None).unwrap();
        assert!(answer.status == 200 && answer.body == body, "{protocol:?}: {}", answer.status);
    }
}
