//! The backend: it hears requests byte for byte and plays the script of the case that is on.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cut::Cut;
use crate::head::{Framing, Head};
use crate::wire::{Body, Fault, LIMIT, Wire};

/// The target of requests that are no part of a case: each is answered, and ends its connection.
pub(crate) const MARKER: &str = "/marker";
/// What answers a request that no script is for.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One thing that the backend does after it read the head of a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads the request's body, by its framing.
    Body,
    /// Reads so many bytes, whatever they are.
    Bytes(usize),
    /// Reads until the other side closes, whatever comes.
    Gone,
    /// Sends this.
    Say(Vec<u8>),
    /// Lets the client go on.
    Cue,
    /// Waits until the client lets it go on.
    OnCue,
    /// Closes the sending half.
    HalfClose,
    Close,
    Reset,
}

/// A request that reached the backend.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// On which connection of the case, from 0.
    pub(crate) connection: usize,
    pub(crate) head: Head,
    pub(crate) body: Body,
    /// How reading the body ended; `None` when the script does not read it.
    pub(crate) end: Option<Result<(), Fault>>,
}

/// A scripted backend.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    board: Arc<Board>,
}

#[derive(Debug, Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    scripts: VecDeque<Vec<Act>>,
    cut: Option<Cut>,
    heard: Vec<Heard>,
    /// Bytes that came and are no request.
    garbage: Vec<String>,
    accepted: usize,
    /// Connections that are open, by their numbers.
    open: Vec<(usize, TcpStream)>,
    cues_for_client: usize,
    cues_for_upstream: usize,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let board = Arc::new(Board::default());
        let shared = Arc::clone(&board);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let wire = Wire::new(stream);
                let number = shared.opened(wire.try_clone_stream());
                let board = Arc::clone(&shared);
                std::thread::spawn(move || {
                    serve(&board, number, wire);
                    board.closed(number);
                });
            }
        });
        Self { address, board }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A case begins. Its first request is answered by the first script, and so on.
    pub(crate) fn begin(&self, scripts: &[Vec<Act>], cut: Cut) {
        let mut state = self.board.state();
        let open = std::mem::take(&mut state.open);
        *state = State { scripts: scripts.to_vec().into(), cut: Some(cut), open, ..State::default() };
    }

    /// What the case made the backend hear: requests, and bytes that are none.
    pub(crate) fn end(&self) -> (Vec<Heard>, Vec<String>) {
        let mut state = self.board.state();
        (std::mem::take(&mut state.heard), std::mem::take(&mut state.garbage))
    }

    /// Whether no connection is open, now or within `patience`.
    pub(crate) fn is_left_alone(&self, patience: Duration) -> bool {
        self.board.wait(patience, |state| state.open.is_empty())
    }

    /// Ends all connections, after a case went wrong.
    pub(crate) fn hang_up(&self) {
        for (_, stream) in &self.board.state().open {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until the heads of so many requests were heard.
    pub(crate) fn wait_for_requests(&self, count: usize) -> Result<(), String> {
        let is_heard = self.board.wait(LIMIT, |state| state.heard.len() >= count);
        if is_heard { Ok(()) } else { Err(format!("waited in vain for request {count} upstream")) }
    }

    /// Lets the backend go on.
    pub(crate) fn cue(&self) {
        self.board.state().cues_for_upstream += 1;
        self.board.changed.notify_all();
    }

    /// Waits until the backend lets the client go on.
    pub(crate) fn wait_for_cue(&self) -> Result<(), String> {
        let is_cued = self.board.wait(LIMIT, |state| take(&mut state.cues_for_client));
        if is_cued { Ok(()) } else { Err("waited in vain for the upstream's cue".to_owned()) }
    }
}

impl Heard {
    /// Whether all of the request came.
    pub(crate) fn is_whole(&self) -> bool {
        self.end == Some(Ok(()))
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, stream: TcpStream) -> usize {
        let mut state = self.state();
        let number = state.accepted;
        state.accepted += 1;
        state.open.push((number, stream));
        number
    }

    fn closed(&self, number: usize) {
        self.state().open.retain(|(open, _)| *open != number);
        self.changed.notify_all();
    }

    fn cut(&self) -> Cut {
        self.state().cut.unwrap_or(Cut::Whole)
    }

    /// Notes a request, and answers its place and its script.
    fn hear(&self, connection: usize, head: Head) -> (usize, Vec<Act>) {
        let mut state = self.state();
        state.heard.push(Heard { connection, head, body: Body::default(), end: None });
        let script = state.scripts.pop_front();
        let place = state.heard.len() - 1;
        drop(state);
        self.changed.notify_all();
        (place, script.unwrap_or_else(|| vec![Act::Body, Act::Say(OK.to_vec())]))
    }

    /// Changes what was noted about a request, unless its case is over.
    fn note(&self, place: usize, change: impl FnOnce(&mut Heard)) {
        if let Some(heard) = self.state().heard.get_mut(place) {
            change(heard);
        }
    }

    /// Waits until something is so, and answers whether it became so in time.
    fn wait(&self, patience: Duration, is_so: impl Fn(&mut State) -> bool) -> bool {
        let state = self.changed.wait_timeout_while(self.state(), patience, |state| !is_so(state));
        !state.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// Takes a cue if there is one. Several connections may wait, and each cue is for one of them.
fn take(cues: &mut usize) -> bool {
    let is_there = *cues > 0;
    *cues -= usize::from(is_there);
    is_there
}

/// One connection, from its first request to its end.
fn serve(board: &Board, number: usize, mut wire: Wire) {
    loop {
        let head = match wire.head() {
            Ok(head) => head,
            Err(fault) => {
                if wire.has_leftover() || matches!(fault, Fault::Malformed(_)) {
                    board.state().garbage.push(format!("{fault} after {:?}", wire.leftover()));
                }
                return;
            }
        };
        if head.start.split(' ').nth(1) == Some(MARKER) {
            let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nmarker";
            return wire.write(answer.as_bytes(), Cut::Whole);
        }
        let framing = head.request_framing();
        let (place, script) = board.hear(number, head);
        for act in script {
            if let Some(end) = play(board, place, &mut wire, &framing, act) {
                return end.close(wire);
            }
        }
    }
}

/// How a connection ends.
enum Ending {
    Closed,
    Reset,
}

impl Ending {
    fn close(self, wire: Wire) {
        match self {
            Self::Closed => drop(wire),
            Self::Reset => wire.reset(),
        }
    }
}

/// Does one thing for the request at `place`. Answers how the connection ends, where it does.
fn play(
    board: &Board,
    place: usize,
    wire: &mut Wire,
    framing: &Result<Framing, Fault>,
    act: Act,
) -> Option<Ending> {
    let mut body = Body::default();
    let goes_on = match act {
        Act::Body => {
            let end = framing.clone().and_then(|framing| wire.body(framing, &mut body));
            let is_whole = end.is_ok();
            board.note(place, |heard| (heard.body, heard.end) = (body, Some(end)));
            is_whole
        }
        Act::Bytes(count) => {
            let end = wire.exactly(count, &mut body.bytes);
            board.note(place, |heard| heard.body.bytes.extend(body.bytes));
            end.is_ok()
        }
        Act::Gone => {
            wire.rest(&mut body.bytes);
            board.note(place, |heard| heard.body.bytes.extend(body.bytes));
            false
        }
        Act::Say(bytes) => {
            wire.write(&bytes, board.cut());
            true
        }
        Act::Cue => {
            board.state().cues_for_client += 1;
            board.changed.notify_all();
            true
        }
        Act::OnCue => board.wait(LIMIT, |state| take(&mut state.cues_for_upstream)),
        Act::HalfClose => {
            wire.half_close();
            true
        }
        Act::Close => false,
        Act::Reset => return Some(Ending::Reset),
    };
    if goes_on { None } else { Some(Ending::Closed) }
}
