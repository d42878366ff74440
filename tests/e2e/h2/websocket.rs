//! WebSockets over TLS, and in a stream of HTTP/2 (RFC 8441).

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request, StatusCode};
use tokio_tungstenite::tungstenite::Message;

use super::clients::two_versions;
use super::edge::NAME;
use crate::support::wait::within;

/// A text frame of a client (RFC 6455 section 5.2): "hello", masked with zeros.
const HELLO: &[u8] = b"\x81\x85\0\0\0\0hello";

#[tokio::test]
async fn a_websocket_over_tls_goes_on_after_a_flip() {
    let (edge, _apps) = two_versions().await;
    let stream = edge.connect_tls("http/1.1").await;
    let opened = Box::pin(tokio_tungstenite::client_async(format!("wss://{NAME}/ws?greet=1"), stream));
    let (mut socket, _) = within("the upgrade", opened).await.unwrap();
    assert_eq!(within("a greeting", socket.next()).await.unwrap().unwrap(), Message::text("v1"));
    edge.admin().flip("v2").await;
    for number in 0..20 {
        let message = Message::binary(vec![7; number * 5_000]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(within("an echo", socket.next()).await.unwrap().unwrap(), message);
    }
    assert_eq!(edge.admin().version("v1").await["tunnels"], 1);
}

#[tokio::test]
async fn a_websocket_in_a_stream_goes_on_after_a_flip_beside_other_streams() {
    let (edge, _apps) = two_versions().await;
    let (client, connection) = h2::client::handshake(edge.connect_tls("h2").await).await.unwrap();
    tokio::spawn(connection);
    let mut client = is_served(client).await;
    // The settings are there with the first answer at the latest.
    assert!(client.is_extended_connect_protocol_enabled());
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("https://{NAME}/ws"));
    request = request.header("sec-websocket-version", "13").extension(Protocol::from_static("websocket"));
    let (answer, mut send) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let answer = within("the answer", answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut receive = answer.into_body();
    edge.admin().flip("v2").await;
    for _ in 0..3 {
        send.send_data(Bytes::from_static(HELLO), false).unwrap();
        let mut echoed = Vec::new();
        while echoed.len() < 7 {
            let piece = within("an echo", receive.data()).await.unwrap().unwrap();
            let _ = receive.flow_control().release_capacity(piece.len());
            echoed.extend_from_slice(&piece);
        }
        assert_eq!(echoed, b"\x81\x05hello");
    }
    assert_eq!(edge.admin().version("v1").await["tunnels"], 1);
    is_served(client).await;
}

/// Gets a page on a stream of its own.
async fn is_served(client: SendRequest<Bytes>) -> SendRequest<Bytes> {
    let mut client = within("a free stream", client.ready()).await.unwrap();
    let page = Request::get(format!("https://{NAME}/set-header")).body(()).unwrap();
    let (answer, _) = client.send_request(page, true).unwrap();
    assert_eq!(within("a page", answer).await.unwrap().status(), StatusCode::OK);
    within("a free stream", client.ready()).await.unwrap()
}
