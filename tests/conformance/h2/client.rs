//! A client of HTTP/2 that can also do what no client should, and judges everything it gets.

use std::collections::BTreeMap;

use super::answer::{Answer, End, field, is_sound};
use super::frame::{Code, Frame, PREFACE, flag, kind, setting};
use super::hpack;
use super::link::{Block, Link};
use crate::upstream::MARKER;
use crate::wire::Fault;

/// What a side may send at first (section 6.9.2).
const WINDOW: i64 = 65_535;

/// A client whose connection has begun.
pub(crate) struct Client {
    pub(crate) link: Link,
    /// The id of the next stream.
    pub(crate) next: u32,
    answers: BTreeMap<u32, Answer>,
    /// What the proxy said of itself.
    pub(crate) settings: BTreeMap<u16, u32>,
    /// How often it took note of what the client said of itself.
    pub(crate) acks: usize,
    pub(crate) pongs: Vec<Vec<u8>>,
    pub(crate) goaway: Option<(u32, Code)>,
    /// How much it may send, by stream, and by 0 for the connection; the initial value where there is none.
    room: BTreeMap<u32, i64>,
    /// Whether it lets the proxy send more, as soon as something came.
    pub(crate) is_refilling: bool,
}

impl Client {
    /// Begins: says what it must, with `settings`, and waits until both sides took note of each other.
    pub(crate) fn greet(mut link: Link, settings: &[(u16, u32)]) -> Result<Self, String> {
        link.write(&[PREFACE, &Frame::settings(settings).bytes()].concat());
        let mut client = Self {
            link,
            next: 1,
            answers: BTreeMap::new(),
            settings: BTreeMap::new(),
            acks: 0,
            pongs: Vec::new(),
            goaway: None,
            room: BTreeMap::new(),
            is_refilling: true,
        };
        client.until("the end of the greeting", |client| client.acks > 0)?;
        Ok(client)
    }

    /// Sends a request without a body. Answers its stream.
    pub(crate) fn request<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)]) -> u32 {
        self.head(fields, flag::END_HEADERS | flag::END_STREAM)
    }

    /// Sends the head of a request whose body follows. Answers its stream.
    pub(crate) fn open<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)]) -> u32 {
        self.head(fields, flag::END_HEADERS)
    }

    fn head<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)], flags: u8) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.send(&Frame::new(kind::HEADERS, flags, stream, hpack::encode(fields)));
        stream
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.link.send(frame);
    }

    /// Sends a part of a body.
    pub(crate) fn data(&mut self, stream: u32, bytes: impl AsRef<[u8]>) {
        self.send(&Frame::data(stream, flag::NONE, bytes));
    }

    /// Sends the last part of a body.
    pub(crate) fn last_data(&mut self, stream: u32, bytes: impl AsRef<[u8]>) {
        self.send(&Frame::data(stream, flag::END_STREAM, bytes));
    }

    pub(crate) fn trailers(&mut self, stream: u32, fields: &[(&str, &str)]) {
        let flags = flag::END_HEADERS | flag::END_STREAM;
        self.send(&Frame::new(kind::HEADERS, flags, stream, hpack::encode(fields)));
    }

    /// Sends a body of so many bytes as the proxy lets it.
    pub(crate) fn upload(&mut self, stream: u32, length: usize) -> Result<(), String> {
        let mut left = length;
        while left > 0 {
            let room = self.room_of(0).min(self.room_of(stream));
            let part = usize::try_from(room).unwrap_or(0).min(left).min(16 << 10);
            if part == 0 {
                self.step().map_err(|fault| format!("expected room for {left} bytes, seen {fault}"))?;
                continue;
            }
            left -= part;
            for window in [0, stream] {
                let room = self.room_of(window);
                self.room.insert(window, room - i64::try_from(part).unwrap_or(0));
            }
            self.send(&Frame::data(
                stream,
                if left == 0 { flag::END_STREAM } else { flag::NONE },
                vec![b'x'; part],
            ));
        }
        Ok(())
    }

    /// How much the proxy lets it send on a stream, or on the connection, which is 0.
    fn room_of(&self, stream: u32) -> i64 {
        let initial = match self.settings.get(&setting::INITIAL_WINDOW_SIZE) {
            Some(&initial) if stream != 0 => i64::from(initial),
            _ => WINDOW,
        };
        self.room.get(&stream).copied().unwrap_or(initial)
    }

    /// What has come on a stream so far.
    pub(crate) fn so_far(&self, stream: u32) -> Answer {
        self.answers.get(&stream).cloned().unwrap_or_default()
    }

    /// Waits until a stream has ended.
    pub(crate) fn ended(&mut self, stream: u32) -> Result<Answer, String> {
        self.until(&format!("the end of stream {stream}"), |client| client.so_far(stream).end.is_some())?;
        Ok(self.so_far(stream))
    }

    /// Waits for a whole answer with this status.
    pub(crate) fn gets(&mut self, stream: u32, status: u16) -> Result<Answer, String> {
        let answer = self.ended(stream)?;
        if answer.end == Some(End::Whole) && answer.status() == Some(&status.to_string()) {
            return Ok(answer);
        }
        Err(format!("expected {status} on stream {stream}, seen {answer:?}"))
    }

    /// Waits until a stream is reset or answered with 400: what RFC 9113 section 8.1.1 wants of the malformed. Section 5.4.1 lets that end the
    /// connection as well. Answers whether it goes on.
    pub(crate) fn refuses(&mut self, stream: u32) -> Result<bool, String> {
        let is_over = |client: &Self| client.so_far(stream).end.is_some() || client.goaway.is_some();
        self.until(&format!("the end of stream {stream}"), is_over)?;
        if self.goaway.is_some() {
            return self.goes_away(&[Code::PROTOCOL_ERROR]).map(|_| false);
        }
        let answer = self.so_far(stream);
        match (&answer.end, answer.status()) {
            (Some(End::Reset(Code::PROTOCOL_ERROR)), None) | (_, Some("400")) => Ok(true),
            _ => Err(format!("expected a refusal of stream {stream}, seen {answer:?}")),
        }
    }

    /// The same for what was found malformed only after something of it was sent on: there is no answer, or none that is complete.
    pub(crate) fn breaks_off(&mut self, stream: u32) -> Result<bool, String> {
        let is_over = |client: &Self| client.so_far(stream).end.is_some() || client.goaway.is_some();
        self.until(&format!("the end of stream {stream}"), is_over)?;
        if self.goaway.is_some() {
            return self.goes_away(&[Code::PROTOCOL_ERROR]).map(|_| false);
        }
        self.is_reset(stream, &[Code::PROTOCOL_ERROR]).map(|_| true)
    }

    /// Waits until a stream is reset with this code, whatever came before.
    pub(crate) fn is_reset(&mut self, stream: u32, codes: &[Code]) -> Result<Answer, String> {
        let answer = self.ended(stream)?;
        match answer.end {
            Some(End::Reset(code)) if codes.contains(&code) => Ok(answer),
            _ => Err(format!("expected {codes:?} on stream {stream}, seen {answer:?}")),
        }
    }

    /// Waits until the stream or its connection ends with one of these codes, whichever the proxy chose.
    pub(crate) fn is_cut_off(&mut self, stream: u32, codes: &[Code]) -> Result<(), String> {
        loop {
            if self.goaway.is_some() {
                return self.goes_away(codes).map(drop);
            }
            if self.so_far(stream).end.is_some() {
                return self.is_reset(stream, codes).map(drop);
            }
            match self.step() {
                Ok(()) => {}
                // It may overtake what the proxy said.
                Err(Fault::Reset) => return Ok(()),
                Err(fault) => return Err(format!("expected {codes:?} on stream {stream}, seen {fault}")),
            }
        }
    }

    /// Waits until the proxy goes away with one of these codes, and closes.
    pub(crate) fn goes_away(&mut self, codes: &[Code]) -> Result<u32, String> {
        while self.goaway.is_none() {
            match self.step() {
                Ok(()) => {}
                // What the client had on its way when the proxy closed makes a reset of it, which may overtake the GOAWAY.
                Err(Fault::Reset) => return Ok(0),
                Err(fault) => return Err(format!("expected a GOAWAY with {codes:?}, seen {fault}")),
            }
        }
        let (last, code) = self.goaway.unwrap_or((0, Code::NO_ERROR));
        if !codes.contains(&code) {
            return Err(format!("expected a GOAWAY with {codes:?}, seen {code:?}"));
        }
        match self.link.rest() {
            Fault::Closed | Fault::Reset => Ok(last),
            fault => Err(format!("after its GOAWAY: expected the end, seen {fault}")),
        }
    }

    /// Sees that the connection serves another request.
    pub(crate) fn serves(&mut self) -> Result<(), String> {
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", MARKER)];
        let stream = self.request(&fields);
        let answer = self.gets(stream, 200).map_err(|problem| format!("another request: {problem}"))?;
        if answer.body == b"marker" {
            Ok(())
        } else {
            Err(format!("another request was answered with {answer:?}"))
        }
    }

    /// Sends a PING and waits until it is answered: everything before it was looked at by then.
    pub(crate) fn sync(&mut self) -> Result<(), String> {
        self.send(&Frame::ping(*b"are here"));
        self.until("the answer to a PING", |client| client.pongs.iter().any(|pong| pong == b"are here"))?;
        self.pongs.retain(|pong| pong != b"are here");
        Ok(())
    }

    /// Takes frames until something is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        while !is_so(self) {
            self.step().map_err(|fault| {
                let (goaway, answers) = (self.goaway, &self.answers);
                format!("expected {what}, seen {fault} after {answers:?} and the GOAWAY {goaway:?}")
            })?;
        }
        Ok(())
    }

    /// Takes one frame.
    fn step(&mut self) -> Result<(), Fault> {
        let frame = self.link.frame()?;
        match frame.kind {
            kind::HEADERS => {
                let block = self.link.block(&frame)?;
                self.take_block(block)?;
            }
            kind::DATA => self.take_data(&frame)?,
            kind::RST_STREAM => self.answer(frame.stream).end = Some(End::Reset(Code(frame.number(0)))),
            kind::SETTINGS if frame.has(flag::ACK) => self.acks += 1,
            kind::SETTINGS => {
                for setting in frame.payload.chunks_exact(6) {
                    let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
                    self.settings.insert(u16::from_be_bytes([setting[0], setting[1]]), value);
                }
                self.send(&Frame::new(kind::SETTINGS, flag::ACK, 0, ""));
            }
            kind::PING if frame.has(flag::ACK) => self.pongs.push(frame.payload),
            kind::PING => self.send(&Frame::new(kind::PING, flag::ACK, 0, frame.payload)),
            kind::GOAWAY => self.goaway = Some((frame.number(0), Code(frame.number(4)))),
            kind::WINDOW_UPDATE => {
                let room = self.room_of(frame.stream) + i64::from(frame.number(0));
                self.room.insert(frame.stream, room);
            }
            _ => return Err(Fault::Malformed(format!("{frame:?}"))),
        }
        Ok(())
    }

    fn take_block(&mut self, block: Block) -> Result<(), Fault> {
        let Block { stream, fields, is_last } = block;
        let malformed = || Fault::Malformed(format!("the fields {fields:?}"));
        let answer = self.answer(stream);
        let is_head = answer.head.is_empty();
        if answer.end.is_some() || !is_sound(&fields, if is_head { &[":status"] } else { &[] }) {
            return Err(malformed());
        }
        if !is_head {
            answer.trailers = Some(fields);
        } else if field(&fields, ":status").is_some_and(|status| status.starts_with('1')) && !is_last {
            answer.interim.push(fields);
        } else {
            answer.head = fields;
        }
        if is_last {
            answer.end = Some(End::Whole);
        }
        Ok(())
    }

    fn take_data(&mut self, frame: &Frame) -> Result<(), Fault> {
        let answer = self.answer(frame.stream);
        if answer.head.is_empty() || answer.end.is_some() || frame.has(flag::PADDED) {
            return Err(Fault::Malformed(format!("{frame:?}")));
        }
        answer.body.extend_from_slice(&frame.payload);
        if frame.has(flag::END_STREAM) {
            answer.end = Some(End::Whole);
        }
        if self.is_refilling && !frame.payload.is_empty() {
            let more = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
            self.send(&Frame::window_update(0, more));
            if !frame.has(flag::END_STREAM) {
                self.send(&Frame::window_update(frame.stream, more));
            }
        }
        Ok(())
    }

    fn answer(&mut self, stream: u32) -> &mut Answer {
        self.answers.entry(stream).or_default()
    }
}

/// Settings that a client without wishes has: no table, so that blocks stay readable by eye.
pub(crate) const PLAIN: [(u16, u32); 2] = [(setting::HEADER_TABLE_SIZE, 0), (setting::ENABLE_PUSH, 0)];
