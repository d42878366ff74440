//! Ending: the handle of the running proxy, and how its workers learn that they shall stop.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

/// When a worker stops, what clients have only begun may use this time: closing at once would fail requests that are on their way.
pub(crate) const HASTE: Duration = Duration::from_millis(500);
/// The same while another process serves the sockets, and nothing is in a hurry: several ways to the far side of the world and back.
const LEISURE: Duration = Duration::from_secs(5);

/// The running proxy. Dropping it ends the proxy at once.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<Option<Stopping>>,
    ended: mpsc::UnboundedReceiver<Ended>,
    /// What each worker listens on; empty once it has ended.
    sockets: Mutex<Vec<Listening>>,
    threads: Vec<JoinHandle<()>>,
    running: usize,
    cut: u64,
}

/// The sockets of a worker, each with the address that was asked for.
type Listening = Vec<(SocketAddr, TcpListener)>;

/// How the proxy is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopping {
    /// When it ends, whatever is left.
    pub(crate) deadline: Instant,
    /// Whether another process serves its sockets: nothing is in a hurry then.
    pub(crate) is_replaced: bool,
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
        stop: watch::Sender<Option<Stopping>>,
        ended: mpsc::UnboundedReceiver<Ended>,
        sockets: Vec<Listening>,
        threads: Vec<JoinHandle<()>>,
    ) -> Self {
        let running = threads.len();
        Self { stop, ended, sockets: Mutex::new(sockets), threads, running, cut: 0 }
    }

    /// Stops accepting, lets what is under way end, and cuts off what is left after `limit`. May be called again with another limit: zero ends everything now.
    pub fn shutdown(&self, limit: Duration) {
        self.stop(limit, false);
    }

    /// The same for a proxy whose [`sockets`](Self::sockets) another process serves now. What waits in their queues is left to that
    /// one, and what lasts goes on until its own term is over, within `limit`.
    pub fn retire(&self, limit: Duration) {
        self.stop(limit, true);
    }

    /// The sockets that it listens on, worker by worker, each with the address that was asked for.
    ///
    /// # Errors
    /// The system has no descriptor to spare.
    pub fn sockets(&self) -> std::io::Result<Vec<(SocketAddr, TcpListener)>> {
        let sockets = self.kept();
        let all = sockets.iter().flatten();
        all.map(|(address, socket)| Ok((*address, socket.try_clone()?))).collect()
    }

    fn stop(&self, limit: Duration, is_replaced: bool) {
        // Workers close their sockets for good.
        self.kept().clear();
        self.stop.send_replace(Some(Stopping { deadline: Instant::now() + limit, is_replaced }));
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

    fn note(&mut self, ended: Ended) {
        self.running -= 1;
        // Else the system would go on queueing connections for it.
        if let Some(sockets) = self.kept().get_mut(ended.worker) {
            sockets.clear();
        }
        self.cut += ended.cut;
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Listening>> {
        // Nobody can panic while they hold it.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
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
    is_replaced: Cell<bool>,
    begun: Notify,
    hastens: Notify,
}

impl Stop {
    /// Tells all tasks.
    pub(crate) fn begin(&self, is_replaced: bool) {
        self.is_replaced.set(is_replaced);
        self.is_stopping.set(true);
        self.begun.notify_waiters();
        if !is_replaced {
            self.hastens.notify_waiters();
        }
    }

    /// Whether another process serves the sockets now.
    pub(crate) const fn is_replaced(&self) -> bool {
        self.is_replaced.get()
    }

    /// Whether also what lasts has to end now.
    pub(crate) const fn is_hasty(&self) -> bool {
        self.is_stopping.get() && !self.is_replaced.get()
    }

    /// Waits until also what lasts has to end.
    pub(crate) async fn hastened(&self) {
        while !self.is_hasty() {
            self.hastens.notified().await;
        }
    }

    /// How long, since the worker stopped, a client may take for what it has only begun.
    pub(crate) const fn patience(&self) -> Duration {
        if self.is_replaced.get() { LEISURE } else { HASTE }
    }

    /// Waits until the worker has stopped for so long that nothing which clients had only begun need be awaited any more.
    pub(crate) async fn lapsed(&self) {
        self.begun().await;
        tokio::select! {
            () = sleep(self.patience()) => return,
            () = self.hastened(), if self.is_replaced() => {}
        }
        sleep(HASTE).await;
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
        let mut handle = Handle::new(stop, ended, Vec::new(), vec![thread, std::thread::spawn(|| {})]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(handle.lost()), Some(1));
        drop(lives);
        assert_eq!(runtime.block_on(handle.lost()), None, "it was the last one");
        assert_eq!(runtime.block_on(handle.ended()), 0);
    }
}
