//! Where spans wait for whoever sends them on.

use prometheus::IntCounter;
use tokio::sync::mpsc;

use super::span::Span;

/// Spans that may wait. A collector that is so far behind is stuck: what comes on top is dropped. One is a few KiB at most.
const WAITING_MAX: usize = 4096;

/// The workers' end: takes spans and never waits.
#[derive(Debug, Clone)]
pub struct SpanSink {
    sender: mpsc::Sender<Span>,
    dropped: IntCounter,
}

/// Both ends of a queue of spans. What finds no room in it is counted in `dropped`.
#[must_use]
pub fn spans(dropped: IntCounter) -> (SpanSink, mpsc::Receiver<Span>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (SpanSink { sender, dropped }, receiver)
}

impl SpanSink {
    /// Queues a span, or drops and counts it.
    pub fn send(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::telemetry::trace::Kind;

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let now = SystemTime::UNIX_EPOCH;
        let span = Span {
            trace: 1,
            id: 1,
            parent: None,
            kind: Kind::Server,
            name: "GET",
            began: now,
            ended: now,
            is_failed: false,
            attributes: Vec::new(),
        };
        let dropped = IntCounter::new("dropped", "x").unwrap();
        let (sink, mut receiver) = spans(dropped.clone());
        (0..WAITING_MAX + 3).for_each(|_| sink.send(span.clone()));
        assert_eq!((dropped.get(), receiver.len()), (3, WAITING_MAX));
        assert_eq!(receiver.try_recv(), Ok(span));
    }
}
