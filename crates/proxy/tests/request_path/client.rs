//! A client: a bare connection that writes what it is told and reads answers.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::message::Message;
use crate::world::SOON;

/// A connection to the proxy.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// A connection that takes next to nothing before it is read from: its window is small, and its segments, which keep the other
    /// end's buffer small too.
    pub(crate) fn narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Writes this, as it is.
    pub(crate) fn send(&mut self, text: &str) -> &mut Self {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        self
    }

    /// Writes what is no text.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a GET.
    pub(crate) fn get(&mut self, path: &str) -> Message {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).answer()
    }

    /// Reads an answer with its body.
    pub(crate) fn answer(&mut self) -> Message {
        let mut answer = self.head();
        answer.read_body(&mut self.0).expect("the body is whole");
        answer
    }

    /// Reads the head of an answer, of which no body follows or is wanted yet.
    pub(crate) fn head(&mut self) -> Message {
        Message::read_head(&mut self.0).expect("an answer")
    }

    /// Reads the rest of an answer; `None` when it breaks off.
    pub(crate) fn body_of(&mut self, mut head: Message) -> Option<Message> {
        head.read_body(&mut self.0)?;
        Some(head)
    }

    /// Reads exactly so many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.0.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What comes until the proxy closes; an error when it resets the connection.
    pub(crate) fn rest(&mut self) -> Result<String, ErrorKind> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).map_err(|error| error.kind())?;
        Ok(text)
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        SockRef::from(self.0.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The bare stream, for bodies that are checked as they come.
    pub(crate) fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.0
    }

    /// Writes to the same connection, from another thread.
    pub(crate) fn sender(&self) -> TcpStream {
        self.0.get_ref().try_clone().unwrap()
    }

    /// Closes the sending half.
    pub(crate) fn half_close(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
    }
}
