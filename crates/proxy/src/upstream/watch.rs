//! Idle connections to backends are watched, so that the end of a process is noticed when it happens, and not when somebody wants
//! to use one of its connections.
//!
//! Registering a connection costs a lock and a reference count, which is too much for every request. So giving one back only says
//! that there is something to register, and one task per worker does so for all that stayed idle for a moment: whoever takes a
//! connection earlier looks at it anyway.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::unconstrained;
use tokio::time::sleep;

use crate::worker::Worker;

/// How long a connection idles before it is watched.
const SETTLE: Duration = Duration::from_millis(20);

/// Says that there are connections that are not watched yet.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_called: Cell<bool>,
    called: Notify,
}

impl Watch {
    /// A connection began to idle.
    pub(crate) fn call(&self) {
        if !self.is_called.replace(true) {
            self.called.notify_one();
        }
    }
}

/// Watches all idle connections of a worker.
pub(crate) async fn watch(worker: Rc<Worker>) {
    // A task that has had its turn is told that nothing is ready, which would leave connections unregistered.
    unconstrained(async {
        let reach = worker.view().reach();
        let watch = &reach.watch;
        loop {
            // Whatever wakes this task before it is called is the end of a connection.
            let mut called = pin!(watch.called.notified());
            poll_fn(|cx| {
                worker.look(cx);
                called.as_mut().poll(cx)
            })
            .await;
            let mut settled = pin!(sleep(SETTLE));
            poll_fn(|cx| match settled.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => {
                    worker.look(cx);
                    Poll::Pending
                }
            })
            .await;
            watch.is_called.set(false);
        }
    })
    .await;
}
