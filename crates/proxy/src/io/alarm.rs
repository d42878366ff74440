//! One timer per connection, for whatever it waits for. Most deadlines pass unneeded, so setting one later than the timer rings
//! costs a comparison.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::unconstrained;
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
            if self.register(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Registers the task, once, before the first [`poll`](Self::poll).
    pub(crate) fn start(&mut self, cx: &mut Context<'_>) {
        // Should it have rung already, the first poll sets it anew.
        let _ = self.register(cx);
    }

    /// Polls the timer, also for a task whose turn is at its end: tokio would only wake the task again, and not register it, while the
    /// timer would look as if it were set.
    fn register(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        pin!(unconstrained(self.0.as_mut())).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn an_alarm_that_is_set_at_the_end_of_a_turn_rings() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // It has rung once, so that it must register its task again.
            let rung = async {
                let mut alarm = Alarm::new(Instant::now());
                poll_fn(|cx| {
                    alarm.start(cx);
                    Poll::Ready(())
                })
                .await;
                let rings_at = Instant::now() + Duration::from_millis(5);
                poll_fn(|cx| {
                    while tokio::task::coop::has_budget_remaining() {
                        let _ = pin!(tokio::task::coop::consume_budget()).poll(cx);
                    }
                    alarm.poll(Some(rings_at), cx)
                })
                .await;
            };
            let tasks = tokio::task::LocalSet::new();
            let rung = tasks.run_until(async { tokio::task::spawn_local(rung).await });
            tokio::time::timeout(Duration::from_secs(10), rung).await.unwrap().unwrap();
        });
    }
}
