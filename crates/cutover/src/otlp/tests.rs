//! Spans that reach a collector, which reads of each message as much as these tests need.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use cutover_proxy::trace::Parent;

fn span(id: u64, parent: Option<u64>, kind: Kind) -> Span {
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    Span {
        trace: 0xabc,
        id,
        parent: parent.map(|id| Parent { id, is_remote: false }),
        kind,
        name: "GET",
        began,
        ended: began + Duration::from_millis(5),
        is_failed: false,
        attributes: vec![("cutover.version", "v1".into()), ("http.response.status_code", 200.into())],
    }
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "x").unwrap()
}

/// A collector that answers one message with `status`, and gives its path and body.
async fn collect(listener: TcpListener, status: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut message = Vec::new();
    let head_len = loop {
        read_more(&mut stream, &mut message).await;
        if let Some(at) = message.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8(message[..head_len].to_vec()).unwrap().to_ascii_lowercase();
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while message.len() < head_len + length {
        read_more(&mut stream, &mut message).await;
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    (head.lines().next().unwrap().to_owned(), message.split_off(head_len))
}

async fn read_more(stream: &mut TcpStream, message: &mut Vec<u8>) {
    assert!(stream.read_buf(message).await.unwrap() > 0, "the message broke off");
}

/// The length-delimited fields of a Protobuf message with this number; the others are skipped.
fn fields(message: &[u8], number: u64) -> Vec<&[u8]> {
    let (mut rest, mut found) = (message, Vec::new());
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let len = match tag & 7 {
            0 => {
                varint(&mut rest);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, after) = rest.split_at(len);
        rest = after;
        if tag == number << 3 | 2 {
            found.push(value);
        }
    }
    found
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().unwrap();
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[tokio::test]
async fn spans_reach_the_collector_with_their_ids() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let collected = tokio::spawn(collect(listener, "200 OK"));
    let dropped = counter();
    let (sink, sender) = start(&url, "lb-1", dropped.clone()).unwrap();
    sink.send(span(2, Some(1), Kind::Client));
    sink.send(span(1, None, Kind::Server));
    drop(sink);
    let (line, body) = collected.await.unwrap();
    sender.finish(Duration::from_secs(10)).await;

    assert_eq!(line, "post /v1/traces http/1.1");
    let of_resource = fields(&body, 1)[0];
    let resource = String::from_utf8_lossy(fields(of_resource, 1)[0]).into_owned();
    assert!(resource.contains("service.name") && resource.contains("lb-1"), "{resource}");
    let spans = fields(fields(of_resource, 2)[0], 2);
    let id = |span: &[u8], field| {
        fields(span, field).first().map(|id| u64::from_be_bytes((*id).try_into().unwrap()))
    };
    assert_eq!(
        spans.iter().map(|span| (id(span, 2), id(span, 4))).collect::<Vec<_>>(),
        [(Some(2), Some(1)), (Some(1), None)]
    );
    assert_eq!(fields(spans[0], 1)[0], 0xabc_u128.to_be_bytes());
    assert_eq!((fields(spans[0], 5)[0], fields(spans[0], 9).len()), (&b"GET"[..], 2));
    assert_eq!(dropped.get(), 0);
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let collected = tokio::spawn(collect(listener, "400 Bad Request"));
    let dropped = counter();
    let (sink, sender) = start(&url, "lb-1", dropped.clone()).unwrap();
    sink.send(span(1, None, Kind::Server));
    drop(sink);
    collected.await.unwrap();
    sender.finish(Duration::from_secs(10)).await;
    assert_eq!(dropped.get(), 1);
}
