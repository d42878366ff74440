//! How a roll or a deploy is told to stop: by signals, by its time, by its first failure.

use tokio::sync::watch;

/// How much is to stop. What was said stays said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Nothing.
    #[default]
    No,
    /// Nothing new is begun; commands that run are left to end.
    Asking,
    /// Commands are ended too.
    Commands,
}

/// Whoever says it.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Stop>);

/// Whoever is told.
#[derive(Debug, Clone)]
pub(crate) struct Stopped(watch::Receiver<Stop>);

/// A pair of both.
pub(crate) fn channel() -> (Stopper, Stopped) {
    let (sender, receiver) = watch::channel(Stop::No);
    (Stopper(sender), Stopped(receiver))
}

impl Stopper {
    /// Stops at least this much.
    pub(crate) fn stop(&self, what: Stop) {
        self.0.send_if_modified(|said| {
            let is_more = what > *said;
            *said = what.max(*said);
            is_more
        });
    }

    /// How much is to stop now.
    pub(crate) fn said(&self) -> Stop {
        *self.0.borrow()
    }
}

impl Stopped {
    /// Whether this is to stop.
    pub(crate) fn is(&self, what: Stop) -> bool {
        *self.0.borrow() >= what
    }

    /// Resolves when this is to stop.
    pub(crate) async fn until(&self, what: Stop) {
        // Whoever works outlives all whom it tells; if it is gone there is nothing left to do but to stop.
        let _ = self.0.clone().wait_for(|said| *said >= what).await;
    }
}
