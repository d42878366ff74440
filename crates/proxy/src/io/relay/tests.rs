//! Bodies through a relay between two TCP connections.

use std::convert::Infallible;
use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::io::buffer::SMALL;

const SIZE: usize = 3 << 20;

/// Two ends of one connection.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// What a receiver gets of `sent`, once the relay is done with it, or has ended by itself.
fn carry(relay: &mut Relay, buffers: &Buffers, sent: &[u8]) -> (Result<(), Broken<Infallible>>, Vec<u8>) {
    let test = async {
        let ((mut sender, from), (to, mut receiver)) = (connected().await, connected().await);
        let (mut from, mut to) = (Stream::Tcp(from), Stream::Tcp(to));
        let mut buffer = Buffer::new(SMALL);
        let send = async {
            sender.write_all(sent).await.unwrap();
            drop(sender);
        };
        let pass = async {
            let done =
                poll_fn(|cx| relay.poll((&mut from, &mut buffer, buffers), &mut to, cx, |_| Ok(()))).await;
            drop(to);
            done
        };
        let mut received = Vec::new();
        let (done, (), read) = tokio::join!(pass, send, receiver.read_to_end(&mut received));
        read.unwrap();
        (done, received)
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn body() -> Vec<u8> {
    (0..SIZE as u64 / 8).flat_map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect()
}

#[test]
fn a_body_with_a_length_passes_through_pipes_that_are_given_back() {
    let (mut relay, buffers, body) = (Relay::default(), Buffers::default(), body());
    relay.begin(Framing::Length(SIZE as u64), false);
    relay.head().extend_from_slice(b"head:");
    let (done, received) = carry(&mut relay, &buffers, &body);
    done.unwrap();
    assert!(relay.is_done() && relay.is_spliced);
    assert!(received == [b"head:", body.as_slice()].concat());
    assert_eq!((relay.moved(), relay.wrote()), (SIZE as u64, SIZE as u64 + 5));
}

#[test]
fn where_the_system_does_not_splice_the_buffer_carries_the_body() {
    let (mut relay, buffers, body) = (Relay::default(), Buffers::default(), body());
    buffers.pipes.note(&io::ErrorKind::Unsupported.into());
    relay.begin(Framing::Length(SIZE as u64), false);
    let (done, received) = carry(&mut relay, &buffers, &body);
    done.unwrap();
    assert!(!relay.is_spliced);
    assert!(received == body);
}

#[test]
fn what_is_watched_is_seen_whole() {
    let (mut relay, buffers, body) = (Relay::default(), Buffers::default(), body());
    relay.begin(Framing::Length(SIZE as u64), false);
    relay.watch();
    let (done, received) = carry(&mut relay, &buffers, &body);
    done.unwrap();
    assert!(!relay.is_spliced);
    assert!(received == body);
}

#[test]
fn a_sender_that_ends_early_is_gone() {
    let (mut relay, buffers, body) = (Relay::default(), Buffers::default(), body());
    relay.begin(Framing::Length(SIZE as u64 + 1), false);
    let (done, received) = carry(&mut relay, &buffers, &body);
    assert!(matches!(done, Err(Broken::SourceGone(_))));
    assert!(received == body && !relay.is_done());
}

#[test]
fn large_pieces_become_chunks_where_they_are() {
    let (mut relay, buffers, body) = (Relay::default(), Buffers::default(), body());
    relay.begin(Framing::UntilClose, true);
    let (done, received) = carry(&mut relay, &buffers, &body);
    done.unwrap();
    let mut again = Relay::default();
    again.begin(Framing::Chunked, false);
    let (done, unframed) = carry(&mut again, &buffers, &received);
    done.unwrap();
    assert!(unframed == body);
}
