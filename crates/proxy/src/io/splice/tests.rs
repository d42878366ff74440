//! Pipes between two TCP connections.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Two ends of one connection.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

#[test]
fn bytes_come_out_as_they_went_in() {
    run(async {
        let ((mut sender, from), (to, mut receiver)) = (connected().await, connected().await);
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        // It waits before there is anything.
        let fill = poll_fn(|cx| pipe.poll_fill(&from, 5, cx));
        let (count, wrote) = tokio::join!(fill, sender.write_all(b"hello, world"));
        wrote.unwrap();
        assert_eq!(count.unwrap(), 5, "no more than was asked for");
        assert_eq!(poll_fn(|cx| pipe.poll_drain(&to, cx)).await.unwrap(), 5);
        assert!(pipe.is_empty());
        let mut got = [0; 5];
        receiver.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
    });
}

#[test]
fn a_receiver_that_takes_nothing_is_waited_for() {
    run(async {
        let ((mut sender, from), (to, mut receiver)) = (connected().await, connected().await);
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        let total = 64 << 20;
        let send = async {
            let chunk = vec![7; 1 << 20];
            for _ in 0..total / chunk.len() {
                sender.write_all(&chunk).await.unwrap();
            }
        };
        let (mut has_waited, mut left) = (false, total as u64);
        let pass = poll_fn(|cx| {
            while left > 0 || !pipe.is_empty() {
                if pipe.is_empty() {
                    left -= ready!(pipe.poll_fill(&from, left, cx)).unwrap() as u64;
                }
                let drained = pipe.poll_drain(&to, cx);
                has_waited |= drained.is_pending();
                ready!(drained).unwrap();
            }
            Poll::Ready(())
        });
        let receive = async {
            let (mut got, mut buffer) = (0, vec![0; 1 << 20]);
            while got < total {
                got += receiver.read(&mut buffer).await.unwrap();
            }
        };
        tokio::join!(send, pass, receive);
        assert!(has_waited);
    });
}

#[test]
fn the_end_of_a_stream_is_told_from_a_stream_with_nothing_in_it() {
    run(async {
        let (sender, from) = connected().await;
        let mut pipe = Pipes::default().take().unwrap();
        drop(sender);
        assert_eq!(poll_fn(|cx| pipe.poll_fill(&from, 5, cx)).await.unwrap(), 0);
    });
}

#[test]
fn a_pipe_with_something_in_it_is_never_given_out() {
    run(async {
        let (mut sender, from) = connected().await;
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        sender.write_all(b"secret").await.unwrap();
        poll_fn(|cx| pipe.poll_fill(&from, 6, cx)).await.unwrap();
        pipes.give_back(pipe);
        assert!(pipes.idle.borrow().is_empty());
        assert_eq!(pipes.open.get(), 0, "it is closed");
    });
}

#[test]
fn pipes_are_limited_and_used_again() {
    let pipes = Pipes::default();
    let taken: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).collect();
    assert_eq!(taken.len(), PIPES_MAX);
    taken.into_iter().for_each(|pipe| pipes.give_back(pipe));
    let again = pipes.take();
    assert!(again.is_some());
    assert_eq!(pipes.open.get(), PIPES_MAX, "it is one of them");
}

#[test]
fn a_system_that_does_not_splice_is_not_asked_again() {
    let pipes = Pipes::default();
    let pipe = pipes.take().unwrap();
    assert!(!pipes.note(&io::ErrorKind::ConnectionReset.into()), "that is about one connection");
    assert!(pipes.note(&io::Error::from_raw_os_error(rustix::io::Errno::NOSYS.raw_os_error())));
    assert!(pipes.take().is_none());
    pipes.give_back(pipe);
    assert!(pipes.take().is_none());
}
