//! What a connection is served with while it is busy. The state of a request on its way is large, so that a connection between two
//! requests has none of it; and it is used again and again, so that serving allocates nothing.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::client::connection::Connection;
use crate::client::linger::linger;
use crate::serve::scratch::Scratch;
use crate::serve::{self, Next};

/// Serves one connection at a time, in the task of that connection.
pub(crate) struct Server {
    desk: Rc<Desk>,
    serving: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// Where a connection is handed over.
#[derive(Default)]
struct Desk {
    to_serve: Cell<Option<Box<Connection>>>,
    served: Cell<Option<(Box<Connection>, Next)>>,
}

impl Default for Server {
    fn default() -> Self {
        let desk = Rc::<Desk>::default();
        Self { serving: Box::pin(serve_each(Rc::clone(&desk))), desk }
    }
}

impl Server {
    /// Serves what is there on the connection, until nothing more is at hand. It has to be finished before there is another one.
    pub(crate) async fn serve(&mut self, connection: Box<Connection>) -> (Box<Connection>, Next) {
        self.desk.to_serve.set(Some(connection));
        poll_fn(|cx| {
            let Poll::Pending = self.serving.as_mut().poll(cx);
            take(&self.desk.served)
        })
        .await
    }
}

/// Takes what is there.
fn take<T>(place: &Cell<Option<T>>) -> Poll<T> {
    place.take().map_or(Poll::Pending, Poll::Ready)
}

/// One connection after the other.
async fn serve_each(desk: Rc<Desk>) -> Infallible {
    let mut scratch = Scratch::default();
    loop {
        // Whoever brings one polls this at once: nobody has to be woken.
        let mut connection = poll_fn(|_| take(&desk.to_serve)).await;
        let next = serve_all(&mut connection, &mut scratch).await;
        scratch.rest(&connection.client.worker.buffers);
        desk.served.set(Some((connection, next)));
    }
}

async fn serve_all(connection: &mut Connection, scratch: &mut Scratch) -> Next {
    loop {
        match serve::serve(connection, scratch).await {
            // A stream has one request, and its connection a task of its own.
            next if connection.stream.is_h2() => return next,
            Next::Again(_) if !scratch.from_client.is_empty() => {}
            Next::Linger => {
                // What fails here is the client's connection, which is over anyway.
                let _ = linger(connection, &mut scratch.from_client).await;
                return Next::Close;
            }
            next => return next,
        }
    }
}
