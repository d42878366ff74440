//! What lasts on a canary beyond a request, when the canary ends: it is told to begin anew, on the active version.

use tokio_tungstenite::tungstenite::Message;

use super::give;
use crate::support::http::Request;
use crate::support::stage::Stage;
use crate::support::wait::within;
use crate::tunnels::{echo, is_told_to_begin_anew, next, open};

#[tokio::test]
async fn a_websocket_of_an_ended_canary_is_told_to_connect_again() {
    let stage = Stage::v1_and_v2().await;
    let mut stays = open(&stage, "/ws?greet=1").await;
    assert_eq!(next(&mut stays).await, Message::text("v1"));
    give(&stage, 1.0).await;
    let mut socket = open(&stage, "/ws?greet=1").await;
    assert_eq!(next(&mut socket).await, Message::text("v2"));

    give(&stage, 0.0).await;

    is_told_to_begin_anew(socket).await;
    assert_eq!(next(&mut open(&stage, "/ws?greet=1").await).await, Message::text("v1"));
    assert_eq!(echo(&mut stays, Message::text("still here")).await, Message::text("still here"));
}

#[tokio::test]
async fn an_event_stream_of_an_ended_canary_ends_whole() {
    let stage = Stage::v1_and_v2().await;
    give(&stage, 1.0).await;
    let mut events = stage.connect().await;
    events.send(Request::get("/sse?every_ms=20").field("Accept", "text/event-stream").render()).await;
    let head = within("the head", events.head()).await.unwrap();

    give(&stage, 0.0).await;
    let mut seen = Vec::new();
    within("the end", events.body(&head, "GET", |part| seen.extend_from_slice(part))).await.unwrap();

    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains(r#""version":"v2""#) && seen.ends_with("\n\n"), "{seen:?}");
}
