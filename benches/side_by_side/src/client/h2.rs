//! A client of HTTP/2: many requests at a time, which leave together when the answers to those before them came together.

use std::net::TcpStream;

use super::{Ask, Way};
use crate::error::Error;
use crate::frame::{self, ACK, Block, END_HEADERS, END_STREAM, Field, Frame, Kind, PREFACE, WINDOW};
use crate::tls::NAME;
use crate::transport::Transport;

/// Of the static table (RFC 7541 appendix A).
const GET: Field<'_> = Field::Static(2);
const POST: Field<'_> = Field::Static(3);
const HTTP: Field<'_> = Field::Static(6);
const HTTPS: Field<'_> = Field::Static(7);

/// A message of gRPC: not compressed, its length, and 32 bytes.
pub(crate) const MESSAGE: &[u8; 37] = b"\0\0\0\0\x20abcdefghijklmnopqrstuvwxyz012345";

#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
    request: Request,
    input: Vec<u8>,
    output: Vec<u8>,
    answers: Answers,
}

#[derive(Debug)]
struct Request {
    head: Block,
    body: &'static [u8],
    /// The stream of the next one.
    stream: u32,
    /// How much of bodies the proxy takes.
    window: i64,
}

/// Answers that are arriving.
#[derive(Debug)]
struct Answers {
    open: Vec<Open>,
    body_expected: u64,
    /// An answer to a call ends in trailers, another one in its body.
    ends_in: Kind,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    stream: u32,
    has_head: bool,
    received: u64,
}

impl Client {
    pub(crate) fn new(mut transport: Transport, ask: &Ask, cookie: &str) -> Result<Self, Error> {
        let mut greeting = PREFACE.to_vec();
        frame::put_greeting(&mut greeting);
        transport.send(&greeting)?;
        let is_call = ask.way == Way::Grpc;
        Ok(Self {
            transport,
            request: Request {
                head: if is_call { call(ask.path) } else { get(ask, cookie) },
                body: if is_call { &MESSAGE[..] } else { &[] },
                stream: 1,
                window: WINDOW,
            },
            input: Vec::new(),
            output: Vec::new(),
            answers: Answers {
                open: Vec::new(),
                body_expected: ask.body as u64,
                ends_in: if is_call { Kind::Headers } else { Kind::Data },
            },
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.transport.stream()
    }

    /// Begins a request, which leaves at the next [`Self::flush`].
    pub(crate) fn send(&mut self) -> Result<(), Error> {
        let Request { head, body, stream, window } = &mut self.request;
        let head = if *stream == 1 { &head.first } else { &head.again };
        let end = if body.is_empty() { END_STREAM } else { 0 };
        frame::put(&mut self.output, Kind::Headers, END_HEADERS | end, *stream, head);
        if !body.is_empty() {
            *window -= body.len() as i64;
            if *window < 0 {
                return Err(Error::Http2("its window is exhausted".to_owned()));
            }
            frame::put(&mut self.output, Kind::Data, END_STREAM, *stream, body);
        }
        self.answers.open.push(Open { stream: *stream, has_head: false, received: 0 });
        *stream += 2;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = self.transport.send(&self.output);
        self.output.clear();
        sent
    }

    /// Takes what has arrived. The number of answers that it completed.
    pub(crate) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize, Error> {
        let input = &mut self.input;
        self.transport.receive(scratch, |bytes| {
            input.extend_from_slice(bytes);
            Ok(())
        })?;
        let (mut completed, mut read) = (0, 0);
        while let Some((frame, length)) = Frame::first(&self.input[read..]) {
            read += length;
            match frame.kind {
                Kind::Headers | Kind::Data => completed += usize::from(self.answers.take(&frame)?),
                Kind::Settings | Kind::Ping if frame.flags & ACK == 0 => {
                    let echo = if frame.kind == Kind::Ping { frame.payload } else { &[] };
                    frame::put(&mut self.output, frame.kind, ACK, 0, echo);
                }
                Kind::WindowUpdate if frame.stream == 0 => self.request.window += frame.increment(),
                Kind::Reset | Kind::GoAway => {
                    return Err(Error::Http2(format!("{:?} {:?}", frame.kind, frame.payload)));
                }
                Kind::Settings | Kind::Ping | Kind::WindowUpdate | Kind::Other => {}
            }
        }
        self.input.drain(..read);
        if completed == 0 {
            // What is left to say now has nothing to wait for.
            self.flush()?;
        }
        Ok(completed)
    }
}

impl Answers {
    /// Takes a frame of an answer. True when it is the last one.
    fn take(&mut self, frame: &Frame<'_>) -> Result<bool, Error> {
        let index = self.open.iter().position(|open| open.stream == frame.stream);
        let Some((index, open)) = index.and_then(|index| Some((index, self.open.get_mut(index)?))) else {
            return Err(Error::Http2("an answer that nobody asked for".to_owned()));
        };
        if frame.kind == Kind::Data {
            open.received += frame.data_length() as u64;
        } else if !open.has_head {
            open.has_head = true;
            if !frame.says_200() {
                return Err(Error::Http2("a status other than 200".to_owned()));
            }
        }
        if !frame.ends_stream() {
            return Ok(false);
        }
        let open = self.open.swap_remove(index);
        if open.received != self.body_expected {
            return Err(Error::Length { got: open.received, expected: self.body_expected });
        }
        // Some end a body with an empty frame of data, which is as good.
        if frame.kind != self.ends_in {
            return Err(Error::Http2(format!("an answer that ends in {:?}", frame.kind)));
        }
        Ok(true)
    }
}

/// A request as a browser's script makes it: the same fields as over HTTP/1.1.
fn get(ask: &Ask, cookie: &str) -> Block {
    let scheme = if ask.way == Way::H2c { HTTP } else { HTTPS };
    let mut fields = vec![
        GET,
        scheme,
        Field::New(":authority", NAME),
        Field::New(":path", ask.path),
        Field::New("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        Field::New("accept", "application/json, text/plain, */*"),
        Field::New("accept-language", "en-GB,en;q=0.5"),
        Field::New("accept-encoding", "gzip, deflate, br"),
        // Each cookie by itself, as browsers do (RFC 9113 section 8.2.3).
        Field::New("cookie", "session=0123456789abcdef0123456789abcdef"),
    ];
    if !cookie.is_empty() {
        fields.extend(cookie.split("; ").map(|pair| Field::New("cookie", pair)));
    }
    let [block] = frame::blocks([&fields]);
    block
}

fn call(path: &str) -> Block {
    let [block] = frame::blocks([&[
        POST,
        HTTPS,
        Field::New(":authority", NAME),
        Field::New(":path", path),
        Field::New("content-type", "application/grpc"),
        Field::New("te", "trailers"),
        Field::New("user-agent", "grpc-rust/1.0"),
        Field::New("grpc-timeout", "5S"),
    ]]);
    block
}
