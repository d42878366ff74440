//! Connects to the first of several addresses that takes the connection (RFC 8305 section 5).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How much earlier than the next address each is tried: the "Connection Attempt Delay" of RFC 8305 section 8.
const HEAD_START: Duration = Duration::from_millis(250);

/// Tries the addresses in their order. The next one is tried when one has failed, or has not succeeded within its head start; whichever
/// takes the connection first has it.
///
/// # Errors
/// What the last one that failed said.
pub(crate) async fn connect(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter().peekable();
    let mut tries = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    loop {
        tries.extend(addresses.next().map(TcpStream::connect));
        tokio::select! {
            tried = tries.next() => match tried {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failure = error,
                None => return Err(failure),
            },
            () = sleep(HEAD_START), if addresses.peek().is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn one_that_refuses_is_followed_by_the_next_at_once() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = connect([nobody(), nobody(), there]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert!(began.elapsed() < HEAD_START);
    }

    #[tokio::test]
    async fn one_that_is_silent_has_a_head_start_and_no_more() {
        let silent = silent();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let there = listener.local_addr().unwrap();
        let began = Instant::now();
        let stream = connect([silent.1, there]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert!(began.elapsed() >= HEAD_START);
    }

    #[tokio::test]
    async fn when_all_refuse_it_is_said_that_they_do() {
        let error = connect([nobody(), nobody()]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect([]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A port that nobody listens on.
    fn nobody() -> SocketAddr {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
    }

    /// A listener whose queue is full, so that the kernel answers nothing; and what fills it.
    fn silent() -> ((TcpListener, Vec<TcpStream>), SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let fill = (0..8).filter_map(|_| {
            let stream = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()?;
            stream.set_nonblocking(true).ok()?;
            TcpStream::from_std(stream).ok()
        });
        let fill = fill.collect();
        ((listener, fill), address)
    }
}
