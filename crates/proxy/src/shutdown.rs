//! Ending: the handle of the running proxy, and how its workers learn that they shall stop.

use std::cell::Cell;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// The running proxy. Dropping it ends the proxy at once.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<Option<Instant>>,
    ended: mpsc::UnboundedReceiver<Ended>,
    threads: Vec<JoinHandle<()>>,
    running: usize,
    cut: u64,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its place.
    pub worker: usize,
    /// Connections that were cut off because they did not end in time.
    pub cut: u64,
}

impl Handle {
    pub(crate) const fn new(
        stop: watch::Sender<Option<Instant>>,
        ended: mpsc::UnboundedReceiver<Ended>,
        threads: Vec<JoinHandle<()>>,
    ) -> Self {
        let running = threads.len();
        Self { stop, ended, threads, running, cut: 0 }
    }

    /// Stops accepting, lets what is under way end, and cuts off what is left after `limit`. May be called again with another limit: zero ends everything now.
    pub fn shutdown(&self, limit: Duration) {
        self.stop.send_replace(Some(Instant::now() + limit));
    }

    /// Waits until all workers have ended, which before a [`shutdown`](Self::shutdown) they only do by a bug; answers how many
    /// connections had to be cut off. May be dropped and called again.
    pub async fn ended(&mut self) -> u64 {
        while self.running > 0 {
            // Every worker says when it ends, however it does; without one left the channel closes.
            let Some(ended) = self.ended.recv().await else { break };
            self.running -= 1;
            self.cut += ended.cut;
        }
        for thread in self.threads.drain(..) {
            // It has said its last word, so this does not block; a panic was reported where it happened.
            let _ = thread.join();
        }
        self.cut
    }
}

/// Says that a worker has ended, when it is dropped: also by a panic.
pub(crate) struct LastWord {
    pub(crate) sender: mpsc::UnboundedSender<Ended>,
    pub(crate) ended: Ended,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let _ = self.sender.send(self.ended);
    }
}

/// What the tasks of one worker know about its end.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_stopping: Cell<bool>,
    begun: Notify,
}

impl Stop {
    /// Tells all tasks.
    pub(crate) fn begin(&self) {
        self.is_stopping.set(true);
        self.begun.notify_waiters();
    }

    /// Waits until the worker stops.
    pub(crate) async fn begun(&self) {
        // No await lies between the check and the registration, and everything here is on one thread.
        while !self.is_stopping.get() {
            self.begun.notified().await;
        }
    }
}
