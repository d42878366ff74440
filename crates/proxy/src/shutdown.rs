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

    /// Waits until a worker ends that nobody told to, which is a bug; answers its place, or `None` when none is left. Its connections are
    /// lost; its sockets are closed, so that new ones reach the others. May be dropped and called again.
    pub async fn lost(&mut self) -> Option<usize> {
        let ended = self.ended.recv().await?;
        self.note(ended);
        (self.running > 0).then_some(ended.worker)
    }

    /// Waits until all workers have ended, which before a [`shutdown`](Self::shutdown) they only do by a bug; answers how many
    /// connections had to be cut off. May be dropped and called again.
    pub async fn ended(&mut self) -> u64 {
        while self.running > 0 {
            // Every worker says when it ends, however it does; without one left the channel closes.
            let Some(ended) = self.ended.recv().await else { break };
            self.note(ended);
        }
        for thread in self.threads.drain(..) {
            // It has said its last word, so this does not block; a panic was reported where it happened.
            let _ = thread.join();
        }
        self.cut
    }

    const fn note(&mut self, ended: Ended) {
        self.running -= 1;
        self.cut += ended.cut;
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

    /// Whether the worker stops.
    pub(crate) const fn has_begun(&self) -> bool {
        self.is_stopping.get()
    }

    /// Waits until the worker stops.
    pub(crate) async fn begun(&self) {
        // No await lies between the check and the registration, and everything here is on one thread.
        while !self.is_stopping.get() {
            self.begun.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panics_is_missed_at_once() {
        let (stop, _stopped) = watch::channel(None);
        let (sender, ended) = mpsc::unbounded_channel();
        let last_word = |worker| LastWord { sender: sender.clone(), ended: Ended { worker, cut: 0 } };
        let (panics, lives) = (last_word(1), last_word(0));
        let thread = std::thread::spawn(move || {
            let _last_word = panics;
            std::panic::resume_unwind(Box::new("a bug"));
        });
        let mut handle = Handle::new(stop, ended, vec![thread, std::thread::spawn(|| {})]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(handle.lost()), Some(1));
        drop(lives);
        assert_eq!(runtime.block_on(handle.lost()), None, "it was the last one");
        assert_eq!(runtime.block_on(handle.ended()), 0);
    }
}
