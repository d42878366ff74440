//! The backend: it takes whole requests, remembers them, and answers all of them alike.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::yield_now;

use crate::message::{self, Front, Message};

/// The status of its answers, which the proxy has no use for.
pub const STATUS: u16 = 299;

#[derive(Default)]
pub struct App {
    /// Whole requests, since they were taken last.
    pub got: RefCell<Vec<Message>>,
    /// What it says instead of its answer, in pieces, before it closes the connection.
    pub says: RefCell<Option<Vec<Vec<u8>>>>,
    /// Bytes that came and went.
    pub seen: Cell<usize>,
    /// Connections on which a request has begun.
    pub begun: Cell<usize>,
}

/// Serves every connection.
pub async fn accept(app: Rc<App>, listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(serve(Rc::clone(&app), stream));
    }
}

async fn serve(app: Rc<App>, mut stream: UnixStream) {
    let mut input = Vec::new();
    let mut is_told = false;
    loop {
        let was_begun = !input.is_empty();
        let read = stream.read_buf(&mut input).await.unwrap_or(0);
        app.seen.set(app.seen.get() + read);
        if read == 0 {
            app.begun.set(app.begun.get() - usize::from(was_begun));
            return;
        }
        app.begun.set(app.begun.get() + usize::from(!was_begun));
        let answer: &[u8] = match message::request(&input) {
            Front::Part { expects } if expects && !is_told => {
                is_told = true;
                b"HTTP/1.1 100 Continue\r\n\r\n"
            }
            Front::Part { .. } => continue,
            Front::Whole(message, len) => {
                // The proxy has one request under way on a connection.
                assert_eq!(len, input.len(), "more than was asked: {message:?}");
                input.clear();
                is_told = false;
                app.begun.set(app.begun.get() - 1);
                app.got.borrow_mut().push(message);
                let says = app.says.borrow().clone();
                if let Some(pieces) = says {
                    return say(&app, stream, &pieces).await;
                }
                b"HTTP/1.1 299 Taken\r\nContent-Length: 0\r\n\r\n"
            }
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn say(app: &App, mut stream: UnixStream, pieces: &[Vec<u8>]) {
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        app.seen.set(app.seen.get() + piece.len());
        yield_now().await;
    }
}
