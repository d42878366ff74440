//! The one thread that is both sides of the proxy: its clients and the application behind it.
//!
//! Client and origin share a thread and a core, so that the machine does nothing but proxy and traffic, and nothing is woken up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::{Ask, Client, Way};
use crate::error::{Doing as _, Error};
use crate::origin::Origin;
use crate::poll::Poll;
use crate::tls::Tls;

/// Tokens from here on are the clients'.
const CLIENTS: u64 = 1 << 32;
const SCRATCH: usize = 256 << 10;
/// A request that takes longer makes its run invalid.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Stage {
    poll: Poll,
    origin: Origin,
    tls: Tls,
    clients: Vec<Client>,
    /// Clients that have requests which wait to leave.
    unflushed: Vec<usize>,
    tokens: Vec<u64>,
    scratch: Vec<u8>,
}

impl Stage {
    pub(crate) fn new() -> Result<Self, Error> {
        let poll = Poll::new().doing("creating an epoll")?;
        let origin = Origin::start(&poll).doing("starting the origin")?;
        Ok(Self {
            poll,
            origin,
            tls: Tls::generate()?,
            clients: Vec::new(),
            unflushed: Vec::new(),
            tokens: Vec::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    /// Where the application listens.
    pub(crate) fn backends(&self) -> Result<Vec<SocketAddr>, Error> {
        self.origin.addresses().doing("asking for the origin's address")
    }

    /// What the proxy must show.
    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Opens a connection and returns its number.
    pub(crate) fn connect(&mut self, ask: &Ask, cookie: &str) -> Result<usize, Error> {
        let client = Client::connect(ask, &self.tls, cookie)?;
        let number = self.clients.len();
        self.poll.watch(client.stream(), CLIENTS + number as u64).doing("watching a connection")?;
        self.clients.push(client);
        Ok(number)
    }

    /// Opens a connection in place of `number`, which is closed.
    pub(crate) fn reconnect(&mut self, number: usize, ask: &Ask, cookie: &str) -> Result<(), Error> {
        let client = Client::connect(ask, &self.tls, cookie)?;
        self.poll.watch(client.stream(), CLIENTS + number as u64).doing("watching a connection")?;
        self.clients[number] = client;
        Ok(())
    }

    /// Opens `count` connections, each with the pin that its first answer gave it, as a returning visitor has one.
    pub(crate) fn connect_pinned(&mut self, ask: &Ask, count: usize) -> Result<(), Error> {
        self.hang_up();
        for _ in 0..count {
            let cookie = self.pin(ask)?;
            let number = self.connect(ask, &cookie)?;
            self.exchange(number)?;
        }
        Ok(())
    }

    /// The cookies that a new visitor is given. Those of HTTP/2 are asked for over HTTP/1.1, which the client can read them from.
    pub(crate) fn pin(&mut self, ask: &Ask) -> Result<String, Error> {
        let way = match ask.way {
            Way::Http1 | Way::H2c => Way::Http1,
            Way::Https | Way::H2 => Way::Https,
            // They come without cookies.
            Way::Grpc | Way::Handshake => return Ok(String::new()),
        };
        let number = self.connect(&ask.by(way), "")?;
        self.exchange(number)?;
        let cookies = self.clients.pop().map(|visitor| visitor.cookies());
        Ok(cookies.unwrap_or_default())
    }

    /// Makes one request on one connection, and waits for its answer.
    pub(crate) fn exchange(&mut self, number: usize) -> Result<(), Error> {
        let mut finished = Vec::new();
        let start = Instant::now();
        self.send(number)?;
        while !finished.contains(&number) {
            self.turn(&mut finished)?;
            if start.elapsed() > ANSWER_WITHIN {
                return Err(Error::TooLong("an answer".to_owned()));
            }
        }
        Ok(())
    }

    /// Makes one request on every connection at the same time, and waits for all the answers.
    pub(crate) fn exchange_all(&mut self) -> Result<(), Error> {
        let mut finished = Vec::new();
        let start = Instant::now();
        for number in 0..self.clients.len() {
            self.send(number)?;
        }
        while finished.len() < self.clients.len() {
            self.turn(&mut finished)?;
            if start.elapsed() > ANSWER_WITHIN {
                return Err(Error::TooLong("an answer".to_owned()));
            }
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, number: usize) -> Result<(), Error> {
        self.unflushed.push(number);
        self.clients[number].send()
    }

    /// Serves every socket that is ready, and adds to `finished` the connections whose answers have arrived.
    pub(crate) fn turn(&mut self, finished: &mut Vec<usize>) -> Result<(), Error> {
        for number in self.unflushed.drain(..) {
            self.clients[number].flush()?;
        }
        let mut tokens = std::mem::take(&mut self.tokens);
        self.poll.ready(&mut tokens).doing("waiting for sockets")?;
        for &token in &tokens {
            let number = usize::try_from(token % CLIENTS).unwrap_or(usize::MAX);
            if token < CLIENTS {
                self.origin.turn(&self.poll, number).doing("answering as the origin")?;
            } else if let Some(client) = self.clients.get_mut(number) {
                let completed = client.receive(&mut self.scratch)?;
                finished.extend(std::iter::repeat_n(number, completed));
            }
        }
        self.tokens = tokens;
        Ok(())
    }

    /// Keeps the origin answering for `time`, as to health checks.
    pub(crate) fn serve(&mut self, time: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let mut finished = Vec::new();
        while start.elapsed() < time {
            self.turn(&mut finished)?;
        }
        Ok(())
    }

    /// Closes every connection of the clients.
    pub(crate) fn hang_up(&mut self) {
        self.clients.clear();
        self.unflushed.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Addresses;
    use crate::origin::{LARGE, LEAN, SMALL};

    /// Asks the application itself.
    fn ask(stage: &Stage, path: &'static str, body: usize) -> Ask {
        let address = stage.backends().unwrap()[0];
        Ask {
            addresses: Addresses { http: address, tls: address, h2c: address },
            way: Way::Http1,
            path,
            body,
        }
    }

    #[test]
    fn all_answers_arrive_whole_on_a_connection_that_stays_open() {
        let mut stage = Stage::new().unwrap();
        for (path, body) in [("/small", SMALL), (LEAN, SMALL), ("/large", LARGE)] {
            let ask = ask(&stage, path, body);
            stage.connect_pinned(&ask, 3).unwrap();
            for number in [0, 1, 2, 0, 1, 2] {
                stage.exchange(number).unwrap();
            }
        }
    }

    #[test]
    fn another_length_than_the_expected_one_is_an_error() {
        let mut stage = Stage::new().unwrap();
        let ask = ask(&stage, "/small", SMALL + 1);
        let number = stage.connect(&ask, "").unwrap();
        assert!(matches!(stage.exchange(number), Err(Error::Length { got: 128, expected: 129 })));
    }
}
