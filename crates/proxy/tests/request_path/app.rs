//! An app server: a thread per connection that plays a script.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::message::Message;
use crate::world::SOON;

/// An app server on a port of its own. What it hears can be waited for.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    heard: Receiver<Message>,
    connections: Arc<AtomicUsize>,
}

/// One connection to the app.
pub(crate) struct Visit {
    stream: BufReader<TcpStream>,
    heard: Sender<Message>,
    /// Which connection it is, from 1.
    pub(crate) nth: usize,
}

impl App {
    /// An app that plays `script` on every connection.
    pub(crate) fn playing(script: impl Fn(Visit) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, receiver) = channel();
        let script = Arc::new(script);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                count.store(at + 1, Relaxed);
                stream.set_read_timeout(Some(SOON * 2)).unwrap();
                let visit = Visit { stream: BufReader::new(stream), heard: heard.clone(), nth: at + 1 };
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(visit));
            }
        });
        Self { address, heard: receiver, connections }
    }

    /// An app that answers every request with `text`.
    pub(crate) fn saying(text: &'static str) -> Self {
        Self::playing(move |mut visit| while visit.request().is_some() && visit.say(text) {})
    }

    /// An app that answers requests one by one with the next of these, as they are; then it closes.
    pub(crate) fn answering(answers: &'static [&'static str]) -> Self {
        let next = Mutex::new(answers.iter());
        Self::playing(move |mut visit| {
            while visit.request().is_some() {
                let (answer, left) = {
                    let mut next = next.lock().unwrap();
                    (next.next(), next.len())
                };
                if !answer.is_some_and(|answer| visit.send(answer)) || left == 0 {
                    return;
                }
            }
        })
    }

    /// The next request that it heard whole.
    pub(crate) fn heard(&self) -> Message {
        self.heard.recv_timeout(SOON).expect("the app hears a request")
    }

    /// How many connections it had so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Whether it has heard nothing more.
    pub(crate) fn is_idle(&self) -> bool {
        self.heard.try_recv().is_err()
    }
}

impl Visit {
    /// Reads the next request with its body; `None` when the connection ends.
    pub(crate) fn request(&mut self) -> Option<Message> {
        let mut request = self.head()?;
        self.body_of(&mut request)?;
        Some(request)
    }

    /// Reads the head of the next request.
    pub(crate) fn head(&mut self) -> Option<Message> {
        Message::read_head(&mut self.stream)
    }

    /// Reads the body of a request.
    pub(crate) fn body_of(&mut self, request: &mut Message) -> Option<()> {
        request.read_body(&mut self.stream)?;
        self.tell(request.clone());
        Some(())
    }

    /// Lets the test hear this.
    pub(crate) fn tell(&self, heard: Message) {
        // The test may have stopped listening.
        let _ = self.heard.send(heard);
    }

    /// Sends this, as it is; `false` when the connection is gone.
    pub(crate) fn send(&mut self, text: &str) -> bool {
        self.stream.get_mut().write_all(text.as_bytes()).is_ok()
    }

    /// Answers 200 with this body.
    pub(crate) fn say(&mut self, text: &str) -> bool {
        self.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    }

    /// Waits until the other side closes.
    pub(crate) fn wait_for_close(&mut self) {
        while self.head().is_some() {}
    }

    /// The bare stream, for what is not HTTP.
    pub(crate) fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.stream
    }
}
