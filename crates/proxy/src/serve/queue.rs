//! How many requests of one worker wait for a backend at the same time: a number, so that waiting can't grow without bound.

use std::cell::Cell;

use prometheus::IntGauge;

/// Most requests that wait. Each holds its head and a connection, so this is also a bound on memory.
const WAITING_MAX: usize = 8192;

/// The waiting requests of one worker.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Cell<usize>,
    gauge: IntGauge,
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Queue);

impl Queue {
    /// An empty queue, whose length is added to `gauge`.
    pub(crate) const fn new(gauge: IntGauge) -> Self {
        Self { waiting: Cell::new(0), gauge }
    }

    /// A place, unless all are taken.
    pub(crate) fn enter(&self) -> Option<Place<'_>> {
        let waiting = self.waiting.get();
        (waiting < WAITING_MAX).then(|| {
            self.waiting.set(waiting + 1);
            self.gauge.inc();
            Place(self)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
        self.0.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_end_and_come_back() {
        let queue = Queue::new(IntGauge::new("waiting", "waiting").unwrap());
        let mut places: Vec<_> = (0..WAITING_MAX).map(|_| queue.enter().unwrap()).collect();
        assert!(queue.enter().is_none());
        places.pop();
        assert!(queue.enter().is_some());
    }
}
