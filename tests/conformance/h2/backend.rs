//! A backend of HTTP/2 that answers with frames of its own, right ones and wrong ones.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::{field, is_sound};
use super::frame::{Code, Frame, PREFACE, flag, kind};
use super::hpack::{self, Field};
use super::link::{Link, limited};
use crate::cut::Cut;
use crate::upstream::MARKER;
use crate::wire::Fault;

/// A request that reached the backend, as far as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// On which connection, from 0.
    pub(crate) connection: usize,
    pub(crate) stream: u32,
    pub(crate) head: Vec<Field>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) is_whole: bool,
}

/// What a backend does with a request, once it is there.
pub(crate) type Answer = dyn Fn(&mut Link, &Request) + Send + Sync;

/// What a case makes of the backend.
#[derive(Clone)]
pub(crate) struct Script {
    /// What it says of itself.
    pub(crate) settings: Vec<(u16, u32)>,
    /// Whether it answers heads, and does not wait for bodies.
    pub(crate) is_early: bool,
    /// Whether it lets the proxy send more, as soon as something came.
    pub(crate) is_refilling: bool,
    pub(crate) answer: Arc<Answer>,
}

#[derive(Clone)]
pub(crate) struct Backend {
    address: SocketAddr,
    board: Arc<Board>,
}

#[derive(Default)]
struct Board {
    state: Mutex<State>,
    connections: AtomicUsize,
}

#[derive(Default)]
struct State {
    script: Option<Script>,
    heard: Vec<Request>,
    faults: Vec<String>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

impl Script {
    pub(crate) fn new(answer: impl Fn(&mut Link, &Request) + Send + Sync + 'static) -> Self {
        Self { settings: Vec::new(), is_early: false, is_refilling: true, answer: Arc::new(answer) }
    }
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, board) = (listener.local_addr().unwrap(), Arc::new(Board::default()));
        let shared = Arc::clone(&board);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let board = Arc::clone(&shared);
                std::thread::spawn(move || board.serve(Link::over(limited(stream), Cut::Whole)));
            }
        });
        Self { address, board }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A case begins.
    pub(crate) fn begin(&self, script: &Script) {
        *self.board.state() = State { script: Some(script.clone()), ..State::default() };
    }

    /// What it heard but for markers, and what was wrong with it.
    pub(crate) fn end(&self) -> (Vec<Request>, Vec<String>) {
        let mut state = self.board.state();
        (std::mem::take(&mut state.heard), std::mem::take(&mut state.faults))
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut link: Link) {
        if link.exactly(PREFACE.len()).as_deref() != Ok(PREFACE) {
            return;
        }
        let script = self.state().script.clone();
        link.send(&Frame::settings(&script.map(|script| script.settings).unwrap_or_default()));
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let mut open = BTreeMap::new();
        loop {
            let taken = link.frame().and_then(|frame| self.take(&mut link, number, &mut open, &frame));
            match taken {
                Ok(()) => {}
                Err(Fault::Malformed(fault)) => return self.state().faults.push(fault),
                Err(Fault::Closed | Fault::Reset | Fault::Silent) => return,
            }
        }
    }

    fn take(
        &self,
        link: &mut Link,
        number: usize,
        open: &mut BTreeMap<u32, Request>,
        frame: &Frame,
    ) -> Result<(), Fault> {
        let malformed =
            |what: &dyn std::fmt::Debug| Err(Fault::Malformed(format!("the backend got {what:?}")));
        match frame.kind {
            kind::HEADERS => {
                let block = link.block(frame)?;
                match open.get_mut(&block.stream) {
                    None if !is_sound(&block.fields, &[":method", ":scheme", ":authority", ":path"]) => {
                        return malformed(&block.fields);
                    }
                    None => {
                        let request = Request {
                            connection: number,
                            stream: block.stream,
                            head: block.fields,
                            ..Request::default()
                        };
                        open.insert(block.stream, request);
                    }
                    Some(_) if !is_sound(&block.fields, &[]) || !block.is_last => {
                        return malformed(&block.fields);
                    }
                    Some(request) => request.trailers = block.fields,
                }
                self.came(link, open, block.stream, block.is_last);
            }
            kind::DATA => {
                let Some(request) = open.get_mut(&frame.stream).filter(|request| !request.is_whole) else {
                    return malformed(frame);
                };
                request.body.extend_from_slice(&frame.payload);
                let is_refilling = self.state().script.as_ref().is_none_or(|script| script.is_refilling);
                if is_refilling && !frame.payload.is_empty() {
                    let more = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
                    link.send(&Frame::window_update(0, more));
                    link.send(&Frame::window_update(frame.stream, more));
                }
                self.came(link, open, frame.stream, frame.has(flag::END_STREAM));
            }
            kind::SETTINGS if !frame.has(flag::ACK) => {
                link.send(&Frame::new(kind::SETTINGS, flag::ACK, 0, ""));
            }
            kind::PING if !frame.has(flag::ACK) => {
                link.send(&Frame::new(kind::PING, flag::ACK, 0, &frame.payload));
            }
            kind::RST_STREAM => drop(open.remove(&frame.stream)),
            _ => {}
        }
        Ok(())
    }

    /// Something of a request came. What is complete enough is answered.
    fn came(&self, link: &mut Link, open: &mut BTreeMap<u32, Request>, stream: u32, is_last: bool) {
        let Some(request) = open.get_mut(&stream) else { return };
        request.is_whole |= is_last;
        if request.field(":path") == Some(MARKER) {
            return answer(link, stream, &[(":status", "200")], "marker");
        }
        let mut state = self.state();
        let is_same =
            |heard: &&mut Request| (heard.connection, heard.stream) == (request.connection, request.stream);
        let is_first = match state.heard.iter_mut().find(is_same) {
            Some(heard) => {
                heard.clone_from(request);
                false
            }
            None => {
                state.heard.push(request.clone());
                true
            }
        };
        let script = state.script.clone();
        drop(state);
        if let Some(script) = script.filter(|script| if script.is_early { is_first } else { is_last }) {
            (script.answer)(link, request);
        }
    }
}

/// Sends a whole answer.
pub(crate) fn answer(link: &mut Link, stream: u32, fields: &[(&str, &str)], body: &str) {
    head(link, stream, fields);
    link.send(&Frame::data(stream, flag::END_STREAM, body));
}

/// Sends a head behind which more follows.
pub(crate) fn head(link: &mut Link, stream: u32, fields: &[(&str, &str)]) {
    link.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, stream, hpack::encode(fields)));
}

/// Sends the last header block of an answer.
pub(crate) fn last_head(link: &mut Link, stream: u32, fields: &[(&str, &str)]) {
    let flags = flag::END_HEADERS | flag::END_STREAM;
    link.send(&Frame::new(kind::HEADERS, flags, stream, hpack::encode(fields)));
}

/// Ends a stream.
pub(crate) fn reset(link: &mut Link, stream: u32, code: Code) {
    link.send(&Frame::reset(stream, code));
}
