//! One timer per connection, for whatever it waits for. Most deadlines pass unneeded, so setting one later than the timer rings
//! costs a comparison.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When nothing is due, it rings this far ahead.
const FAR: Duration = Duration::from_secs(3600);

/// A timer of one task, which must be the only one that polls it: the waker is registered when the timer is set, not at every poll.
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// An alarm that rings at `at` the latest.
    pub(crate) fn new(at: Instant) -> Self {
        Self(Box::pin(sleep_until(at)))
    }

    /// Ready when `deadline` has passed. The task is woken then at the latest, and may be woken before.
    pub(crate) fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let is_set = !self.0.is_elapsed();
        if is_set && deadline.is_none_or(|deadline| self.0.deadline() <= deadline) {
            return Poll::Pending;
        }
        loop {
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline.unwrap_or(now + FAR));
            if self.0.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Registers the task, once, before the first [`poll`](Self::poll).
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        // Should it have rung already, the first poll sets it anew.
        let _ = self.0.as_mut().poll(cx);
    }
}
