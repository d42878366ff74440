//! The connection between the two processes: messages, each behind its length, and descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::WRITE_WITHIN;
use super::message::Message;

/// Bytes of a message: the state of ten thousand services.
const MESSAGE_MAX: usize = 64 << 20;
/// Descriptors that are sent at a time. The system allows 253.
const BATCH: usize = 64;
/// What carries descriptors, because nothing can't.
const CARRIER: [u8; 1] = *b"F";

/// One end of the connection.
#[derive(Debug)]
pub(crate) struct Link {
    sender: Sender,
    receiver: Receiver,
}

/// Its sending half.
#[derive(Debug)]
pub(crate) struct Sender(OwnedWriteHalf);

/// Its receiving half.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: OwnedReadHalf,
    /// What has come of the next message, with its length.
    begun: Vec<u8>,
}

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        Self { sender: Sender(write), receiver: Receiver { stream: read, begun: Vec::new() } }
    }

    /// See [`Sender::send`].
    pub(crate) async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.sender.send(message).await
    }

    /// See [`Receiver::receive`].
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Message>> {
        self.receiver.receive().await
    }

    /// Both halves, for two tasks: neither ever waits for the other.
    pub(crate) fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Sends descriptors, all of which [`receive_descriptors`](Self::receive_descriptors) has to take next.
    pub(crate) async fn send_descriptors(&mut self, descriptors: &[OwnedFd]) -> io::Result<()> {
        let stream: &UnixStream = self.sender.0.as_ref();
        for batch in descriptors.chunks(BATCH) {
            let batch: Vec<BorrowedFd<'_>> = batch.iter().map(AsFd::as_fd).collect();
            let send = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !control.push(SendAncillaryMessage::ScmRights(&batch)) {
                    return Err(io::Error::other("too many descriptors at a time"));
                }
                Ok(sendmsg(stream, &[IoSlice::new(&CARRIER)], &mut control, SendFlags::NOSIGNAL)?)
            };
            timeout(WRITE_WITHIN, stream.async_io(Interest::WRITABLE, send)).await??;
        }
        Ok(())
    }

    /// Takes so many descriptors that were sent.
    pub(crate) async fn receive_descriptors(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let stream: &UnixStream = self.receiver.stream.as_ref();
        let mut descriptors = Vec::new();
        while descriptors.len() < count {
            let receive = || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut carrier = [0; CARRIER.len()];
                let mut parts = [IoSliceMut::new(&mut carrier)];
                recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
                let rights = control.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(rights) => Some(rights),
                    _ => None,
                });
                Ok(rights.flatten().collect::<Vec<OwnedFd>>())
            };
            let batch = stream.async_io(Interest::READABLE, receive).await?;
            if batch.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "descriptors are missing"));
            }
            descriptors.extend(batch);
        }
        Ok(descriptors)
    }
}

impl Sender {
    /// Sends a message. One that is dropped in the middle breaks the connection.
    pub(crate) async fn send(&mut self, message: &Message) -> io::Result<()> {
        let mut frame = vec![0; 4];
        serde_json::to_writer(&mut frame, message)?;
        let length = frame.len() - 4;
        let length = u32::try_from(length).ok().filter(|_| length <= MESSAGE_MAX);
        let length = length.ok_or_else(|| io::Error::other("the message is too large"))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        timeout(WRITE_WITHIN, self.0.write_all(&frame)).await?
    }
}

impl Receiver {
    /// Waits for the next message; `None` when the other process has closed its end. May be dropped and called again. Not a byte more is
    /// read than the message has: descriptors may come behind it.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            let wanted = match self.begun.first_chunk::<4>() {
                None => 4,
                Some(length) => 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX - 4),
            };
            if wanted > 4 + MESSAGE_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too large"));
            }
            if self.begun.len() == wanted && wanted > 4 {
                let message = serde_json::from_slice(&self.begun[4..]);
                self.begun.clear();
                return Ok(Some(message?));
            }
            let missing = wanted - self.begun.len();
            if missing == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is empty"));
            }
            let mut part = (&mut self.stream).take(missing as u64);
            match part.read_buf(&mut self.begun).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                // It died with something of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Link, Link) {
        let (one, other) = UnixStream::pair().unwrap();
        (Link::new(one), Link::new(other))
    }

    #[tokio::test]
    async fn messages_and_descriptors_arrive_in_their_order() {
        let (mut one, mut other) = pair();
        let sockets: Vec<TcpListener> = (0..150).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let descriptors: Vec<OwnedFd> = sockets.into_iter().map(OwnedFd::from).collect();

        one.send(&Message::Prepared).await.unwrap();
        one.send_descriptors(&descriptors).await.unwrap();
        one.send(&Message::Ready).await.unwrap();

        assert_eq!(other.receive().await.unwrap(), Some(Message::Prepared));
        let received = other.receive_descriptors(150).await.unwrap();
        let received = received.into_iter().map(|fd| TcpListener::from(fd).local_addr().unwrap());
        assert_eq!(received.collect::<Vec<_>>(), addresses);
        assert_eq!(other.receive().await.unwrap(), Some(Message::Ready));
    }

    #[tokio::test]
    async fn a_message_may_come_in_pieces_between_which_nobody_waits_for_it() {
        let (one, mut other) = pair();
        let mut raw = one.sender.0;
        let text = serde_json::to_vec(&Message::Go).unwrap();
        let frame = [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], &text].concat();
        for byte in &frame[..frame.len() - 1] {
            raw.write_all(&[*byte]).await.unwrap();
            let waited = timeout(std::time::Duration::from_millis(1), other.receive()).await;
            assert!(waited.is_err());
        }
        raw.write_all(&frame[frame.len() - 1..]).await.unwrap();
        assert_eq!(other.receive().await.unwrap(), Some(Message::Go));
    }

    #[tokio::test]
    async fn the_end_of_the_other_process_is_no_message() {
        let (one, mut other) = pair();
        drop(one);
        assert_eq!(other.receive().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        for bytes in [&[0xff_u8; 8][..], &[0; 8], &[0, 0, 0, 2, b'{', b'x'], &[0, 0, 0, 1, b'1']] {
            let (one, mut other) = pair();
            let mut raw = one.sender.0;
            raw.write_all(bytes).await.unwrap();
            assert!(other.receive().await.is_err(), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn descriptors_that_never_come_are_an_error() {
        let (one, mut other) = pair();
        drop(one);
        assert!(other.receive_descriptors(1).await.is_err());
    }
}
